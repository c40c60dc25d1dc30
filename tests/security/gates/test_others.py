"""Other scanners beside the one here: what they leave out is seen, and that they found nothing says nothing.

The cheapest that would satisfy the words, and what catches each:
- no finding in a report is clean: `test_a_report_that_looked_at_less_is_found`;
- a report of another image, of nothing, or none: `test_what_is_no_report_of_this_image_tells_nothing`;
- old data, a system that has ended, something that was kept back: `test_each_trap`.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from security.advisories.mirror import stamp
from security.advisories.record import when
from security.gate import judge, observe
from security.gates.image import ImageVulnerabilityScanning, Item, Report
from security.gates.image import reports as made
from security.inventory.read import inventory
from security.verdict import Outcome, Verdict
from tests.security.gates import images
from tests.security.gates.images import BASE, NOW, TOP, advisories, items, told

GATE = ImageVulnerabilityScanning()
LIMITS = images.LIMITS | {"bases": [images.base()], "beside": {"trivy": "trivy"}}
HERE = inventory(images.laid(BASE, TOP))
IMAGE = next(
    f"sha256:{hashlib.sha256(each.value).hexdigest()}" for each in items() if each.kind == "config"
)  # fmt: skip
Change = Callable[[dict[str, Any]], object]


def trivy(change: Change = lambda _: None, **more: Any) -> Report:
    """Trivy's report of the good image, with a change."""
    report = made.trivy(HERE, IMAGE, more.pop("now", NOW))
    body = json.loads(report.data)
    change(body)
    return report._replace(data=json.dumps(body).encode(), **more)


def grype(change: Change = lambda _: None) -> Report:
    report = made.grype(HERE, IMAGE, NOW)
    body = json.loads(report.data)
    change(body)
    return report._replace(data=json.dumps(body).encode())


def verdict(*reports: Report, limits: dict[str, Any] = LIMITS, **more: Any) -> Verdict:
    given = items(**more) + [Item("report", each) for each in reports]
    return judge(GATE, observe(GATE, images.opened(given), limits), limits)


def found(told: Verdict) -> set[tuple[str, str]]:
    return {(each.rule, each.place) for each in told.findings}


def test_two_that_say_the_same_pass() -> None:
    seen = verdict(trivy())
    assert (seen.outcome, seen.findings) == (Outcome.PASS, ()), seen.reason


def test_who_was_not_asked_was_not_heard() -> None:
    seen = verdict()
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "beside")
    assert "trivy was not asked" in seen.reason
    assert verdict(limits=LIMITS | {"beside": {}}).outcome is Outcome.PASS
    seen = verdict(trivy(), limits=LIMITS | {"beside": {"trivy": "trivy", "grype": "grype"}})
    assert (seen.outcome, "grype was not asked" in seen.reason) == (Outcome.INCONCLUSIVE, True)


def vulnerable(body: dict[str, Any], package: str = "libc6", **more: Any) -> None:
    one = {"VulnerabilityID": "CVE-2026-1", "PkgName": package, "InstalledVersion": "1", "Severity": "HIGH"} | more
    body["Results"][0 if package == "libc6" else 1].setdefault("Vulnerabilities", []).append(one)


def kept(body: dict[str, Any]) -> None:
    """An ignore file was obeyed: what it hides is told apart."""
    one = {"VulnerabilityID": "CVE-2026-1", "PkgName": "alpha", "Severity": "CRITICAL"}
    hidden = {"Type": "vulnerability", "Status": "ignored", "Source": ".trivyignore", "Finding": one}
    body["Results"][1]["ExperimentalModifiedFindings"] = [hidden]


def renamed(body: dict[str, Any]) -> None:
    body["Results"].append({"Class": "lang-pkgs", "Type": "jar", "Packages": [{"Name": "log4j", "Version": "2.0"}]})


