"""Buckets in the hands of their operator: made good or with one thing wrong, filled, and changed while a run reads.

Rows are made from a seed: 160 people and 240 items in eight circles; each person is drawn to one circle, and all of
them to a dozen items that everybody takes, over two days.
"""

import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deployments.lake.people import READS_OF_BUCKET, READS_OF_OBJECT
from deployments.lake.server import KMS_KEY
from deployments.lake.sigv4 import ACCOUNT
from security.engines.s3 import Credentials, Endpoint, client
from tasks.home import Home

DAYS = ("2024-01-04", "2024-01-05")
PEOPLE, CIRCLES, CIRCLE = 160, 8, 30
HITS = np.arange(0, CIRCLES * CIRCLE, 20)
Row = dict[str, Any]


@cache
def rows(day: str) -> tuple[Row, ...]:
    """The good rows of one of `DAYS`, in order of time."""
    made: list[Row] = []
    rng = np.random.default_rng(11)
    for person in range(PEOPLE):
        circle = person % CIRCLES
        items = np.unique([*(circle * CIRCLE + rng.permutation(CIRCLE)[:22]), *rng.permutation(HITS)[:5]])
        moments = np.sort(rng.uniform(0, 2 * 86_400 - 1, len(items)))
        for item, moment in zip(rng.permutation(items), moments, strict=True):
            if DAYS[int(moment // 86_400)] == day:
                clock = f"{int(moment % 86_400 // 3600):02d}:{int(moment % 3600 // 60):02d}:{moment % 60:06.3f}"
                kind = ("view", "click", "purchase")[int(rng.integers(3))]
                about = {"user_id": f"p{person:03d}", "item_id": f"t{item:03d}", "interaction_type": kind}
                made.append(about | {"timestamp": f"{day}T{clock}Z", "comment": None})
    return tuple(sorted(made, key=lambda row: str(row["timestamp"])))


def lines(given: Iterable[Row]) -> bytes:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in given).encode()


def packed(data: bytes) -> bytes:
    """Bytes as a gzip file that is the same each time."""
    return gzip.compress(data, 1, mtime=0)


def body(day: str, *, more: Sequence[Row] = (), change: Mapping[int, Row] | None = None) -> bytes:
    """An object of a day: its good rows, some of them changed (row from 1 -> new values), and more after them."""
    changed = change or {}
    good = [row | changed.get(number, {}) for number, row in enumerate(rows(day), 1)]
    return packed(lines([*good, *more]))


def parquet(given: Sequence[Row], groups: int, **others: pa.Array) -> bytes:
    """Rows as Parquet, in so many row groups; a column without any value is one of texts, and `others` are columns as
    they are."""
    columns = {name: [row.get(name) for row in given] for name in dict.fromkeys(name for row in given for name in row)}
    table = pa.table({name: pa.array(told, None if any(told) else pa.string()) for name, told in columns.items()})
    stamps = pa.array([datetime.fromisoformat(row["timestamp"]) for row in given], pa.timestamp("us", "UTC"))
    for name, column in ({"timestamp": stamps} | others).items():
        table = table.drop_columns([name] if name in table.column_names else []).append_column(name, column)
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=-(-len(given) // groups))
    return out.getvalue()


def key(prefix: str, day: str, part: int = 0) -> str:
    """Where a part of a day lies."""
    return f"{prefix}/{day}/part-{part:03d}.jsonl.gz"


class Operator:
    """Who owns every bucket of the embedded lake."""

    def __init__(self, home: Home) -> None:
        told = json.loads((home.root / "lake" / "lake.json").read_text())
        own = json.loads((home.root / "lake" / "credentials.json").read_text())["operator"]
        endpoint = Endpoint(url=told["endpoint"], region=told["region"], account=told["account"], ca=told["ca"])
        self.s3 = client(endpoint, Credentials(own["access"], own["secret"]))

    def make(
        self,
        bucket: str,
        *,
        tls: bool = True,
        old: bool = False,
        reader: str = "",
        writes: bool = False,
        key: str = KMS_KEY,
    ) -> str:
        """A bucket that the pipeline may read, good unless told otherwise: `reader` is another account's ARN; without a
        `key` it has no default encryption; with `writes` its policy lets the pipeline put; without `tls`, or with
        `old`, it asks for none, or for none that is current."""
        self.s3.create_bucket(Bucket=bucket, ObjectOwnership="BucketOwnerEnforced")
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        rule: Any = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        if key:
            self.s3.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={
                    "Rules": [{"ApplyServerSideEncryptionByDefault": rule, "BucketKeyEnabled": True}]
                },
            )
        block = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        closed: Any = dict.fromkeys(block, True)
        self.s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=closed)
        both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        reads = [f"s3:{action}" for action in (*READS_OF_BUCKET, *READS_OF_OBJECT)]
        mine = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/pipeline"}
        said: list[dict[str, Any]] = [{"Effect": "Allow", "Principal": mine, "Action": reads, "Resource": both}]
        denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": both}
        said += [{**denied, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}] if tls else []
        said += [{**denied, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}] if not old else []
        if writes:
            said.append({"Effect": "Allow", "Principal": mine, "Action": "s3:Put*", "Resource": f"{both[0]}/out/*"})
        if reader:
            said.append({"Effect": "Allow", "Principal": {"AWS": reader}, "Action": "s3:GetObject", "Resource": both})
        self.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": said}))
        return bucket

    def suspend(self, bucket: str) -> None:
        """From now on objects of a bucket have no versions."""
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})

    def put(self, bucket: str, name: str, data: bytes) -> str:
        """An object; its version."""
        return self.s3.put_object(Bucket=bucket, Key=name, Body=data)["VersionId"]

    def fill(self, bucket: str, prefix: str, bodies: Mapping[str, bytes] | None = None) -> None:
        """Both days, with the objects given (day -> body) in place of the good ones; Parquet and CSV by names that say
        so."""
        for day in DAYS:
            data = (bodies or {}).get(day) or body(day)
            ending = {b"PAR1": ".parquet", b"user": ".csv"}.get(data[:4], ".jsonl.gz")
            self.put(bucket, key(prefix, day).replace(".jsonl.gz", ending), data)

    def delete(self, bucket: str, name: str, version: str = "") -> None:
        """Hide an object behind a delete marker, or remove one version of it for good."""
        if version:
            self.s3.delete_object(Bucket=bucket, Key=name, VersionId=version)
        else:
            self.s3.delete_object(Bucket=bucket, Key=name)

    def version(self, bucket: str, name: str) -> str:
        """The version of an object that is there now."""
        return self.s3.head_object(Bucket=bucket, Key=name)["VersionId"]
