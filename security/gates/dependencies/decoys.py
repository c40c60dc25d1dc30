"""Known-bad dependencies: for each rule a maker that takes a lock and breaks that rule.

A canary is a small lock of its own, made of lines of the real one, with an environment that is just that; the
advisories are the real ones, so that they must know of the vulnerability that is planted. Where there are none, some
are made up: then it is the engines alone that are shown to work. A live service's answers are told on for canaries too,
and to a name that is made up as none.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec

from security.advisories.live import Live
from security.advisories.mirror import Head, Mirror, stamp
from security.advisories.record import ECOSYSTEM, Advisory, Affected, Event, Own, Package, Range, when
from security.engines.index import Listing
from security.gate import Violation
from security.gates.dependencies import bill
from security.gates.dependencies.facts import MANY, Dist, Item
from security.gates.dependencies.lock import Line, Pin, pinned, read, written
from security.gates.dependencies.match import FORGET_ME_NOT

LICENCE = "MIT"
FEW = 4
"""Lines of a canary."""


class _World:
    """A lock, its environment and the advisories, to be spoiled."""

    def __init__(self, sample: Sequence[Item], draw: random.Random) -> None:
        told = {item.kind: item.value for item in sample if item.kind not in MANY}
        self.beside = [item for item in sample if item.kind in ("also", "part")]
        self.now = str(told.get("now") or "2026-01-01T00:00:00Z")
        known: Mirror | None = told.get("advisories")
        # Of half of the answers nothing follows: that is told as what it is, not as a canary's miss.
        self.mirror = _made(self.now) if known is None or told.get("service") else known
        pins = [each for item in sample if item.kind == "line" and isinstance(each := read(item.value), Pin)]
        # What has to stand in the lock stands in a canary too: without it, it would be caught for that alone.
        parts = [pin for item in sample if item.kind == "part" for pin in pinned(item.value[1])]
        theirs = {written(pin, pin.marker): pin for pin in parts}
        self.part = [pin.name for pin in theirs.values() if pin.applies]
        here = list({pin.name: pin for pin in pins if pin.applies and pin.name not in self.part}.values())
        chosen = draw.sample(here, min(FEW, len(here)))
        own = [_line(pin.name, pin.version, draw) for pin in chosen] or [_line("sluice-canary", "1.0", draw)]
        self.lines = [*own, *theirs]
        self.dists = [_dist(line) for line in [*own, *(line for line, pin in theirs.items() if pin.applies)]]
        self.listings = {line: _known(*_named(line)) for line in self.lines}
        self._quiet({pin.name for pin in parts})
        self.billed = list[Dist]()
        """What the bill of materials lists, where that is not what is installed."""

    def add(self, name: str, version: str, draw: random.Random) -> None:
        """One package more, locked and installed."""
        self.drop(name)
        self.lines.append(_line(name, version, draw))
        self.dists.append(Dist(name=name, version=version, direct=False, licence=LICENCE))
        self.listings[self.lines[-1]] = _known(name, version)

    def _quiet(self, names: set[str]) -> None:
        """Nothing is known of what has to stand in every canary: it would be caught for that."""
        everybody = {id for _, _, id in FORGET_ME_NOT}
        known = dict(self.mirror.known)
        for name in names & known.keys():
            known[name] = tuple(each for each in known[name] if each.id in everybody)
        self.mirror = replace(self.mirror, known=known)
        if isinstance(self.mirror, Live):
            kept = {at: found for at, found in self.mirror.answers.items() if at[0] not in names}
            self.mirror = replace(self.mirror, answers=kept)

    def drop(self, name: str) -> None:
        """Without a package."""
        gone = [line for line in self.lines if line.startswith(f"{name}==")]
        self.lines = [line for line in self.lines if line not in gone]
        self.listings = {line: told for line, told in self.listings.items() if line not in gone}
        self.dists = [dist for dist in self.dists if dist.name != name]

    def items(self) -> list[Item]:
        """What is handed out."""
        made = [Item("advisories", self._answered()), Item("service", ""), Item("now", self.now)]
        made += [Item("environment", True), Item("listings", tuple(self.listings.values()))]
        made += [Item("index", "canary"), *self.beside]
        made += [Item("line", Line(number, text)) for number, text in enumerate(self.lines, 1)]
        made.append(Item("bill", bill.made(self.billed or self.dists, {}, self.now, root="canary")))
        return made + [Item("dist", dist) for dist in self.dists]

    def _answered(self) -> Mirror:
        """The advisories; a live service's with an answer to everything that is here."""
        if not isinstance(self.mirror, Live):
            return self.mirror
        pins = [each for number, text in enumerate(self.lines) if isinstance(each := read(Line(number, text)), Pin)]
        here = [*((pin.name, pin.version) for pin in pins), *((dist.name, dist.version) for dist in self.dists)]
        return replace(self.mirror, answers={**dict.fromkeys(here, frozenset()), **self.mirror.answers})


