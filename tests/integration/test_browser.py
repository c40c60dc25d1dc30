"""A person starts `manual` from Prefect's UI in a browser, and sees there what happened and why."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flows.local import PUBLIC
from tasks.home import Home
from tasks.report import cell
from tasks.run import REFUSED
from tasks.store import current
from tests.integration.browser import UI, Run
from tests.integration.conftest import Server, evidence, verified
from tests.small import small

ASKED = {"requested_by": "alice", "reason": "the day that the shop asked about"}
DAY = "2023-08-08"
"""The fortieth day of the sample: a window of all is a small one."""
ELSEWHERE = {"sr-client-cfg.amplitude.com"}
"""Whom Prefect's UI asks on every page, whatever its settings say: here as at a proxy, it gets no answer."""


@pytest.fixture(scope="module")
def ui(worker: Server, lake: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UI]:
    """A browser on the session's server."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not executable:
        pytest.skip("no Chromium: the UI is not driven; install it (Debian: chromium)")
    base = str(worker.http.base_url).removesuffix("/").removesuffix("/api")
    with UI(base, executable, tmp_path_factory.mktemp("shots")) as made:
        yield made


@dataclass(frozen=True)
class Seen:
    """A run that a person started, and the name of the state that its badge came to."""

    run: Run
    state: str
    name: str
    policy: str
    before: dict[str, str]


def started(ui: UI, home: Home, pair: tuple[str, str], name: str) -> Seen:
    """Deployments, manual, Custom run, the form, Submit, and wait."""
    before = current(home, "serving")[1]
    deployment = ui.deployment("pipeline", "manual")
    deployment.open_form()
    deployment.fill({"document": pair[0], "policy": pair[1], "partition": DAY, **ASKED})
    ui.shot(f"{name}-form")
    run = deployment.submit()
    assert run, ui.errors()
    return Seen(run, run.ended(400), name, pair[1], before)


@pytest.fixture(scope="module")
def good(ui: UI, home: Home) -> Seen:
    """One that nothing is wrong with."""
    return started(ui, home, small(name="asked"), "asked")


@pytest.fixture(scope="module")
def bad(ui: UI, good: Seen, home: Home) -> Seen:
    """The same on the bucket that anybody may read."""
    source = f"s3://{PUBLIC}/user_interactions/2023-10-27/"
    return started(ui, home, small(name="public", source=source), "public")


def test_the_form_holds_the_bounds(ui: UI) -> None:
    deployment = ui.deployment("pipeline", "manual")
    deployment.open_form()
    deployment.fill({"partition": "yesterday", **ASKED})
    assert deployment.submit() is None
    assert "yesterday" in " ".join(ui.errors())
    ui.shot("refused-form")


def test_it_completes_and_says_who_asked_and_why(good: Seen) -> None:
    assert good.state == "Completed"
    good.run.open()
    said = good.run.parameters()
    for value in (DAY, ASKED["requested_by"], ASKED["reason"].replace(" ", "")):
        assert value in said


def test_it_is_evidence_like_any_other(good: Seen, home: Home) -> None:
    (folder,) = evidence(home, "asked")
    assert verified(home, folder, good.policy)["partition"] == DAY
    assert current(home, "serving")[1]["run"] == folder.name


def test_the_gates_are_nodes_and_tasks_that_can_be_clicked(good: Seen, ui: UI) -> None:
    good.run.open()
    stage = good.run.stage(1)
    gates = (
        "access_control_s3",
        "data_encryption_in_transit",
        "data_encryption_at_rest",
        "data_contract",
        "PII_detection",
        "data_drift_monitoring",
    )
    named = {"ingest: fetch", "ingest: clean", *(f"gate: {gate}" for gate in (*gates, "approved_inputs"))}
    assert named <= set(stage.tasks("gate: access_control_s3"))
    assert stage.click_node("Completed") in named
    ui.shot("asked-ingest")


def test_the_verdicts_are_a_table_to_be_read(good: Seen, ui: UI) -> None:
    table = good.run.artifact("gate-verdicts")
    ui.shot("asked-verdicts")
    for word in ("access_control_s3", "data_contract", "metric_thresholds", "proceed, enforced", "caught"):
        assert word in table
    assert "\\" not in table


def test_how_groups_of_users_are_served_is_on_the_page_of_the_run(good: Seen, home: Home, ui: UI) -> None:
    (folder,) = evidence(home, "asked")
    ui.page.goto(f"file://{home.root}/pages/{folder.name}.html")
    ui.page.get_by_text("Groups of users").scroll_into_view_if_needed()
    ui.page.screenshot(path=ui.shots / "asked-groups.png", full_page=True)
    for grouping, names in (
        ("activity", ["heavy", "light"]),
        ("tenure", ["new", "old"]),
        ("activity x tenure", ["heavy x new", "heavy x old", "light x new", "light x old"]),
    ):
        ui.page.get_by_text(f"{grouping} (behavioural)", exact=True).wait_for()
        picture = ui.page.get_by_role("img", name=f"ndcg of each group by {grouping}", exact=True)
        assert picture.locator("text").all_text_contents()[::2] == names
        assert picture.locator("path.interval").count() == len(names)
        assert picture.locator("line").count() == 1
    ui.page.get_by_text("Exposure of items").wait_for()
    ui.page.get_by_text("popularity (behavioural)", exact=True).wait_for()
    assert ui.page.locator("table.exposure tr").count() >= 5
    curves = ui.page.get_by_role("img", name="how exposure is shared out", exact=True)
    assert curves.locator("polyline").count() >= 4
    assert {"model", "popularity", "random"} <= set(curves.locator("text").all_text_contents())
    outside = "all => all.filter(e => e.getBBox().x + e.getBBox().width > e.ownerSVGElement.width.baseVal.value).length"
    assert ui.page.locator("svg[aria-label*=group] text").evaluate_all(outside) == 0, "what is said is cut off"


def test_a_public_bucket_is_refused_by_name(bad: Seen, ui: UI) -> None:
    assert bad.state == REFUSED
    assert bad.run.ended(10) == REFUSED
    assert bad.run.tagged("refused")
    message = bad.run.detail("State Message")
    ui.shot("public-run")
    assert "[access_control_s3] fail" in message
    assert "S3-PAB" in message or "S3-PUB-READ" in message


def test_the_gate_that_refused_is_the_red_node(bad: Seen, ui: UI) -> None:
    bad.run.open()
    stage = bad.run.stage(1)
    assert stage.click_node("Failed") == "gate: access_control_s3"
    ui.shot("public-ingest")
    assert "ingest: fetch" not in stage.tasks("gate: access_control_s3")


def test_the_refusal_is_an_artifact(bad: Seen, ui: UI) -> None:
    said = bad.run.artifact("refusal")
    ui.shot("public-refusal")
    assert "Refused" in said
    assert "S3-PAB" in said or "S3-PUB-READ" in said
    assert "published nothing" in said


def test_nothing_moved(bad: Seen, home: Home) -> None:
    assert bad.before
    assert current(home, "serving")[1] == bad.before
    (folder,) = evidence(home, "public")
    assert not (folder / "release.dsse").exists()


def test_no_text_of_a_table_makes_a_reader_fetch_anything(ui: UI, worker: Server) -> None:
    """The older UI renders cells as Markdown. What stands there unchanged does fetch: the test would see it."""
    hostile = (
        "![a](http://127.0.0.1:1/NAME.png) <img src='http://127.0.0.1:1/NAME.png'> [b]: http://127.0.0.1:1/NAME.png"
    )
    for name, told in (("safe", cell(hostile)), ("raw", hostile)):
        rows = json.dumps([{"reason": told.replace("NAME", name), "mark": f"shown {name}"}])
        made = worker.ask("POST", "/artifacts/", key="hostile", type="table", data=rows)
        ui.page.goto(f"{ui.base}/artifacts/artifact/{made['id']}")
        ui.page.get_by_text(f"shown {name}").first.wait_for()
        ui.page.wait_for_timeout(500)
    fetched = [url for url in ui.blocked if "127.0.0.1:1/" in url]
    ui.blocked[:] = [url for url in ui.blocked if url not in fetched]
    assert {url.rpartition("/")[2] for url in fetched} == {"raw.png"}


def test_nobody_but_the_server_was_answered(good: Seen, bad: Seen, ui: UI, record_property: object) -> None:
    hosts = {urlsplit(url).netloc for url in ui.blocked}
    assert callable(record_property)
    record_property("blocked", f"{len(ui.blocked)} requests to {', '.join(sorted(hosts)) or 'nobody'}")
    assert hosts <= ELSEWHERE
    taken: list[Path] = sorted(ui.shots.glob("*.png"))
    assert len(taken) >= 8, [path.name for path in taken]
