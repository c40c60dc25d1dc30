"""The rules about the way to a bucket, what each rests on, and for each a maker of answers that break it alone.

Controls: AWS Security Hub FSBP, CIS AWS Foundations 7.0, Prowler 5, NIST SP 800-53 r5 and 800-52 r2.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from security.gate import Violation
from security.posture import Answer, amended, reply
from security.verdict import Rule

Severity = Literal["low", "medium", "high", "critical"]

_TABLE: tuple[tuple[str, Severity, str, str, str, str], ...] = (
    (
        "S3-TLS",
        "high",
        "nothing is served without TLS, by policy and in fact",
        "deny s3:* to everybody on the bucket and on bucket/* where aws:SecureTransport is false (BoolIfExists)",
        "FSBP:S3.5 CIS:3.1.1 prowler:s3_bucket_secure_transport_policy NIST-800-53:SC-8(1)",
        "policy plain_http",
    ),
    (
        "S3-TLS-VERSION",
        "medium",
        "the policy denies everything over TLS older than 1.2",
        "deny s3:* to everybody on the bucket and on bucket/* where s3:TlsVersion is NumericLessThan 1.2",
        "NIST-800-53:SC-8 NIST-800-52:3.1",
        "policy",
    ),
    (
        "S3-TLS-OLD",
        "high",
        "the endpoint takes up neither TLS 1.0 nor 1.1",
        "switch TLS 1.0 and 1.1 off where the endpoint ends its TLS",
        "NIST-800-53:SC-8(1) NIST-800-52:3.1 OWASP:API8:2023",
        "tls_1_0 tls_1_1 tls_1_2 tls_1_3",
    ),
    (
        "S3-TLS-CERT",
        "critical",
        "the endpoint's certificate is verified: its authority and its name",
        "let nothing switch the client's verification off, and let no authority sign for names that are not yours",
        "NIST-800-53:SC-8(1) NIST-800-53:SC-23 OWASP:API8:2023",
        "other_authority other_name",
    ),
    (
        "S3-END",
        "high",
        "the client was resolved to the endpoint given, over TLS 1.2 or newer, and the bucket lies there",
        "give the endpoint its region, its CA bundle and a current TLS, and the client no proxy",
        "NIST-800-53:SC-8 OWASP:API8:2023",
        "endpoint location",
    ),
)

RULES: Mapping[str, Rule] = {
    rule: Rule(id=rule, severity=severity, title=title, remedy=remedy, controls=tuple(controls.split()))
    for rule, severity, title, remedy, controls, _ in _TABLE
}
EVIDENCE: Mapping[str, tuple[str, ...]] = {rule: tuple(names.split()) for rule, *_, names in _TABLE}
"""Rule -> the questions that it rests on."""


def _loosened(sample: Sequence[Answer], draw: random.Random, key: str) -> list[Answer]:
    """The sample with the Deny on this condition key made to miss somebody, something, or some requests."""
    document = reply(sample, "policy").get("document")
    if not isinstance(document, dict):
        return list(sample)
    listed = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    ways: tuple[dict[str, Any], ...] = (
        {"Effect": "Allow", "Action": "s3:ListTagsForResource", "Principal": {"Service": "nobody.example"}},
        {"Principal": {"AWS": f"{draw.randrange(10**11, 10**12)}"}},
        {"Action": draw.choice(("s3:Get*", ["s3:GetBucketAc*"], "s3:PutObject"))},
        {"Resource": f"arn:aws:s3:::{draw.randrange(10**9)}/*"},
        {"Condition": {"StringLike": {key: "*"}}},
    )
    way = draw.choice(ways)
    made = [{**each, **way} if key.lower() in repr(each.get("Condition", {})).lower() else each for each in listed]
    return amended(sample, "policy", document={**document, "Statement": made})


def _in_the_clear(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    if draw.random() < 0.4 and reply(sample, "policy").get("status") == 200:
        return _loosened(sample, draw, "aws:SecureTransport")
    ways: tuple[dict[str, Any], ...] = (
        {"status": 200},
        {"status": 301, "onward": True, "told": True},
        {"status": 403, "told": True},
    )
    return amended(sample, "plain_http", **draw.choice(ways))


def _any_version(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    return _loosened(sample, draw, "s3:TlsVersion")


def _old(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    return amended(sample, draw.choice(("tls_1_0", "tls_1_1")), taken=True)


def _unverified(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    return amended(sample, draw.choice(("other_authority", "other_name")), taken=True)


def _elsewhere(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    ways: tuple[dict[str, Any], ...] = (
        {"tls": draw.choice(("TLSv1", "TLSv1.1", "SSLv3"))},
        {"ca": "none"},
        {"url": "http://s3.example", "wanted": "http://s3.example"},
        {"url": f"https://{draw.randrange(10**6)}.example"},
        {"proxies": draw.randrange(1, 3)},
    )
    if draw.random() < 0.2:
        return amended(sample, "location", region=f"xx-nowhere-{draw.randrange(1, 10)}")
    return amended(sample, "endpoint", **draw.choice(ways))


VIOLATIONS: Mapping[str, Violation[Answer]] = {
    "S3-TLS": _in_the_clear,
    "S3-TLS-VERSION": _any_version,
    "S3-TLS-OLD": _old,
    "S3-TLS-CERT": _unverified,
    "S3-END": _elsewhere,
}
