"""What people see of drift: columns with their scores, what was not compared, how it went; and it decides nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Failed

from security.drift.compare import compare
from security.drift.levels import Levels, Moved, Score, Untested
from security.gates.drift import DriftLimits, Facts, newest
from security.verdict import Outcome
from tasks import ledger, picture, watch
from tasks.history import Point
from tasks.home import Home
from tasks.page import write
from tasks.run import Run, close
from tasks.watch import LINES, Look, looked, points, section, table
from tests.conformance.miniature import GOOD, start
from tests.tasks.test_page import EVIL, Parsed, parsed
from tests.tasks.watched import days_of, facts, limits, tell, watching

THEN = days_of("2023-10-26", 1, [0.6, 0.3, 0.1])
BASELINE = facts(THEN).profile
STEADY = days_of("2023-10-27", 2, [0.6, 0.3, 0.1])
MOVED = days_of("2023-10-27", 3, [0.1, 0.3, 0.6])
LIMITS = DriftLimits.model_validate(limits("2023-10-27", BASELINE.digest))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run that watches for drift and has not done anything."""
    made = start(Home(tmp_path / "home"), GOOD)
    made.source = SimpleNamespace(what="embedded lake")
    yield watching(made, "2023-10-27", BASELINE.digest)
    close(made, "over")


def moved(column: str, outcome: Any = "steady", scores: tuple[Score, ...] = (), reason: str = "fine") -> Moved:
    return Moved(column=column, role="id", outcome=outcome, reason=reason, rows=1234.5, scores=scores)


def score(name: str, value: float = 0.5, limit: float | None = 0.25, drifted: bool = False) -> Score:
    return Score(name=name, value=value, floor=0.125, limit=limit, drifted=drifted, reason="r")


def test_where_rows_could_not_be_counted_in_the_baseline_it_is_said_why() -> None:
    other = BASELINE.model_copy(update={"mark": BASELINE.mark[::-1]})
    seen = Facts(digest=other.digest, baseline=other, held={}, profile=facts(MOVED).profile, newest=None)
    found = looked(seen, LIMITS, "features/protect")
    assert (found.columns, found.untested) == ((), ())
    assert found.said == "nothing could be compared: the reference was made under another secret."


def test_every_column_is_told_as_the_gate_compared_it() -> None:
    found = looked(facts(MOVED, BASELINE), LIMITS, "features/protect")
    seen, count = facts(MOVED, BASELINE), len(BASELINE.columns) + 1
    wanted, alone = compare(BASELINE, seen.seen, LIMITS.levels), newest(seen, LIMITS)
    assert alone is not None
    assert (found.columns[:count], found.untested, found.baseline) == (
        wanted.columns,
        wanted.untested,
        BASELINE.digest,
    )
    assert [(each.column, each.scores) for each in found.columns[count:]] == [
        (f"newest {each.column or 'rows'}", each.scores) for each in alone.columns
    ]
    page = Parsed(table([found]))
    assert f"{BASELINE.digest[:12]}" in page.texts
    assert BASELINE.digest not in page.said
    for name in ("rows", "user_id", "item_id", "interaction_type", "timestamp"):
        assert page.texts.count(name) == page.texts.count(f"newest {name}") == 1
    first = page.texts[page.texts.index("reason") + 1 :]
    assert first[:4] == ["features/protect", "interaction_type", *first[2:3], "drifted"]
    assert first[2] == f"{next(c for c in wanted.columns if c.column == 'interaction_type').rows:,.0f}"
    assert "drifted" not in Parsed(table([looked(facts(STEADY, BASELINE), LIMITS, "p")])).texts


