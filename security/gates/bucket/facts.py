"""The facts about a bucket's access, read from the answers of one visit; what cannot be read is `CannotTell`."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args

from pydantic import ValidationError

from security.engines import iam
from security.errors import CannotTell
from security.verdict import Frozen

Block = Literal["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]
Reading = Literal["anonymous_get", "anonymous_list", "policy", "policy_status", "acl"]
Writing = Literal["anonymous_put", "policy", "acl"]
Control = Literal["signed_head", "signed_get", "plain_http"]
Forgery = Literal["wrong_secret", "unknown_key"]
Change = Literal["own_put", "own_delete", "own_policy"]

DECLARED = ("public_access_block", "policy", "policy_status", "acl", "ownership", "versioning", "location")
WORKING = ("signed_list", "signed_head", "signed_get")
REFUSED = (
    *("anonymous_get", "anonymous_list", "anonymous_put", "plain_http", "wrong_secret", "unknown_key"),
    *("stranger_get", "wrong_owner", "own_put", "own_delete", "own_policy"),
)
QUESTIONS = ("endpoint", *DECLARED, *WORKING, *REFUSED)

ABSENT = {
    "public_access_block": {"NoSuchPublicAccessBlockConfiguration"},
    "policy": {"NoSuchBucketPolicy"},
    "policy_status": {"NoSuchBucketPolicy", "NotImplemented", "MethodNotAllowed"},
    "ownership": {"OwnershipControlsNotFoundError"},
}
"""What "not configured" is called. The policy's status may be unknown to a server: the policy itself is read too."""
UNBUILT = {"NotImplemented", "MethodNotAllowed"}
"""How a server says that it has no such question. Ceph 18 has no ownership controls and answers with a listing."""
NO = (401, 403)

T = TypeVar("T")


class Facts(Frozen):
    """Who may do what. `None` where a request that must work did not, and so nothing is known."""

    questions: int
    probes: int
    https: bool
    tls: str
    authority: Literal["given", "public", "none"]
    region: str
    location: str
    blocks: tuple[Block, ...]
    readable: tuple[Reading, ...]
    writable: tuple[Writing, ...]
    outsiders: tuple[str, ...]
    owner: str
    stranger: Literal["refused", "allowed", "untried"]
    tls_policy: bool
    plain: bool
    ownership: Literal["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter", "none", "unanswered"]
    versioning: Literal["Enabled", "Suspended", "none"]
    pinned: bool | None
    forgeries: tuple[Forgery, ...]
    changes: tuple[Change, ...]
    foreign_owner: bool
    failing: tuple[Control, ...]


