"""A range of partitions: one run, one log and one verdict each; nothing is deployed, and a refusal is named."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from flows.backfill import backfill, partitions
from tasks.home import Home
from tasks.store import current
from tests.integration.conftest import Scheduled, Server, evidence, verified
from tests.small import WINDOW, small

DAYS = ["2023-10-26", "2023-10-27"]
ABSENT = ["2023-10-28", "2023-10-29"]
"""Days after the last that there is."""
ASKED = {"window": WINDOW, "requested_by": "alice", "reason": "the last two again"}


@dataclass(frozen=True)
class Filled:
    """What a backfill came to: its flow run, what it was asked with, and where `serving` pointed before and after."""

    flow_run: dict[str, Any]
    policy: str
    before: tuple[int, dict[str, str]]
    after: tuple[int, dict[str, str]]


@pytest.fixture(scope="module")
def filled(scheduled: Scheduled, worker: Server, home: Home) -> Filled:
    """The last two partitions by the deployment `backfill`, on the worker, while a model serves."""
    document, policy = small(name="filled")
    before = current(home, "serving")
    parameters = {"start": DAYS[0], "end": DAYS[-1], "document": document, "policy": policy, **ASKED}
    made = worker.start("backfill/backfill", parameters=parameters)
    return Filled(worker.ended(made["id"], 500), policy, before, current(home, "serving"))


@pytest.fixture(scope="module")
def broken(filled: Filled, home: Home) -> tuple[State[Any], str]:
    """One partition that is there and one that is not, in this process."""
    document, policy = small(name="broken")
    state: Any = backfill(
        start=DAYS[-1], end=ABSENT[0], document=document, policy=policy, window=WINDOW, return_state=True
    )
    return state, policy


def rows(server: Server, run: Any) -> list[tuple[str, str]]:
    """Partition and state of each row of the backfill's artifact."""
    return [(row["partition"], row["state"]) for row in json.loads(server.artifacts(str(run))["backfill"])]


def test_it_completes_and_tells_of_each_day(filled: Filled, worker: Server) -> None:
    assert (filled.flow_run["state_name"], filled.flow_run["run_count"]) == ("Completed", 1)
    assert rows(worker, filled.flow_run["id"]) == [(day, "Completed") for day in DAYS]
    assert filled.flow_run["work_queue_name"] == "backfill"


def test_each_day_is_a_run_of_its_own(filled: Filled, worker: Server) -> None:
    children = worker.children(filled.flow_run["id"])
    assert [each["parameters"]["partition"] for each in children] == DAYS
    assert {each["state_name"] for each in children} == {"Completed"}
    assert {(each["parameters"]["requested_by"], each["parameters"]["deploy"]) for each in children} == {
        ("alice", False)
    }


def test_each_day_has_a_log_that_verifies(filled: Filled, home: Home) -> None:
    told = [verified(home, folder, filled.policy) for folder in evidence(home, "filled")]
    assert [each["partition"] for each in told] == DAYS
    assert len({each["run"] for each in told}) == len({each["head"] for each in told}) == len(DAYS)
    assert [sorted(each["published"]) for each in told] == [["evaluate", "features", "ingest", "train"]] * len(DAYS)
    assert "deploy" not in {row["stage"] for each in told for row in each["held"]}


def test_nothing_is_deployed(filled: Filled, home: Home) -> None:
    assert filled.before[1]["run"]
    assert filled.after == filled.before
    for folder in evidence(home, "filled"):
        assert not (folder / "release.dsse").exists()
        assert not (home.root / "service" / folder.name).exists()


def test_a_refused_day_is_named_and_the_others_complete(broken: tuple[State[Any], str], server: Server) -> None:
    state, _ = broken
    assert (state.name, state.is_failed()) == ("BackfillIncomplete", True)
    assert state.message == f"1 of 2 partitions did not complete: {ABSENT[0]} SecurityGateFailed"
    run = state.state_details.flow_run_id
    assert rows(server, run) == [(DAYS[-1], "Completed"), (ABSENT[0], "SecurityGateFailed")]
    refused = server.children(str(run))[-1]
    assert f"user_interactions/{ABSENT[0]}/" in refused["state"]["message"]
    assert "refused" in refused["tags"]


def test_only_the_day_that_is_there_verifies(broken: tuple[State[Any], str], home: Home) -> None:
    good, bad = evidence(home, "broken")
    assert verified(home, good, broken[1])["partition"] == DAYS[-1]
    with pytest.raises(AssertionError, match="'holds': False"):
        verified(home, bad, broken[1])


@pytest.mark.parametrize(("stop", "days"), [(True, ABSENT[:1]), (False, ABSENT)])
def test_it_stops_at_a_refusal_only_if_told_to(prefect: str, lake: Home, server: Server, stop: bool, days: Any) -> None:
    document, policy = small(name="absent")
    state: Any = backfill(
        start=ABSENT[0], end=ABSENT[1], document=document, policy=policy, stop_on_refusal=stop, return_state=True
    )
    assert state.name == "BackfillIncomplete"
    assert rows(server, state.state_details.flow_run_id) == [(day, "SecurityGateFailed") for day in days]


@pytest.mark.parametrize(("start", "end"), [("2023-10-27", "2023-10-26"), ("2023-10-26", "2024-10-26")])
def test_a_range_is_one_to_366_days_the_first_one_first(start: str, end: str) -> None:
    with pytest.raises(ValueError, match="1 to 366 days"):
        partitions(start, end)


def test_a_range_takes_both_its_ends() -> None:
    assert partitions(DAYS[0], DAYS[-1]) == DAYS
    assert partitions("2024-02-28", "2024-03-01") == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert len(partitions("2023-01-01", "2024-01-01")) == 366
