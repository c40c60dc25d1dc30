"""Evidently's report of drift, for people: a bounded sample, drawn in a process of its own, on a page that asks nobody.

It decides nothing and says so. What goes wrong, with Evidently or with its process, becomes a page with one line. The
process gets what `tasks.tame` leaves of the rows, no environment, no sockets, and bounds of time and memory.
"""

import contextlib
import json
import math
import os
import resource
import signal
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather

from tasks import process
from tasks.frame import Undrawn, refused, seal, told
from tasks.tame import Kind, Tamed, sample, tame

ROWS = 50_000
"""Rows of a side, at most."""
SECONDS = 120.0
MEMORY = 6 << 30
"""Bytes of address space of the process; most of it is only reserved."""
FEW = 5
"""Distinct values of numbers up to which Evidently compares them as categories."""
METHODS = {"Wasserstein distance (normed)": "wasserstein", "Jensen-Shannon distance": "jensenshannon"}
"""Evidently's names -> what one asks it for."""


def render(
    reference: pa.Table,
    current: pa.Table,
    out: Path,
    kinds: Mapping[str, Kind],
    *,
    rows: int = ROWS,
    seed: int = 0,
    seconds: float = SECONDS,
    apart: Path | None = None,
    halted: Callable[[], bool] = lambda: False,
) -> Path:
    """Draw how `current` differs from `reference` on the page `out`, and return it; there is always a page.

    What Evidently computed is beside it, `out` with `.json`, for `scores`; it is not there where nothing was drawn. At
    most `rows` rows of a side are drawn, and `seconds` of work done, or less once `halted` says so. Numbers lie for
    that time in a private folder in `apart`, or where the system keeps such. Raises `OSError` only where the page
    cannot be written.
    """
    beside = out.with_suffix(".json")
    beside.unlink(missing_ok=True)
    tamed, said = Tamed(), f"{len(reference):,} reference and {len(current):,} current rows"
    try:
        drawn = [sample(side.to_batches(), rows, seed) if len(side) > rows else side for side in (reference, current)]
        tamed = tame(drawn[0], drawn[1], kinds, seed)
        said = (
            f"at most {rows:,} of {len(reference):,} reference and as many of {len(current):,} current rows"
            if max(len(reference), len(current)) > rows
            else said
        )
        if not tamed.notes:
            raise Undrawn("no column can be drawn")
        page, report = _apart(tamed, seconds, apart, halted)
        page = seal(page, told(tamed, said))
        beside.write_text(json.dumps(report), encoding="utf-8")
    except Exception as why:  # noqa: BLE001 - see the module's docstring
        beside.unlink(missing_ok=True)
        page = refused(str(why) if isinstance(why, Undrawn) else type(why).__name__, told(tamed, said))
    out.write_text(page, encoding="utf-8")
    return out


def scores(report: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """Column -> what Evidently compared with, and the score, of `Snapshot.dict()` or of the file beside a page."""
    return {
        each["config"]["column"]: (
            METHODS.get(each["config"]["method"], each["config"]["method"]),
            float(each["value"]),
        )
        for each in report["metrics"]
        if each["config"]["type"].endswith(":ValueDrift")
    }


def draw(tamed: Tamed) -> tuple[str, dict[str, Any]]:
    """Evidently's page and report of tamed columns, in this process. Raises whatever Evidently raises."""
    os.environ["DO_NOT_TRACK"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        before, after = (
            pd.DataFrame({name: side[name].to_pandas() for name in tamed.notes})
            for side in (tamed.reference, tamed.current)
        )
        known = DataDefinition(numerical_columns=tamed.numbers, categorical_columns=tamed.categories)
        few = [name for name in tamed.numbers if pd.concat([before[name], after[name]]).nunique() <= FEW]
        # Its defaults at any size: of small samples it would print p-values, which say nothing of how much has moved.
        preset = DataDriftPreset(
            columns=list(tamed.notes),
            num_method="wasserstein",
            cat_method="jensenshannon",
            per_column_method=dict.fromkeys(few, "jensenshannon"),
        )
        made = Report([preset]).run(Dataset.from_pandas(after, known), Dataset.from_pandas(before, known))
        report = json.loads(made.json())
        if lost := set(tamed.notes) - set(scores(report)):
            raise Undrawn(f"{len(lost)} columns were not compared")
        return made.get_html_str(as_iframe=False), report


def _apart(tamed: Tamed, seconds: float, apart: Path | None, halted: Callable[[], bool]) -> tuple[str, dict[str, Any]]:
    """What `draw` makes in a process that has nothing else, and ends."""
    if halted():
        raise Undrawn("stopped")
    with tempfile.TemporaryDirectory(prefix="picture-", dir=apart) as name:
        folder = Path(name)
        for side in ("reference", "current"):
            feather.write_feather(pa.table(getattr(tamed, side)), str(folder / side), compression="uncompressed")
        (folder / "columns").write_text(json.dumps({"numbers": tamed.numbers, "categories": tamed.categories}))
        env = {"PYTHONPATH": str(Path(__file__).parents[1]), "HOME": name, "DO_NOT_TRACK": "1"}
        env |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        argv = [sys.executable, "-P", "-X", "utf8", "-m", __name__, name, str(math.ceil(seconds) + 5)]
        record, done = folder / "process", folder / "done"
        end, late = time.monotonic() + seconds, False
        pid = process.start(argv, record, folder / "log", env)
        try:
            while not done.is_file() and process.alive(record) and not late and not halted():
                time.sleep(0.05)
                late = time.monotonic() > end
        finally:
            process.stop(record, 0.5)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        if halted():
            raise Undrawn("stopped")
        if late and not done.is_file():
            raise Undrawn(f"not ready after {seconds:g} s")
        if not done.is_file():
            raise Undrawn("its process ended before it was done")
        made: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        if "error" in made:
            raise Undrawn(made["error"])
        return made["page"], made["report"]


def _shut(event: str, what: tuple[Any, ...]) -> None:
    # A loop of asyncio, which an import makes, wakes itself through a pair of these; to connect one is refused too.
    if event.startswith("socket.") and (event, what[1:2]) != ("socket.__new__", (socket.AF_UNIX,)):
        raise PermissionError("no sockets here")


def main(name: str, seconds: str) -> None:
    """The process: read a folder, draw, and leave `done` in it. It has no sockets and ends by itself."""
    signal.alarm(int(seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(_shut)
    folder = Path(name)
    tamed = Tamed(**json.loads((folder / "columns").read_text()))
    for side in ("reference", "current"):
        table = feather.read_table(str(folder / side), memory_map=False)
        setattr(tamed, side, {column: table[column].combine_chunks() for column in table.column_names})
    tamed.notes = dict.fromkeys(tamed.reference, "")
    try:
        page, report = draw(tamed)
        made = {"page": page, "report": report}
    except Exception as why:  # noqa: BLE001 - whatever it is, the page says its type and no more
        made = {"error": str(why) if isinstance(why, Undrawn) else type(why).__name__}
    (folder / "part").write_text(json.dumps(made), encoding="utf-8")
    (folder / "part").rename(folder / "done")


if __name__ == "__main__":
    main(*sys.argv[1:])
