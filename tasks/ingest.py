"""Rows from S3: pinned versions into quarantine, hashed as they are read; cleaned, and listed in a signed manifest.

Quarantine is private and wiped when the stage ends. Rejected rows and suspected bots are kept apart by place and rule,
in a private folder of the evidence, never by value: the pinned version holds the rows themselves.
"""

import json
import secrets
import shutil
from typing import Any

from security.engines.s3 import fetch as download
from security.gates.contract import ContractLimits
from security.gates.inputs import DATASET
from security.keys import seal
from security.verdict import Ref
from tasks import declared
from tasks.clean import clean as cleaned
from tasks.dataset import MANIFEST, SEALED
from tasks.run import Run, current
from tasks.source import Place, partitions, window
from tasks.stage import guarded
from tasks.store import measure


def place(run: Run) -> Place:
    """The source of the run's document."""
    return Place.of(run.plan.document["stages"][0]["source"])


@guarded(
    "ingest",
    before=["access_control_s3", "data_encryption_in_transit"],
    after=["data_encryption_at_rest", "data_contract", "PII_detection", "data_drift_monitoring"],
)
def fetch(bucket: Ref) -> Ref:
    """Every object of the window, each by its version, into quarantine."""
    run = current()
    where = place(run)
    objects = window(run.source, where, run.plan.partition, run.plan.window)
    folder = run.place("raw", private=True)
    folder.mkdir(mode=0o700)
    listed: list[dict[str, Any]] = []
    for number, each in enumerate(objects):
        name = f"{number:05d}-{each.key.rpartition('/')[2]}"
        with (folder / name).open("xb") as out:
            sha, size = download(run.source.endpoint, run.source.credentials, where.bucket, each, out)
        listed.append({"file": name, "key": each.key, "version": each.version, "sha256": sha, "size": size})
    (folder / MANIFEST).write_text(json.dumps({"bucket": where.bucket, "objects": listed}, indent=1))
    total = sum(each["size"] for each in listed)
    run.listener.step(
        "ingest",
        f"{len(listed)} objects of s3://{where.bucket}/{where.prefix}, {total / 1e6:.1f} MB, pinned and hashed",
    )
    sha, size = measure(folder)
    return Ref(kind="rows", uri="quarantine:raw", sha256=sha, size=size, count=len(listed), unit="objects")


@guarded("ingest", before=[], after=["data_contract", "approved_inputs"])
def clean(raw: Ref) -> Ref:
    """Rejected rows, duplicates and suspected bots out; the rest to Parquet with a signed manifest."""
    run = current()
    source = run.path(raw)
    objects = json.loads((source / MANIFEST).read_text())["objects"]
    limits = ContractLimits.model_validate(run.plan.terms["ingest"]["fetch"]["data_contract"].limits)
    folder = run.place("rows")
    folder.mkdir()
    apart = run.home.folder("evidence", run.plan.run, "apart", private=True)
    wanted = run.plan.document["stages"][0]["transformations"]
    spill = run.place("spill", private=True)
    spill.mkdir(mode=0o700)
    out, key = folder / "rows.parquet", secrets.token_bytes(32)
    named = [name for names in declared.named(run.plan).values() for name in names]
    told = cleaned(run.kept[raw.sha256](), out, apart, limits, wanted, key=key, spill=spill, groups=named)
    spill.rmdir()
    manifest = {
        "partition": run.plan.partition,
        "window": run.plan.window,
        "sources": partitions(place(run), objects),
        "counts": told.counts(),
        "rows": measure(folder / "rows.parquet")[0],
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
    sha, _ = measure(folder / MANIFEST)
    envelope = seal(DATASET, {MANIFEST: sha}, {"manifest": manifest}, run.log.signer)
    (folder / SEALED).write_bytes(envelope)
    shutil.rmtree(apart) if not any(apart.iterdir()) else None
    run.notes["clean"] = told.counts()
    run.listener.step("ingest", ", ".join(f"{value:,} {name}" for name, value in told.counts().items()))
    sha, size = measure(folder)
    return Ref(kind="rows", uri="staging:rows", sha256=sha, size=size, count=told.rows_out, unit="rows")
