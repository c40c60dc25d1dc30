"""Prefect's UI as a person drives it: pages, forms and runs of the V2 UI, by role and label.

Nothing but the server may be asked for anything: every other request is stopped and kept in `blocked`. There is no
test id in that UI and its graph is a canvas, so a node is found by the colour of its state.
"""

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, Route, TimeoutError, sync_playwright

GRAPH = {"Failed": (222, 5, 41), "Completed": (33, 157, 75)}
"""State -> colour of its nodes."""
ENDS = re.compile("^(Completed|Failed|Crashed|Cancelled|SecurityGateFailed|BackfillIncomplete)$")
"""What the badge of a run that is over says."""


class UI:
    """A browser of its own profile on one server. `shots` is where screenshots go."""

    def __init__(self, base: str, executable: str, shots: Path, seconds: float = 30) -> None:
        self.base, self.executable, self.shots, self.patience = base.rstrip("/"), executable, shots, seconds * 1000
        self.blocked: list[str] = []

    def __enter__(self) -> "UI":
        self._play = sync_playwright().start()
        self._browser = self._play.chromium.launch(executable_path=self.executable, args=["--no-sandbox"])
        context = self._browser.new_context(viewport={"width": 1400, "height": 1000}, timezone_id="UTC")
        context.route(re.compile("^(https?|wss?)://"), self._route)
        context.set_default_timeout(self.patience)
        self.page: Page = context.new_page()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind:
            self.shot("failure")
        self._browser.close()
        self._play.stop()

    def _route(self, route: Route) -> None:
        if urlsplit(route.request.url).netloc == urlsplit(self.base).netloc:
            route.continue_()
        else:
            self.blocked.append(route.request.url)
            route.abort()

    def open(self, path: str) -> Page:
        """A page of the UI."""
        self.page.goto(f"{self.base}/v2/{path}")
        return self.page

    def shot(self, name: str) -> Path:
        """A screenshot; where it is."""
        path = self.shots / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def errors(self) -> list[str]:
        """What a form complains about: under its fields, in the browser's own bubbles, in toasts."""
        native: list[str] = self.page.locator("input:invalid").evaluate_all("es => es.map(e => e.validationMessage)")
        return native + self.page.locator("main p.text-destructive, [data-sonner-toast]").all_inner_texts()

    def deployment(self, flow: str, name: str) -> "Deployment":
        """A deployment, found in the list and clicked."""
        self.open("deployments")
        link = self.page.get_by_role("link", name=flow, exact=True)
        self.page.get_by_role("row").filter(has=link).get_by_role("link", name=name, exact=True).click()
        self.page.get_by_role("button", name="Run", exact=True).wait_for()
        return Deployment(self)


class Deployment:
    """The page of a deployment, and the form of its Custom run."""

    def __init__(self, ui: UI) -> None:
        self.ui, self.page = ui, ui.page

    def open_form(self) -> Locator:
        """Run, Custom run."""
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Custom run").click()
        self.page.get_by_role("button", name="Submit").wait_for()
        return self.page.get_by_role("main")

    def fill(self, texts: Mapping[str, str]) -> None:
        """Text fields by their label. The defaults come late and would overwrite what was typed before them."""
        form = self.page.get_by_role("main")
        for label, value in texts.items():
            box = form.get_by_role("textbox", name=re.compile(rf"^{label}( \(Optional\))?$"))
            box.fill(value)

    def submit(self) -> "Run | None":
        """The run, or None where the form refuses. After an error was shown the first click only looks again.

        A server whose database is locked answers 503 with "Unknown error": a person clicks again.
        """
        for _ in range(4):
            try:
                with self.page.expect_response(re.compile("/create_flow_run$"), timeout=5000) as reply:
                    self.page.get_by_role("button", name="Submit").click()
            except TimeoutError:
                continue
            if reply.value.status == 503:
                continue
            if reply.value.status != 201:
                self.page.locator("[data-sonner-toast]").first.wait_for()
                return None
            self.page.locator("[data-sonner-toast]").get_by_role("button", name="View run").first.click()
            self.page.wait_for_url("**/runs/flow-run/**")
            return Run(self.ui)
        return None


