"""The gate over images: the smallest violation of each rule, and every way in which nothing found is not clean.

The cheapest that would satisfy the words, and what catches each:
- no database, no packages, nothing vulnerable: `test_a_database_that_is_gone_or_cut_is_found`;
- the last layer alone is looked at: `test_a_secret_that_a_later_layer_deletes_is_found`;
- versions are compared as text, or by the binary package: `test_debian_is_matched_by_source_and_in_its_order`;
- what an image says of itself is obeyed: `test_what_tells_scanners_to_look_away_is_found_and_not_obeyed`;
- no advisories, no vulnerabilities: `test_without_advisories_nobody_can_tell`.
"""

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from security import endorse
from security.advisories.mirror import stamp
from security.advisories.record import when
from security.engines.checksum import crc
from security.errors import CannotTell
from security.fresh import Fresh
from security.gate import judge, observe
from security.gates.image import About, Facts, File, ImageVulnerabilityScanning, Item, Limits, material, signed
from security.gates.image.decoys import VIOLATIONS
from security.gates.image.facts import MOST
from security.inventory import Interpreter, Node, made
from security.keys import seal
from security.material import Material
from security.verdict import Outcome, Subject, Verdict, canonical
from tests.security.gates import images
from tests.security.gates.images import BASE, CONFIG, LOCK, NOW, TOP, dist, file, items, told

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

GATE = ImageVulnerabilityScanning()
LIMITS = images.LIMITS | {"bases": [images.base()]}
OTHER = Fresh(random.Random("a stranger"))
BODY = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1"
TOKEN = f"ghp_{BODY}{crc(BODY)}"


def case(_: Path) -> "Case":
    """A signed image of two layers; the bad one runs as root."""
    from tests.conformance.subjects import Case  # which has this one among its own

    limits = LIMITS | {"beside": {"trivy": "trivy"}}
    root = {**CONFIG, "config": {**CONFIG["config"], "User": "0"}}
    stranger = frozenset({"IMG-02"})
    return Case(
        limits,
        limits | {"interpreters": {"3.11": "2024-01-01"}},
        good=lambda: images.opened(images.reported(items())),
        bad=lambda: images.opened(images.reported(items(config=root))),
        rule="IMG-08",
        # Only who may can sign another image, so such material is signed by a key of its own.
        beside={rule: stranger - {rule} for rule in GATE.rules},
        # A first layer of other bytes is another base.
        maybe={"IMG-12": frozenset({"IMG-11"})},
    )


def verdict(given: list[Item], **limits: Any) -> Verdict:
    return judge(GATE, observe(GATE, images.opened(given), LIMITS | limits, random.Random(1)), LIMITS | limits)


def facts(given: list[Item]) -> Facts:
    return GATE.look(images.opened(given).handed()[0])


def broken(told: Verdict) -> list[tuple[str, str]]:
    return [(each.rule, each.place) for each in told.findings]


def config(**changed: Any) -> dict[str, Any]:
    return {**CONFIG, "config": {**CONFIG["config"], **changed}}


def over(**files: Node | None) -> tuple[Mapping[str, Node], ...]:
    """The good image with one layer more."""
    return BASE, TOP, {path: node for path, node in files.items() if node is not None}


def test_a_good_image_passes() -> None:
    seen = verdict(items())
    assert (seen.outcome, seen.findings) == (Outcome.PASS, ()), seen.reason
    assert seen.reason == (
        "2/2 packages and layers, debian 12, 2 packages, CPython 3.11, 2 distributions, none known to be vulnerable"
    )


