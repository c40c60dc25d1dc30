"""Small images and systems for tests: a Debian of two packages, an interpreter, and two distributions."""

import hashlib
import random
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from security import endorse
from security.advisories.mirror import Head, Mirror
from security.advisories.record import Advisory
from security.fresh import Fresh
from security.gates.image import About, Item, material, reports, signed
from security.gates.image.world import feed
from security.inventory import Node, Tree, made
from security.inventory.feeds import Feed
from security.inventory.layers import Blob, Laid, chains, lay
from security.inventory.read import inventory
from security.keys import seal
from security.material import Material
from security.verdict import Subject

NOW = "2026-11-29T00:00:00Z"
KEY = Fresh(random.Random("who may sign an image"))
RELEASE = 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u7
Description: the C library
 of everybody

Package: python3.11-minimal
Status: install ok installed
Architecture: amd64
Source: python3.11
Version: 3.11.2-6+deb12u3
"""
UPDATES = "Package: libc6\nArchitecture: amd64\nVersion: 2.36-9+deb12u7\n"
SITE = "srv/packages"
MODULE = "sha256=" + urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).decode().rstrip("=")
"""Of the one file of a distribution, as its record has it."""
LOCK = {"alpha": "1.0", "beta": "2.0"}
CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "config": {
        "User": "65532:65532",
        "Entrypoint": ["/usr/bin/python3.11", "-I"],
        "Env": ["PATH=/usr/bin", "PYTHONUNBUFFERED=1"],
    },
    "history": [{"created_by": "a base of two packages"}],
}
LIMITS: dict[str, Any] = {
    "systems": {"debian": {"12": "2028-06-30"}},
    "interpreters": {"3.11": "2027-10-31"},
    "floor": 1,
    "unfixed": "stop",
    "signers": [KEY.public.id],
}


def file(text: str | bytes, mode: int = 0o644) -> Node:
    return Node("file", mode, data=text.encode() if isinstance(text, str) else text)


def dist(name: str, version: str) -> dict[str, Node]:
    """A distribution of one module."""
    start = f"{SITE}/{name}-{version}.dist-info"
    return {
        f"{SITE}/{name}.py": file("x = 1\n"),
        f"{start}/METADATA": file(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: another\n"),
        f"{start}/RECORD": file(f"{name}.py,{MODULE},6\n{name}-{version}.dist-info/RECORD,,\n"),
    }


BASE: dict[str, Node] = {
    "etc/os-release": Node("link", target="../usr/lib/os-release"),
    "usr/lib/os-release": file(RELEASE),
    "bin": Node("link", target="usr/bin"),
    "var/lib/dpkg/status": file(STATUS),
    "var/lib/dpkg/info/libc6:amd64.list": file("/.\n/usr\n/usr/lib/libc.so.6\n/bin/ldd\n"),
    "var/lib/dpkg/info/python3.11-minimal.list": file("/.\n/usr/bin\n/usr/bin/python3.11\n"),
    "usr/bin/python3.11": file("\x7fELF", 0o755),
    "usr/bin/ldd": file("#!/bin/sh\n", 0o755),
    "usr/lib/libc.so.6": file("\x7fELF"),
}
APART: dict[str, Node] = {
    **{path: node for path, node in BASE.items() if "dpkg" not in path},
    "var/lib/dpkg/status.d/libc6": file(STATUS.partition("\n\n")[0] + "\n"),
    "var/lib/dpkg/status.d/libc6.md5sums": file(f"{'a' * 32}  usr/lib/libc.so.6\n{'a' * 32}  bin/ldd\n"),
    "var/lib/dpkg/status.d/python3": file(STATUS.partition("\n\n")[2]),
    "var/lib/dpkg/status.d/python3.md5sums": file(f"{'a' * 32}  usr/bin/python3.11\n"),
}
"""The same without dpkg: each package has a stanza of its own."""
TOP: dict[str, Node] = {**dist("alpha", "1.0"), **dist("beta", "2.0")}


def advisories(*more: Advisory, newest: str = NOW, ecosystems: Sequence[str] = ("PyPI", "Debian:12")) -> Mirror:
    """Advisories of both ecosystems, of packages that are not here; and these."""
    every = [*(told(each, "elsewhere", f"T-{n}", modified=newest) for n, each in enumerate(ecosystems)), *more]
    known: dict[str, tuple[Advisory, ...]] = {}
    systems: dict[tuple[str, str], tuple[Advisory, ...]] = {}
    for each in every:
        for name in each.names:
            known[name] = (*known.get(name, ()), each)
        for other in each.others:
            systems[other] = (*systems.get(other, ()), each)
    head = Head(source="made up", checked=newest, newest=newest, count=len(every), sha256="")
    return Mirror(head, known, systems)


def told(ecosystem: str, name: str, id: str = "CVE-1", fixed: str = "", **more: Any) -> Advisory:
    """An advisory of every version, or of those before one."""
    events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
    affected = {"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    body = {"id": id, "modified": NOW, "affected": [affected]} | more
    return msgspec.convert(body, Advisory)


def updates(text: str = UPDATES, codename: str = "bookworm", at: str = NOW, days: float = 7.0) -> Feed:
    return feed(text, codename, at, days)


def laid(*layers: Mapping[str, Node] | Blob) -> Tree:
    """The tree of these layers."""
    held = Laid()
    for number, each in enumerate(layers, 1):
        lay(held, number, each if isinstance(each, Blob) else made.blob(made.layer(each)), lambda *_: None)
    return held.tree


DEFAULT: Any = object()


def items(
    *layers: Mapping[str, Node] | Blob,
    config: Mapping[str, Any] = CONFIG,
    known: Mirror | None = DEFAULT,
    lock: Mapping[str, str] | None = DEFAULT,
    feeds: Sequence[Feed] = DEFAULT,
    key: Fresh | None = KEY,
    billed: bool = True,
    reference: str = "",
    now: str = NOW,
) -> list[Item]:
    """An image of these layers as it is handed out: signed, with its bill, as an approved one would be."""
    blobs = [each if isinstance(each, Blob) else made.blob(made.layer(each)) for each in layers or (BASE, TOP)]
    image = made.image(blobs, config)
    given = [Item("about", About("image", reference or f"serving@sha256:{image.sha256}", now))]
    given += [Item("manifest", image.manifest), Item("config", image.config)]
    given += [Item("advisories", advisories() if known is DEFAULT else known)]
    given += [Item("lock", dict(LOCK) if lock is DEFAULT else lock)]
    given += [Item("feed", each) for each in ([updates()] if feeds is DEFAULT else feeds)]
    if key is not None:
        name = (reference or "serving").partition("@")[0]
        payload = endorse.payload(endorse.Image(image.sha256, name))
        given += [Item("key", key.public.pem), Item("signature", (payload, key.mark(payload)))]
    if key is not None and billed:
        held = Laid()
        for number, each in enumerate(blobs, 1):
            lay(held, number, each, lambda *_: None)
        parts = signed.components(signed.listed(inventory(held.tree)))
        given.append(Item("attestation", seal(signed.CYCLONEDX, {"serving": image.sha256}, parts, key)))
    return given + [Item("layer", each) for each in image.layers]


def reported(given: Sequence[Item]) -> list[Item]:
    """The same with a report of another scanner, which says the same."""
    told = laid(*[each.value for each in given if each.kind == "layer"])
    config = next(each.value for each in given if each.kind == "config")
    image = f"sha256:{hashlib.sha256(config).hexdigest()}"
    return [*given, Item("report", reports.trivy(inventory(told), image, NOW))]


def base(first: Mapping[str, Node] = BASE) -> str:
    """The chain id of a layer."""
    return chains([made.blob(made.layer(first)).diff])[0]


def opened(given: Sequence[Item]) -> Material[Item]:
    """The material of these items; a part of it is a layer."""
    count = sum(each.kind == "layer" for each in given)
    sha = next((each.value for each in given if each.kind == "manifest"), b"")
    subject = Subject(kind="image", name="serving", sha256=f"{len(sha):064x}")
    return material(subject, lambda: given, count, lambda item: int(item.kind == "layer"))
