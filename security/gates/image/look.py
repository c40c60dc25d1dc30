"""From what is handed out to facts: the layers are laid, the inventory is taken, and each package is looked up."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from security.advisories.mirror import Mirror
from security.errors import BadInput, CannotTell
from security.gates.image.beside import beside
from security.gates.image.facts import (
    IMAGE,
    MANY,
    MOST,
    PROCESS,
    About,
    Built,
    Facts,
    Item,
    Listed,
    Vex,
)
from security.gates.image.match import known, matched
from security.gates.image.signed import bills, signers
from security.gates.image.sweep import Sweep
from security.gates.image.vex import documents
from security.inventory import Inventory, feeds
from security.inventory.feeds import Told, Update
from security.inventory.layers import Laid, chains, lay
from security.inventory.read import inventory
from security.verdict import digest

ONCE = {
    IMAGE: {"about", "advisories", "lock", "config", "manifest"},
    PROCESS: {"about", "advisories", "lock", "config", "interpreter"},
}
"""What is handed out once."""
LARGEST = 5_000
"""Distributions that are told one by one."""


def looked(material: Iterable[Item]) -> Facts:
    """The facts. Layers are laid as they come, and no more of them is kept than is read."""
    single, many, laid, sweep = dict[str, Any](), dict[str, list[Any]](), Laid(), Sweep()
    descriptors, files = list[dict[str, Any]](), 0
    for item in material:
        if item.kind not in MANY:
            if item.kind in single:
                raise CannotTell(f"{item.kind} is handed out twice")
            single[item.kind] = item.value
        elif item.kind == "layer":
            descriptors.append({"mediaType": item.value.kind, "digest": f"sha256:{item.value.sha256}"})
            descriptors[-1]["size"] = item.value.size
            lay(laid, len(descriptors), item.value, sweep.file)
        elif item.kind == "file":
            laid.tree.put(*item.value)
            files += 1
        else:
            many.setdefault(item.kind, []).append(item.value)
    about = single.get("about")
    if not isinstance(about, About) or single.keys() != ONCE.get(about.form):
        raise CannotTell("what is known of an image or a process is handed out once, and nothing else is")
    if (files > 0, about.form == PROCESS and bool(descriptors)) != (about.form == PROCESS, False):
        raise CannotTell("an image is handed out as layers, and a process as files")
    return _facts(about, single, many, laid, sweep, descriptors)


def _facts(
    about: About,
    single: dict[str, Any],
    many: dict[str, list[Any]],
    laid: Laid,
    sweep: Sweep,
    descriptors: Sequence[dict[str, Any]],
) -> Facts:
    here = inventory(laid.tree)
    if max(len(here.dists), len(here.interpreters)) > LARGEST:
        raise CannotTell(f"there are more than {LARGEST:,} distributions or interpreters")
    config = _config(single["config"])
    for place, text in _says(config):
        sweep.text(place, text)
    sweep.flush()
    mirror: Mirror | None = single["advisories"]
    hits, unclear = matched(here, mirror) if mirror else ([], [])
    told, pending, feedless = _fed(here, many.get("feed", ()))
    return Facts(
        built=_built(about, single, many, laid, here, config, descriptors) if about.form == IMAGE else None,
        now=about.now,
        system=here.system,
        databases=here.databases,
        packages=len(here.packages),
        interpreters=(*here.interpreters, *([single["interpreter"]] if single.get("interpreter") else [])),
        dists=_versions(here),
        locked=single["lock"],
        odd=Listed.of(here.odd),
        loose=Listed.of(here.loose),
        stray=Listed.of(here.stray),
        setuid=Listed.of(here.setuid),
        ignores=Listed.of(here.ignores),
        data=known(here.system, mirror) if mirror else None,
        hits=tuple(hits[:MOST]),
        more=max(len(hits) - MOST, 0),
        unclear=Listed.of(unclear),
        feeds=told,
        feedless=feedless,
        pending=tuple(pending[:MOST]),
        outdated=len(pending),
        secrets=Listed.of(sweep.found),
        looked=sweep.looked,
        opaque=dict(sorted(sweep.opaque.items())),
        vex=tuple(_vex(single, many, here)),
        beside=tuple(beside(many.get("report", ()), _called(single), here, hits)),
    )


def _vex(single: dict[str, Any], many: dict[str, list[Any]], here: Inventory) -> Iterator[Vex]:
    """What is said of an image's vulnerabilities; of a process nothing counts that is."""
    sha = hashlib.sha256(single.get("manifest", b"")).hexdigest()
    given, handed = many.get("attestation", []), many.get("vex", [])
    if len(given) + len(handed) > MOST:
        raise CannotTell(f"there are more than {MOST:,} attestations and VEX documents")
    return documents(given, handed, many.get("key", []), sha, here)


