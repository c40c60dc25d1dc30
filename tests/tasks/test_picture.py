"""Evidently's picture: what it shows, what it must not, and that nothing comes of what goes wrong with it."""

import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import sync_playwright
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from tasks import picture
from tasks.frame import Undrawn, seal
from tasks.picture import draw, render, scores
from tasks.tame import Kind, Tamed, tame
from tests.tasks.test_page import Parsed

EVIL = "</script><script>window.evil = 1</script><!--<script>"
CARD = 4_111_111_111_111_111
KINDS: dict[str, Kind] = {
    "user": "id", "kind": "category", "seconds": "number", "when": "time", "few": "number", "flag": "category",
    "none": "number", EVIL: "category",
}  # fmt: skip


def rows(count: int, shift: float, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    kinds = [f"kind-{n}" for n in rng.choice(4, count, p=[0.4, 0.3, 0.2, 0.1] if shift else [0.25] * 4)]
    kinds[:9] = ["planted@example.org"] * 9
    seconds = rng.normal(shift, 2, count)
    seconds[0] = CARD
    return pa.table(
        {
            "user": [f"account-{n}" for n in rng.integers(0, 50, count)],
            "kind": kinds,
            "seconds": seconds,
            "when": pa.array(rng.integers(1_700_000_000, 1_700_086_400, count), pa.timestamp("s", "UTC")),
            "few": pa.array(rng.integers(0, 3, count), pa.uint8()),
            "flag": rng.random(count) < 0.3,
            "none": pa.nulls(count),
            EVIL: [EVIL] * count,
            "unknown": [f"secret-{n}" for n in range(count)],
        }
    )


BEFORE, AFTER = rows(3000, 0, 1), rows(2500, 1, 2)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page as a run makes it."""
    out = tmp_path_factory.mktemp("pages") / "drift.html"
    assert render(BEFORE, AFTER, out, KINDS, apart=tmp_path_factory.mktemp("apart")) == out
    return out


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No sockets but the pair through which a loop of asyncio wakes itself; what was asked for."""
    draw(tame(BEFORE, AFTER, {"few": "number"}))  # urllib3 looks for IPv6 when it is imported
    asked: list[str] = []

    class Refused(socket.socket):
        def __init__(self, family: int = -1, *more: Any, **named: Any) -> None:
            if family != socket.AF_UNIX:
                refuse("socket")
            super().__init__(family, *more, **named)

        def connect(self, address: Any) -> None:
            refuse("connect")

    def refuse(what: str, *_: Any, **__: Any) -> None:
        asked.append(what)
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket, "socket", Refused)
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, functools.partial(refuse, name))
    return asked


