"""OpenVEX: a vulnerability is let go on a signed word alone, of who may, about this image, and not for ever.

The cheapest that would satisfy the words, and what catches each:
- any document lets go what it names: `test_what_does_not_count_is_found_and_lets_nothing_go`;
- a word about another package, version, image or vulnerability counts: `test_a_word_is_about_what_it_names`;
- the first word stands, whatever is said later: `test_the_last_word_counts`.
"""

import json
import random
from datetime import timedelta
from typing import Any

import pytest

from security.advisories.mirror import stamp
from security.advisories.record import when
from security.fresh import Fresh
from security.gate import judge, observe
from security.gates.image import ImageVulnerabilityScanning, Item
from security.gates.image import says as says_
from security.gates.image.facts import Hit, Said
from security.keys import seal
from security.verdict import Outcome, Verdict, canonical
from tests.security.gates import images
from tests.security.gates.images import KEY, NOW, advisories, items, told

GATE = ImageVulnerabilityScanning()
VEXER, STRANGER = Fresh(random.Random("who may speak")), Fresh(random.Random("who may not"))
LIMITS = images.LIMITS | {"bases": [images.base()], "vexers": [VEXER.public.id]}
GLIBC, ALPHA = told("Debian:12", "glibc", "DEBIAN-CVE-1"), told("PyPI", "alpha", "PYSEC-1", aliases=["CVE-1", "GHSA-1"])
KNOWN = advisories(GLIBC, ALPHA)
SHA = next(each.value.reference for each in items() if each.kind == "about").rpartition(":")[2]
LIBC = "pkg:deb/debian/libc6@2.36-9%2Bdeb12u7?arch=amd64"
OCI = f"pkg:oci/serving@sha256%3A{SHA}"
BOTH = {("IMG-06", "glibc 2.36-9+deb12u7: DEBIAN-CVE-1"), ("IMG-06", "alpha 1.0: CVE-1")}
WHY = {"status": "not_affected", "justification": "vulnerable_code_not_in_execute_path"}


def says(*products: str, name: str = "CVE-1", **more: Any) -> dict[str, Any]:
    """A statement; `products`: this image's package of such a URL, or the URL of all of it."""
    made = [{"@id": each} if each == OCI else {"@id": OCI, "subcomponents": [{"@id": each}]} for each in products]
    return {"vulnerability": {"name": name}, "products": made} | WHY | more


def document(*statements: dict[str, Any], key: Fresh = VEXER, sha: str = SHA, **more: Any) -> bytes:
    body: dict[str, Any] = {"@context": "https://openvex.dev/ns/v0.2.0", "@id": "urn:x", "author": "Ada", "version": 1}
    body |= {"timestamp": NOW}
    kind = more.pop("kind", "https://openvex.dev/ns")
    return seal(kind, {"serving": sha}, body | {"statements": list(statements)} | more, key)


def verdict(*documents: bytes, kind: str = "vex", limits: dict[str, Any] = LIMITS) -> Verdict:
    given = items(known=KNOWN) + [Item("key", VEXER.public.pem)] + [Item(kind, each) for each in documents]
    return judge(GATE, observe(GATE, images.opened(given), limits), limits)


def found(seen: Verdict) -> set[tuple[str, str]]:
    return {(each.rule, each.place) for each in seen.findings}


def left(*documents: bytes, **more: Any) -> set[str]:
    """The vulnerabilities that are still found."""
    return {place for rule, place in found(verdict(*documents, **more)) if rule == "IMG-06"}


def test_without_a_word_both_are_found() -> None:
    assert found(verdict()) == BOTH


@pytest.mark.parametrize("kind", ["vex", "attestation"])
def test_a_signed_word_lets_a_vulnerability_go(kind: str) -> None:
    seen = verdict(document(says(OCI)), kind=kind)
    assert (seen.outcome, seen.findings) == (Outcome.PASS, ()), seen.reason
    assert found(verdict(document(says(LIBC)), kind=kind)) == BOTH - {("IMG-06", "glibc 2.36-9+deb12u7: DEBIAN-CVE-1")}
    assert verdict(document(says(LIBC), says("pkg:pypi/Alpha@1.0", name="GHSA-1")), kind=kind).outcome is Outcome.PASS
    alone = {"vulnerability": {"name": "X", "aliases": ["CVE-1"]}, "products": [{"@id": "pkg:pypi/alpha@1.0"}], **WHY}
    assert left(document(alone), kind=kind) == {"glibc 2.36-9+deb12u7: DEBIAN-CVE-1"}
    hashed = says(OCI) | {"products": [{"@id": "this", "hashes": {"sha-256": SHA}}]}
    assert verdict(document(hashed), kind=kind).outcome is Outcome.PASS
    url = says(OCI) | {"products": [{"@id": "this", "identifiers": {"purl": OCI}}]}
    assert verdict(document(url, kind="https://openvex.dev/ns/v0.2.0"), kind=kind).outcome is Outcome.PASS


ELSE = "is about what is not in this image"
OLD, SOON = (stamp(when(NOW) + timedelta(days=days)) for days in (-91, 3))


