"""The plot of scores over partitions: every value where it belongs, gaps as gaps, and nothing but text and shapes."""

import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from rich.console import Console

from tasks.history import DEEP, HIGH, LEFT, MORE, PANELS, POINTS, SPAN, TOP, WIDTH, Point, plot, summary
from tasks.page import STYLE
from tests.tasks.test_page import EVIL, Parsed

DAYS = [f"2023-10-{n:02}" for n in range(1, 11)]
RED, BLUE = "#b3131b", "#2463b0"


def line(values: list[float | None], column: str = "c", limit: float | None = 1.0, score: str = "ks") -> list[Point]:
    return [
        Point(day, column, score, value, limit, value is not None and limit is not None and value > limit)
        for day, value in zip(DAYS, values, strict=False)
    ]


def shapes(found: str, tag: str) -> list[dict[str, str]]:
    return [attrs for name, attrs in Parsed(found).tags if name == tag]


def middles(found: str) -> list[tuple[float, float, str]]:
    return [(float(c["cx"]), float(c["cy"]), c["fill"]) for c in shapes(found, "circle")]


def lines(found: str) -> list[list[tuple[float, ...]]]:
    return [[tuple(map(float, p.split(","))) for p in each["points"].split()] for each in shapes(found, "polyline")]


def test_values_lie_where_they_belong_and_what_drifted_is_red() -> None:
    found = plot(line([0.0, 0.5, 2.0]))
    top = 2.0 * 1.08
    wanted = [(LEFT + SPAN * n / 2, TOP + DEEP * (top - value) / top) for n, value in enumerate((0.0, 0.5, 2.0))]
    for (x, y, colour), (wanted_x, wanted_y), due in zip(middles(found), wanted, (BLUE, BLUE, RED), strict=True):
        assert (x, y) == pytest.approx((wanted_x, wanted_y), abs=0.06)
        assert colour == due
    assert lines(found) == [[(x, y) for x, y, _ in middles(found)]]
    (limit,) = [path for path in shapes(found, "path") if "stroke-dasharray" in path]
    assert limit["stroke"] == RED
    assert {float(y) for y in re.findall(r"V([\d.]+)", limit["d"])} == {round(TOP + DEEP * (top - 1) / top, 1)}
    assert Parsed(found).texts.count("2023-10-03: 2, drifted") == 1
    assert "2023-10-02: 0.5" in Parsed(found).texts


@pytest.mark.parametrize("gap", [None, math.nan, math.inf])
def test_a_partition_without_a_value_is_a_gap(gap: float | None) -> None:
    found = plot(line([0.1, 0.2, gap, 0.3, 0.4]))
    assert [len(each) for each in lines(found)] == [2, 2]
    assert len(middles(found)) == 4
    assert lines(found)[1][0][0] == LEFT + SPAN * 3 / 4
    assert "nan" not in found
    assert "inf" not in found


def test_a_partition_that_only_another_column_has_is_a_gap_too() -> None:
    some = [point for point in line([0.1] * 5, "some") if point.partition != DAYS[2]]
    found = plot(some + line([0.1] * 5, "whole"))
    assert sorted(len(each) for each in lines(found)) == [2, 2, 5]


def test_what_drifted_without_a_value_is_marked() -> None:
    assert "×" in Parsed(plot([Point(DAYS[0], "c", "ks", None, 1.0, True)])).texts
    assert "×" not in Parsed(plot([Point(DAYS[0], "c", "ks", None, 1.0, False)])).texts


def test_partitions_are_in_order_and_the_later_of_two_points_counts() -> None:
    points = line([0.1, 0.2, 0.3])
    again = Point(DAYS[1], "c", "ks", 0.25, 1.0, False)
    assert plot(points[::-1]) == plot(points)
    assert plot([*points, again]) == plot([points[0], again, points[2]])
    texts = Parsed(plot(points)).texts
    assert texts.index(DAYS[0]) < texts.index(DAYS[2])


def test_a_limit_that_changes_steps_and_one_that_nobody_said_is_not_drawn() -> None:
    points = line([0.1, 0.1], limit=1.0) + [Point(DAYS[2], "c", "ks", 0.1, 0.5, False)]
    (path,) = [path["d"] for path in shapes(plot(points), "path") if "stroke-dasharray" in path]
    assert len(set(re.findall(r"V([\d.]+)", path))) == 2
    assert not [path for path in shapes(plot(line([0.1], limit=None)), "path") if "stroke-dasharray" in path]


def test_what_drifted_comes_first_then_what_is_nearest_to_its_limit() -> None:
    points = line([0.1], "calm") + line([0.9], "near") + line([0.2], "drifted", limit=0.1) + line([5.0], "free", None)
    words = [text for text in Parsed(plot(points)).texts if text in ("calm", "near", "drifted", "free")]
    assert words == ["drifted", "near", "calm", "free"]
    places = re.findall(r"translate\((\d+) (\d+)\)", plot(points))
    assert places == [("0", "0"), (f"{WIDTH}", "0"), ("0", f"{HIGH}"), (f"{WIDTH}", f"{HIGH}")]


