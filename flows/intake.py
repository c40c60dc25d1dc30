"""A file of ratings or events into the embedded lake, by month, so that a run can take it from there like any other.

CSV with a header (plain or gzip). Columns are named by a mapping; a file with MovieLens' header needs none. Everything
is converted before anything is put: a file that cannot be read leaves the lake as it was.
"""

import csv
import gzip
import io
import json
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from configs.load import Policy, nearest
from security.engines.s3 import Credentials, client, listing
from security.engines.upload import upload
from security.errors import BadInput, PlanError
from tasks.home import Home
from tasks.source import Place, Source

COLUMNS = ("user_id", "item_id", "interaction_type", "timestamp")
MOVIELENS = {"user_id": "userId", "item_id": "movieId", "timestamp": "timestamp"}
TYPES = ("view", "click", "purchase", "rating")
LONGEST = 1 << 20
"""Characters that one line may have."""


def columns(text: str) -> dict[str, str]:
    """A mapping `user_id=userId,item_id=movieId` as given on a command line."""
    pairs: dict[str, str] = {}
    for part in text.split(",") if text else ():
        name, _, column = part.partition("=")
        if name not in COLUMNS:
            raise PlanError(f"columns: unknown {name!r}{nearest(name, COLUMNS)}; there are {', '.join(COLUMNS)}")
        if not column or name in pairs:
            raise PlanError(f"columns: {part!r}; allowed: each name once, with a column, as user_id=userId")
        pairs[name] = column
    return pairs


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    number = 0
    try:
        while line := file.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                raise BadInput(name, f"row {number}", "a line of more than 1 MiB", "at most 1 MiB")
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise BadInput(name, f"row {number}", "bytes that are not UTF-8", "UTF-8") from None
    except (EOFError, zlib.error, OSError) as why:
        raise BadInput(
            name,
            f"after row {number}",
            f"a gzip stream that ends early or is none ({type(why).__name__})",
            "a whole one",
        ) from None


def _time(text: str, name: str, row: int) -> datetime:
    try:
        if text.replace(".", "", 1).isdecimal():
            seconds = float(text)
            return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        found = f"a timestamp of {len(text)} characters that is none"
        raise BadInput(name, f"row {row}", found, "seconds since the epoch, or ISO 8601") from None


def convert(path: Path, mapping: Mapping[str, str], folder: Path, kind: str = "rating") -> dict[str, int]:
    """Write one JSON-lines file a month into `folder`; month -> rows. One bad row stops it, named."""
    counts: dict[str, int] = {}
    if not path.is_file():
        raise BadInput(path.name, "file", "nothing of that name", "a CSV file, plain or gzip")
    with ExitStack() as stack:
        raw = stack.enter_context(gzip.open(path) if path.suffix == ".gz" else path.open("rb"))  # noqa: SIM115
        reader = csv.reader(_lines(raw, path.name), strict=True)  # type: ignore[arg-type]
        try:
            header = next(reader, [])
        except csv.Error:
            raise BadInput(path.name, "row 1", "a row that is not CSV", "RFC 4180") from None
        named = {**({} if mapping else MOVIELENS), **mapping}
        for column in COLUMNS if "interaction_type" in mapping else ("user_id", "item_id", "timestamp"):
            wanted = named.get(column, column)
            if wanted not in header:
                near = nearest(wanted, header)
                raise BadInput(
                    path.name, "row 1", f"no column {wanted!r} for {column}{near}", "a header with it, or --columns"
                )
        at = {
            column: header.index(named.get(column, column)) for column in COLUMNS if named.get(column, column) in header
        }
        outs: dict[str, IO[str]] = {}
        try:
            for number, row in enumerate(reader, 2):
                if len(row) != len(header):
                    raise BadInput(path.name, f"row {number}", f"{len(row)} fields", f"{len(header)}, as in the header")
                moment = _time(row[at["timestamp"]].strip(), path.name, number)
                month = f"{moment:%Y-%m}"
                if month not in outs:
                    file = stack.enter_context(gzip.GzipFile(folder / f"{month}.jsonl.gz", "wb", 1, mtime=0))
                    outs[month] = stack.enter_context(io.TextIOWrapper(file, encoding="utf-8"))
                told = row[at["interaction_type"]] if "interaction_type" in at else kind
                stamp = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                line = {
                    "user_id": row[at["user_id"]],
                    "item_id": row[at["item_id"]],
                    "interaction_type": told,
                    "timestamp": stamp,
                }
                outs[month].write(json.dumps(line, separators=(",", ":")) + "\n")
                counts[month] = counts.get(month, 0) + 1
        except csv.Error:
            raise BadInput(path.name, f"row {reader.line_num}", "a row that is not CSV", "RFC 4180") from None
    if not counts:
        raise BadInput(path.name, "file", "no row after the header", "at least one")
    return dict(sorted(counts.items()))


def key(policy: Policy) -> str:
    """The KMS key that a policy wants objects under: the first that it names."""
    terms = policy.gates.get("data_encryption_at_rest")
    keys = terms.limits.get("keys", []) if terms else []
    if not keys:
        raise PlanError(f"policy {policy.name} names no key under data_encryption_at_rest: nothing is put unencrypted")
    return str(keys[0])


def load(home: Home, path: Path, mapping: Mapping[str, str], source: str, kms: str) -> dict[str, int]:
    """Convert a file and put it where a document's `source` points, in place of what was there; month -> rows.

    `kms` is the key that everything is put under, and read back to see that it was.
    """
    place, found = Place.of(source), Source.read(home)
    if not place.monthly:
        raise PlanError(f"{source}: a file goes into the lake by month; this source is by day")
    keys = home.root / "lake" / "credentials.json"
    if not keys.is_file():
        raise PlanError("a file can only be put into the embedded lake; put it into your own bucket yourself")
    operator = json.loads(keys.read_text(encoding="utf-8"))["operator"]
    credentials = Credentials(operator["access"], operator["secret"])
    home.sweep()
    name = f"intake-{uuid.uuid4().hex}"
    home.mark(name)  # so that a later start wipes it, should this process be killed
    try:
        folder = home.path("quarantine:rows", name)
        folder.mkdir(mode=0o700)
        counts = convert(path, mapping, folder)
        s3 = client(found.endpoint, credentials)
        wanted = {f"{place.prefix}{month}/part-000.jsonl.gz": folder / f"{month}.jsonl.gz" for month in counts}
        for each in listing(found.endpoint, credentials, place.bucket, place.prefix):
            if each.key not in wanted:
                s3.delete_object(Bucket=place.bucket, Key=each.key, ExpectedBucketOwner=found.endpoint.account)
        for key, file in wanted.items():
            upload(found.endpoint, credentials, place.bucket, key, file, kms)
    finally:
        home.wipe(name)
    return counts