def test_scores_have_their_floor_and_limit_and_the_drifted_are_first() -> None:
    scores = (score("a"), score("b", limit=None), score("c", 0.75, drifted=True))
    page = Parsed(table([Look("x/y", "0" * 64, (moved("col", "drifted", scores, "c moved"),))]))
    assert [text for text in page.texts if "chance" in text][:2] == [
        "c 0.75 (chance 0.125, limit 0.25)",
        "a 0.5 (chance 0.125, limit 0.25)",
    ]
    assert not [text for text in page.texts if text.startswith("b ")], "without a limit it is no score to look at"
    assert [attrs for tag, attrs in page.tags if tag == "span"] == [{"class": "fail"}]
    assert page.texts.index("1,234") < page.texts.index("drifted") < page.texts.index("c moved")


def test_what_was_not_compared_is_named_with_its_reason() -> None:
    gap = Untested(column="column 0123456789ab", reason="no role is declared for it (string)")
    page = Parsed(table([Look("x/y", "0" * 64, (moved("col"),), (gap,))])).texts
    at = page.index("Not compared")
    assert page[at + 4 : at + 7] == ["x/y", gap.column, gap.reason]
    assert "Not compared" not in Parsed(table([Look("x/y", "0" * 64, (moved("col"),))])).texts


def test_without_a_baseline_there_are_words_and_no_scores(run: Run) -> None:
    watching(run, "2023-10-27")
    assert tell(run, STEADY, None).outcome is Outcome.PASS
    page = Parsed(section(run))
    assert "features/protect: there is no baseline yet: 3,000 rows were counted, none compared." in page.texts
    assert "table" not in {tag for tag, _ in page.tags}
    assert "No scores yet." in page.texts
    assert not (run.home.root / "history" / "sample.jsonl").exists()


def test_a_baseline_that_was_not_used_is_not_told_as_none() -> None:
    said = looked(facts(STEADY), LIMITS, "x/y").said
    assert said.startswith(f"baseline {BASELINE.digest[:12]} was not used")


def test_no_rows_are_words() -> None:
    found = looked(facts(STEADY.slice(0, 0), BASELINE), LIMITS, "x/y")
    assert (found.columns, found.said) == ((), "nothing could be compared: there are no rows to compare.")
    assert found.said in Parsed(table([found])).said


def test_points_are_the_scores_with_a_limit() -> None:
    found = points(Look("x/y", "0" * 64, (moved("", scores=(score("volume"), score("b", limit=None))),)), "2023-10-27")
    assert found == [Point("2023-10-27", "rows", "volume", 0.5, 0.25, False)]


def test_every_verdict_is_a_line_and_a_point_on_the_page(run: Run) -> None:
    tell(run, STEADY, BASELINE)
    tell(run, MOVED, BASELINE, ("ingest", "fetch"))
    past = ledger.read(run.home, run.plan.document["pipeline_name"])
    wanted = points(looked(facts(STEADY, BASELINE), LIMITS, "features/protect"), "2023-10-27")
    assert past.points["features/protect"] == wanted
    assert {each.score for each in wanted} >= {"volume", "move", "hours"}
    assert any(each.drifted for each in past.points["ingest/fetch"])
    assert not any(each.drifted for each in past.points["features/protect"])
    page = Parsed(section(run))
    titles = [text for text in page.texts if text.startswith("Drift over time")]
    assert titles == ["Drift over time, features/protect", "Drift over time, ingest/fetch"]
    tags = [tag for tag, _ in page.tags]
    assert tags.count("svg") == 2 + tags.count("details") == 4, "what a first plot has no room for is folded away"


def test_runs_before_are_on_the_page_the_later_of_one_partition(run: Run) -> None:
    for partition, batch in (("2023-10-25", STEADY), ("2023-10-26", MOVED), ("2023-10-26", STEADY)):
        watching(run, partition, BASELINE.digest)
        run.notes.clear()
        tell(run, batch, BASELINE)
    page = section(run)
    assert "2023-10-25" in page
    assert "over 2 partitions, 0 of them drifted" in page
    path = run.home.root / "history" / f"{run.plan.document['pipeline_name']}.jsonl"
    path.write_bytes(path.read_bytes() + b"{\nnull\n")
    assert "2 lines of the file of scores are damaged or foreign: skipped." in Parsed(section(run)).texts