STATUS = "var/lib/dpkg/status"
HALF = images.STATUS.partition("\n\n")[0] + "\n"
GLIBC = told("Debian:12", "glibc", fixed="2.36-9+deb12u10")
ALPHA = told("PyPI", "alpha", fixed="1.1")
BAD: list[tuple[str, str, Callable[[], list[Item]]]] = [
    ("IMG-01", "reference", lambda: items(reference="serving:latest")),
    ("IMG-01", "reference", lambda: items(reference=f"serving@sha256:{'0' * 64}")),
    ("IMG-02", "signature", lambda: items(key=OTHER)),
    ("IMG-03", "bill of materials", lambda: items(billed=False)),
    ("IMG-04", "system", lambda: items(*over(**{"usr/lib/os-release": file("ID=debian\nVERSION_ID=10\n")}))),
    ("IMG-04", "system", lambda: items(*over(**{"usr/lib/.wh.os-release": file("")}))),
    ("IMG-04", "interpreter", lambda: items(*over(**{"usr/bin/python3.11": file("x")}))),
    ("IMG-05", "deb", lambda: items(*over(**{STATUS: file(HALF)}))),
    ("IMG-05", f"{images.SITE}/stowaway.py", lambda: items(*over(**{f"{images.SITE}/stowaway.py": file("x")}))),
    ("IMG-05", "opt/tool", lambda: items(*over(**{"opt/tool": file("x", 0o755)}))),
    ("IMG-05", "opt/x.so.1", lambda: items(*over(**{"opt/x.so.1": file("x")}))),
    ("IMG-06", "glibc 2.36-9+deb12u7: CVE-1", lambda: items(known=images.advisories(GLIBC))),
    ("IMG-06", "alpha 1.0: CVE-1", lambda: items(known=images.advisories(ALPHA))),
    ("IMG-08", "user", lambda: items(config=config(User=""))),
    ("IMG-08", "user", lambda: items(config=config(User="root"))),
    ("IMG-08", "user", lambda: items(config=config(User="65532:0"))),
    ("IMG-08", "user", lambda: items(config=config(User="service"))),
    ("IMG-09", "config.config.Env 2", lambda: items(config=config(Env=["A=1", f"SETTING={TOKEN}"]))),
    ("IMG-09", "config.config.Env 1", lambda: items(config=config(Env=["DB_PASSWORD=tr0ub4dor-and-3"]))),
    ("IMG-09", "config.config.Labels.key", lambda: items(config=config(Labels={"key": TOKEN}))),
    ("IMG-09", "config.history 1.created_by", lambda: items(config={**CONFIG, "history": [{"created_by": TOKEN}]})),
    ("IMG-09", "layer 3: srv/note, line 2", lambda: items(*over(**{"srv/note": file(f"\nx {TOKEN}\n")}))),
    ("IMG-10", "usr/bin/ldd", lambda: items(*over(**{"usr/bin/ldd": file("x", 0o4755)}))),
    ("IMG-10", "srv/x", lambda: items(*over(**{"srv/x": file("x", 0o2644)}))),
    ("IMG-11", "base", lambda: items({**BASE, "etc/motd": file("x")}, TOP)),
    ("IMG-13", "beta", lambda: items(lock={"alpha": "1.0", "beta": "2.1"})),
    ("IMG-13", "beta", lambda: items(lock={"alpha": "1.0"})),
    ("IMG-13", "gamma", lambda: items(lock={**LOCK, "gamma": "1.0"})),
    ("IMG-13", "lock", lambda: items(lock=None)),
    ("IMG-13", "beta", lambda: items(*over(**dist("beta", "2.1")))),
    ("IMG-14", "libc6:amd64", lambda: items(feeds=[images.updates(images.UPDATES.replace("u7", "u10"))])),
    ("IMG-15", "entrypoint", lambda: items(config=config(Entrypoint=["/bin/sh", "-c", "exec python3"]))),
    ("IMG-15", "entrypoint", lambda: items(config=config(Entrypoint=None))),
    ("IMG-15", "entrypoint", lambda: items(config=config(Entrypoint="python3 -I"))),
    ("IMG-16", "srv/.trivyignore", lambda: items(*over(**{"srv/.trivyignore": file("CVE-1\n")}))),
]


@pytest.mark.parametrize(("rule", "place", "given"), BAD)
def test_the_smallest_violation_trips_its_rule_and_no_other(
    rule: str, place: str, given: Callable[[], list[Item]]
) -> None:
    seen = verdict(given())
    assert (seen.outcome, broken(seen)) == (Outcome.FAIL, [(rule, place)]), seen.reason
    assert "allowed: " in seen.findings[0].message


def test_an_image_without_a_signature_has_no_bill_either() -> None:
    assert broken(verdict(items(key=None))) == [("IMG-02", "signature"), ("IMG-03", "bill of materials")]


