"""The gate `access_control_s3`: looks at the answers, judges the facts."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, get_args

from security.errors import CannotTell
from security.gate import Violation
from security.gates.bucket.decoys import VIOLATIONS
from security.gates.bucket.facts import QUESTIONS, Block, Facts, read
from security.gates.bucket.rules import RULES
from security.material import Handed
from security.posture import Answer, Posture, answered
from security.verdict import Breach, Frozen, Rule

WORDS = {
    "policy": "the bucket policy lets everybody",
    "policy_status": "the policy's status lets everybody",
    "acl": "the ACL lets everybody",
    "anonymous_get": "a GET without a signature could",
    "anonymous_list": "a listing without a signature could",
    "anonymous_put": "a PUT without a signature could",
    "wrong_secret": "a GET signed with a wrong secret",
    "unknown_key": "a GET with an access key that does not exist",
    "own_put": "a PUT with the pipeline's own key",
    "own_delete": "a DELETE with the pipeline's own key",
    "own_policy": "setting the bucket policy with the pipeline's own key",
    "signed_head": "a HEAD with the pipeline's own key",
    "signed_get": "a GET with the pipeline's own key",
}


class Limits(Frozen):
    """What a policy may set; the defaults are the strictest that a public cloud can meet.

    `accounts`: who may be named beside the owner, as account ids or names such as `service:...` and `canonical:...`.
    `stranger`: whether a read with the key of a principal without rights must have been tried.
    `principal`: whether the pipeline's own principal must be known, so that policies could be evaluated for it.
    `owner`: the canonical id of the owner, for a store that does not compare the owner on each call (Ceph 18 does not):
    then the bucket's own word is compared with it, once a look, and a bucket that is swapped later is not noticed.
    """

    accounts: tuple[str, ...] = ()
    stranger: bool = True
    principal: bool = True
    owner: str = ""


class AccessControlS3(Posture):
    """Only the pipeline reads, nobody it does not know writes, and each read can be pinned.

    A policy is read more strictly than AWS reads it: see `security.engines.iam`.
    """

    name: ClassVar[str] = "access_control_s3"
    kind: ClassVar[str] = "bucket"
    questions: ClassVar[tuple[str, ...]] = QUESTIONS
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Answer]]] = VIOLATIONS
    causes: ClassVar[frozenset[str]] = frozenset({"ownership"})
    """`ownership`: the store does not know who owns new objects, so ACLs of single objects may count."""

    def look(self, material: Handed[Answer]) -> Facts:
        """The facts; `CannotTell` where an answer is missing, given twice, unknown, or tells nothing."""
        bucket, _, prefix = material.subject.name.removeprefix("s3://").partition("/")
        return read(answered(material), bucket, prefix)

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """What is wrong, declared and done."""
        yield from _open(facts)
        yield from _strangers(facts, limits)
        yield from _own(facts, limits)
        yield from _advice(facts)
        if facts.ownership == "unanswered":
            sentence = "the store has no ownership controls: an object's ACL may let in whom the bucket's does not"
            raise CannotTell(f"S3-ACL ownership: {sentence}", "ownership")

    def brief(self, facts: Facts) -> str:
        """How many rules, how many probes were refused as they must be, and who logs reads."""
        who = "the server" if facts.logged else "a trail" if facts.trail == "recording" else ""
        return f"{len(self.rules)} rules, {facts.probes} probes" + (f", logged by {who}" if who else "")


def _open(seen: Facts) -> Iterator[Breach]:
    off = sorted(set(get_args(Block)) - set(seen.blocks))
    if off:
        yield _breach("S3-PAB", "public_access_block", f"{', '.join(off)} not on; allowed: all four on")
    off = sorted(set(get_args(Block)) - set(seen.account_blocks)) if seen.account_blocks is not None else []
    if off:
        yield _breach("S3-PAB-ACCT", "account_block", f"{', '.join(off)} of the account not on; allowed: all four on")
    for way in seen.readable:
        yield _breach("S3-PUB-READ", way, f"{WORDS[way]} read; allowed: nobody unknown")
    for door in seen.writable:
        yield _breach("S3-PUB-WRITE", door, f"{WORDS[door]} write; allowed: nobody unknown")
    if seen.ownership not in ("BucketOwnerEnforced", "unanswered"):
        yield _breach("S3-ACL", "ownership", f"object ownership is {seen.ownership}; allowed: BucketOwnerEnforced")


def _strangers(seen: Facts, limits: Limits) -> Iterator[Breach]:
    for name in seen.outsiders:
        if name not in limits.accounts:
            allowed = ", ".join(limits.accounts) or "nobody else"
            yield _breach("S3-XACCT", name, f"{name} is granted access; allowed: the owner and {allowed}")
    if seen.stranger == "allowed" and not seen.readable:  # where everybody reads, strangers do
        yield _breach("S3-XACCT", "stranger_get", "a principal without rights could read; allowed: refused")
    if seen.stranger == "untried" and limits.stranger:
        yield _breach("S3-XACCT", "stranger_get", "no read by a principal without rights was tried; allowed: refused")
    for way in seen.forgeries:
        yield _breach("S3-SIG", way, f"{WORDS[way]} was served; allowed: refused")
    if seen.foreign_owner and not limits.owner:
        yield _breach("S3-OWN", "wrong_owner", "served although another owner was expected; allowed: refused")
    if limits.owner and seen.owner != limits.owner:
        yield _breach("S3-OWN", "acl", f"the bucket's owner is {seen.owner}; allowed: {limits.owner}")


def _own(seen: Facts, limits: Limits) -> Iterator[Breach]:
    if seen.could:
        told = ", ".join(seen.could[:3]) + (f" and {len(seen.could) - 3} more" if len(seen.could) > 3 else "")
        yield _breach("S3-LP", "policies", f"the policies could let the pipeline {told}; allowed: reading alone")
    if seen.could is None and limits.principal:
        sentence = "it is not known for whom policies are to be evaluated; allowed: the ARN of the pipeline's principal"
        yield _breach("S3-LP", "principal", sentence)
    for way in seen.changes:
        yield _breach("S3-LP", way, f"{WORDS[way]} is allowed; allowed: reading alone")
    if seen.versioning != "Enabled":
        yield _breach("S3-VER", "versioning", f"versioning is {seen.versioning}; allowed: Enabled")
    if seen.pinned is False:
        yield _breach("S3-VER", "signed_head", "an object has no version id; allowed: one for each object")
    for control in seen.failing:
        yield _breach("S3-POS", control, f"{WORDS[control]} is refused; allowed: served, or the probes prove nothing")


def _advice(seen: Facts) -> Iterator[Breach]:
    asked = {"block": seen.account_blocks, "access points": seen.points, "multi-region points": seen.regional}
    unasked = ", ".join(name for name, answer in asked.items() if answer is None)
    if unasked:
        found = f"the store has no account to ask for its {unasked}; allowed: one that can be asked for all"
        yield _breach("S3-ACCOUNT", "account", found)
    if seen.points:
        found = f"{seen.points} access points do not block public access; allowed: all four settings on"
        yield _breach("S3-AP", "access_points", found)
    for name in seen.regional or ():
        found = f"the multi-region access point {name} does not block public access; allowed: all four settings on"
        yield _breach("S3-AP", name, found)
    if seen.identity != "read":
        found = {"refused": "may not be read", "unasked": "cannot be asked for here"}[seen.identity]
        yield _breach("S3-IDENTITY", "identity", f"the pipeline's own policies {found}; allowed: read and evaluated")
    for resource in seen.beyond:
        yield _breach("S3-WIDE", resource, f"the pipeline could read {resource}; allowed: its prefix alone")
    trail = ", and no trail records all data events; allowed: either" if seen.trail == "none" else "; allowed: one"
    for rule, good, place, found in (
        ("S3-LOCK", seen.locked, "object_lock", "no version is locked by default; allowed: a default retention"),
        ("S3-LOG", seen.logged or seen.trail == "recording", "logging", f"the server keeps no access log{trail}"),
        ("S3-MFA", seen.second_factor, "versioning", "a version is deleted by a key alone; allowed: a second factor"),
        ("S3-KEY", seen.bucket_key != "off", "encryption", "KMS is asked for each object; allowed: a bucket key"),
        ("S3-SSE-C", not seen.customer_keys, "encryption", "keys of customers are taken; allowed: SSE-C blocked"),
    ):
        if not good:
            yield _breach(rule, place, found)


def _breach(rule: str, place: str, message: str) -> Breach:
    return Breach(rule=rule, place=place, message=message)
