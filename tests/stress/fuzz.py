"""Fuzzing: every reader and every file that the program loads, given what was sound and is changed at random, or is noise.

It all happens in this process, thousands of times: whatever comes out must be an error of the program's own, or data.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder.core.errors import AutoencoderError
from stress.harness import Count, noisy_wave

Case = tuple[Callable[[bytes], object], list[bytes]]  # a reader, and sound input


def shake(folder: Path, seed: int, tries: int) -> list[Count]:
    """About so many inputs, shared among the readers; a count a reader."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = {**_sources(folder / "input"), **_settings(folder / "settings.yaml"), **_results(folder), **_states()}
    return [_count(name, *case, random.Random(f"{seed} {name}"), tries // len(cases)) for name, case in cases.items()]


def _count(name: str, read: Callable[[bytes], object], sound: list[bytes], dice: random.Random, tries: int) -> Count:
    count, refused, before = Count(f"fuzzing: {name}"), 0, _memory()
    for number in range(tries):
        data, complaint = changed(dice.choice(sound), dice), None
        try:
            read(data)
        except AutoencoderError as error:
            refused += 1
            complaint = None if str(error).strip() else f"{type(error).__name__} without a word"
        except Exception as error:
            count.tracebacks += 1
            complaint = f"{type(error).__name__}: {error!s:.200} (input {data[:80]!r}...)"
        count.judge(f"{name} {number}", complaint)
    count.notes.append(f"{refused:,} refused")
    if (grown := _memory() - before) > 500:
        count.complaints.append(f"memory grew by {grown:,} MB")
    return count


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def changed(data: bytes, dice: random.Random) -> bytes:
    """Data with a few bits turned, bytes put in or taken away, a part doubled, its end cut off; now and then only noise."""
    if dice.random() < 0.05:
        return dice.randbytes(dice.randrange(200))
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 5, 20))):
        place = dice.randrange(len(out) + 1)
        end = min(len(out), place + dice.choice((1, 1, 4, 40)))
        match dice.randrange(6):
            case 0 if place < len(out):
                out[place] ^= 1 << dice.randrange(8)
            case 1:
                out[place:end] = dice.randbytes(end - place)
            case 2:
                del out[place:end]
            case 3:
                out[place:place] = out[place:end] * dice.choice((1, 3, 50))
            case 4:
                out[place:place] = dice.choice(_SPICE)
            case 5 if dice.random() < 0.3:
                del out[place:]
    return bytes(out)


_SPICE = [
    *(b"\0", b"\n", b"\r\n", b",", b";", b'"', b"'", b"{", b"}", b"[", b"-", b":", b"\xff\xfe", b"\xef\xbb\xbf"),
    *(b"nan", b"inf", b"-1e999", b"9" * 400, b"1e-400", b"0x10", b"%s%n", b"{0.__class__}", b"$(touch x)", b"../../x"),
    *(b"=cmd|' /C calc'!A0", b"!!python/name:os", "٣\u2028\u202e\ud7ff".encode(), b"9999-12-31T23:59:59Z", b"0000-00-00"),
    *(b"2024-01-01T00:00:00+23:59", b"99999999999999999999"),
]


def _sources(path: Path) -> dict[str, Case]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from autoencoder.sources.files import FileSource
    from autoencoder.sources.live import FollowSource, StdinSource
    from autoencoder.sources.schema import ColumnSelection

    values = noisy_wave(60, 1)
    rows = list(enumerate(values))
    plain = "".join(f"{value}\n" for value in values)
    table = "timestamp,value,label\n" + "".join(f"2024-01-01T00:{row:02}:00Z,{value},{row % 2}\n" for row, value in rows)
    several = '"a";b;time\n' + "\n".join(f"{value};{value};{1_700_000_000 + row}" for row, value in rows)
    lines = "\n".join(json.dumps({"timestamp": 1_700_000_000 + row, "value": value}) for row, value in rows)
    parquet = io.BytesIO()
    pq.write_table(pa.table({"time": pa.array(range(60), pa.timestamp("us")), "value": values, "label": [0, 1] * 30}), parquet)

    def whole(data: bytes) -> object:
        path.write_bytes(data)
        return list(FileSource(path, max_bytes=1 << 24).chunks())

    def labelled(data: bytes) -> object:
        path.write_bytes(data)
        return list(FileSource(path, ColumnSelection(label="label"), max_bytes=1 << 24).chunks())

    def followed(data: bytes) -> object:
        path.write_bytes(data)
        return list(FollowSource(path, poll_seconds=0.0, idle_timeout=0.0).chunks())

    text = [each.encode() for each in (plain, table, lines)]
    points = [[1_700_000_000 + row, str(value)] for row, value in rows]
    result = [{"metric": {"host": host}, "values": points} for host in ("a", "b")]
    prometheus = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})
    german = "Datum;Uhrzeit;Wert\n" + "".join(f"{1 + row % 28:02}.05.2024;12:{row:02}:00;{value:.2f}\n" for row, value in rows)
    spoken = "Time,Load\n" + "".join(f'12/{1 + row % 28}/2024 5:{row:02} PM,"{value:,.3f}%"\n' for row, value in rows)
    odd = [each.encode() for each in (prometheus, json.dumps(points), german.replace(".", ","), spoken)]
    odd += [german.encode("utf-16"), f"sep=;\n{german}".encode(), b"# made\n# time value\n" + plain.encode()]
    return {
        "csv and JSON lines": (whole, [*text, several.encode()]),
        "exports": (whole, odd),
        "csv with labels": (labelled, [table.encode()]),
        "gzip": (whole, [gzip.compress(each) for each in text]),
        "parquet": (labelled, [parquet.getvalue()]),
        "stdin": (lambda data: list(StdinSource(io.BytesIO(data)).chunks()), [*text, *odd]),
        "a followed file": (followed, text),
    }


