"""Known-bad code: for each rule a maker that takes some files, with who signed them, and breaks that rule."""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from security.gate import Violation
from security.gates.code.facts import FILE, LINK, MODULE, RUNS, Entry, Found, Item, Listed, Loaded, Origin
from security.gates.code.world import World, resigned

EVIL = b"def answer():\n    return 43\n"


def _violation(spoil: Callable[[World, random.Random], None]) -> Violation[Item]:
    def make(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        world = World(sample, draw)
        spoil(world, draw)
        return world.items(draw)

    return make


def _drawn(world: World, draw: random.Random) -> str:
    """A signed file on which no other thing hangs."""
    name = f"canary_{draw.randrange(9999)}.txt"
    kept = [path for path in world.listed if path != f"{world.code}.py"]
    if not kept:
        world.put(name, draw.randbytes(20))
        world.listed[name] = world.entry(name)
    return draw.choice(kept or [name])


def _changed(world: World, draw: random.Random) -> None:
    path = _drawn(world, draw)
    data = bytearray(b"".join(world.found[path].read()) or b"\0")
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    world.put(path, bytes(data), world.found[path].mode)


def _missing(world: World, draw: random.Random) -> None:
    del world.found[_drawn(world, draw)]


def _moded(world: World, draw: random.Random) -> None:
    path = _drawn(world, draw)
    mode = draw.choice(sorted({FILE, RUNS, LINK, 0} - {world.found[path].mode}))
    world.found[path] = world.found[path]._replace(mode=mode)


def _stowaway(world: World, draw: random.Random) -> None:
    name = f"stowaway_{draw.randrange(9999)}"
    ending, mode = draw.choice(((".py", FILE), (".so", FILE), (".pth", FILE), (".pyc", FILE), ("", RUNS), ("", LINK)))
    world.put(draw.choice(("", "assets/")) + name + ending, draw.randbytes(9), mode)


def _unsigned(world: World, draw: random.Random) -> None:
    if draw.random() < 0.5:
        world.put(f"stowaway_{draw.randrange(9999)}.csv", draw.randbytes(9))
    else:
        world.more.append(Item("left", (f"canary-{draw.getrandbits(64):x}", draw.randrange(1, 9))))


def _compiled(world: World, draw: random.Random) -> None:
    world.cache(EVIL, draw)
    if draw.random() < 0.3:
        world.put(f"__pycache__/{world.code}.{sys.implementation.cache_tag}.pyc", draw.randbytes(60))


def _nobody(world: World, draw: random.Random) -> None:
    place = draw.randrange(len(world.commits))
    commit, after = world.commits[place]
    ways = (
        lambda: replace(commit, signature=""),
        lambda: replace(commit, signature="-----BEGIN PGP SIGNATURE-----\n\nno\n-----END PGP SIGNATURE-----"),
        lambda: replace(resigned(commit, draw), signed=commit.signed + b"\n"),
        lambda: resigned(commit, draw, b"file"),
    )
    world.commits[place] = draw.choice(ways)(), after
    world.torn = True


def _somebody(world: World, draw: random.Random) -> None:
    place = draw.randrange(len(world.commits))
    commit, after = world.commits[place]
    world.commits[place] = resigned(commit, draw), after


def _other(world: World, draw: random.Random) -> None:
    """The commits as they are, under other ids."""
    fresh = f"{draw.getrandbits(160):040x}"
    world.since = (world.since[0], fresh)
    world.commits = [(replace(commit, id=f"{draw.getrandbits(160):040x}"), after) for commit, after in world.commits]


def _odd(world: World, draw: random.Random) -> None:
    world.more.append(Item("oddity", draw.choice((f"replace ref {draw.getrandbits(48):012x}", "grafts"))))


def _hidden(world: World, draw: random.Random) -> None:
    world.more.append(Item("hidden", (_drawn(world, draw), draw.choice(("skip-worktree", "assume-unchanged")))))


def _drifted(world: World, draw: random.Random) -> None:
    name, at = f"inner_{draw.randrange(9999)}", f"{draw.getrandbits(160):040x}"
    world.listed[name] = Listed(name, MODULE, at)
    if draw.random() < 0.5:
        world.found[name] = Found(name, MODULE, 0, lambda: iter(()), f"{draw.getrandbits(160):040x}")


def _shadowing(world: World, draw: random.Random) -> None:
    names = draw.choice(((world.code,), (world.code, "json")))
    world.more.append(Item("entry", Entry(f"entry-{draw.randrange(99)}", names, False)))


def _starting(world: World, draw: random.Random) -> None:
    name = f"canary-{draw.randrange(99)}.pth"
    ways: tuple[tuple[Origin, str], ...] = (("package", "0" * 64), ("package", ""), ("elsewhere", ""))
    origin, sha = draw.choice(ways)
    lines = b"# a comment\nimport os; os.getpid()\n"
    world.more.append(Item("pth", Loaded(name, origin, name, sha, lambda: iter((lines,)))))


def _foreign(world: World, draw: random.Random) -> None:
    name, data = f"canary_{draw.getrandbits(40):x}", draw.randbytes(9)
    ways: tuple[tuple[Origin, str], ...] = (("elsewhere", "somewhere"), ("package", "site"))
    origin, place = draw.choice(ways)
    world.more.append(Item("loaded", Loaded(name, origin, place, "0" * 64, lambda: iter((data,)))))


def _unreviewed(world: World, draw: random.Random) -> None:
    name = f"canary_{draw.getrandbits(40):x}"
    world.put(f"{name}.py", EVIL)  # a file that nobody signed: so CODE-04 is broken as well
    world.more.append(Item("loaded", Loaded(name, "tree", f"{name}.py", "", world.found[f"{name}.py"].read)))


def _leading(world: World, draw: random.Random) -> None:
    name = f"canary_{draw.randrange(9999)}"
    world.put(name, draw.choice((b"/elsewhere", b"..", b"nowhere", name.encode())), LINK)
    world.listed[name] = world.entry(name)


VIOLATIONS: dict[str, Violation[Any]] = {
    "CODE-01": _violation(_changed),
    "CODE-02": _violation(_missing),
    "CODE-03": _violation(_moded),
    "CODE-04": _violation(_stowaway),
    "CODE-05": _violation(_unsigned),
    "CODE-06": _violation(_compiled),
    "CODE-07": _violation(_nobody),
    "CODE-08": _violation(_somebody),
    "CODE-09": _violation(_other),
    "CODE-10": _violation(_odd),
    "CODE-11": _violation(_hidden),
    "CODE-12": _violation(_drifted),
    "CODE-13": _violation(_shadowing),
    "CODE-14": _violation(_starting),
    "CODE-15": _violation(_foreign),
    "CODE-16": _violation(_leading),
    "CODE-17": _violation(_unreviewed),
}
