"""The page of a run: everything on it is text, and it asks nobody for anything."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.states import Failed

from security.gates.fairness import Facts, Limits, report
from security.verify import Proof
from tasks.home import Home
from tasks.page import text, write
from tasks.run import Run, close
from tests.conformance.miniature import GOOD, start
from tests.security.gates import test_fairness

EVIL = "<script src=\"https://evil.example/x.js\">alert(1)</script><img src=x onerror='alert(1)'>&quot;]]>\"'"
SYSTEMS = ("model", "knn", "popularity", "random", "shuffled", "ceiling")


class Parsed(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def said(self) -> str:
        return "\n".join(self.texts)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run that has not done anything."""
    made = start(Home(tmp_path / "home"), GOOD)
    made.source = SimpleNamespace(what="embedded lake")
    yield made
    close(made, "over")


def row(**changes: Any) -> dict[str, Any]:
    usual = {"stage": "ingest", "task": "fetch", "gate": "data_contract", "outcome": "pass", "basis": "observed"}
    more = {"coverage": "40/40 rows", "canary": "caught", "reason": "fine", "seconds": 0.25, "effect": "proceed"}
    return {**usual, **more, **changes}


def noted(run: Run, word: str = "word") -> Run:
    """The run with everything that a page can show, in which everything that is text is this word."""
    run.notes |= {
        "verdicts": [row(), row(**dict.fromkeys(row(), word))],
        "metrics": {
            system: {
                name: {"value": value, "low": 0.9 * value, "high": 1.1 * value}
                for name, value in (("precision@10", 0.1 * n), ("recall@10", 0.05 * n))
            }
            for n, system in enumerate(SYSTEMS, 1)
        },
        "epochs": [(1, 5.0, None, 0.1), (2, 3.0, 0.5, 0.1), (3, 2.5, 0.6, 0.1)],
        "clean": {word: 1_234_567, "rows out": word},
        "features": {word: word},
    }  # fmt: skip
    return run


def parsed(run: Run, outcome: Any = None) -> tuple[str, Parsed]:
    page = write(run, outcome or Failed(message="refused")).read_text(encoding="utf-8")
    return page, Parsed(page)


def test_a_page_lies_in_the_home_under_its_runs_name(run: Run) -> None:
    path = write(noted(run), Failed(message="m"))
    assert path == run.home.root / "pages" / f"{run.plan.run}.html"
    assert path.read_text().startswith("<!doctype html>")


def test_a_run_that_passed_and_one_that_was_refused(run: Run) -> None:
    proof = Proof(run.plan, "0" * 64)
    _, page = parsed(noted(run), proof)
    assert ("p", {"class": "pass"}) in page.tags
    assert "passed" in page.texts
    _, page = parsed(run, Failed(name="SecurityGateFailed", message="[data_contract] fail: CON-TYPE"))
    assert ("p", {"class": "fail"}) in page.tags
    assert "refused: [data_contract] fail: CON-TYPE" in page.texts
    assert "passed" not in page.texts


def test_every_verdict_is_shown_with_its_basis_and_coverage(run: Run) -> None:
    run.notes["verdicts"] = [row(), row(outcome="fail", reason="CON-TYPE row 1", canary="not caught", basis="declared")]
    _, page = parsed(run)
    for word in ("ingest/fetch", "data_contract", "40/40 rows", "observed", "declared", "CON-TYPE row 1", "not caught"):
        assert word in page.texts
    assert [attrs["class"] for tag, attrs in page.tags if tag == "td" and "class" in attrs] == ["pass", "fail"]


def test_what_the_run_trusted_is_said(run: Run) -> None:
    said = parsed(run)[1].said
    assert "unsigned (UnsafeUnsignedPolicy)" in said
    assert f"key isolation {run.plan.isolation}" in said
    assert "target local" in said
    assert "source: embedded lake" in said


def test_figures_are_beside_their_baselines(run: Run) -> None:
    _, page = parsed(noted(run))
    for system in SYSTEMS:
        assert page.texts.count(system) == 2
    said = {"0.100 (0.090 to 0.110)", "0.600 (0.540 to 0.660)", "0.050 (0.045 to 0.055)", "0.300 (0.270 to 0.330)"}
    assert said <= set(page.texts)
    assert "1,234,567" in page.texts
    shapes = [tag for tag, _ in page.tags]
    assert (shapes.count("svg"), shapes.count("rect"), shapes.count("polyline")) == (3, 12, 2)
    assert shapes.count("line") == 1, "the threshold of precision@10"
    ends = [attrs["d"] for tag, attrs in page.tags if tag == "path" and attrs["class"] == "interval"]
    assert len(ends) == 12
    low, high = re.fullmatch(r"M([\d.]+) 13H([\d.]+)M.*", str(ends[0])).groups()  # type: ignore[union-attr]
    assert (float(low) - 110) / (float(high) - 110) == pytest.approx(0.9 / 1.1, rel=0.01)


def grouped(who: dict[str, list[str]]) -> tuple[Facts, Limits, list[report.Row]]:
    """What the page gets of an evaluation by groups, of which those by activity are behavioural."""
    kinds = dict.fromkeys(who, "declared") | {"activity": "behavioural"}
    rows = test_fairness.made(who, groups=kinds, proxy={"activity": {"auc": 0.9, "users": 300}})
    facts = test_fairness.look(rows)
    limits = Limits(groupings=kinds, ratio={"ndcg": 0.8}, behavioural={"ndcg": 0.5})  # type: ignore[arg-type]
    return facts, limits, report.rows(test_fairness.fairness.tally(rows), facts, replicates=50)