def read(answers: Mapping[str, Mapping[str, Any]], bucket: str) -> Facts:
    """The facts; `CannotTell` names every question that has no answer."""
    lost = [f"{name}: {answers[name]['error']}" for name in QUESTIONS if "error" in answers.get(name, {})]
    lost += [f"{name}: not asked" for name in QUESTIONS if name not in answers]
    lost += [f"{name}: not a known question" for name in answers if name not in QUESTIONS]
    if lost:
        raise CannotTell("no answer to " + ", ".join(lost))
    if _member("signed_list", _working(answers, "signed_list"), "found", bool) is not True:
        raise CannotTell("there is no object under the prefix that a probe could try")
    policy, acl, where = _declared(answers, "policy"), _needed(answers, "acl"), answers["endpoint"]
    statements = iam.parse(_member("policy", policy, "document", dict)) if policy else ()
    owner, account = _member("acl", acl, "owner", str), _member("endpoint", where, "account", str)
    granted = {"policy": iam.by_policy(statements), "acl": iam.by_acl(owner, _member("acl", acl, "grants", list))}
    status, block = _declared(answers, "policy_status"), _declared(answers, "public_access_block")
    public = {name for name in ("anonymous_get", "anonymous_list", "anonymous_put") if _let(answers, name)}
    public |= {"policy_status"} if status and _member("policy_status", status, "public", bool) else set()
    readable = public | {name for name, grants in granted.items() if grants.read}
    writable = public | {name for name, grants in granted.items() if grants.write}
    failing = [name for name in ("signed_head", "signed_get") if not _let(answers, name)]
    failing += [] if _plain_control(answers) else ["plain_http"]
    head = answers["signed_head"] if "signed_head" not in failing else None
    stranger = answers["stranger_get"]
    tried = stranger.get("asked", True) is not False
    named = {name for grants in granted.values() for name in grants.named}
    try:
        return Facts.model_validate(
            {
                "questions": len(answers),
                "probes": len(REFUSED) - (not tried),
                "https": _member("endpoint", where, "url", str).startswith("https://"),
                "tls": _member("endpoint", where, "tls", str),
                "authority": _member("endpoint", where, "ca", str),
                "region": _member("endpoint", where, "region", str),
                "location": _member("location", _needed(answers, "location"), "region", str),
                "blocks": _member("public_access_block", block, "on", list) if block else [],
                "readable": [name for name in get_args(Reading) if name in readable],
                "writable": [name for name in get_args(Writing) if name in writable],
                "outsiders": sorted(named - {account, f"canonical:{owner}"}),
                "owner": owner,
                "stranger": ("allowed" if _let(answers, "stranger_get") else "refused") if tried else "untried",
                "tls_policy": iam.tls_only(statements, bucket),
                "plain": _plain(answers["plain_http"]),
                "ownership": _ownership(answers),
                "versioning": _member("versioning", _needed(answers, "versioning"), "state", str) or "none",
                "pinned": _member("signed_head", head, "version", str) not in ("", "null") if head else None,
                "forgeries": [name for name in get_args(Forgery) if _let(answers, name)],
                "changes": [name for name in get_args(Change) if _let(answers, name)],
                "foreign_owner": _let(answers, "wrong_owner"),
                "failing": failing,
            }
        )
    except ValidationError as why:
        raise CannotTell(f"an answer is not in the vocabulary: {why.errors()[0]['loc'][0]}") from None


def _member(name: str, answer: Mapping[str, Any], member: str, kind: type[T]) -> T:
    value = answer.get(member)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise CannotTell(f"the answer to {name} has no {member}")
    return value


def _said(name: str, answer: Mapping[str, Any]) -> str:
    return f"{name} was answered with {answer.get('status')} {answer.get('code', '')}".rstrip()


def _declared(answers: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """What is configured; None where nothing is. Anything else was no look."""
    answer = answers[name]
    if answer.get("status") == 200:
        return answer
    if answer.get("code") in ABSENT.get(name, ()):
        return None
    raise CannotTell(_said(name, answer))


def _needed(answers: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    answer = _declared(answers, name)
    if answer is None:
        raise CannotTell(_said(name, answers[name]))
    return answer


def _working(answers: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    if answers[name].get("status") != 200:
        raise CannotTell(_said(name, answers[name]))
    return answers[name]


def _let(answers: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    """Whether a request was let through. Who is told that a policy is malformed was allowed to set one."""
    answer = answers[name]
    status = _member(name, answer, "status", int)
    if name == "own_policy" and status == 400 and answer.get("code") == "MalformedPolicy":
        return True
    if not 200 <= status < 300 and status not in NO:
        raise CannotTell(f"{_said(name, answer)}: neither granted nor refused")
    return status not in NO


def _plain_control(answers: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the request that was sent in the clear works over TLS."""
    return _let({"plain_http over TLS": {"status": answers["plain_http"].get("control")}}, "plain_http over TLS")


def _plain(answer: Mapping[str, Any]) -> bool:
    """Whether plain HTTP was served. 0: nobody there speaks it; 400, 426: told to use TLS; 30x onward to https."""
    status = _member("plain_http", answer, "status", int)
    if status in (0, 400, *NO, 426) or (300 <= status < 400 and answer.get("onward") is True):
        return False
    if not 200 <= status < 300:
        raise CannotTell(f"{_said('plain_http', answer)}: neither granted nor refused")
    return True


def _ownership(answers: Mapping[str, Mapping[str, Any]]) -> str:
    if answers["ownership"].get("code") in UNBUILT:
        return "unanswered"
    if (answer := _declared(answers, "ownership")) is None:
        return "none"
    rules = _member("ownership", answer, "rules", list)
    if len(rules) > 1:
        raise CannotTell(f"the bucket has {len(rules)} ownership rules, not one")
    return str(rules[0]) if rules else "unanswered"
