"""Small hostile files of Keras, HDF5 and TensorFlow, each with one thing wrong with it, drawn: where in the artefact it
hides, and what it is."""

import io
import random
import zipfile
from collections.abc import Callable
from typing import Any

from security.gates.artifact import forge

Put = Callable[[random.Random], tuple[str, bytes]]
"""Draws a file: its name, and its bytes."""


def word(draw: random.Random) -> str:
    """A name that nothing has."""
    return "canary" + "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=8))


def packed(files: dict[str, bytes], kind: int = 0) -> bytes:
    """A zip file. `kind`: what Unix takes its members for."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind or 0o100600) << 16
            archive.writestr(info, data)
    return made.getvalue()


def _archive(draw: random.Random) -> tuple[str, bytes]:
    config, weights = forge.sequential(forge.layer("Dense", units=1)), forge.hdf(b"\0" * 16)
    trick = draw.choice(("../x.py", "/etc/x", "a/../../x", "C:\\x", "payload.pkl", "assets/x.txt", "CONFIG.json"))
    made = forge.keras(config, weights, **{trick: draw.randbytes(9)})
    linked = packed({"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": b"/etc/passwd"}, 0o120777)
    return word(draw) + ".keras", draw.choice((made, linked, forge.keras(config, weights, **{"x.json": b"{}"})))


def _outside(draw: random.Random) -> tuple[str, bytes]:
    data = draw.randbytes(4) + b"\0" * 12
    made = draw.choice(
        (
            lambda: forge.hdf(b"\0" * 16, cached=2),
            lambda: forge.hdf(b"\0" * 16, root=[forge.link(draw.choice((1, 64, 65, 255)))]),
            lambda: forge.hdf(b"\0" * 16, root=[forge.message(7)]),
            lambda: forge.hdf(b"\0" * 16, more=[forge.virtual()]),
            lambda: forge.hdf(b"\0" * 16, more=[forge.message(11)]),
        )
    )()
    if draw.random() < 0.5:
        return word(draw) + ".h5", made
    return word(draw) + ".keras", forge.keras(forge.sequential(forge.layer("Dense", units=len(data))), made)


def _keras(config: Callable[[random.Random], Any]) -> Put:
    def put(draw: random.Random) -> tuple[str, bytes]:
        return word(draw) + ".keras", forge.keras(config(draw), forge.hdf(b"\0" * 16))

    return put


def _foreign(draw: random.Random) -> Any:
    """A class that is on no list, in models in each other."""
    name = draw.choice(("Lambda", "TorchModuleWrapper", "TFSMLayer", "StringLookup", "MyLayer", "__lambda__"))
    module = draw.choice(("keras.layers", "builtins", "os", "keras.src.ops.core", "keras.utils"))
    value: Any = forge.layer(name) | {"module": module}
    for _ in range(draw.randrange(5)):
        value = draw.choice((forge.sequential(value), forge.layer("TimeDistributed", layer=value)))
    return value


def _keyed(draw: random.Random) -> Any:
    """A key, a text or an argument that is on no list."""
    value: Any = draw.choice(
        (
            forge.layer("Dense", units=1, function="os.system"),
            forge.layer("Dense", units=1, activation=word(draw)),
            forge.layer("Dense", units=1) | {"registered_name": f"Package>{word(draw)}"},
            forge.layer("Dense", units="1"),
            forge.layer("Dense", units=1, vocabulary="/etc/passwd"),
            forge.layer("Dense", units=1) | {"inbound_nodes": [{"args": [], "kwargs": {"inputs": "/etc/passwd"}}]},
            forge.layer("Dense", units=1) | {"compile_config": {"loss": word(draw)}},
            forge.layer("Dense", units=1) | {"fn": "x"},
        )
    )
    for _ in range(draw.randrange(4)):
        value = forge.sequential(value)
    return value


def _graph(meta: Callable[[random.Random], bytes]) -> Put:
    def put(draw: random.Random) -> tuple[str, bytes]:
        sound = forge.meta(forge.node("x", "Placeholder"), forge.node("y", "Identity"))
        metas = [sound] * draw.randrange(3)
        metas.insert(draw.randint(0, len(metas)), meta(draw))
        return f"{word(draw)}/saved_model.pb", forge.saved(*metas)

    return put


def _operation(draw: random.Random) -> bytes:
    """An operation that is on no list: in the graph, in a function, or in a function that an attribute names."""
    ops = ("ReadFile", "WriteFile", "MatchingFiles", "PrintV2", "EagerPyFunc", "TFRecordDataset", "NoSuchOp")
    op = draw.choice(ops)
    named = forge.field(1, op)
    for _ in range(draw.randrange(3)):
        value = forge.field(10, named)
        value = draw.choice((value, forge.field(1, forge.field(9, named))))
        named = forge.field(1, "Identity") + forge.field(2, forge.field(1, "f") + forge.field(2, value))
    default = forge.field(4, forge.field(1, "f") + forge.field(3, forge.field(10, named)))
    ways = (
        lambda: forge.meta(forge.node("x", op)),
        lambda: forge.meta(forge.node("x", "NoOp"), functions=[forge.function("__f", forge.node("x", op))]),
        lambda: forge.meta(forge.node("x", "NoOp", forge.field(10, named))),
        lambda: forge.meta(forge.node("x", "NoOp"), functions=[forge.function("__f", signature=default)]),
    )
    return draw.choice(ways)()


def _writer(draw: random.Random) -> bytes:
    """What saves and restores, where anybody can call it."""
    op = forge.node("x", draw.choice(("SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename")))
    called = forge.node("y", "PartitionedCall", forge.field(10, forge.field(1, "__save")))
    if draw.random() < 0.5:
        return forge.meta(op)
    return forge.meta(called, functions=[forge.function("__save", op)])


def _acting(draw: random.Random) -> bytes:
    """Parts that a loader would act on."""
    tensor = forge.field(1, 21) + forge.field(15, forge.field(1, "tensorflow::Any"))
    user = forge.field(
        1, forge.field(4, forge.field(1, "_tf_keras_layer") + forge.field(3, '{"class_name": "Lambda"}'))
    )
    more = draw.choice((forge.field(6, forge.field(2, "../../x")), forge.field(7, user)))
    ways = (
        forge.meta(forge.node("x", "NoOp"), more=more),
        forge.meta(forge.node("x", "Const", forge.field(8, tensor))),
    )
    return draw.choice(ways)


PUTS: dict[str, Put] = {
    "ART-10": _archive,
    "ART-11": _outside,
    "ART-12": _keras(_foreign),
    "ART-13": _keras(_keyed),
    "ART-14": _graph(_operation),
    "ART-15": _graph(_writer),
    "ART-16": _graph(_acting),
}
"""For each rule about what is in an artefact, a maker of files that break it."""
