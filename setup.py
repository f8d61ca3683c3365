"""Install one package, `waveletvfi`, by `pip install PATH_OF_CLONE`. See waveletvfi/clone.py for its modules."""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))

from waveletvfi.clone import ROOT, installed_files, rewrite

PACKAGE = "waveletvfi"


class BuildPackage(build_py):
    """The build step that copies the clone's folders into the package and rewrites the imports of our own names."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # an editable installation imports the clone itself
            self._join()

    def get_source_files(self) -> list[str]:
        """Return the files of a source distribution, including those that are copied."""
        return [*super().get_source_files(), *(path.as_posix() for path in installed_files(ROOT))]

    def _join(self) -> None:
        target = Path(self.build_lib) / PACKAGE
        shutil.rmtree(target)  # an earlier build may have left files that no longer exist
        files = {Path(PACKAGE, name): Path(name) for name in ("__init__.py", "__main__.py", "py.typed")}
        for source, place in (files | {path: path for path in installed_files(ROOT)}).items():
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            content = (ROOT / source).read_bytes()
            (target / place).write_bytes(rewrite(content, PACKAGE) if source.suffix == ".py" else content)


setup(cmdclass={"build_py": BuildPackage})