def test_a_signature_of_another_image_is_none() -> None:
    good, other = items(), items(config=config(Env=[]))
    mixed = [*(each for each in good if each.kind not in ("signature", "attestation"))]
    mixed += [each for each in other if each.kind in ("signature", "attestation")]
    assert broken(verdict(mixed)) == [("IMG-02", "signature"), ("IMG-03", "bill of materials")]


def swapped(given: list[Item], kind: str, value: Any) -> list[Item]:
    """The same with another item of a kind."""
    return [Item(kind, value) if each.kind == kind else each for each in given]


def test_what_is_said_of_another_image_is_not_said_of_this_one() -> None:
    good, other = items(), {each.kind: each.value for each in items(config=config(Env=["A=1"]))}
    assert broken(verdict(swapped(good, "attestation", other["attestation"]))) == [("IMG-03", "bill of materials")]
    payload = endorse.payload(endorse.Image(facts(good).built.sha256))  # type: ignore[union-attr]
    for strange in (payload.replace(b"container image", b"something"), b"[]", b"{}", b"\xff"):
        found = broken(verdict(swapped(good, "signature", (strange, images.KEY.mark(strange)))))
        assert ("IMG-02", "signature") in found, strange


def test_a_config_that_the_manifest_does_not_name_is_found() -> None:
    """The manifest is what was signed: who swaps the config would choose what is started, and as whom."""
    other = next(each.value for each in items(config=config(User="1000:1000")) if each.kind == "config")
    assert broken(verdict(swapped(items(), "config", other))) == [("IMG-12", "layers")]


def test_a_config_of_more_layers_than_there_are_is_found() -> None:
    told = {each.kind: each.value for each in items()}
    held = json.loads(told["config"])
    held["rootfs"]["diff_ids"].append(f"sha256:{'0' * 64}")
    body = canonical(held)
    manifest = json.loads(told["manifest"])
    manifest["config"] |= {"digest": f"sha256:{hashlib.sha256(body).hexdigest()}", "size": len(body)}
    more = swapped(swapped(items(key=None), "config", body), "manifest", canonical(manifest))
    seen = facts(more)
    assert seen.built is not None
    assert seen.built.broken.first == ("manifest: has a config of 3 layers; allowed: 2",)


def test_a_bill_of_other_packages_is_found() -> None:
    """It was signed, and of this very image: what is in it is another matter."""
    good = items()
    sha = facts(good).built.sha256  # type: ignore[union-attr]
    parts = signed.components([("deb", "libc6", "2.36-9+deb12u7"), ("pypi", "alpha", "1.0"), ("pypi", "gone", "1.0")])
    told = seal(signed.CYCLONEDX, {"serving": sha}, parts, images.KEY)
    given = [Item("attestation", told) if each.kind == "attestation" else each for each in good]
    found = broken(verdict(given))
    assert found == [
        ("IMG-03", "deb python3.11-minimal 3.11.2-6+deb12u3"),
        ("IMG-03", "pypi beta 2.0"),
        ("IMG-03", "pypi gone 1.0"),
    ]


def test_a_database_that_is_gone_or_cut_is_found() -> None:
    """Nothing is known to be vulnerable of packages that nobody tells of."""
    gone = verdict(items(*over(**{"var/lib/dpkg/.wh.status": file("")})))
    assert {rule for rule, _ in broken(gone)} == {"IMG-05"}
    opaque = verdict(items(*over(**{"var/lib/.wh..wh..opq": file("")})))
    assert ("IMG-05", "packages") in broken(opaque)
    assert verdict(items(), floor=3).outcome is Outcome.FAIL


@pytest.mark.parametrize("text", ["Package: x\n", "what\n", "Package: a\nPackage: b\n", images.STATUS + "\nPackage: x"])
def test_a_database_that_cannot_be_read_is_found(text: str) -> None:
    assert "IMG-05" in {rule for rule, _ in broken(verdict(items(*over(**{STATUS: file(text)}))))}


def test_debian_is_matched_by_source_and_in_its_order() -> None:
    """`glibc` is no installed package's name; `u7` comes after `u10` as text; another release is another package."""

    def hits(*known: Any) -> list[str]:
        return [each.package for each in facts(items(known=images.advisories(*known))).hits]

    assert hits(GLIBC) == ["glibc"]
    assert hits(told("Debian:12", "glibc", fixed="2.36-9+deb12u7")) == []
    assert hits(told("Debian:12", "libc6", fixed="9")) == []
    assert hits(told("Debian:11", "glibc", fixed="9")) == []
    assert hits(told("Debian:12", "alpha", fixed="9")) == []
    assert hits(told("PyPI", "glibc", fixed="9")) == []
    assert hits(told("Debian:12", "glibc", fixed="9", withdrawn=NOW)) == []
    assert hits(told("Debian:12", "python3.11", fixed="3.11.2-6+deb12u10")) == ["python3.11"]


