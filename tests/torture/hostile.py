"""Hostile files: run folders and data that somebody made to run code, to fill the memory, or to reach beyond their folder.

Each is given to the program as a process of its own. It must be refused with a sentence and exit code 2, or do no harm and be used; the
process may not take much memory, nothing outside the run folder may change, and no trap may go off: traps write a file, the canary.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import shutil
import signal
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from torture.harness import LSTM, Count, Process, noisy_wave, run

MEMORY = 2000  # MB that a process may take; the largest thing that may be unpacked is half a gigabyte
FORMULA = re.compile(r"(^|[,;\t|])[=@+]", re.MULTILINE)  # a cell, whatever a spreadsheet takes for the end of one
Prepare = Callable[[Path, Path], None]  # run folder, canary


class Trap:
    """Writes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.canary}",))


def attack(folder: Path, tries: int, model: Path | None = None) -> list[Count]:
    """Every attack once, or about ``tries`` of each kind; a count for saved models, one for runs to resume, one for data.

    Args:
        folder: where to work.
        tries: of each kind, evenly spread.
        model: the folder of a run with an LSTM on one column; None: one is trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wave = folder / "wave.csv"
    wave.write_text("value\n" + "".join(f"{value}\n" for value in noisy_wave(12_000, 1)))
    broken_off = folder / "broken-off"
    if not model:
        model = folder / "model"
        made = run(folder, "train", "--source", "csv", "--path", wave, *LSTM, "--out", model)
        assert made.code == 0, made.said
    _break_off(folder, wave, model, broken_off)
    _require_that_traps_work(folder)
    use = ("--source", "csv", "--path", wave, "--plot", "none", "--model")
    counts = [
        _count(folder, "hostile model given to --model", MODELS, tries, lambda out, bad: (*use, bad, "--out", out), model),
        _count(
            *(folder, "hostile model that is trained on", TRAINED_ON, tries),
            lambda out, bad: (*use, bad, "--out", out, *TRAIN_ON),
            model,
        ),
        _count(folder, "hostile run given to --resume", RUNS, tries, lambda out, bad: ("--resume", "--out", bad), broken_off),
    ]
    data = Count("hostile data given to --path")
    for name, make in _some(DATA, tries):
        path = folder / f"data-{name.replace(' ', '-')}"
        make(path, folder / "canary")
        use = ("--source", "csv", "--path", path, "--out", folder / "o", "--detector", "windowed_gaussian")
        _judge(data, name, folder, (*use, *DATA_OPTIONS.get(name, ())), {})
        path.unlink()
    return [*counts, data]


def _break_off(folder: Path, wave: Path, model: Path, out: Path) -> None:
    """A run that was killed after its first checkpoint."""
    use = ("--source", "csv", "--path", wave, "--plot", "none", "--model", model, "--set", "checkpoint.every=250")
    process = Process(folder, *use, "--out", out)
    while process.poll() and not (out / "checkpoint.npz").exists():
        time.sleep(0)
    process.signal(signal.SIGKILL)
    ended = process.wait()
    assert ended.code == -signal.SIGKILL, ended.said


def _require_that_traps_work(folder: Path) -> None:
    """A trap that does not go off where it is let would prove nothing."""
    canary = folder / "canary"
    pickle.loads(pickle.dumps(Trap(canary)))
    assert canary.exists()
    canary.unlink()


def _count(
    folder: Path,
    group: str,
    attacks: dict[str, Prepare],
    tries: int,
    arguments: Callable[[Path, Path], tuple[object, ...]],
    sound: Path,
) -> Count:
    count = Count(group)
    for name, spoil in _some(attacks, tries):
        bad = folder / "bad"
        shutil.copytree(sound, bad)
        outside = {folder / "outside.txt": b"not yours", **{path: path.read_bytes() for path in sound.iterdir()}}
        (folder / "outside.txt").write_bytes(b"not yours")
        spoil(bad, folder / "canary")
        _judge(count, name, folder, arguments(folder / "o", bad), outside)
        shutil.rmtree(bad)
    return count


def _some(attacks: dict[str, Prepare], tries: int) -> list[tuple[str, Prepare]]:
    items = list(attacks.items())
    return items[:: max(1, len(items) // tries)]


def _judge(count: Count, name: str, folder: Path, arguments: tuple[object, ...], outside: dict[Path, bytes]) -> None:
    ended = run(folder, *arguments)
    count.hear(ended)
    canary = folder / "canary"
    count.code_run += canary.exists()
    canary.unlink(missing_ok=True)
    complaint = None
    if ended.code not in (0, 2):
        complaint = f"exit code {ended.code} ({ended.said[-300:]})"
    elif ended.memory > MEMORY:
        complaint = f"{ended.memory:,} MB"
    elif any(path.read_bytes() != content for path, content in outside.items()):
        complaint = "something outside the folder changed"
    elif name in MUST_BE_REFUSED and ended.code != 2:
        complaint = "it was not refused"
    elif (scores := folder / "o/scores.csv").exists() and FORMULA.search(scores.read_text()):
        complaint = "a formula came through"
    count.judge(name, complaint)
    shutil.rmtree(folder / "o", ignore_errors=True)


# --- run folders ---


def _archive(path: Path, entries: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def _entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _array(value: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value, **options)
    return buffer.getvalue()


def _header(shape: str, kind: str = "<f8") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


def _in_state(name: str, spoil: Callable[[dict[str, bytes], Path], None], how: int = zipfile.ZIP_DEFLATED) -> Prepare:
    def prepare(folder: Path, canary: Path) -> None:
        entries = _entries(folder / name)
        spoil(entries, canary)
        _archive(folder / name, entries, how)

    return prepare


def _first_array(entries: dict[str, bytes]) -> str:
    return next(name for name in entries if name != "state.json.npy")


def _pickle(entries: dict[str, bytes], canary: Path) -> None:
    entries[_first_array(entries)] = _array(np.array([Trap(canary)], dtype=object), allow_pickle=True)


def _giant_shape(entries: dict[str, bytes], canary: Path) -> None:
    entries[_first_array(entries)] = _header("(1000000000000, 3)")


def _giant_but_plausible_shape(entries: dict[str, bytes], canary: Path) -> None:
    entries[_first_array(entries)] = _header("(3000000000,)")


def _bomb(entries: dict[str, bytes], canary: Path) -> None:
    entries[_first_array(entries)] = _header("(900000000,)") + bytes(900_000_000)


def _half_bomb(entries: dict[str, bytes], canary: Path) -> None:
    entries[_first_array(entries)] = _header("(50000000,)") + bytes(400_000_000)


def _long_text(entries: dict[str, bytes], canary: Path) -> None:
    entries["state.json.npy"] = _array(np.frombuffer(b'{"a":{"value":[' + b"[]," * 20_000_000 + b"1]}}", np.uint8))


def _deep_text(entries: dict[str, bytes], canary: Path) -> None:
    entries["state.json.npy"] = _array(np.frombuffer(b'{"a":' * 200_000, np.uint8))


def _text(change: Callable[[dict[str, object]], None]) -> Callable[[dict[str, bytes], Path], None]:
    def spoil(entries: dict[str, bytes], canary: Path) -> None:
        tree = json.loads(entries["state.json.npy"][128:])
        change(tree)
        entries["state.json.npy"] = _array(np.frombuffer(json.dumps(tree).encode(), np.uint8))

    return spoil


def _giant_numbers(tree: dict[str, object]) -> None:
    for key, value in tree.items():
        if isinstance(value, dict):
            if type(value.get("value")) is int:
                tree[key] = {"value": 10**15}
            else:
                _giant_numbers(value)


def _giant_window(tree: dict[str, object]) -> None:
    def walk(node: dict[str, object]) -> None:
        for key, value in node.items():
            if key in ("steps", "stride"):
                node[key] = {"value": 1 << 14}
            elif isinstance(value, dict):
                walk(value)

    walk(tree)


def _many_entries(folder: Path, canary: Path, name: str = "detector.npz") -> None:
    """A table of contents of a hundred megabytes."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHHHHII", 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 2_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, len(entry) * count, 0, 0)
    (folder / name).write_bytes(entry * count + end)


