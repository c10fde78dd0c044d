"""Hostile run folders: states, networks, settings and logs that are not what they seem, as tables."""

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

Attack = Callable[[Path, Path], object]  # makes a file, or spoils the one that is there; the second path is the canary
Tree = dict[str, Any]
STATE = "state.json.npy"


class Trap:
    """Writes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.canary}",))


# --- any file ---


def holds(content: bytes | Callable[[], bytes]) -> Attack:
    return lambda path, canary: path.write_bytes(content if isinstance(content, bytes) else content())


def is_pickle(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps(Trap(canary)))


def is_link(path: Path, canary: Path) -> None:
    """The file is a link to one outside of the folder."""
    path.unlink(missing_ok=True)
    path.symlink_to(path.parent.parent / "outside.txt")


def is_pipe(path: Path, canary: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def is_hole(path: Path, canary: Path) -> None:
    with path.open("wb") as file:
        file.truncate(40 << 30)


# --- saved states ---


def archive(path: Path, entries: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", how) as file:
        for name, content in entries.items():
            file.writestr(name, content)


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def array(value: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value, **options)
    return buffer.getvalue()


def has_numbers(shape: str, size: int = 0) -> Attack:
    """The first array of a state has this shape by its header, and so many bytes."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    return has_array(lambda canary: head + bytes(size))


def has_array(content: Callable[[Path], bytes]) -> Attack:
    """The first array of a state is another one."""

    def attack(path: Path, canary: Path) -> None:
        entries = entries_of(path)
        entries[next(each for each in entries if each != STATE)] = content(canary)
        archive(path, entries)

    return attack


has_pickle = has_array(lambda canary: array(np.array([Trap(canary)], dtype=object), allow_pickle=True))


def has_text(content: Callable[[bytes], bytes]) -> Attack:
    """The JSON text of a state is another one."""

    def attack(path: Path, canary: Path) -> None:
        entries = entries_of(path)
        entries[STATE] = array(np.frombuffer(content(entries[STATE][128:]), np.uint8))
        archive(path, entries)

    return attack


def has_values(change: Callable[[Tree], object]) -> Attack:
    """The values of a state are changed."""

    def content(text: bytes) -> bytes:
        tree = json.loads(text)
        change(tree)
        return json.dumps(tree).encode()

    return has_text(content)


def every(which: Callable[[str, Tree], bool], value: object) -> Callable[[Tree], None]:
    """Give each leaf of a state that is meant another value."""

    def leaves(tree: Tree) -> Iterator[tuple[str, Tree]]:
        for key, node in tree.items():
            if isinstance(node, dict):
                yield key, node
                yield from leaves(node)

    def change(tree: Tree) -> None:
        for key, node in list(leaves(tree)):
            if which(key, node):
                node.clear()
                node["value"] = value

    return change


giant_numbers = has_values(every(lambda key, node: type(node.get("value")) is int, 10**15))
giant_window = has_values(every(lambda key, node: key in ("steps", "stride"), 1 << 14))


