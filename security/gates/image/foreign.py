"""Reads reports of other scanners, in JSON, strictly in what is needed of them: Trivy's and Grype's.

Grype's names no package in which it found nothing: how much it looked at nobody can tell from it. What a report keeps
back because somebody told the scanner to counts as found.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from packaging.utils import canonicalize_name

from security.advisories.severity import Level
from security.errors import BadInput
from security.gates.image.facts import Report

OS = "os"
"""What a package of the system is called here, whatever its database."""
NONE = "none"
ENDED = "distro-eol"
"""What Grype says of the packages of a system without updates."""
WORDS = {"NEGLIGIBLE": "low", "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "CRITICAL": "critical"}
"""What scanners call levels; whatever else they say is high, for nobody has said that it is less."""
Part = tuple[str, str, str]
"""What it is of (`os`, `pypi`, or another kind), name and version."""


class Found(NamedTuple):
    """A vulnerability in a report. `package`: the source package, or the distribution."""

    kind: str
    package: str
    ids: frozenset[str]
    level: Level


class Read(NamedTuple):
    """A report as it was read. `images`: digests that it says it is of; `parts`: none where it does not say."""

    version: str
    images: frozenset[str]
    system: str
    ended: bool
    data: str
    parts: frozenset[Part] | None
    found: tuple[Found, ...]


class _OS(msgspec.Struct):
    family: str = msgspec.field(name="Family", default=NONE)
    name: str = msgspec.field(name="Name", default="")
    ended: bool = msgspec.field(name="EOSL", default=False)


class _Metadata(msgspec.Struct):
    image: str = msgspec.field(name="ImageID")
    system: _OS = msgspec.field(name="OS", default_factory=_OS)


class _Package(msgspec.Struct):
    name: str = msgspec.field(name="Name")
    version: str = msgspec.field(name="Version")
    release: str = msgspec.field(name="Release", default="")
    epoch: int = msgspec.field(name="Epoch", default=0)
    source: str = msgspec.field(name="SrcName", default="")


class _Vulnerability(msgspec.Struct):
    id: str = msgspec.field(name="VulnerabilityID")
    package: str = msgspec.field(name="PkgName")
    vendors: list[str] = msgspec.field(name="VendorIDs", default_factory=list)
    severity: str = msgspec.field(name="Severity", default="")


class _Suppressed(msgspec.Struct):
    finding: _Vulnerability = msgspec.field(name="Finding")
    type: str = msgspec.field(name="Type")


class _Result(msgspec.Struct):
    kind: str = msgspec.field(name="Class")
    type: str = msgspec.field(name="Type", default="")
    packages: list[_Package] = msgspec.field(name="Packages", default_factory=list)
    found: list[_Vulnerability] = msgspec.field(name="Vulnerabilities", default_factory=list)
    kept: list[_Suppressed] = msgspec.field(name="ExperimentalModifiedFindings", default_factory=list)


class _Tool(msgspec.Struct):
    version: str = msgspec.field(name="Version")


class _Trivy(msgspec.Struct):
    schema: int = msgspec.field(name="SchemaVersion")
    tool: _Tool = msgspec.field(name="Trivy")
    artifact: str = msgspec.field(name="ArtifactType")
    metadata: _Metadata = msgspec.field(name="Metadata")
    results: list[_Result] = msgspec.field(name="Results", default_factory=list)


class _Database(msgspec.Struct):
    updated: str = msgspec.field(name="UpdatedAt")


def trivy(report: Report) -> Read:
    """A report of `trivy image --format json --list-all-pkgs`, and beside it what its database says of itself."""
    told = _decoded(report, report.data, _Trivy)
    if told.schema != 2 or told.artifact != "container_image":
        raise BadInput(report.name, "ArtifactType", f"{told.artifact[:40]!a}, schema {told.schema}", "an image, 2")
    parts, found = set[Part](), list[Found]()
    for each in told.results:
        kind = OS if each.kind == "os-pkgs" else "pypi" if each.type == "python-pkg" else each.type or each.kind
        named = {one.name: one.source or one.name for one in each.packages}
        parts |= {(kind, _spelled(kind, one.name), _version(one)) for one in each.packages}
        for one in (*each.found, *(one.finding for one in each.kept)):
            package = named.get(one.package, one.package) if kind == OS else one.package
            found.append(_found(kind, package, (one.id, *one.vendors), one.severity))
    system = told.metadata.system
    return Read(
        version=told.tool.version,
        images=frozenset({told.metadata.image}),
        system=f"{system.family} {system.name}".strip(),
        ended=system.ended,
        data=_decoded(report, report.database, _Database).updated if report.database else "",
        parts=frozenset(parts),
        found=tuple(found),
    )


class _Target(msgspec.Struct):
    image: str = msgspec.field(name="imageID", default="")
    manifest: str = msgspec.field(name="manifestDigest", default="")


class _Source(msgspec.Struct):
    type: str
    target: _Target


class _Distro(msgspec.Struct):
    name: str = ""
    version: str = ""


class _Named(msgspec.Struct):
    name: str


class _Artifact(msgspec.Struct):
    name: str
    version: str
    type: str
    upstreams: list[_Named] = msgspec.field(default_factory=list)


class _Id(msgspec.Struct):
    id: str
    severity: str = ""


class _Match(msgspec.Struct):
    vulnerability: _Id
    artifact: _Artifact
    related: list[_Id] = msgspec.field(name="relatedVulnerabilities", default_factory=list)


class _Descriptor(msgspec.Struct):
    name: str
    version: str
    db: dict[str, Any] = msgspec.field(default_factory=dict)


class _Alert(msgspec.Struct):
    type: str


class _Alerts(msgspec.Struct):
    alerts: list[_Alert]


class _Grype(msgspec.Struct):
    matches: list[_Match]
    source: _Source
    distro: _Distro
    descriptor: _Descriptor
    ignored: list[_Match] = msgspec.field(name="ignoredMatches", default_factory=list)
    alerts: list[_Alerts] = msgspec.field(name="alertsByPackage", default_factory=list)


def grype(report: Report) -> Read:
    """A report of `grype -o json`."""
    told = _decoded(report, report.data, _Grype)
    if told.descriptor.name != "grype" or told.source.type != "image":
        raise BadInput(report.name, "source", f"{told.source.type[:40]!a}", "a report of grype, of an image")
    if odd := {one.type for each in told.alerts for one in each.alerts} - {ENDED}:
        raise BadInput(report.name, "alertsByPackage", f"{min(odd)[:40]!a}", "a system that it matches")
    found = []
    for each in (*told.matches, *told.ignored):
        kind = {"deb": OS, "apk": OS, "python": "pypi"}.get(each.artifact.type, each.artifact.type)
        package = next((one.name for one in each.artifact.upstreams), each.artifact.name)
        ids = (each.vulnerability.id, *(one.id for one in each.related))
        found.append(_found(kind, package, ids, each.vulnerability.severity))
    status = told.descriptor.db.get("status", told.descriptor.db)
    built = status.get("built", "") if isinstance(status, dict) else ""
    return Read(
        version=told.descriptor.version,
        images=frozenset({told.source.target.image, told.source.target.manifest} - {""}),
        system=f"{told.distro.name or NONE} {told.distro.version}".strip(),
        ended=any(each.alerts for each in told.alerts),
        data=built if isinstance(built, str) else "",
        parts=None,
        found=tuple(found),
    )


READERS = {"trivy": trivy, "grype": grype}


def _found(kind: str, package: str, ids: Iterable[str], severity: str) -> Found:
    level: Any = WORDS.get(severity.upper(), "high")
    return Found(kind, _spelled(kind, package), shared(ids), level)


def shared(ids: Iterable[str]) -> frozenset[str]:
    """Ids as databases share them: Debian's own names of a CVE have that in them."""
    return frozenset(each.removeprefix("DEBIAN-") for each in ids)


def _spelled(kind: str, name: str) -> str:
    return canonicalize_name(name) if kind == "pypi" else name


def _version(package: _Package) -> str:
    told = f"{package.version}-{package.release}" if package.release else package.version
    return f"{package.epoch}:{told}" if package.epoch else told


def _decoded(report: Report, data: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        at = str(why).rpartition(" - at ")[2][:60] if " - at " in str(why) else "the whole"
        raise BadInput(report.name, at.strip("`"), "something else", f"what {report.name} writes") from None
