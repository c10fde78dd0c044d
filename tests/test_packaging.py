"""The wheel: one package with its files, which scores without a clone, without TensorFlow, from any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from helpers.cli import ROOT, Outcome, run_python, wave, write_csv

import autoencoder as ae

needs_setuptools = pytest.mark.skipif(
    int(version("setuptools").partition(".")[0]) < 77, reason="builds with setuptools 77 or newer: make test installs it"
)
BESIDE = ("config.yaml", "pyproject.toml", "setup.py", "README.md", "LICENSE")
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "onnx", "matplotlib", "pandas", "yfinance"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "autoencoder", folder / "clone" / "autoencoder", ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copy(ROOT / name, folder / "clone" / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "clone")
    return next(folder.glob("autoencoder-*.whl"))


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--target", folder, wheel)
    return folder


def run(installed: Path, code: str, folder: Path) -> Outcome:
    """A process that finds the installed package and no clone."""
    return run_python(code, folder=folder, environment={"PYTHONPATH": str(installed)})


@needs_setuptools
@pytest.mark.slow
def test_the_wheel_holds_one_package_and_its_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert {name.partition("/")[0] for name in names} == {"autoencoder", f"autoencoder-{ae.__version__}.dist-info"}
        assert archive.read("autoencoder/config.yaml") == (ROOT / "config.yaml").read_bytes()
    tracked = subprocess.run(["git", "ls-files", "autoencoder"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert {"autoencoder/py.typed", *tracked.split()} <= names


@needs_setuptools
@pytest.mark.slow
def test_the_installed_package_scores_without_what_trains(installed: Path, tmp_path: Path) -> None:
    values = wave(600)
    values[550] += 9
    write_csv(tmp_path / "wave.csv", range(600), values, header="row,value")
    config = {"training.max_steps": 40, "network.units": [8], "network.sequence_length": 16}
    ae.Detector(training_points=400, config=config).fit(values[:400]).save(tmp_path / "model")
    files = ["--source", "csv", "--path", "wave.csv", "--column", "value", "--model", "model", "--plot", "none", "--out", "out"]
    code = f"{BLOCKED}\nfrom autoencoder.cli import main\nsys.exit(main({files!r}))"
    outcome = run(installed, code, tmp_path)
    assert outcome.code == 0, outcome.err
    assert len((tmp_path / "out/scores.csv").read_text().splitlines()) == 601
    without_model = run(installed, f"{BLOCKED}\nfrom autoencoder.cli import main\nsys.exit(main(['--plot', 'none']))", tmp_path)
    assert without_model.code == 2 and "pip install 'autoencoder[train]'" in without_model.error


@needs_setuptools
@pytest.mark.slow
def test_the_installed_commands(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    for command in ([str(installed / "bin/autoencoder")], [sys.executable, "-m", "autoencoder"]):
        done = subprocess.run([*command, "--version"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == f"autoencoder {ae.__version__}\n"
    # as bench speed and the dashboard start it, from a process that found the package by another way than the environment
    code = f"import subprocess, sys; sys.path.insert(0, {str(installed)!r}); from autoencoder.core.extras import PROGRAM, environment"
    done = run_python(
        f"{code}; subprocess.run([*PROGRAM, '--version'], env=environment())", folder=tmp_path, environment={"PYTHONPATH": ""}
    )
    assert done.out == f"autoencoder {ae.__version__}\n", done.err
    (installed / "config.yaml").write_text("seed: 99")  # of some other package
    told = run(installed, "from autoencoder.config import load, project_file; print(load(None).seed, project_file())", tmp_path)
    assert told.out.split() == ["0", str(installed / "autoencoder/config.yaml")]


def test_extras_hold_what_requirements_pin() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = [*project["dependencies"], *extras["train"], *extras["plot"], *extras["yfinance"], *extras["pandas"]]
    pinned = (ROOT / "requirements.txt").read_text()
    assert all(f"\n{line.partition('>')[0]}==" in f"\n{pinned}" for line in named)


def test_config_yaml_is_read_from_the_top_of_a_clone() -> None:
    from autoencoder.config import project_file

    assert project_file() == ROOT / "config.yaml"
    assert yaml.safe_load((ROOT / "config.yaml").read_text())["seed"] == 0