def _linked(name: str, target: Callable[[Path], str]) -> Prepare:
    def prepare(folder: Path, canary: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target(folder))

    return prepare


def _outside(folder: Path) -> str:
    return str(folder.parent / "outside.txt")


def _pipe(name: str) -> Prepare:
    def prepare(folder: Path, canary: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return prepare


def _write(name: str, content: bytes) -> Prepare:
    return lambda folder, canary: (folder / name).write_bytes(content) and None


def _hole(name: str) -> Prepare:
    def prepare(folder: Path, canary: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(40 << 30)

    return prepare


def _lambda_layer(folder: Path, canary: Path) -> None:
    """A network that is a Lambda layer whose code writes the canary, as Keras saves it with safe_mode off."""
    import base64
    import marshal

    code = compile(f"lambda x: __import__('os').system('touch {canary}')", "trap", "eval").co_consts[0]
    layer = {
        "name": "trap",
        "function": {"class_name": "__lambda__", "config": {"code": base64.b64encode(marshal.dumps(code)).decode()}},
    }
    config = {"module": "keras.layers", "class_name": "Lambda", "config": layer}
    _archive(folder / "model.keras", {"config.json": json.dumps(config).encode(), "metadata.json": b"{}"})


def _onnx(make: Callable[[object, Path], bytes]) -> Prepare:
    """Another network, with a state that vouches for it."""

    def prepare(folder: Path, canary: Path) -> None:
        import hashlib

        import onnx

        content = make(onnx.load(folder / "model.onnx"), folder)
        (folder / "model.onnx").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()

        def vouch(node: dict[str, object]) -> None:
            for key, value in node.items():
                if key == "network" and isinstance(value, dict) and "value" in value:
                    node[key] = {"value": digest}
                elif isinstance(value, dict):
                    vouch(value)

        for name in ("detector.npz", "checkpoint.npz"):
            if (folder / name).exists():
                _in_state(name, _text(vouch))(folder, canary)

    return prepare


def _external(model: object, folder: Path) -> bytes:
    """The first weights lie in a file outside of the folder."""
    tensor = next(each for each in model.graph.initializer if len(each.raw_data) > 100)  # type: ignore[attr-defined]
    (folder.parent / "outside.txt").write_bytes(bytes(len(tensor.raw_data)))
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", str(folder.parent / "outside.txt")
    (folder.parent / "outside.txt").write_bytes(b"not yours")
    return model.SerializeToString()  # type: ignore[attr-defined]


def _loop(model: object, folder: Path) -> bytes:
    from onnx import TensorProto, helper

    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["never"], body=body))  # type: ignore[attr-defined]
    return model.SerializeToString()  # type: ignore[attr-defined]


