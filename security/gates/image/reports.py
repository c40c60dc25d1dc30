"""Reports as Trivy and Grype write them, of an inventory and of what differs from it: what canaries are made of."""

from typing import Any

from security.gates.image.facts import Report
from security.inventory import Inventory
from security.verdict import canonical

SYSTEM = "system"
"""In place of an id: what differs is the system."""


def trivy(here: Inventory, image: str, now: str, differs: str = "") -> Report:
    """A report of what is here. `image`: digest of its config; `differs`: an id of a vulnerability in the first package
    that nobody else knows, or `SYSTEM`; empty for none."""
    debs = [
        {"Name": each.name, "Version": each.version, "SrcName": each.source, "Arch": each.arch, "AnalyzedBy": "dpkg"}
        for each in here.packages
    ]
    dists = [{"Name": each.name, "Version": each.version} for each in here.dists]
    results: list[dict[str, Any]] = [
        {"Target": "image", "Class": "os-pkgs", "Type": "debian", "Packages": debs},
        {"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg", "Packages": dists},
    ]
    if differs and differs != SYSTEM:
        one, last = (debs, results[0]) if debs else (dists, results[1])
        found = {"VulnerabilityID": differs, "PkgName": one[0]["Name"] if one else "nothing", "Severity": "CRITICAL"}
        last["Vulnerabilities"] = [found | {"InstalledVersion": "0"}]
    family, version = ("another", "1") if differs == SYSTEM else _system(here)
    told = {
        "SchemaVersion": 2,
        "Trivy": {"Version": "0.76.0"},
        "ArtifactType": "container_image",
        "Metadata": {"ImageID": image, "OS": {"Family": family, "Name": version}},
        "Results": results,
    }
    return Report("trivy", canonical(told), canonical({"Version": 2, "UpdatedAt": now}))


def grype(here: Inventory, image: str, now: str, differs: str = "") -> Report:
    """The same as Grype has it, which names no package in which it finds nothing."""
    family, version = ("another", "1") if differs == SYSTEM else _system(here)
    matches = []
    if differs and differs != SYSTEM:
        first = next(iter(here.packages), None)
        name, at = (first.name, first.version) if first else ("nothing", "0")
        artifact = {"name": name, "version": at, "type": "deb", "upstreams": [{"name": first.source}] if first else []}
        matches.append({"vulnerability": {"id": differs, "severity": "Critical"}, "artifact": artifact})
    told = {
        "matches": matches,
        "source": {"type": "image", "target": {"imageID": image, "manifestDigest": ""}},
        "distro": {"name": family, "version": version},
        "descriptor": {"name": "grype", "version": "0.100.0", "db": {"status": {"built": now}}},
    }
    return Report("grype", canonical(told))


def _system(here: Inventory) -> tuple[str, str]:
    return (here.system.id, here.system.version) if here.system else ("none", "")
