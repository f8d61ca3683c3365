"""The part folder beside an output: what is finished of it, and of what it is the output."""

import json
import shutil
from pathlib import Path

from utils import atomic_path

from .summary import Record

DESCRIPTION = "job.json"


class Job:
    """The part folder of one output. A segment is finished when its record is there."""

    def __init__(self, output: Path):
        self.folder = output.absolute().parent / f".{output.name}.part"

    def begin(self, description: dict[str, str], *, resume: bool, overwrite: bool) -> None:
        """Make the folder, or take over what is there.

        Args:
            description: all that decides about the output.
            resume: continue what is there, if it is of the same job. overwrite: else remove it.
        Raises:
            FileExistsError: there is one, and neither is wanted, or it is not of this program.
            ValueError: there is one of another job.
            OSError: the folder cannot be made.
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
            changed = sorted(key for key in found.keys() | description if found.get(key) != description.get(key))
            was = ", ".join(f"{key} was {found.get(key)}, is {description.get(key)}" for key in changed[:3])
            raise ValueError(
                f"{self.folder} belongs to another job ({was}); "
                "--overwrite without --resume starts again, or give another --output"
            )
        if found is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(self.folder / DESCRIPTION, description)

    def is_finished(self, segment: int) -> bool:
        """Whether `finish` has noted it."""
        return self._path(segment).is_file()

    def finish(self, segment: int, record: Record) -> None:
        """Note that a segment is complete."""
        _write(self._path(segment), record.to_dict())

    def records(self) -> list[Record]:
        """Of all finished segments, in order."""
        return [Record(**json.loads(path.read_text())) for path in sorted(self.folder.glob("[0-9]*.json"))]

    def remove(self) -> None:
        """Delete the folder and all segments."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _find(self) -> dict[str, str] | None:
        """The description of the job that is there; None where there is none."""
        path = self.folder / DESCRIPTION
        if path.is_file():
            try:
                return json.loads(path.read_text())
            except ValueError:
                return {"job": "unreadable"}
        if self.folder.is_dir() and any(not path.name.startswith(".") for path in self.folder.iterdir()):
            raise FileExistsError(f"{self.folder} is in the way, and no unfinished run; move it elsewhere")
        return None

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:06d}.json"


def _write(path: Path, content: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))
