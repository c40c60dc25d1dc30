"""Known-bad images and processes: for each rule a maker that takes one and breaks that rule.

A canary has some of the real packages and distributions, and the real advisories; one more layer, or one more file,
has what is wrong with it. A small image keeps its own layers below that. What is signed is signed by a key that nobody
has: a canary of an image is never signed by who may. A rule that only an image can break is broken in an image.
"""

import hashlib
import random
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from security.advisories.mirror import Head, Mirror, stamp
from security.advisories.record import Advisory, Affected, Event, Own, Package, Range, when
from security.engines.checksum import crc
from security.fresh import Fresh
from security.gate import Violation
from security.gates.image import signed
from security.gates.image.facts import IMAGE, MANY, PROCESS, PYPI, About, File, Item
from security.inventory import Interpreter, Inventory, Node, Tree, feeds, made
from security.inventory.layers import Blob, Laid, lay
from security.inventory.read import LISTS, RELEASE, STATUS, inventory
from security.keys import seal
from security.verdict import canonical, digest

SMALL = 4 << 20
"""Bytes of layers that a canary keeps."""
FEW = 4
"""Packages, and distributions, of a canary that keeps none."""
SITE = "srv/packages"
CODENAME = "bookworm"
_RELEASE = f'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME={CODENAME}\n'
Spoil = Callable[["World", random.Random], None]
_LETTERS = string.ascii_letters + string.digits