def test_the_page_shows_the_columns_and_names_the_others(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "could not be drawn" not in text
    said = Parsed(text).said
    assert "This page decides nothing." in said
    assert "3,000 reference and 2,500 current rows" in said
    for name in ("user", "kind", "seconds", "when", "few", "flag"):
        assert f'"column_name": "{name}"' in text
        assert f"<td>{name}</td>" in text
    assert "<td>none</td><td>reference: nothing but nulls</td>" in text
    assert "<td>unknown</td><td>no kind was declared</td>" in text
    assert '"column_name": "none"' not in text
    assert '"kind-3"' in text


def test_no_id_no_rare_category_and_no_outlier_is_on_it(page: Path) -> None:
    found = page.read_text(encoding="utf-8") + page.with_suffix(".json").read_text()
    assert not re.search("account-|planted|example.org|secret-", found)
    digits = [m for m in re.findall(r"\d{7,}(?:\.\d+)?", found) if m.startswith(str(CARD)[:6])]
    assert not digits, "a number is told to a thousandth of the range"


def test_what_is_in_the_rows_is_data_on_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "window.evil" in text, "the category is shown"
    assert EVIL not in text
    assert [tag for tag, _ in Parsed(text).tags].count("script") == 4, "data, two of the library, and the call"
    # And were it in what Evidently wrote.
    sealed = seal(_written(json.dumps({"name": EVIL + "&"})), "")
    assert [tag for tag, _ in Parsed(sealed).tags].count("script") == 4
    (found,) = re.findall(r"var metric_ab = (.*?);var additional", sealed)
    assert not set(found) & set("<>&")
    assert json.loads(found) == {"name": EVIL + "&"}


def test_it_loads_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = Parsed(text)
    loading = {"link", "img", "iframe", "object", "embed", "base", "form", "audio", "video", "image", "use", "a"}
    assert not {tag for tag, _ in found.tags} & loading
    attributes = {name for _, attrs in found.tags for name in attrs}
    assert not attributes & {"src", "href", "xlink:href", "srcset", "action", "style", "background", "data"}
    (policy,) = [attrs["content"] for tag, attrs in found.tags if tag == "meta" and "http-equiv" in attrs]
    assert "http" not in policy
    assert policy.startswith("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; ")
    assert text.index("Content-Security-Policy") < text.index("<style")


def test_scores_are_read_from_the_file_beside_it(page: Path) -> None:
    found = scores(json.loads(page.with_suffix(".json").read_text()))
    assert {name: method for name, (method, _) in found.items()} == {
        "user": "wasserstein",
        "seconds": "wasserstein",
        "when": "wasserstein",
        "few": "jensenshannon",
        "kind": "jensenshannon",
        "flag": "jensenshannon",
        "‹/script›‹script›window.evil = 1‹/scrip…": "jensenshannon",
    }


def test_a_picture_is_drawn_without_a_socket(asked: list[str]) -> None:
    part = tame(BEFORE.select(["few", "kind"]), AFTER.select(["few", "kind"]), KINDS)
    text, report = draw(part)
    assert set(scores(report)) == {"few", "kind"}
    assert "drawDashboard" in text
    assert os.environ["DO_NOT_TRACK"] == "1"
    assert asked == []
    with pytest.raises(AssertionError, match="asked for"):
        urllib.request.urlopen("http://127.0.0.1:9")
    assert asked == ["create_connection"]


def shares(side: pa.Array, words: list[Any]) -> np.ndarray:
    values = side.drop_null().to_pylist()
    return np.array([values.count(word) for word in words]) / len(values)


@pytest.mark.parametrize("count", [600, 3000])
def test_scores_are_those_of_numpy_and_scipy(count: int) -> None:
    rng = np.random.default_rng(count)
    gaps = rng.random(count) < 0.1
    sides = [
        pa.table(
            {
                "number": pa.array(rng.gamma(2 + shift, 3, count), mask=gaps),
                "wide": pa.array(
                    rng.integers(0, 200 + int(50 * shift), count), pa.uint8() if not shift else pa.int16()
                ),
                "few": pa.array(rng.choice([1, 2, 4], count, p=[0.5, 0.3 - shift / 5, 0.2 + shift / 5])),
                "word": pa.array(
                    rng.choice(list("abcd"), count, p=[0.4, 0.3, 0.2 - shift / 5, 0.1 + shift / 5]), mask=gaps
                ),
                "when": pa.array(
                    rng.integers(1_700_000_000, 1_700_000_900 + int(shift * 99), count), pa.timestamp("s")
                ),
                "constant": np.full(count, 5.0 + shift),
            }
        )
        for shift in (0.0, 0.5)
    ]
    kinds: dict[str, Kind] = dict.fromkeys(sides[0].column_names, "number") | {"word": "category", "when": "time"}
    tamed = tame(*sides, kinds)
    assert not tamed.left
    found = scores(draw(tamed)[1])
    wanted: dict[str, tuple[str, float]] = {}
    for name in ("number", "wide", "when"):
        before, after = (
            side[name].drop_null().cast(pa.int64() if name != "number" else pa.float64()).to_numpy().astype(float)
            for side in sides
        )
        wanted[name] = ("wasserstein", wasserstein_distance(before, after) / before.std())
    for name, words in (("few", [1, 2, 4]), ("word", list("abcd")), ("constant", [5.0, 5.5])):
        wanted[name] = ("jensenshannon", float(jensenshannon(*(shares(side[name], words) for side in sides))))
    assert set(found) == set(wanted)
    for name, (method, value) in wanted.items():
        assert found[name][0] == method
        assert found[name][1] == pytest.approx(value, abs=5e-5), name
        assert value > 0.005, f"{name} has a score that two ways of nothing would share"


@pytest.mark.parametrize("kind", ["category", "id"])
def test_a_column_of_ids_costs_what_another_does(kind: Kind) -> None:
    ids = pa.table({"c": np.arange(40_000)})
    tamed = tame(ids, ids, {"c": kind})
    _, report = draw(tamed)
    assert scores(report)["c"][1] == 0
    assert len(tamed.reference["c"].unique()) == 1, "what Evidently makes its keys of"


def test_whatever_evidently_raises_is_a_line_on_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("account-17 divided")

    monkeypatch.setattr(picture, "_apart", broken)
    out = tmp_path / "drift.html"
    out.with_suffix(".json").write_text("{}")
    text = render(BEFORE, AFTER, out, KINDS).read_text()
    assert "could not be drawn: ZeroDivisionError" in text
    assert "account-17" not in text
    assert "<td>kind</td>" in text, "what was to be drawn is said all the same"
    assert not out.with_suffix(".json").exists(), "of the page before"
    tags = [tag for tag, _ in Parsed(text).tags]
    assert "script" not in tags


def test_nothing_to_draw_is_a_line_on_a_page(tmp_path: Path) -> None:
    for number, table in enumerate(
        (pa.table({}), pa.table({"c": pa.nulls(3)}), pa.table({"c": pa.array([], pa.int8())}))
    ):
        out = render(table, table, tmp_path / f"{number}.html", {"c": "number"})
        assert "could not be drawn: no column can be drawn" in out.read_text()


def test_a_process_that_is_late_is_ended(tmp_path: Path) -> None:
    out = render(BEFORE, AFTER, tmp_path / "drift.html", KINDS, seconds=0.2, apart=tmp_path)
    assert "could not be drawn: not ready after 0.2 s" in out.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["drift.html"], "no number is left behind"
    assert not working(tmp_path)


def working(folder: Path) -> list[Path]:
    """Processes that were started for something in a folder."""
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(folder).encode() in _read(path)]


