"""Asks a store how it encrypts and what it keeps: a bucket's default, and how each pinned version lies there.

An answer has `status`, `algorithm` and `key`, or the `code` of the server's refusal, or the name of the `error` that
kept it away. That of a version also has its `size` in bytes and its `sha256`, the store's own checksum of the whole in
hexadecimal digits, empty where it keeps none. A call names the account that must own the bucket, and the version; a
store that answers with another version, or with a SHA-256 that is none, has not answered.
"""

import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from security.engines.s3 import Credentials, Endpoint, checksum, client

Answer = tuple[str, dict[str, Any]]
SHA = re.compile(r"[A-Za-z0-9+/]{43}=")
"""32 bytes in base64."""


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
        found = s3.head_object(
            Bucket=bucket, Key=key, VersionId=version, ExpectedBucketOwner=owner, ChecksumMode="ENABLED"
        )
        if found.get("VersionId") != version:
            raise ValueError("another version")
        kept = {"size": found["ContentLength"], "sha256": _digits(checksum(found))}
        return {"algorithm": found.get("ServerSideEncryption", "none"), "key": found.get("SSEKMSKeyId", ""), **kept}

    told = [("", _answered(default))]
    for key, version in versions:
        told.append((key, _answered(lambda key=key, version=version: head(key, version))))
    return told


def _digits(told: str) -> str:
    if told and not SHA.fullmatch(told):
        raise ValueError("no SHA-256")
    return b64decode(told).hex()


def _answered(question: Any) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    try:
        return {"status": 200, **question()}
    except ClientError as no:
        status = int(no.response["ResponseMetadata"]["HTTPStatusCode"])
        return {"status": status, "code": str(no.response["Error"].get("Code", ""))}
    except Exception as why:  # noqa: BLE001 - whatever kept the answer away, the gate must not take it for one
        return {"error": type(why).__name__}