def test_what_no_version_fixes_is_as_the_policy_says() -> None:
    lasting = items(known=images.advisories(told("Debian:12", "glibc")))
    seen = verdict(lasting)
    assert broken(seen) == [("IMG-06", "glibc 2.36-9+deb12u7: CVE-1")]
    assert "not fixed in any version" in seen.reason
    let = verdict(lasting, unfixed="let")
    assert let.outcome is Outcome.PASS
    assert "1 known vulnerabilities" in let.reason
    assert verdict(items(known=images.advisories(GLIBC)), unfixed="let").outcome is Outcome.FAIL
    dist = items(known=images.advisories(told("PyPI", "alpha")))
    assert verdict(dist, unfixed="let").outcome is Outcome.FAIL, "a distribution is let go by a waiver, or by nobody"
    vector = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
    low = told("Debian:12", "glibc", fixed="9", severity=[{"type": "CVSS_V3", "score": vector}])
    assert verdict(items(known=images.advisories(low))).outcome is Outcome.PASS
    assert verdict(items(known=images.advisories(low)), worst="low").outcome is Outcome.FAIL


def test_a_version_without_an_order_is_unclear() -> None:
    seen = verdict(items(known=images.advisories(told("Debian:12", "glibc", fixed="not a_version"))))
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unclear")


def test_stale_advisories_are_found_by_ecosystem() -> None:
    old = images.advisories(newest="2026-11-01T00:00:00Z")
    assert broken(verdict(items(known=old))) == [("IMG-07", "Debian:12"), ("IMG-07", "PyPI")]
    assert verdict(items(known=old), days=29).outcome is Outcome.PASS
    ahead = images.advisories(newest="2026-12-09T00:00:00Z")
    assert broken(verdict(items(known=ahead))) == [("IMG-07", "Debian:12"), ("IMG-07", "PyPI")]


def test_without_advisories_nobody_can_tell() -> None:
    for known, of in (
        (None, "PyPI, Debian:12"),
        (images.advisories(ecosystems=["PyPI"]), "Debian:12"),
        (images.advisories(ecosystems=["Debian:12"]), "PyPI"),
        (images.advisories(ecosystems=["PyPI", "Debian:11"]), "Debian:12"),
    ):
        seen = verdict(items(known=known))
        assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "advisories")
        assert f"no advisories of {of}:" in seen.reason


def test_a_finding_stands_beside_what_nobody_can_tell() -> None:
    seen = verdict(items(known=None, feeds=[], config=config(User="0")))
    assert (seen.outcome, broken(seen)) == (Outcome.FAIL, [("IMG-08", "user")])


def test_lists_of_updates_that_are_none_old_or_of_another_suite() -> None:
    cases: list[tuple[list[Any], str]] = [
        ([], "there is no list of bookworm-security"),
        ([images.updates(codename="bullseye")], "there is no list"),
        ([images.updates(at="2026-11-01T00:00:00Z", days=90)], "is of 2026-11-01T00:00:00Z"),
        ([images.updates(at="2026-11-27T00:00:00Z", days=1)], "and counts until 2026-11-28T00:00:00Z"),
        ([images.updates(at="2026-12-05T00:00:00Z")], "is of 2026-12-05"),
        ([images.updates()._replace(packages=b"Package: y\nArchitecture: all\nVersion: 1\n")], "not what its release"),
        ([images.updates()._replace(packages=b"Package: y\n")], "Packages"),
        ([images.updates()._replace(file="x_Packages.lz4")], "breaks off"),
        ([images.updates()._replace(file="x_Packages.rar")], "packed in another way"),
        ([images.updates()._replace(release=b"Codename: bookworm-security\n")], "Release"),
    ]
    for given, why in cases:
        seen = verdict(items(feeds=given))
        assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "updates"), why
        assert why in seen.reason
        assert verdict(items(feeds=given), pending="UnsafeLet").outcome is Outcome.PASS