def test_a_process_is_ended_with_who_started_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def interrupted(_: float) -> None:
        if not seen:
            seen.extend(working(tmp_path))
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        render(BEFORE, AFTER, tmp_path / "drift.html", KINDS, apart=tmp_path)
    assert len(seen) == 1
    assert not working(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_bounded_sample_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tamed] = []

    def keep(tamed: Tamed, *_: Any) -> Any:
        seen.append(tamed)
        raise Undrawn("enough")

    monkeypatch.setattr(picture, "_apart", keep)
    for seed in (1, 1, 2):
        out = render(BEFORE, AFTER, tmp_path / "drift.html", {"seconds": "number"}, rows=100, seed=seed)
    assert "at most 100 of 3,000 reference and as many of 2,500 current rows" in out.read_text()
    first, same, other = (each.reference["seconds"] for each in seen)
    assert (len(first), len(seen[0].current["seconds"])) == (100, 100)
    assert first.equals(same)
    assert not first.equals(other)


def child(work: str, tmp_path: Path, seconds: int = 60) -> tuple[int, dict[str, Any]]:
    """The process of a picture whose `draw` does this; its code, and what it left."""
    (tmp_path / "columns").write_text("{}")
    for side in ("reference", "current"):
        picture.feather.write_feather(pa.table({"a": [1.0]}), str(tmp_path / side))
    code = (
        f"import socket, time\nfrom tasks import picture\n"
        f"def draw(tamed):\n    {work}\n    return 'page', {{}}\n"
        f"picture.draw = draw\npicture.main({str(tmp_path)!r}, '{seconds}')"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True)
    done = tmp_path / "done"
    return ended.returncode, json.loads(done.read_text()) if done.is_file() else {}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def test_the_process_has_no_sockets(tmp_path: Path, listener: socket.socket) -> None:
    connect = f"socket.create_connection({listener.getsockname()!r})"
    for work in (connect, "socket.socket(socket.AF_UNIX).connect('/x')", "socket.getaddrinfo('localhost', 1)"):
        (tmp_path / "done").unlink(missing_ok=True)
        assert child(work, tmp_path) == (0, {"error": "PermissionError"})
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert child("pass", tmp_path) == (0, {"page": "page", "report": {}})


