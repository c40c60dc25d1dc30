"""A run over rows that say groups of users and of items: it passes, is held to each of them, and learns from none."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from flows.shell import once
from security.proof import Held
from security.verify import verify
from tasks import process
from tasks.dataset import read
from tasks.home import Home
from tasks.run import Quiet, Run
from tests.attacks.bucket import Operator
from tests.attacks.conftest import BUCKET, Pair
from tests.attacks.groupings import DECLARED, NAME, SHELF, TEAM, said


@pytest.fixture(scope="module")
def run(operator: Operator, pair: Pair, home: Home) -> Iterator[Run]:
    operator.fill(BUCKET, "grouped", said())
    document, policy = pair("grouped", **DECLARED)
    state, made = once(Quiet(), document=document, policy=policy)
    assert state.is_completed(), state.message
    assert made is not None
    yield made
    process.stop(home.root / "service" / made.plan.run / "process.json")


def test_the_evaluation_is_held_to_groups_of_users_and_of_items(run: Run) -> None:
    held: list[Held] = []
    verify(run.log.path, run.trust, told=held)
    facts: dict[str, Any] = {each.seen.gate: each.seen.facts for each in held if each.task == "score"}
    team = facts[NAME]["groupings"]["team"]
    assert (team["kind"], team["groups"], team["unknown"]) == ("declared", 2, 0)
    assert {each["name"] for each in facts[NAME]["groups"] if each["grouping"] == "team"} == {"red", "blue"}
    assert facts[NAME]["groupings"]["activity x team"]["kind"] == "mixed"
    assert facts[NAME]["proxy"]["team"]["auc"] > 0.9, "teams are circles of items here: the embeddings tell them"
    shelf = facts["bias_detection"]["groupings"]["shelf"]
    assert (shelf["kind"], [each["name"] for each in shelf["groups"]]) == ("declared", ["low", "top"])
    assert sum(each["items"] for each in shelf["groups"]) == facts["bias_detection"]["items"]


def test_groups_lie_apart_from_what_is_learned(run: Run) -> None:
    folder = run.path(run.published["features"])
    found = read(folder)
    assert not {"team", "shelf"} & set(found.columns)
    teams = dict(zip(found.users, found.groups["user"]["team"].to_pylist(), strict=True))
    assert teams == {user: TEAM[int(user[1:]) % 8 < 3] for user in teams}
    shelves = dict(zip(found.items, found.groups["item"]["shelf"].to_pylist(), strict=True))
    assert shelves == {item: SHELF[int(item[1:]) % 2] for item in shelves}


def test_people_see_them(run: Run) -> None:
    page = (run.home.root / "pages" / f"{run.plan.run}.html").read_text()
    card = (run.home.evidence(run.plan.run) / "card.md").read_text()
    assert "team (declared)" in page
    assert "shelf (declared)" in page
    assert re.search(r"(?m)^team: declared; embeddings tell it with an AUC of (0\.9\d|1\.00)\.$", card)
    assert re.search(r"(?m)^By shelf \(declared\): exposure", card)