@pytest.mark.parametrize("version", ["9999", "1:0", "2.36-9+deb12u8", "2.36-10"])
def test_a_pending_update_is_found_unless_the_policy_lets_it(version: str) -> None:
    given = items(feeds=[images.updates(images.UPDATES.replace("2.36-9+deb12u7", version))])
    assert broken(verdict(given)) == [("IMG-14", "libc6:amd64")]
    let = verdict(given, pending="UnsafeLet")
    assert let.outcome is Outcome.PASS
    assert let.reason.endswith("1 updates not installed")
    other = items(feeds=[images.updates(images.UPDATES.replace("2.36-9+deb12u7", version).replace("amd64", "arm64"))])
    assert verdict(other).outcome is Outcome.PASS


def test_a_secret_that_a_later_layer_deletes_is_found() -> None:
    body = "".join("MHcCAQEEIB" for _ in range(6))  # made when it runs: bytecode would hold the whole
    key = f"-----BEGIN EC PRIVATE KEY-----\n{body}\n-----END EC PRIVATE KEY-----\n"
    for text, kind, line in ((f"token {TOKEN}", "github-token", 1), (key, "private-key", 2)):
        given = items(BASE, {"srv/deleted": file(text)}, {**TOP, "srv/.wh.deleted": file("")})
        seen = verdict(given)
        assert broken(seen) == [("IMG-09", f"layer 2: srv/deleted, line {line}")]
        assert kind in seen.reason
        assert TOKEN not in seen.model_dump_json()
        assert verdict(given, secrets={"srv/del*": "made up"}).outcome is Outcome.PASS
        assert verdict(given, secrets={"other/*": "made up"}).outcome is Outcome.FAIL


def test_a_secret_at_the_end_of_a_long_variable_is_found() -> None:
    given = items(config=config(Env=["SETTING=" + "word " * 40_000 + TOKEN]))
    assert broken(verdict(given)) == [("IMG-09", "config.config.Env 1")]


def test_a_file_that_nobody_can_look_into_is_found() -> None:
    given = items(*over(**{"srv/x": file(b"7z\xbc\xaf\x27\x1c rest")}))
    assert broken(verdict(given)) == [("IMG-09", "7z")]
    assert verdict(given, opaque=["7z"]).outcome is Outcome.PASS


def test_what_tells_scanners_to_look_away_is_found_and_not_obeyed() -> None:
    hush = file("CVE-1\n*\n")
    names = (".trivyignore", "trivy.yaml", ".grype.yaml", ".snyk", "openvex.json", "app.vex.json", ".gitleaks.toml")
    for name in names:
        given = items(*over(**{name: hush}), known=images.advisories(GLIBC))
        assert {rule for rule, _ in broken(verdict(given))} == {"IMG-06", "IMG-16"}, name


def test_a_database_of_another_system_needs_its_own() -> None:
    assert broken(verdict(items(*over(**{"usr/lib/os-release": file("ID=nobody\nVERSION_ID=1\n")})))) == [
        ("IMG-04", "system")
    ]
    alpine = 'ID=alpine\nVERSION_ID="3.20.1"\n'
    limits = {"systems": {"alpine": {"3.20.1": "2028-01-01"}}}
    assert broken(verdict(items(*over(**{"usr/lib/os-release": file(alpine)})), **limits)) == [("IMG-05", "packages")]
    apk = "P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\nR:ld-musl.so.1\n"
    here = {"usr/lib/os-release": file(alpine), "lib/apk/db/installed": file(apk), "lib/ld-musl.so.1": file("x", 0o755)}
    seen = verdict(items(*over(**here)), **limits, pending="UnsafeLet")
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "advisories")
    assert "alpine 3.20.1" in seen.reason


@pytest.mark.parametrize("given", [[], items()[:1], items()[1:], [*items(), items()[0]], [Item("about", None)]])
def test_what_is_no_image_tells_nothing(given: list[Item]) -> None:
    seen = verdict(given)
    assert (seen.outcome, seen.findings) == (Outcome.INCONCLUSIVE, ())


def test_an_image_without_layers_is_none() -> None:
    empty = [each for each in items() if each.kind != "layer"]
    assert "IMG-12" in {rule for rule, _ in broken(judge(GATE, observe(GATE, images.opened(empty), LIMITS), LIMITS))}