def test_every_column_has_a_panel_before_any_has_two() -> None:
    """However near to its limits all of one column is."""
    points = [
        point
        for column, value in (("busy", 0.9), ("calm", 0.1))
        for score in range(PANELS + 6)
        for point in (Point("p", column, f"s{score}", value, 1.0, False),)
    ]
    found = plot(points)
    seen, folded = found.split("<details>")
    assert (Parsed(seen).texts.count("busy"), Parsed(seen).texts.count("calm")) == (PANELS - 1, 1)
    assert (len(shapes(seen, "g")), len(shapes(folded, "g"))) == (PANELS, PANELS + 12)
    assert f"<summary>{PANELS + 12} panels more</summary>" in folded


def test_panels_and_points_are_bounded_and_what_is_left_out_is_said() -> None:
    most = PANELS + MORE
    many = [
        Point(f"p{n:03}", f"c{column:03}", "ks", 0.001 * column, 1.0, False)
        for n in range(POINTS + 5)
        for column in range(most + 3)
    ]
    found = plot(many)
    assert len(shapes(found, "g")) == most
    assert len(shapes(found, "circle")) == most * POINTS
    assert "Not shown: 3 panels that are farthest from their limits, 5 partitions before p005." in found
    assert "c002" not in Parsed(found).texts, "the farthest are left out"
    assert "c003" in Parsed(found).texts
    assert "Not shown" not in plot([point for point in many if point.partition >= "p005" and point.column >= "c003"])


def test_it_is_an_image_with_a_name_and_no_script() -> None:
    (picture,) = shapes(plot(line([0.1, 2.0]) + line([0.1], "other")), "svg")
    assert picture["role"] == "img"
    assert picture["aria-label"] == "scores of 2 columns over 2 partitions, 1 of them drifted"
    assert picture["viewbox"] == f"0 0 {2 * WIDTH} {HIGH}"
    assert 2 * WIDTH <= 720
    attributes = {name for _, attrs in Parsed(plot(line([0.1, 2.0]))).tags for name in attrs}
    assert not attributes & {"src", "href", "style", "onload"}


def test_text_stays_text() -> None:
    found = plot([Point(EVIL[n:], EVIL[n:], EVIL[n:], 0.5, 0.1, True) for n in range(3)])
    assert {tag for tag, _ in Parsed(found).tags} == {
        "svg", "g", "text", "tspan", "path", "polyline", "circle", "title", "p"
    }  # fmt: skip
    assert "<script" not in found
    assert EVIL[:13] in Parsed(found).said


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [-1.0, -2.0], [1e300, 1e-300], [None], [5e-324]])
def test_numbers_that_make_no_picture_make_one(values: list[float | None]) -> None:
    found = plot(line(values, limit=None))
    assert "nan" not in found
    assert "inf" not in found
    assert all(TOP <= y <= TOP + DEEP for _, y, _ in middles(found))


def test_nothing_is_said() -> None:
    assert plot([]) == '<p class="k">No scores yet.</p>'


def printed(points: list[Point]) -> list[list[str]]:
    console = Console(width=120, color_system=None)
    with console.capture() as caught:
        console.print(summary(points))
    return [row.split() for row in caught.get().splitlines()]


def test_a_line_for_each_column_on_a_terminal() -> None:
    rows = printed(line([0.1, None, 0.8], "[red]calm") + line([0.5, 1.0, 2.0], "drifted") + line([None], "none", None))
    assert rows[1:] == [
        ["drifted", "ks", "2", "1", "1", "▃▅█"],
        ["[red]calm", "ks", "0.8", "1", "0", "▂", "█"],
        ["none", "ks", "none", "none", "0"],
    ]
    assert len(printed([])) == 1


@pytest.mark.real
def test_a_browser_shows_it_at_720_pixels(tmp_path: Path) -> None:
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not executable:
        pytest.skip("no Chromium: the plot is not looked at; install it (Debian: chromium)")
    points = line([0.1, 0.2, None, 0.4, 2.0], "W" * 40, score="W" * 40) + line([0.1] * 5, "b") + line([0.2], "c")
    page = tmp_path / "page.html"
    page.write_text(f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><body>{plot(points)}</body>')
    asked: list[str] = []
    wrong: list[Any] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 720, "height": 900})
        view.on("request", lambda request: asked.append(request.url))
        view.on("pageerror", lambda error: wrong.append(error))
        view.goto(page.as_uri())
        image = view.get_by_role("img", name="scores of 3 columns")
        box = image.bounding_box()
        wide = view.evaluate("document.documentElement.scrollWidth")
        size = view.locator("svg text").first.evaluate("e => e.getBoundingClientRect().height")
        outside = view.evaluate(
            "() => { const s = document.querySelector('svg').getBoundingClientRect();"
            "return [...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect())"
            ".filter(r => r.left < s.left - 1 || r.right > s.right + 1).length }"
        )
        over = view.evaluate(
            "() => { const r = [...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect());"
            "return r.flatMap((a, i) => r.slice(i + 1).filter(b => a.left < b.right - 1 && b.left < a.right - 1"
            " && a.top < b.bottom - 2 && b.top < a.bottom - 2)).length }"
        )
        colour = view.locator("circle").nth(3).evaluate("e => getComputedStyle(e).fill")
        view.screenshot(path=tmp_path / "page.png")
        browser.close()
    assert asked == [page.as_uri()]
    assert not wrong
    assert box
    assert wide <= 720
    assert box["width"] > 600
    assert size > 11, "pixels of a line of text"
    assert outside == 0
    assert over == 0, "texts that lie over each other"
    assert colour == "rgb(179, 19, 27)"
