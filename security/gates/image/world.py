"""What canaries are made of: a small image or process, with parts of a real one.

It has some of the real packages and distributions, and the real advisories; what is wrong with it is in one layer
more, or in one file. A small image keeps its own layers below that. What is signed is signed by a key that nobody has:
a canary of an image is never signed by who may.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from security import endorse
from security.advisories.mirror import Head, Mirror
from security.advisories.record import Advisory, Affected, Event, Package, Range, when
from security.fresh import Fresh
from security.gates.image import reports, signed
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


class World:
    """An image or a process, to be spoiled. `top`: what is laid over it, whiteouts among it."""

    def __init__(self, sample: Sequence[Item], draw: random.Random, form: str = "") -> None:
        told = {item.kind: item.value for item in sample if item.kind not in MANY}
        about: About = told.get("about") or About(PROCESS, "", "2026-01-01T00:00:00Z")
        self.form, self.now, self.draw = form or about.form, about.now, draw
        self.key, self.made_up = Fresh(draw), f"{draw.getrandbits(40):010x}"
        own = [item.value for item in sample if item.kind == "layer"]
        here = _tree(sample, own)
        seen = inventory(here)
        whole = bool(seen.dists) and any(each.kind == "deb" for each in seen.packages)
        small = whole and about.form == IMAGE and sum(each.size for each in own) <= SMALL
        self.layers: list[Blob] = list(own) if small else []
        self.base = {} if small else _part(here, seen, draw)
        if not small:
            here = Tree()
            for path, node in self.base.items():
                here.put(path, node)
            seen = inventory(here)
        self._seen: Inventory | None = seen
        self.tree, self.top, self.under = here, dict[str, Node](), dict[str, Node]()
        self.config: dict[str, Any] = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"User": "65532:65532", "Entrypoint": ["/usr/bin/python3.11", "-I"], "Env": ["PATH=/usr/bin"]},
            "history": [],
        }
        self.learned: list[tuple[bool, str]] = []
        self.mirror = self._advised(told.get("advisories"))
        self.newer: dict[str, str] = {}
        self.reference, self.signs, self.bills, self.torn = "", True, True, False
        self.differs = self.excused = ""
        self.scanners = [item.value.name for item in sample if item.kind == "report"]
        self.locked = {each.name: each.version for each in self.seen().dists}
        interpreter = told.get("interpreter")
        known = Interpreter(implementation="CPython", version="3.11.9", owner="python3.11-minimal")
        self.interpreter = interpreter or known if self.form == PROCESS else None

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """One file more, or another in its place."""
        self._seen = None
        self.top[path] = Node("file", mode, data=text.encode())
        self.tree.put(path, self.top[path])

    def drop(self, path: str) -> None:
        """Without a file."""
        self._seen = None
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
        self._seen = self._seen or inventory(self.tree)
        return self._seen

    def learn(self, ecosystem: str, name: str, **more: Any) -> None:
        """One advisory more: of every version of a package, fixed in one that nobody has."""
        self.learned.append((ecosystem == PYPI, name))
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
            items += self._excuses(digest(self.made_up))
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
        items += self._excuses(image.sha256)
        items += self._signed(image.sha256, reference.partition("@")[0])
        return items + self._beside(f"sha256:{hashlib.sha256(image.config).hexdigest()}")

    def _signed(self, sha: str, name: str) -> list[Item]:
        payload = endorse.payload(endorse.Image(sha, name))
        parts = signed.components(signed.listed(self.seen()))
        parts = parts if self.bills else {**parts, "components": parts["components"][1:]}
        bill = seal(signed.CYCLONEDX, {"canary": sha}, parts, self.key)
        told = [Item("key", self.key.public.pem), Item("attestation", bill)]
        return [*told, Item("signature", (payload, self.key.mark(payload)))] if self.signs else told

    def _excuses(self, sha: str) -> list[Item]:
        """A document by somebody who may not speak."""
        if not self.excused:
            return []
        said = {"vulnerability": {"name": self.excused}, "products": [{"@id": "pkg:oci/canary"}], "status": "fixed"}
        told: dict[str, Any] = {"@context": "https://openvex.dev/ns/v0.2.0", "@id": f"urn:{self.made_up}"}
        told |= {"author": "nobody", "timestamp": self.now, "version": 1, "statements": [said]}
        return [Item("vex", seal("https://openvex.dev/ns", {"canary": sha}, told, self.key))]

    def _beside(self, image: str) -> list[Item]:
        """Reports of the scanners that are asked: of what is here, but for what is to differ."""
        here, made = self.seen(), {"trivy": reports.trivy, "grype": reports.grype}
        names = self.scanners or (["trivy"] if self.differs else [])
        found = [(dist, name, f"CANARY-{self.made_up}") for dist, name in self.learned]
        return [Item("report", made[name](here, image, self.now, self.differs, found)) for name in names]

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


def _part(here: Tree, seen: Inventory, draw: random.Random) -> dict[str, Node]:
    """A system of its own, with some packages and distributions of another."""
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
    last = "9999999" if ecosystem == PYPI else "9999999:0"  # an epoch is above every version without one
    span = Range(type="ECOSYSTEM", events=(Event(introduced="0"), Event(fixed=last)))
    affected = Affected(package=Package(ecosystem=ecosystem, name=name), ranges=(span,))
    return Advisory(id=id, modified=now, affected=(affected,), **more)