def middle(points: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The point that is farthest from any edge: a click on the edge of a node may miss it."""
    inside = set(points)
    while True:
        inner = {(x, y) for x, y in inside if {(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)} <= inside}
        if not inner:
            return min(inside)
        inside = inner


class Run:
    """The page of a flow run."""

    def __init__(self, ui: UI) -> None:
        self.ui, self.page = ui, ui.page
        found = re.search(r"flow-run/([0-9a-f-]{36})", ui.page.url)
        assert found, ui.page.url
        self.id = found[1]

    def open(self, tab: str = "") -> None:
        """The page, or one of its tabs, from anywhere."""
        self.ui.open(f"runs/flow-run/{self.id}" + (f"?tab={tab}" if tab else ""))

    def ended(self, seconds: float) -> str:
        """The name of the state that the run ends in, from its badge; the page polls by itself."""
        self.open()  # what "View run" leaves on the page is for a moment that of the run before
        badge = self.page.get_by_role("main").get_by_text(ENDS).first
        badge.wait_for(timeout=seconds * 1000)
        return str(badge.inner_text())

    def tab(self, name: str) -> Locator:
        """A tab, clicked."""
        self.page.get_by_role("tab", name=name, exact=True).click()
        return self.page.get_by_role("tabpanel", name=name)

    def detail(self, term: str) -> str:
        """A line of the tab Details."""
        return str(self.tab("Details").locator(f"dt:has-text('{term}') + dd").inner_text())

    def parameters(self) -> str:
        """What the tab Parameters shows, without its line breaks."""
        return re.sub(r"\s+", "", self.tab("Parameters").locator(".cm-content").inner_text())

    def tagged(self, tag: str) -> bool:
        """Whether a tag stands beside the run's name."""
        label = self.page.get_by_role("main").get_by_text(tag, exact=True).first
        label.wait_for()
        return bool(label.is_visible())

    def stage(self, number: int) -> "Run":
        """The page of a stage, by its place: from the tab Subflow Runs, which lists the newest first."""
        links = self.tab("Subflow Runs").get_by_role("listitem").locator("a[href*='/runs/flow-run/']")
        links.first.wait_for()
        links.nth(links.count() - number).click()
        self.page.wait_for_url(lambda url: "/runs/flow-run/" in url and self.id not in url)
        stage = Run(self.ui)
        stage.open()  # afresh, as the graph of the run before is still on the page
        return stage

    def tasks(self, wanted: str) -> list[str]:
        """The names that the tab Task Runs lists, once `wanted` is among them."""
        panel = self.tab("Task Runs")
        panel.get_by_role("link", name=wanted, exact=True).first.wait_for()
        return list(panel.get_by_role("link").all_inner_texts())

    def _nodes(self, state: str) -> list[tuple[int, int]]:
        """The points of the graph that have a state's colour, but for the bar of states below it."""
        picture = Image.open(io.BytesIO(self.page.locator("canvas").screenshot())).convert("RGB")
        rows, columns = np.nonzero((np.asarray(picture)[30:-14] == GRAPH[state]).all(axis=2))
        return [(int(x), int(y) + 30) for x, y in zip(columns, rows, strict=True)]

    def _still(self, state: str) -> tuple[int, int]:
        """The middle of a node in this state, once the graph stands still."""
        before: list[tuple[int, int]] = []
        for _ in range(20):
            points = self._nodes(state)
            if len(points) > 60 and points == before:
                return middle(points)
            before = points
            self.page.wait_for_timeout(500)
        raise AssertionError(f"no {state} node in the graph that stands still")

    def click_node(self, state: str) -> str:
        """A node of the graph in this state, clicked: the title of the panel that opens.

        A graph that is laid out again under the pointer takes no click: a person loads the page again.
        """
        panel = self.page.locator("h3:has(a[href*='/runs/task-run/'])")
        for _ in range(5):
            x, y = self._still(state)
            self.page.locator("canvas").click(position={"x": x, "y": y})
            try:
                panel.wait_for(timeout=8000)
            except TimeoutError:
                self.ui.shot("unclicked")
                self.open()
                continue
            return str(panel.inner_text())
        raise AssertionError(f"no {state} node opened its panel when it was clicked")

    def artifact(self, key: str) -> str:
        """The text of an artifact of this run. Its key's page lists the versions of all runs."""
        self.open("Artifacts")
        self.page.get_by_role("link").filter(has=self.page.get_by_role("heading", name=key, exact=True)).first.click()
        mine = self.page.locator(f"main a[href*='{self.id}']").first
        link = "a[contains(@href,'/artifacts/artifact/')]"
        mine.locator(f"xpath=ancestor::*[.//{link}][1]//{link}").first.click()
        panel = self.page.get_by_role("tabpanel", name="Artifact")
        told = ""
        for _ in range(300):  # the button is there before the text can be seen
            told = str(panel.inner_text())
            if told.replace("Show Raw Data", "").strip():
                break
            self.page.wait_for_timeout(100)
        for number in range(2, int(re.findall(r"Page 1 of (\d+)", told)[0] if "Page 1 of" in told else 1) + 1):
            there = panel.filter(has_text=re.compile(rf"Page {number} of"))
            for _ in range(10):  # a click while the table is drawn again is lost, or counts late
                here = int((re.findall(r"Page (\d+) of", str(panel.inner_text())) or ["1"])[0])
                if here != number:
                    way = "next" if here < number else "previous"
                    panel.get_by_role("button", name=f"Go to {way} page").click()
                with suppress(TimeoutError):
                    there.wait_for(timeout=20_000)
                    break
            there.wait_for()
            told += str(panel.inner_text())
        return told
