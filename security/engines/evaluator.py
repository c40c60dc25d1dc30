"""What one principal could do to a bucket: its policy, and the principal's own policies where they can be read.

An explicit Deny wins, but only one that certainly applies; an Allow counts if it could apply. What cannot be told (an
operator or key that is not known, a circumstance that the caller chooses, a policy variable, a pattern of names)
therefore never makes a principal look weaker than it is. Permission boundaries and organisations' policies only take
away, and are left out. Grammar and order: "Policy evaluation logic" and "IAM JSON policy elements" in the AWS
documentation.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from security.engines.conditions import covers, holds, meets
from security.engines.iam import READING, Statement
from security.verdict import Frozen

OF_BUCKET = (
    *("CreateBucket", "DeleteBucket", "DeleteBucketPolicy", "DeleteBucketWebsite", "PutAccelerateConfiguration"),
    *("PutBucketAcl", "PutBucketCORS", "PutBucketLogging", "PutBucketNotification", "PutBucketObjectLockConfiguration"),
    *("PutBucketOwnershipControls", "PutBucketPolicy", "PutBucketPublicAccessBlock", "PutBucketRequestPayment"),
    *("PutBucketTagging", "PutBucketVersioning", "PutBucketWebsite", "PutEncryptionConfiguration"),
    *("PutInventoryConfiguration", "PutLifecycleConfiguration", "PutReplicationConfiguration"),
)
OF_OBJECT = (
    *("AbortMultipartUpload", "BypassGovernanceRetention", "DeleteObject", "DeleteObjectTagging"),
    *("DeleteObjectVersion", "DeleteObjectVersionTagging", "ObjectOwnerOverrideToBucketOwner", "PutObject"),
    *("PutObjectAcl", "PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging", "PutObjectVersionAcl"),
    *("PutObjectVersionTagging", "ReplicateDelete", "ReplicateObject", "ReplicateTags", "RestoreObject"),
)
"""The actions that change a bucket, and its objects ("Actions, resources, and condition keys for Amazon S3")."""
READS = ("s3:GetObject", "s3:GetObjectVersion")
_VARIABLE = re.compile(r"\$\{[^}]*\}")


class Could(Frozen):
    """What it could do: actions that change something, and resources, as written, that reach beyond the prefix."""

    change: tuple[str, ...]
    beyond: tuple[str, ...]


@dataclass(frozen=True)
class Caller:
    """A principal by its ARN (a user, a role, or a role's session), and the account that owns the bucket."""

    arn: str
    owner: str

    @property
    def kind(self) -> str:
        """`user`, `role` or `assumed-role`."""
        return self.arn.split(":", 5)[5].partition("/")[0]

    @property
    def pattern(self) -> str:
        """What else it could be named as: a role as one of its sessions, a session as its role, of whatever path."""
        name = self.arn.split("/")[-1 if self.kind == "role" else 1]
        session = f"arn:{self.partition}:sts::{self.account}:assumed-role/{name}/*"
        role = f"arn:{self.partition}:iam::{self.account}:role/*{name}"
        return {"role": session, "assumed-role": role}.get(self.kind, self.arn)

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, `aws-us-gov`."""
        return self.arn.split(":")[1]

    @property
    def account(self) -> str:
        """The account that it belongs to."""
        return self.arn.split(":")[4]

    @property
    def context(self) -> dict[str, str]:
        """The condition keys that the caller does not choose, by lower-case name."""
        known = {
            "aws:principalaccount": self.account,
            "aws:principalisawsservice": "false",
            "aws:resourceaccount": self.owner,
            "s3:resourceaccount": self.owner,
        }
        known |= {"aws:principalarn": self.arn} if self.kind != "assumed-role" else {}
        return known | ({"aws:username": self.arn.rpartition("/")[2]} if self.kind == "user" else {})


def could(
    policy: Sequence[Statement], own: Sequence[Statement] | None, caller: Caller, bucket: str, prefix: str
) -> Could:
    """What the caller could do. `own` are the statements of its own policies; None if they could not be read."""
    base = f"arn:{caller.partition}:s3:::{bucket}"
    asked = [(f"s3:{name}", base) for name in OF_BUCKET] + [(f"s3:{name}", f"{base}/*") for name in OF_OBJECT]
    known = {action.lower() for action, _ in asked}
    for action in sorted({name for each in (*policy, *(own or ())) for name in _written(each)}):
        if action.lower() not in known:
            asked += [(action, base), (action, f"{base}/*")]
    change = {action for action, target in asked if any(_reached(policy, own, caller, action, target))}
    inside = f"{base}/{re.sub('[*?]', chr(0), prefix)}*"
    beyond = {
        resource
        for action in READS
        for resource in _reached(policy, own, caller, action, f"arn:{caller.partition}:s3:::*/*")
        if not covers(inside, resource)
    }
    return Could(change=tuple(sorted(change)), beyond=tuple(sorted(beyond)))


def _written(statement: Statement) -> Iterator[str]:
    """Actions of S3 that an Allow names in full, that are no reads."""
    if statement.effect == "Allow" and "Action" not in statement.inverse:
        for action in statement.actions:
            service, _, name = action.partition(":")
            if service.lower() == "s3" and not set(name) & set("*?") and not name.lower().startswith(READING):
                yield action


def _reached(
    policy: Sequence[Statement], own: Sequence[Statement] | None, caller: Caller, action: str, target: str
) -> Iterator[str]:
    """The patterns, as written, by which the caller could do this to some of the target, after every sure Deny."""
    named = [(each, _named(each, caller)) for each in policy]
    denying = [each for each, name in named if each.effect == "Deny" and _denied(each, name)]
    denying += [each for each in own or () if each.effect == "Deny"]
    denying = [each for each in denying if holds(each.condition, caller.context) is True and _acts(each, action)]

    def granted(statements: Iterable[Statement]) -> set[str]:
        return {
            resource
            for each in statements
            if each.effect == "Allow" and holds(each.condition, caller.context) is not False
            if _acts(each, action)
            for resource in _resources(each, target)
            if not any(_shut(deny, resource if covers(target, resource) else target) for deny in denying)
        }

    direct = granted(each for each, name in named if _granting(each, name))
    passed_on = granted(each for each, name in named if name == "account" and "Principal" not in each.inverse)
    mine = granted(own or ())
    if caller.account == caller.owner:
        yield from sorted(direct | mine | (passed_on if own is None else set()))
    elif own is None or mine:  # across accounts both must allow
        yield from sorted(direct | passed_on)


Named = Literal["direct", "account", "perhaps", ""]


def _named(statement: Statement, caller: Caller) -> Named:
    """How the list of a statement names the caller: itself or everybody, its account, perhaps, or not at all."""
    found: Named = ""
    for kind, text in statement.who:
        if text == "*" or (kind == "AWS" and text == caller.arn):
            return "direct"
        if kind == "AWS" and text in (caller.account, f"arn:{caller.partition}:iam::{caller.account}:root"):
            found = "account"
        elif kind == "CanonicalUser" or (kind == "AWS" and (meets(text, caller.arn) or meets(text, caller.pattern))):
            found = found or "perhaps"
    return found


def _granting(statement: Statement, named: Named) -> bool:
    """Whether an Allow could be for the caller itself. To its account, it only passes the question on."""
    return named != "direct" if "Principal" in statement.inverse else named in ("direct", "perhaps")


def _denied(statement: Statement, named: Named) -> bool:
    """Whether a Deny is surely for the caller: all but those listed are meant only where nobody of it is listed."""
    return named == "" if "Principal" in statement.inverse else named in ("direct", "account")


def _acts(statement: Statement, action: str) -> bool:
    """Whether a statement is about an action. Names of actions have no case, and no variables."""
    listed = any(covers(each.lower(), action.lower()) for each in statement.actions)
    return listed != ("Action" in statement.inverse)


def _resources(statement: Statement, target: str) -> Iterator[str]:
    """The patterns of an Allow that share something with the target; all but what is listed is the target itself."""
    if "Resource" in statement.inverse:
        if not any(covers(each, target) for each in statement.resources):
            yield target
        return
    for each in statement.resources:
        loose = _VARIABLE.sub("*", each)
        if meets(loose, target):
            yield loose


def _shut(deny: Statement, resource: str) -> bool:
    """Whether a Deny surely covers all of a resource. A variable is read as it is written, and so covers nothing."""
    if "Resource" in deny.inverse:
        return not any(meets(_VARIABLE.sub("*", each), resource) for each in deny.resources)
    return any(covers(each, resource) for each in deny.resources)
