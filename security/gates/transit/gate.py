"""The gate `data_encryption_in_transit`: looks at the answers, judges the facts."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from security.gate import Violation
from security.gates.transit.facts import QUESTIONS, Facts, read
from security.gates.transit.rules import RULES, VIOLATIONS
from security.material import Handed
from security.posture import Answer, Posture, answered
from security.verdict import Breach, Frozen, Rule

PROTOCOLS = ("TLSv1.2", "TLSv1.3")
DENIED = "on bucket and objects; allowed: one that does"
WORDS = {
    "other_authority": "the client that trusts another authority was served",
    "other_name": "a handshake that expects another host's name was completed",
    "served": "a request in the clear was served",
    "told": "a request in the clear was refused or sent onward, and its answer tells of the object",
}


class Limits(Frozen):
    """What a policy may set: whose certificates are believed, those of a CA bundle that was given or of the public
    authorities."""

    authorities: tuple[Literal["given", "public"], ...] = Field(default=("given", "public"), min_length=1)


class DataEncryptionInTransit(Posture):
    """Whatever goes between the pipeline and the bucket goes over TLS 1.2 or newer, to the endpoint that was given.

    The old versions are offered byte by byte, so that no library of this machine decides whether they were tried.
    """

    name: ClassVar[str] = "data_encryption_in_transit"
    kind: ClassVar[str] = "bucket"
    questions: ClassVar[tuple[str, ...]] = QUESTIONS
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Answer]]] = VIOLATIONS

    def look(self, material: Handed[Answer]) -> Facts:
        """The facts; `CannotTell` where an answer is missing, given twice, unknown, or tells nothing."""
        return read(answered(material), material.subject.name.removeprefix("s3://").partition("/")[0])

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """What is wrong: what the policy lets through, what the endpoint takes up, and how the client was resolved."""
        if not facts.secure_transport:
            yield _breach("S3-TLS", "policy", f"no statement denies everybody everything without TLS, {DENIED}")
        if facts.plain != "refused":
            yield _breach("S3-TLS", "plain_http", f"{WORDS[facts.plain]}; allowed: refused, and nothing told")
        if not facts.tls_version:
            found = f"no statement denies everybody everything over TLS older than 1.2, {DENIED}"
            yield _breach("S3-TLS-VERSION", "policy", found)
        for version in facts.taken:
            if version not in PROTOCOLS:
                found = f"{version}, offered alone, was taken up; allowed: {', '.join(PROTOCOLS)}"
                yield _breach("S3-TLS-OLD", version, found)
        for way in facts.unverified:
            yield _breach("S3-TLS-CERT", way, f"{WORDS[way]}; allowed: broken off by the certificate's verification")
        yield from _resolved(facts, limits)

    def brief(self, facts: Facts) -> str:
        """How many rules, and what is spoken."""
        return f"{len(self.rules)} rules, {facts.tls}"


def _resolved(seen: Facts, limits: Limits) -> Iterator[Breach]:
    if not seen.https or seen.tls not in PROTOCOLS:
        spoken = seen.tls if seen.https else "no TLS"
        yield _breach("S3-END", "endpoint", f"the endpoint speaks {spoken}; allowed: {', '.join(PROTOCOLS)}")
    if not seen.as_given:
        yield _breach("S3-END", "client", "the client was resolved to another endpoint; allowed: the one given")
    if seen.proxies:
        yield _breach("S3-END", "proxies", f"the client goes through {seen.proxies} proxies; allowed: none")
    if seen.authority not in limits.authorities:
        allowed = ", ".join(limits.authorities)
        yield _breach("S3-END", "authority", f"its certificate is of authority {seen.authority}; allowed: {allowed}")
    if seen.location != seen.region:
        yield _breach("S3-END", "location", f"the bucket lies in {seen.location}; allowed: {seen.region}, as was given")


def _breach(rule: str, place: str, message: str) -> Breach:
    return Breach(rule=rule, place=place, message=message)
