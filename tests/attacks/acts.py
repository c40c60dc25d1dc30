"""What an attacker does at a moment: to the bucket, to files, to the log, to the candidate."""

import gzip
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tasks.deploy
import tasks.evaluate
import tasks.ingest
import tasks.protect
import tasks.service
import tasks.transform
from security.gates.model import sign
from security.keys import UnsafeLocalKeys
from tasks.recommender.split import Split, temporal
from tasks.run import Run, current
from tests.attacks.attacker import Act, Ground
from tests.attacks.bucket import DAYS, body, key, lines, packed, rows
from tests.security.damage import other

FIRST, EARLY = DAYS[0], "2024-01-03"
Change = Callable[[Ground, Path], object]


def put(day: str, part: int = 0) -> Act:
    """An object is put: a new version, or one more."""
    return lambda run, at: at.operator.put(at.bucket, key(at.prefix, day, part), body(day))


def early(run: Run, at: Ground) -> None:
    """A day comes in late that is older than every day of the plan."""
    late = (row | {"timestamp": str(row["timestamp"]).replace(FIRST, EARLY)} for row in rows(FIRST))
    at.operator.put(at.bucket, key(at.prefix, EARLY), packed(lines(late)))


def listing_another(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The task signs a manifest of other versions than it read."""
    real = tasks.ingest.partitions

    def told(*given: Any) -> dict[str, list[dict[str, Any]]]:
        return {day: [each | {"version": "0"} for each in pieces] for day, pieces in real(*given).items()}

    patch.setattr(tasks.ingest, "partitions", told)


def lenient(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The task lets accounts pass that its gate does not."""
    patch.setattr(tasks.transform, "signs", lambda *_: ())


def hidden(run: Run, at: Ground) -> None:
    """An object is deleted; its versions stay."""
    at.operator.delete(at.bucket, key(at.prefix, FIRST))


def gone(run: Run, at: Ground) -> None:
    """The version that was listed is deleted for good."""
    name = key(at.prefix, FIRST)
    at.operator.delete(at.bucket, name, at.operator.version(at.bucket, name))


def staged(name: str, change: Change = Ground.flip) -> Act:
    """Alter a file of this run's staging folder."""
    return lambda run, ground: change(ground, run.home.root / "staging" / run.plan.run / name)


def stored(kind: str, name: str, change: Change = Ground.flip) -> Act:
    """Alter a file of what this run has published."""
    return lambda run, ground: change(ground, run.path(run.published[kind]) / name)


def quarantined(run: Run, ground: Ground) -> None:
    """One person's item becomes another's in the first file, which stays a whole gzip file of good rows."""
    path = min((run.home.root / "quarantine" / run.plan.run / "raw").glob("*.gz"))
    whole = gzip.decompress(path.read_bytes())
    item = whole.split(b'"item_id":"')[1][:4]
    path.write_bytes(packed(whole.replace(item, b"t000" if item != b"t000" else b"t001", 1)))


def rewritten(run: Run, ground: Ground) -> None:
    """One item of the rows that were looked at becomes another's, where they are kept: by way of /proc, as any process
    of the same user can."""
    (rows,) = run.kept.values()
    assert rows.file is not None
    with open(f"/proc/{os.getpid()}/fd/{rows.file.fileno()}", "r+b") as file:
        whole = file.read()
        found = re.search(rb"(?:t\d{3}){20,}", whole)
        assert found is not None
        file.seek(found.start())
        file.write(b"t000" if found[0][:4] != b"t000" else b"t001")


def reworded(ground: Ground, path: Path) -> None:
    """Rows that keep every rule of the contract, with one person's items given to another."""
    table = pq.read_table(path)
    users = table["user_id"].to_pylist()
    at = table.schema.get_field_index("user_id")
    changed = pa.array([users[0] if user == users[1] else user for user in users])
    fresh = path.with_suffix(".new")
    pq.write_table(table.set_column(at, "user_id", changed), fresh)
    ground.write(path, fresh.read_bytes())
    fresh.unlink()


def flattered(ground: Ground, path: Path) -> None:
    """The model's lists become what was held out."""
    table = pq.read_table(path)
    held, top = table["held"].to_pylist(), table["top_model"].to_pylist()
    better = [
        [*mine, *(item for item in theirs if item not in mine)][:10] for mine, theirs in zip(held, top, strict=True)
    ]
    at = table.schema.get_field_index("top_model")
    pq.write_table(table.set_column(at, "top_model", pa.array(better, pa.list_(pa.int32()))), path)


def easier(ground: Ground, path: Path) -> None:
    """What was held out becomes what the model lists."""
    table = pq.read_table(path)
    at = table.schema.get_field_index("held")
    pq.write_table(table.set_column(at, "held", table["top_model"]), path)


def resigned(run: Run, ground: Ground) -> None:
    """The model signed again, by somebody else."""
    folder = run.home.root / "staging" / run.plan.run / "model"
    (folder / "model.sig").unlink()
    sign(folder, UnsafeLocalKeys(ground.home.root.parent / "somebody").signer("producer"))


def beside(name: str) -> Act:
    """A file is put beside those that a task made."""
    return lambda run, ground: (run.home.root / "staging" / run.plan.run / name / "hook.py").write_text("import os\n")


def logged(change: Callable[[list[bytes]], list[bytes]]) -> Act:
    """Change the lines of this run's log."""

    def act(run: Run, ground: Ground) -> None:
        whole = run.log.path.read_bytes().splitlines(keepends=True)
        run.log.path.write_bytes(b"".join(change(whole)))

    return act


def altered(whole: list[bytes]) -> list[bytes]:
    """One letter of the second line is another."""
    return [whole[0], other(whole[1]), *whole[2:]]


def cut(whole: list[bytes]) -> list[bytes]:
    """The last line lacks its end."""
    return [*whole[:-1], whole[-1][:-9]]


def swapped(run: Run, ground: Ground) -> None:
    """The whole log of a run that passed, in place of this run's."""
    shutil.copyfile(ground.passed.log.path, run.log.path)


def inherited(run: Run, ground: Ground) -> None:
    """A letter of the predecessor's log, as this run has it, is another."""
    path = run.log.path.parent / "predecessor" / "log.jsonl"
    path.write_bytes(b"".join(altered(path.read_bytes().splitlines(keepends=True))))


def redirected(run: Run, ground: Ground) -> None:
    """The gate is to ask the service of a run that passed, not the candidate."""
    told = run.home.root / "service" / run.plan.run / "endpoint.json"
    told.write_text(json.dumps(json.loads(told.read_text()) | {"url": ground.passed.notes["endpoint"]}))


LIAR = """
import sys
from types import SimpleNamespace
from deployments.serving import __main__ as service
announce = service.announce
service.announce = lambda file, url, model: announce(file, url, SimpleNamespace(digest=sys.argv[1]))
sys.exit(service.main(sys.argv[2:]))
"""
"""A service that says of itself that it serves the release named first, and serves another."""


def moved(run: Run, ground: Ground) -> None:
    """Another service is to serve than the one that was asked."""
    run.notes["endpoint"] = ground.passed.notes["endpoint"]


def weakly(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """An object lies in the bucket under the store's own key, not the one that is the bucket's default."""
    name = key(at.prefix, FIRST)
    at.operator.s3.put_object(Bucket=at.bucket, Key=name, Body=body(FIRST), ServerSideEncryption="AES256")


def misnamed(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The task reads what the store sends, and names another SHA-256 of one object in its manifest."""
    real = tasks.ingest.download

    def told(endpoint: Any, own: Any, bucket: str, wanted: Any, out: Any) -> tuple[str, int]:
        sha, size = real(endpoint, own, bucket, wanted, out)
        return (sha if wanted.key != key(at.prefix, FIRST) else "0" * 64), size

    patch.setattr(tasks.ingest, "download", told)


def swapping(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The task keeps other bytes of one object, just as many, and names their own SHA-256; the store keeps the real."""
    name = key(at.prefix, FIRST)
    at.operator.s3.put_object(Bucket=at.bucket, Key=name, Body=body(FIRST), ChecksumAlgorithm="SHA256")
    real = tasks.ingest.download

    def kept(endpoint: Any, own: Any, bucket: str, wanted: Any, out: Any) -> tuple[str, int]:
        sha, size = real(endpoint, own, bucket, wanted, out)
        if wanted.key != name:
            return sha, size
        other = bytearray(body(FIRST))
        other[4] ^= 1  # the time of a gzip header: nothing about the rows
        out.seek(0)
        out.write(other)
        return hashlib.sha256(other).hexdigest(), len(other)

    patch.setattr(tasks.ingest, "download", kept)


def padded(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The task keeps an empty gzip member more of one object, names the SHA-256 of all, and the size that was sent."""
    real = tasks.ingest.download

    def kept(endpoint: Any, own: Any, bucket: str, wanted: Any, out: Any) -> tuple[str, int]:
        sha, size = real(endpoint, own, bucket, wanted, out)
        if wanted.key != key(at.prefix, FIRST):
            return sha, size
        out.write(packed(b""))
        return hashlib.sha256(body(FIRST) + packed(b"")).hexdigest(), size

    patch.setattr(tasks.ingest, "download", kept)


def denying(patch: pytest.MonkeyPatch, ground: Ground) -> None:
    """The evaluation knows of no approved model."""
    patch.setattr(tasks.evaluate, "approved", lambda run, found: None)


def lying(patch: pytest.MonkeyPatch, ground: Ground, log: str = "UnsafeNone") -> None:
    """The candidate announces this run's model and answers from another that the producer signed too. It is begun with
    no log, as the run's own (`log` empty) is not of that model."""
    other = ground.home.root.parent / f"other-{ground.prefix}"
    shutil.copytree(ground.passed.path(ground.passed.published["model"]), other)
    (other / "model.sig").unlink()
    sign(other, ground.passed.keys.signer("producer"))

    def argv(root: Path, own: Path, told: list[str]) -> list[str]:
        assert told[0] == "--release"
        at = told.index("--log") + 1
        rest = [*told[2:at], log or told[at], *told[at + 1 :]]
        return [sys.executable, "-c", LIAR, current().published["model"].sha256, "--release", str(other), *rest]

    patch.setattr(tasks.service, "argv", argv)


def splitting(*where: ModuleType) -> Callable[[pytest.MonkeyPatch, Ground], None]:
    """What each user took first is held out, and what came after is trained on: so these modules split."""

    def backwards(user: Any, item: Any, time: Any, **shares: float) -> Split:
        return temporal(user, item, -time, **shares)  # type: ignore[arg-type]

    def patch(patch: pytest.MonkeyPatch, at: Ground) -> None:
        for module in where:
            patch.setattr(module, "temporal", backwards)

    return patch


def idle(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The task that handles personal data copies the rows, and says that it did what it had to."""
    real = tasks.protect.handle

    def copied(source: Path, out: Path, *rest: Any) -> dict[str, Any]:
        told = real(source, out, *rest)
        out.write_bytes(source.read_bytes())
        return told

    patch.setattr(tasks.protect, "handle", copied)


def dropping(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The task that handles personal data loses a row, and says that it dropped none."""
    real = tasks.protect.handle

    def cut(source: Path, out: Path, *rest: Any) -> dict[str, Any]:
        told = real(source, out, *rest)
        pq.write_table(pq.read_table(out).slice(1), out)
        return told

    patch.setattr(tasks.protect, "handle", cut)
