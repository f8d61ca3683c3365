"""Copy a source's other streams into an output: sound, subtitles, chapters, metadata, attachments and covers."""

import copy
import io
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from ..read.probe import open_media
from ..read.reader import VideoReader
from ..read.times import Continuity
from .carried import EXACT, LONGER, Carried, OutputClock, add_recoded, needs_recoding, recode, span
from .segments import HANDED_ON, Format, open_handed_on

logger = logging.getLogger("waveletvfi")

KINDS = ("audio", "subtitle")
MATROSKA = "matroska"
COVERS = {"png": "image/png", "mjpeg": "image/jpeg"}  # MIME types of cover images by codec
# Metadata that describes the source as a file, not its content.
OUTDATED = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration", "vendor_id", "rotate"}
OUTDATED |= {"alpha_mode", "bps", "number_of_frames", "number_of_bytes"}


class Carrier:
    """A copier of a source's streams, except its picture, into an output."""

    def __init__(self, carried: Carried, output: OutputContainer):
        """Set up the output's streams, chapters and metadata. Call it after the picture was added to `output`."""
        source, stretch = carried.source, carried.stretch
        self._level = logging.DEBUG if carried.is_said else logging.WARNING
        self._source = source
        self._end = min((end for end in (carried.end, carried.cut.until) if end is not None), default=None)
        self._input = open_media(source.path)
        self._copies: dict[int, Stream] = {}
        self._recoded: list[int] = []
        self._clock = OutputClock(output)
        picture, copy = self._input.streams[source.picture], output.streams.video[0]
        copy.metadata.update(_lasting(picture.metadata))
        copy.disposition = picture.disposition
        others = (other for other in self._input.streams if other.index != picture.index)
        lost = [
            f"{stream.type} ({_name(stream)})"
            for stream in others
            if stream.type not in carried.cut.without and not self._add(stream, output, is_timed=stretch == 1)
        ]
        if lost:
            reason = "time is stretched" if stretch != 1 else f"{_kind(output)} cannot hold that"
            advice = "" if stretch != 1 or _kind(output) == MATROSKA else "; .mkv holds most"
            logger.log(self._level, "%s: left out: %s; %s%s", source.path, ", ".join(lost), reason, advice)
        output.metadata.update(_lasting(self._input.metadata))
        if output.format.name != HANDED_ON:
            output.set_chapters(list(self._chapters(stretch)))
        elif self._input.chapters():
            logger.log(
                self._level, "%s: left out: chapters; they cannot be written beside its kind of sound", source.path
            )

    def packets(self, picture_end: Fraction | None = None) -> Iterator[Packet]:
        """Yield the packets to write, in the order of the file. Their times are those of the output.

        Args:
            picture_end: end of the picture in seconds. If sound lasts longer, a warning says so.
        """
        sound_end = Fraction(0)
        try:
            picture = self._input.streams[self._source.picture]
            for packet in Continuity(self._input, picture, self._source.coded_rate):
                index = packet.stream.index
                if not packet.size or index not in self._copies:
                    continue
                copy = self._copies[index]
                for placed in self._timed(recode(packet, copy) if index in self._recoded else [packet], copy):
                    sound_end = max(sound_end, span(placed)[1]) if copy.type == "audio" else sound_end
                    yield placed
            for index in self._recoded:
                yield from self._timed(recode(None, self._copies[index]), self._copies[index])
        except av.FFmpegError as error:
            logger.warning("%s: sound and subtitles end early: %s", self._source.path, error.strerror)
        if picture_end is not None and sound_end - picture_end > LONGER:
            longer = float(sound_end - picture_end)
            logger.warning(
                "%s: its sound lasts %.1f s longer than its picture; it is kept, and players hold the last frame",
                self._source.path, longer,
            )  # fmt: skip

    def _timed(self, packets: Iterable[Packet], copy: Stream) -> Iterator[Packet]:
        """Yield the packets that belong into the output, with their times."""
        for packet in packets:
            if not self._clock.set(packet, copy, start=self._source.start, is_cut=self._source.is_cut):
                continue
            begin, end = span(packet)
            if self._end is None or begin < self._end:
                if copy.type == "subtitle" and self._end is not None and end > self._end:
                    packet.duration = round((self._end - begin) / packet.time_base)
                yield packet

    def close(self) -> None:
        """Close the source."""
        self._input.close()

    def _add(self, stream: Stream, output: OutputContainer, *, is_timed: bool) -> bool:
        """Add a copy of the stream to the output. Return False if the output cannot hold one."""
        codec = stream.codec_context and stream.codec_context.name
        if stream.type == "data" and codec is None and stream.name == "bin_data" and self._input.chapters():
            return True  # mp4 stores chapters in this stream; they are copied as chapters
        if stream.type == "attachment" and _kind(output) == MATROSKA:
            output.add_attachment(stream.name or "attachment", stream.mimetype or "", stream.data)
            return True
        is_cover = bool(stream.disposition & Disposition.attached_pic)
        if is_cover and _kind(output) == MATROSKA and codec in COVERS:
            suffix = COVERS[codec].removeprefix("image/")
            output.add_attachment(f"cover.{suffix}", COVERS[codec], self._cover(stream.index))
            return True
        if is_timed and needs_recoding(stream, output):
            copy = self._recode(stream, output)
        elif (
            codec is None
            or not (is_cover or (is_timed and stream.type in KINDS))
            or not _takes(_trial(output.format.name), stream)
        ):
            return False
        else:
            copy = output.add_stream_from_template(stream, opaque=True)
        copy.metadata.update(_lasting(stream.metadata))
        copy.disposition = stream.disposition
        self._copies[stream.index] = copy
        return True

    def _recode(self, stream: Stream, output: OutputContainer) -> Stream:
        self._recoded.append(stream.index)
        loss = "without loss" if stream.codec_context.name in EXACT else "in 24 bits at most"
        logger.log(
            self._level,
            "%s: sound (%s) is stored as ALAC, %s: many players misread it in mp4; .mkv and .mov keep it as it is",
            self._source.path, _name(stream), loss,
        )  # fmt: skip
        return add_recoded(stream, output)

    def _cover(self, index: int) -> bytes:
        with open_media(self._source.path) as container:
            return bytes(next(container.demux(container.streams[index])))

    def _chapters(self, stretch: Fraction) -> Iterator[dict]:
        for chapter in self._input.chapters():
            unit = chapter["time_base"]
            start, end = ((chapter[key] * unit - self._source.start) * stretch for key in ("start", "end"))
            if (self._end is None or start < self._end) and (end > 0 or not self._source.is_cut):
                end = end if self._end is None else min(end, self._end)
                times = {"start": round(max(start, Fraction(0)) / unit), "end": round(end / unit)}
                yield {**chapter, **times, "metadata": dict(chapter["metadata"])}


