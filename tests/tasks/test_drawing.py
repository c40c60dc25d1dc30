"""The picture of a run: drawn beside its work from published rows, linked, and nothing of it left or changed by it."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from prefect.states import Failed

from flows import pipeline
from security.drift import distances, floors
from security.drift.compare import compare
from security.drift.exact import JS, scores_on
from security.drift.levels import Levels
from security.drift.profile import Category
from security.drift.side import apart
from tasks import drawing, picture
from tasks.home import Home
from tasks.page import write
from tasks.run import Run, close
from tasks.store import measure
from tests.conformance.miniature import GOOD, start
from tests.tasks.test_page import Parsed
from tests.tasks.test_picture import working
from tests.tasks.watched import days_of, facts, known, published, tell, watching

THEN = days_of("2023-10-20", 1, [0.6, 0.3, 0.1])
NOW = days_of("2023-10-27", 2, [0.4, 0.35, 0.25], 2_500)
LONG_AGO = days_of("2023-09-01", 4, [0.0, 0.0, 1.0])
BASELINE = facts(THEN).profile
NONE = "No picture of the drift"


@pytest.fixture(autouse=True)
def _wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLUICE_PICTURES", raising=False)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run whose rows are published, and those of the baseline that its plan names."""
    made = start(Home(tmp_path / "home"), GOOD)
    made.source = SimpleNamespace(what="embedded lake")
    known(made, "2023-10-20", published(made, LONG_AGO, THEN), BASELINE)
    made.published["rows"] = published(made, LONG_AGO, NOW)
    yield watching(made, "2023-10-27", BASELINE.digest)
    close(made, "over")
    assert not [each for each in threading.enumerate() if each.name == "picture"]
    assert not working(tmp_path)
    assert not (tmp_path / "home" / "staging" / made.plan.run).exists()


def drawn(run: Run) -> Parsed:
    """The page of the run after a verdict on its rows."""
    with drawing.beside(run):
        tell(run, NOW, BASELINE)
    assert [path.name for path in (run.home.root / "staging" / run.plan.run).iterdir()] == [".pid"]
    return Parsed(write(run, Failed(message="m")).read_text())


def links(page: Parsed) -> list[str]:
    return [attrs["href"] for tag, attrs in page.tags if tag == "a"]


def drift_page(run: Run) -> Path:
    return run.home.root / "pages" / f"{run.plan.run}-drift.html"


def test_the_picture_is_drawn_and_linked_and_says_what_we_say(run: Run) -> None:
    page = drawn(run)
    assert links(page) == [drift_page(run).name]
    assert "Evidently's picture" in page.texts
    text = drift_page(run).read_text()
    assert "could not be drawn" not in text
    assert "3,000 reference and 2,500 current rows" in text, "of those days, and of no other"
    for name in ("user_id", "item_id", "interaction_type", "timestamp"):
        assert f'"column_name": "{name}"' in text
    theirs = picture.scores(json.loads(drift_page(run).with_suffix(".json").read_text()))
    method, value = theirs["interaction_type"]
    assert method == "jensenshannon"
    assert value == pytest.approx(ours(), abs=5e-5)
    exact = scores_on(*(pa.Table.from_batches([each]) for each in (THEN, NOW)), [], ["interaction_type"])
    assert exact["interaction_type"] == (JS, pytest.approx(value, abs=5e-5))
    assert value > 0.05, "they differ"


def ours() -> float:
    """The distance that the gate's score of kinds says, with what is expected of chance still in it."""
    seen = facts(NOW, BASELINE)
    held, then = seen.held["interaction_type"], BASELINE.columns["interaction_type"]
    assert isinstance(then, Category)
    sizes = sum(then.top.values()) + then.other, sum(held.counts)
    near = apart(*sizes, max(then.effect, held.effect))
    (told,) = [each for each in compare(BASELINE, seen.seen, Levels()).columns if each.column == "interaction_type"]
    (score,) = [each.value for each in told.scores if each.name == "js"]
    assert score < distances.jensen(*map(distances.shares, counts(then, held))) ** 0.5
    return float((score**2 + floors.expected(len(then.top), near)) ** 0.5)


def counts(then: Category, held: Any) -> Any:
    return np.array([*then.top.values(), then.other], float), np.array(held.counts, float)


