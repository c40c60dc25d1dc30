"""Where the rows lie: an S3 endpoint, a bucket, partitions by day or month. Credentials stay out of plans and logs.

A source is described by a JSON file (`SLUICE_LAKE`, or the embedded lake's own): `endpoint`, `region`, `account`, and,
where they are known, `ca`, the file of an authority of its own, and `principal`, the ARN under which policies know the
pipeline. Credentials come from the file `credentials.json` beside it (user `pipeline`), or from `AWS_ACCESS_KEY_ID` and
`AWS_SECRET_ACCESS_KEY`.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from security.engines.s3 import Credentials, Endpoint, Object, listing
from security.errors import BadInput, PlanError, SluiceError
from security.gates.inputs import version
from security.resolve import days
from security.verdict import Basis, Ref, digest
from tasks.home import Home

ENDINGS = (".jsonl.gz", ".jsonl.zst", ".jsonl", ".csv.gz", ".csv.zst", ".csv", ".parquet")
PARTITION = re.compile(r"\d{4}-\d{2}(-\d{2})?")
Oracle = Callable[[list[str], list[str]], Any]


@dataclass(frozen=True)
class Source:
    """An endpoint and how to speak to it. `oracle` knows the ceiling of data that was generated, and only of that."""

    endpoint: Endpoint
    credentials: Credentials
    what: str
    stranger: Credentials | None = None
    """Somebody whom the endpoint knows and who has no right to the bucket, to be refused."""
    oracle: Oracle | None = None

    @property
    def embedded(self) -> bool:
        """Whether this is the embedded lake, by its own word."""
        return self.what.startswith("embedded lake")

    @property
    def basis(self) -> Basis:
        """How it is known what the store says of its own encryption: the embedded lake only declares it."""
        return Basis.DECLARED if self.embedded else Basis.OBSERVED

    @classmethod
    def read(cls, home: Home) -> "Source":
        """The source of a home."""
        path = Path(os.environ.get("SLUICE_LAKE") or home.root / "lake" / "lake.json")
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            endpoint = Endpoint(
                url=told["endpoint"],
                region=told["region"],
                account=told["account"],
                ca=told.get("ca", ""),
                principal=told.get("principal", ""),
            )
        except FileNotFoundError:
            raise PlanError(f"no source of data: {path.name} is not there; start the lake or set SLUICE_LAKE") from None
        except (ValueError, KeyError, ValidationError) as why:
            raise PlanError(
                f"{path.name}: not the description of an endpoint: {' '.join(str(why).split())[:200]}"
            ) from None
        keys = path.parent / "credentials.json"
        if keys.is_file():
            known = {
                name: Credentials(pair["access"], pair["secret"])
                for name, pair in json.loads(keys.read_text(encoding="utf-8")).items()
            }
            return cls(endpoint, known["pipeline"], told.get("what", ""), known.get("stranger"))
        access, secret = os.environ.get("AWS_ACCESS_KEY_ID", ""), os.environ.get("AWS_SECRET_ACCESS_KEY", "")
        if not (access and secret):
            raise PlanError("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        return cls(endpoint, Credentials(access, secret), told.get("what", ""))


@dataclass(frozen=True)
class Place:
    """A document's source, taken apart. `monthly` tells the template's granularity."""

    bucket: str
    prefix: str
    monthly: bool

    @classmethod
    def of(cls, source: str) -> "Place":
        """From `s3://bucket/prefix/2023-10-27/`: the date is a template."""
        parts = urlsplit(source)
        prefix, _, date = parts.path.strip("/").rpartition("/")
        return cls(parts.netloc, f"{prefix}/" if prefix else "", len(date) == 7)

    def partition(self, key: str) -> str:
        """The partition that a key lies in; empty if in none."""
        first = key.removeprefix(self.prefix).partition("/")[0]
        inside = PARTITION.fullmatch(first) and "/" in key.removeprefix(self.prefix)
        return first if inside and (len(first) == 7) == self.monthly else ""


def newest(source: Source, place: Place) -> str:
    """The last partition that there is."""
    found = {
        place.partition(each.key) for each in listing(source.endpoint, source.credentials, place.bucket, place.prefix)
    }
    if not found - {""}:
        raise BadInput(
            f"s3://{place.bucket}/{place.prefix}", "listing", "no partition", "one folder for each day or month"
        )
    return max(found)


def window(source: Source, place: Place, partition: str, count: int | None) -> list[Object]:
    """Every object of the partitions of a window, as the store lists them now, sorted by key.

    `BadInput` if the partition itself is not there: a run is about a partition that exists.
    """
    since, _ = days(partition, count)
    since = since[: len(partition)]
    chosen: dict[str, Object] = {}
    for each in listing(source.endpoint, source.credentials, place.bucket, place.prefix):
        day = place.partition(each.key)
        if day and since <= day <= partition:
            if not each.key.endswith(ENDINGS):
                allowed = f"names that end in {' or '.join(ENDINGS)}"
                raise BadInput(f"s3://{place.bucket}/{each.key}", "name", "an object that nobody reads", allowed)
            chosen[each.key] = each
    if partition not in {place.partition(key) for key in chosen}:
        allowed = f"at least one {' or '.join(ENDINGS)}"
        raise BadInput(f"s3://{place.bucket}/{place.prefix}{partition}/", "listing", "no object", allowed)
    return [chosen[key] for key in sorted(chosen)]


def partitions(place: Place, objects: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Partition -> its objects, each as key, version, SHA-256 and size in bytes."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in objects:
        piece = {name: each[name] for name in ("key", "version", "sha256", "size")}
        found.setdefault(place.partition(each["key"]), []).append(piece)
    return found


def versions(source: Source, place: Place, partition: str, count: int | None) -> dict[str, str]:
    """Partition -> its version, for every partition of a window as the store lists it now.

    Empty where it cannot be listed: then nothing is named and nothing is approved, and the gates of `ingest` say why.
    """
    try:
        objects = window(source, place, partition, count)
    except SluiceError:
        return {}
    found: dict[str, list[tuple[str, str, int]]] = {}
    for each in objects:
        found.setdefault(place.partition(each.key), []).append((each.key, each.version, each.size))
    return {name: version(pieces) for name, pieces in found.items()}


def reference(source: Source, place: Place) -> Ref:
    """The bucket as what a task takes in: no bytes, so its digest is that of the address."""
    uri = f"s3://{place.bucket}/{place.prefix}"
    sha = digest({"endpoint": source.endpoint.url, "account": source.endpoint.account, "uri": uri})
    return Ref(kind="bucket", uri=uri, sha256=sha, size=0, count=0, unit="objects")
