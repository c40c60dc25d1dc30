"""Looks at the files of a model: each is read by the reader of the format that its name says, and by no other.

A name that no format has is not read. A content that begins as another format does, or that another reader would take
too, is told as that and not read on. Nothing is loaded: no reader makes an object out of what it reads.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from security.engines import archive, bundle, columns, finite, hdf, notation, opcodes, tensors
from security.engines.finite import Tensor
from security.engines.unfit import Unfit, What, told
from security.engines.wire import Reader
from security.errors import CannotTell
from security.gates.artifact.facts import PATH, SIGNATURE, Count, Facts, Fault, File, Item, Made, Weight, spot
from security.gates.artifact.graph import Graph
from security.gates.artifact.known import CODE
from security.gates.artifact.layers import Walk, code
from security.gates.artifact.schema import REFUSED, SAVED

ENDS = {".safetensors": "safetensors", ".json": "json", ".parquet": "parquet", ".keras": "keras", ".h5": "hdf"}
GRAPH, PRINT = "saved_model.pb", "fingerprint.pb"
INDEX, DATA = "variables/variables.index", "variables/variables.data-00000-of-00001"
PARTS = {"metadata.json", "config.json", "model.weights.h5"}
LARGEST = 1 << 30
"""Bytes that an archive may unpack to."""
COUNTS, FAULTS = 1_000, 200
_CLIP = 1 << 53
_BEGINS = (
    (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (hdf.MARK, "hdf"), (columns.MARK, "parquet"),
    (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x93NUMPY", "numpy"), (b"\x7fELF", "a program"),
    (b"MZ", "a program"), (b"#!", "a script"), (b"GGUF", "gguf"), (b"7z\xbc\xaf", "7z"), (b"Rar!", "rar"),
)  # fmt: skip


def format_of(name: str) -> str:
    """The format that a file's name says, or nothing."""
    base = name.rpartition("/")[2]
    if name == SIGNATURE:
        return "signature"
    if base in (GRAPH, PRINT) or name.endswith(("/" + INDEX, "/" + DATA)) or name in (INDEX, DATA):
        return "savedmodel"
    dot = base.rfind(".")
    return ENDS.get(base[dot:], "") if dot > 0 else ""


def look(items: Iterable[Item]) -> Facts:
    """The facts of a folder."""
    seen = _Look()
    files, held = list[File](), dict[str, memoryview]()
    for item in items:
        proper = bool(PATH.fullmatch(item.name)) and len(item.name) <= 255
        form = format_of(item.name) if proper else ""
        read = item.data is not None and item.kind == "file" and bool(form)
        if item.data is not None and len(item.data) != item.size:
            raise CannotTell(f"{told(item.name)} is handed out with another size than it has")
        files.append(File(name=told(item.name), kind=item.kind, format=form, size=item.size, read=read, proper=proper))
        if read and item.data is not None:
            if item.name in held:
                raise CannotTell(f"{item.name} is handed out twice")
            held[item.name] = memoryview(item.data)
    for name, data in sorted(held.items()):
        seen.file(name, data, held)
    return Facts(
        files=tuple(sorted(files, key=lambda each: each.name)),
        faults=tuple(seen.faults[:FAULTS]),
        weights=tuple(seen.weights),
        made=tuple(seen.made),
        counts=seen.counts,
    )


