"""What one principal could do to a bucket: its policy, and the principal's own policies where they can be read.

An explicit Deny wins, but only one that certainly applies; an Allow counts if it could apply. What cannot be told (an
operator or key that is not known, a circumstance that the caller chooses, a policy variable, a pattern of names)
therefore never makes a principal look weaker than it is. Permission boundaries and organisations' policies only take
away, and are left out. Grammar and order: "Policy evaluation logic" and "IAM JSON policy elements" in the AWS
documentation.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from security.engines.caller import Caller, Named
from security.engines.iam import READING, Statement
from security.engines.patterns import Patterns
from security.engines.reach import Allowed, Denied
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


class Could(Frozen):
    """What it could do: actions that change something, and resources, as written, that reach beyond the prefix."""

    change: tuple[str, ...]
    beyond: tuple[str, ...]


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
    case = _Case(policy, own, caller)
    change = {action for action, target in asked if any(case.reached(action, target))}
    inside = Patterns([f"{base}/{re.sub('[*?]', chr(0), prefix)}*"])
    (within,) = inside.ends.values()
    reads = {resource for action in READS for resource in case.reached(action, f"arn:{caller.partition}:s3:::*/*")}
    beyond = sorted(resource for resource in reads if not inside.covering(resource) & within)
    return Could(change=tuple(sorted(change)), beyond=tuple(beyond))


def _written(statement: Statement) -> Iterator[str]:
    """Actions of S3 that an Allow names in full, that are no reads."""
    if statement.effect == "Allow" and "Action" not in statement.inverse:
        for action in statement.actions:
            service, _, name = action.partition(":")
            if service.lower() == "s3" and not set(name) & set("*?") and not name.lower().startswith(READING):
                yield action


class _Case:
    """The statements of both policies that are about the caller, told apart by how they name it."""

    def __init__(self, policy: Sequence[Statement], own: Sequence[Statement] | None, caller: Caller) -> None:
        named = [(each, caller.named(each)) for each in policy]
        denying = [each for each, name in named if each.effect == "Deny" and _denied(each, name)]
        denied = Denied([*denying, *(each for each in own or () if each.effect == "Deny")], caller.context)

        def allowed(statements: Iterable[Statement]) -> Allowed:
            return Allowed((each for each in statements if each.effect == "Allow"), denied, caller.context)

        self.direct = allowed(each for each, name in named if _granting(each, name))
        self.passed_on = allowed(each for each, name in named if name == "account" and "Principal" not in each.inverse)
        self.mine = allowed(own or ())
        self.unread, self.foreign = own is None, caller.account != caller.owner

    def reached(self, action: str, target: str) -> Iterator[str]:
        """The patterns, as written, by which the caller could do this to some of the target, after every sure Deny."""
        if not self.foreign:
            yield from self.direct.to(action, target)
            yield from self.mine.to(action, target)
        if self.unread or (self.foreign and any(self.mine.to(action, target))):  # across accounts both must allow
            yield from self.direct.to(action, target)
            yield from self.passed_on.to(action, target)


def _granting(statement: Statement, named: Named) -> bool:
    """Whether an Allow could be for the caller itself. To its account, it only passes the question on."""
    return named != "direct" if "Principal" in statement.inverse else named in ("direct", "perhaps")


def _denied(statement: Statement, named: Named) -> bool:
    """Whether a Deny is surely for the caller: all but those listed are meant only where nobody of it is listed."""
    return named == "" if "Principal" in statement.inverse else named in ("direct", "account")
