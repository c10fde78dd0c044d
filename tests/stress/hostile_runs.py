"""Hostile run folders: states, networks, settings and logs that are not what they seem."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import marshal
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Prepare = Callable[[Path, Path], None]  # run folder, canary
Tree = dict[str, Any]
STATE = "state.json.npy"


class Trap:
    """Writes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.canary}",))


# --- any file ---


def _write(name: str, content: bytes) -> Prepare:
    return lambda folder, canary: (folder / name).write_bytes(content) and None


def _pickle(name: str) -> Prepare:
    return lambda folder, canary: (folder / name).write_bytes(pickle.dumps(Trap(canary))) and None


def _link(name: str) -> Prepare:
    """The file is a link to one outside of the folder."""

    def prepare(folder: Path, canary: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(folder.parent / "outside.txt")

    return prepare


def _pipe(name: str) -> Prepare:
    def prepare(folder: Path, canary: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return prepare


def _hole(folder: Path, canary: Path) -> None:
    with (folder / "detector.npz").open("wb") as file:
        file.truncate(40 << 30)


# --- saved states ---


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


def _numbers(shape: str, size: int = 0) -> Callable[[Path], bytes]:
    """An array of floats of this shape by its header, and so many bytes of it."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return lambda canary: b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(size)


def _object_array(canary: Path) -> bytes:
    return _array(np.array([Trap(canary)], dtype=object), allow_pickle=True)


def _first_array(name: str, content: Callable[[Path], bytes]) -> Prepare:
    """The first array of a state is another one."""

    def prepare(folder: Path, canary: Path) -> None:
        entries = _entries(folder / name)
        entries[next(each for each in entries if each != STATE)] = content(canary)
        _archive(folder / name, entries)

    return prepare


def _text(name: str, content: Callable[[bytes], bytes]) -> Prepare:
    """The JSON text of a state is another one."""

    def prepare(folder: Path, canary: Path) -> None:
        entries = _entries(folder / name)
        entries[STATE] = _array(np.frombuffer(content(entries[STATE][128:]), np.uint8))
        _archive(folder / name, entries)

    return prepare


def _tree(name: str, change: Callable[[Tree], object]) -> Prepare:
    """The values of a state are changed."""

    def content(text: bytes) -> bytes:
        tree = json.loads(text)
        change(tree)
        return json.dumps(tree).encode()

    return _text(name, content)


def _nodes(tree: Tree) -> Iterator[tuple[Tree, str, Tree]]:
    """Every value of a state: its parent, its name and itself."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield tree, key, value
            yield from _nodes(value)


def _giant_numbers(tree: Tree) -> None:
    for parent, key, value in list(_nodes(tree)):
        if type(value.get("value")) is int:
            parent[key] = {"value": 10**15}


def _giant_window(tree: Tree) -> None:
    for parent, key, _ in list(_nodes(tree)):
        if key in ("steps", "stride"):
            parent[key] = {"value": 1 << 14}


def _lzma(folder: Path, canary: Path) -> None:
    _archive(folder / "detector.npz", _entries(folder / "detector.npz"), zipfile.ZIP_LZMA)


def _many_entries(folder: Path, canary: Path) -> None:
    """A table of contents of a hundred megabytes."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHHHHII", 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 2_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, len(entry) * count, 0, 0)
    (folder / "detector.npz").write_bytes(entry * count + end)


# --- networks ---


def _lambda_layer(folder: Path, canary: Path) -> None:
    """A network that is a Lambda layer whose code writes the canary, as Keras saves it with safe_mode off."""
    code = marshal.dumps(compile(f"lambda x: __import__('os').system('touch {canary}')", "trap", "eval").co_consts[0])
    function = {"class_name": "__lambda__", "config": {"code": base64.b64encode(code).decode()}}
    config = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "trap", "function": function}}
    _archive(folder / "model.keras", {"config.json": json.dumps(config).encode(), "metadata.json": b"{}"})


def _onnx(change: Callable[[Any, Path], bytes | None]) -> Prepare:
    """Another network, with a state that vouches for it."""

    def prepare(folder: Path, canary: Path) -> None:
        import onnx

        model = onnx.load(folder / "model.onnx")
        content = change(model, folder.parent / "outside.txt") or model.SerializeToString()
        (folder / "model.onnx").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()

        def vouch(tree: Tree) -> None:
            for parent, key, value in list(_nodes(tree)):
                if key == "network" and "value" in value:
                    parent[key] = {"value": digest}

        for name in ("detector.npz", "checkpoint.npz"):
            if (folder / name).exists():
                _tree(name, vouch)(folder, canary)

    return prepare


def _external(model: Any, outside: Path) -> None:
    """The first weights lie in a file outside of the folder."""
    tensor = next(each for each in model.graph.initializer if len(each.raw_data) > 100)
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", str(outside)


def _loop(model: Any, outside: Path) -> None:
    from onnx import TensorProto, helper

    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["never"], body=body))


def _custom_operator(model: Any, outside: Path) -> None:
    from onnx import helper

    model.graph.node.append(helper.make_node("Shell", [], ["z"], domain="com.example"))


def _giant_weights(model: Any, outside: Path) -> None:
    model.graph.initializer[0].dims[:] = [1 << 20, 1 << 20]


def _giant_activations(model: Any, outside: Path) -> None:
    """Something is repeated a million times."""
    from onnx import numpy_helper

    repeats = {node.input[1] for node in model.graph.node if node.op_type == "Tile"}
    assert repeats
    for tensor in model.graph.initializer:
        if tensor.name in repeats:
            value = numpy_helper.to_array(tensor)
            huge = np.where(value > 1, 1 << 20, value).astype(value.dtype)
            tensor.CopyFrom(numpy_helper.from_array(huge, tensor.name))


def _many_nodes(model: Any, outside: Path) -> bytes:
    content: bytes = model.SerializeToString()
    return content + b"\x3a\x80\x80\x80\x08" + b"\x0a\x00" * (1 << 23)


def _unlike_itself(model: Any, outside: Path) -> None:
    """The last operator gives another shape than the first one takes."""
    from onnx import helper

    last = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before" if name == last else name for name in node.output]
    model.graph.node.append(helper.make_node("Shape", ["before"], ["shape"]))
    model.graph.node.append(helper.make_node("Cast", ["shape"], [last], to=1))


_BOMB_YAML = b"a: &a [x, x, x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c]\n" % (98 + i, 98 + i, *[97 + i] * 6) for i in range(20)
)
_CODE_YAML = b'seed: !!python/object/apply:os.system ["touch canary"]\n'
_BAD_INCIDENT = {"value": json.dumps({"id": "=cmd", "severity": []})}

MODELS: dict[str, Prepare] = {
    "a pickle in the state": _first_array("detector.npz", _object_array),
    "a pickle instead of the state": _pickle("detector.npz"),
    "a terabyte by its header": _first_array("detector.npz", _numbers("(1000000000000, 3)")),
    "24 gigabytes by its header": _first_array("detector.npz", _numbers("(3000000000,)")),
    "a zip bomb": _first_array("detector.npz", _numbers("(900000000,)", 900_000_000)),
    "a zip bomb below the limit": _first_array("detector.npz", _numbers("(50000000,)", 400_000_000)),
    "lzma": _lzma,
    "two million names": _many_entries,
    "text of 60 MB": _text("detector.npz", lambda text: b'{"a":{"value":[' + b"[]," * 20_000_000 + b"1]}}"),
    "text nested 200,000 deep": _text("detector.npz", lambda text: b'{"a":' * 200_000),
    "every number 10^15": _tree("detector.npz", _giant_numbers),
    "a window of 2^28 points": _tree("detector.npz", _giant_window),
    "a state that is a link to another file": _link("detector.npz"),
    "a state that is a pipe": _pipe("detector.npz"),
    "a state of 40 GB that is a hole": _hole,
    "a network that is a link to another file": _link("model.onnx"),
    "a network with weights in another file": _onnx(_external),
    "a network with a loop": _onnx(_loop),
    "a network with an operator of its own": _onnx(_custom_operator),
    "weights of a terabyte": _onnx(_giant_weights),
    "activations of a terabyte": _onnx(_giant_activations),
    "eight million nodes": _onnx(_many_nodes),
    "a network that gives another shape": _onnx(_unlike_itself),
    "a Lambda layer in model.keras": _lambda_layer,
    "a pickle instead of model.keras": _pickle("model.keras"),
    "model.keras that is a link to another file": _link("model.keras"),
    "a yaml bomb": _write("config.yaml", _BOMB_YAML),
    "yaml that builds objects": _write("config.yaml", _CODE_YAML),
    "a configuration that is a link to another file": _link("config.yaml"),
    "a configuration nested 100,000 deep": _write("config.yaml", b"[" * 100_000),
}
_TRAINED_ON = ("a Lambda layer in model.keras", "a pickle instead of model.keras", "weights of a terabyte")
TRAINED_ON = {name: MODELS[name] for name in (*_TRAINED_ON, "a network with weights in another file")}
RUNS: dict[str, Prepare] = {
    "a pickle in the checkpoint": _first_array("checkpoint.npz", _object_array),
    "a terabyte in the checkpoint": _first_array("checkpoint.npz", _numbers("(1000000000000, 3)")),
    "a zip bomb for a checkpoint": _first_array("checkpoint.npz", _numbers("(900000000,)", 900_000_000)),
    "every number of the checkpoint 10^15": _tree("checkpoint.npz", _giant_numbers),
    "settings that are no settings": _tree("checkpoint.npz", lambda tree: tree.update(settings={"value": "[1, 2]"})),
    "another version": _tree("checkpoint.npz", lambda tree: tree.update(version={"value": 99})),
    "another number of rows": _tree("checkpoint.npz", lambda tree: tree.update(rows={"value": 7})),
    "an incident of other kinds": _tree("checkpoint.npz", lambda tree: tree["tally"].update(worst=_BAD_INCIDENT)),
    "scores.csv that is a link to another file": _link("scores.csv"),
    "incidents.jsonl that is a link to another file": _link("incidents.jsonl"),
    "metrics.json that is a link to another file": _link("metrics.json"),
    "a draft that is a link to another file": _link(".checkpoint.npz.part"),
    "a log that is a link to another file": _link("anomalies.log"),
    "a checkpoint that is a link to another file": _link("checkpoint.npz"),
    "scores.csv that is a pipe": _pipe("scores.csv"),
    "scores.csv that is shorter than the checkpoint says": _write("scores.csv", b"time,value\n"),
    "a network with weights in another file, to resume": _onnx(_external),
    "yaml that builds objects, to resume": _write("config.yaml", _CODE_YAML),
}
