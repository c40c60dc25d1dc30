"""A pipeline's metrics from run to run, on the page."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tasks import ledger, trend
from tasks.home import Home
from tests.tasks.test_page import Parsed


def run(home: Home, name: str, partition: str, pipeline: str = "sample") -> Any:
    stage = {"metrics": ["precision@10", "coverage@10"], "thresholds": {"precision@10": 0.5, "lift@10": 1.2}}
    document = {"pipeline_name": pipeline, "stages": [{}, {}, {}, stage, {}]}
    return SimpleNamespace(
        home=home, plan=SimpleNamespace(document=document, run=name, partition=partition, sha256="a" * 64), notes={}
    )


def seen(value: float, low: float) -> Any:
    def of(precision: float) -> dict[str, Any]:
        exact = {"value": 0.25, "low": 0.25, "high": 0.25}
        return {"metrics": {"precision@10": {"value": precision, "low": low, "high": 1.0}, "coverage@10": exact}}

    return SimpleNamespace(facts={"systems": {"model": of(value), "popularity": of(0.125), "random": of(0.01)}})


def test_each_metric_of_each_run_is_a_point_and_one_below_its_threshold_is_said(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for number, (value, low) in enumerate([(0.6, 0.55), (0.625, 0.45), (0.7, 0.65)]):
        trend.heard(run(home, f"run-{number}", f"2023-10-2{number}"), "evaluate", "score", seen(value, low))
    page = Parsed(trend.section(run(home, "run-9", "2023-10-29")))
    (picture,) = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert picture["aria-label"] == "scores of 4 columns over 3 partitions, 1 of them below"
    points = [text for text in page.texts if text.startswith("2023-10-2") and ": " in text]
    assert {"2023-10-20: 0.6", "2023-10-21: 0.625, below", "2023-10-22: 0.7"} <= set(points)
    assert [text for text in points if text.endswith("0.125")], "popularity beside it"
    assert not [text for text in points if text.endswith(": 0.01")]
    assert any(text.startswith("Red: below") for text in page.texts)


def test_pipelines_are_apart_and_a_foreign_line_is_counted(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert trend.section(run(home, "run-1", "2023-10-20")) == ""
    trend.heard(run(home, "run-1", "2023-10-20"), "evaluate", "score", seen(0.6, 0.55))
    assert trend.section(run(home, "run-1", "2023-10-20", "other")) == ""
    assert not ledger.read(home, "sample").points, "scores of drift are another file"
    with ledger.path(home, "sample.metrics").open("a") as file:
        file.write("<script>\n")
    page = Parsed(trend.section(run(home, "run-2", "2023-10-21")))
    assert any("1 lines of the file of metrics are damaged" in text for text in page.texts)
    assert "script" not in [tag for tag, _ in page.tags]
