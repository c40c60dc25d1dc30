"""Evidently's picture of one run, drawn beside its work: from the verdict on its rows until its stages have ended.

It decides nothing: whatever goes wrong becomes a line on the page of the run. The rows that are drawn are published
ones, hashed again first: of this run, and of the run that the baseline is of. Neither a thread nor a process nor a
file in staging is left when `beside` ends, so it ends before the run is closed. `SLUICE_PICTURES=no` leaves it out.
"""

import html
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from security.errors import StoreError
from security.gates.drift import ROLES, DriftLimits
from security.resolve import days
from tasks import baseline, picture
from tasks.frame import Undrawn
from tasks.run import Run
from tasks.span import moments
from tasks.store import check, measure
from tasks.tame import sample

WHERE = ("features", "protect")
"""The stage and the task before which the rows that are drawn are looked at."""
BATCH = 65_536
"""Rows that are held at once, beyond those of the samples."""
PATIENCE = 10.0
"""Seconds that a picture has to end in once it was told to."""
NONE = "No picture of the drift"


class Drawing:
    """The picture of a run: where it is once it is drawn, or why it is not."""

    def __init__(self, run: Run) -> None:
        self.run, self.page = run, run.home.root / "pages" / f"{run.plan.run}-drift.html"
        self.why = f"{NONE}: the run ended before the rows were looked at."
        self._drawn, self._over, self._end = False, threading.Event(), 0.0
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start to draw, once."""
        if os.environ.get("SLUICE_PICTURES") == "no":
            self.why = f"{NONE}: SLUICE_PICTURES says no."
        elif self._thread is None and not self._over.is_set():
            self._end = time.monotonic() + picture.SECONDS
            thread = threading.Thread(target=self._work, name="picture", daemon=True)
            thread.start()
            self._thread = thread

    def end(self, patient: bool) -> None:
        """Wait for it as long as it may take, or not at all; nothing goes on afterwards."""
        try:
            if patient and self._thread:
                self._thread.join(max(self._end - time.monotonic(), 0) + PATIENCE)
        finally:
            self._over.set()
            if self._thread:
                self._thread.join(PATIENCE)
                if self._thread.is_alive():
                    self.why = f"{NONE}: it was not ready in time."

    def line(self) -> str:
        """HTML for the page of the run: a link, or why there is none."""
        if not self._drawn:
            return f'<p class="k">{html.escape(self.why)}</p>'
        link = f'<a href="{html.escape(self.page.name)}">Evidently\'s picture</a>'
        if not self.page.with_suffix(".json").exists():
            return f'<p class="k">{link} could not be drawn: its page says why.</p>'
        return (
            f'<p class="k">{link} of the baseline\'s published rows and of these: for people, it decides nothing.</p>'
        )

    def _work(self) -> None:
        try:
            self._draw()
            self._drawn = not self._over.is_set()
        except Undrawn as why:
            self.why = f"{NONE}: {why}."
        except Exception as why:  # noqa: BLE001 - see the module's docstring
            self.why = f"{NONE}: it could not be drawn ({type(why).__name__})."
        if not self._drawn:
            for each in (self.page, self.page.with_suffix(".json")):
                with suppress(OSError):
                    each.unlink(missing_ok=True)

    def _draw(self) -> None:
        run, limits = self.run, drift(self.run)
        before, span = self._reference(limits)
        reference = self._side(before, *span)
        now = check(run.home, run.published["rows"], run.plan.run)
        current = self._side(now, limits.since, limits.until)
        run.home.folder("pages")
        picture.render(
            reference,
            current,
            self.page,
            ROLES,
            seconds=max(self._end - time.monotonic(), 1),
            # It is there while the run works: made again it would outlive the run.
            apart=run.home.root / "staging" / run.plan.run,
            halted=self._over.is_set,
        )

    def _reference(self, limits: DriftLimits) -> tuple[Path, tuple[str, str]]:
        """The published rows of the run that the baseline is of, and the days that it is of."""
        if not limits.baseline:
            raise Undrawn("there is no baseline yet")
        run = self.run
        known = baseline.entries(run.home, run.trust.key, run.plan.document["pipeline_name"])
        for each in reversed([each for each in known if each.profiles.get(WHERE[1]) == limits.baseline]):
            folder = run.home.path(f"store:{each.rows}", run.plan.run)
            try:
                whole = measure(folder)[0] == each.rows
            except (OSError, StoreError):
                continue
            if whole:
                return folder, days(each.partition, each.span)
        raise Undrawn("the rows of the baseline are not in the store any more")

    def _side(self, folder: Path, since: str, until: str) -> pa.Table:
        """A sample of the rows of these days."""
        return sample(self._batches(folder / "rows.parquet", since, until), picture.ROWS)

    def _batches(self, path: Path, since: str, until: str) -> Iterator[pa.RecordBatch]:
        first, last = moments(since, until)
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH, columns=list(ROLES)):
                if self._over.is_set() or time.monotonic() > self._end:
                    raise Undrawn("there was no time to read the rows")
                moment = batch["timestamp"]
                yield batch.filter(pc.and_(pc.greater_equal(moment, first), pc.less(moment, last)))


def drift(run: Run) -> DriftLimits:
    """What the plan says of drift where rows are drawn."""
    return DriftLimits.model_validate(run.plan.terms[WHERE[0]][WHERE[1]][baseline.NAME].limits)


@contextmanager
def beside(run: Run) -> Iterator[None]:
    """While stages run a picture may be drawn; when they have ended it is waited for, unless they were interrupted."""
    drawing = Drawing(run)
    if baseline.NAME in run.plan.terms.get(WHERE[0], {}).get(WHERE[1], {}):
        run.notes["picture"] = drawing
    patient = False
    try:
        yield
        patient = True
    except Exception:
        patient = True
        raise
    finally:
        drawing.end(patient)


def begin(run: Run, stage: str, task: str) -> None:
    """Start the picture if these are the rows that are drawn, and somebody waits for it."""
    drawing: Drawing | None = run.notes.get("picture")
    if drawing and (stage, task) == WHERE:
        drawing.begin()
