"""Reports as Trivy and Grype write them, of an inventory and of what differs from it: what canaries are made of."""

from collections.abc import Iterator, Sequence
from typing import Any

from security.gates.image.facts import Report
from security.inventory import Inventory
from security.verdict import canonical

SYSTEM = "system"
"""In place of an id: what differs is the system."""


Known = Sequence[tuple[bool, str, str]]
"""What is found: whether in a distribution, else a source package; its name; an id. Of what is not here nothing is."""


def trivy(here: Inventory, image: str, now: str, differs: str = "", known: Known = ()) -> Report:
    """A report of what is here. `image`: digest of its config; `differs`: an id of a vulnerability in the first package
    that nobody else knows, or `SYSTEM`; empty for none."""
    debs = [
        {"Name": each.name, "Version": each.version, "SrcName": each.source, "Arch": each.arch, "AnalyzedBy": "dpkg"}
        for each in here.packages
    ]
    dists = [{"Name": each.name, "Version": each.version} for each in here.dists]
    found: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    for dist, name, _, id in _found(here, differs, known):
        found[dist].append({"VulnerabilityID": id, "PkgName": name, "InstalledVersion": "0", "Severity": "CRITICAL"})
    results: list[dict[str, Any]] = [
        {"Class": "os-pkgs", "Type": "debian", "Packages": debs, "Vulnerabilities": found[False]},
        {"Class": "lang-pkgs", "Type": "python-pkg", "Packages": dists, "Vulnerabilities": found[True]},
    ]
    family, version = ("another", "1") if differs == SYSTEM else _system(here)
    told = {
        "SchemaVersion": 2,
        "Trivy": {"Version": "0.76.0"},
        "ArtifactType": "container_image",
        "Metadata": {"ImageID": image, "OS": {"Family": family, "Name": version}},
        "Results": results,
    }
    return Report("trivy", canonical(told), canonical({"Version": 2, "UpdatedAt": now}))


def grype(here: Inventory, image: str, now: str, differs: str = "", known: Known = ()) -> Report:
    """The same as Grype has it, which names no package in which it finds nothing."""
    family, version = ("another", "1") if differs == SYSTEM else _system(here)
    matches = []
    for dist, name, source, id in _found(here, differs, known):
        artifact = {"name": name, "version": "0", "type": "python" if dist else "deb", "upstreams": [{"name": source}]}
        matches.append({"vulnerability": {"id": id, "severity": "Critical"}, "artifact": artifact})
    told = {
        "matches": matches,
        "source": {"type": "image", "target": {"imageID": image, "manifestDigest": ""}},
        "distro": {"name": family, "version": version},
        "descriptor": {"name": "grype", "version": "0.100.0", "db": {"status": {"built": now}}},
    }
    return Report("grype", canonical(told))


def _found(here: Inventory, differs: str, known: Known) -> Iterator[tuple[bool, str, str, str]]:
    """Whether in a distribution, its name, that of its source, and the id."""
    dists = [(each.name, each.name) for each in here.dists]
    debs = [(each.name, each.source) for each in here.packages]
    for dist, name, id in known:
        for package, source in dists if dist else debs:
            if source == name:
                yield dist, package, source, id
    if differs and differs != SYSTEM:
        name, source = (debs or dists or [("nothing", "nothing")])[0]
        yield not debs, name, source, differs


def _system(here: Inventory) -> tuple[str, str]:
    return (here.system.id, here.system.version) if here.system else ("none", "")
