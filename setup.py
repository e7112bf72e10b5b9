"""The wheel brings `cfg/` inside the package; everything else stands in pyproject.toml."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfiguration(build_py):
    """Copy `cfg/` to `epo/cfg/`; an editable install reads it where it is."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "epo" / "cfg"
            shutil.copytree("cfg", target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfiguration})
