"""Keep the finished segments of an output in a part folder beside it, so that a run can be resumed.

A job is the making of one output. Its part folder holds a description of the job, the segments, and a record per
finished segment. A sink takes made frames and writes them into segments.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from utils import Lock, atomic_path, short_name

from ..frame import Frame, side_by_side
from ..render.pipeline import Made
from .segments import Format, segment_writer

DESCRIPTION = "job.json"
UNREADABLE = {"job": "unreadable"}
FLAGS = {"drop_duplicates": "--duplicates drop", "encoder_options": "-e"}
# Entries of a description that are not options.
EFFECTS = ("format", "source", "weights", "segment")


@dataclass
class Record:
    """The counts of one segment.

    frames: number of frames in the output.
    made: number of frames that the network made, or that were copied or mixed because nothing moves.
    held: number of frames that were repeated, at cuts and at the end.
    calls: for each middle frame, its time in the source in seconds, and the fields of a `Call`.
    cuts: times in the source in seconds.
    """

    frames: int = 0
    made: int = 0
    held: int = 0
    calls: list[list[float | None]] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)

    def add(self, made: Made) -> None:
        """Count one frame of the output."""
        span, slot = made.span, made.slot
        self.frames += 1
        if span.is_cut or span.frame1 is None:
            self.held += slot.at != span.frame0.time
        else:
            self.made += not any(made.frame.image is frame.image for frame in (span.frame0, span.frame1))
        self.calls += [[float(slot.at), *call] for call in made.calls]
        if span.is_cut and not span.frame1.is_after_gap and float(span.frame1.time) not in self.cuts:
            self.cuts.append(float(span.frame1.time))


class Job:
    """The part folder of one output.

    A segment is finished if its record exists, and its files have the sizes in the record.
    """

    def __init__(self, output: Path):
        self.output = output
        self.folder = output.absolute().parent / f".{short_name(output.name)}.part"
        self._lock = Lock(self.folder.with_name(f"{self.folder.name}.lock"))
        self._planned: dict[int, bool] = {}  # by segment: was it missing when it was first asked for?

    def hold(self) -> None:
        """Keep other processes away until `release`. Raises OSError, naming the process that already holds the job."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._lock.take(self.output)

    def release(self) -> None:
        """Let other processes take the job, if this process holds it."""
        self._lock.release()

    def begin(self, description: dict[str, str], *, resume: bool, overwrite: bool) -> None:
        """Create the folder, or take over an existing one.

        Args:
            description: everything that determines the output, as text by name.
            resume: True to continue in a folder of the same job.
            overwrite: True to remove a folder, unless it is resumed.
        Raises:
            FileExistsError: a folder exists and neither option is given, or this program did not create it.
            ValueError: the folder belongs to another job.
            OSError: the folder cannot be created.
        """
        found = self._find()
        if found is not None and overwrite and not resume:
            self.remove()
            found = None
        if found is not None and not resume:
            raise FileExistsError(
                f"{self.folder} holds an unfinished run; --resume continues it, --overwrite starts again"
            )
        if found is not None and found != description:
            raise ValueError(
                f"{self.folder} belongs to another job ({_difference(found, description)}); "
                "--overwrite without --resume starts again, or give another --output"
            )
        if found is None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(self.folder / DESCRIPTION, description)
            except BaseException:  # a signal, too, may come between the two
                self.remove()
                raise

    def is_missing(self, segment: int) -> bool:
        """Note that a segment belongs to the output. Return True if it is not finished, or is damaged."""
        if segment not in self._planned:  # it is checked once, because it may look whole while it is being made
            self._planned[segment] = not self._is_whole(segment)
        return self._planned[segment]

    def finish(self, segment: int, record: Record, files: Iterable[Path]) -> None:
        """Note that a segment is complete. `files` are its files."""
        sizes = {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in files}
        _write(self._path(segment), {"record": asdict(record), "files": sizes})

    def check(self) -> None:
        """Raise OSError unless all segments of the output exist and are whole, and there are no others."""
        there = {int(path.stem) for path in self._records()}
        wrong = sorted((there - self._planned.keys()) | {part for part in self._planned if not self._is_whole(part)})
        if wrong:
            names = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
            raise OSError(
                f"{self.folder}: of {len(self._planned)} segments, {len(wrong)} are missing, changed or too many "
                f"({names}); did another program change it? --resume makes what is missing, --overwrite starts again"
            )

    def records(self, is_counted: Callable[[int], bool] = lambda segment: True) -> list[Record]:
        """Return the records of the finished segments for which `is_counted` is true, in order. Default: of all."""
        loaded = (_load(path) for path in self._records() if is_counted(int(path.stem)))
        return [Record(**content["record"]) for content in loaded if content]

    def frames(self, is_counted: Callable[[int], bool]) -> int:
        """Return the number of frames in the finished segments for which `is_counted` is true."""
        return sum(record.frames for record in self.records(is_counted))

    def remove(self) -> None:
        """Delete the folder and all segments."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _find(self) -> dict[str, str] | None:
        """Return the description of the job in the folder; None if there is no job."""
        path = self.folder / DESCRIPTION
        if path.is_file():
            try:
                found = json.loads(path.read_text())
            except ValueError:
                return UNREADABLE
            return found if isinstance(found, dict) else UNREADABLE
        if self.folder.is_dir() and any(not path.name.startswith(".") for path in self.folder.iterdir()):
            raise FileExistsError(f"{self.folder} is in the way, and is not an unfinished run; move it elsewhere")
        return None

    def _is_whole(self, segment: int) -> bool:
        content = _load(self._path(segment))
        return content is not None and all(_size(self.folder / name) == n for name, n in content["files"].items())

    def _records(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.json"))

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:06d}.json"


def _difference(found: dict[str, str], wanted: dict[str, str]) -> str:
    """Describe the difference between two jobs in the words of the command line."""
    if found == UNREADABLE:
        return f"its {DESCRIPTION} cannot be read"
    changed = sorted(key for key in found.keys() | wanted if found.get(key) != wanted.get(key))
    told = [key for key in changed if key != "format"][:3]
    if not told:
        return "another version of this program stores its frames in another way"
    names = {key: key if key in EFFECTS else FLAGS.get(key, f"--{key}") for key in told}
    return ", ".join(f"{names[key]} was {found.get(key)}, is {wanted.get(key)}" for key in told)


def _load(path: Path) -> dict | None:
    """Return the record of a segment and the sizes of its files; None if it is missing or cannot be read."""
    try:
        content = json.loads(path.read_text())
        Record(**content["record"])
        dict(content["files"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return content


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _write(path: Path, content: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


def shown(made: Made, *, compare: bool) -> Frame:
    """Return the frame to write; with `compare`, the source frame before it is to its left."""
    return side_by_side(made.span.frame0, made.frame) if compare else made.frame


class Sink:
    """A sink that writes frames into their segments, and notes each complete segment in the job.

    In a `with` block, an error drops the segment that is not complete.
    """

    def __init__(self, job: Job, form: Format, *, compare: bool = False):
        """Set up the sink. `compare` is as in `shown`."""
        self._job, self._format, self._compare = job, form, compare
        self._segment: int | None = None
        self._open = contextlib.ExitStack()

    def write(self, made: Made) -> None:
        """Take the next frame of the output."""
        if made.span.segment != self._segment:
            self._finish()
            writer = segment_writer(self._job.folder, made.span.segment, self._format, first=made.slot.number)
            self._writer = self._open.enter_context(writer)
            self._segment, self._record = made.span.segment, Record()
        self._record.add(made)
        self._writer.write(shown(made, compare=self._compare))

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._finish()
        else:
            self._open.__exit__(*error)

    def _finish(self) -> None:
        if self._segment is not None:
            self._open.close()
            self._job.finish(self._segment, self._record, self._writer.files)
            self._segment = None
