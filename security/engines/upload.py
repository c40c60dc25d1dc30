"""Puts a file into a bucket, encrypted under a named key, and looks at what lies there."""

import hashlib
import io
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from security.engines.s3 import Credentials, Endpoint, Object, fetch, kept, named
from security.errors import CannotTell, StoreError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Nowhere(io.RawIOBase):
    """Takes bytes and keeps none."""

    def write(self, data: "ReadableBuffer") -> int:
        return memoryview(data).nbytes


def upload(endpoint: Endpoint, credentials: Credentials, bucket: str, key: str, file: Path, kms: str) -> Object:
    """Put a file under a named KMS key and with its SHA-256, and read back what lies there: bytes and encryption.

    `StoreError` unless that is the file, under that key; `CannotTell` if the store does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    s3, owner = kept(endpoint, credentials), endpoint.account
    with file.open("rb") as body:
        sum_, size = hashlib.file_digest(body, "sha256"), body.tell()
        body.seek(0)
        try:
            done = s3.put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                ExpectedBucketOwner=owner,
                ServerSideEncryption="aws:kms",
                SSEKMSKeyId=kms,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=b64encode(sum_.digest()).decode(),
            )
            version = done.get("VersionId", "")
            found = s3.head_object(Bucket=bucket, Key=key, VersionId=version, ExpectedBucketOwner=owner)
        except (BotoCoreError, ClientError) as why:
            raise CannotTell(f"s3://{bucket}/{key} cannot be put: {named(why)}") from None
    how = found.get("ServerSideEncryption", "nothing"), found.get("SSEKMSKeyId", "")
    if how != ("aws:kms", kms):
        raise StoreError(
            f"s3://{bucket}/{key}: found encrypted by {' and '.join(filter(None, how))}; allowed: aws:kms and {kms}"
        )
    made = Object(key=key, version=version, size=size, etag=found["ETag"].strip('"'))
    if fetch(endpoint, credentials, bucket, made, cast(BinaryIO, _Nowhere())) != (sum_.hexdigest(), size):
        raise StoreError(f"s3://{bucket}/{key}: what lies there is not what was put")
    return made