def cut_before(source: VideoReader, time: Fraction) -> VideoReader:
    """Return the source with its zero moved to the frame at `time`, in seconds. Nothing is copied that ends before."""
    later = copy.copy(source)
    later.start, later.is_cut = source.start + time, True
    return later


def rehearse(carried: Carried, form: Format) -> None:
    """Log the streams that an output of a format would leave out or recode, before it is made."""
    nothing = io.BytesIO()
    nothing.name = f"nothing{form.suffix}"  # its suffix tells the kind
    handed_on = carried.stretch == 1 and is_unlisted(carried.source.path, form.suffix)
    with _trial(HANDED_ON) if handed_on else av.open(nothing, "w") as output:
        output.add_stream(form.encoder, rate=carried.source.rate)
        Carrier(carried, output).close()


def is_unlisted(path: Path, suffix: str) -> bool:
    """Return True if a file has sound or subtitles that only an output of `open_handed_on` takes."""
    if suffix != ".mkv":
        return False  # the other muxers respect the list themselves
    with open_media(path) as source:
        streams = [stream for stream in source.streams if stream.type in KINDS and stream.codec_context]
        return any(not _takes(_trial(MATROSKA), stream) and _takes(_trial(HANDED_ON), stream) for stream in streams)


def _takes(trial: OutputContainer, stream: Stream) -> bool:
    """Return True if a file of the kind of `trial` can hold a copy. It is tried by writing the head of such a file."""
    try:
        with trial:
            trial.add_stream_from_template(stream, opaque=True).disposition = stream.disposition
            trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


def _trial(kind: str) -> OutputContainer:
    """Open an output of a kind that is written nowhere."""
    return open_handed_on(os.devnull, MATROSKA) if kind == HANDED_ON else av.open(io.BytesIO(), "w", format=kind)


def _kind(output: OutputContainer) -> str:
    return MATROSKA if output.format.name == HANDED_ON else output.format.name


def _lasting(metadata: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in OUTDATED and not key.upper().startswith("_STATISTICS")
    }


def _name(stream: Stream) -> str:
    return (stream.codec_context.name if stream.codec_context else getattr(stream, "name", None)) or "unknown"