def _custom_operator(model: object, folder: Path) -> bytes:
    from onnx import helper

    model.graph.node.append(helper.make_node("Shell", [], ["z"], domain="com.example"))  # type: ignore[attr-defined]
    return model.SerializeToString()  # type: ignore[attr-defined]


def _giant_weights(model: object, folder: Path) -> bytes:
    tensor = model.graph.initializer[0]  # type: ignore[attr-defined]
    del tensor.dims[:]
    tensor.dims.extend([1 << 20, 1 << 20])
    return model.SerializeToString()  # type: ignore[attr-defined]


def _giant_activations(model: object, folder: Path) -> bytes:
    """Something is repeated a million times."""
    from onnx import numpy_helper

    repeats = {node.input[1] for node in model.graph.node if node.op_type == "Tile"}  # type: ignore[attr-defined]
    assert repeats
    for tensor in model.graph.initializer:  # type: ignore[attr-defined]
        if tensor.name in repeats:
            value = numpy_helper.to_array(tensor)
            huge = np.where(value > 1, 1 << 20, value).astype(value.dtype)
            tensor.CopyFrom(numpy_helper.from_array(huge, tensor.name))
    return model.SerializeToString()  # type: ignore[attr-defined]


def _many_nodes(model: object, folder: Path) -> bytes:
    return model.SerializeToString() + b"\x3a\x80\x80\x80\x08" + b"\x0a\x00" * (1 << 23)  # type: ignore[attr-defined]


