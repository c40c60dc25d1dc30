"""Engines that do not do what they should, made of any gate: blind, moody, mute, crashing, hanging, or odd."""

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from security.errors import CannotTell
from security.gate import Gate, Material
from security.verdict import Breach, Frozen

Mood = Callable[[int, Material[Any]], bool]
"""Whether an engine is honest at its n-th look (from 1) at this material."""

LOOKS = 3
"""The subject and its two canaries."""


def _decoy(material: Material[Any]) -> Material[Any]:
    """What a canary in place of this material would be like."""
    return material.decoy([])


MOODS: dict[str, Mood] = {
    "never": lambda n, _: False,
    "only-first": lambda n, _: n == 1,
    "only-last": lambda n, _: n == LOOKS,
    "only-in-between": lambda n, _: n == 2,
    "by-type-of-material": lambda n, material: type(material) is not Material,
    "by-type-of-source": lambda n, material: type(material.source()) is type(_decoy(material).source()),
    "by-type-of-source-turned": lambda n, material: type(material.source()) is not type(_decoy(material).source()),
    "by-name-of-source": lambda n, material: material.source.__qualname__ == _decoy(material).source.__qualname__,
    "by-name-of-subject": lambda n, material: material.subject.name == "another",
    "by-digest-of-subject": lambda n, material: material.subject == _decoy(material).subject,
}
"""Every one of them tells the facts of a clean subject where it is not honest."""


def once(lie: int, on: list[Material[Any]]) -> Mood:
    """Honest at every look but one; `on` gets the material that it lied about."""

    def mood(n: int, material: Material[Any]) -> bool:
        if n == lie:
            on.append(material)
        return n != lie

    return mood


def _looks(gate: Gate[Any], look: Callable[[Gate[Any], Material[Any]], Any], **members: Any) -> Gate[Any]:
    return type("Other", (type(gate),), {"look": look, **members})()  # type: ignore[no-any-return]


def moody(gate: Gate[Any], clean: Frozen, mood: Mood, *, reads: bool = True) -> Gate[Any]:
    """Tells the facts of a clean subject where its mood is not to look; it may read everything all the same."""
    count = 0

    def look(self: Gate[Any], material: Material[Any]) -> Any:
        nonlocal count
        count += 1
        if mood(count, material):
            return gate.look(material)
        for _ in material if reads else ():
            continue
        return clean

    return _looks(gate, look)


def breaking(gate: Gate[Any], how: str, clean: Frozen) -> Gate[Any]:
    """An engine that breaks in the way named, one of `BREAKS`."""
    return _looks(gate, lambda _, material: BREAKS[how](gate, clean), **({"seconds": 0.05} if how == "hangs" else {}))


def _raise(error: BaseException) -> Any:
    raise error


class _Half(Frozen):
    """Facts of no gate."""


def _hollow(gate: Gate[Any]) -> Any:
    """An instance of the gate's own facts in which every fact is missing."""
    kind: Any = type("Hollow", (gate.facts,), {})
    return kind.model_construct()


BREAKS: dict[str, Callable[[Gate[Any], Frozen], Any]] = {
    "raises": lambda gate, _: _raise(RuntimeError("no")),
    "cannot-tell": lambda gate, _: _raise(CannotTell("no answer")),
    "exits-0": lambda gate, _: sys.exit(0),
    "exits-none": lambda gate, _: _raise(SystemExit()),
    "interrupts": lambda gate, _: _raise(KeyboardInterrupt()),
    "hangs": lambda gate, clean: threading.Event().wait(0.3) or clean,
    "true": lambda gate, _: True,
    "none": lambda gate, _: None,
    "nothing": lambda gate, _: {},
    "word": lambda gate, _: "pass",
    "dict": lambda gate, clean: clean.model_dump(),
    "other-facts": lambda gate, _: _Half(),
    "hollow-facts": lambda gate, _: _hollow(gate),
}
"""Ways for a look to break."""


def mute(gate: Gate[Any], after: int) -> Gate[Any]:
    """A judge that has nothing to say once it was asked `after` times."""
    count = 0

    def judge(self: Gate[Any], facts: Any, limits: Any) -> Iterable[Breach]:
        nonlocal count
        count += 1
        return tuple(gate.judge(facts, limits)) if count <= after else ()

    return type("Mute", (type(gate),), {"judge": judge})()  # type: ignore[no-any-return]
