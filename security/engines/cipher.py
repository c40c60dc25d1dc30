"""Asks a store how it encrypts: what a bucket does by default, and how each pinned version lies there.

An answer has `status`, `algorithm` and `key`, or the `code` of the server's refusal, or the name of the `error` that
kept it away. A call names the account that must own the bucket, and the version; a store that answers with another
version has not answered.
"""

from collections.abc import Iterable
from typing import Any

from security.engines.s3 import Credentials, Endpoint, client

Answer = tuple[str, dict[str, Any]]


def ask(endpoint: Endpoint, credentials: Credentials, bucket: str, versions: Iterable[tuple[str, str]]) -> list[Answer]:
    """The answer for the bucket (under an empty name) and for each key and version."""
    s3, owner = client(endpoint, credentials), endpoint.account

    def default() -> dict[str, Any]:
        found = s3.get_bucket_encryption(Bucket=bucket, ExpectedBucketOwner=owner)
        rules = found["ServerSideEncryptionConfiguration"]["Rules"]
        said = [rule["ApplyServerSideEncryptionByDefault"] for rule in rules]
        if len(said) != 1:
            raise ValueError(f"{len(said)} defaults")
        return {"algorithm": said[0]["SSEAlgorithm"], "key": said[0].get("KMSMasterKeyID", "")}

    def head(key: str, version: str) -> dict[str, Any]:
        found = s3.head_object(Bucket=bucket, Key=key, VersionId=version, ExpectedBucketOwner=owner)
        if found.get("VersionId") != version:
            raise ValueError("another version")
        return {"algorithm": found.get("ServerSideEncryption", "none"), "key": found.get("SSEKMSKeyId", "")}

    told = [("", _answered(default))]
    for key, version in versions:
        told.append((key, _answered(lambda key=key, version=version: head(key, version))))
    return told


def _answered(question: Any) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    try:
        return {"status": 200, **question()}
    except ClientError as no:
        status = int(no.response["ResponseMetadata"]["HTTPStatusCode"])
        return {"status": status, "code": str(no.response["Error"].get("Code", ""))}
    except Exception as why:  # noqa: BLE001 - whatever kept the answer away, the gate must not take it for one
        return {"error": type(why).__name__}