def test_the_page_of_a_run_has_table_plot_and_link(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(run, MOVED, BASELINE)
    run.notes["picture"] = SimpleNamespace(line=lambda: '<p class="k"><a href="r-drift.html">picture</a></p>')
    page, found = parsed(run)
    assert "interaction_type" in found.texts
    assert {"svg", "a", "table"} <= {tag for tag, _ in found.tags}
    assert page.index("<h2>Gates") < page.index("<h2>Drift</h2>") < page.index("r-drift.html") < page.index("over time")


def test_no_value_of_a_row_is_anywhere(run: Run) -> None:
    tell(run, MOVED, BASELINE)
    kept = (run.home.root / "history" / f"{run.plan.document['pipeline_name']}.jsonl").read_text()
    assert not re.search(r"\bview\b|click|purchase|person-|film-", section(run) + kept)


def test_nothing_on_it_can_be_anything_but_text(run: Run) -> None:
    def page(word: str) -> str:
        look = Look(word, word * 9, (moved(word, scores=(score(word, drifted=True),), reason=word),), said=word)
        gap = Look(word, word, (), (Untested(column=word, reason=word),))
        return table([look, gap, Look(word, said=word)])

    plain, evil = Parsed(page("word")), Parsed(page(EVIL))
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attrs) for _, attrs in evil.tags] == [sorted(attrs) for _, attrs in plain.tags]
    assert evil.said.count(EVIL[:40]) >= 8


def test_a_foreign_line_is_text_on_the_page(run: Run) -> None:
    tell(run, STEADY, BASELINE)
    name = run.plan.document["pipeline_name"]
    told = [Point("2023-10-26", EVIL[:100], EVIL[:100], 0.5, 0.1, True)]
    ledger.append(run.home, name, ledger.line("r", "2023-10-26", "features/protect", "0" * 64, told))
    page = section(run)
    assert "&lt;script src=&quot;" in page
    assert not {tag for tag, _ in Parsed(page).tags} & {"script", "img"}


def test_lines_are_few(run: Run) -> None:
    look = Look("x/y", "0" * 64, tuple(moved(f"c{n:04}") for n in range(LINES + 7)))
    page = Parsed(table([look]))
    assert [tag for tag, _ in page.tags].count("tr") == 1 + LINES
    assert "and 7 more lines" in page.texts


@pytest.mark.parametrize("what", ["looked", "points", "ledger", "drawing"])
def test_what_goes_wrong_with_it_changes_no_verdict(run: Run, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    target = {"ledger": "tasks.ledger.append", "drawing": "tasks.drawing.begin"}.get(what, f"tasks.watch.{what}")
    monkeypatch.setattr(target, broken)
    assert tell(run, STEADY, BASELINE).outcome is Outcome.PASS
    assert [row["outcome"] for row in run.notes["verdicts"]] == ["pass"]
    assert write(run, Failed(message="m")).exists()


@pytest.mark.parametrize("part", ["table", "plots"])
def test_a_part_that_cannot_be_shown_is_a_line(run: Run, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("person-17")

    tell(run, STEADY, BASELINE)
    monkeypatch.setattr(watch, part, broken)
    page, found = parsed(run)
    assert "Could not be shown: ZeroDivisionError." in found.texts
    assert "person-17" not in page
    assert ("<svg" in page) == (part == "table")


def test_a_file_that_is_no_file_is_a_line(run: Run) -> None:
    (run.home.folder("history") / f"{run.plan.document['pipeline_name']}.jsonl").mkdir()
    tell(run, STEADY, BASELINE)
    _, found = parsed(run)
    assert "Could not be shown: IsADirectoryError." in found.texts
    assert "interaction_type" in found.texts


def test_where_nothing_was_looked_at_there_is_nothing(run: Run) -> None:
    assert section(run) == ""
    assert Levels().rows < picture.ROWS
