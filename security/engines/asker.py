"""Asks a bucket all that its gate wants to know: what it declares, and what it really does.

A probe is a request that must be refused; beside them stand requests of the same form that must work, or a refusal
would prove nothing. No probe sends a body, and whatever one changes because it was not refused is put back, which the
answer says. An answer is a small JSON object: `status` and `code` as the server gave them, or `error` with the name of
what kept the answer from being had.
"""

import re
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from security.engines import account, handshake
from security.engines.s3 import CONNECT, Credentials, Endpoint, client, resolved
from security.engines.settings import READERS, Answer, Whose
from security.engines.tamper import Tamper
from security.errors import CannotTell
from security.verdict import Snapshot

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EXPIRES = 10
"""Seconds for which the request that is sent in the clear could be repeated; it is a HEAD of one object."""
TOLD = ("etag", "last-modified", "x-amz-version-id", "x-amz-server-side-encryption")
"""Headers that say something of an object."""


def ask(
    endpoint: Endpoint, credentials: Credentials, bucket: str, prefix: str, *, stranger: Credentials | None
) -> Snapshot:
    """The answers to every question of the gates `access_control_s3` and `data_encryption_in_transit`.

    `stranger` is a principal that the endpoint knows and that has no right to the bucket; without one, that question
    is answered as not asked.
    """
    questions = _Visit(endpoint, credentials, bucket, prefix, stranger).questions()
    taken = round(time.time(), 3)
    answers: dict[str, Answer] = {}
    for name, question in questions.items():
        lost = answers.get("endpoint", {}).get("error")  # each further question would only be a longer wait
        answers[name] = {"error": lost} if lost else _answer(question)
    return Snapshot(kind="bucket", uri=f"s3://{bucket}/{prefix}", taken=taken, answers=answers)


def _answer(question: Callable[[], Answer]) -> Answer:
    from botocore.exceptions import ClientError

    try:
        return question()
    except ClientError as no:
        status = int(no.response["ResponseMetadata"]["HTTPStatusCode"])
        return {"status": status, "code": str(no.response["Error"].get("Code", ""))}
    except Exception as why:  # noqa: BLE001 - whatever kept the answer away, the gate must not take it for one
        return {"error": type(why).__name__}


class NoObject(CannotTell):
    """There is nothing under the prefix that a probe could try to read, or nothing that is listed for us."""