def has_many_entries(path: Path, canary: Path) -> None:
    """A table of contents of a hundred megabytes."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHHHHII", 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 2_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, len(entry) * count, 0, 0)
    path.write_bytes(entry * count + end)


# --- networks ---


def lambda_layer(path: Path, canary: Path) -> None:
    """A network that is a Lambda layer whose code writes the canary, as Keras saves it with safe_mode off."""
    code = marshal.dumps(compile(f"lambda x: __import__('os').system('touch {canary}')", "trap", "eval").co_consts[0])
    function = {"class_name": "__lambda__", "config": {"code": base64.b64encode(code).decode()}}
    config = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "trap", "function": function}}
    archive(path, {"config.json": json.dumps(config).encode(), "metadata.json": b"{}"})


def network(change: Callable[[Any, Path], object]) -> Attack:
    """Another network, with a state that vouches for it; ``change`` may give its bytes."""

    def attack(path: Path, canary: Path) -> None:
        import onnx

        model = onnx.load(path)
        changed = change(model, path.parent.parent / "outside.txt")
        content = changed if isinstance(changed, bytes) else model.SerializeToString()
        path.write_bytes(content)
        vouch = every(lambda key, node: key == "network" and "value" in node, hashlib.sha256(content).hexdigest())
        for name in ("detector.npz", "checkpoint.npz"):
            if (path.parent / name).exists():
                has_values(vouch)(path.parent / name, canary)

    return attack


def external(model: Any, outside: Path) -> None:
    """The first weights lie in a file outside of the folder."""
    tensor = next(each for each in model.graph.initializer if len(each.raw_data) > 100)
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", str(outside)


def node(kind: str, inputs: list[str], output: str, **options: object) -> Callable[[Any, Path], object]:
    """One operator more."""

    def change(model: Any, outside: Path) -> None:
        from onnx import helper

        model.graph.node.append(helper.make_node(kind, inputs, [output], **options))

    return change


def loop(model: Any, outside: Path) -> None:
    from onnx import TensorProto, helper

    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    node("Loop", ["", ""], "never", body=body)(model, outside)


def giant_weights(model: Any, outside: Path) -> None:
    model.graph.initializer[0].dims[:] = [1 << 20, 1 << 20]


def giant_activations(model: Any, outside: Path) -> None:
    """Something is repeated a million times."""
    from onnx import numpy_helper

    repeats = {each.input[1] for each in model.graph.node if each.op_type == "Tile"}
    assert repeats
    for tensor in model.graph.initializer:
        if tensor.name in repeats:
            value = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.where(value > 1, 1 << 20, value).astype(value.dtype), tensor.name))


def unlike_itself(model: Any, outside: Path) -> None:
    """The last operator gives another shape than the first one takes."""
    last = model.graph.output[0].name
    for each in model.graph.node:
        each.output[:] = ["before" if name == last else name for name in each.output]
    node("Shape", ["before"], "shape")(model, outside)
    node("Cast", ["shape"], last, to=1)(model, outside)


# --- run folders: name -> (file, what is done to it) ---

BOMB_YAML = b"a: &a [x, x, x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c]\n" % (98 + i, 98 + i, *[97 + i] * 6) for i in range(20)
)
CODE_YAML = b'seed: !!python/object/apply:os.system ["touch canary"]\n'
BAD_INCIDENT = {"value": json.dumps({"id": "=cmd", "severity": []})}
MANY_NODES = b"\x3a\x80\x80\x80\x08" + b"\x0a\x00" * (1 << 23)

MODELS: dict[str, tuple[str, Attack]] = {
    "a pickle in the state": ("detector.npz", has_pickle),
    "a pickle instead of the state": ("detector.npz", is_pickle),
    "a terabyte by its header": ("detector.npz", has_numbers("(1000000000000, 3)")),
    "24 gigabytes by its header": ("detector.npz", has_numbers("(3000000000,)")),
    "a zip bomb": ("detector.npz", has_numbers("(900000000,)", 900_000_000)),
    "a zip bomb below the limit": ("detector.npz", has_numbers("(50000000,)", 400_000_000)),
    "lzma": ("detector.npz", lambda path, canary: archive(path, entries_of(path), zipfile.ZIP_LZMA)),
    "two million names": ("detector.npz", has_many_entries),
    "text of 60 MB": ("detector.npz", has_text(lambda text: b'{"a":{"value":[' + b"[]," * 20_000_000 + b"1]}}")),
    "text nested 200,000 deep": ("detector.npz", has_text(lambda text: b'{"a":' * 200_000)),
    "every number 10^15": ("detector.npz", giant_numbers),
    "a window of 2^28 points": ("detector.npz", giant_window),
    "a state that is a link to another file": ("detector.npz", is_link),
    "a state that is a pipe": ("detector.npz", is_pipe),
    "a state of 40 GB that is a hole": ("detector.npz", is_hole),
    "a network that is a link to another file": ("model.onnx", is_link),
    "a network with weights in another file": ("model.onnx", network(external)),
    "a network with a loop": ("model.onnx", network(loop)),
    "a network with an operator of its own": ("model.onnx", network(node("Shell", [], "z", domain="com.example"))),
    "weights of a terabyte": ("model.onnx", network(giant_weights)),
    "activations of a terabyte": ("model.onnx", network(giant_activations)),
    "eight million nodes": ("model.onnx", network(lambda model, outside: model.SerializeToString() + MANY_NODES)),
    "a network that gives another shape": ("model.onnx", network(unlike_itself)),
    "a Lambda layer in model.keras": ("model.keras", lambda_layer),
    "a pickle instead of model.keras": ("model.keras", is_pickle),
    "model.keras that is a link to another file": ("model.keras", is_link),
    "a yaml bomb": ("config.yaml", holds(BOMB_YAML)),
    "yaml that builds objects": ("config.yaml", holds(CODE_YAML)),
    "a configuration that is a link to another file": ("config.yaml", is_link),
    "a configuration nested 100,000 deep": ("config.yaml", holds(b"[" * 100_000)),
}
TRAINED_ON = ("a Lambda layer in model.keras", "a pickle instead of model.keras", "weights of a terabyte")
TRAINED_ON += ("a network with weights in another file",)
RUNS: dict[str, tuple[str, Attack]] = {
    "a pickle in the checkpoint": ("checkpoint.npz", has_pickle),
    "a terabyte in the checkpoint": ("checkpoint.npz", has_numbers("(1000000000000, 3)")),
    "a zip bomb for a checkpoint": ("checkpoint.npz", has_numbers("(900000000,)", 900_000_000)),
    "every number of the checkpoint 10^15": ("checkpoint.npz", giant_numbers),
    "settings that are no settings": ("checkpoint.npz", has_values(lambda tree: tree.update(settings={"value": "[1, 2]"}))),
    "another version": ("checkpoint.npz", has_values(lambda tree: tree.update(version={"value": 99}))),
    "another number of rows": ("checkpoint.npz", has_values(lambda tree: tree.update(rows={"value": 7}))),
    "an incident of other kinds": ("checkpoint.npz", has_values(lambda tree: tree["tally"].update(worst=BAD_INCIDENT))),
    "scores.csv that is a link to another file": ("scores.csv", is_link),
    "incidents.jsonl that is a link to another file": ("incidents.jsonl", is_link),
    "metrics.json that is a link to another file": ("metrics.json", is_link),
    "a draft that is a link to another file": (".checkpoint.npz.part", is_link),
    "a log that is a link to another file": ("anomalies.log", is_link),
    "a checkpoint that is a link to another file": ("checkpoint.npz", is_link),
    "scores.csv that is a pipe": ("scores.csv", is_pipe),
    "scores.csv that is shorter than the checkpoint says": ("scores.csv", holds(b"time,value\n")),
    "a network with weights in another file, to resume": ("model.onnx", network(external)),
    "yaml that builds objects, to resume": ("config.yaml", holds(CODE_YAML)),
    "a pickle in the model that was given": ("given.npz", has_pickle),
    "a given model that is a link to another file": ("given.npz", is_link),
}