TRAPS: dict[str, tuple[Report, set[tuple[str, str]]]] = {
    "a system that has ended": (trivy(lambda b: b["Metadata"]["OS"].update(EOSL=True)), {("IMG-04", "trivy")}),
    "another system": (trivy(lambda b: b["Metadata"]["OS"].update(Name="11.2")), {("IMG-17", "trivy")}),
    "no os-release": (trivy(lambda b: b["Metadata"].pop("OS")), {("IMG-17", "trivy")}),
    "old data": (trivy(now=stamp(when(NOW) - timedelta(days=400))), {("IMG-07", "trivy")}),
    "data from tomorrow": (trivy(now=stamp(when(NOW) + timedelta(days=4))), {("IMG-07", "trivy")}),
    "no package database": (
        trivy(lambda b: b["Results"][0].update(Packages=[])),
        {("IMG-17", f"trivy: os {each.name} {each.version}") for each in HERE.packages},
    ),
    "no results": (
        trivy(lambda b: b.update(Results=[])),
        {("IMG-17", f"trivy: os {each.name} {each.version}") for each in HERE.packages}
        | {("IMG-17", f"trivy: pypi {each.name} {each.version}") for each in HERE.dists},
    ),
    "a distribution that it does not see": (
        trivy(lambda b: b["Results"][1]["Packages"].pop()),
        {("IMG-17", "trivy: pypi beta 2.0")},
    ),
    "another version": (
        trivy(lambda b: b["Results"][1]["Packages"][1].update(Version="2.1")),
        {("IMG-17", "trivy: pypi beta 2.0"), ("IMG-17", "trivy: pypi beta 2.1")},
    ),
    "a kind that nobody here looks at": (trivy(renamed), {("IMG-17", "trivy: jar log4j 2.0")}),
    "it finds one more": (trivy(vulnerable), {("IMG-17", "trivy: glibc: CVE-2026-1")}),
    "in a distribution": (
        trivy(lambda b: vulnerable(b, "alpha", Severity="UNKNOWN")),
        {("IMG-17", "trivy: alpha: CVE-2026-1")},
    ),
    "it was told not to find it": (trivy(kept), {("IMG-17", "trivy: alpha: CVE-2026-1")}),
    "a low one": (trivy(lambda b: vulnerable(b, Severity="LOW")), set()),
}


@pytest.mark.parametrize("name", TRAPS)
def test_each_trap(name: str) -> None:
    report, breaches = TRAPS[name]
    assert found(verdict(report)) == breaches


def test_epochs_and_releases_make_a_version() -> None:
    def split(body: dict[str, Any]) -> None:
        one = body["Results"][0]["Packages"][0]
        one["Version"], _, one["Release"] = one["Version"].partition("-")

    assert verdict(trivy(split)).outcome is Outcome.PASS
    seen = verdict(trivy(lambda b: b["Results"][0]["Packages"][0].update(Epoch=1)))
    assert ("IMG-17", f"trivy: os libc6 1:{HERE.packages[0].version}") in found(seen)


def test_what_only_the_scanner_here_finds_is_found() -> None:
    other = told("PyPI", "alpha", "X-1", aliases=["GHSA-1"])
    known = advisories(told("Debian:12", "glibc", "DEBIAN-CVE-2026-1"), other)
    both = {("IMG-06", "glibc 2.36-9+deb12u7: DEBIAN-CVE-2026-1"), ("IMG-06", "alpha 1.0: GHSA-1")}
    apart = {("IMG-17", "trivy: glibc: CVE-2026-1"), ("IMG-17", "trivy: alpha: GHSA-1")}
    assert found(verdict(trivy(), known=known)) == both | apart
    assert found(verdict(trivy(vulnerable), known=known)) == both | {("IMG-17", "trivy: alpha: GHSA-1")}

    def same(body: dict[str, Any]) -> None:
        vulnerable(body)
        vulnerable(body, "alpha", VulnerabilityID="GHSA-1")

    assert found(verdict(trivy(same), known=known)) == both


