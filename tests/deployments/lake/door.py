"""A front with two principals, as its tests knock at it: through boto3, through a bare HTTPS client, and by hand."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from deployments.lake.front import Front
from deployments.lake.sigv4 import Principal

OPERATOR = Principal("operator", "operator-secret", (("s3:*", "*"),), root=True)
PIPELINE = Principal(
    "pipeline",
    "pipeline-secret",
    (
        ("s3:GetObject*", "arn:aws:s3:::lake/*"),
        ("s3:ListBucket*", "arn:aws:s3:::lake"),
        ("s3:GetBucket*", "arn:aws:s3:::lake"),
        ("s3:*Object*", "arn:aws:s3:::out/*"),
        ("s3:ListBucket", "arn:aws:s3:::out"),
        ("s3:*Multipart*", "arn:aws:s3:::out/*"),
    ),
)
PEOPLE = {"OPKEY": OPERATOR, "PLKEY": PIPELINE}
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


class _AsGiven(S3SigV4Auth):
    def __init__(self, access: str, payload: str) -> None:
        super().__init__(Credentials(access, PEOPLE[access].secret), "s3", "us-east-1")
        self.given = payload

    def payload(self, request: Any) -> str:
        return self.given


class Door:
    """Ways to knock at a front."""

    def __init__(self, front: Front) -> None:
        """Knock at this one."""
        self.front = front

    def client(self, access: str, secret: str | None = None, **config: Any) -> Any:
        """A boto3 client that tries once."""
        return boto3.client(
            "s3",
            endpoint_url=self.front.url,
            verify=str(self.front.ca),
            region_name="us-east-1",
            aws_access_key_id=access,
            aws_secret_access_key=secret or PEOPLE[access].secret,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **config),
        )

    def fetch(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None, data: bytes | None = None
    ) -> tuple[int, bytes]:
        """Status and body of one request with no more headers than these."""
        return fetch(self.front, path, method, headers, data)

    def sign(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, access: str = "OPKEY"
    ) -> dict[str, str]:
        """The headers of a request, signed with what they say about the payload."""
        request = AWSRequest(method, self.front.url + path, headers=headers or {}, data=body)
        payload = (headers or {}).get("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")
        _AsGiven(access, payload).add_auth(request)
        return dict(request.headers)


def fetch(
    front: Any, path: str, method: str = "GET", headers: dict[str, str] | None = None, data: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body from a front or a lake, over TLS checked as strictly as OpenSSL can."""
    context = ssl.create_default_context(cafile=str(front.ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    url = path if path.startswith("https:") else getattr(front, "url", None) or front.endpoint
    url = url if path.startswith("https:") else url + path
    request = urllib.request.Request(url, data, {"Content-Type": "text/plain", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def code(call: Callable[..., Any], **args: Any) -> str:
    """S3's error code of a boto3 call, or `ok`."""
    try:
        call(**args)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "ok"


def statement(effect: str, action: str, bucket: str, principal: Any = "*", **extra: Any) -> dict[str, Any]:
    """A statement about a bucket and everything in it."""
    resource = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": resource, **extra}
