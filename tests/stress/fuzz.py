"""Fuzzing: every reader and every file that the program loads, given what was sound and is changed at random, or is noise.

It all happens in this process, thousands of times: whatever comes out must be an error of the program's own, or data.
"""

from __future__ import annotations

import io
import json
import random
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stress.harness import Count, noisy_wave

Reader = Callable[[bytes], object]


def shake(folder: Path, seed: int, tries: int) -> list[Count]:
    """About so many inputs, shared among the readers; a count a reader."""
    folder.mkdir(parents=True, exist_ok=True)
    readers = {**_sources(folder), **_settings(folder), **_states(folder)}
    return [
        _count(name, read, sound, random.Random(f"{seed} {name}"), tries // len(readers))
        for name, (read, sound) in readers.items()
    ]


def _count(name: str, read: Reader, sound: list[bytes], dice: random.Random, tries: int) -> Count:
    from autoencoder.core.errors import AutoencoderError

    count = Count(f"fuzzing: {name}")
    refused = 0
    before = _memory()
    for number in range(tries):
        data = changed(dice.choice(sound), dice)
        try:
            read(data)
        except AutoencoderError as error:
            refused += 1
            complaint = None if str(error).strip() else f"{type(error).__name__} without a word"
        except Exception as error:
            count.tracebacks += 1
            complaint = f"{type(error).__name__}: {error!s:.200} (input {data[:80]!r}...)"
        else:
            complaint = None
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


def _sources(folder: Path) -> dict[str, tuple[Reader, list[bytes]]]:
    import gzip

    import pyarrow as pa
    import pyarrow.parquet as pq

    from autoencoder.sources.files import FileSource, FollowSource, StdinSource
    from autoencoder.sources.schema import ColumnSelection

    path = folder / "input"
    values = noisy_wave(60, 1)
    dated = [f"2024-01-01T{row // 60:02}:{row % 60:02}:00Z,{value},{row % 2}" for row, value in enumerate(values)]
    plain = "".join(f"{value}\n" for value in values).encode()
    table = ("timestamp,value,label\n" + "\n".join(dated) + "\n").encode()
    several = ('"a";b;time\n' + "\n".join(f"{value};{value};{1_700_000_000 + row}" for row, value in enumerate(values))).encode()
    lines = "\n".join(json.dumps({"timestamp": 1_700_000_000 + row, "value": value}) for row, value in enumerate(values)).encode()
    parquet = io.BytesIO()
    pq.write_table(pa.table({"time": pa.array(range(60), pa.timestamp("us")), "value": values, "label": [0, 1] * 30}), parquet)

    def of_file(label: str | None = None) -> Reader:
        def read(data: bytes) -> object:
            path.write_bytes(data)
            return list(FileSource(path, ColumnSelection(label=label), max_bytes=1 << 24).chunks())

        return read

    def of_pipe(data: bytes) -> object:
        return list(StdinSource(io.BytesIO(data)).chunks())

    def followed(data: bytes) -> object:
        path.write_bytes(data)
        return list(FollowSource(path, poll_seconds=0.0, idle_timeout=0.0).chunks())

    text = [plain, table, lines]
    return {
        "csv and JSON lines": (of_file(), [*text, several]),
        "csv with labels": (of_file("label"), [table]),
        "gzip": (of_file(), [gzip.compress(each) for each in text]),
        "parquet": (of_file("label"), [parquet.getvalue()]),
        "stdin": (of_pipe, text),
        "a followed file": (followed, text),
    }


def _settings(folder: Path) -> dict[str, tuple[Reader, list[bytes]]]:
    from autoencoder.config import Config, difference, dump, load

    path = folder / "settings.yaml"
    sound = dump(Config())

    def of_file(data: bytes) -> object:
        path.write_bytes(data)
        return load(path)

    def on_the_line(data: bytes) -> object:
        return load(None, {}, [data.decode(errors="surrogateescape")])

    def compared(data: bytes) -> object:
        return difference(data.decode(errors="replace"), sound)

    settings = [b"threshold.budget=1 per day", b"network.units=[8, 8]", b"csv.columns=[a, b]", b"seed=3"]
    settings += [b"synthetic.season.period=24"]
    return {
        "config.yaml": (of_file, [sound.encode()]),
        "--set": (on_the_line, settings),
        "settings in a checkpoint": (compared, [sound.encode()]),
    }


def _states(folder: Path) -> dict[str, tuple[Reader, list[bytes]]]:
    """A detector's state, a network, the tables of a run."""
    from autoencoder.adaptation.detector import AdaptiveDetector
    from autoencoder.core.events import PROMOTED
    from autoencoder.core.state import State, pack, unpack
    from autoencoder.detector import StreamDetector
    from autoencoder.network.runtime import Runtime
    from autoencoder.reports.scores_csv import read_scores

    values = np.array(noisy_wave(1500, 1))[:, None]
    values[500:] += 50  # a change that stays
    sound: dict[str, list[bytes]] = {}
    for kind, make in _KINDS.items():
        detector = make()
        sound[kind] = []
        for first in range(0, 1500, 150):  # before the change, with a model on probation, and after
            detector.process(np.arange(first, first + 150), values[first : first + 150])
            if first >= 450:
                sound[kind].append(pack(detector.state()))
    assert any(each.event == PROMOTED for each in detector.adaptations)  # the last one adapts

    def use(detector: StreamDetector | AdaptiveDetector, state: State) -> None:
        with np.errstate(all="ignore"):
            detector.load(state, {})
            detector.process(np.arange(200), values[:200])

    def of_bytes(kind: str) -> Reader:
        return lambda data: use(_KINDS[kind](), unpack(data, "x"))

    def of_leaves(kind: str) -> Reader:
        """What is changed is one value and not one byte; the bytes only say which and how."""

        def read(data: bytes) -> object:
            dice = random.Random(data)
            state = unpack(dice.choice(sound[kind]), "x")
            spoil(state, dice)
            return use(_KINDS[kind](), state)

        return read

    def of_scores(data: bytes) -> object:
        path = folder / "scores.csv"
        path.write_bytes(data)
        return read_scores(folder, max_rows=1000)

    scores = b"time,value,prediction,error,threshold,score,anomaly\n" + b"2024-01-01T00:00:00Z,1.5,1.4,0.1,0.5,0.2,0\n" * 30
    network = sound_network()

    def of_network(data: bytes) -> object:
        return Runtime(data).reconstruct(np.zeros((3, 4, 1), np.float32))

    readers: dict[str, tuple[Reader, list[bytes]]] = {"model.onnx": (of_network, [network]), "scores.csv": (of_scores, [scores])}
    for kind in _KINDS:
        readers[f"the bytes of a saved {kind}"] = (of_bytes(kind), sound[kind])
        readers[f"the values of a saved {kind}"] = (of_leaves(kind), sound[kind])
    return readers


def _plain(kind: str, **options: object) -> Callable[[], Any]:
    """Makes a detector with such a scorer."""
    from autoencoder.detector import StreamDetector
    from autoencoder.scorers import SCORERS
    from autoencoder.thresholds import THRESHOLDS
    from autoencoder.thresholds.budget import Budget

    return lambda: StreamDetector(
        SCORERS[kind](**options), lambda share: THRESHOLDS["tail"](budget=share, window=200), Budget.parse(0.01), 400
    )


def _adaptive() -> Any:
    from autoencoder.config import load
    from autoencoder.factory.detectors import make_adaptive

    adapts = ("enabled=true", "synchronous=true", "confirm_windows=3", "buffer_points=500", "cold_start_points=null")
    settings = [*(f"adaptation.{one}" for one in adapts), "detector=windowed_gaussian", "windowed_gaussian.window=64"]
    return make_adaptive(load(None, {}, settings), 400)


_KINDS: dict[str, Callable[[], Any]] = {
    "windowed_gaussian": _plain("windowed_gaussian", window=64),
    "isolation_forest": _plain("isolation_forest", window=8, n_estimators=5, max_samples=32),
    "isolation_forest_sliding": _plain(
        "isolation_forest_sliding", window=8, n_estimators=5, max_samples=32, refit_window=100, refit_every=50
    ),
    "windowed_gaussian that adapts": _adaptive,
}


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


def sound_network() -> bytes:
    """A network of one matrix, (N, 4, 1) -> (N, 4, 1)."""
    from onnx import TensorProto, helper, numpy_helper

    shape = [None, 4, 1]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("window", "reconstruction")]
    weights = numpy_helper.from_array(np.array([[0.5]], np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["window", "weights"], ["reconstruction"])], "g", ends[:1], ends[1:], [weights]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()