def test_groups_are_bars_beside_the_limit_of_their_kind_and_small_ones_only_names(run: Run) -> None:
    people = {
        "activity": ["light", "heavy"] * 200,
        "age": ["old", "old", "young", "young"] * 90 + ["child", "ancient"] * 20,
    }
    run.notes["groups"] = facts, limits, rows = grouped(people)
    page, found = parsed(run)
    assert {"activity (behavioural)", "age (declared)", "activity x age (mixed)"} <= set(found.texts)
    assert (
        "Embeddings tell activity: AUC 0.900 over 300 users; of two groups 0.5 is chance, of more the best told counts."
        in found.texts
    )
    (named,) = [text for text in found.texts if text.startswith("Suppressed") and "child" in text and " x " not in text]
    assert named.endswith(": ancient, child")
    assert not [text for text in found.texts if text in ("child", "ancient")], "no figure of theirs"
    shown = [row for row in rows if row.grouping == "activity" and row.metric == "ndcg"]
    for row in shown:
        said = f"{row.ratio:.3f} ({row.low:.3f} to {row.high:.3f}), {row.value:.4f} of {row.users}"
        assert said in found.texts
    labels = [attrs["aria-label"] for tag, attrs in found.tags if tag == "svg"]
    assert "ndcg of each group by activity" in labels
    assert [tag for tag, _ in found.tags].count("line") == 3, "one for each grouping, of ndcg alone"
    assert "nan" not in page.lower().replace("finance", "")


def test_groups_whose_figures_could_not_be_made_again_are_not_shown(run: Run) -> None:
    facts, limits, _ = grouped({"activity": ["light", "heavy"] * 200})
    run.notes["groups"] = facts, limits, []
    _, found = parsed(run)
    assert "Figures by group could not be made again: none is shown." in found.texts
    assert "svg" not in [tag for tag, _ in found.tags]


def test_a_name_of_a_group_is_text(run: Run) -> None:
    run.notes["groups"] = grouped({"activity": [EVIL[:60], "heavy"] * 200})
    page, found = parsed(run)
    assert "<script" not in page
    assert EVIL[:60] in found.texts


def test_nothing_on_it_can_be_anything_but_text(run: Run) -> None:
    plain = parsed(noted(run), Failed(message="word"))[1]
    run.source = SimpleNamespace(what=EVIL)
    run.plan = run.plan.model_copy(update={"target": EVIL, "partition": EVIL, "isolation": EVIL})
    page, evil = parsed(noted(run, EVIL), Failed(message=EVIL))
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attrs) for _, attrs in evil.tags] == [sorted(attrs) for _, attrs in plain.tags]
    assert "<script" not in page
    assert "<img" not in page
    assert evil.said.count(EVIL) >= 12, "what was found is shown as it was written"


def test_it_asks_nobody_for_anything(run: Run) -> None:
    page, found = parsed(noted(run))
    loading = {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "audio",
        "video",
        "image",
        "use",
        "a",
    }
    assert not {tag for tag, _ in found.tags} & loading
    attributes = {name for _, attrs in found.tags for name in attrs}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"src", "href", "xlink:href", "srcset", "action", "style", "background", "data"}
    assert not re.search(r"https?:|//|@import|url\(|javascript:|expression\(", page)
    (policy,) = [attrs["content"] for tag, attrs in found.tags if tag == "meta" and "http-equiv" in attrs]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    (charset,) = [attrs["charset"] for tag, attrs in found.tags if tag == "meta" and "charset" in attrs]
    assert charset == "utf-8"


def test_loss_metric_and_time_of_the_epochs_are_a_picture(run: Run) -> None:
    run.notes["epochs"] = [(1, 900.0, None, 0.25), (2, 700.0, 0.2, 0.5), (3, 800.0, None, 0.25), (4, 600.0, 0.3, 1.0)]
    _, found = parsed(run)
    (picture,) = [attrs for tag, attrs in found.tags if attrs.get("aria-label", "").startswith("loss")]
    assert picture["aria-label"] == "loss and validation metric of each epoch"
    loss, metric = [attrs["points"].split() for tag, attrs in found.tags if tag == "polyline"]
    assert [point.split(",")[1] for point in loss] == ["10.0", "90.0", "50.0", "130.0"]
    assert [point.split(",")[1] for point in metric] == ["130.0", "10.0"]
    assert [point.split(",")[0] for point in metric] == [loss[1].split(",")[0], loss[3].split(",")[0]]
    assert {"900", "600", "0.300", "0.200", "4 epochs, 2.0 s, 0.500 s each."} <= set(found.texts)


def test_a_run_without_anything_has_a_page(run: Run) -> None:
    run.notes.clear()
    _, page = parsed(run)
    assert "refused: refused" in page.texts


def test_numbers_that_make_no_picture_make_a_page(run: Run) -> None:
    run.notes |= {
        "metrics": {"model": {"precision@10": {"value": 0.0, "low": 0.0, "high": 0.0}}, "random": {}},
        "epochs": [(1, 0.0, None, 0.0)],
    }
    page, found = parsed(run)
    assert "nan" not in page.lower()
    assert "inf" not in re.sub("interactions|info", "", found.said.lower())


@settings(deadline=None)
@given(st.text(max_size=30))
def test_text_stays_text_between_tags_and_in_an_attribute(word: str) -> None:
    # A parser reads every end of line as one, and has no zero byte or lone surrogate.
    word = word.replace("\r", "").replace("\0", "")
    page = Parsed(f'<p title="{text(word)}">{text(word)}</p>')
    assert page.tags == [("p", {"title": word})]
    assert "".join(page.texts) == word
