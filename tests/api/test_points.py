"""What the Python API takes, what it refuses in one sentence, and the tables that it gives back."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.cli import wave

import autoencoder as ae
from autoencoder.api.points import to_points

HOURS = pd.date_range("2024-01-01", periods=4, freq="h")
NAIVE = HOURS.to_numpy()
ONES = [1.0, 2.0, 3.0, 4.0]


@pytest.fixture
def detections() -> ae.Detections:
    values = np.array(wave(500))
    values[[400, 401, 499]] += 6
    series = pd.Series(values, pd.date_range("2024-01-01", periods=500, freq="h", tz="Europe/Berlin"), name="load")
    return ae.Detector("isolation_forest", config={"forest.n_estimators": 10}, training_points=200).process(series)


@pytest.mark.parametrize(
    "data",
    [
        ONES,
        np.array(ONES),
        np.array([ONES]).T,
        np.array([1, 2, 3, 4]),
        pd.Series(ONES),
        pd.Series([1, 2, 3, 4], ["2024-01-01"] * 4 and range(10, 14)),
        pd.Series([1, 2, 3, 4], dtype="Int64"),
        pd.Series(ONES, dtype=object),
        pd.DataFrame({"value": ONES}),
    ],
)
def test_values_without_times_are_counted(data: Any) -> None:
    points = to_points(data, 7)
    assert points.values.tolist() == [[one] for one in ONES]
    assert points.time.tolist() == [7, 8, 9, 10] and points.timezone is None


@pytest.mark.parametrize(
    ("time", "zone"),
    [
        (NAIVE, None),
        (NAIVE.astype("datetime64[s]"), None),
        (HOURS, None),
        (pd.Series(HOURS), None),
        (HOURS.to_pydatetime(), None),
        (HOURS.to_pydatetime().tolist(), None),
        (HOURS.tz_localize("UTC"), "UTC"),
        (HOURS.tz_localize("UTC").tz_convert("Europe/Berlin"), "Europe/Berlin"),
        (HOURS.tz_localize("UTC").tz_convert(dt.timezone(dt.timedelta(hours=2))), "+02:00"),
        (HOURS.tz_localize("UTC").tz_convert("Asia/Tokyo").to_pydatetime(), "Asia/Tokyo"),
    ],
)
def test_times_become_utc(time: Any, zone: str | None) -> None:
    points = to_points((time, ONES), 0)
    assert points.time.dtype == "datetime64[ns]"
    assert (points.time == NAIVE).all()
    assert points.timezone == zone
    if isinstance(time, pd.DatetimeIndex):
        assert (to_points(pd.Series(ONES, time), 0).time == NAIVE).all()


def test_missing_values_are_nan() -> None:
    table = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [None, 2], "c": [True, False]})
    assert np.isnan(to_points(table, 0).values).tolist() == [[False, True, False], [True, False, False]]
    assert to_points(table, 0).columns == ("a", "b", "c")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "found no points; give at least one"),
        (pd.Series([], dtype=float), "found no points"),
        ("metrics.csv", "found 'metrics.csv'; give a pandas Series"),
        ({"a": [1]}, r"found \{'a': \[1\]\}; give a pandas Series"),
        (3.0, r"found an array of shape \(\); give \(N,\)"),
        (np.ones((2, 2, 2)), r"found an array of shape \(2, 2, 2\)"),
        (np.ones((2, 0)), r"found an array of shape \(2, 0\)"),
        (pd.DataFrame(index=HOURS), "a table without columns"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are called 'a'"),
        ([[1.0, 2.0], [3.0]], "the rows differ in length"),
        ([1.0, "abc"], "row 1: found the text 'abc'; give numbers, e.g. with pandas.to_numeric"),
        (pd.DataFrame({"x": [1, 2], "y": ["1", "2"]}), "column 'y', row 0: found the text '1'"),
        (pd.DataFrame({"x": [1, 2], "y": HOURS[:2]}), "column 'y', found datetime64"),
        ([1.0, object()], "row 1: found <object"),
        ([1.0, np.inf], "row 1: found inf; every value must be a finite number"),
        ([1j], "found complex128; every value must be a number"),
        ((NAIVE, ONES, ONES), r"found a tuple of 3; give \(time, values\)"),
        ((NAIVE[:3], ONES), "found 3 times and 4 rows of values"),
        ((["2024-01-01"] * 4, ONES), "the times hold <U10, e.g. .*2024-01-01.*; give datetime64 values"),
        ((np.array(ONES), ONES), "the times hold float64"),
        ((np.append(NAIVE[:3], np.datetime64("NaT")), ONES), r"row 3 has no time \(NaT\)"),
        ((np.array([["2024"]], dtype="M8[s]"), [1.0]), "found times of shape"),
        ((np.array(["3000-01-01"], dtype="M8[s]"), [1.0]), "out of range; it must lie between the years 1678 and 2262"),
        (pd.Series(ONES, ["a", "b", "c", "d"]), "the index holds .*, not times; give it a DatetimeIndex"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(data: Any, sentence: str) -> None:
    for method in (ae.Detector("windowed_gaussian").process, ae.Detector("windowed_gaussian").fit):
        with pytest.raises(ae.InputError, match=sentence) as caught:
            method(data)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("first", "later", "sentence"),
    [
        (np.ones((2, 2)), np.ones((2, 3)), r"found columns 3 \(0, 1, 2\), the stream has 2 \(0, 1\)"),
        (
            pd.DataFrame({"a": ONES, "b": ONES}),
            pd.DataFrame({"b": ONES, "a": ONES}),
            r"columns 2 \(b, a\), the stream has 2 \(a, b\)",
        ),
        (pd.Series(ONES, HOURS), ONES, "these points carry no times, those before them times; give all of them the same"),
        (ONES, pd.Series(ONES, HOURS), "these points carry times, those before them no times"),
        (pd.Series(ONES, HOURS), pd.Series(ONES, HOURS.tz_localize("UTC")), "carry times with a zone, those before them times"),
    ],
)
def test_later_points_must_be_like_the_first(first: Any, later: Any, sentence: str) -> None:
    detector = ae.Detector("windowed_gaussian")
    detector.process(first)
    with pytest.raises(ae.InputError, match=sentence):
        detector.process(later)
    assert detector.process(first[:0]).first_row == len(first)  # the stream stands where it stood; an empty chunk is one


def test_times_that_do_not_ascend_are_judged_in_order_with_one_warning() -> None:
    detector = ae.Detector("windowed_gaussian")
    with pytest.warns(UserWarning, match="time 2024-01-01T01.* is not after 2024-01-01T02.*sort_index") as caught:
        detector.process(pd.Series(ONES, HOURS[[0, 2, 1, 3]]))
        detector.process(pd.Series(ONES, HOURS))
    assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings(action="error"):
        ae.Detector("windowed_gaussian").process(pd.Series(ONES, HOURS))


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"budget": "often"}, ae.ConfigError, "the arguments: threshold.budget is often; it must be a share"),
        ({"detector": "magic"}, ae.ConfigError, "the arguments: detector is 'magic'"),
        ({"config": {"forest": {"n_estimator": 1}}}, ae.ConfigError, "the arguments: forest.n_estimator .*forest.n_estimators"),
        ({"config": "forest"}, ae.ConfigError, "config is 'forest'; give a mapping of settings"),
        ({"training_points": 0}, ae.ConfigError, "the arguments: training.points is 0"),
        ({"model": "nowhere"}, ae.ModelFileError, "nowhere.config.yaml cannot be read"),
    ],
)
def test_wrong_settings(given: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        ae.Detector(**given)


def test_what_needs_training_or_times_says_so() -> None:
    with pytest.raises(ae.NotFittedError, match=r"the detector is not trained \(0 points have come\); call fit"):
        ae.Detector("windowed_gaussian").predict(ONES)
    with pytest.raises(ae.ConfigError, match="'1 per day', but the stream has no timestamps"):
        ae.Detector("windowed_gaussian", budget="1 per day").fit(wave(300))
    detector = ae.Detector("isolation_forest", training_points=4)
    for _ in range(2):  # a training part that cannot be learnt does not block what comes
        with pytest.raises(ae.TrainingError, match="the training part has 4 complete points"):
            detector.process(ONES)


# --- what is given back ---


def test_a_table_has_the_columns_of_scores_csv_and_the_callers_index(detections: ae.Detections) -> None:
    table = detections.to_frame()
    assert list(table) == ["value", "prediction", "error", "threshold", "score", "anomaly"]
    assert table.index is detections.index and str(table.index.tz) == "Europe/Berlin"
    assert set(table["anomaly"]) == {0, 1} and table["threshold"].isna().sum() == 200
    two = ae.Detector("windowed_gaussian", training_points=500).process((NAIVE, np.ones((4, 2))))
    assert list(two.to_frame())[:4] == ["value_0", "value_1", "prediction_0", "prediction_1"]
    assert two.to_frame().index[1] == pd.Timestamp("2024-01-01 01:00")


def test_a_part_keeps_its_place(detections: ae.Detections) -> None:
    part = detections[150:402]
    assert (part.first_row, part.training_points, len(part), len(part.index)) == (150, 50, 252, 252)
    assert [incident.id for incident in part.incidents] == [
        incident.id for incident in detections.incidents if incident.first_row < 402
    ]
    assert part.to_frame().equals(detections.to_frame()[150:402])
    with pytest.raises(ValueError, match="step is 2"):
        _ = detections[::2]


def test_labels_tell_how_good_it_was(detections: ae.Detections) -> None:
    labels = np.zeros(500, dtype=int)
    labels[400:402] = 1
    quality = detections.evaluate(labels)
    assert quality["event_recall"] == 1 and quality["known_anomalies"] == 1
    assert detections[100:].evaluate(labels[100:]) == quality
    with pytest.raises(ae.InputError, match=r"labels of shape \(3,\); there must be one for each of the 500 points"):
        detections.evaluate([1, 0, 1])


def test_a_plot_holds_the_series(detections: ae.Detections) -> None:
    figure = detections.plot(labels=np.arange(500) > 480)
    assert figure.texts or figure.axes[0].get_title(loc="left")
    assert "load" in "".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_readers_give_pandas_objects(tmp_path: Any) -> None:
    (tmp_path / "a.csv").write_text("time,x,bad\n2024-01-01T00:00Z,1,0\n2024-01-01T01:00Z,,1\n")
    table = ae.read_csv(tmp_path / "a.csv", "x", label_column="bad")
    assert list(table) == ["x", "label"] and table["label"].tolist() == [False, True]
    assert str(table.index.tz) == "UTC" and np.isnan(table["x"].iloc[1])
    with pytest.raises(ae.InputError, match="no such file"):
        ae.read_csv(tmp_path / "b.csv")
    with pytest.raises(ae.ConfigError, match=r"the arguments: yfinance\.perriod"):
        ae.prices("AAPL", perriod="1y")