def test_the_process_has_bounds(tmp_path: Path) -> None:
    assert child("__import__('mmap').mmap(-1, picture.MEMORY)", tmp_path) == (0, {"error": "OSError"})
    (tmp_path / "done").unlink()
    assert child("time.sleep(20)", tmp_path, 1) == (-signal.SIGALRM, {})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _written(first: str = "{}", second: str = "{}", more: str = "", name: str = "metric_ab") -> str:
    return (
        f'\n <!DOCTYPE html>\n <html lang="en">\n <head>\n <meta charset="UTF-8">\n <style>a{{}}</style>\n'
        f"<script>\n var {name} = {first};\n var additional_graphs_{name} = {second};\n</script>\n </head>\n <body>\n"
        f'<div id="root_{name}"></div><script>var global</script><script>lib</script><script>draw()</script>{more}\n'
        "</body></html>"
    )


def test_numbers_are_told_to_a_thousandth_of_their_range() -> None:
    made = seal(_written('{"x": [0, 0.5, 2125551234], "y": 1.23456789, "z": [["a", 1], [true, 12345.678]]}'), "")
    assert '{"x": [0, 0, 2126000000], "y": 1.23456789, "z": [["a", 1], [true, 12345.678]]}' in made.replace(".0", "")
    assert "[5.0, 5.0]" in seal(_written("[5.0, 5.0]"), "")
    assert "[0.123, NaN, 3.0]" in seal(_written("[0.1231111, NaN, 3.0]"), "")


@pytest.mark.parametrize(
    "page",
    [
        "",
        _written().replace("<!DOCTYPE html>", "<html>"),
        _written("{"),
        _written("{}</script><script>var a = {}"),
        _written(second="{}; evil()"),
        _written(name="other"),
    ],
)
def test_a_page_that_is_not_built_as_expected_is_refused(page: str) -> None:
    with pytest.raises(Undrawn, match="not built as expected"):
        seal(page, "")


@pytest.mark.parametrize(
    "more",
    [
        '<script src="https://evil.example/x.js"></script>',
        "<img src=x>",
        '<link rel="stylesheet" href="//evil.example/x.css">',
        "<style>@import 'x'</style>",
        "<style>a{background:url(https://evil.example/x)}</style>",
        '<IFRAME\nSRC="x"></IFRAME>',
        '<object data="x"></object>',
    ],
)
def test_a_page_that_loads_something_is_refused(more: str) -> None:
    assert "told" in seal(_written(more="<p>fine</p>"), "told")
    with pytest.raises(Undrawn, match="elsewhere"):
        seal(_written(more=more), "told")


@pytest.mark.real
def test_a_browser_shows_it_and_asks_nobody(page: Path) -> None:
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not executable:
        pytest.skip("no Chromium: the page is not looked at; install it (Debian: chromium)")
    asked: list[str] = []
    wrong: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1200, "height": 900})
        view.on("request", lambda request: asked.append(request.url))
        view.on("pageerror", lambda error: wrong.append(str(error)))
        view.goto(page.as_uri())
        view.get_by_role("button", name="Detail panel visibility toggle").first.click()
        view.locator(".js-plotly-plot .main-svg").first.wait_for()
        rows = view.get_by_role("button", name="Detail panel visibility toggle").count()
        evil = view.evaluate("typeof window.evil")
        sent = view.evaluate("fetch('https://example.org').then(() => 'sent', () => 'refused')")
        browser.close()
    assert wrong == []
    assert asked == [page.as_uri()]
    assert rows >= 5
    assert evil == "undefined"
    assert sent == "refused"
