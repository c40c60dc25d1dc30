"""A configuration of Keras, walked to its last value: which classes it names, and what in it is on no list.

Every dictionary with a `class_name` is an object that a loader makes, wherever it stands: a layer, a model in a model,
an initialiser, a function. Each of its keys has one kind of value (`known.KEYS`), and a text is looked up nowhere that
is not on a list. `Lambda` is so refused at any depth, and with it what made past loaders run code without one: modules
(CVE-2025-1550), functions of Keras itself and arguments of an inbound node (CVE-2025-8747, CVE-2025-9906), registered
names, wrapped pickles, vocabularies that are paths (CVE-2025-12058).
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from security.engines.unfit import told
from security.gates.artifact.known import COMPILED, KEYS, WORDS

_NODE = {"module", "class_name", "config", "registered_name", "build_config", "compile_config"}
_NODE |= {"name", "inbound_nodes", "shared_object_id"}
_TENSOR = "__keras_tensor__"
Odd = tuple[str, str]
"""Where something stands that is on no list, and what it is."""


class Walk:
    """`classes`: how often each class is named, by module (`*`: none) and name. `odd`: what is on no list."""

    def __init__(self) -> None:
        self.classes: Counter[str] = Counter()
        self.odd: list[Odd] = []

    def node(self, value: Any, place: str) -> None:
        """An object that a loader makes."""
        if not isinstance(value, dict) or not isinstance(value.get("class_name"), str):
            self.odd.append((place, "no object with a class"))
            return
        module, name = value.get("module"), value["class_name"]
        if not isinstance(module, str):
            self.odd += [(f"{place}.module", "no name")] if module is not None else []
            module = "*"
        self.classes[told(f"{module}.{name}")] += 1
        self._names(value.keys() - _NODE, place)
        if value.get("registered_name") not in (None, name):
            self.odd.append((f"{place}.registered_name", "a name of what somebody registered"))
        self.config(value.get("config"), f"{place}.config")
        self.plain(value.get("build_config"), f"{place}.build_config")
        self.plain(value.get("shared_object_id"), f"{place}.shared_object_id")
        self.compiled(value.get("compile_config"), f"{place}.compile_config")
        self._name(value.get("name"), f"{place}.name")
        self.inbound(value.get("inbound_nodes"), f"{place}.inbound_nodes")

    def config(self, value: Any, place: str) -> None:
        """What an object is made from."""
        if not isinstance(value, dict):
            if value is not None:
                self.odd.append((place, "no configuration"))
            return
        self._each(value, KEYS, place)

    def compiled(self, value: Any, place: str) -> None:
        """What a model was trained with."""
        if isinstance(value, dict):
            self._each(value, COMPILED, place)
        elif value is not None:
            self.odd.append((place, "no configuration"))

    def _each(self, value: dict[str, Any], known: dict[str, str], place: str) -> None:
        self._names(value.keys() - known.keys(), place)
        for key in value.keys() & known.keys():
            self._value(value[key], known[key], f"{place}.{key}")

    def _names(self, keys: Any, place: str) -> None:
        self.odd += [(f"{place}.{told(key)}", "a key that is not known") for key in sorted(keys)]

    def _name(self, value: Any, place: str) -> None:
        if value is not None and not isinstance(value, str):
            self.odd.append((place, "no name"))

    def _value(self, value: Any, kind: str, place: str) -> None:
        if kind == "node":
            self.node(value, place)
        elif kind == "nodes":
            for number, each in enumerate(value if isinstance(value, list) else [value]):
                self.node(each, f"{place}[{number}]")
        elif kind == "name":
            self._name(value, place)
        elif kind == "edges":
            self.edges(value, place)
        elif kind in WORDS:
            self._word(value, kind, place)
        elif isinstance(value, dict) and kind == "number":
            self.node(value, place)
        elif kind == "nothing":
            self.odd += [(place, "a value")] if value is not None else []
        elif not (_flat(value) if kind != "numbers" else _nested(value)):
            self.odd.append((place, "no number"))

    def _word(self, value: Any, kind: str, place: str) -> None:
        if isinstance(value, list) and kind in ("loss", "metric"):
            for number, each in enumerate(value):
                self._word(each, kind, f"{place}[{number}]")
        elif isinstance(value, dict) and kind != "word":
            self.node(value, place)
        elif value is not None and (not isinstance(value, str) or value not in WORDS[kind]):
            self.odd.append((place, f"a {kind} that is not known"))

    def plain(self, value: Any, place: str) -> None:
        """Numbers, and names of them."""
        if isinstance(value, dict):
            for key, each in value.items():
                self.plain(each, f"{place}.{told(key)}")
        elif not _nested(value):
            self.odd.append((place, "no number"))

    def edges(self, value: Any, place: str) -> None:
        """Which layers go in and out: names and numbers."""
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            if isinstance(each, list):
                self.edges(each, place)
            elif not (isinstance(each, str) or _flat(each)):
                self.odd.append((place, "no name and no number"))
        if not isinstance(value, list | dict):
            self.odd.append((place, "no list"))

    def inbound(self, value: Any, place: str) -> None:
        """What a layer is called with: tensors, masks and numbers, and never a text."""
        if value is None:
            return
        if not isinstance(value, list):
            self.odd.append((place, "no list"))
            return
        for number, each in enumerate(value):
            here = f"{place}[{number}]"
            if isinstance(each, list):  # of old: name, node, tensor, arguments
                self._old(each, here)
            elif isinstance(each, dict) and each.keys() <= {"args", "kwargs"}:
                self._arguments(each.get("args"), f"{here}.args")
                named = each.get("kwargs") or {}
                for key in named if isinstance(named, dict) else ("",):
                    if key not in ("mask", "training"):
                        self.odd.append((f"{here}.kwargs.{told(key)}", "an argument that is not known"))
                    else:
                        self._arguments(named[key], f"{here}.kwargs.{key}")
            else:
                self.odd.append((here, "no call"))

    def _old(self, value: list[Any], place: str) -> None:
        for each in value:
            if isinstance(each, list):
                self._old(each, place)
            elif each != {} and not (isinstance(each, str) or _flat(each)):
                self.odd.append((place, "an argument that is not known"))

    def _arguments(self, value: Any, place: str) -> None:
        if isinstance(value, list):
            for number, each in enumerate(value):
                self._arguments(each, f"{place}[{number}]")
        elif isinstance(value, dict):
            if value.get("class_name") != _TENSOR or value.keys() != {"class_name", "config"}:
                self.node(value, place)
            elif not _tensor(value["config"]):
                self.odd.append((place, "another tensor than of a layer"))
        elif not _flat(value):
            self.odd.append((place, "a text"))


def _flat(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _nested(value: Any) -> bool:
    return all(map(_nested, value)) if isinstance(value, list) else _flat(value)


def _tensor(value: Any) -> bool:
    if not isinstance(value, dict) or not value.keys() <= {
        "shape",
        "dtype",
        "keras_history",
        "name",
        "sparse",
        "ragged",
    }:
        return False
    history = value.get("keras_history")
    named = isinstance(history, list) and len(history) == 3 and isinstance(history[0], str) and _nested(history[1:])
    flags = all(_flat(value.get(key)) for key in ("sparse", "ragged"))
    text = isinstance(value.get("name", ""), str)
    return named and flags and text and _nested(value.get("shape")) and value.get("dtype") in WORDS["dtype"]


def code(value: Any, keys: frozenset[str], depth: int = 1) -> Iterator[Odd]:
    """Where a value of JSON has a key by which a reader finds code. Of other keys nothing is told: they may be ids."""
    if isinstance(value, dict):
        yield from (
            (f"{key}, a key {depth} deep", "a key by which code is found") for key in sorted(value.keys() & keys)
        )
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(each, dict | list):
            yield from code(each, keys, depth + 1)