def cut(line: bytes) -> bytes:
    """Another word under the same signature."""
    envelope = json.loads(line)
    import base64

    body = base64.b64decode(envelope["payload"]).replace(b"libc6", b"libcx")
    return canonical(envelope | {"payload": base64.b64encode(body).decode()})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (document(says(OCI), key=STRANGER), "signed by no key that is known; allowed: "),
        (document(says(OCI), key=KEY), f"signed by {KEY.public.id[:12]}; allowed: {VEXER.public.id[:12]}"),
        (cut(document(says(LIBC))), "signed by no key that is known"),
        (document(says("pkg:deb/debian/libc6@1")), ELSE),
        (document(says("pkg:deb/debian/libc6")), ELSE),
        (document(says("pkg:pypi/libc6@2.36-9%2Bdeb12u7")), ELSE),
        (document(says(OCI) | {"products": [{"@id": "pkg:oci/serving@sha256%3A" + "0" * 64}]}), ELSE),
        (document(says(OCI) | {"products": [{"@id": "pkg:oci/serving"}]}), ELSE),
        (document(says(OCI) | {"products": [{"@id": "serving"}]}), ELSE),
        (document(says(OCI), timestamp=OLD), f"is of {OLD}; allowed: at most 90 days ago"),
        (document(says(OCI, timestamp=SOON)), f"is of {SOON}; allowed: at most 90 days ago, and no later than now"),
        (document(says(OCI), timestamp="soon"), "found a time; allowed: OpenVEX 0.2.0, signed"),
        (document(says(OCI, justification="")), "statement 1: found not_affected without a justification"),
        (document(says(OCI, justification="trust me")), "statement 1: found not_affected without a justification"),
        (document(says(OCI, status="fine")), "statement 1: found a status that is none"),
        (document(says(OCI, status="affected")), "statement 1: found affected without an action"),
        (document(says()), "found "),
        (document(), "found "),
        (document(says(OCI, more=1)), "found Object contains unknown field"),
        (document(says(OCI), version="1"), "found Expected `int`"),
        (document(says(OCI), **{"@context": "https://openvex.dev/ns/v9"}), "found another version than OpenVEX 0.2.0"),
    ],
)
def test_what_does_not_count_is_found_and_lets_nothing_go(line: bytes, message: str) -> None:
    for kind in ("vex", "attestation"):
        seen = verdict(line, kind=kind)
        assert {rule for rule, _ in found(seen)} == {"IMG-06", "IMG-16"}
        assert found(seen) >= BOTH
        assert any(message in each.message for each in seen.findings), [each.message for each in seen.findings]


def test_a_document_about_another_image_is_passed_over_beside_and_refused_at_this_one() -> None:
    """Documents of a home go to every image; what is attached to one is to be about it."""
    line = document(says(OCI), sha="0" * 64)
    assert found(verdict(line)) == BOTH
    seen = verdict(line, kind="attestation")
    assert any("is about another image; allowed: this one" in each.message for each in seen.findings)


def test_a_later_word_about_a_part_of_it_counts() -> None:
    """What was let go for the whole image is not, once somebody says that one package of its source is affected."""
    hit = Hit.model_construct(parts=("deb libc6 1", "deb libc-bin 1"))
    for parts, whole, some in ((["*"], True, True), (["deb libc6 1"], False, True), (["deb other 1"], False, False)):
        said = Said.model_construct(parts=tuple(parts))
        assert (says_._about(hit, said), says_._touches(hit, said)) == (whole, some), parts


def test_what_is_handed_beside_is_a_signed_document_and_nothing_else() -> None:
    bare = canonical({"@context": "https://openvex.dev/ns/v0.2.0", "statements": [says(OCI)]})
    for line, message in (
        (bare, "found no signed statement"),
        (b"", "found no signed statement"),
        (b'{"payload": "e30=", "payload": "e30="}', "found no signed statement"),
        (seal("https://cyclonedx.org/bom", {"serving": SHA}, {}, VEXER), "found a statement of another type"),
    ):
        seen = verdict(line)
        assert found(seen) == BOTH | {("IMG-16", "VEX 1")}
        assert any(message in each.message for each in seen.findings)
    assert found(verdict(bare, kind="attestation")) == BOTH  # of other tools' there may be any


def test_where_the_policy_names_nobody_nobody_is_heard() -> None:
    seen = verdict(document(says(OCI)), limits=LIMITS | {"vexers": []})
    assert found(seen) == BOTH | {("IMG-16", "VEX 1")}
    assert any("; allowed: nobody" in each.message for each in seen.findings)
    short = LIMITS | {"vexed": 1}
    assert found(verdict(document(says(OCI), timestamp=stamp(when(NOW) - timedelta(days=2))), limits=short)) >= BOTH


def test_a_word_is_about_what_it_names() -> None:
    assert left(document(says(OCI, name="CVE-2"))) == {place for _, place in BOTH}
    assert left(document(says("pkg:pypi/beta@2.0"))) == {place for _, place in BOTH}
    assert left(document(says("pkg:pypi/alpha@1.0"))) == {"glibc 2.36-9+deb12u7: DEBIAN-CVE-1"}


def test_the_last_word_counts() -> None:
    later, act = stamp(when(NOW) + timedelta(hours=1)), {"action_statement": "update"}
    good, doubt = says(OCI), says(OCI, status="under_investigation", justification="")
    bad = says(OCI, status="affected", justification="", **act)
    assert left(document(good)) == set()
    for other in (doubt, bad):
        assert len(left(document(other))) == 2
        assert len(left(document(good, other))) == 2  # at once: the worse
        assert len(left(document(good), document(other, timestamp=later))) == 2
        assert left(document(other), document(good, timestamp=later)) == set()
        assert left(document(good), document(other, timestamp=later, key=STRANGER)) == set()
    assert left(document(says(OCI, status="fixed", justification=""))) == set()


def test_too_many_are_inconclusive() -> None:
    assert verdict(*[document(says(OCI))] * 201).outcome is Outcome.INCONCLUSIVE
