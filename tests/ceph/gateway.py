"""Ceph's radosgw as a process of its own: a real S3 server that really encrypts, in the folder that `.ci/radosgw` made.

It speaks TLS itself, with a CA of its own, and plain HTTP on a second port; both on 127.0.0.1. It keeps everything in
SQLite files (dbstore), whose bytes can be searched. Three of its bugs make it a bad store and a good test: the start of
a range is ignored, a multipart upload reads back as other bytes, and conditional puts are not conditional.

Principals are users without an account, so no statement of a bucket policy can name one by twelve digits, and any Allow
at all makes radosgw call the policy public. The pipeline's right to read is therefore a policy of its own user.
"""

import base64
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from deployments.lake import people
from deployments.lake.certs import certificates
from flows import local
from security.engines.s3 import Credentials, Endpoint, client
from security.errors import CannotTell
from tasks import process

NAME = "client.rgw.test"
ACCOUNT, REGION = "123456789012", "us-east-1"
PIPELINE = "arn:aws:iam:::user/pipeline"
"""How radosgw names the pipeline's user: an ARN without an account."""
KEY = "lake-test"
"""The name of the key that the server's own testing KMS holds."""
BLOCK = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
UNKNOWN = {"GetBucketOwnershipControls", "GetEncryptionConfiguration"}
"""Actions that Ceph 18 does not know, or knows by another name."""
READS = tuple(
    f"s3:{action}"
    for action in (*people.READS_OF_BUCKET, "GetBucketEncryption", *people.READS_OF_OBJECT)
    if action not in UNKNOWN
)
WHAT = "Ceph radosgw on dbstore: objects are encrypted as they are stored"
PATIENCE = 30.0
TRIES = 3
CONFIG = """[{name}]
rgw backend store = dbstore
rgw config store = dbstore
dbstore db dir = {inside}/data
dbstore config uri = file://{inside}/data/config.db
rgw data = {inside}/data
rgw frontends = beast endpoint=127.0.0.1:{http} ssl_endpoint=127.0.0.1:{https} ssl_certificate={inside}/server.pem
rgw enable apis = s3, iam
rgw crypt require ssl = true
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {key}={secret}
run dir = {inside}
admin socket =
log file = {inside}/radosgw.log
log to stderr = false
debug rgw = 1
"""


def installed() -> Path | None:
    """The folder with radosgw in it, if this machine has one and this user may enter it."""
    root = Path(os.environ.get("SLUICE_RADOSGW") or Path(__file__).parent.parent.parent / ".radosgw")
    return root.resolve() if os.geteuid() == 0 and (root / "usr" / "bin" / "radosgw").is_file() else None