def _unlike_itself(model: object, folder: Path) -> bytes:
    """The last operator gives another shape than the first one takes."""
    from onnx import helper

    graph = model.graph  # type: ignore[attr-defined]
    last = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["before" if name == last else name for name in node.output]
    graph.node.append(helper.make_node("Shape", ["before"], ["shape"]))
    graph.node.append(helper.make_node("Cast", ["shape"], [last], to=1))
    return model.SerializeToString()  # type: ignore[attr-defined]


_BOMB_YAML = b"a: &a [x, x, x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c]\n" % (98 + i, 98 + i, *[97 + i] * 6) for i in range(20)
)
_CODE_YAML = b'seed: !!python/object/apply:os.system ["touch canary"]\n'

MODELS: dict[str, Prepare] = {
    "a pickle in the state": _in_state("detector.npz", _pickle),
    "a pickle instead of the state": lambda folder, canary: (
        (folder / "detector.npz").write_bytes(pickle.dumps(Trap(canary))) and None
    ),
    "a terabyte by its header": _in_state("detector.npz", _giant_shape),
    "24 gigabytes by its header": _in_state("detector.npz", _giant_but_plausible_shape),
    "a zip bomb": _in_state("detector.npz", _bomb),
    "a zip bomb below the limit": _in_state("detector.npz", _half_bomb),
    "lzma": _in_state("detector.npz", lambda entries, canary: None, zipfile.ZIP_LZMA),
    "two million names": _many_entries,
    "text of 60 MB": _in_state("detector.npz", _long_text),
    "text nested 200,000 deep": _in_state("detector.npz", _deep_text),
    "every number 10^15": _in_state("detector.npz", _text(_giant_numbers)),
    "a window of 2^28 points": _in_state("detector.npz", _text(_giant_window)),
    "a state that is a link to another file": _linked("detector.npz", _outside),
    "a state that is a pipe": _pipe("detector.npz"),
    "a state of 40 GB that is a hole": _hole("detector.npz"),
    "a network that is a link to another file": _linked("model.onnx", _outside),
    "a network with weights in another file": _onnx(_external),
    "a network with a loop": _onnx(_loop),
    "a network with an operator of its own": _onnx(_custom_operator),
    "weights of a terabyte": _onnx(_giant_weights),
    "activations of a terabyte": _onnx(_giant_activations),
    "eight million nodes": _onnx(_many_nodes),
    "a network that gives another shape": _onnx(_unlike_itself),
    "a Lambda layer in model.keras": _lambda_layer,
    "a pickle instead of model.keras": lambda folder, canary: (
        (folder / "model.keras").write_bytes(pickle.dumps(Trap(canary))) and None
    ),
    "model.keras that is a link to another file": _linked("model.keras", _outside),
    "a yaml bomb": _write("config.yaml", _BOMB_YAML),
    "yaml that builds objects": _write("config.yaml", _CODE_YAML),
    "a configuration that is a link to another file": _linked("config.yaml", _outside),
    "a configuration nested 100,000 deep": _write("config.yaml", b"[" * 100_000),
}
TRAINED_ON: dict[str, Prepare] = {
    name: MODELS[name]
    for name in (
        "a Lambda layer in model.keras",
        "a pickle instead of model.keras",
        "weights of a terabyte",
        "a network with weights in another file",
    )
}
TRAIN_ON = ("--set", "adaptation.enabled=true", "--set", "adaptation.synchronous=true", "--set", "adaptation.retrain_every=5000")
RUNS: dict[str, Prepare] = {
    "a pickle in the checkpoint": _in_state("checkpoint.npz", _pickle),
    "a terabyte in the checkpoint": _in_state("checkpoint.npz", _giant_shape),
    "a zip bomb for a checkpoint": _in_state("checkpoint.npz", _bomb),
    "every number of the checkpoint 10^15": _in_state("checkpoint.npz", _text(_giant_numbers)),
    "settings that are no settings": _in_state("checkpoint.npz", _text(lambda tree: tree.update(settings={"value": "[1, 2]"}))),
    "another version": _in_state("checkpoint.npz", _text(lambda tree: tree.update(version={"value": 99}))),
    "another number of rows": _in_state("checkpoint.npz", _text(lambda tree: tree.update(rows={"value": 7}))),
    "an incident of other kinds": _in_state(
        "checkpoint.npz",
        _text(lambda tree: tree["tally"].update(worst={"value": json.dumps({"id": "=cmd", "severity": []})})),  # type: ignore[attr-defined]
    ),
    "scores.csv that is a link to another file": _linked("scores.csv", _outside),
    "incidents.jsonl that is a link to another file": _linked("incidents.jsonl", _outside),
    "metrics.json that is a link to another file": _linked("metrics.json", _outside),
    "a draft that is a link to another file": _linked(".checkpoint.npz.part", _outside),
    "a log that is a link to another file": _linked("anomalies.log", _outside),
    "a checkpoint that is a link to another file": _linked("checkpoint.npz", _outside),
    "scores.csv that is a pipe": _pipe("scores.csv"),
    "scores.csv that is shorter than the checkpoint says": _write("scores.csv", b"time,value\n"),
    "a network with weights in another file, to resume": _onnx(_external),
    "yaml that builds objects, to resume": _write("config.yaml", _CODE_YAML),
}

