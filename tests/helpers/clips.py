"""Small clips, and stand-ins for a network and for the engine, for the tests of videos."""

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
from torch import Tensor

from video.frame import Frame
from video.read.colour import Colour, encode_picture
from video.read.reader import VideoReader
from video.write.carried import Carried
from video.write.codecs import choose_format
from video.write.mux import join
from video.write.segments import segment_writer

RATE = Fraction(24000, 1001)


class Average:
    """A network whose middle frame is the mean, so that every frame in between can be worked out by hand."""

    def interpolate(self, img0: Tensor, img1: Tensor, *, ratio: float | None) -> Tensor:
        return (img0 + img1) / 2


def square(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A light 16x16 square on grey, 4 * index pixels from the left; (H, W, 3) uint8."""
    image = np.full((height, width, 3), 64, np.uint8)
    image[16:32, 4 * index : 4 * index + 16] = (200, 120, 40)
    return image


SQUARES = [square(index) for index in range(6)]


def make_clip(path: Path, images: list[np.ndarray], *, times: list[int] | None = None, **options) -> Path:
    """Write a video of uint8 or uint16 images. times: in units of 1/90000 s, default `rate` (an option). Other options:
    codec, options (of it), pix_fmt, turn, colour (matrix, range, primaries, transfer), aspect, sound (seconds of each
    of its streams), sound_codec, fast_start, metadata."""
    fast_start = {"movflags": "faststart"} if options.get("fast_start") else {}
    rate = Fraction(options.get("rate", RATE))
    with av.open(str(path), "w", options=fast_start) as container:
        codec = options.get("codec", "libx264")
        settings = options.get("options", {"crf": "4"} if codec == "libx264" else {})
        video = container.add_stream(codec, rate=rate, options=settings)
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = options.get("pix_fmt", "yuv444p")
        video.codec_context.time_base = Fraction(1, 90000) if times else 1 / rate
        matrix, range_, *tags = options.get("colour", (2, 0))
        video.codec_context.colorspace, video.codec_context.color_range = matrix, range_
        if tags:
            video.codec_context.color_primaries, video.codec_context.color_trc = tags
        container.metadata.update(options.get("metadata", {}))
        if "turn" in options:
            video.set_display_rotation(options["turn"])
        if "aspect" in options:
            video.sample_aspect_ratio = options["aspect"]
        sounds = [container.add_stream(options.get("sound_codec", "aac"), rate=48000) for _ in options.get("sound", [])]
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24" if image.dtype == np.uint8 else "rgb48le")
            if matrix != 2:
                frame = encode_picture(image, video.pix_fmt, Colour(matrix, is_full=range_ == 2))
            frame.pts, frame.time_base = times[index] if times else index, video.codec_context.time_base
            container.mux(video.encode(frame))
        for stream, seconds in zip(sounds, options.get("sound", []), strict=True):
            encode_tone(container, stream, seconds)
        container.mux(video.encode())
    return path


def encode_tone(container, stream, seconds: float) -> None:
    samples = np.sin(np.arange(int(48000 * seconds)) / 17).astype(np.float32)[None]
    for start in range(0, samples.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(samples[:, start : start + 1024].copy(), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def packets(path: Path, kind: str = "audio") -> list[list[bytes]]:
    """The payloads of every stream of a kind."""
    with av.open(str(path)) as container:
        streams = {stream.index: [] for stream in getattr(container.streams, kind)}
        for packet in container.demux():
            if packet.size and packet.stream.index in streams:
                streams[packet.stream.index].append(bytes(packet))
    return list(streams.values())


def read(path: Path, **options) -> list[Frame]:
    return list(VideoReader(path, **options).frames())


def convert(source: Path, output: Path, multiplier: int = 2, *, segment: int = 4, **options) -> Path:
    """A stand-in for the engine: every frame of a video `multiplier` times, faded into the next, in small segments.
    options: of `choose_format`; end: of `join`; end, stretch: of `Carried`."""
    reader, end = VideoReader(source), options.pop("end", None)
    carried = Carried(reader, end, options.pop("stretch", Fraction(1)))
    form = choose_format(output, reader, rate=reader.rate * multiplier, unit=reader.unit / multiplier, **options)
    frames = list(fade(read(source), multiplier, 1 / reader.rate))
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        for index in range(0, len(frames), segment):
            with segment_writer(Path(folder), index // segment, form, first=index) as writer:
                for frame in frames[index : index + segment]:
                    writer.write(frame)
        join(Path(folder), form, output, carried=carried, end=end)
    return output


def fade(frames: list[Frame], multiplier: int, period: Fraction) -> Iterator[Frame]:
    """The given frames as they are, and between them, at even times, their weighted means; the last one is held."""
    last = frames[-1]._replace(time=frames[-1].time + period)
    for frame, after in zip(frames, [*frames[1:], last], strict=True):
        yield frame
        for k in range(1, multiplier):
            weight = k / multiplier
            image = (frame.image * (1 - weight) + after.image * weight).round().astype(frame.image.dtype)
            yield Frame(image, frame.time + (after.time - frame.time) * k / multiplier, "between")


class Still:
    """What of a reader decides how frames are stored."""

    bits, pixel_format, colour, aspect, rate, unit, light = 8, "rgb24", None, None, RATE, 1 / RATE, ""

    def __init__(self, height: int, width: int, **fields):
        self.size = (height, width)
        vars(self).update(fields)


def write(output: Path, images: list[np.ndarray], *, times: list[Fraction] | None = None, **options) -> Path:
    """One segment of `images` at 1/RATE, joined. options: of `choose_format`; end: of `join`; fields: of `Still`."""
    end = options.pop("end", None)
    height, width = images[0].shape[:2]
    form = choose_format(output, Still(height, width, **options.pop("fields", {})), **options)
    folder = output.with_name("parts")
    with segment_writer(folder, 0, form) as writer:
        for k, image in enumerate(images):
            writer.write(Frame(image, times[k] if times else k / RATE, "image"))
    join(folder, form, output, end=end)
    return output


class Instant(Average):
    """In place of the network: the mean of both frames at half the dense cost."""

    def interpolate_details(self, img0, img1, *, ratio=None, budget=None):
        half = img0.new_tensor([0.5])
        candidate = SimpleNamespace(cost=half, ratio=half)
        return SimpleNamespace(frame=(img0 + img1) / 2, candidates=[candidate], executed_gmacs=half)


RAMP = np.arange(24000) * 7919 % 60001 / 32768 - 0.9  # 0.5 s of mono, none of whose samples are alike


def make_plain(path: Path, codec: str) -> Path:
    """Half a second of picture and of uncompressed sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1" if path.suffix == ".mkv" else "mpeg4", rate=12, pix_fmt="yuv420p")
        video.height, video.width = SQUARES[0].shape[:2]
        sound = container.add_stream(codec, rate=48000, layout="mono")
        for image in SQUARES:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode())
        source = np.float64(RAMP)[None]
        resampler = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=48000)
        for start in range(0, source.shape[1], 1000):
            frame = av.AudioFrame.from_ndarray(source[:, start : start + 1000].copy(), format="dbl", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            for part in resampler.resample(frame):
                container.mux(sound.encode(part))
        container.mux(sound.encode())
    return path
