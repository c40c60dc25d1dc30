"""The graph of a SavedModel: every operation that it names, wherever it names it.

Operations stand in the nodes of each meta graph, in the functions of its library, in functions that an attribute names
(which may be an operation, and may have attributes that name others), in the defaults of attributes, and in the list
of operations that the graph says it needs. One reader visits every message, so there is no place that it passes over.

What saves and restores is told apart. `SaveV2` writes wherever its first input says, so it is the saver's own only
where nobody else can call it: in a function that the saver's two nodes call and no signature, node or object does,
and whose path is made of nothing but the name that the saver is given.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from security.engines.unfit import Unfit, told
from security.engines.wire import Message, Reader
from security.gates.artifact.known import SAVER
from security.gates.artifact.schema import OBJECTS, REFUSED, SAVED

LARGEST = 256 << 20
_PATH = {"Identity", "StringJoin", "Select", "SelectV2", "Pack", "ShardedFilename", "StaticRegexFullMatch"}
_PARTS = {b"", b".part", b"_temp/part"}
_STRING = 7
VALUES = 1 << 26
"""Values of all constants together."""
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}


class Named(NamedTuple):
    """An operation, where it is named (`graph`, `function`, `attribute`, `list`), and whether it is the saver's own."""

    op: str
    where: str
    saver: bool


class Graph:
    """`ops`: how often each operation is named, and where. `parts`: where there is what a loader would act on."""

    def __init__(self, data: memoryview) -> None:
        if len(data) > LARGEST:
            raise Unfit("size", "the graph", f"{len(data):,} bytes", f"at most {LARGEST:,}")
        self.ops: Counter[Named] = Counter()
        self.parts: list[tuple[str, str]] = []
        self.values = 0
        saved = Reader(SAVED).read(data, "SavedModel")
        metas = saved.get("meta_graphs", [])
        if not metas or saved.get("version") != [1]:
            raise Unfit("form", "the graph", "no meta graph, or another version", "version 1, with at least one")
        for number, meta in enumerate(metas):
            self._meta(meta, f"meta graph {number}")

    def _meta(self, meta: Message, place: str) -> None:
        graph = _one(meta, "graph")
        nodes, library = graph.get("node", []), _one(graph, "library").get("function", [])
        names = [_text(_one(each, "signature"), "name") for each in library]
        # Operations begin with a capital. A function that does could be taken for one.
        named = [name for name in names if re.match(r"__|[a-z]", name)]
        if not nodes and not library:
            raise Unfit("form", place, "no node", "at least one")
        if len({*names}) != len(names):
            self.parts.append((place, "a function twice"))
        saver = _saver(meta, nodes, library)
        for node in nodes:
            self._visit(node, "Node", "graph", {*named}, False, place)
        for name, function in zip(names, library, strict=True):
            self._visit(function, "FunctionDef", "function", {*named}, name in saver, place)
        rest = {key: value for key, value in meta.items() if key != "graph"}
        self._visit(rest, "MetaGraph", "list", {*named}, False, place)
        about = {key: value for key, value in graph.items() if key not in ("node", "library")}
        self._visit(about, "Graph", "graph", {*named}, False, place)
        others = {key: value for key, value in _one(graph, "library").items() if key != "function"}
        self._visit(others, "Library", "function", {*named}, False, place)

    def _visit(self, message: Message, kind: str, where: str, library: set[str], saver: bool, place: str) -> None:
        """A message and all those in it."""
        fields = {field.name: field for field in SAVED[kind].values()}
        if kind == "Node" or (kind == "Function" and message):
            name = _text(message, "op" if kind == "Node" else "name")
            if name not in library:
                at = "attribute" if kind == "Function" else where
                self.ops[Named(told(name), at, saver and kind == "Node")] += 1
        elif kind == "OpDef" and where == "list":
            self.ops[Named(told(_text(message, "name")), "list", False)] += 1
        elif kind == "Attr" and len(message) > 1:
            self.parts.append((place, "an attribute of two values"))
        elif kind == "User" and _text(message, "identifier") not in OBJECTS:
            self.parts.append((place, "an object of a kind that is not known"))
        elif kind == "Tensor":
            self._constant(message, place)
        for name, values in message.items():
            if (kind, name) in REFUSED and any(each != "" for each in values):
                self.parts.append((f"{place}, {kind}.{name}", REFUSED[kind, name]))
            if fields[name].kind in SAVED:
                if fields[name].kind.startswith("Named") and len({_text(each, "key") for each in values}) < len(values):
                    self.parts.append((f"{place}, {kind}.{name}", "a name twice"))
                for each in values:
                    self._visit(each, fields[name].kind, where, library, saver, place)

    def _constant(self, message: Message, place: str) -> None:
        """A constant of numbers or texts. One value stands for all of its shape, so that few bytes may be many."""
        if message.get("dtype", [0])[0] in (20, 21):
            self.parts.append((place, "a constant that is no number and no text"))
        dims = [each.get("size", [0])[0] for each in _one(message, "shape").get("dim", [])]
        self.values += math.prod(dims)
        if self.values > VALUES:
            raise Unfit("size", place, "constants of more values", f"{VALUES:,} in all")