class World:
    """An image or a process, to be spoiled. `top`: what is laid over it, whiteouts among it."""

    def __init__(self, sample: Sequence[Item], draw: random.Random, form: str = "") -> None:
        told = {item.kind: item.value for item in sample if item.kind not in MANY}
        about: About = told.get("about") or About(PROCESS, "", "2026-01-01T00:00:00Z")
        self.form, self.now, self.draw = form or about.form, about.now, draw
        self.key, self.made_up = Fresh(draw), f"{draw.getrandbits(40):010x}"
        own = [item.value for item in sample if item.kind == "layer"]
        small = about.form == IMAGE and sum(each.size for each in own) <= SMALL
        here = _tree(sample, own if small else [])
        seen = inventory(here)
        small = small and bool(seen.dists) and any(each.kind == "deb" for each in seen.packages)
        self.layers: list[Blob] = list(own) if small else []
        self.base = {} if small else _part(here, draw)
        if not small:
            here = Tree()
            for path, node in self.base.items():
                here.put(path, node)
        self.tree, self.top, self.under = here, dict[str, Node](), dict[str, Node]()
        self.config: dict[str, Any] = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"User": "65532:65532", "Entrypoint": ["/usr/bin/python3.11", "-I"], "Env": ["PATH=/usr/bin"]},
            "history": [],
        }
        self.mirror = self._advised(told.get("advisories"))
        self.newer: dict[str, str] = {}
        self.reference, self.signs, self.bills, self.torn = "", True, True, False
        self.locked = {each.name: each.version for each in self.seen().dists}
        interpreter = told.get("interpreter")
        known = Interpreter(implementation="CPython", version="3.11.9", owner="python3.11-minimal")
        self.interpreter = interpreter or known if self.form == PROCESS else None

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """One file more, or another in its place."""
        self.top[path] = Node("file", mode, data=text.encode())
        self.tree.put(path, self.top[path])

    def drop(self, path: str) -> None:
        """Without a file."""
        parent, _, name = path.rpartition("/")
        self.tree.drop(path)
        self.top.pop(path, None)
        self.top[f"{parent}/.wh.{name}"] = Node("file", data=b"")

    def dist(self, name: str, version: str) -> None:
        """One distribution more."""
        start = f"{SITE}/{name}-{version}.dist-info"
        self.put(f"{start}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        self.put(f"{start}/RECORD", f"{name}-{version}.dist-info/RECORD,,\n")

    def seen(self) -> Inventory:
        """What is in it."""
        return inventory(self.tree)

    def learn(self, ecosystem: str, name: str, **more: Any) -> None:
        """One advisory more: of every version of a package, fixed in one that nobody has."""
        told = _advisory(f"CANARY-{self.made_up}", ecosystem, name, self.now, **more)
        known, systems = dict(self.mirror.known), dict(self.mirror.systems)
        if ecosystem == PYPI:
            known[name] = (*known.get(name, ()), told)
        else:
            systems[ecosystem, name] = (*systems.get((ecosystem, name), ()), told)
        self.mirror = replace(self.mirror, known=known, systems=systems)

    def _advised(self, mirror: Mirror | None) -> Mirror:
        """The advisories; of an ecosystem of which there are none one is made up. Of what stands in every canary
        nothing is known: it would be caught for that."""
        head = Head(source="made up", checked=self.now, newest=self.now, count=1, sha256="")
        real = mirror or Mirror(head, {})
        here = self.seen()
        of = here.system.ecosystem if here.system else ""
        sources = {(of, each.source) for each in here.packages}
        names = {each.name for each in here.dists}
        self.mirror = replace(
            real,
            known={name: told for name, told in real.known.items() if name not in names},
            systems={at: told for at, told in real.systems.items() if at not in sources},
        )
        for ecosystem in (PYPI, of, "Debian:8"):
            told = self.mirror.known if ecosystem == PYPI else [at for at in self.mirror.systems if at[0] == ecosystem]
            if ecosystem and not told:
                self.learn(ecosystem, f"nothing-{self.made_up}")
        return self.mirror

    def items(self) -> list[Item]:
        """What is handed out."""
        items = [Item("advisories", self.mirror), Item("lock", self.locked), *self._feeds()]
        if self.form == PROCESS:
            config = {"config": self.config["config"]}
            items += [Item("about", About(PROCESS, "", self.now)), Item("config", canonical(config))]
            items += [Item("interpreter", self.interpreter)]
            return items + [Item("file", File(path, node)) for path, node in self.tree.files()]
        below = [*self.layers, *([made.blob(made.layer(self.base))] if self.base else [])]
        over = [made.blob(made.layer(each)) for each in (self.under, self.top) if each]
        image = made.image([*below, *over], self.config)
        layers = [*image.layers]
        if self.torn:
            at = self.draw.randrange(len(layers))
            data = b"".join(layers[at].chunks()) + b"\0" * 512
            layers[at] = layers[at]._replace(chunks=lambda: (data,))
        reference = self.reference or f"canary@sha256:{image.sha256}"
        items += [Item("about", About(IMAGE, reference, self.now)), Item("manifest", image.manifest)]
        items += [Item("config", image.config), *(Item("layer", each) for each in layers)]
        return items + self._signed(image.sha256)

    def _signed(self, sha: str) -> list[Item]:
        payload = signed.payload(sha)
        parts = signed.components(signed.listed(self.seen()))
        parts = parts if self.bills else {**parts, "components": parts["components"][1:]}
        bill = seal(signed.CYCLONEDX, {"canary": sha}, parts, self.key)
        told = [Item("key", self.key.public.pem), Item("attestation", bill)]
        return [*told, Item("signature", (payload, self.key.mark(payload)))] if self.signs else told

    def _feeds(self) -> list[Item]:
        here = self.seen()
        stanzas = [
            f"Package: {each.name}\nArchitecture: {each.arch}\nVersion: {self.newer.get(each.name, each.version)}\n"
            for each in here.packages
            if each.kind == "deb"
        ]
        codename = here.system.codename if here.system else CODENAME
        text = "\n".join(stanzas) or "Package: nothing\nArchitecture: all\nVersion: 1\n"
        return [Item("feed", feed(text, codename, self.now))]


def feed(text: str, codename: str, now: str, days: float = 7.0) -> feeds.Feed:
    """A list of security updates, as apt keeps one, made at a moment."""
    at, sha = when(now), hashlib.sha256(text.encode()).hexdigest()
    release = [f"Codename: {codename}{feeds.SUITE}", f"Date: {feeds.spelled(at)}"]
    release += [f"Valid-Until: {feeds.spelled(at + timedelta(days=days))}", "SHA256:"]
    release += [f" {sha} {len(text.encode())} main/binary-amd64/Packages"]
    return feeds.Feed("\n".join(release).encode(), "canary_Packages", text.encode())


def _tree(sample: Sequence[Item], layers: Sequence[Blob]) -> Tree:
    laid = Laid()
    for number, each in enumerate(layers, 1):
        lay(laid, number, each, lambda *_: None)
    for item in sample:
        if item.kind == "file":
            laid.tree.put(*item.value)
    return laid.tree


def _part(here: Tree, draw: random.Random) -> dict[str, Node]:
    """A system of its own, with some packages and distributions of another."""
    seen = inventory(here)
    debs = [each for each in seen.packages if each.kind == "deb" and each.name != "python3.11-minimal"]
    chosen = draw.sample(debs, min(FEW, len(debs)))
    release = next((data for path in RELEASE if (data := here.read(path)) is not None), b"")
    debian = seen.system is not None and seen.system.id == "debian" and chosen
    told = {"etc/os-release": Node("file", data=release if debian else _RELEASE.encode())}
    rows = {each.name: (each.version, each.arch, f"{each.source} ({each.built})") for each in chosen}
    rows["python3.11-minimal"] = ("3.11.2-6", "amd64", "python3.11")
    stanzas = [
        f"Package: {name}\nStatus: install ok installed\nArchitecture: {arch}\nVersion: {at}\nSource: {source}\n"
        for name, (at, arch, source) in sorted(rows.items())
    ]
    told[STATUS] = Node("file", data="\n".join(stanzas).encode())
    for name in rows:
        told[f"{LISTS}/{name}.list"] = Node("file", data=b"/.\n")
    told[f"{LISTS}/python3.11-minimal.list"] = Node("file", data=b"/usr/bin/python3.11\n")
    told["usr/bin/python3.11"] = Node("file", 0o755, data=b"\x7fELF")
    dists = draw.sample(seen.dists, min(FEW, len(seen.dists)))
    for name, at in {each.name: each.version for each in dists}.items() or [("nothing", "1.0")]:
        start = f"{SITE}/{name}-{at}.dist-info"
        told[f"{start}/METADATA"] = Node("file", data=f"Name: {name}\nVersion: {at}\n".encode())
        told[f"{start}/RECORD"] = Node("file", data=f"{name}-{at}.dist-info/RECORD,,\n".encode())
    return told


def _advisory(id: str, ecosystem: str, name: str, now: str, **more: Any) -> Advisory:
    span = Range(type="ECOSYSTEM", events=(Event(introduced="0"), Event(fixed="9999999")))
    affected = Affected(package=Package(ecosystem=ecosystem, name=name), ranges=(span,))
    return Advisory(id=id, modified=now, affected=(affected,), **more)


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
        world.drop(STATUS)
        world.newer = {}
    elif way == 1:
        world.put(f"{SITE}/{draw.choice(('stowaway', '_c'))}_{world.made_up}.py", "import os\n")
    else:
        world.put(f"usr/bin/{world.made_up}", "#!/bin/sh\n", 0o755)


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
        world.put(f"srv/{world.made_up}.txt", f"it is {told}\n")
    else:
        world.under[f"srv/{world.made_up}.txt"] = Node("file", data=f"it is {told}\n".encode())
        world.top[f"srv/.wh.{world.made_up}.txt"] = Node("file", data=b"")


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
    name = draw.choice((".trivyignore", ".grype.yaml", "openvex.json", ".snyk", "osv-scanner.toml"))
    world.put(f"srv/{name}", "CVE-2026-0001\n")


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
}