def _called(single: dict[str, Any]) -> list[str]:
    """What an image may be called by: digests of its manifest and of its config."""
    return [f"sha256:{hashlib.sha256(single[each]).hexdigest()}" for each in ("manifest", "config") if each in single]


def _config(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data)
        if not isinstance(told, dict) or not isinstance(told.get("config", {}), dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise BadInput("config", "the whole", "no JSON object with a config", "an OCI image configuration") from None
    return told


def _says(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Everything that a configuration says: variables, arguments, labels, history, whatever else it holds."""

    def every(place: str, value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for name, each in value.items():
                yield from every(f"{place}.{str(name)[:80]}", f"{name}={each}" if isinstance(each, str) else each)
        elif isinstance(value, list):
            for number, each in enumerate(value, 1):
                yield from every(f"{place} {number}", each)
        elif isinstance(value, str):
            yield place, value

    yield from every("config", {name: each for name, each in config.items() if name != "rootfs"})


def _versions(here: Inventory) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for each in here.dists:
        found.setdefault(each.name, []).append(each.version)
    return {name: tuple(found[name]) for name in sorted(found)}


def _fed(here: Inventory, given: Sequence[feeds.Feed]) -> tuple[tuple[Told, ...], list[Update], str]:
    """Lists of this system's updates, what is not installed of them, and why one cannot be read."""
    told, found = list[Told](), set[tuple[str, str, str]]()
    codename = here.system.codename if here.system else ""
    try:
        for feed in given:
            said, newest = feeds.read(feed)
            if codename and said.codename == codename + feeds.SUITE:
                told.append(said)
                found |= {(each.package, each.version, each.newer) for each in feeds.updates(here.packages, newest)}
    except BadInput as why:
        return (), [], str(why)
    except ValueError:
        return (), [], "an installed package has a version without an order"
    pending = [Update(package=name, version=at, newer=newer) for name, at, newer in sorted(found)]
    return tuple(sorted(told, key=digest_of)), pending, ""


def digest_of(told: Told) -> str:
    """What lists are ordered by: themselves."""
    return digest(told.model_dump(mode="json"))


def _built(
    about: About,
    single: dict[str, Any],
    many: dict[str, list[Any]],
    laid: Laid,
    here: Inventory,
    config: dict[str, Any],
    descriptors: Sequence[dict[str, Any]],
) -> Built:
    manifest = bytes(single["manifest"])
    sha, said = hashlib.sha256(manifest).hexdigest(), config.get("config", {})
    broken = [f"{place}: {sentence}" for place, sentence in laid.broken]
    broken += [f"manifest: {each}" for each in _unlike(manifest, single["config"], config, descriptors)]
    entry = said.get("Entrypoint") or []
    keys = many.get("key", [])
    return Built(
        reference=ascii(about.reference[:300])[1:-1],
        sha256=sha,
        user=ascii(str(said.get("User", ""))[:100])[1:-1],
        entrypoint=tuple(ascii(str(each)[:300])[1:-1] for each in entry[:MOST]) if isinstance(entry, list) else (),
        chains=tuple(chains(laid.diffs)),
        signed=signers(many.get("signature", []), keys, sha, about.reference.partition("@")[0]),
        bills=tuple(bills(many.get("attestation", [])[:MOST], keys, sha, here)),
        broken=Listed.of(broken),
    )


def _unlike(
    manifest: bytes, config: bytes, told: dict[str, Any], descriptors: Sequence[dict[str, Any]]
) -> Iterator[str]:
    """Where a manifest does not name what was handed out, or its config has other layers."""
    try:
        said = json.loads(manifest)
        layers = [{name: each[name] for name in ("mediaType", "digest", "size")} for each in said["layers"]]
        held = str(said["config"]["digest"]), said["config"]["size"]
        diffs = [str(each) for each in told["rootfs"]["diff_ids"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        yield "cannot be read; allowed: an OCI image manifest, and a config with a rootfs"
        return
    if layers != list(descriptors) or not layers:
        yield f"names {len(layers)} layers that are not the {len(descriptors)} here; allowed: the same, one or more"
    if held != (f"sha256:{hashlib.sha256(config).hexdigest()}", len(config)):
        yield "names another config; allowed: the one that is here"
    if len(diffs) != len(layers) or not all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in diffs):
        yield f"has a config of {len(diffs)} layers; allowed: {len(layers)}"
