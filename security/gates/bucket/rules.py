"""The rules about a bucket's access, and the questions that each rests on.

Controls: AWS Security Hub FSBP, CIS AWS Foundations 7.0, Prowler 5, OWASP API Security Top 10 2023.
"""

from collections.abc import Mapping
from typing import Literal

from security.verdict import Rule

Severity = Literal["low", "medium", "high", "critical"]

_TABLE: tuple[tuple[str, Severity, str, str, str, str], ...] = (
    (
        "S3-PAB",
        "high",
        "all four settings of the bucket's public access block are on",
        "turn on BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy and RestrictPublicBuckets",
        "FSBP:S3.8 CIS:3.1.4 prowler:s3_bucket_level_public_access_block",
        "public_access_block",
    ),
    (
        "S3-PAB-ACCT",
        "high",
        "all four settings of the account's public access block are on",
        "turn on all four settings of the account's public access block: they hold for every bucket to come",
        "FSBP:S3.1 CIS:3.1.4 prowler:s3_account_level_public_access_blocks",
        "account_block",
    ),
    (
        "S3-PUB-READ",
        "critical",
        "nobody reads or lists without being known",
        "take everybody out of the bucket policy and the ACL, whatever conditions stand beside",
        "FSBP:S3.2 CIS:2.21 prowler:s3_bucket_public_access prowler:s3_bucket_public_list_acl",
        "anonymous_get anonymous_list policy policy_status acl",
    ),
    (
        "S3-PUB-WRITE",
        "critical",
        "nobody writes without being known",
        "take everybody out of the bucket policy and the ACL, whatever conditions stand beside",
        "FSBP:S3.3 CIS:2.21 prowler:s3_bucket_policy_public_write_access prowler:s3_bucket_public_write_acl",
        "anonymous_put policy acl",
    ),
    (
        "S3-XACCT",
        "high",
        "nobody but the owner and the accounts that the policy lists has access",
        "take the principal out of the bucket policy or the ACL, or list its account",
        "FSBP:S3.6 prowler:s3_bucket_cross_account_access",
        "policy acl endpoint stranger_get",
    ),
    (
        "S3-ACL",
        "medium",
        "ACLs are switched off",
        "set object ownership to BucketOwnerEnforced",
        "FSBP:S3.12 prowler:s3_bucket_acl_prohibited",
        "ownership",
    ),
    (
        "S3-VER",
        "high",
        "every object has versions that a read can be pinned to",
        "enable versioning, and write the objects that are older again",
        "FSBP:S3.14 prowler:s3_bucket_object_versioning",
        "versioning signed_head",
    ),
    (
        "S3-LP",
        "high",
        "the pipeline only reads: neither its key nor any policy lets it change anything",
        "leave it s3:GetObject, s3:GetObjectVersion, s3:ListBucket, s3:ListBucketVersions and the reads of settings",
        "OWASP:API5:2023",
        "own_put own_delete own_policy principal policy identity",
    ),
    (
        "S3-OWN",
        "high",
        "a bucket in other hands is not taken for ours",
        "use a store that honours x-amz-expected-bucket-owner",
        "prowler:s3_bucket_shadow_resource_vulnerability",
        "wrong_owner",
    ),
    (
        "S3-SIG",
        "critical",
        "a request that is not signed with a secret known to the store is refused",
        "use a store that verifies signatures",
        "OWASP:API2:2023",
        "wrong_secret unknown_key",
    ),
    (
        "S3-POS",
        "high",
        "the pipeline's own signed reads work, so that a refusal means something",
        "give the pipeline's key s3:GetObject under the prefix",
        "OWASP:API8:2023",
        "signed_list signed_head signed_get",
    ),
)

_ADVISORY: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "S3-ACCOUNT",
        "the store has an account whose settings could be asked for",
        "use a store with an account's public access block, or leave this advice where there is none",
        "FSBP:S3.1",
        "account_block access_points multi_region_points",
    ),
    (
        "S3-AP",
        "every access point of the bucket blocks public access, also those for several regions",
        "make access points with all four settings of their public access block: they cannot be changed later",
        "FSBP:S3.19 FSBP:S3.24 prowler:s3_access_point_public_access_block"
        " prowler:s3_multi_region_access_point_public_access_block",
        "access_points multi_region_points",
    ),
    (
        "S3-IDENTITY",
        "the pipeline's own policies could be read, and were evaluated with the bucket's",
        "let the pipeline read its own policies (iam:Get*, iam:List* on itself), on AWS",
        "NIST-800-53:AC-6",
        "principal identity",
    ),
    (
        "S3-WIDE",
        "no policy lets the pipeline read beyond its prefix",
        "end the resource with the prefix, its slash and a star: user_interactions* is also its siblings",
        "NIST-800-53:AC-6 OWASP:API5:2023",
        "principal policy identity",
    ),
    (
        "S3-LOCK",
        "versions are locked by default",
        "enable Object Lock with a default retention",
        "FSBP:S3.15 prowler:s3_bucket_object_lock",
        "object_lock",
    ),
    (
        "S3-LOG",
        "the server or a trail logs who reads and writes what",
        "turn on server access logging, or a trail of which one selector takes all data events of the prefix",
        "FSBP:S3.9 FSBP:S3.22 FSBP:S3.23 CIS:4.8 CIS:4.9 prowler:s3_bucket_server_access_logging_enabled"
        " prowler:cloudtrail_s3_dataevents_read_enabled prowler:cloudtrail_s3_dataevents_write_enabled",
        "logging data_events",
    ),
    (
        "S3-MFA",
        "the deletion of a version needs a second factor",
        "enable MFA delete as the account's root user",
        "FSBP:S3.20 CIS:3.1.2 prowler:s3_bucket_no_mfa_delete",
        "versioning",
    ),
    (
        "S3-KEY",
        "encryption by KMS uses a key of the bucket's own",
        "set BucketKeyEnabled with the default encryption",
        "FSBP:S3.17",
        "encryption",
    ),
    (
        "S3-SSE-C",
        "encryption by keys that customers bring along is blocked",
        "name SSE-C in BlockedEncryptionTypes with the default encryption",
        "FSBP:S3.17",
        "encryption",
    ),
)

RULES: Mapping[str, Rule] = {
    rule: Rule(id=rule, severity=severity, title=title, remedy=remedy, controls=tuple(controls.split()))
    for rule, severity, title, remedy, controls, _ in _TABLE
} | {
    rule: Rule(id=rule, severity="low", title=title, remedy=remedy, controls=tuple(controls.split()), advisory=True)
    for rule, title, remedy, controls, _ in _ADVISORY
}
EVIDENCE: Mapping[str, tuple[str, ...]] = {rule: tuple(names.split()) for rule, *_, names in (*_TABLE, *_ADVISORY)}
"""Rule -> the questions that it rests on."""
