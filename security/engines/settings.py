"""What a bucket declares of itself: reads of the S3 control plane, each an answer in few words.

Every reader raises what boto3 raises; that something is not configured is an error of its own there, with a code of
its own, and differs from not being allowed to look.
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from security.verdict import canonical

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Answer = dict[str, Any]


class Whose(TypedDict):
    """The bucket, and the account that must own it: what every call names."""

    Bucket: str
    ExpectedBucketOwner: str


def block(s3: "S3Client", to: Whose) -> Answer:
    """Which of the four settings of the public access block are on."""
    found = s3.get_public_access_block(**to)["PublicAccessBlockConfiguration"]
    return {"status": 200, "on": sorted(name for name, value in found.items() if value is True)}


def policy(s3: "S3Client", to: Whose) -> Answer:
    """The policy's document; a `ValueError` if it can be read in two ways or has no canonical form."""
    document = json.loads(s3.get_bucket_policy(**to)["Policy"], object_pairs_hook=_unique)
    canonical(document)
    return {"status": 200, "document": document}


def policy_status(s3: "S3Client", to: Whose) -> Answer:
    """Whether the server itself holds the policy to be public."""
    return {"status": 200, "public": s3.get_bucket_policy_status(**to)["PolicyStatus"]["IsPublic"]}


def acl(s3: "S3Client", to: Whose) -> Answer:
    """The owner's canonical id, and the grants without anybody's display name or address."""
    found, kept = s3.get_bucket_acl(**to), {"Type": "type", "ID": "id", "URI": "uri"}
    grants = []
    for each in found.get("Grants", []):
        grantee: Mapping[str, Any] = each.get("Grantee", {})
        known = {name: grantee[key] for key, name in kept.items() if grantee.get(key)}
        grants.append({**known, "permission": each.get("Permission")})
    return {"status": 200, "owner": found["Owner"]["ID"], "grants": grants}


def ownership(s3: "S3Client", to: Whose) -> Answer:
    """Who owns new objects, and thereby whether ACLs count. A server without such controls may answer anything."""
    rules = s3.get_bucket_ownership_controls(**to).get("OwnershipControls", {}).get("Rules", [])
    return {"status": 200, "rules": [rule["ObjectOwnership"] for rule in rules]}


def versioning(s3: "S3Client", to: Whose) -> Answer:
    """`Enabled`, `Suspended`, or nothing where it never was; and whether a deletion needs a second factor."""
    found = s3.get_bucket_versioning(**to)
    return {"status": 200, "state": found.get("Status", ""), "mfa": found.get("MFADelete") == "Enabled"}


def location(s3: "S3Client", to: Whose) -> Answer:
    """The bucket's region; the first region has no name here, and Ireland an old one."""
    found = s3.get_bucket_location(**to).get("LocationConstraint") or "us-east-1"
    return {"status": 200, "region": "eu-west-1" if found == "EU" else found}


def lock(s3: "S3Client", to: Whose) -> Answer:
    """Whether versions can be locked, and are by default: no retention by default leaves a version as it was put."""
    found = s3.get_object_lock_configuration(**to)["ObjectLockConfiguration"]
    default = found.get("Rule", {}).get("DefaultRetention", {})
    return {"status": 200, "on": found.get("ObjectLockEnabled") == "Enabled" and bool(default.get("Mode"))}


def logging(s3: "S3Client", to: Whose) -> Answer:
    """Whether the server logs who read what."""
    return {"status": 200, "on": bool(s3.get_bucket_logging(**to).get("LoggingEnabled", {}).get("TargetBucket"))}


def encryption(s3: "S3Client", to: Whose) -> Answer:
    """Of the default encryption what is advice: by KMS with a key of the bucket's own, and no keys of customers."""
    rules: Any = s3.get_bucket_encryption(**to)["ServerSideEncryptionConfiguration"]["Rules"]
    if len(rules) != 1:
        raise ValueError(f"{len(rules)} defaults")
    kms = rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") == "aws:kms"
    blocked = rules[0].get("BlockedEncryptionTypes", {}).get("EncryptionType", [])
    return {"status": 200, "kms": kms, "key": rules[0].get("BucketKeyEnabled") is True, "customers": "SSE-C" in blocked}


READERS: Mapping[str, Callable[["S3Client", Whose], Answer]] = {
    "public_access_block": block,
    "policy": policy,
    "policy_status": policy_status,
    "acl": acl,
    "ownership": ownership,
    "versioning": versioning,
    "location": location,
    "object_lock": lock,
    "logging": logging,
    "encryption": encryption,
}
"""Every question about what is declared, and its reader."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a member of the policy is named twice")
    return made
