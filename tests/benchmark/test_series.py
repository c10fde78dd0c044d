"""bench series: results, what is kept of an earlier run, figures of sets, controls, and the picture of one file."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from helpers import naive_benchmark as naive
from helpers.cli import Program
from helpers.series import Array, gappy_series

from autoencoder.benchmark import controls
from autoencoder.benchmark.controls import t2q_errors
from autoencoder.benchmark.metrics import confusions
from autoencoder.benchmark.series import series_files
from autoencoder.benchmark.series_picture import draw
from autoencoder.benchmark.series_report import delays_of
from autoencoder.core.errors import InputError, TrainingError
from autoencoder.reports.tracker import IncidentTracker
from autoencoder.scorers.base import Scored, to_detections
from autoencoder.scorers.evidence import DEPENDENCE, PARTS
from benchmark.folders import (
    FOREST,
    GAUSSIAN,
    ODD,
    POINTS,
    constant_at_first,
    read_rows,
    summary,
    values,
    write_series,
)  # fmt: skip

JUDGES = ("windowed_gaussian", "diff", "ar24")
REST = POINTS - 600  # rows that are scored


def calm(seed: int = 2) -> np.ndarray:
    """The series without its anomaly."""
    series = values(seed)
    series[ODD : ODD + 10] -= 6
    return series


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    wide = np.column_stack([calm(3), values(4)])
    wide[700:720, 1] = np.nan
    return write_series(tmp_path / "data", wsd={"one": values(), "calm": calm()}, mine={"wide": wide})


def command(folder: Path, *more: str) -> tuple[object, ...]:
    return ("bench", "series", "--path", folder, "--out", "out", *GAUSSIAN, *more)


def test_results_and_figures(program: Program, folder: Path, tmp_path: Path) -> None:
    done = program(*command(folder))
    assert done.code == 0, done.err
    for judge in JUDGES:
        for name in ("wsd/one", "wsd/calm", "mine/wide"):
            written = read_rows(tmp_path / f"out/{judge}/{name}.csv")
            assert list(written[0]) == ["error", "threshold", "score", "anomaly", "label"]
            assert len(written) == REST
            labelled = [row for row, cells in enumerate(written) if cells["label"] == "1"]
            assert labelled == ([] if "calm" in name else [*range(ODD - 600, ODD - 590)])
            for row, cells in enumerate(written):
                is_flagged = bool(cells["error"]) and float(cells["error"]) > float(cells["threshold"])
                assert cells["anomaly"] == str(int(is_flagged))
                assert (cells["error"] == "") <= ("wide" in name and 100 <= row < 120)
            assert (tmp_path / f"out/{judge}/{name}.csv").read_text().count("\n") == REST + 1
    found = summary(tmp_path / "out")
    assert list(found["sets"]) == ["mine", "wsd"]
    wsd = found["sets"]["wsd"]
    assert (wsd["series"], wsd["events"], wsd["delay"], wsd["labels_lengthened_by"]) == (2, 1, 10, 3)
    assert list(wsd["detectors"]) == [*JUDGES]
    ours = wsd["detectors"]["windowed_gaussian"]
    assert (ours["delay_f1"], ours["event_recall"], ours["event_points"], ours["delay_points"]) == (1, 1, 10, 0)
    one = wsd["files"]["wsd/one"]["windowed_gaussian"]
    assert (one["events"], one["found"], one["points"], one["days"]) == (1, 1, REST, REST * 300 / 86_400)
    assert wsd["files"]["wsd/calm"]["diff"]["vus_pr"] is None  # no event, nothing to rank
    incidents = [wsd["files"]["wsd/calm"][judge]["incidents"] for judge in JUDGES]
    assert [wsd["detectors"][judge]["false_incidents_a_day"] for judge in JUDGES] == pytest.approx(
        [count * 86_400 / (REST * 300) for count in incidents]
    )
    assert (ours["ring_recall"], one["rung_events"], one["right_rings"]) == (1, 1, 1)
    assert one["rings"] <= one["incidents"]
    assert "## wsd: 2 series, 1 event (k = 10, labels 3 points longer, budget 0.001)" in done.out
    assert "| ar24 (control)    |" in done.out
    mine = found["sets"]["mine"]["detectors"]
    assert list(mine) == [*JUDGES, "t2q"]
    rows = read_rows(tmp_path / "out/t2q/mine/wide.csv")
    flags, labels = ([row[name] == "1" for row in rows] for name in ("anomaly", "label"))
    both = sum(flag and label for flag, label in zip(flags, labels, strict=True))
    assert mine["t2q"]["rows"]["flags"]["f1"] == pytest.approx(2 * both / (sum(flags) + sum(labels)))
    assert done.out.count("Row by row, 2 columns") == 1
    assert (tmp_path / "out/summary.md").read_text().startswith(done.out)


def incidents_of_one(folder: Path) -> int:
    return int(summary(folder / "out")["sets"]["wsd"]["files"]["wsd/one"]["diff"]["incidents"])


def test_finished_series_are_kept(program: Program, folder: Path, tmp_path: Path) -> None:
    program(*command(folder))
    before, before_marked = (tmp_path / "out/summary.json").read_bytes(), incidents_of_one(tmp_path)
    one, calm_one, wide = (tmp_path / f"out/diff/{name}.csv" for name in ("wsd/one", "wsd/calm", "mine/wide"))
    whole = calm_one.read_text()
    header, first, rest = one.read_text().split("\n", 2)
    marked = "\n".join([header, first.replace("0,0", "1,0"), rest])  # a flag that no run would give
    one.write_text(marked)
    calm_one.write_text(whole[: len(whole) // 2])  # as a run that was killed leaves it
    os.utime(wide, (0, 0))  # older than the data
    assert program(*command(folder)).code == 0
    assert one.read_text() == marked
    assert calm_one.read_text() == whole
    assert wide.stat().st_mtime > 0
    assert incidents_of_one(tmp_path) == before_marked + 1
    one.unlink()
    program(*command(folder))
    assert (tmp_path / "out/summary.json").read_bytes() == before


def test_untrained_series_is_named(program: Program, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "data", a={"constant": constant_at_first(600), "fine": values()})
    for _ in range(2):
        done = program("bench", "series", "--path", folder, "--out", "out", *FOREST)
        assert done.code == 0
        assert "isolation_forest, a/constant: the training part is constant" in done.out
        assert list(summary(tmp_path / "out")["untrained"]["isolation_forest"]) == ["a/constant"]
    assert {row["error"] for row in read_rows(tmp_path / "out/isolation_forest/a/constant.csv")} == {""}


def test_pictures_of_one_file(program: Program, folder: Path, tmp_path: Path) -> None:
    done = program(*command(folder, "--file", "wide"))
    assert done.code == 0, done.err
    for judge in JUDGES:
        assert (tmp_path / f"out/{judge}/mine/wide.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "out/diff/wsd").exists()
    assert not (tmp_path / "out/summary.md").exists()
    assert "one is called one" in program(*command(folder, "--file", "oen")).error


def test_picture_shows_the_worst_first() -> None:
    labels, errors = np.zeros(2000, bool), np.full(2000, 0.1)
    for place, error in ((100, 0.5), (400, 0.3), (700, 2.0), (1000, 0.4), (1030, 0.41), (1300, 0.6)):
        labels[place : place + 4], errors[place + 1] = True, error
    errors[[200, 230, 500, 800, 1600]] = [9.0, 8.0, 3.0, 5.0, 4.0]  # 230 is shown with 200
    column = np.arange(2000.0)[:, None]
    probabilities = np.exp(-errors)
    detections = to_detections(np.arange(2000), column, Scored(errors, column, errors), np.ones(2000), probabilities)
    figure = draw(detections, labels, "wsd/one, diff")
    whole, misses, alarms = figure.subfigs
    assert whole.get_suptitle() == "wsd/one, diff: 2,000 points, 1 of 6 events found, 5 of 6 incidents false"
    assert misses.get_suptitle() == "5 events missed; those with the lowest scores"
    assert [cell.get_suptitle().split(",")[0] for cell in misses.subfigs] == ["miss 1: 400", "miss 2: 1000", "miss 3: 100"]
    assert alarms.get_suptitle() == "5 false alarms; those with the highest scores"
    shown = [cell.get_suptitle().split(",")[0] for cell in alarms.subfigs]
    assert shown == ["false alarm 1: 200", "false alarm 2: 800", "false alarm 3: 1600"]
    silent = to_detections(np.arange(50), column[:50], Scored.unknown(column[:50]), *(np.full(50, np.nan),) * 2)
    (whole,) = draw(silent, labels[:50], "nothing").subfigs
    assert whole.get_suptitle() == "nothing: 50 points, no events, no incidents"


def test_sets_have_their_delays() -> None:
    assert [delays_of(name) for name in ("aiops", "WSD", "tods", "mine")] == [(10, 5), (10, 3), (3, 5), (10, 3)]


@pytest.mark.parametrize("columns", [1, 3])
def test_controls_equal_their_naive_twins(columns: int) -> None:
    rows = gappy_series(130, columns, seed=columns)
    rows[0, 0] = rows[50, :] = np.nan
    for name, errors_of in controls.CONTROLS.items():
        twin = {"diff": naive.diff_errors, "ar24": naive.ar_errors}[name]
        np.testing.assert_allclose(errors_of(rows, 100), twin(rows.tolist(), 100), rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("rows", [np.full((100, 1), 7.0), np.full((100, 2), np.nan)])
def test_controls_of_nothing_that_moves(rows: np.ndarray) -> None:
    assert set(np.nan_to_num(controls.diff_errors(rows, 60))) == {0}
    if np.isnan(rows).all():
        with pytest.raises(TrainingError, match="needs 48 points of every column"):
            controls.ar_errors(rows, 60)
    else:
        assert np.nanmax(controls.ar_errors(rows, 60)) < 1e-6


def test_t2q_equals_a_pca_with_its_limits() -> None:
    from sklearn.decomposition import PCA

    random = np.random.default_rng(3)
    rows = random.normal(size=(4000, 2)) @ random.normal(size=(2, 6)) + 0.3 * random.normal(size=(4000, 6))
    scaled = (rows - rows[:2000].mean(axis=0)) / rows[:2000].std(axis=0)
    pca = PCA(0.85).fit(scaled[:2000])
    places = pca.transform(scaled)
    measures = (places**2 / pca.explained_variance_).sum(axis=1), ((scaled - pca.inverse_transform(places)) ** 2).sum(axis=1)
    limits = [np.quantile(measure[:2000], 0.99) for measure in measures]  # what the formulas say of normal rows
    twin = np.maximum(*(measure / limit for measure, limit in zip(measures, limits, strict=True)))
    np.testing.assert_allclose(t2q_errors(rows, 2000), twin, rtol=0.15)
    rows[3000], rows[3001, 2] = np.nan, np.nan
    assert np.flatnonzero(np.isnan(t2q_errors(rows, 2000))).tolist() == [3000]


def test_incidents_lengthen_what_flags_say() -> None:
    flags, labels = np.zeros(200, bool), np.zeros(200, bool)
    labels[50:90], flags[[55, 80, 150]] = True, True
    column = np.arange(200.0)[:, None]
    errors = np.where(flags, 2.0, 0.5)
    detections = to_detections(np.arange(200), column, Scored(errors, column, errors), np.ones(200), np.full(200, 0.5))
    tracker = IncidentTracker(merge_gap=48)
    spans = [(each.first_row, each.last_row + 1) for each in (*tracker.process(detections), *tracker.finish())]
    found = confusions(flags, labels, spans)
    assert found["flags"].tolist() == [2, 1, 38, 159]
    assert found["incidents"].tolist() == [26, 1, 14, 159]


def test_controls_do_not_look_ahead() -> None:
    rows = gappy_series(300)
    for errors_of in controls.CONTROLS.values():
        changed = rows.copy()
        changed[250:] += 100
        np.testing.assert_array_equal(errors_of(changed, 200)[:250], errors_of(rows, 200)[:250])


ROWS = "".join(f"2024-01-01 00:{minute:02},{minute},0\n" for minute in range(9))
BROKEN = [
    ({}, r"found no series; a folder of labelled series holds <set>/<name>_<train>\.csv"),
    ({"wsd/one.csv": ""}, r"one\.csv: the name does not tell how many rows train"),
    ({"wsd/one_0.csv": ""}, r"one_0\.csv: the name does not tell how many rows train"),
    (
        {"wsd/one_5.csv": "", "wsd/one_6.csv": ""},
        r"one_6\.csv: one_5\.csv has the same name before the training rows; rename one",
    ),
    ({"wsd/one_9.csv": f"timestamp,value,label\n{ROWS}"}, r"the name says that 9 rows train, but it holds 9; some must follow"),
    ({"wsd/one_5.csv": f"timestamp,value,odd\n{ROWS}"}, r"one_5\.csv has no column 'label'; the columns are"),
    ({"wsd/one_5.csv": f"value,label\n{ROWS}"}, r"one_5\.csv"),
    ({"wsd/one_5.csv": f"timestamp,value,label\n{ROWS}noon,1,0\n"}, r"line 11, column 'timestamp': found 'noon'"),
    ({"wsd/one_5.csv": ""}, r"one_5\.csv"),
    ({"wsd/one_5.csv.gz": "no gzip"}, r"one_5\.csv\.gz"),
]


@pytest.mark.parametrize(("files", "message"), BROKEN)
def test_broken_folder(tmp_path: Path, files: dict[str, str], message: str) -> None:
    (tmp_path / "wsd").mkdir()
    (tmp_path / "wsd/README.txt").touch()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        for file in series_files(tmp_path):
            file.read()


def test_damaged_gzip(tmp_path: Path) -> None:
    (tmp_path / "wsd").mkdir()
    (tmp_path / "wsd/one_5.csv.gz").write_bytes(gzip.compress(f"timestamp,value,label\n{ROWS * 99}".encode())[:90])
    (file,) = series_files(tmp_path)
    with pytest.raises(InputError, match="damaged gzip file"):
        file.read()


# --- what each part of the evidence adds ---


def test_detector_without_each_part_of_its_evidence(program: Program, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "data", mine={"one": values()})
    quick = ("--set", "training.steps=50", "--set", "network.window=16")
    done = program("bench", "series", "--path", folder, "--out", "out", "--evidence", *quick)
    assert done.code == 0, done.err
    names = ["lstm_autoencoder", *(f"lstm_autoencoder without {part}" for part in PARTS if part != DEPENDENCE)]
    assert list(summary(tmp_path / "out")["sets"]["mine"]["detectors"]) == [*names, "diff", "ar24"]
    errors = {name: column(tmp_path / f"out/{name}/mine/one.csv", "error") for name in names}
    whole = errors.pop("lstm_autoencoder")
    assert all((part <= whole + 1e-9).all() for part in errors.values())
    lost = {name.split("without ")[1] for name, part in errors.items() if (part < whole).any()}
    assert lost >= {"network", "range", "linear forecast"}  # no value of these is repeated
    assert (np.max(list(errors.values()), axis=0) > 0.9 * whole).all()


def column(path: Path, name: str) -> Array:
    return np.array([float(row[name]) for row in read_rows(path)])
