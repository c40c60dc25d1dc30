"""Dependencies: pinned, installed as pinned, looked up by two engines in advisories that are new."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from security.advisories.mirror import Head, Mirror, load
from security.advisories.record import Advisory
from security.engines import audit
from security.engines.index import Listing
from security.errors import CannotTell
from security.gate import judge, observe
from security.gates.dependencies import (
    DependencyScanning,
    Dist,
    Facts,
    Limits,
    Pin,
    bill,
    environment,
    gate,
    lines,
    match,
    material,
    read,
)
from security.gates.dependencies.decoys import VIOLATIONS, _made, _violation
from security.gates.dependencies.match import FORGET_ME_NOT
from security.material import Material
from security.verdict import Outcome, Subject, Verdict
from tests.security.advisories.test_mirror import fetched
from tests.security.advisories.test_ranges import advisory, span

GATE = DependencyScanning()
SUBJECT = Subject(kind="lock", name="requirements.lock", sha256="0" * 64)
NOW = "2026-11-29T00:00:00Z"
HASH = f"--hash=sha256:{'a' * 64}"
LOCK = f"alpha==1.0 {HASH}\nbeta==2.0 {HASH}\ngamma==3.0 ; sys_platform == 'win32' {HASH}\n"
LIMITS: dict[str, Any] = {"allowed": ["alpha", "beta", "gamma"], "licences": ["MIT", "BSD-3-Clause"], "index": False}
KNOWN = advisory(span({"introduced": "0"}, {"fixed": "1.1"}), name="alpha", id="PYSEC-1", aliases=["CVE-1"])


def mirror(*more: Advisory, newest: str = NOW) -> Mirror:
    """Advisories that know what everybody knows, and these."""
    made = _made(newest)
    known = dict(made.known)
    for each in more:
        for name in each.names:
            known[name] = (*known.get(name, ()), each)
    return Mirror(Head(source="made up", checked=NOW, newest=newest, count=1, sha256=""), known)


def dists(text: str = LOCK) -> list[Dist]:
    return [
        Dist(name=pin.name, version=pin.version, direct=False, licence="MIT")
        for pin in map(read, lines(text))
        if _here(pin)
    ]


def _here(pin: Any) -> bool:
    return getattr(pin, "applies", False)


def opened(text: str = LOCK, known: Mirror | None = None, **more: Any) -> Material[Any]:
    given_ = {"dists": dists(text), "service": ""} | more
    parts = given_.get("parts", {}).values()
    count = sum(len(list(lines(each))) for each in (text, *parts)) + len(given_["dists"] or ())
    given_ = {"bill": bill.made(given_["dists"] or dists(text), {}, NOW, root="here")} | given_
    return material(SUBJECT, text, known or mirror(), NOW, expected=count, **given_)


def look(text: str = LOCK, known: Mirror | None = None, **more: Any) -> Facts:
    return GATE.look(opened(text, known, **more).handed()[0])


def found(facts: Facts, **limits: Any) -> list[tuple[str, str]]:
    told = []
    try:
        told += [(each.rule, each.place) for each in GATE.judge(facts, Limits.model_validate(LIMITS | limits))]
    except CannotTell as why:
        return [("cause", why.cause)]
    return told


def verdict(made: Material[Any], seed: int = 1, **limits: Any) -> Verdict:
    return judge(GATE, observe(GATE, made, LIMITS | limits, random.Random(seed)), LIMITS | limits)


def test_a_good_lock_passes_and_says_as_of_when() -> None:
    told = verdict(opened())
    assert told.outcome is Outcome.PASS, told.reason
    assert told.reason == "5/5 packages, none known to be vulnerable by 1 advisories of 2026-11-29"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (LOCK.replace(f"beta==2.0 {HASH}", "beta==2.0"), [("DEP-01", "lock, line 2"), ("DEP-05", "lock, line 2")]),
        (LOCK.replace("beta==2.0", "beta>=2.0"), [("DEP-01", "lock, line 2"), ("DEP-05", "lock, line 2")]),
        (LOCK + "?\n", [("DEP-01", "lock, line 4"), ("DEP-05", "lock, line 4")]),
        (LOCK + f"beta==2.1 {HASH}\n", [("DEP-01", "beta")]),
        (
            LOCK + f"delta @ https://example.org/d.whl {HASH}\n",
            [("DEP-03", "lock, line 4"), ("DEP-05", "lock, line 4")],
        ),
        ("--index-url https://example.org/simple\n" + LOCK, [("DEP-03", "lock, line 1")]),
        ("-r another.txt\n" + LOCK, [("DEP-03", "lock, line 1")]),
        (LOCK + f"delta==1.0 {HASH}\n", [("DEP-06", "delta")]),
    ],
)
def test_a_bad_lock_fails_by_the_named_rule(text: str, rules: list[tuple[str, str]]) -> None:
    facts = look(text)
    assert found(facts, installed=False) == rules
    told = verdict(opened(text), installed=False)
    assert told.outcome is Outcome.FAIL
    assert [(each.rule, each.place) for each in told.findings] == rules


def test_what_is_installed_is_held_against_the_lock_both_ways() -> None:
    def other(change: Callable[[list[Dist]], list[Dist]]) -> list[tuple[str, str]]:
        return found(look(dists=change(dists())))

    def dist(name: str, version: str = "1.0", direct: bool = False) -> Dist:
        return Dist(name=name, version=version, direct=direct, licence="MIT")

    assert other(lambda here: here[1:]) == [("DEP-02", "alpha")]
    assert other(lambda here: [dist("alpha", "1.1"), here[1]]) == [("DEP-02", "alpha")]
    assert other(lambda here: [*here, dist("delta")]) == [("DEP-02", "delta")]
    assert other(lambda here: [*here, dist("gamma", "3.0")]) == [("DEP-02", "gamma")]
    assert other(lambda here: [*here, here[0]]) == [("DEP-02", "alpha")]
    assert other(lambda here: [dist("alpha", direct=True), here[1]]) == [("DEP-03", "alpha")]
    assert found(look(dists=None)) == [("DEP-02", "environment")]
    own = dist("sluice-ml", direct=True)
    assert found(look(dists=[*dists(), own]), besides=["sluice-ml"]) == []
    assert other(lambda here: [dist("alpha", "1.0.0"), here[1]]) == []
    assert found(look(dists=[dists()[0], dist("beta", "0.1", direct=True)]), besides=["beta"]) == [
        ("DEP-03", "beta"),
        ("DEP-02", "beta"),
    ]


def test_what_a_lock_beside_it_pins_may_be_installed_at_that_version_where_the_policy_names_it() -> None:
    def here(version: str, *, direct: bool = False, **limits: Any) -> list[tuple[str, str]]:
        own = Dist(name="delta", version=version, direct=direct, licence="MIT")
        beside = {"dev.lock": f"delta==1.0 {HASH}\nbeta==9.0 {HASH}\n", "odd.lock": "delta>=0\n-e .\n"}
        return found(look(dists=[*dists(), own], also=beside), **limits)

    assert here("1.0", also=["dev.lock"]) == here("1.0", also=["odd.lock", "dev.lock"]) == []
    assert here("1.1", also=["dev.lock"]) == here("1.0", also=["odd.lock"]) == [("DEP-02", "delta")]
    assert here("1.0") == here("1.0", also=["none.lock"]) == [("DEP-02", "delta")]
    assert here("1.0", also=["dev.lock"], direct=True) == [("DEP-03", "delta")]
    changed = [dists()[0], dists()[1].model_copy(update={"version": "9.0"})]
    assert found(look(dists=changed, also={"dev.lock": f"beta==9.0 {HASH}\n"}), also=["dev.lock"]) == [
        ("DEP-02", "beta")
    ]


def test_a_lock_beside_it_is_the_one_that_the_plan_has_sealed() -> None:
    text = f"delta==1.0 {HASH}\n"
    sha = hashlib.sha256(text.encode()).hexdigest()

    def here(also: dict[str, str], sealed: dict[str, str] | None) -> list[str]:
        limits = {"also": ["dev.lock"], "sealed": sealed}
        return [each.message for each in verdict(opened(also=also), **limits).findings]

    assert here({"dev.lock": text}, {"dev.lock": sha}) == here({}, {}) == here({"dev.lock": text}, None) == []
    assert here({"dev.lock": text + "\n"}, {"dev.lock": sha})[0].endswith(
        f"; allowed: SHA-256 {sha[:12]}, as the plan has it"
    )
    assert here({}, {"dev.lock": sha}) == [f"found no such lock; allowed: SHA-256 {sha[:12]}, as the plan has it"]
    assert here({"dev.lock": text}, {}) == [f"found SHA-256 {sha[:12]}; allowed: no such lock, as the plan has it"]


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (f"alpha==1.0 {HASH}\n", []),
        (LOCK, []),
        (f"Alpha==1.0 {HASH}\n", []),
        (f"alpha==1.0 --hash=sha256:{'c' * 64}\n", [("DEP-05", "line 1, alpha 1.0: has other hashes in the lock")]),
        (f"alpha==1.1 {HASH}\n", [("DEP-05", "line 1, alpha 1.1: is not in the lock")]),
        (f"alpha==1.0 {HASH}\ndelta==1.0 {HASH}\n", [("DEP-05", "line 2, delta 1.0: is not in the lock")]),
        (f"alpha==1.0 {HASH}\n" * 2, [("DEP-05", "found line 2, alpha once more")]),
        (f"gamma==3.0 {HASH}\nalpha==1.0 {HASH}\n", [("DEP-05", "line 1, gamma 3.0: does not apply in the lock")]),
        (
            f"delta==1.0 ; sys_platform == 'win32' {HASH}\nalpha==1.0 {HASH}\n",
            [("DEP-05", "line 1, delta 1.0: is not in the lock")],
        ),
        (f"alpha>=1.0 {HASH}\nbeta==2.0 {HASH}\n", [("DEP-05", "found line 1, unpinned")]),
        (f"-r other.lock\nbeta==2.0 {HASH}\n", [("DEP-05", "found line 1, option")]),
        ("# nothing\n", [("DEP-01", "found no package that applies here")]),
    ],
)
def test_each_line_of_a_lock_that_is_a_part_stands_in_the_lock_too(text: str, rules: list[tuple[str, str]]) -> None:
    told = verdict(opened(parts={"part.lock": text}), within=["part.lock"], installed=False)
    assert [(each.rule, each.place) for each in told.findings] == [(rule, "part.lock") for rule, _ in rules]
    assert all(said in each.message for each, (_, said) in zip(told.findings, rules, strict=True))
    assert told.outcome is (Outcome.FAIL if rules else Outcome.PASS)
    assert verdict(opened(parts={"part.lock": text}), installed=False).outcome is Outcome.PASS


def test_a_part_is_there_and_is_the_one_that_the_plan_has_sealed() -> None:
    text = f"alpha==1.0 {HASH}\n"
    sha = hashlib.sha256(text.encode()).hexdigest()

    def here(parts: dict[str, str], sealed: dict[str, str] | None) -> list[tuple[str, str]]:
        told = verdict(opened(parts=parts), within=["part.lock"], sealed=sealed)
        return [(each.rule, each.message) for each in told.findings]

    assert here({"part.lock": text}, {"part.lock": sha}) == here({"part.lock": text}, None) == []
    assert here({}, None) == [("DEP-01", "found no such lock; allowed: a lock beside this one")]
    as_sealed = f"allowed: SHA-256 {sha[:12]}, as the plan has it"
    assert here({}, {"part.lock": sha}) == [("DEP-01", f"found no such lock; {as_sealed}")]
    other = here({"part.lock": text + "\n"}, {"part.lock": sha})
    assert [rule for rule, _ in other] == ["DEP-01"]
    assert other[0][1].endswith(as_sealed)
    assert [rule for rule, _ in here({"part.lock": text}, {})] == ["DEP-01"]


FORKED = f"""Alpha==1.0 {HASH}
gamma==3.0 ; sys_platform == 'win32' {HASH}
gamma==2.0 ; sys_platform != 'win32' {HASH}
"""
WITHIN: dict[str, Any] = {
    "within": ["part.lock"],
    "sealed": {"part.lock": hashlib.sha256(FORKED.encode()).hexdigest()},
    "allowed": "UnsafeAnyName",
}


@pytest.mark.parametrize("rule", sorted(VIOLATIONS))
def test_a_canary_holds_the_part_too_so_that_it_is_caught_for_its_own_rule(rule: str) -> None:
    text = LOCK + FORKED.splitlines()[2] + "\n"
    for seed in range(20):
        sample = list(opened(text, mirror(KNOWN), parts={"part.lock": FORKED}).source())
        told = found(look_at(VIOLATIONS[rule](sample, random.Random(seed))), **WITHIN)
        # A line that is loose may be one that the part names, and what is not looked up is: that is told of the part.
        assert {each for each in told if each[1] == "part.lock"} <= (
            {("DEP-05", "part.lock")} if rule in ("DEP-01", "DEP-05") else set()
        )


def test_a_canary_that_nothing_is_done_to_breaks_no_rule_though_the_part_is_vulnerable() -> None:
    text = LOCK + FORKED.splitlines()[2] + "\n"
    for seed in range(20):
        sample = list(opened(text, mirror(KNOWN), parts={"part.lock": FORKED}).source())
        made = _violation(lambda *_: None)(sample, random.Random(seed))
        assert found(look_at(made), **WITHIN) == []


def test_a_look_that_is_blind_to_the_part_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = gate._part
    blind = lambda text, pins: real(text, pins).model_copy(update={"strange": (), "odd": ()})  # noqa: E731
    monkeypatch.setattr(gate, "_part", blind)
    made = [
        verdict(opened(parts={"part.lock": f"alpha==1.0 {HASH}\n"}), seed, within=["part.lock"], bill=False)
        for seed in range(60)
    ]
    assert {told.outcome for told in made} == {Outcome.PASS, Outcome.INCONCLUSIVE}
    assert {told.cause for told in made if told.outcome is Outcome.INCONCLUSIVE} == {"canary"}


def test_a_canary_has_the_locks_beside_it_so_that_only_its_own_rule_is_broken() -> None:
    text = f"delta==1.0 {HASH}\n"
    limits = {"also": ["dev.lock"], "sealed": {"dev.lock": hashlib.sha256(text.encode()).hexdigest()}}
    made = VIOLATIONS["DEP-01"](list(opened(also={"dev.lock": text}).source()), random.Random(1))
    assert "dev.lock" not in {place for _, place in found(look_at(made), **limits)}


def test_what_is_installed_is_looked_up_locked_or_not() -> None:
    other = advisory(span({"introduced": "0"}), name="delta", id="PYSEC-4")
    here = [*dists(), Dist(name="delta", version="1.0", direct=True, licence="")]
    assert found(look(dists=here, known=mirror(other)), besides=["delta"]) == [("DEP-04", "delta 1.0: PYSEC-4")]
    assert found(look(dists=here), besides=["delta"]) == []
    newer = [dists()[0].model_copy(update={"version": "0.9"}), dists()[1]]
    assert ("DEP-04", "alpha 0.9: CVE-1") in found(look(dists=newer, known=mirror(KNOWN)))


def test_a_licence_that_nobody_allowed_is_told() -> None:
    first, second = dists()

    def here(told: str, **limits: Any) -> list[tuple[str, str]]:
        return found(look(dists=[first.model_copy(update={"licence": told}), second]), **limits)

    assert here("MIT OR GPL-3.0-only") == []
    assert here("GPL-3.0-only") == here("") == [("DEP-10", "alpha")]
    assert here("", licensed={"alpha": "BSD-3-Clause"}) == []
    assert here("GPL-3.0-only", licensed={"alpha": "MIT"}) == [("DEP-10", "alpha")]
    assert here("GPL-3.0-only", licences="UnsafeAnyLicence") == []
    assert here("GPL-3.0-only", besides=["alpha"]) == [("DEP-10", "alpha")]
    own = Dist(name="own", version="1.0", direct=True, licence="")
    assert found(look(dists=[first, second, own]), besides=["own"]) == []


def test_what_the_index_does_not_know_or_has_withdrawn_is_told() -> None:
    pins = [pin for pin in map(read, lines(LOCK)) if isinstance(pin, Pin)]
    every = [Listing(name=pin.name, version=pin.version, known=True) for pin in pins]

    def listed(**told: Any) -> list[tuple[str, str]]:
        return found(look(listings=[every[0].model_copy(update=told), *every[1:]]), index=True)

    assert listed() == listed(yanked=None, status="archived") == []
    assert listed(known=False, strange=1) == listed(strange=1) == [("DEP-06", "alpha")]
    assert listed(yanked="leaks") == listed(status="quarantined") == [("DEP-12", "alpha")]
    assert listed(version="9.9") == [("cause", "index")]
    assert found(look(), index=True) == [("cause", "index")]
    assert found(look(listings=every[1:]), index=True) == [("cause", "index")]
    assert "index" in GATE.causes
    told = verdict(opened(listings=every), index=True)
    assert told.outcome is Outcome.PASS, told.reason


def test_a_bill_of_materials_is_of_what_is_here() -> None:
    def billed(change: Callable[[dict[str, Any]], object]) -> list[str]:
        told = json.loads(bill.made(dists(), {}, NOW, root="here"))
        changed = change(told)
        facts = look(bill=changed if isinstance(changed, bytes) else json.dumps(told).encode())
        return [each.message for each in GATE.judge(facts, Limits.model_validate(LIMITS)) if each.rule == "DEP-11"]

    assert billed(lambda told: None) == []
    assert billed(lambda told: told["components"].pop(0)) == [
        "alpha 1.0 is here and not in it; allowed: all that is here"
    ]
    assert billed(lambda told: told["components"].append(_part("delta", "1.0"))) == [
        "delta 1.0 is in it and not here; allowed: what is here"
    ]
    assert len(billed(lambda told: told["components"][0].update(_part("alpha", "1.1")))) == 2
    nothing = ["found what is no flat CycloneDX 1.6 over packages, each of them once; allowed: one of what is here"]
    assert billed(lambda told: told.update(specVersion="1.4")) == nothing
    assert len(billed(lambda told: told.pop("components"))) == 2
    assert billed(lambda told: told["components"][0].update(purl="pkg:npm/alpha@1.0")) == nothing
    assert billed(lambda told: told["components"][0].update(version="9.9")) == nothing
    assert billed(lambda told: told["components"].append(told["components"][0])) == nothing
    assert billed(lambda told: told["components"][0].update(components=[_part("evil", "1.0")])) == nothing
    assert billed(lambda told: told["components"][0].update(purl="pkg:pypi/alpha@1.0?repository_url=x")) == nothing
    assert billed(lambda told: b"[" * 100_000) == billed(lambda told: b"7") == nothing
    assert found(look(bill=None)) == [("DEP-11", "bill of materials")]
    assert found(look(bill=None), bill=False) == []


def _part(name: str, version: str) -> dict[str, Any]:
    return {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}


def test_a_bill_of_materials_keeps_to_the_published_schema() -> None:
    here = environment.installed(environment.paths())
    needs = environment.needs(environment.paths())
    body = bill.made(here, needs, NOW, root="here", lock="a" * 64)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(body.decode()) is None
    told = json.loads(body)
    assert bill.seen(body, {(dist.name, dist.version) for dist in here}).listed == len(here) > 200
    (numpy,) = (each for each in told["components"] if each["name"] == "numpy")
    assert numpy["licenses"][0]["acknowledgement"] == "declared"
    assert told["metadata"]["properties"] == [{"name": "sluice:lock:sha256", "value": "a" * 64}]
    assert [each["name"] for each in told["components"] if "purl" not in each] == ["sluice-ml"]
    edges = {each["ref"]: each.get("dependsOn", []) for each in told["dependencies"]}
    assert numpy["bom-ref"] in edges[next(ref for ref in edges if ref.startswith("pkg:pypi/scipy@"))]
    assert body == bill.made(here, needs, NOW, root="here", lock="a" * 64)
    others = [
        bill.made(here, needs, NOW, root="there", lock="a" * 64),
        bill.made(here, {}, NOW, root="here", lock="a" * 64),
    ]
    assert len({json.loads(each)["serialNumber"] for each in (body, *others)}) == 3


def test_packages_that_need_each_other_are_in_the_bill_all_the_same() -> None:
    body = bill.made(dists(), {"alpha": {"beta", "alpha"}, "beta": {"alpha"}}, NOW, root="here")
    assert bill.seen(body, {("alpha", "1.0"), ("beta", "2.0")}).missing == ()
    edges = {each["ref"]: each.get("dependsOn", []) for each in json.loads(body)["dependencies"]}
    assert edges["here"] == ["pkg:pypi/alpha@1.0"]
    assert edges["pkg:pypi/alpha@1.0"] == ["pkg:pypi/beta@2.0"]


def test_a_marker_that_hides_a_package_is_told_and_the_package_looked_up_all_the_same() -> None:
    hidden = advisory(span({"introduced": "0"}), name="gamma", id="PYSEC-3")
    assert found(look(known=mirror(hidden))) == [("DEP-04", "gamma 3.0: PYSEC-3")]


def test_a_vulnerability_that_both_know_fails_with_its_fix() -> None:
    facts = look(known=mirror(KNOWN))
    (hit,) = facts.hits
    assert (hit.ids, hit.level, hit.fixes, hit.engine, hit.matcher) == (
        ("CVE-1", "PYSEC-1"),
        "high",
        ("1.1",),
        True,
        True,
    )
    (breach,) = GATE.judge(facts, Limits.model_validate(LIMITS))
    assert (breach.rule, breach.place) == ("DEP-04", "alpha 1.0: CVE-1")
    assert breach.message == "high (CVE-1, PYSEC-1), fixed in 1.1; allowed: nothing that is high or worse"
    assert found(facts, worst="critical") == []
    assert verdict(opened(known=mirror(KNOWN)), worst="critical").reason.startswith("5/5 packages, 1 known vuln")


@pytest.mark.parametrize(
    "told",
    [
        advisory(span({"introduced": "0"}), name="alpha", published="2024-01-01T00:00:00.123456789Z"),
        advisory(span({"introduced": "0"}), name="alpha", published="1-01-01T00:00:00Z"),
        advisory(span({"introduced": "0"}, {"fixed": "0.2.0-n653"}, versions=["1.0"]), name="alpha"),
        advisory(span({"introduced": "0"}), span({"introduced": "0"}) | {"package": None}, name="alpha"),
    ],
    ids=["published-to-the-nanosecond", "published-never", "fixed-in-no-version", "of-no-package-too"],
)
def test_an_advisory_of_an_odd_spelling_does_not_end_the_engine(told: Advisory) -> None:
    facts = look(known=mirror(told))
    assert facts.failed == ""
    assert found(facts) == [("DEP-04", "alpha 1.0: A-1")]


def test_what_was_withdrawn_counts_with_neither() -> None:
    gone = advisory(span({"introduced": "0"}), name="alpha", id="PYSEC-1", withdrawn="2024-02-01T00:00:00Z")
    assert look(known=mirror(gone)).hits == ()


def test_what_only_one_of_them_knows_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    told = advisory(span({"introduced": "0"}), name="alpha", id="PYSEC-1")
    passed_over = msgspec.structs.replace(told, schema_version="2.0.0")
    assert found(look(known=mirror(passed_over))) == [("DEP-09", "alpha 1.0: PYSEC-1")]
    monkeypatch.setattr(gate, "matched", lambda pins, mirror: match.Matched((), ()))
    facts = look(known=mirror(KNOWN))
    assert [(hit.engine, hit.matcher) for hit in facts.hits] == [(True, False)]
    assert found(facts) == [("DEP-09", "alpha 1.0: CVE-1")]


def test_old_advisories_are_refused_and_a_clock_of_their_date_finds_what_was_known_then() -> None:
    old = mirror(KNOWN, newest="2024-10-10T17:22:00Z")
    assert ("DEP-07", "advisories") in found(look(known=old))
    assert found(look(known=old), UnsafeClock="2024-10-12T00:00:00Z") == [("DEP-04", "alpha 1.0: CVE-1")]
    assert found(look(known=mirror(newest="2027-10-10T17:22:00Z"))) == [("DEP-07", "advisories")]
    assert found(look(known=mirror(newest="2026-11-20T00:00:00Z")), days=10) == []


def test_real_advisories_are_too_old_and_find_what_was_known_then(shared: Path, tmp_path: Path) -> None:
    real = load(fetched(shared, tmp_path))
    text = f"requests==2.19.0 {HASH}\nurllib3==1.26.19 {HASH}\njinja2==3.1.4 {HASH}\n"
    told = {"allowed": "UnsafeAnyName", "installed": False}
    facts = look(text, real)
    assert found(facts, **told)[0] == ("DEP-07", "advisories")
    places = [place for rule, place in found(facts, **told, UnsafeClock="2024-10-12T00:00:00Z") if rule == "DEP-04"]
    assert places == ["requests 2.19.0: CVE-2018-18074", "requests 2.19.0: CVE-2023-32681"]
    assert {each.rule for each in verdict(opened(text, real), **told).findings} == {"DEP-07", "DEP-04"}


def test_advisories_that_forget_what_everybody_knows_are_refused() -> None:
    name, _, id = FORGET_ME_NOT[0]
    full = mirror()
    less = Mirror(full.head, {key: told for key, told in full.known.items() if key != name})
    assert found(look(known=less)) == [("DEP-07", id)]


def test_without_advisories_nobody_can_tell_and_the_rest_is_judged() -> None:
    def bare(text: str) -> Material[Any]:
        count = len(list(lines(text))) + len(dists(text))
        listed = bill.made(dists(text), {}, NOW, root="here")
        return material(SUBJECT, text, None, NOW, dists=dists(text), expected=count, bill=listed)

    told = verdict(bare(LOCK))
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "advisories"), told.reason
    assert told.cause in GATE.causes
    assert verdict(bare(LOCK + "?\n")).outcome is Outcome.FAIL


def test_an_advisory_that_names_no_version_leaves_it_open() -> None:
    facts = look(known=mirror(advisory({}, name="alpha", id="PYSEC-9")))
    assert (facts.unclear, facts.hits) == ((("alpha", "PYSEC-9"),), ())
    assert found(facts) == [("cause", "unclear")]


def test_an_engine_that_cannot_reach_its_server_leaves_it_open_and_what_the_matcher_knows_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = audit.audit
    monkeypatch.setattr(match, "audit", lambda lock, url: real(lock, "http://127.0.0.1:9/v1/query"))
    facts = look()
    assert "no report about its service (ConnectionError" in facts.failed
    assert found(facts) == [("cause", "engine")]
    assert [each.rule for each in _said(look(known=mirror(KNOWN)))] == ["DEP-04"]


def _said(facts: Facts, limits: Limits | None = None) -> list[Any]:
    told = []
    try:
        for each in GATE.judge(facts, limits or Limits.model_validate(LIMITS)):
            told.append(each)  # noqa: PERF402 - kept on a raise
    except CannotTell:
        pass
    return told


def test_an_engine_that_finds_nothing_is_not_taken_at_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    real = audit.audit

    def clean(lock: str, url: str) -> audit.Report:
        told = real(lock, url)
        return audit.Report(audited=tuple(each.model_copy(update={"known": ()}) for each in told.audited), skipped={})

    monkeypatch.setattr(match, "audit", clean)
    assert verdict(opened()).outcome is Outcome.FAIL
    assert {each[0] for each in found(look())} == {"DEP-07"}
    assert ("DEP-09", "alpha 1.0: CVE-1") in found(look(known=mirror(KNOWN)))


def test_what_the_engine_leaves_out_was_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real = audit.audit

    def half(lock: str, url: str) -> audit.Report:
        told = real(lock, url)
        kept = tuple(each for each in told.audited if each.name not in ("alpha", "beta"))
        return audit.Report(audited=kept, skipped={"beta": "could not be found"})

    monkeypatch.setattr(match, "audit", half)
    assert found(look()) == [("DEP-05", "alpha"), ("DEP-05", "beta")] * 2
    assert found(look(), installed=False) == [("DEP-05", "alpha"), ("DEP-05", "beta")]


@pytest.mark.parametrize("text", ["# nothing\n", f"gamma==3.0 ; sys_platform == 'win32' {HASH}\n"])
def test_a_lock_of_nothing_that_applies_is_refused_whatever_lies_beside_it(text: str) -> None:
    told = verdict(opened(text, dists=[]), installed=False)
    assert (told.outcome, [each.rule for each in told.findings]) == (Outcome.FAIL, ["DEP-01"])
    beside = verdict(opened(text, dists=dists(), also={"dev.lock": LOCK}), also=["dev.lock"])
    assert [each.rule for each in beside.findings][:1] == ["DEP-01"]


def test_two_lines_of_one_package_need_an_answer_each() -> None:
    """Of which the second has a file that the index does not know."""
    text = f"alpha==1.0 ; python_version < '3' {HASH}\nalpha==1.0 ; python_version >= '3' {HASH}\nbeta==2.0 {HASH}\n"
    good, beta = (Listing(name=name, version=at, known=True) for name, at in (("alpha", "1.0"), ("beta", "2.0")))
    forged = good.model_copy(update={"strange": 1})
    assert found(look(text, listings=[good, forged, beta]), index=True) == [("DEP-06", "alpha")]
    assert found(look(text, listings=[good, beta]), index=True) == [("cause", "index")]
    assert found(look(text, listings=[good, good, beta]), index=True) == []
    assert found(look(LOCK + f"alpha==1.0 {HASH}\n", dists=dists())) == [("DEP-01", "alpha")]


def test_what_the_index_did_answer_stands_where_it_did_not_answer_all() -> None:
    facts = look(listings=[Listing(name="alpha", version="1.0", known=True, yanked="leaks"), "beta: answered 503", "?"])
    limits = Limits.model_validate(LIMITS | {"index": True})
    assert [each.rule for each in _said(facts, limits)] == ["DEP-12"]
    told = verdict(
        opened(listings=[Listing(name="alpha", version="1.0", known=True), "beta: answered 503"]), index=True
    )
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "index")
    assert told.reason == "of 2 names nobody can tell whether the index knows them: beta: answered 503"


def test_too_few_advisories_are_refused() -> None:
    assert found(look(), least=1) == []
    assert found(look(), least=2) == [("DEP-07", "advisories")]


def test_what_is_not_handed_out_once_is_no_look() -> None:
    made = opened()
    items = list(made.source())
    for wrong in (items[1:], [*items, items[0]]):
        told = Material(SUBJECT, lambda wrong=wrong: wrong, expected=1, unit="packages")  # type: ignore[misc]
        with pytest.raises(CannotTell, match="handed out once"):
            GATE.look(told.handed()[0])


@pytest.mark.parametrize("rule", GATE.rules)
@pytest.mark.parametrize("seed", range(3))
def test_known_bad_material_breaks_its_rule(rule: str, seed: int) -> None:
    made = VIOLATIONS[rule](list(opened().source()), random.Random(seed))
    assert rule in {each[0] for each in found(look_at(made), index=True)}
    bare = LIMITS | {"allowed": "UnsafeAnyName", "installed": False}
    active = GATE.active(Limits.model_validate(bare))
    assert rule not in active or rule in {each[0] for each in found(look_at(made), **bare)}


def look_at(items: Any) -> Facts:
    return GATE.look(Material(SUBJECT, lambda: items, expected=1, unit="packages").handed()[0])


def test_without_names_and_without_an_environment_those_rules_rest() -> None:
    limits = Limits(allowed="UnsafeAnyName", licences="UnsafeAnyLicence", installed=False, index=False)
    assert {*GATE.rules} - {*GATE.active(limits)} == {"DEP-02", "DEP-06", "DEP-10", "DEP-12"}
    told = verdict(opened(dists=None), installed=False, allowed="UnsafeAnyName")
    assert told.reason.endswith("not held against an environment")


@pytest.mark.parametrize(
    ("now", "limits"),
    [
        (NOW, {"installed": False}),
        (NOW, {"worst": "critical"}),
        (NOW, {"licensed": {"alpha": "MIT", "beta": "MIT"}}),
        ("2028-02-29T00:00:00Z", {}),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_known_bad_material_breaks_every_active_rule_under_any_limits(
    now: str, limits: dict[str, Any], seed: int
) -> None:
    source = opened(known=mirror(newest=now)).source()
    sample = [item._replace(value=now) if item.kind == "now" else item for item in source]
    for rule in GATE.active(Limits.model_validate(LIMITS | limits)):
        facts = look_at(VIOLATIONS[rule](sample, random.Random(seed)))
        assert rule in {each.rule for each in GATE.judge(facts, Limits.model_validate(LIMITS | limits))}