class _Visit:
    """One visit to one bucket."""

    def __init__(
        self, endpoint: Endpoint, own: Credentials, bucket: str, prefix: str, stranger: Credentials | None
    ) -> None:
        self.endpoint, self.own, self.prefix, self.stranger = endpoint, own, prefix, stranger
        self.to = Whose(Bucket=bucket, ExpectedBucketOwner=endpoint.account)
        self.base = f"{endpoint.url}/{quote(bucket)}"
        self.probe = f"{prefix}sluice-probe-{secrets.token_hex(12)}"

    def questions(self) -> Mapping[str, Callable[[], Answer]]:
        """Each question, in the order in which they are asked."""
        forged = Credentials(self.own.access, secrets.token_urlsafe(30))
        unknown = Credentials("AKIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30))
        first = f"?list-type=2&max-keys=1&prefix={quote(self.prefix)}"
        return {
            "endpoint": self.where,
            **{name: partial(self.declared, name) for name in READERS},
            **account.questions(self.endpoint, self.own, self.to["Bucket"], self.prefix),
            "signed_list": self.signed_list,
            "signed_head": self.signed_head,
            "signed_get": lambda: self.get(self.own),
            "anonymous_get": lambda: self.send("GET", f"{self.base}/{quote(self.key, safe='/~')}")[0],
            "anonymous_list": lambda: self.send("GET", self.base + first)[0],
            "anonymous_put": self.anonymous_put,
            "plain_http": self.plain_http,
            **{name: partial(self.offered, version) for name, version in handshake.VERSIONS.items()},
            "other_authority": lambda: handshake.other_authority(self.endpoint, self.own, self.to),
            "other_name": lambda: handshake.other_name(*self.at, self.context),
            "wrong_secret": lambda: self.get(forged),
            "unknown_key": lambda: self.get(unknown),
            "stranger_get": lambda: self.get(self.stranger) if self.stranger else {"asked": False},
            "wrong_owner": self.wrong_owner,
            "own_put": lambda: self.tamper.put(),
            "own_delete": lambda: self.tamper.delete(),
            "own_policy": lambda: self.tamper.policy(),
        }

    @cached_property
    def s3(self) -> "S3Client":
        return client(self.endpoint, self.own)

    @cached_property
    def tamper(self) -> Tamper:
        return Tamper(self.s3, self.to, self.probe)

    @cached_property
    def key(self) -> str:
        """The first object under the prefix. A refused listing is no answer to a question about that object."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self.s3.list_objects_v2(**self.to, Prefix=self.prefix, MaxKeys=1).get("Contents", [])
        except (BotoCoreError, ClientError):
            found = []
        if not found:
            raise NoObject("there is no object to try")
        return found[0]["Key"]

    @cached_property
    def at(self) -> tuple[str, int]:
        parts = urlsplit(self.endpoint.url)
        return parts.hostname or "", parts.port or 443

    @cached_property
    def context(self) -> ssl.SSLContext:
        import httpx

        if self.endpoint.ca:
            return ssl.create_default_context(cafile=self.endpoint.ca)
        return httpx.create_ssl_context(trust_env=False)

    def where(self) -> Answer:
        """The client as it was resolved, and a handshake made apart from it."""
        with (
            socket.create_connection(self.at, CONNECT) as plain,
            self.context.wrap_socket(plain, server_hostname=self.at[0]) as tls,
        ):
            spoken = tls.version()
        wanted = {"wanted": self.endpoint.url, "account": self.endpoint.account}
        return {**resolved(self.s3, self.endpoint), **wanted, "tls": spoken}

    def offered(self, version: int) -> Answer:
        return handshake.tried(*self.at, version)

    def declared(self, name: str) -> Answer:
        return READERS[name](self.s3, self.to)

    def signed_list(self) -> Answer:
        found = self.s3.list_objects_v2(**self.to, Prefix=self.prefix, MaxKeys=1).get("Contents", [])
        return {"status": 200, "found": bool(found)}

    def signed_head(self) -> Answer:
        found = self.s3.head_object(**self.to, Key=self.key)
        return {"status": 200, "version": found.get("VersionId", "")}

    def get(self, who: Credentials) -> Answer:
        """Begin to get the object, as somebody."""
        reply = client(self.endpoint, who).get_object(**self.to, Key=self.key)
        reply["Body"].close()
        return {"status": 200, "version": reply.get("VersionId", "")}

    def wrong_owner(self) -> Answer:
        """Get the object as ourselves, from a bucket of somebody else's."""
        other = "0" * 12 if self.endpoint.account != "0" * 12 else "1" * 12
        reply = self.s3.get_object(Bucket=self.to["Bucket"], ExpectedBucketOwner=other, Key=self.key)
        reply["Body"].close()
        return {"status": 200}

    def send(self, method: str, url: str) -> tuple[Answer, Mapping[str, str]]:
        """One bare request, without a signature of its own; of the answer the status, the code, and the headers."""
        import httpx

        with (
            httpx.Client(verify=self.context, trust_env=False, follow_redirects=False, timeout=2 * CONNECT) as web,
            web.stream(method, url) as reply,
        ):
            text = next(reply.iter_bytes(4096), b"") if reply.status_code >= 400 and method != "HEAD" else b""
        code = re.search(rb"<Code>(\w{1,64})</Code>", text)
        return {"status": reply.status_code, "code": code[1].decode() if code else ""}, reply.headers

    def anonymous_put(self) -> Answer:
        """Put an empty object; if that works, take it away again, by the same way or by our own right."""
        url = f"{self.base}/{quote(self.probe, safe='/~')}"
        answer, headers = self.send("PUT", url)
        if 200 <= answer["status"] < 300:
            version = headers.get("x-amz-version-id", "")
            gone = _answer(lambda: self.send("DELETE", f"{url}?versionId={quote(version)}" if version else url)[0])
            answer["removed"] = gone.get("status") == 204 or self.tamper.removed(version)
        return answer

    def plain_http(self) -> Answer:
        """One signed HEAD over TLS, and then the same in the clear: `control` is how the first was answered.

        `told` is whether the answer in the clear says anything of the object, whatever its status.
        """
        import httpx

        url = self.s3.generate_presigned_url(
            "head_object", Params={"Bucket": self.to["Bucket"], "Key": self.key}, ExpiresIn=EXPIRES
        )
        control = self.send("HEAD", url)[0]["status"]
        try:
            answer, headers = self.send("HEAD", "http" + url.removeprefix("https"))
        except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError) as none:
            return {"status": 0, "code": type(none).__name__, "control": control, "onward": False, "told": False}
        onward = headers.get("location", "").startswith("https://")
        return {**answer, "control": control, "onward": onward, "told": any(name in headers for name in TOLD)}
