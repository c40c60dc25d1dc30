"""Personal data in cleaned rows handled: masked, hashed under a key, or the row dropped, as the policy says by column.

Beside the rows lies what was done: of which rows, after which observation of them, under which key (by a fingerprint),
and how many cells of each column and entity. What comes out is looked at again before anything is made of it.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from security.gates.personal import DECLARED, Facts, PersonalLimits
from security.personal.found import Model
from security.personal.handle import Action, handled, hashed
from security.personal.search import Search, context
from security.verdict import Ref, digest
from tasks.clean import ROW_GROUP, layout
from tasks.dataset import listed
from tasks.language import language
from tasks.run import current
from tasks.secret import secret
from tasks.stage import guarded
from tasks.store import measure


def handle(
    source: Path, out: Path, actions: Mapping[str, Mapping[str, Action]], key: bytes, model: Model | None = None
) -> dict[str, Any]:
    """Write the rows of one Parquet file to another, its columns handled; how many cells, and how many rows dropped.

    `actions`: column -> entity -> what is done. `model`: what was looked with. Row groups stay in order; types stay.
    """
    if not actions:
        copyfile(source, out)
        return {"dropped": 0, "cells": []}
    counts, dropped = Counter[tuple[str, str, str]](), 0
    searches = {column: Search(context(column), model) for column in actions}
    with (
        pq.ParquetFile(source) as file,
        pq.ParquetWriter(out, file.schema_arrow, **layout(file.schema_arrow)) as writer,
    ):
        for batch in file.iter_batches(ROW_GROUP):
            keep = np.ones(len(batch), bool)
            for column, told in actions.items():
                look, held = searches[column].column, batch.column(column)
                done = handled(held, look(held), told, key, look)
                batch = batch.set_column(batch.schema.get_field_index(column), batch.schema.field(column), done.column)
                keep &= done.keep.to_numpy(zero_copy_only=False)
                counts.update({(column, *which): count for which, count in done.counts.items()})
            dropped += int((~keep).sum())
            writer.write_batch(batch if keep.all() else batch.filter(pa.array(keep)), ROW_GROUP)
    cells = [{"column": c, "entity": e, "action": a, "cells": count} for (c, e, a), count in sorted(counts.items())]
    return {"dropped": dropped, "cells": cells}


def doable(limits: PersonalLimits, facts: Facts) -> dict[str, dict[str, Action]]:
    """Column -> entity -> what is to be done with what was found and counts, for the columns of text that rows have.

    What only looks like something, as an id of sixteen digits does like a card's number, stays as it is.
    """
    found: dict[str, dict[str, Action]] = {}
    for hit in facts.hits:
        action = limits.action(hit.column, hit.entity)
        if hit.column in DECLARED and action in ("mask", "hash", "drop") and limits.counts(hit, facts):
            found.setdefault(hit.column, {})[hit.entity] = action
    return found


@guarded("features", before=["data_contract", "PII_detection", "data_drift_monitoring"], after=["data_contract"])
def protect(rows: Ref) -> Ref:
    """Cleaned rows without the personal data that the policy knows how to handle."""
    run = current()
    listed(run.path(rows), run.trust.key)
    limits = PersonalLimits.model_validate(run.plan.terms["features"]["protect"]["PII_detection"].limits)
    seen = run.heard["features", "protect", "PII_detection", rows.sha256]
    folder = run.place("protected")
    folder.mkdir()
    key = secret(run.home, limits.key, "personal")
    actions, model = doable(limits, Facts.model_validate(seen.facts)), limits.model
    told = handle(
        run.path(rows) / "rows.parquet",
        folder / "rows.parquet",
        actions,
        key,
        language(model.model_dump()) if model else None,
    )
    told |= {
        "of": rows.sha256,
        "observation": digest(seen.model_dump(mode="json")),
        "key": hashed("", key)[-8:] if key else "",
    }
    (folder / "handled.json").write_text(json.dumps(told, indent=1, sort_keys=True), encoding="utf-8")
    run.notes["handled"] = told
    count = int(pq.read_metadata(folder / "rows.parquet").num_rows)
    cells = sum(each["cells"] for each in told["cells"])
    sha, size = measure(folder)
    run.listener.step("features", f"personal data: {cells:,} cells handled, {told['dropped']:,} rows dropped")
    return Ref(kind="protected", uri="staging:protected", sha256=sha, size=size, count=count, unit="rows")
