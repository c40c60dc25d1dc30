"""A run of one stage with one task and one real gate, for every way in which such a run could end green."""

import json
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from configs import load
from security.keys import UnsafeLocalKeys, seal
from security.policy import Plan, terms
from security.registry import GATES
from security.verdict import Ref
from security.verify import UNSIGNED, Trust
from tasks.dataset import DATASET, MANIFEST
from tasks.home import Home
from tasks.run import Quiet, Run, begin, current
from tasks.stage import guarded
from tasks.store import measure

MATRIX = {"ends": {"work": {"before": [], "after": ["data_contract"]}}}
DOCUMENT = load.text(load.find("sample", "pipelines"))
CONTRACT = load.text(load.find("interactions", "contracts"))
POLICY: dict[str, Any] = {
    "name": "miniature",
    "target": "local",
    "unsigned": UNSIGNED,
    "keys": "UnsafeLocalKeys",
    "code": "UnsafeAnyCode",
    "documents": {"sample": load.sha256(DOCUMENT)},
    "contracts": {"interactions": load.sha256(CONTRACT)},
    "gates": {"data_contract": {"limits": {"most_rejected": 0.0}}},
}


def rows(kinds: list[str]) -> pa.Table:
    """One row of each kind given, by as many people."""
    moment = 1_698_364_800_000_000
    columns = {
        "user_id": [f"u{n}" for n in range(len(kinds))],
        "item_id": [f"i{n}" for n in range(len(kinds))],
        "interaction_type": kinds,
        "timestamp": pa.array([moment + n for n in range(len(kinds))], pa.timestamp("us", tz="UTC")),
    }
    return pa.table(columns)


GOOD = ["view", "click", "purchase"] * 20
BAD = [*GOOD, "jane.doe@example.org"]
NEXT: list[list[str]] = []
"""What the task writes at each call; the last goes on for ever."""


@guarded("ends", before=[], after=["data_contract"])
def work() -> Ref:
    """Writes the next rows."""
    run = current()
    kinds = NEXT.pop(0) if len(NEXT) > 1 else NEXT[0]
    name = f"rows{random.randrange(1 << 40):010x}"
    folder = run.place(name)
    folder.mkdir()
    pq.write_table(rows(kinds), folder / "rows.parquet")
    counts = {
        "rows in": len(kinds),
        "rejected": 0,
        "duplicates": 0,
        "rows of suspected bots": 0,
        "rows out": len(kinds),
    }
    manifest = {"counts": counts, "rows": measure(folder / "rows.parquet")[0]}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    envelope = seal(DATASET, {MANIFEST: measure(folder / MANIFEST)[0]}, {"manifest": manifest}, run.log.signer)
    (folder / "manifest.dsse").write_bytes(envelope)
    sha, size = measure(folder)
    return Ref(kind="rows", uri=f"staging:{name}", sha256=sha, size=size, count=len(kinds), unit="rows")


def start(home: Home, *writes: list[str], gates: dict[str, Any] | None = None, policy: dict[str, Any] = POLICY) -> Run:
    """A run whose task writes these rows, in this order."""
    NEXT[:] = list(writes)
    public = UnsafeLocalKeys(home.root / "keys").public("producer")
    parsed, sha = load.policy(policy), load.sha256(policy)
    trust = Trust(public, parsed, sha, MATRIX, gates or GATES)
    given = {"document": DOCUMENT, "contract": CONTRACT, "partition": "2023-10-27", "window": None, "signer": public.id}
    given["target"] = "local"

    def seal(index: str) -> Plan:
        return Plan(
            **given,
            run=f"mini-{random.randrange(1 << 60):015x}",
            started=1_698_400_000.0,
            document_sha256=load.sha256(DOCUMENT),
            policy=policy,
            policy_sha256=sha,
            signed=UNSIGNED,
            baseline="establish",
            matrix=MATRIX,
            terms=terms(parsed, given, MATRIX, trust.gates),
            isolation="none",
            code="0" * 64,
            source="",
            lock="",
            index=index,
        )

    return begin(seal, trust, home, None, Quiet())


Body = Callable[[], Any]