def test_it_is_drawn_while_the_run_works(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def slowly(*args: Any, **_: Any) -> Path:
        begun.set()
        assert go.wait(20)
        args[2].write_text("drawn")
        return Path(args[2])

    monkeypatch.setattr(picture, "render", slowly)
    with drawing.beside(run):
        tell(run, NOW, BASELINE)
        assert begun.wait(20), "nobody waits for it yet"
        assert not drift_page(run).exists()
        go.set()
    assert drift_page(run).read_text() == "drawn"


def test_a_refused_run_has_its_picture(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_apart", raising(picture.Undrawn("enough")))

    def refused() -> None:
        with drawing.beside(run):
            tell(run, NOW, BASELINE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        refused()
    assert drift_page(run).exists()


def raising(why: BaseException) -> Any:
    def broken(*_: Any, **__: Any) -> Any:
        raise why

    return broken


def nobody(monkeypatch: pytest.MonkeyPatch, why: BaseException | None = None) -> None:
    """No thread can be started for a picture."""
    broken = raising(why or AssertionError("started"))
    monkeypatch.setattr(drawing, "threading", SimpleNamespace(Thread=broken, Event=threading.Event))


def said(run: Run) -> str:
    """The one line that stands for a picture; there is no page of it and no link to one."""
    page = drawn(run)
    assert links(page) == []
    assert not list(drift_page(run).parent.glob("*-drift*"))
    (line,) = [text for text in page.texts if text.startswith(NONE)]
    return line


def test_who_wants_none_gets_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_PICTURES", "no")
    nobody(monkeypatch)
    assert said(run) == f"{NONE}: SLUICE_PICTURES says no."


def test_without_a_baseline_there_is_a_line(run: Run) -> None:
    watching(run, "2023-10-27")
    assert said(run) == f"{NONE}: there is no baseline yet."


def test_rows_of_the_baseline_that_are_gone_or_altered_are_a_line(run: Run) -> None:
    (before,) = [each for each in (run.home.root / "store").iterdir() if each.name != run.published["rows"].sha256]
    (before / "manifest.json").write_text('{"more": 1}')
    gone = f"{NONE}: the rows of the baseline are not in the store any more."
    assert said(run) == gone
    shutil.rmtree(before)
    assert said(run) == gone


def test_of_two_runs_of_one_baseline_the_one_with_rows_is_taken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_apart", raising(picture.Undrawn("enough")))
    lost = run.published["rows"].model_copy(update={"sha256": "0" * 64})
    known(run, "2023-10-21", lost, BASELINE)
    known(run, "2023-10-22", lost, facts(NOW).profile)
    drawn(run)
    assert "3,000 reference" in drift_page(run).read_text()


def test_rows_of_the_run_that_were_altered_are_not_drawn(run: Run) -> None:
    (run.home.path(run.published["rows"].uri, "") / "manifest.json").write_text('{"more": 1}')
    assert said(run) == f"{NONE}: it could not be drawn (StoreError)."


def test_a_picture_that_fails_is_a_page_that_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_apart", raising(ZeroDivisionError("person-17")))
    page = drawn(run)
    assert links(page) == [drift_page(run).name]
    assert " could not be drawn: its page says why." in page.texts
    assert "could not be drawn: ZeroDivisionError" in drift_page(run).read_text()


@pytest.mark.parametrize("what", ["render", "thread", "page"])
def test_what_goes_wrong_around_it_is_a_line(run: Run, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    if what == "render":
        monkeypatch.setattr(picture, "render", raising(OSError("person-17")))
        assert said(run) == f"{NONE}: it could not be drawn (OSError)."
    elif what == "thread":
        nobody(monkeypatch, RuntimeError("can't start new thread"))
        assert said(run).startswith(NONE)
    else:
        drift_page(run).mkdir(parents=True)
        page = drawn(run)
        assert links(page) == []
        assert f"{NONE}: it could not be drawn (IsADirectoryError)." in page.texts


def test_a_run_that_ended_before_has_a_line(run: Run) -> None:
    with drawing.beside(run):
        tell(run, NOW, BASELINE, ("ingest", "fetch"))
    assert f"{NONE}: the run ended before the rows were looked at." in write(run, Failed(message="m")).read_text()


def test_outside_of_a_run_nothing_is_started(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody(monkeypatch)
    tell(run, NOW, BASELINE)
    run.plan = run.plan.model_copy(update={"terms": {}})
    with drawing.beside(run):
        drawing.begin(run, *drawing.WHERE)
    assert "picture" not in run.notes


def test_the_pipeline_waits_for_it_before_the_run_is_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_apart", raising(picture.Undrawn("enough")))
    monkeypatch.setattr(pipeline, "features", lambda rows: tell(run, NOW, BASELINE))
    run.plan = run.plan.model_copy(update={"matrix": {"features": {}}})
    pipeline.through.__wrapped__(run)
    assert drift_page(run).exists()
    assert "enough" in drift_page(run).read_text()


def test_who_interrupts_does_not_wait(run: Run, tmp_path: Path) -> None:
    staging, begun = run.home.root / "staging" / run.plan.run, list[float]()

    def interrupted() -> None:
        with drawing.beside(run):
            tell(run, NOW, BASELINE)
            end = time.monotonic() + 60
            while not list(staging.glob("picture-*/process")) and time.monotonic() < end:
                time.sleep(0.01)
            assert working(tmp_path), "it is being drawn"
            begun.append(time.monotonic())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - begun[0] < picture.SECONDS / 2
    assert not list(staging.glob("picture-*"))
    assert not working(tmp_path)
    assert not list((run.home.root / "pages").iterdir())


def test_a_picture_that_is_late_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "SECONDS", 0.0)
    assert said(run) == f"{NONE}: there was no time to read the rows."


def test_a_picture_that_hangs_is_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(picture, "SECONDS", 0.1)
    monkeypatch.setattr(drawing, "PATIENCE", 0.1)
    monkeypatch.setattr(drawing, "measure", lambda path: free.wait(30) and measure(path))
    with drawing.beside(run):
        tell(run, NOW, BASELINE)
    assert f"{NONE}: it was not ready in time." in write(run, Failed(message="m")).read_text()
    free.set()
    for each in [each for each in threading.enumerate() if each.name == "picture"]:
        each.join(20)
    assert not list(drift_page(run).parent.glob("*-drift*"))
