"""Known-bad images and processes: for each rule a maker that takes one and breaks that rule.

A rule that only an image can break is broken in an image, whatever is looked at.
"""

import random
import string
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from security.advisories.mirror import Mirror, stamp
from security.advisories.record import Own, when
from security.engines.checksum import crc
from security.gate import Violation
from security.gates.image import reports
from security.gates.image.facts import IMAGE, PYPI, Item
from security.gates.image.world import CODENAME, SITE, World
from security.inventory import Node, made
from security.inventory.read import EACH, RELEASE, STATUS
from security.verdict import digest

_LETTERS = string.ascii_letters + string.digits
Spoil = Callable[[World, random.Random], None]


def _violation(spoil: Spoil, form: str = "") -> Violation[Item]:
    def make(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        world = World(sample, draw, form)
        spoil(world, draw)
        return world.items()

    return make


def _tagged(world: World, draw: random.Random) -> None:
    world.reference = draw.choice(("canary:latest", "canary", f"canary@sha256:{digest(world.made_up)}"))


def _unsigned(world: World, draw: random.Random) -> None:
    # The bill is believed for who signed it and the image: of an image that a stranger signed it is a stranger's.
    world.put(f"srv/{world.made_up}", "signed by nobody who may")


def _unbilled(world: World, draw: random.Random) -> None:
    world.bills = False


def _ended(world: World, draw: random.Random) -> None:
    codename = (seen.codename if (seen := world.seen().system) else "") or CODENAME
    told = f"ID=debian\nVERSION_ID=8\nVERSION_CODENAME={codename}\n"
    for path in RELEASE if world.tree.read(RELEASE[1]) is not None else RELEASE[:1]:
        world.put(path, told)


def _undeclared(world: World, draw: random.Random) -> None:
    way = draw.randrange(3)
    if way == 0:
        for path in [each for each, _ in world.tree.files() if each == STATUS or each.startswith(f"{EACH}/")]:
            world.drop(path)
    elif way == 1:
        world.put(f"{SITE}/{draw.choice(('stowaway', '_c'))}_{world.made_up}.py", "import os\n")
    else:
        world.put(f"{world.made_up}/run", "#!/bin/sh\n", 0o755)  # where no policy allows what nobody's package has


def _vulnerable(world: World, draw: random.Random) -> None:
    """Of a package or a distribution that is there, called critical: it must be found, however bad it has to be."""
    here = world.seen()
    of = here.system.ecosystem if here.system else ""
    own = Own("CRITICAL")
    if of and here.packages and draw.random() < 0.5:
        world.learn(of, draw.choice([each.source for each in here.packages]), database_specific=own)
    else:
        name = f"canary-{world.made_up}"
        world.dist(name, "1.0")
        world.locked[name] = "1.0"
        world.learn(PYPI, name, database_specific=own)


def _stale(world: World, draw: random.Random) -> None:
    back = when(world.now) - timedelta(days=366 * draw.randrange(11, 20))
    here = world.seen()
    of = here.system.ecosystem if here.system else ""
    world.mirror = Mirror(world.mirror.head, {})
    world.now, now = stamp(back), world.now
    for each in (PYPI, *([of] if of else [])):
        world.learn(each, f"nothing-{world.made_up}")
    world.now = now


def _root(world: World, draw: random.Random) -> None:
    world.config["config"]["User"] = draw.choice(("", "0", "root", "0:0", "service", "65532:0"))


def _secret(world: World, draw: random.Random) -> None:
    body, capital = "".join(draw.choices(_LETTERS, k=30)), "".join(draw.choices(string.ascii_uppercase, k=16))
    told = draw.choice((f"ghp_{body}{crc(body)}", f"AKIA{capital}"))
    way = draw.randrange(4) if world.form == IMAGE else 0
    if way == 0:
        world.config["config"]["Env"] = ["PATH=/usr/bin", f"SETTING={told}"]
    elif way == 1:
        world.config["history"] = [{"created_by": f"RUN fetch --with {told}"}]
    elif way == 2:
        world.put(f"{world.made_up}/note", f"it is {told}\n")
    else:
        world.under[f"{world.made_up}/note"] = Node("file", data=f"it is {told}\n".encode())
        world.top[f"{world.made_up}/.wh.note"] = Node("file", data=b"")


def _setuid(world: World, draw: random.Random) -> None:
    world.put(f"usr/share/{world.made_up}", "runs as another", draw.choice((0o4644, 0o2644, 0o6644)))


def _based(world: World, draw: random.Random) -> None:
    first = made.blob(made.layer({f"usr/share/{world.made_up}": Node("file", data=b"")}))
    world.layers = [first, *world.layers]


def _torn(world: World, draw: random.Random) -> None:
    world.torn = True


def _unlocked(world: World, draw: random.Random) -> None:
    name = draw.choice(sorted(world.locked) or ["nothing"])
    way = draw.randrange(3) if name in world.locked else 2
    if way == 0:
        world.locked[f"missing-{world.made_up}"] = "1.0"
    elif way == 1:
        world.locked[name] = "9999.0"
    else:
        world.dist(f"stowaway-{world.made_up}", "1.0")


def _outdated(world: World, draw: random.Random) -> None:
    name = draw.choice([each.name for each in world.seen().packages if each.kind == "deb"])
    world.newer[name] = f"9999:{draw.randrange(1, 99)}"


def _shelled(world: World, draw: random.Random) -> None:
    ways: tuple[list[str], ...] = ([], ["/bin/sh", "-c", "exec python3"], ["python3"], ["/usr/bin/env", "python3"])
    world.config["config"]["Entrypoint"] = draw.choice(ways)


def _hushed(world: World, draw: random.Random) -> None:
    """A file that scanners obey, or a stranger's word that what is there does no harm."""
    if draw.randrange(6) == 0:
        world.excused = f"CANARY-{world.made_up}"
        return
    name = draw.choice((".trivyignore", ".grype.yaml", "openvex.json", ".snyk", "osv-scanner.toml"))
    world.put(f"srv/{name}", "CVE-2026-0001\n")


def _differing(world: World, draw: random.Random) -> None:
    """Another scanner finds something in a package that is here, or sees another system."""
    world.differs = draw.choice((f"CANARY-{world.made_up}", reports.SYSTEM))


VIOLATIONS: Mapping[str, Violation[Any]] = {
    "IMG-01": _violation(_tagged, IMAGE),
    "IMG-02": _violation(_unsigned, IMAGE),
    "IMG-03": _violation(_unbilled, IMAGE),
    "IMG-04": _violation(_ended),
    "IMG-05": _violation(_undeclared),
    "IMG-06": _violation(_vulnerable),
    "IMG-07": _violation(_stale),
    "IMG-08": _violation(_root, IMAGE),
    "IMG-09": _violation(_secret),
    "IMG-10": _violation(_setuid, IMAGE),
    "IMG-11": _violation(_based, IMAGE),
    "IMG-12": _violation(_torn, IMAGE),
    "IMG-13": _violation(_unlocked),
    "IMG-14": _violation(_outdated),
    "IMG-15": _violation(_shelled, IMAGE),
    "IMG-16": _violation(_hushed),
    "IMG-17": _violation(_differing, IMAGE),
}
