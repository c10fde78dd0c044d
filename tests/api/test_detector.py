"""The public API: what it exports, the habits of scikit-learn, PyOD and river, saving and loading."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from helpers.cli import ROOT, run_python, wave
from sklearn.base import clone

import autoencoder as ae
from autoencoder.api.detector import STATE

FOREST: dict[str, Any] = {"detector": "isolation_forest", "config": {"forest": {"n_estimators": 10}}}


@pytest.fixture
def values() -> npt.NDArray[np.float64]:
    found = np.array(wave(700))
    found[[500, 501, 690]] += [5, 5, -6]
    return found


# --- the package ---


def test_exported_members_are_there() -> None:
    assert all(getattr(ae, name) is not None for name in ae.__all__)
    assert set(ae.__all__) <= set(dir(ae))
    with pytest.raises(AttributeError, match="no attribute 'Detectors'"):
        _ = ae.Detectors


def test_import_loads_no_other_package(tmp_path: Path) -> None:
    code = "import sys, autoencoder; print(*sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    assert set(run_python(code, folder=tmp_path).out.split()) - {"__main__", "_distutils_hack"} <= {"autoencoder", "numpy"}


def test_loading_and_scoring_imports_no_heavy_library(values: npt.NDArray[np.float64], tmp_path: Path) -> None:
    ae.Detector("windowed_gaussian").fit(values).save(tmp_path / "saved")
    code = f"""