# --- data ---


def _table(rows: str, count: int) -> bytes:
    return rows.encode() + b"".join(b"%d,%d,=1+1\n" % (row, row % 7) for row in range(count))


def _gzip_bomb(path: Path, canary: Path) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        file.write(deflate.compress(b"value\n"))
        for _ in range(600):
            file.write(deflate.compress(b"1\n" * (1 << 19)))
        file.write(deflate.flush())


def _parquet_bomb(path: Path, canary: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1 << 27, np.int8)), pa.array([1.5]))
    pq.write_table(pa.table({"value": values}), path, compression="zstd")


def _plain(content: Callable[[], bytes]) -> Prepare:
    return lambda path, canary: path.write_bytes(content()) and None


_NAMES = ("x;=HYPERLINK(1)\t=cmd|calc", "@sum", "%s%n{0}$(touch canary)`touch canary`")
DATA_OPTIONS = {"formulas and commands for names": [part for name in _NAMES for part in ("--column", name)]}
DATA: dict[str, Prepare] = {
    "a gigabyte of parquet": _parquet_bomb,
    "600 megabytes of gzip": _gzip_bomb,
    "one line of 300 MB": _plain(lambda: b"value\n" + b"1" * 300_000_000),
    "100,000 columns": _plain(lambda: (",".join(f"c{i}" for i in range(100_000)) + "\n").encode()),
    "formulas and commands for names": _plain(
        lambda: (
            ",".join(f'"{name}"' for name in _NAMES).encode()
            + b"\n"
            + b"".join(b"%d,%d,%d\n" % (r, r % 7, r % 5) for r in range(500))
        )
    ),
    "formulas for labels": _plain(lambda: _table("time,value,label\n", 500)),
    "numbers of 100,000 digits": _plain(lambda: b"value\n" + b"9" * 100_000 + b"\n" + b"1e" + b"9" * 100_000 + b"\n"),
    "a csv that is a pickle": lambda path, canary: path.write_bytes(pickle.dumps(Trap(canary))) and None,
    "a gzip cut short": _plain(lambda: gzip.compress(b"value\n" + b"1\n" * 100_000)[:-40]),
    "nested JSON lines": _plain(lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n"),
}

# what may not be used in any way; the others may be used where they do no harm
MUST_BE_REFUSED = {
    *MODELS,
    *RUNS,
    "one line of 300 MB",
    "600 megabytes of gzip",
    "a gigabyte of parquet",
    "a gzip cut short",
    "a csv that is a pickle",
} - {
    "lzma",
    "a zip bomb below the limit",
    "every number 10^15",
    "every number of the checkpoint 10^15",
    "a Lambda layer in model.keras",
    "a pickle instead of model.keras",
    "metrics.json that is a link to another file",
    "a draft that is a link to another file",
    "a log that is a link to another file",
}
