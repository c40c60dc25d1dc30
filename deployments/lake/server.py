"""The lake of one machine: its principals, its buckets, and what the other processes need to find it.

In a test: `with Lake(folder) as lake: lake.make_bucket("b"); lake.client("pipeline").get_object(...)`. As a process of
its own: `python -m deployments.lake STATE`. Objects live as long as the process does; the folder keeps the CA, the
server's key and the credentials, so that clients need not be told anything new after a restart.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from deployments.lake import people
from deployments.lake.front import Front
from deployments.lake.sigv4 import ACCOUNT, REGION, Principal
from deployments.lake.state import LakeError, held, write

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ServerSideEncryptionRuleTypeDef

__all__ = ["BUCKET", "KMS_KEY", "Lake", "LakeError"]

BUCKET = "my-data-lake"
KMS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/embedded-lake"
WHAT = "embedded lake: a strict front over moto; objects are in memory; encryption at rest is declared, not done"


class Lake:
    """An S3 endpoint on 127.0.0.1 with the principals `operator`, `pipeline` and `stranger`; a context manager.

    Args:
        state: folder for the CA, the server's key and the credentials; made 0700.
        port: 0 for any free one.

    Raises:
        LakeError: on entering, where the folder or the port cannot be had.
    """

    region, account = REGION, ACCOUNT
    endpoint: str
    ca: Path

    def __init__(self, state: Path, port: int = 0) -> None:
        """Name folder and port; nothing is made or opened before `with`."""
        self.state, self.port = state.absolute(), port
        self._principals: dict[str, Principal] = {}
        self._credentials: dict[str, dict[str, str]] = {}
        self._readable: list[str] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Serve."""
        with ExitStack() as stack:
            stack.enter_context(held(self.state))
            self._address.unlink(missing_ok=True)
            self._credentials = people.credentials(self.state / "credentials.json")
            self._readable = []
            self._admit(people.operator(self._secret("operator")))
            self._admit(people.stranger(self._secret("stranger")))
            self._admit(people.pipeline(self._secret("pipeline")))
            try:
                front = stack.enter_context(Front(self._principals, self.state, self.port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                raise LakeError(f"port {self.port} of 127.0.0.1 cannot be had: {error.strerror}") from None
            self.endpoint, self.ca = front.url, front.ca
            self._operator = self.client("operator")
            stack.callback(self._operator.close)
            stack.callback(self._address.unlink, missing_ok=True)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Serve no more; every object is gone."""
        self._open.close()

    def client(self, who: str) -> S3Client:
        """A boto3 client for a principal, which nothing in the environment or in a profile can turn elsewhere."""
        from boto3.session import Session
        from botocore.config import Config
        from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as VARIABLES
        from botocore.session import Session as Inner

        # Each variable says where it is looked for: (in the profile, in the environment, default, conversion).
        deaf: dict[str, Any] = {n: (None, None, default, to) for n, (_, _, default, to) in VARIABLES.items()}
        deaf |= dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
        once = Config(
            connect_timeout=5,
            proxies={},
            read_timeout=60,
            retries={"total_max_attempts": 2, "mode": "standard"},
            s3={"addressing_style": "path"},
            signature_version="s3v4",
        )
        return Session(botocore_session=Inner(session_vars=deaf)).client(
            "s3",
            region_name=REGION,
            endpoint_url=self.endpoint,
            verify=str(self.ca),
            aws_access_key_id=self._credentials[who]["access"],
            aws_secret_access_key=self._secret(who),
            config=once,
        )

    def make_bucket(self, name: str) -> None:
        """Make a bucket as a source of data should be, which the pipeline may read.

        Versioned, all public access blocked, without ACLs, encrypted by a named KMS key by default, closed without TLS.
        """
        s3 = self._make(name)
        s3.put_public_access_block(
            Bucket=name,
            ExpectedBucketOwner=ACCOUNT,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )
        self._put_policy(name, *_tls_only(name))

    def publish(self, bucket: str, key: str, body: bytes) -> str:
        """Put an object, with its SHA-256 beside it; the version id."""
        done = self._operator.put_object(
            Bucket=bucket, Key=key, Body=body, ChecksumAlgorithm="SHA256", ExpectedBucketOwner=ACCOUNT
        )
        return done["VersionId"]

    def copy_public(self, source: str, target: str, prefix: str = "") -> int:
        """Copy a bucket into a new one that anybody may list and read: an example of what must be refused.

        In everything but that the new bucket is as `make_bucket` has it, so that a refusal has one cause.

        Returns:
            How many objects were copied.

        Raises:
            LakeError: there is nothing to copy, or the target is there already.
        """
        pages = self._operator.get_paginator("list_objects_v2").paginate(
            Bucket=source, Prefix=prefix, ExpectedBucketOwner=ACCOUNT
        )
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        if not keys:
            raise LakeError(f"bucket {source} has nothing under {prefix!r} to copy")
        if target in {found["Name"] for found in self._operator.list_buckets()["Buckets"]}:
            raise LakeError(f"bucket {target} is there already")
        self._make(target)
        self._put_policy(target, *_tls_only(target), *_unsafe_public(target))
        for key in keys:
            self._operator.copy_object(
                Bucket=target,
                Key=key,
                CopySource={"Bucket": source, "Key": key},
                ExpectedBucketOwner=ACCOUNT,
                ExpectedSourceBucketOwner=ACCOUNT,
            )
        return len(keys)

    def seed(self, bucket: str, days: int = 120) -> int:
        """Publish the synthetic sample's last days into a bucket; how many objects that were."""
        from deployments.lake.sample import partitions

        count = 0
        for key, body in partitions(days):
            self.publish(bucket, key, body)
            count += 1
        if not count:
            raise LakeError(f"the sample has nothing for {days} days")
        return count

    def announce(self) -> Path:
        """Write `lake.json`, by which other processes find this lake until it closes; it holds no secret."""
        found = {
            "endpoint": self.endpoint,
            "ca": str(self.ca),
            "bucket": BUCKET,
            "region": REGION,
            "account": ACCOUNT,
            "principal": people.pipeline("").arn,
            "pid": os.getpid(),
            "what": WHAT,
        }
        write(self._address, json.dumps(found, indent=2).encode() + b"\n", 0o644)
        return self._address

    @property
    def _address(self) -> Path:
        return self.state / "lake.json"

    def _secret(self, who: str) -> str:
        return self._credentials[who]["secret"]

    def _admit(self, principal: Principal) -> None:
        self._principals[self._credentials[principal.name]["access"]] = principal

    def _make(self, name: str) -> S3Client:
        s3, rule = self._operator, _encrypted()
        s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced")
        s3.put_bucket_versioning(
            Bucket=name, ExpectedBucketOwner=ACCOUNT, VersioningConfiguration={"Status": "Enabled"}
        )
        s3.put_bucket_encryption(
            Bucket=name, ExpectedBucketOwner=ACCOUNT, ServerSideEncryptionConfiguration={"Rules": [rule]}
        )
        if name not in self._readable:
            self._readable.append(name)
            self._admit(people.pipeline(self._secret("pipeline"), *self._readable))
        return s3

    def _put_policy(self, name: str, *statements: dict[str, Any]) -> None:
        text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self._operator.put_bucket_policy(Bucket=name, ExpectedBucketOwner=ACCOUNT, Policy=text)


def _encrypted() -> ServerSideEncryptionRuleTypeDef:
    return {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS_KEY},
        "BucketKeyEnabled": True,
    }


def _tls_only(name: str) -> list[dict[str, Any]]:
    everything = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
    }
    return [
        {"Sid": "TlsOnly", **everything, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {"Sid": "CurrentTls", **everything, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
    ]


def _unsafe_public(name: str) -> list[dict[str, Any]]:
    everybody = {"Effect": "Allow", "Principal": "*"}
    return [
        {"Sid": "AnybodyReads", **everybody, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"},
        {"Sid": "AnybodyLists", **everybody, "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{name}"},
    ]