def _settings(path: Path) -> dict[str, Case]:
    from autoencoder.config import Config, difference, dump, load

    sound = dump(Config())

    def of_file(data: bytes) -> object:
        path.write_bytes(data)
        return load(path)

    settings = [b"threshold.budget=1 per day", b"network.units=[8, 8]", b"csv.columns=[a, b]", b"seed=3"]
    settings += [b"synthetic.season.period=24"]
    return {
        "config.yaml": (of_file, [sound.encode()]),
        "--set": (lambda data: load(None, {}, [data.decode(errors="surrogateescape")]), settings),
        "settings in a checkpoint": (lambda data: difference(data.decode(errors="replace"), sound), [sound.encode()]),
    }


def _results(folder: Path) -> dict[str, Case]:
    from autoencoder.network.runtime import Runtime
    from autoencoder.reports.scores_csv import read_scores

    def of_scores(data: bytes) -> object:
        (folder / "scores.csv").write_bytes(data)
        return read_scores(folder, max_rows=1000)

    scores = b"time,value,prediction,error,threshold,score,anomaly\n" + b"2024-01-01T00:00:00Z,1.5,1.4,0.1,0.5,0.2,0\n" * 30
    windows = np.zeros((3, 4, 1), np.float32)
    return {
        "model.onnx": (lambda data: Runtime(data).reconstruct(windows), [sound_network()]),
        "scores.csv": (of_scores, [scores]),
    }


def sound_network() -> bytes:
    """A network of one matrix, (N, 4, 1) -> (N, 4, 1)."""
    from onnx import TensorProto, helper, numpy_helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4, 1]) for name in ("window", "reconstruction")]
    weights = numpy_helper.from_array(np.array([[0.5]], np.float32), "weights")
    product = helper.make_node("MatMul", ["window", "weights"], ["reconstruction"])
    graph = helper.make_graph([product], "g", ends[:1], ends[1:], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()


def _states() -> dict[str, Case]:
    """The state of each detector: before a change that stays, with a model on probation, and after."""
    from autoencoder.core.events import PROMOTED
    from autoencoder.core.state import pack, unpack

    values = np.array(noisy_wave(1500, 1))[:, None]
    values[500:] += 50
    cases: dict[str, Case] = {}
    for kind, settings in _KINDS.items():
        detector, sound = _make(settings), []
        for first in range(0, 1500, 150):
            detector.process(np.arange(first, first + 150), values[first : first + 150])
            if first >= 450:
                sound.append(pack(detector.state()))
        assert "adaptation.enabled=true" not in settings or any(each.event == PROMOTED for each in detector.adaptations)

        def use(state: dict[str, Any], settings: tuple[str, ...] = settings) -> None:
            with np.errstate(all="ignore"):
                detector = _make(settings)
                detector.load(state, {})
                detector.process(np.arange(200), values[:200])

        def of_leaves(data: bytes, use: Any = use, sound: list[bytes] = sound) -> None:
            """What is changed is one value and not one byte; the bytes only say which and how."""
            dice = random.Random(data)
            state = unpack(dice.choice(sound), "x")
            spoil(state, dice)
            use(state)

        cases[f"the bytes of a saved {kind}"] = (lambda data, use=use: use(unpack(data, "x")), sound)
        cases[f"the values of a saved {kind}"] = (of_leaves, sound)
    return cases


SMALL_FOREST = ("forest.window=8", "forest.n_estimators=5", "forest.max_samples=32")
ADAPTS = ("enabled=true", "synchronous=true", "confirm_windows=3", "buffer_points=500", "cold_start_points=null")
_KINDS: dict[str, tuple[str, ...]] = {
    "windowed_gaussian": ("detector=windowed_gaussian",),
    "isolation_forest": ("detector=isolation_forest", *SMALL_FOREST),
    "isolation_forest_sliding": (
        *("detector=isolation_forest_sliding", *SMALL_FOREST),
        *("forest.refit_window=100", "forest.refit_every=50"),
    ),
    "windowed_gaussian that adapts": (
        *("detector=windowed_gaussian", "windowed_gaussian.window=1000"),  # a shorter one fits the change by itself
        *(f"adaptation.{one}" for one in ADAPTS),
    ),
}


def _make(settings: tuple[str, ...]) -> Any:
    from autoencoder.config import load
    from autoencoder.factory.detectors import make_adaptive, make_detector

    common = ("windowed_gaussian.window=64", "threshold.budget=0.01", "threshold.window=200")
    config = load(None, {}, [*common, *settings])
    return (make_adaptive if config.adaptation.enabled else make_detector)(config, 400)


def spoil(state: dict[str, object], dice: random.Random) -> None:
    """Change one value of a state: its size, its type, or what it holds; or leave it out."""
    key = dice.choice(sorted(state))
    value = state[key]
    if isinstance(value, dict) and value and dice.random() < 0.9:
        spoil(value, dice)
    elif isinstance(value, np.ndarray) and dice.random() < 0.7:
        wild = dice.choice((np.nan, np.inf, -1, 0, 1e308, -1e308, 2**62))
        with np.errstate(all="ignore"):
            full = np.full(value.shape, float(wild)).astype(value.dtype)
        others = (value[: len(value) // 2], value.astype(np.float32), value[None], np.concatenate([value, value]))
        state[key] = dice.choice((full, *others))
    elif dice.random() < 0.1:
        del state[key]
    else:
        numbers = (None, True, -1, 0, 3, 1 << 40, 1 << 61, float("nan"), float("inf"), 1e300)
        state[key] = dice.choice((*numbers, "", "=cmd", [1], {}, [], np.zeros(3)))
