"""The facts about a bucket's access, read from the answers of one visit; what cannot be read is `CannotTell`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import ValidationError, field_validator

from security.engines import iam
from security.engines.caller import Caller
from security.engines.evaluator import could
from security.engines.replies import Replies, complete
from security.engines.s3 import PRINCIPAL
from security.errors import CannotTell
from security.gates.bucket.rules import EVIDENCE
from security.verdict import Frozen

Block = Literal["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]
Reading = Literal["anonymous_get", "anonymous_list", "policy", "policy_status", "acl"]
Writing = Literal["anonymous_put", "policy", "acl"]
Control = Literal["signed_head", "signed_get"]
Forgery = Literal["wrong_secret", "unknown_key"]
Change = Literal["own_put", "own_delete", "own_policy"]

DECLARED = (
    *("public_access_block", "policy", "policy_status", "acl", "ownership", "versioning"),
    *("object_lock", "logging", "encryption", "account_block", "access_points", "multi_region_points"),
)
WORKING = ("signed_list", "signed_head", "signed_get")
REFUSED = (
    *("anonymous_get", "anonymous_list", "anonymous_put", "wrong_secret", "unknown_key"),
    *("stranger_get", "wrong_owner", "own_put", "own_delete", "own_policy"),
)
QUESTIONS = ("endpoint", *DECLARED, "data_events", "principal", "identity", *WORKING, *REFUSED)

ABSENT = {
    "public_access_block": frozenset({"NoSuchPublicAccessBlockConfiguration"}),
    "policy": frozenset({"NoSuchBucketPolicy"}),
    "policy_status": frozenset({"NoSuchBucketPolicy", "NotImplemented", "MethodNotAllowed"}),
    "ownership": frozenset({"OwnershipControlsNotFoundError"}),
    "object_lock": frozenset({"ObjectLockConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed"}),
    "logging": frozenset({"NotImplemented", "MethodNotAllowed"}),
    "encryption": frozenset({"ServerSideEncryptionConfigurationNotFoundError"}),
    "account_block": frozenset({"NoSuchPublicAccessBlockConfiguration"}),
    "identity": frozenset({"AccessDenied", "AccessDeniedException"}),
}
"""What "not configured" is called, or not known to a server. The policy's status is not all: the policy is read too.
A principal's own policies are the one thing that it may be refused to read, and that is said."""
UNBUILT = frozenset({"NotImplemented", "MethodNotAllowed"})
"""How a server says that it has no such question. Ceph 18 has no ownership controls and answers with a listing."""


