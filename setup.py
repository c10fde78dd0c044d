"""Build step: the wheel carries config.yaml inside the package; all else is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPackage(build_py):
    """Copies the package, and config.yaml from the top of the clone into it."""

    def run(self) -> None:
        """Copy."""
        super().run()
        if not self.editable_mode:  # an editable install finds the one at the top
            self.copy_file("config.yaml", str(Path(self.build_lib) / "autoencoder" / "config.yaml"))


setup(cmdclass={"build_py": BuildPackage})
