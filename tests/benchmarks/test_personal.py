"""Presidio over columns against Presidio cell by cell: ratios of processor time within one run, beside their targets.

Cell by cell is Presidio as it comes, without a model, on a sample of each column, times the rows. What is asserted is
what no load changes: on the sample both ways of our own engine find the same.
"""

import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from security.personal.analyzer import plain
from security.personal.cells import Cells, _prefilter
from tests.benchmarks.personal import made
from tests.security.personal.test_recognisers import stock

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]
SAMPLE = 400
TARGETS = {100_000: 200, 1_000_000: 400}
ALONE = 60


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and what came of it."""
    begun = time.process_time()
    done = work()
    return time.process_time() - begun, done


@pytest.mark.parametrize("rows", TARGETS)
def test_columns_against_cells(rows: int, capsys: pytest.CaptureFixture[str]) -> None:
    _prefilter.cache_clear()
    columns, cells = made(rows), Cells()
    begun, _ = spent(lambda: cells.find(pa.array(["a@example.com, 020 7946 0958"])))
    stock().analyze("a@example.com, 020 7946 0958", language="en")
    by_cell, by_column, lines = 0.0, begun, [f"  {rows:,} rows; the filters are made in {begun:.1f} s"]
    for name, column in columns.items():
        fast, (coded, _) = spent(lambda column=column: cells.column(column))
        sample = column.slice(0, SAMPLE).to_pylist()
        slow, _ = spent(lambda sample=sample: [stock().analyze(each, language="en") for each in sample])
        found = cells.find(column.slice(0, SAMPLE))
        assert [found.get(row, ()) for row in range(SAMPLE)] == list(map(plain, sample))
        by_cell, by_column = by_cell + slow / SAMPLE * rows, by_column + fast
        ratio = slow / SAMPLE * rows / fast
        lines.append(f"  {name:<11} {fast:6.2f} s for {len(set(coded.to_pylist())):>9,} texts, {ratio:5.0f} times")
        if name == "comment":
            lines[-1] += f"; target {ALONE}"
    with capsys.disabled():
        print("\n" + "\n".join(lines))
        print(f"  all of them {by_column:6.2f} s, {by_cell / by_column:.0f} times; target {TARGETS[rows]}")
