"""For each rule about a bucket's access a maker of answers that break it and no other."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from security.gate import Violation
from security.posture import Answer, amended, reply


def _with(sample: Sequence[Answer], question: str, **members: Any) -> list[Answer]:
    """The sample with one answer replaced."""
    return [(name, dict(members) if name == question else dict(answer)) for name, answer in sample]


def _allowing(sample: Sequence[Answer], **statement: Any) -> list[Answer]:
    """The sample with one more Allow in the bucket policy."""
    document = dict(reply(sample, "policy").get("document") or {"Version": "2012-10-17", "Statement": []})
    listed = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    added = {"Effect": "Allow", "Resource": "arn:aws:s3:::*", **statement}
    return _with(sample, "policy", status=200, document={**document, "Statement": [*listed, added]})


def _granting(sample: Sequence[Answer], **grant: str) -> list[Answer]:
    """The sample with one more grant in the ACL."""
    return amended(sample, "acl", grants=[*reply(sample, "acl").get("grants", ()), grant])


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
    on = list(reply(sample, "public_access_block").get("on", ()))
    if not on or draw.random() < 0.2:
        return _with(sample, "public_access_block", status=404, code="NoSuchPublicAccessBlockConfiguration")
    return amended(sample, "public_access_block", on=sorted(draw.sample(on, draw.randrange(len(on)))))


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
    return amended(sample, "ownership", rules=[draw.choice(("BucketOwnerPreferred", "ObjectWriter"))])


def _without_versions(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    if draw.random() < 0.5:
        return amended(sample, "versioning", state=draw.choice(("Suspended", "")))
    return amended(sample, "signed_head", version=draw.choice(("null", "")))


def _permitting(sample: Sequence[Answer], draw: random.Random, action: Any, resource: str) -> list[Answer]:
    """The sample with a policy that lets the pipeline do one thing, and nothing that could deny it."""
    account = str(reply(sample, "endpoint").get("account", ""))
    known = str(reply(sample, "principal").get("arn", f"arn:aws:iam::{account}:user/pipeline"))
    form = draw.choice((known, [known]))
    allow = {"Effect": "Allow", "Principal": {"AWS": form}, "Action": action, "Resource": resource}
    made = _with(sample, "policy", status=200, document={"Version": "2012-10-17", "Statement": [allow]})
    everything = {"Effect": "Allow", "Action": action, "Resource": resource}
    made = _with(made, "identity", status=200, documents=[{"Version": "2012-10-17", "Statement": everything}])
    return _with(made, "principal", status=200, arn=known)


def _changeable(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    if draw.random() < 0.4:
        action = draw.choice(("s3:Put*", "s3:Delete*", ["s3:HeadBucket", "S3:deleteobject"], "s3:P?tBucketPolicy"))
        return _permitting(sample, draw, action, "*")
    if draw.random() < 0.3:
        return _with(sample, "own_policy", status=400, code="MalformedPolicy")
    return _served("own_put", "own_delete", "own_policy")(sample, draw)


def _refused(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    return _with(
        sample, draw.choice(("signed_head", "signed_get")), status=403, code=draw.choice(("AccessDenied", "403"))
    )


def _account_unblocked(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    if draw.random() < 0.3:
        return _with(sample, "account_block", status=404, code="NoSuchPublicAccessBlockConfiguration")
    settings = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    return _with(sample, "account_block", status=200, on=sorted(draw.sample(settings, draw.randrange(4))))


def _without_account(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    made = list(sample)
    for question in ("account_block", "access_points", "multi_region_points"):
        made = _with(made, question, asked=False)
    return made


def _pointed_at(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    count = draw.randrange(1, 9)
    if draw.random() < 0.5:
        names = sorted({f"point-{draw.randrange(10**6)}" for _ in range(draw.randrange(1, count + 1))})
        return _with(sample, "multi_region_points", status=200, count=count, unblocked=names)
    return _with(sample, "access_points", status=200, count=count, unblocked=draw.randrange(1, count + 1))


def _unread(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    if draw.random() < 0.5:
        return _with(sample, "identity", asked=False)
    return _with(sample, "identity", status=403, code="AccessDenied")


def _wide(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    action = draw.choice(("s3:GetObject", "s3:Get*", ["s3:GetObjectVersion"]))
    partition = str(reply(sample, "principal").get("arn", "arn:aws")).split(":")[1]
    name = draw.choice(("*", f"{draw.randrange(10**6)}/*"))
    return _permitting(sample, draw, action, f"arn:{partition}:s3:::{name}")


def _missing(question: str, code: str) -> Violation[Answer]:
    """A maker of an answer that something is off, or is not there."""

    def made(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
        if draw.random() < 0.5:
            return _with(sample, question, status=404, code=code)
        return _with(sample, question, status=200, on=False)

    return made


def _unlogged(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    made = _missing("logging", "NotImplemented")(sample, draw)
    untrailed: dict[str, Any] = draw.choice(({"asked": False}, {"status": 200, "trail": ""}))
    return _with(made, "data_events", **untrailed)


def _other(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    """A bucket in other hands, on a store that serves it to whoever expected another."""
    acl, owner = reply(sample, "acl"), f"{draw.getrandbits(256):064x}"
    mine = [{**grant, "id": owner} if grant.get("id") == acl.get("owner") else grant for grant in acl.get("grants", ())]
    return amended(_served("wrong_owner")(sample, draw), "acl", owner=owner, grants=mine)


VIOLATIONS: Mapping[str, Violation[Answer]] = {
    "S3-PAB": _unblocked,
    "S3-PUB-READ": _readable,
    "S3-PUB-WRITE": _writable,
    "S3-XACCT": _known_to_others,
    "S3-ACL": _with_acls,
    "S3-VER": _without_versions,
    "S3-LP": _changeable,
    "S3-OWN": _other,
    "S3-SIG": _served("wrong_secret", "unknown_key"),
    "S3-POS": _refused,
    "S3-PAB-ACCT": _account_unblocked,
    "S3-ACCOUNT": _without_account,
    "S3-AP": _pointed_at,
    "S3-IDENTITY": _unread,
    "S3-WIDE": _wide,
    "S3-LOCK": _missing("object_lock", "ObjectLockConfigurationNotFoundError"),
    "S3-LOG": _unlogged,
    "S3-MFA": lambda sample, draw: amended(sample, "versioning", mfa=False),
    "S3-KEY": lambda sample, draw: _with(sample, "encryption", status=200, kms=True, key=False, customers=True),
    "S3-SSE-C": lambda sample, draw: _with(sample, "encryption", status=200, kms=True, key=True, customers=False),
}
