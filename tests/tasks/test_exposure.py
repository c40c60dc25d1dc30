"""How items are shown, on the page of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from security.gates.bias import Facts, Limits, rows
from tasks import exposure
from tests.security.gates import test_bias
from tests.tasks.test_page import Parsed


def shown(facts: Facts, **changes: Any) -> tuple[Parsed, Limits]:
    limits = Limits.model_validate(test_bias.LIMITS | changes)
    run: Any = SimpleNamespace(notes={"exposure": (facts, limits)})
    return Parsed(exposure.section(run)), limits


def test_each_limit_has_its_sentence_and_says_whether_it_is_kept() -> None:
    facts = test_bias.look(test_bias.sound(600))
    page, limits = shown(facts, gini=0.1)
    told = rows(facts, limits)
    assert {row.side for row in told} >= {"kept", "broken"}
    cells = [attrs.get("class") for tag, attrs in page.tags if tag == "td" and attrs]
    assert cells == [exposure.WORDS[row.side] for row in told]
    for row in told:
        assert row.sentence in page.texts


def test_curves_are_of_each_system_and_end_where_all_exposure_is() -> None:
    facts = test_bias.look(test_bias.sound(600))
    page, _ = shown(facts)
    lines = [attrs for tag, attrs in page.tags if tag == "polyline"]
    assert len(lines) == len(set(facts.curves) & set(exposure.COLOURS)) >= 1
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line["points"].split()]
        assert points[0] == (0.0, float(exposure.SIDE))
        assert points[-1] == (float(exposure.SIDE), 0.0)
        assert [point[1] for point in points] == sorted((point[1] for point in points), reverse=True)


def test_groups_are_bars_with_their_limit() -> None:
    facts = test_bias.look(test_bias.labelled(600))
    page, _ = shown(facts, groupings=test_bias.LABELLED["groupings"])
    assert {"popularity (behavioural)", "label (declared)"} <= set(page.texts)
    labels = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"]
    assert "exposure of each group by label and catalogue" in labels
    assert "exposure of each group by popularity and relevance" in labels
    (large,) = [each for each in facts.groupings["label"].groups if each.name == "large"]
    assert any(text.startswith(f"{large.by_catalogue.value:.3f} (") for text in page.texts)


def test_where_nothing_was_looked_at_nothing_is_said() -> None:
    run: Any = SimpleNamespace(notes={})
    assert exposure.section(run) == ""


def test_it_is_what_the_gate_saw() -> None:
    facts = test_bias.look(test_bias.sound(600))
    limits = SimpleNamespace(limits=test_bias.LIMITS)
    terms = {"evaluate": {"score": {exposure.NAME: limits}}}
    run: Any = SimpleNamespace(notes={}, plan=SimpleNamespace(terms=terms))
    seen: Any = SimpleNamespace(facts=facts.model_dump(mode="json"))
    exposure.heard(run, "evaluate", "score", seen)
    assert run.notes["exposure"] == (facts, Limits.model_validate(test_bias.LIMITS))