class _Look:
    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.weights: list[Weight] = []
        self.made: list[Made] = []
        self.counts: dict[str, Count] = {}

    def fault(self, file: str, what: What | str, place: str, found: str, allowed: str) -> None:
        told_of = {"place": place[:300], "found": found[:200], "allowed": allowed[:300]}
        self.faults.append(Fault.model_validate({"file": file, "what": what, **told_of}))

    def file(self, name: str, data: memoryview, held: dict[str, memoryview]) -> None:
        """One file, by the reader of its format."""
        form = format_of(name)
        try:
            if other := another(data, form):
                raise Unfit("twice", "the file", f"what a reader of {other} would take", f"{form} and nothing else")
            if form == "safetensors":
                self.tensors(name, data, tensors.read(data))
            elif form in ("json", "signature"):
                self.json(name, bytes(data), form)
            elif form == "parquet":
                for column, (rows, once) in columns.read(data).items():
                    self.counts[spot(f"{name}#{column}")] = Count(count=rows, once=once)
            elif form == "keras":
                self.keras(name, data)
            elif form == "hdf":
                self.hdf(name, data)
            else:
                self.saved(name, data, held)
        except Unfit as why:
            self.fault(name, why.what, why.place, why.found, why.allowed)

    def tensors(self, file: str, data: memoryview, found: Iterable[Tensor]) -> None:
        for each in found:
            part = data[each.start : each.stop]
            span, rises = _span(each, part)
            told_of = {"name": told(each.name), "kind": each.kind, "shape": each.shape, "span": span, "rises": rises}
            self.weights.append(Weight(file=file, odd=finite.odd(each.kind, part), **told_of))

    def json(self, file: str, data: bytes, form: str) -> None:
        value = notation.parsed(data, "the file")
        if not isinstance(value, dict | list):
            raise Unfit("form", "the file", "neither an object nor a list", "one of them")
        if form == "signature":
            return
        for place, what in code(value, CODE):
            self.fault(file, "code", place, what, "data alone")
        for key, count in _counts(value):
            if len(self.counts) < COUNTS:
                self.counts[spot(f"{file}#{key}")] = count

    def keras(self, file: str, data: memoryview) -> None:
        inside = {each.name: each for each in archive.members(data, LARGEST)}
        if inside.keys() != PARTS:
            odd = sorted(told(name) for name in inside.keys() ^ PARTS)
            raise Unfit("name", "the members", f"{odd[0]}, or none", ", ".join(sorted(PARTS)))
        about = notation.parsed(archive.content(data, inside["metadata.json"]), "metadata.json")
        if not isinstance(about, dict) or about.keys() != {"keras_version", "date_saved"}:
            raise Unfit("form", "metadata.json", "other keys", "keras_version, date_saved")
        config = notation.parsed(archive.content(data, inside["config.json"]), "config.json")
        self.walked(file, config, "config.json")
        weights = memoryview(archive.content(data, inside["model.weights.h5"]))
        if other := another(weights, "hdf"):
            raise Unfit("twice", "model.weights.h5", f"what a reader of {other} would take", "HDF5 and nothing else")
        self.tensors(file, weights, hdf.read(weights).tensors)

    def hdf(self, file: str, data: memoryview) -> None:
        found = hdf.read(data)
        self.tensors(file, data, found.tensors)
        for key in ("model_config", "training_config"):
            for text in found.texts.get(("", key), []):
                value = notation.parsed(text, key)
                if key == "model_config":
                    self.walked(file, value, key)
                else:
                    self.walked(file, {"class_name": "Model", "module": "keras", "compile_config": value}, key)

    def walked(self, file: str, config: Any, place: str) -> None:
        walk = Walk()
        walk.node(config, place)
        for where, what in walk.odd[:FAULTS]:
            self.fault(file, "key", where, what, "the keys and values of layers that are known")
        for name, times in sorted(walk.classes.items()):
            self.made.append(Made(file=file, kind="layer", name=name, where="", saver=False, times=times))

    def saved(self, name: str, data: memoryview, held: dict[str, memoryview]) -> None:
        if name.endswith(GRAPH):
            graph = Graph(data)
            for place, what in graph.parts[:FAULTS]:
                self.fault(name, "part", place, what, "numbers, and operations on them")
            for op, times in sorted(graph.ops.items()):
                told_of = {"name": op.op, "where": op.where, "saver": op.saver, "times": times}
                self.made.append(Made(file=name, kind="op", **told_of))
        elif name.endswith(PRINT):
            Reader(SAVED).read(data, "Fingerprint")
        folder = name.removesuffix(GRAPH).removesuffix(PRINT).removesuffix(INDEX).removesuffix(DATA)
        if folder + GRAPH not in held or (folder + INDEX in held) != (folder + DATA in held):
            raise Unfit("form", "the file", "no graph, or not both files of variables beside it", "all of them")
        if name.endswith(INDEX):
            variables = held[folder + DATA]
            listed = bundle.read(data, len(variables))
            self.tensors(name, variables, [each for each in listed if each.kind])
            for each in listed:
                if not each.kind:
                    self.objects(name, bundle.text(variables[each.start : each.stop]))

    def objects(self, name: str, data: memoryview) -> None:
        """The graph of the objects whose variables were saved: names, and who restores each."""
        for each in Reader(SAVED).read(data, "Saved").get("nodes", []):
            if "registered_saver" in each:
                told_of = REFUSED["SavedNode", "registered_saver"]
                self.fault(name, "part", "the graph of objects", told_of, "numbers, and their names")


def _span(tensor: Tensor, data: memoryview) -> tuple[tuple[int, int, int, int] | None, bool]:
    """First, last, least and greatest of a row of whole numbers, and whether each is no less than the one before."""
    if len(tensor.shape) != 1 or not tensor.shape[0] or tensor.kind[0] not in "IU":
        return None, False
    row = np.frombuffer(data, f"<{tensor.kind[0].lower()}{finite.WIDTHS[tensor.kind]}")
    first, last, least, most = (max(-_CLIP, min(_CLIP, int(each))) for each in (row[0], row[-1], row.min(), row.max()))
    return (first, last, least, most), bool((row[1:] >= row[:-1]).all())


def _counts(value: Any, above: str = "", depth: int = 0) -> Iterator[tuple[str, Count]]:
    """The lists and whole numbers of an object, two keys deep at most."""
    for key, each in value.items() if isinstance(value, dict) else ():
        name = f"{above}{key}"
        if "." in key:  # it would be told as one key in another
            continue
        if isinstance(each, list):
            texts = [one for one in each if isinstance(one, str) and one]
            yield name, Count(count=len(each), once=len({*texts}) == len(each))
        elif type(each) is int and 0 <= each <= _CLIP:
            yield name, Count(count=each, once=True)
        elif isinstance(each, dict) and not depth:
            yield from _counts(each, f"{name}.", depth + 1)


def another(data: memoryview, form: str) -> str:
    """Another format that the content begins as, or whose reader would take it; nothing where there is none."""
    begin, own = bytes(data[:8]), "zip" if form == "keras" else form
    if form != "savedmodel":
        # What safetensors begin with is a number, of which two bytes may be any.
        shortest = 4 if form == "safetensors" else 2
        for mark, kind in _BEGINS:
            if begin.startswith(mark) and kind != own and len(mark) >= shortest:
                return kind
    if own != "zip" and archive.found(data):
        return "zip"
    # A reader of HDF5 looks for its mark at 0, 512, and each double of that. An archive of Keras has one somewhere.
    places = [0] if own != "hdf" else []
    places += [512 << n for n in range(len(data).bit_length()) if own != "zip"]
    if any(bytes(data[at : at + 8]) == hdf.MARK for at in places):
        return "hdf"
    if own != "parquet" and len(data) > 12 and bytes(data[-4:]) == columns.MARK:
        return "parquet"
    if bytes(data[257:262]) == b"ustar":
        return "tar"
    return "pickle" if form in ("safetensors", "json", "signature") and opcodes.found(data) else ""