def test_an_image_without_dpkg_tells_its_packages_apart() -> None:
    bases = [images.base(images.APART)]
    assert verdict(items(images.APART, TOP), bases=bases).outcome is Outcome.PASS
    less = {path: node for path, node in images.APART.items() if not path.endswith("python3.md5sums")}
    found = verdict(items(less, TOP), bases=[images.base(less)])
    assert broken(found) == [("IMG-05", "usr/bin/python3.11")]


def test_an_empty_tree_is_no_clean_one() -> None:
    """Nothing is vulnerable, nothing is outdated, nothing runs as another."""
    found = {rule for rule, _ in broken(verdict(items({"srv/empty": file("")})))}
    assert found == {"IMG-04", "IMG-05", "IMG-11", "IMG-13"}


def test_what_runs_as_another_and_is_of_no_package_is_both() -> None:
    seen = verdict(items(*over(**{"usr/bin/gain": file("x", 0o4755)})))
    assert broken(seen) == [("IMG-05", "usr/bin/gain"), ("IMG-10", "usr/bin/gain")]
    seen = verdict(items(*over(**{"usr/bin/gain": file("x", 0o4755)})), setuid=["usr/bin/gain"], made={"usr/*": "ours"})
    assert seen.outcome is Outcome.PASS


def test_what_is_without_end_is_told_as_far_as_it_goes() -> None:
    """Facts are stored with each run: whoever makes an image decides about no more of them than this."""
    many = {f"opt/{number}": file("x", 0o755) for number in range(MOST + 20)}
    given = items(*over(**many))
    seen = verdict(given)
    assert len(seen.findings) == MOST + 1
    assert seen.findings[-1].message == "found 20 more; allowed: none"
    assert facts(given).stray.count == MOST + 20
    assert verdict(given, made={"opt/*": "ours"}).outcome is Outcome.FAIL


def test_an_image_that_is_handed_out_as_files_tells_nothing() -> None:
    loose = [*items(), Item("file", File("etc/x", file("x")))]
    layers = [*process().source(), *(each for each in items() if each.kind == "layer")]
    for given in (loose, layers):
        seen = verdict(given)
        assert (seen.outcome, seen.findings) == (Outcome.INCONCLUSIVE, ())


PROCESS = {**{path: node for path, node in BASE.items() if node.kind == "file" and "/bin/" not in path}, **TOP}
HOST = Interpreter(implementation="CPython", version="3.11.9", owner="python3.11-minimal")


def process(
    files: Mapping[str, Node] = PROCESS, interpreter: Interpreter = HOST, env: str = "PATH=/usr/bin", **given: Any
) -> Material[Item]:
    """What a process runs on."""
    config = made.canonical({"config": {"Cmd": ["/usr/bin/python3.11"], "Env": [env]}})
    some = [each for each in items(key=None, **given) if each.kind in ("advisories", "lock", "feed")]
    some += [Item("about", About("process", "", NOW)), Item("config", config), Item("interpreter", interpreter)]
    some += [Item("file", File(path, node)) for path, node in files.items()]
    subject = Subject(kind="image", name="process", sha256="1" * 64)
    return material(subject, lambda: some, 4, lambda item: 4 * (item.kind == "file" and "status" in item.value.path))


def told_of(given: Material[Item], **limits: Any) -> Verdict:
    return judge(GATE, observe(GATE, given, LIMITS | limits), LIMITS | limits)


def test_a_process_is_no_image_and_what_is_found_of_it_stands() -> None:
    seen = told_of(process())
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "image"), seen.reason
    assert seen.reason == "no image was built: only what the local process runs on was looked at"
    lost = {path: node for path, node in PROCESS.items() if path != "usr/lib/os-release"}
    bad: list[tuple[str, Material[Item]]] = [
        ("IMG-04", process(interpreter=HOST.model_copy(update={"version": "3.7.1"}))),
        ("IMG-04", process(lost)),
        ("IMG-05", process({**PROCESS, f"{images.SITE}/evil.pth": file("import os")})),
        ("IMG-06", process(known=images.advisories(GLIBC))),
        ("IMG-06", process(known=images.advisories(ALPHA))),
        ("IMG-07", process(known=images.advisories(newest="2026-01-01T00:00:00Z"))),
        ("IMG-09", process(env=f"SETTING={TOKEN}")),
        ("IMG-13", process(lock={"alpha": "1.0"})),
        ("IMG-14", process(feeds=[images.updates(images.UPDATES.replace("u7", "u10"))])),
        ("IMG-16", process({**PROCESS, "srv/packages/.trivyignore": file("*")})),
    ]
    for rule, given in bad:
        seen = told_of(given)
        assert (seen.outcome, {each.rule for each in seen.findings}) == (Outcome.FAIL, {rule}), seen.reason


