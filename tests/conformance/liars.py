"""Engines that do not do what they should, made of any gate: blind, moody, mute, crashing, hanging, or odd."""

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from security.errors import CannotTell
from security.gate import Gate
from security.material import Handed, Material
from security.verdict import Breach, Frozen, Subject

Mood = Callable[[int, Handed[Any]], bool]
"""Whether an engine is honest at its n-th look (from 1) at this material."""

LOOKS = 3
"""The subject and its two canaries."""
_SUBJECT = Subject(kind="rows", name="another", sha256="0" * 64)
CANARY = Material[Any](_SUBJECT, lambda: iter(()), expected=0, unit="rows").decoy([]).handed()[0]
"""What a canary travels in: an engine that knew it from the subject would be honest with canaries alone."""


def _kind(material: Handed[Any]) -> tuple[str, ...]:
    """Everything of a material that can be seen without taking from it."""
    held = vars(material)
    kinds = (f"{name}: {type(held[name]).__qualname__}" for name in sorted(held))
    return (type(material).__name__, str(getattr(material._items, "__qualname__", "")), *kinds)


MOODS: dict[str, Mood] = {
    "never": lambda n, _: False,
    "only-first": lambda n, _: n == 1,
    "only-last": lambda n, _: n == LOOKS,
    "only-in-between": lambda n, _: n == 2,
    "by-type-of-material": lambda n, material: type(material) is not type(CANARY),
    "by-the-canarys-type": lambda n, material: type(material) is type(CANARY),
    "by-the-canarys-members": lambda n, material: _kind(material) == _kind(CANARY),
    "by-other-members": lambda n, material: _kind(material) != _kind(CANARY),
    "by-name-of-subject": lambda n, material: material.subject.name == CANARY.subject.name,
    "by-digest-of-subject": lambda n, material: material.subject.sha256 == "1" * 64,
    "by-how-much-there-should-be": lambda n, material: getattr(material, "expected", 99) <= 30,
}
"""Every one of them tells the facts of a clean subject where it is not honest."""


def once(lie: int, on: list[Handed[Any]]) -> Mood:
    """Honest at every look but one; `on` gets the material that it lied about."""

    def mood(n: int, material: Handed[Any]) -> bool:
        if n == lie:
            on.append(material)
        return n != lie

    return mood


def _looks(gate: Gate[Any], look: Callable[[Gate[Any], Handed[Any]], Any], **members: Any) -> Gate[Any]:
    return type("Other", (type(gate),), {"look": look, **members})()  # type: ignore[no-any-return]


def moody(gate: Gate[Any], clean: Frozen, mood: Mood, *, reads: bool = True) -> Gate[Any]:
    """Tells the facts of a clean subject where its mood is not to look; it may read everything all the same."""
    count = 0

    def look(self: Gate[Any], material: Handed[Any]) -> Any:
        nonlocal count
        count += 1
        if mood(count, material):
            return gate.look(material)
        for _ in material if reads else ():
            continue
        return clean

    return _looks(gate, look)


def twice(gate: Gate[Any]) -> Gate[Any]:
    """An engine that reads what it is given, and then looks at it."""

    def look(self: Gate[Any], material: Handed[Any]) -> Any:
        for _ in material:
            continue
        return gate.look(material)

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


def shy(gate: Gate[Any], cause: str) -> Gate[Any]:
    """A judge that only ever says that it cannot tell, by a cause that a policy may observe."""

    def judge(self: Gate[Any], facts: Any, limits: Any) -> Iterable[Breach]:
        raise CannotTell("who knows", cause)

    return type("Shy", (type(gate),), {"judge": judge, "causes": gate.causes | {cause}})()  # type: ignore[no-any-return]


def evasive(gate: Gate[Any], cause: str) -> Gate[Any]:
    """A look that ends before its end, by a cause that a policy may observe."""

    def look(self: Gate[Any], material: Any) -> Frozen:
        raise CannotTell("who knows", cause)

    return type("Evasive", (type(gate),), {"look": look, "causes": gate.causes | {"other", cause}})()  # type: ignore[no-any-return]


def mute(gate: Gate[Any], after: int) -> Gate[Any]:
    """A judge that has nothing to say once it was asked `after` times."""
    count = 0

    def judge(self: Gate[Any], facts: Any, limits: Any) -> Iterable[Breach]:
        nonlocal count
        count += 1
        return tuple(gate.judge(facts, limits)) if count <= after else ()

    return type("Mute", (type(gate),), {"judge": judge})()  # type: ignore[no-any-return]
