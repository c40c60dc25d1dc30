"""The facts about a bucket's access, read from the answers of one visit; what cannot be read is `CannotTell`."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import ValidationError, field_validator

from security.engines import iam
from security.engines.replies import Replies
from security.errors import CannotTell
from security.gates.bucket.rules import EVIDENCE
from security.verdict import Frozen

Block = Literal["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]
Reading = Literal["anonymous_get", "anonymous_list", "policy", "policy_status", "acl"]
Writing = Literal["anonymous_put", "policy", "acl"]
Control = Literal["signed_head", "signed_get"]
Forgery = Literal["wrong_secret", "unknown_key"]
Change = Literal["own_put", "own_delete", "own_policy"]

DECLARED = ("public_access_block", "policy", "policy_status", "acl", "ownership", "versioning")
WORKING = ("signed_list", "signed_head", "signed_get")
REFUSED = (
    *("anonymous_get", "anonymous_list", "anonymous_put", "wrong_secret", "unknown_key"),
    *("stranger_get", "wrong_owner", "own_put", "own_delete", "own_policy"),
)
QUESTIONS = ("endpoint", *DECLARED, *WORKING, *REFUSED)

ABSENT = {
    "public_access_block": frozenset({"NoSuchPublicAccessBlockConfiguration"}),
    "policy": frozenset({"NoSuchBucketPolicy"}),
    "policy_status": frozenset({"NoSuchBucketPolicy", "NotImplemented", "MethodNotAllowed"}),
    "ownership": frozenset({"OwnershipControlsNotFoundError"}),
}
"""What "not configured" is called. The policy's status may be unknown to a server: the policy itself is read too."""


class Facts(Frozen):
    """Who may do what. `None` where a request that must work did not, and so nothing is known.

    `rows`: for each rule the questions that it rests on, and their answers.
    """

    questions: int
    probes: int
    blocks: tuple[Block, ...]
    readable: tuple[Reading, ...]
    writable: tuple[Writing, ...]
    outsiders: tuple[str, ...]
    stranger: Literal["refused", "allowed", "untried"]
    ownership: Literal["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter", "none"]
    versioning: Literal["Enabled", "Suspended", "none"]
    pinned: bool | None
    forgeries: tuple[Forgery, ...]
    changes: tuple[Change, ...]
    foreign_owner: bool
    failing: tuple[Control, ...]
    rows: dict[str, dict[str, str]]

    @field_validator("rows")
    @classmethod
    def _whole(cls, rows: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        if {rule: set(row) for rule, row in rows.items()} != {rule: set(names) for rule, names in EVIDENCE.items()}:
            raise ValueError("each rule has a row with every question that it rests on, and there is no other")
        return rows


def read(answers: Mapping[str, Mapping[str, Any]], bucket: str) -> Facts:
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
                "stranger": ("allowed" if replies.let("stranger_get") else "refused") if stranger else "untried",
                "ownership": _ownership(replies),
                "versioning": replies.member("versioning", "state", str) or "none",
                "pinned": replies.member("signed_head", "version", str) not in ("", "null") if headed else None,
                "forgeries": [name for name in get_args(Forgery) if replies.let(name)],
                "changes": [name for name in get_args(Change) if _changed(replies, name)],
                "foreign_owner": replies.let("wrong_owner"),
                "failing": failing,
                "rows": replies.rows(EVIDENCE),
            }
        )
    except ValidationError as why:
        raise CannotTell(f"an answer is not in the vocabulary: {why.errors()[0]['loc'][0]}") from None


def _changed(replies: Replies, name: str) -> bool:
    """Whether a change was let through. Who is told that a policy is malformed was allowed to set one."""
    answer = replies.answers[name]
    malformed = (answer.get("status"), answer.get("code")) == (400, "MalformedPolicy")
    return (name == "own_policy" and malformed) or replies.let(name)


def _ownership(replies: Replies) -> str:
    if not replies.declared("ownership"):
        return "none"
    rules = replies.member("ownership", "rules", list)
    if len(rules) != 1:
        raise CannotTell(f"the bucket has {len(rules)} ownership rules, not one")
    return str(rules[0])