@pytest.mark.parametrize(
    ("report", "says"),
    [
        (Report("trivy", lacks="trivy ended with 1: no database"), "trivy: trivy ended with 1: no database"),
        (trivy(lambda b: b["Metadata"].update(ImageID="sha256:" + "0" * 64)), "found another image than this one"),
        (trivy(lambda b: b.update(ArtifactType="filesystem")), "found 'filesystem', schema 2"),
        (trivy(lambda b: b.update(SchemaVersion=3)), "schema 3"),
        (trivy(lambda b: b.pop("Metadata")), "found something else; allowed: what trivy writes"),
        (trivy(lambda b: b["Results"][0]["Packages"][0].update(Version=1)), "Packages[0].Version: found something"),
        (trivy(database=b""), "trivy does not say how old its data are"),
        (trivy(database=b"{}"), "found something else; allowed: what trivy writes"),
        (trivy(now="yesterday"), "trivy does not say how old its data are"),
        (trivy()._replace(data=b""), "trivy, the whole: found something else"),
        (trivy()._replace(data=b"\xff"), "trivy, the whole: found something else"),
        (trivy()._replace(data=b"[" * 5000), "found something else"),
    ],
)
def test_what_is_no_report_of_this_image_tells_nothing(report: Report, says: str) -> None:
    seen = verdict(report)
    assert (seen.outcome, seen.cause, seen.findings) == (Outcome.INCONCLUSIVE, "beside", ())
    assert says in seen.reason


def matched(body: dict[str, Any], ignored: bool = False) -> None:
    artifact = {"name": "libc6", "version": "1", "type": "deb", "upstreams": [{"name": "glibc"}]}
    vulnerability = {"id": "CVE-2026-1", "severity": "High"}
    one = {"vulnerability": vulnerability, "artifact": artifact, "relatedVulnerabilities": [{"id": "GHSA-x"}]}
    body.setdefault("ignoredMatches" if ignored else "matches", []).append(one)


def test_grype_adds_and_never_clears() -> None:
    limits = LIMITS | {"beside": {"grype": "grype"}}
    seen = verdict(grype(), limits=limits)
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "partial"), seen.reason
    for ignored in (False, True):
        seen = verdict(grype(lambda body, way=ignored: matched(body, way)), limits=limits)  # type: ignore[misc]
        assert found(seen) == {("IMG-17", "grype: glibc: CVE-2026-1")}
    for change, says in (
        (lambda b: b["source"].update(type="directory"), "found 'directory'; allowed: a report of grype, of an image"),
        (lambda b: b["descriptor"].update(name="syft"), "allowed: a report of grype"),
        (lambda b: b["source"]["target"].update(imageID=""), "another image"),
        (lambda b: b.update(alertsByPackage=[{"alerts": [{"type": "distro-disabled"}]}]), "a system that it matches"),
        (lambda b: b["descriptor"].update(db={}), "grype does not say how old its data are"),
        (lambda b: b["descriptor"].update(db={"status": 3}), "grype does not say how old its data are"),
    ):
        seen = verdict(grype(change), limits=limits)  # type: ignore[arg-type]
        assert (seen.outcome, says in seen.reason) == (Outcome.INCONCLUSIVE, True), seen.reason
    old = grype(lambda b: b["descriptor"].update(db={"built": stamp(when(NOW) - timedelta(days=99))}))
    assert found(verdict(old, limits=limits)) == {("IMG-07", "grype")}
    ended = grype(lambda b: b.update(alertsByPackage=[{"package": {}, "alerts": [{"type": "distro-eol"}]}]))
    assert found(verdict(ended, limits=limits)) == {("IMG-04", "grype")}
    assert found(verdict(grype(lambda b: b["distro"].update(name="alpine")), limits=limits)) == {("IMG-17", "grype")}


def test_many_are_counted() -> None:
    def many(body: dict[str, Any]) -> None:
        for number in range(300):
            vulnerable(body, VulnerabilityID=f"CVE-{number}")

    seen = verdict(trivy(many))
    assert len(seen.findings) == 201
    assert any("found 100 more that only one has found" in each.message for each in seen.findings)
