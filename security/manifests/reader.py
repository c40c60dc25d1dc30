"""YAML as a cluster reads it, or not at all: the documents of files, as plain data.

Refused, each as `CannotTell` with the file and the line: aliases, anchors, tags and merge keys; a key that is given
twice or is not text; a plain word that YAML 1.1 and 1.2 read differently (`yes`, `0644`, `1:30`, a date); what is not
UTF-8; more than 1 MiB in a file, 500 documents in all or 40 levels; a document that is empty or no mapping. A file
without a document is refused too. JSON is YAML here.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import yaml

from security.errors import CannotTell

Item = tuple[str, bytes]
"""A file's name and its bytes."""
BYTES, DOCUMENTS, DEPTH = 1 << 20, 500, 40
_TRUE = {"true": True, "false": False}
_NULL = ("", "null", "~")
_INT = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
_AMBIGUOUS = re.compile(
    r"""y|yes|n|no|on|off|true|false|null
    | [-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-f_]+|[0-9][0-9_]*)
    | [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?
    | [-+]?([0-9][0-9_]*)?\.[0-9_]*(e[-+]?[0-9]+)?
    | [-+]?[0-9][0-9_]*(\.[0-9_]*)?e[-+]?[0-9]+
    | [-+]?\.(inf|nan)
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt\ ].*)?
    | = | <<""",
    re.IGNORECASE | re.VERBOSE,
)


def documents(items: Iterable[Item]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each document stands (`file#n`, from 1) and what it says. Every item is taken before an error is raised
    about the next."""
    count = 0
    for name, data in items:
        for where, told in _file(name, data):
            count += 1
            if count > DOCUMENTS:
                raise CannotTell(f"{name}: more than {DOCUMENTS} documents in all")
            yield where, _fresh(told)


@lru_cache(maxsize=256)  # a subject and its canaries have nearly all of their files in common
def _file(name: str, data: bytes) -> tuple[tuple[str, dict[str, Any]], ...]:
    return tuple(_read(name, data))


def _fresh(told: Any) -> Any:
    """A copy: who is given a document may change it, and must change nobody else's."""
    if isinstance(told, dict):
        return {key: _fresh(each) for key, each in told.items()}
    return [_fresh(each) for each in told] if isinstance(told, list) else told


def _read(name: str, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    if len(data) > BYTES:
        raise CannotTell(f"{name}: found {len(data):,} bytes; allowed: {BYTES:,}")
    try:
        text = data.decode("utf-8")
        if text.startswith("{") and (plain := _json(name, text)) is not None:
            yield f"{name}#1", plain
            return
        nodes = _nodes(name, text)
    except UnicodeDecodeError:
        raise CannotTell(f"{name}: is not UTF-8") from None
    except (yaml.YAMLError, RecursionError, ValueError) as why:
        mark = getattr(why, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise CannotTell(f"{name}{where}: is not YAML ({type(why).__name__})") from None
    if not nodes:
        raise CannotTell(f"{name}: there is no document in it")
    for number, node in enumerate(nodes, 1):
        told = _value(name, node)
        if not isinstance(told, dict) or not told:
            raise CannotTell(f"{name}#{number}: is no mapping, or an empty one")
        yield f"{name}#{number}", told


def _json(name: str, text: str) -> dict[str, Any] | None:
    """A mapping in JSON, which YAML reads the same, only slower; None for what is none, which may be YAML."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise CannotTell(f"{name}: a key that is given twice")
        return dict(pairs)

    def constant(_: str) -> None:
        raise CannotTell(f"{name}: a number that is none")

    try:
        told = json.loads(text, object_pairs_hook=once, parse_constant=constant)
    except ValueError:
        return None
    if _depth(told) > DEPTH:
        raise CannotTell(f"{name}: more than {DEPTH} levels")
    return told if isinstance(told, dict) and told else None


def _depth(told: Any) -> int:
    inner = told.values() if isinstance(told, dict) else told if isinstance(told, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


class _Composer(yaml.composer.Composer, yaml.resolver.Resolver):
    """Nodes of events that were looked at already, so that the text is read once."""

    def __init__(self, events: list[yaml.Event]) -> None:
        yaml.composer.Composer.__init__(self)
        yaml.resolver.Resolver.__init__(self)
        self._events = events[::-1]

    def check_event(self, *kinds: type[yaml.Event]) -> bool:
        """Whether another event comes, of one of these kinds."""
        return bool(self._events) and (not kinds or isinstance(self._events[-1], kinds))

    def peek_event(self) -> yaml.Event | None:
        """The next event, which stays."""
        return self._events[-1] if self._events else None

    def get_event(self) -> yaml.Event | None:
        """The next event."""
        return self._events.pop() if self._events else None


def _nodes(name: str, text: str) -> list[yaml.Node]:
    """The nodes of every document; what may stand in none is found while it is still events."""
    depth = count = 0
    events: list[yaml.Event] = []
    for event in yaml.parse(text, yaml.SafeLoader):
        events.append(event)
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise CannotTell(f"{name}, line {line}: an alias or an anchor; allowed: none")
        if getattr(event, "tag", None):
            raise CannotTell(f"{name}, line {line}: a tag; allowed: none")
        if isinstance(event, yaml.DocumentStartEvent):
            count += 1
            if event.tags or event.version:
                raise CannotTell(f"{name}, line {line}: a directive; allowed: none")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH or count > DOCUMENTS:
            raise CannotTell(f"{name}, line {line}: more than {DEPTH} levels or {DOCUMENTS} documents")
    composer, nodes = _Composer(events), []
    while composer.check_node():
        nodes.append(composer.get_node())
    return [node for node in nodes if node is not None]


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1 if node.start_mark else 0


def _value(name: str, node: yaml.Node) -> Any:
    line = _line(node)
    if isinstance(node, yaml.MappingNode):
        told: dict[str, Any] = {}
        for at, each in node.value:
            key = _value(name, at)
            if not isinstance(key, str):
                raise CannotTell(f"{name}, line {_line(at)}: a key that is not text")
            if key in told:
                raise CannotTell(f"{name}, line {_line(at)}: a key that is given twice")
            told[key] = _value(name, each)
        return told
    if isinstance(node, yaml.SequenceNode):
        return [_value(name, each) for each in node.value]
    return _scalar(f"{name}, line {line}", str(node.value), plain=getattr(node, "style", None) is None)


def _scalar(where: str, text: str, *, plain: bool) -> Any:
    if not plain:
        return text
    if text in _NULL:
        return None
    if text in _TRUE:
        return _TRUE[text]
    if _INT.fullmatch(text) and text != "-0":
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _AMBIGUOUS.fullmatch(text):
        raise CannotTell(f"{where}: a word that readers of YAML take for different things; allowed: the same in quotes")
    return text