def test_an_interpreter_of_no_package_and_a_system_that_nobody_knows() -> None:
    alone = told_of(process(interpreter=HOST.model_copy(update={"owner": ""})))
    assert alone.cause == "interpreter+image"
    strange = {"usr/lib/os-release": file("ID=nobody\n"), **TOP}
    assert broken(told_of(process(strange))) == [("IMG-04", "system")]
    some = process(strange)
    some.weigh = lambda item: 4 * (item.kind == "file" and "os-release" in item.value.path)
    seen = told_of(some, others="UnsafeAny")
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "packages+image"), seen.reason
    empty = process({**strange, "var/lib/dpkg/status": file("")})
    empty.weigh = some.weigh
    assert told_of(empty, others="UnsafeAny").cause == "packages+image"
    removed = {path: node for path, node in PROCESS.items() if "dpkg" not in path and "libc" not in path}
    assert broken(told_of(process(removed), others="UnsafeAny")) == [("IMG-05", "packages")]


@pytest.mark.parametrize("rule", sorted(GATE.rules))
@pytest.mark.parametrize("form", ["image", "apart", "process", "strange", "epoch"])
def test_a_canary_is_caught_whatever_it_is_made_of(rule: str, form: str) -> None:
    """Under a policy that lets what a laptop cannot show, too."""
    limits = Limits.model_validate(LIMITS | {"others": "UnsafeAny", "unfixed": "let", "worst": "critical"})
    strange = {"usr/lib/os-release": file("ID=nobody\n"), **TOP}
    apart = images.opened(items(images.APART, TOP))
    given = {
        "apart": apart,
        "image": images.opened(items(known=None)),
        "process": process(known=None),
        "strange": process(strange),
        "epoch": process({**PROCESS, "var/lib/dpkg/status": file(images.STATUS.replace("Version: ", "Version: 1:"))}),
    }
    sample = list(given[form].source())
    for seed in range(12):
        seen = GATE.look(given[form].decoy(VIOLATIONS[rule](sample, random.Random(seed))).handed()[0])
        found = set()
        with suppress(CannotTell):
            for each in GATE.judge(seen, limits):
                found.add(each.rule)
        assert rule in found, seed


def test_every_rule_has_a_smallest_violation() -> None:
    assert {rule for rule, _, _ in BAD} | {"IMG-07", "IMG-12", "IMG-17"} == set(GATE.rules) == set(VIOLATIONS)


def test_layers_that_are_not_what_they_say_are_found() -> None:
    good = items()
    layer = next(each.value for each in good if each.kind == "layer")
    ways = [
        layer._replace(chunks=lambda: (b"",)),
        layer._replace(chunks=lambda: (b"".join(layer.chunks()) + b"\0" * 1024,)),
        layer._replace(size=layer.size + 1),
        layer._replace(sha256="0" * 64),
        layer._replace(kind="text/plain"),
        layer._replace(diff="0" * 64),
    ]
    for each in ways:
        given = [Item("layer", each) if one.value is layer else one for one in good]
        assert "IMG-12" in {rule for rule, _ in broken(verdict(given))}, each
    fewer = [each for each in good if each.value is not layer]
    assert "IMG-12" in {rule for rule, _ in broken(verdict(fewer))}


def test_limits_say_what_is_insecure() -> None:
    with pytest.raises(ValueError, match="unfixed"):
        Limits.model_validate({key: told for key, told in LIMITS.items() if key != "unfixed"})
    assert Limits.model_validate(LIMITS | {"others": "UnsafeAny"}).others.startswith("Unsafe")
    late = stamp(when("2028-07-01T00:00:00Z") + timedelta(days=1))
    assert ("IMG-04", "system") in broken(verdict(items(), UnsafeClock=late))