def _one(message: Message, name: str) -> Any:
    return message.get(name, [{}])[0]


def _text(message: Message, name: str) -> str:
    return str(message.get(name, [""])[0])


def _base(name: str) -> str:
    return name.removeprefix("^").split(":")[0]


def _functions(value: Any) -> Iterator[str]:
    """The functions that the attributes of a node name, however deep."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "func":
                yield from (_text(one, "name") for one in each)
            for one in each:
                yield from _functions(one)


def _saver(meta: Message, nodes: list[Message], library: list[Message]) -> set[str]:
    """The functions that are the saver's own: nobody else can call them, and they write where they are told."""
    said = _one(meta, "saver")
    name, wanted = _base(_text(said, "filename")), {_base(_text(said, "save")), _base(_text(said, "restore"))}
    by_name = {_text(node, "name"): node for node in nodes}
    if len(by_name) != len(nodes) or _text(by_name.get(name, {}), "op") != "Placeholder":
        return set()
    shown = {
        _base(_text(_one(info, "value"), "name"))
        for signature in meta.get("signatures", [])
        for side in ("inputs", "outputs")
        for info in _one(signature, "value").get(side, [])
    }
    used = {_base(each) for node in nodes for each in node.get("input", []) if _text(node, "name") not in wanted}
    if ({name} | wanted) & (shown | used):
        return set()
    objects = _one(meta, "objects")
    offered = {_text(each, "key") for each in objects.get("concrete_functions", [])}
    for each in objects.get("nodes", []):
        offered |= {*_one(each, "function").get("concrete_functions", [])}
        offered.add(_text(_one(each, "bare_concrete_function"), "concrete_function_name"))
    inner = {called for function in library for called in _functions(function)}
    inner |= {_text(node, "op") for function in library for node in function.get("node", [])}
    found, elsewhere = set[str](), offered | inner
    for node in nodes:
        called = {*_functions(node)}
        own = _text(node, "name") in wanted and _text(node, "op") in _CALLS and node.get("input", [""])[0] == name
        if own and len(called) == 1:
            found |= called
        else:
            elsewhere |= called | {_text(node, "op")}
    return {_text(_one(each, "signature"), "name") for each in library if _told_where(each)} & found - elsewhere


def _told_where(function: Message) -> bool:
    """Whether all files of a function have the name that is its first argument, with no more than the saver's marks."""
    nodes = {_text(node, "name"): node for node in function.get("node", [])}
    given = _text(next(iter(_one(function, "signature").get("input_arg", [])), {}), "name")
    if not given or given in nodes or len(nodes) != len(function.get("node", [])):
        return False

    known = {given: (True, True)}

    def traced(name: str, depth: int) -> tuple[bool, bool]:
        """Whether a value is of nothing but the argument and marks, and whether it is of the argument."""
        if _base(name) not in known:
            known[_base(name)] = False, False  # what is of itself is of nothing
            known[_base(name)] = told_of(nodes.get(_base(name), {}), depth)
        return known[_base(name)]

    def told_of(node: Message, depth: int) -> tuple[bool, bool]:
        if not node or depth > 16:
            return False, False
        attrs = {_text(each, "key"): _one(each, "value") for each in node.get("attr", [])}
        if _text(node, "op") == "Const":
            tensor = _one(attrs.get("value", {}), "tensor")
            plain = tensor.get("dtype") != [_STRING] or {*tensor.get("string_val", [])} <= _PARTS
            return plain, False
        if _text(node, "op") not in _PATH or any(attrs.get("separator", {}).get("s", [])):
            return False, False
        above = [traced(each, depth + 1) for each in node.get("input", []) if not each.startswith("^")]
        first = {"Select": 1, "SelectV2": 1}.get(_text(node, "op"), 0)
        return all(sound for sound, _ in above), any(of for _, of in above[first : first + 1])

    for node in nodes.values():
        count, paths = {"MergeV2Checkpoints": 2}.get(_text(node, "op"), 1), node.get("input", [])
        named = [traced(each, 0) for each in paths[:count]]
        if _text(node, "op") in SAVER and named != [(True, True)] * count:
            return False
    return True