class Gateway:
    """A running server with the users `operator`, `pipeline` and `stranger`; a context manager.

    `folder` holds `lake.json` and `credentials.json`, by which a run finds it; `data` is what the server stored.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.record, self.log = folder / "process.json", folder / "out.log"
        self.readable: list[str] = []

    def __enter__(self) -> Self:
        for left in reversed(range(TRIES)):
            try:
                self._start()
                break
            except BaseException as why:
                self._end()
                # A port that was free a moment ago may be another's by now.
                if not left or "Address already in use" not in str(why):
                    raise
        try:
            self.keys = people.credentials(self.folder / "credentials.json")
            for name in people.NAMES:
                self._user(name, *(["--caps", "user-policy=*"] if name == "operator" else []))
            self.s3 = client(self.endpoint, self.credentials("operator"))
            told = {"endpoint": self.endpoint.url, "ca": self.endpoint.ca, "region": REGION, "account": ACCOUNT}
            (self.folder / "lake.json").write_text(json.dumps(told | {"principal": PIPELINE, "what": WHAT}))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._end()

    def credentials(self, who: str) -> Credentials:
        """The key of a user."""
        return Credentials(self.keys[who]["access"], self.keys[who]["secret"])

    def make(self, bucket: str, *, key: str = KEY) -> str:
        """A bucket that the pipeline may read, with versions and closed without TLS; without a `key` not encrypted."""
        self.s3.create_bucket(Bucket=bucket)
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        if key:
            self.encrypt(bucket, key)
        self.policy(bucket, *guarded(bucket))
        self.readable.append(bucket)
        self.allow(*self.readable)
        return bucket

    def encrypt(self, bucket: str, key: str = KEY) -> None:
        """From now on objects of a bucket are encrypted by default."""
        rule: Any = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        wanted: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]}
        self.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=wanted)

    def allow(self, *buckets: str) -> None:
        """Let the pipeline read these buckets, and nothing else."""
        resources = [arn for bucket in buckets for arn in arns(bucket)]
        document = {"Version": "2012-10-17", "Statement": [allowed(READS, resources)]}
        self._iam.put_user_policy(UserName="pipeline", PolicyName="reads", PolicyDocument=json.dumps(document))

    def policy(self, bucket: str, *statements: dict[str, Any]) -> None:
        """Set the policy of a bucket."""
        self.s3.put_bucket_policy(
            Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        )

    def close(self, bucket: str) -> str:
        """Block public access. It comes last: where it is on, radosgw refuses every put, the owner's own too."""
        closed: Any = dict.fromkeys(BLOCK, True)
        self.s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=closed)
        return bucket

    def put(self, bucket: str, key: str, data: bytes, **how: Any) -> str:
        """An object; its version."""
        return self.s3.put_object(Bucket=bucket, Key=key, Body=data, **how)["VersionId"]

    def stored(self, mark: bytes) -> bool:
        """Whether these bytes are anywhere in what the server keeps."""
        files = [path for path in self.data.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) > 0
        return any(mark in path.read_bytes() for path in files)

    def anonymous(self, path: str, *, method: str = "GET", clear: bool = False) -> int:
        """The status of a request without a signature."""
        context = ssl.create_default_context(cafile=self.endpoint.ca)
        with httpx.Client(verify=context, trust_env=False) as web:
            return web.request(method, f"{self.clear if clear else self.endpoint.url}/{path}").status_code

    def _start(self) -> None:
        self.own = Path(tempfile.mkdtemp(prefix="sluice-", dir=self.root / "srv"))
        self.inside = f"/{self.own.relative_to(self.root)}"
        self.data = self.own / "data"
        self._configure()
        process.start(self._argv("radosgw", "-f"), self.record, self.log)
        self._wait()

    def _configure(self) -> None:
        http, https = local.free(0), local.free(0)
        self.clear = f"http://127.0.0.1:{http}"
        chain = certificates(self.folder)
        self.endpoint = Endpoint(
            url=f"https://127.0.0.1:{https}",
            region=REGION,
            account=ACCOUNT,
            ca=str(self.folder / "ca.pem"),
            principal=PIPELINE,
        )
        self.data.mkdir()
        shutil.copyfile(chain, self.own / "server.pem")
        secret = base64.b64encode(os.urandom(32)).decode()
        (self.own / "ceph.conf").write_text(
            CONFIG.format(name=NAME, inside=self.inside, http=http, https=https, key=KEY, secret=secret)
        )
        known = dict(line.split(":")[:3:2] for line in (self.root / "etc" / "passwd").read_text().splitlines())
        for path in (self.own, *self.own.iterdir()):
            path.chmod(0o700 if path.is_dir() else 0o600)
            os.chown(path, int(known["ceph"]), -1)

    def _argv(self, program: str, *arguments: str) -> list[str]:
        chroot = shutil.which("chroot") or "/usr/sbin/chroot"
        config = ["-c", f"{self.inside}/ceph.conf", "-n", NAME, "--no-mon-config"]
        return [chroot, "--userspec=ceph:ceph", str(self.root), program, *config, *arguments]

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and process.alive(self.record):
            try:
                if self.anonymous("") and self.anonymous("", clear=True):
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise CannotTell(f"radosgw did not start: {self.log.read_text()[-500:]}")

    def _user(self, name: str, *more: str) -> None:
        """Make a user. `radosgw-admin` may hang once its work is done, so that it is done is asked of the server."""
        own = self.keys[name]
        argv = self._argv("radosgw-admin", "user", "create", "--uid", name, "--display-name", name, *more)
        argv += ["--access-key", own["access"], "--secret-key", own["secret"]]
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as made:
            end = time.monotonic() + PATIENCE
            try:
                while not self._known(name):
                    if time.monotonic() > end:
                        raise CannotTell(f"user {name} cannot sign in")
                    time.sleep(0.05)
            finally:
                made.kill()

    def _known(self, name: str) -> bool:
        from botocore.exceptions import ClientError

        try:
            client(self.endpoint, self.credentials(name)).list_buckets()
        except ClientError:
            return False
        return True

    @property
    def _iam(self) -> Any:
        import boto3

        own = self.keys["operator"]
        return boto3.client(
            "iam", endpoint_url=self.endpoint.url, region_name=REGION, verify=self.endpoint.ca,
            aws_access_key_id=own["access"], aws_secret_access_key=own["secret"],
        )  # fmt: skip

    def _end(self) -> None:
        process.stop(self.record)
        shutil.rmtree(self.own, ignore_errors=True)


def arns(bucket: str) -> list[str]:
    """A bucket and all of its objects."""
    return [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def allowed(actions: Any, resources: list[str], **more: Any) -> dict[str, Any]:
    """A statement that allows."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources, **more}


def denied(bucket: str, operator: str = "BoolIfExists") -> dict[str, Any]:
    """The statement that denies everybody everything without TLS. radosgw has no `aws:SecureTransport` over HTTP."""
    condition = {operator: {"aws:SecureTransport": "false"}}
    every = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": arns(bucket)}
    return {**every, "Condition": condition}


def guarded(bucket: str) -> list[dict[str, Any]]:
    """The statements that deny everybody everything without TLS, and over a TLS older than 1.2.

    radosgw has no `s3:TlsVersion`: `...IfExists` would deny everything to everybody.
    """
    old = {**denied(bucket), "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}
    return [denied(bucket), old]