def _line(name: str, version: str, draw: random.Random) -> str:
    return f"{name}=={version} --hash=sha256:{draw.getrandbits(256):064x}"


def _known(name: str, version: str) -> Listing:
    return Listing(name=name, version=version, known=True)


def _named(line: str) -> tuple[str, str]:
    name, _, version = line.split()[0].partition("==")
    return name, version


def _dist(line: str) -> Dist:
    name, version = _named(line)
    return Dist(name=name, version=version, direct=False, licence=LICENCE)


def _advisory(id: str, name: str, version: str, now: str, **more: Any) -> Advisory:
    span = Range(type="ECOSYSTEM", events=(Event(introduced=version), Event(last_affected=version)))
    affected = Affected(package=Package(ecosystem=ECOSYSTEM, name=name), ranges=(span,))
    return Advisory(id=id, modified=now, affected=(affected,), **more)


def _made(now: str) -> Mirror:
    known: dict[str, tuple[Advisory, ...]] = {name: (_advisory(id, name, at, now),) for name, at, id in FORGET_ME_NOT}
    return Mirror(Head(source="made up", checked=now, newest=now, count=len(known), sha256=""), known)


def _violation(spoil: Callable[[_World, random.Random], None]) -> Violation[Item]:
    def make(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        world = _World(sample, draw)
        spoil(world, draw)
        return world.items()

    return make


def _loose(world: _World, draw: random.Random) -> None:
    place = draw.randrange(len(world.lines))
    pin = world.lines[place].split()[0]
    name = pin.partition("==")[0]
    sha = f"--hash=sha256:{draw.getrandbits(256):064x}"
    ways = (pin, f"{pin} --hash=md5:{draw.getrandbits(128):032x}", f"{name} {sha}", f"{name}>=0 {sha}", "?!")
    world.lines[place] = draw.choice(ways)


def _apart(world: _World, draw: random.Random) -> None:
    dist = world.dists.pop(draw.randrange(len(world.dists)))
    other = Dist(name=dist.name, version=f"{draw.randrange(900, 999)}.0", direct=False, licence=LICENCE)
    stowaway = dist.model_copy(update={"name": f"stowaway-{draw.randrange(99)}"})
    world.dists += draw.choice(([], [other], [dist, stowaway]))


def _elsewhere(world: _World, draw: random.Random) -> None:
    name = f"canary-{draw.randrange(99)}"
    ways = (
        f"{name} @ https://example.org/{name}-1.0-py3-none-any.whl --hash=sha256:{draw.getrandbits(256):064x}",
        f"-e ./{name}",
        f"git+https://example.org/{name}",
        "--extra-index-url https://example.org/simple",
        f"./{name}-1.0-py3-none-any.whl",
    )
    world.lines.insert(draw.randrange(len(world.lines) + 1), draw.choice(ways))


def _vulnerable(world: _World, draw: random.Random) -> None:
    """Of what the advisories know, called critical: it must be found, however bad it has to be to stop."""
    name, version, _ = draw.choice(FORGET_ME_NOT)
    world.add(name, version, draw)
    known = world.mirror.known
    worst = tuple(msgspec.structs.replace(each, database_specific=Own("CRITICAL")) for each in known.get(name, ()))
    world.mirror = replace(world.mirror, known={**known, name: worst})


def _unseen(world: _World, draw: random.Random) -> None:
    """A line that names no version, and a package that is installed and not locked; or one of what has to stand in the
    lock, that does not."""
    if world.part and draw.random() < 0.5:
        world.drop(draw.choice(world.part))
        return
    name = f"stowaway-{draw.randrange(99)}"
    world.lines.append(draw.choice((f"{name}>=0", name, f"./{name}")))
    world.dists.append(Dist(name=name, version="1.0", direct=False, licence=LICENCE))


def _stranger(world: _World, draw: random.Random) -> None:
    name = f"hallucinated-{draw.getrandbits(40):x}"
    world.add(name, "1.0", draw)
    world.listings[world.lines[-1]] = Listing(name=name, version="1.0", known=False, strange=1)


def _stale(world: _World, draw: random.Random) -> None:
    head, back = world.mirror.head, timedelta(days=366 * draw.randrange(11, 30))
    old = {"newest": _before(head.newest, back), "checked": _before(head.checked, back)}
    world.mirror = replace(world.mirror, head=head.model_copy(update=old))


def _before(told: str, back: timedelta) -> str:
    try:
        return stamp(when(told) - back)
    except OverflowError:
        return told


def _unlicensed(world: _World, draw: random.Random) -> None:
    told = draw.choice(("LicenseRef-canary", "", "NOASSERTION", f"{LICENCE} AND LicenseRef-canary"))
    # A policy may say what the licence of a package is that declares none: not of one with this name.
    world.add(f"unlicensed-{draw.randrange(99)}", "1.0", draw)
    world.dists[-1] = world.dists[-1].model_copy(update={"licence": told})


def _unbilled(world: _World, draw: random.Random) -> None:
    kept = list(world.dists)
    lost = kept.pop(draw.randrange(len(kept)))
    other = lost.model_copy(update={"version": f"{draw.randrange(900, 999)}.0"})
    stowaway = lost.model_copy(update={"name": f"stowaway-{draw.randrange(99)}"})
    world.billed = draw.choice((kept or [stowaway], [*kept, other], [*world.dists, stowaway]))


def _withdrawn(world: _World, draw: random.Random) -> None:
    name = draw.choice(sorted(world.listings))
    told = draw.choice(({"yanked": "broken"}, {"status": "quarantined"}))
    world.listings[name] = world.listings[name].model_copy(update=told)


def _torn(world: _World, draw: random.Random) -> None:
    """An advisory that one of the two passes over: pip-audit leaves out what is of another version of the format."""
    name, _, version = draw.choice(world.lines).split()[0].partition("==")
    odd = _advisory(f"CANARY-{draw.randrange(9999)}", name, version, world.now, schema_version="2.0.0")
    known = world.mirror.known
    world.mirror = replace(world.mirror, known={**known, name: (*known.get(name, ()), odd)})
    if isinstance(world.mirror, Live):
        mine = world.mirror.answers.get((name, version), frozenset())
        world.mirror = replace(world.mirror, answers={**world.mirror.answers, (name, version): mine | {odd.id}})


VIOLATIONS: dict[str, Violation[Any]] = {
    "DEP-01": _violation(_loose),
    "DEP-02": _violation(_apart),
    "DEP-03": _violation(_elsewhere),
    "DEP-04": _violation(_vulnerable),
    "DEP-05": _violation(_unseen),
    "DEP-06": _violation(_stranger),
    "DEP-07": _violation(_stale),
    "DEP-09": _violation(_torn),
    "DEP-10": _violation(_unlicensed),
    "DEP-11": _violation(_unbilled),
    "DEP-12": _violation(_withdrawn),
}
