"""The rules about a bucket's access, and for each a maker of answers that break it and no other.

Controls: AWS Security Hub FSBP, CIS AWS Foundations 7.0, Prowler 5, OWASP API Security Top 10 2023.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from security.gate import Answer, Violation
from security.verdict import Rule

Severity = Literal["low", "medium", "high", "critical"]

_TABLE: tuple[tuple[str, Severity, str, str, str], ...] = (
    (
        "S3-PAB",
        "high",
        "all four settings of the bucket's public access block are on",
        "turn on BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy and RestrictPublicBuckets",
        "FSBP:S3.8 CIS:3.1.4 prowler:s3_bucket_level_public_access_block",
    ),
    (
        "S3-PUB-READ",
        "critical",
        "nobody reads or lists without being known",
        "take everybody out of the bucket policy and the ACL, whatever conditions stand beside",
        "FSBP:S3.2 CIS:2.21 prowler:s3_bucket_public_access prowler:s3_bucket_public_list_acl",
    ),
    (
        "S3-PUB-WRITE",
        "critical",
        "nobody writes without being known",
        "take everybody out of the bucket policy and the ACL, whatever conditions stand beside",
        "FSBP:S3.3 CIS:2.21 prowler:s3_bucket_policy_public_write_access prowler:s3_bucket_public_write_acl",
    ),
    (
        "S3-TLS",
        "high",
        "nothing is served without TLS, by policy and in fact",
        "deny s3:* to everybody on the bucket and on bucket/* where aws:SecureTransport is false (BoolIfExists)",
        "FSBP:S3.5 CIS:3.1.1 prowler:s3_bucket_secure_transport_policy",
    ),
    (
        "S3-XACCT",
        "high",
        "nobody but the owner and the accounts that the policy lists has access",
        "take the principal out of the bucket policy or the ACL, or list its account",
        "FSBP:S3.6 prowler:s3_bucket_cross_account_access",
    ),
    (
        "S3-ACL",
        "medium",
        "ACLs are switched off",
        "set object ownership to BucketOwnerEnforced",
        "FSBP:S3.12 prowler:s3_bucket_acl_prohibited",
    ),
    (
        "S3-VER",
        "high",
        "every object has versions that a read can be pinned to",
        "enable versioning, and write the objects that are older again",
        "FSBP:S3.14 prowler:s3_bucket_object_versioning",
    ),
    (
        "S3-LP",
        "high",
        "the pipeline's own key only reads",
        "leave it s3:GetObject, s3:GetObjectVersion, s3:ListBucket, s3:ListBucketVersions and the reads of settings",
        "OWASP:API5:2023",
    ),
    (
        "S3-OWN",
        "high",
        "a bucket in other hands is not taken for ours",
        "use a store that honours x-amz-expected-bucket-owner",
        "prowler:s3_bucket_shadow_resource_vulnerability",
    ),
    (
        "S3-END",
        "high",
        "the endpoint is the one given, over verified TLS 1.2 or newer",
        "give the endpoint its region, its CA bundle and a current TLS",
        "OWASP:API8:2023",
    ),
    (
        "S3-SIG",
        "critical",
        "a request that is not signed with a secret known to the store is refused",
        "use a store that verifies signatures",
        "OWASP:API2:2023",
    ),
    (
        "S3-POS",
        "high",
        "the pipeline's own signed reads work, so that a refusal means something",
        "give the pipeline's key s3:GetObject under the prefix",
        "OWASP:API8:2023",
    ),
)

RULES: Mapping[str, Rule] = {
    rule: Rule(id=rule, severity=severity, title=title, remedy=remedy, controls=tuple(controls.split()))
    for rule, severity, title, remedy, controls in _TABLE
}


def _of(sample: Sequence[Answer], question: str) -> dict[str, Any]:
    """One answer; nothing where there is none, so that it is the look which says that it is missing."""
    return dict(sample).get(question, {})


def _with(sample: Sequence[Answer], question: str, **members: Any) -> list[Answer]:
    """The sample with one answer replaced."""
    return [(name, dict(members) if name == question else dict(answer)) for name, answer in sample]


def _also(sample: Sequence[Answer], question: str, **members: Any) -> list[Answer]:
    """The sample with members of one answer replaced."""
    return _with(sample, question, **{**_of(sample, question), **members})


def _allowing(sample: Sequence[Answer], **statement: Any) -> list[Answer]:
    """The sample with one more Allow in the bucket policy."""
    document = dict(_of(sample, "policy").get("document") or {"Version": "2012-10-17", "Statement": []})
    listed = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    added = {"Effect": "Allow", "Resource": "arn:aws:s3:::*", **statement}
    return _with(sample, "policy", status=200, document={**document, "Statement": [*listed, added]})


def _granting(sample: Sequence[Answer], **grant: str) -> list[Answer]:
    """The sample with one more grant in the ACL."""
    return _also(sample, "acl", grants=[*_of(sample, "acl").get("grants", ()), grant])


def _served(*questions: str) -> Violation[Answer]:
    """A maker that lets one of these requests through."""
    return lambda sample, draw: _with(sample, draw.choice(questions), status=200, version="3", code="")


def _everybody(draw: random.Random) -> dict[str, Any]:
    """A principal of a form that is everybody, with a condition that some evaluators take for a restriction."""
    forms = ("*", {"AWS": "*"}, {"AWS": ["*"]}, {"AWS": "arn:aws:iam::*:root"})
    condition = {"StringLike": {"aws:PrincipalArn": f"arn:aws:iam::*:role/{draw.randrange(10**6)}"}}
    except_one = {"NotPrincipal": {"AWS": f"arn:aws:iam::{_account(draw)}:root"}}
    who: dict[str, Any] = draw.choice((*({"Principal": form} for form in forms), except_one))
    return {**who, "Condition": condition} if draw.random() < 0.5 else who


def _account(draw: random.Random) -> str:
    return f"{draw.randrange(10**11, 10**12)}"


def _unblocked(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    on = list(_of(sample, "public_access_block").get("on", ()))
    if not on or draw.random() < 0.2:
        return _with(sample, "public_access_block", status=404, code="NoSuchPublicAccessBlockConfiguration")
    return _also(sample, "public_access_block", on=sorted(draw.sample(on, draw.randrange(len(on)))))


def _readable(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    action = draw.choice(("s3:GetObject", "s3:ListBucket", "s3:Get*", ["s3:GetObjectVersion", "S3:getobject"]))
    uri = f"http://acs.amazonaws.com/groups/global/{draw.choice(('AllUsers', 'AuthenticatedUsers'))}"
    ways = (
        lambda: _served("anonymous_get", "anonymous_list")(sample, draw),
        lambda: _with(sample, "policy_status", status=200, public=True),
        lambda: _granting(sample, type="Group", uri=uri, permission=draw.choice(("READ", "READ_ACP"))),
        lambda: _allowing(sample, **_everybody(draw), Action=action),
    )
    return draw.choice(ways)()


def _writable(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    action = draw.choice(("s3:PutObject", "s3:Put*", ["s3:DeleteObject", "s3:AbortMultipartUpload"]))
    uri = "http://acs.amazonaws.com/groups/global/AllUsers"
    ways = (
        lambda: _served("anonymous_put")(sample, draw),
        lambda: _granting(sample, type="Group", uri=uri, permission=draw.choice(("WRITE", "WRITE_ACP"))),
        lambda: _allowing(sample, **_everybody(draw), Action=action),
    )
    return draw.choice(ways)()


def _in_the_clear(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    if draw.random() < 0.5:
        return _also(sample, "plain_http", status=200)
    return _with(sample, "policy", status=404, code="NoSuchBucketPolicy")


def _known_to_others(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    account = _account(draw)
    who = draw.choice((account, f"arn:aws:iam::{account}:root", [f"arn:aws:iam::{account}:role/r"]))
    ways = (
        lambda: _served("stranger_get")(sample, draw),
        lambda: _granting(sample, type="CanonicalUser", id=f"{draw.getrandbits(256):064x}", permission="READ"),
        lambda: _allowing(sample, Principal={"AWS": who}, Action="s3:GetObject"),
    )
    return draw.choice(ways)()


def _with_acls(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    if draw.random() < 0.3:
        return _with(sample, "ownership", status=404, code="OwnershipControlsNotFoundError")
    return _also(sample, "ownership", rules=[draw.choice(("BucketOwnerPreferred", "ObjectWriter"))])


def _without_versions(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    if draw.random() < 0.5:
        return _also(sample, "versioning", state=draw.choice(("Suspended", "")))
    return _also(sample, "signed_head", version=draw.choice(("null", "")))


def _changeable(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    if draw.random() < 0.3:
        return _with(sample, "own_policy", status=400, code="MalformedPolicy")
    return _served("own_put", "own_delete", "own_policy")(sample, draw)


def _other(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    """A bucket in other hands, on a store that serves it to whoever expected another."""
    acl, owner = _of(sample, "acl"), f"{draw.getrandbits(256):064x}"
    mine = [{**grant, "id": owner} if grant.get("id") == acl.get("owner") else grant for grant in acl.get("grants", ())]
    return _also(_served("wrong_owner")(sample, draw), "acl", owner=owner, grants=mine)


def _elsewhere(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    ways: tuple[dict[str, str], ...] = (
        {"tls": "TLSv1.1"},
        {"tls": "TLSv1"},
        {"ca": "none"},
        {"url": "http://s3.example"},
    )
    if draw.random() < 0.3:
        return _also(sample, "location", region=f"xx-nowhere-{draw.randrange(1, 10)}")
    return _also(sample, "endpoint", **draw.choice(ways))


def _refused(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    if draw.random() < 0.3:
        return _also(sample, "plain_http", control=403)
    return _with(sample, draw.choice(("signed_head", "signed_get")), status=403, code="AccessDenied")


VIOLATIONS: Mapping[str, Violation[Answer]] = {
    "S3-PAB": _unblocked,
    "S3-PUB-READ": _readable,
    "S3-PUB-WRITE": _writable,
    "S3-TLS": _in_the_clear,
    "S3-XACCT": _known_to_others,
    "S3-ACL": _with_acls,
    "S3-VER": _without_versions,
    "S3-LP": _changeable,
    "S3-OWN": _other,
    "S3-END": _elsewhere,
    "S3-SIG": _served("wrong_secret", "unknown_key"),
    "S3-POS": _refused,
}