class Facts(Frozen):
    """Who may do what. `None` where a request that must work did not, or nobody could be asked.

    `could`: actions by which a policy lets the pipeline change something; `beyond`: resources, as written, that it
    could read outside its prefix; `points`: access points that do not block public access; `regional`: the names of
    those for several regions; `logged`: whether the server logs; `trail`: whether CloudTrail does.
    `rows`: for each rule the questions that it rests on, and their answers.
    """

    questions: int
    probes: int
    blocks: tuple[Block, ...]
    readable: tuple[Reading, ...]
    writable: tuple[Writing, ...]
    outsiders: tuple[str, ...]
    owner: str
    stranger: Literal["refused", "allowed", "untried"]
    ownership: Literal["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter", "none", "unanswered"]
    versioning: Literal["Enabled", "Suspended", "none"]
    pinned: bool | None
    forgeries: tuple[Forgery, ...]
    changes: tuple[Change, ...]
    foreign_owner: bool
    failing: tuple[Control, ...]
    account_blocks: tuple[Block, ...] | None
    points: int | None
    regional: tuple[str, ...] | None
    could: tuple[str, ...] | None
    beyond: tuple[str, ...]
    identity: Literal["read", "refused", "unasked"]
    locked: bool
    logged: bool
    trail: Literal["recording", "none", "unread", "unasked"]
    second_factor: bool
    bucket_key: Literal["on", "off", "unneeded"]
    customer_keys: bool
    rows: dict[str, dict[str, str]]

    @field_validator("rows")
    @classmethod
    def _whole(cls, rows: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        return complete(rows, EVIDENCE)


def read(answers: Mapping[str, Mapping[str, Any]], bucket: str, prefix: str) -> Facts:
    """The facts; `CannotTell` names every question that has no answer."""
    replies = Replies(answers, QUESTIONS, ABSENT)
    if answers["signed_list"].get("status") != 200:
        raise CannotTell(replies.said("signed_list"))
    if replies.member("signed_list", "found", bool) is not True:
        raise CannotTell("there is no object under the prefix that a probe could try")
    for name in ("acl", "versioning"):  # every bucket has one: there is no code for nothing
        replies.declared(name)
    statements = iam.parse(replies.member("policy", "document", dict)) if replies.declared("policy") else ()
    owner, account = replies.member("acl", "owner", str), replies.member("endpoint", "account", str)
    granted = {"policy": iam.by_policy(statements), "acl": iam.by_acl(owner, replies.member("acl", "grants", list))}
    public = {name for name in ("anonymous_get", "anonymous_list", "anonymous_put") if replies.let(name)}
    if replies.declared("policy_status") and replies.member("policy_status", "public", bool):
        public |= {"policy_status"}
    readable = public | {name for name, grants in granted.items() if grants.read}
    writable = public | {name for name, grants in granted.items() if grants.write}
    failing = [name for name in get_args(Control) if not replies.let(name)]
    headed = "signed_head" not in failing
    stranger = replies.tried("stranger_get")
    named = {name for grants in granted.values() for name in grants.named}
    block = replies.member("public_access_block", "on", list) if replies.declared("public_access_block") else []
    try:
        return Facts.model_validate(
            {
                "questions": len(answers),
                "probes": len(REFUSED) - (not stranger),
                "blocks": block,
                "readable": [name for name in get_args(Reading) if name in readable],
                "writable": [name for name in get_args(Writing) if name in writable],
                "outsiders": sorted(named - {account, f"canonical:{owner}"}),
                "owner": owner,
                "stranger": ("allowed" if replies.let("stranger_get") else "refused") if stranger else "untried",
                "ownership": _ownership(replies),
                "versioning": replies.member("versioning", "state", str) or "none",
                "pinned": replies.member("signed_head", "version", str) not in ("", "null") if headed else None,
                "forgeries": [name for name in get_args(Forgery) if replies.let(name)],
                "changes": [name for name in get_args(Change) if _changed(replies, name)],
                "foreign_owner": replies.let("wrong_owner"),
                "failing": failing,
                **_account(replies),
                **_principal(replies, statements, account, bucket, prefix),
                **_advised(replies),
                "rows": replies.rows(EVIDENCE),
            }
        )
    except ValidationError as why:
        raise CannotTell(f"an answer is not in the vocabulary: {why.errors()[0]['loc'][0]}") from None


def _account(replies: Replies) -> dict[str, Any]:
    """The account's block and the bucket's access points, where there is an account to ask."""
    blocks = points = regional = None
    if replies.tried("account_block"):
        blocks = replies.member("account_block", "on", list) if replies.declared("account_block") else []
    if replies.tried("access_points"):
        replies.declared("access_points")
        points = replies.member("access_points", "unblocked", int)
    if replies.tried("multi_region_points"):
        replies.declared("multi_region_points")
        regional = replies.member("multi_region_points", "unblocked", list)
    return {"account_blocks": blocks, "points": points, "regional": regional}


def _principal(
    replies: Replies, statements: Sequence[iam.Statement], owner: str, bucket: str, prefix: str
) -> dict[str, Any]:
    """What the policies let the pipeline do."""
    identity, own = "unasked", None
    if replies.tried("identity"):
        identity = "read" if replies.declared("identity") else "refused"
    if identity == "read":
        documents = replies.member("identity", "documents", list)
        if not all(isinstance(each, dict) for each in documents):
            raise CannotTell("a policy of the pipeline's own is no document")
        iam.bounded(documents, iam.MOST)
        own = [statement for each in documents for statement in iam.parse(each, own=True)]
    if not replies.tried("principal"):
        return {"could": None, "beyond": (), "identity": identity}
    arn = replies.member("principal", "arn", str)
    if not PRINCIPAL.fullmatch(arn):
        raise CannotTell("the pipeline's principal is not the ARN of a user, a role or an assumed role")
    others = [each for each in statements if each.effect == "Deny" or not each.everybody]  # the rest is public as it is
    found = could(others, own, Caller(arn, owner), bucket, prefix)
    return {"could": found.change, "beyond": found.beyond, "identity": identity}


def _advised(replies: Replies) -> dict[str, Any]:
    """What is advice: locks, logs, a second factor, and how keys are used."""
    encrypted = replies.declared("encryption")
    key, kms = (encrypted and replies.member("encryption", name, bool) for name in ("key", "kms"))
    return {
        "locked": replies.declared("object_lock") and replies.member("object_lock", "on", bool),
        **_logged(replies),
        "second_factor": replies.member("versioning", "mfa", bool),
        "bucket_key": ("on" if key else "off") if kms else "unneeded",
        "customer_keys": not (encrypted and replies.member("encryption", "customers", bool)),
    }


def _logged(replies: Replies) -> dict[str, Any]:
    """Who logs. That no trail could be read is nothing to worry about only where the server logs by itself."""
    server, trail = replies.declared("logging") and replies.member("logging", "on", bool), "unasked"
    if replies.tried("data_events"):
        if replies.member("data_events", "status", int) == 200:
            trail = "recording" if replies.member("data_events", "trail", str) else "none"
        elif server:
            trail = "unread"
        else:
            raise CannotTell(f"the server keeps no access log, and {replies.said('data_events')}")
    return {"logged": server, "trail": trail}


def _changed(replies: Replies, name: str) -> bool:
    """Whether a change was let through. Who is told that a policy is malformed was allowed to set one."""
    answer = replies.answers[name]
    malformed = (answer.get("status"), answer.get("code")) == (400, "MalformedPolicy")
    return (name == "own_policy" and malformed) or replies.let(name)


def _ownership(replies: Replies) -> str:
    if replies.answers["ownership"].get("code") in UNBUILT:
        return "unanswered"
    if not replies.declared("ownership"):
        return "none"
    rules = replies.member("ownership", "rules", list)
    if len(rules) > 1:
        raise CannotTell(f"the bucket has {len(rules)} ownership rules, not one")
    return str(rules[0]) if rules else "unanswered"