import sys, numpy, autoencoder
detector = autoencoder.load({str(tmp_path / "saved")!r})
detector.process(numpy.ones(5))
print(*({{"tensorflow", "keras", "matplotlib", "pandas", "sklearn", "river.drift", "pyarrow"}} & set(sys.modules)))
"""
    assert run_python(code, folder=tmp_path).out.strip() == ""


@pytest.mark.slow
def test_strict_mypy_sees_the_types(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text("import autoencoder as ae\nreveal_type(ae.Detector().process([1.0]))\n")
    # without the types of other packages, which take minutes to read
    command = [sys.executable, "-m", "mypy", "--strict", "--no-site-packages", "--cache-dir", str(tmp_path), "user.py"]
    done = subprocess.run(command, cwd=tmp_path, env={"MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert "autoencoder.api.detections.Detections" in done.stdout, done.stdout


# --- how many points train ---


@pytest.mark.parametrize(
    ("given", "chunk", "trained"),
    [
        ({}, 700, 175),  # a whole series: the first quarter
        ({}, 150, 700),  # the beginning of a stream: 1,000
        ({"training_points": 90}, 30, 90),
        ({"config": {"training.points": 80}}, 700, 80),
        ({"config": {"training": {"fraction": 0.5}}}, 700, 350),
    ],
)
def test_training_points(values: npt.NDArray[np.float64], given: dict[str, Any], chunk: int, trained: int) -> None:
    detector = ae.Detector("windowed_gaussian", **given)
    parts = [detector.process(values[row : row + chunk]) for row in range(0, 700, chunk)]
    assert sum(part.training_points for part in parts) == sum(int(np.isnan(part.errors).sum()) for part in parts) == trained


# --- habits ---


def test_fit_predict_labels_the_history(values: npt.NDArray[np.float64]) -> None:
    detector = ae.Detector(**FOREST)
    labels = detector.fit_predict(values)
    assert labels is detector.labels_ and len(labels) == len(detector.decision_scores_) == 700
    assert detector.decision_scores_[500] > np.nanquantile(detector.decision_scores_, 0.97)
    assert detector.fit(values[:400]).process(values[400:]).first_row == 400  # a second fit begins anew


def test_scikit_learn_clones_it(values: npt.NDArray[np.float64]) -> None:
    detector = ae.Detector(**FOREST, budget=0.01, seed=4).fit(values)
    twin = clone(detector)
    assert twin.get_params() == detector.get_params() and repr(twin) == repr(detector)
    assert detector.is_fitted and not twin.is_fitted
    assert twin.set_params(budget=0.02) is twin and twin.budget == 0.02
    with pytest.raises(ValueError, match="'bugdet' is no parameter"):
        twin.set_params(bugdet=1)


def test_one_point_at_a_time_as_mappings() -> None:
    table = pd.DataFrame({"cpu": wave(400), "memory": wave(401)[1:]})
    detector, twin = (ae.Detector(**FOREST, training_points=200) for _ in range(2))
    assert np.isnan(detector.score_one({"cpu": 10.0, "memory": 10.0}))
    for row, point in enumerate(table[:300].to_dict("records")):
        detector.learn_one(dict(reversed(point.items())) if row % 3 == 1 else point)
    twin.process(table[:300])
    point = {"memory": 30.0, "cpu": 30.0}
    assert detector.score_one(point) == twin.decision_function(pd.DataFrame([point])[["cpu", "memory"]])[0] > 0.3


def test_numbers_one_at_a_time_with_times() -> None:
    times = pd.date_range("2024-01-01", periods=300, freq="h", tz="Europe/Berlin")
    detector = ae.Detector("windowed_gaussian", budget="1 per day", training_points=200)
    for time, value in zip(times, wave(300), strict=True):
        detector.learn_one(value, time=time.to_pydatetime())
    detector.learn_one(99.0, time=times[-1] + pd.Timedelta("1h"))
    assert detector.incidents[-1].start == "2024-01-13T11:00:00Z"


# --- saving ---


@pytest.mark.parametrize("seen", [50, 300, 502, 700], ids=["training", "trained", "in an incident", "all"])
def test_a_saved_detector_goes_on_where_it_stood(values: npt.NDArray[np.float64], tmp_path: Path, seen: int) -> None:
    series = pd.Series(np.append(values, values), pd.date_range("2024", periods=1400, freq="min", tz="UTC"))
    detector = ae.Detector(**FOREST, training_points=200, budget="3 per day")
    detector.process(series[:seen])
    detector.save(tmp_path / "saved")
    detector.save(tmp_path / "saved")
    loaded = ae.load(tmp_path / "saved")
    rest, again = detector.process(series[seen:]), loaded.process(series[seen:])
    pd.testing.assert_frame_equal(rest.to_frame(), again.to_frame())
    assert loaded.incidents == detector.incidents and rest.incidents == again.incidents
    assert again.first_row == seen


def test_nothing_is_saved_over_other_files(values: npt.NDArray[np.float64], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    detector = ae.Detector(**FOREST)
    with pytest.raises(ae.NotFittedError, match="no point has come yet"):
        detector.save(tmp_path)
    detector.process(values)
    with pytest.raises(ae.OutputError, match="is not empty; give a new folder"):
        detector.save(tmp_path)
    with pytest.raises(ae.OutputError, match="cannot be written"):
        detector.save(tmp_path / "thesis.txt" / "x")


def test_the_model_of_another_detector_is_refused(values: npt.NDArray[np.float64], tmp_path: Path) -> None:
    ae.Detector(**FOREST).fit(values).save(tmp_path / "saved")
    with pytest.raises(
        ae.ModelFileError, match=r"^model .* of isolation_forest, this run asks for half_space_trees; leave out detector"
    ):
        ae.Detector("half_space_trees", model=tmp_path / "saved")


@pytest.mark.parametrize("keep", [0, -400])
def test_what_is_damaged_or_missing_is_refused(values: npt.NDArray[np.float64], tmp_path: Path, keep: int) -> None:
    detector = ae.Detector(**FOREST)
    detector.process(values)
    detector.save(tmp_path / "saved")
    state = tmp_path / "saved" / STATE
    state.write_bytes(state.read_bytes()[:keep])
    with pytest.raises(ae.ModelFileError, match=r"state\.npz is damaged"):
        ae.load(tmp_path / "saved")
    with pytest.raises(ae.ModelFileError, match=r"config\.yaml cannot be read"):
        ae.load(tmp_path)


@pytest.mark.parametrize("name", ["autoencoder", "autoencoder.api.detector", "autoencoder.api.readers"])
def test_examples_in_the_docstrings(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted and not found.failed


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoencoder.core.extras.sys.modules", {**sys.modules, "tensorflow": None})
    monkeypatch.setattr("autoencoder.core.extras.find_spec", lambda name: None)
    with pytest.raises(ae.MissingPackageError, match=r"^training needs tensorflow, which is not installed for .*type: make run"):
        ae.Detector(training_points=200).process([float(value % 24) for value in range(300)])
