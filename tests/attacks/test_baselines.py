"""What becomes a baseline in real runs: never what a refused run saw; and what is held against one that was kept."""

import hashlib
import json
import re
from typing import Any

import pytest

from flows.cli import main
from security.keys import UnsafeLocalKeys
from security.resolve import ELSEWHERE
from tasks.baseline import Entry, entries, pinned
from tasks.home import Home
from tests.attacks import drifts
from tests.attacks.bucket import DAYS, Operator, Row, body, lines, packed, rows
from tests.attacks.conftest import BUCKET, Pair
from tests.attacks.table import AGENT
from tests.attacks.test_replays import ran

LAST = DAYS[-1]
AGENTS = tuple(AGENT.replace("Chrome/119.0.6045.105", f"Chrome/{number}.0.6045.105") for number in range(116, 120))
SOME: dict[str, Any] = {"stages": ["ingest", "features"]}


def known(home: Home, pipeline: str) -> list[Entry]:
    """What the index says of a pipeline."""
    return entries(home, UnsafeLocalKeys(home.root / "keys").public("producer"), pipeline)


def files(home: Home) -> dict[str, str]:
    """The baselines of the home -> the SHA-256 of their files."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (home.root / "baselines").glob("*")}


def browser(row: Row) -> str:
    """The browser of a person."""
    return AGENTS[int(str(row["user_id"])[1:]) % len(AGENTS)]


def browsed(always: str = "") -> dict[str, bytes]:
    """Both days with a browser in every row, each person's own, or always the same."""
    told = {day: [row | {"user_agent": always or browser(row)} for row in rows(day)] for day in DAYS}
    return {day: packed(lines(each)) for day, each in told.items()}


@pytest.mark.parametrize("spoiled", ["types", "drift", "last gate"])
def test_what_a_refused_run_saw_is_never_a_baseline(
    operator: Operator, pair: Pair, home: Home, spoiled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of a first run which the contract refuses, nor of one that a later stage refuses, nor of a later run."""
    name = f"refused_{spoiled.replace(' ', '_')}"
    changes: dict[str, Any] = {"name": name}
    bodies, before = {}, set[str]()
    if spoiled == "types":
        bodies = {LAST: body(LAST, change=dict.fromkeys(range(3, 63), {"interaction_type": "stare"}))}
    elif spoiled == "last gate":
        changes["thresholds"] = {"precision@10": 0.99}
    else:
        operator.fill(BUCKET, f"{name}-first")
        document, policy = pair(f"{name}-first", **changes)
        state, _ = ran(home, document=document, policy=policy, **SOME)
        assert state.is_completed(), state.message
        before = {each.run for each in known(home, name)}
        assert len(before) == 1
        bodies = dict(drifts.middle())
    operator.fill(BUCKET, name, bodies)
    kept = files(home)
    document, policy = pair(name, **changes)
    state, run = ran(home, document=document, policy=policy)
    assert state.is_failed(), state.message
    assert re.search("CON-TYPE|DRIFT-COLUMN|MET-THRESHOLD", state.message), state.message
    assert run is not None
    assert any(gate == "data_drift_monitoring" for _, _, gate, _ in run.heard)
    assert {each.run for each in known(home, name)} == before
    assert files(home) == kept


def test_every_browser_becomes_one(operator: Operator, pair: Pair, home: Home) -> None:
    operator.fill(BUCKET, "browsers", browsed())
    document, policy = pair("browsers", name="browsers")
    state, run = ran(home, document=document, policy=policy, **SOME)
    assert state.is_completed(), state.message
    assert run is not None
    assert [(each.run, each.how) for each in known(home, "browsers")] == [(run.plan.run, "established")]

    state, again = ran(home, document=document, policy=policy, **SOME)
    assert state.is_completed(), state.message
    assert again is not None
    first, second = known(home, "browsers")
    assert (second.run, second.how, second.profiles) == (again.plan.run, "passed", first.profiles)
    assert again.plan.profiles == first.profiles
    assert pinned([first, second], "fetch") == first

    operator.fill(BUCKET, "browsers", browsed(AGENTS[0]))
    state, _ = ran(home, document=document, policy=policy, **SOME)
    assert state.is_failed()
    assert re.search(drifts.moved("user_agent"), state.message), state.message
    assert "item_id" not in state.message
    assert known(home, "browsers") == [first, second]

    operator.fill(BUCKET, "browsers")
    state, _ = ran(home, document=document, policy=policy, **SOME)
    assert re.search(drifts.moved("user_agent"), state.message), state.message


def test_who_chooses_fewer_partitions_does_not_choose_that_nothing_is_compared(
    operator: Operator, pair: Pair, home: Home
) -> None:
    """Under `first: establish`: rows of a day that is refused with the day before it are refused alone as well."""
    operator.fill(BUCKET, "window")
    document, policy = pair("window", name="window")
    state, _ = ran(home, document=document, policy=policy, **SOME)
    assert state.is_completed(), state.message
    before = known(home, "window")

    operator.fill(BUCKET, "window", dict(drifts.middle()))
    state, run = ran(home, document=document, policy=policy, window=1, **SOME)
    assert state.is_failed()
    assert "DRIFT-FIRST baseline: there is no baseline of one partition yet" in state.message, state.message
    assert run is not None
    assert run.plan.profiles == dict.fromkeys(before[0].profiles, ELSEWHERE)
    assert known(home, "window") == before

    operator.fill(BUCKET, "window")
    state, run = ran(home, document=document, policy=policy, window=1, **SOME)
    assert "DRIFT-FIRST" in state.message, "good rows too: of how many partitions a first one is, a person says"
    assert run is not None
    given = ["--policy", policy, "--reason", "one day by itself", "--refused"]
    assert main(["baseline", "set", run.plan.run, *given]) == 0
    state, run = ran(home, document=document, policy=policy, window=1, **SOME)
    assert run is not None
    assert run.plan.profiles["fetch"] == known(home, "window")[-1].profiles["fetch"]


def test_a_person_accepts_what_moved(
    operator: Operator, pair: Pair, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a run that this gate alone refused, said by name and with a reason; from no other that was refused."""
    operator.fill(BUCKET, "accepted")
    # Of the newest partition alone no baseline of all partitions is like it until those before have changed as well.
    document, policy = pair(
        "accepted", name="accepted", data_drift_monitoring={"newest": {"move": 0.4, "variation": 0.4}}
    )
    state, _ = ran(home, document=document, policy=policy, **SOME)
    assert state.is_completed(), state.message
    (first,) = known(home, "accepted")

    def put(run: str, *more: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["baseline", "set", run, "--policy", policy, "--reason", "the app changed", *more])
        said = capsys.readouterr()
        return code, said.out + said.err

    operator.fill(BUCKET, "accepted", {LAST: body(LAST, change=dict.fromkeys(range(3, 63), {"item_id": None}))})
    state, spoiled = ran(home, document=document, policy=policy, **SOME)
    assert state.is_failed()
    assert spoiled is not None
    code, said = put(spoiled.plan.run, "--refused")
    assert (code, "was refused, and not for drift: [data_contract] fail" in said) == (2, True), said

    operator.fill(BUCKET, "accepted", dict(drifts.middle()))
    state, moved = ran(home, document=document, policy=policy, **SOME)
    assert re.search(drifts.moved("interaction_type"), state.message), state.message
    assert moved is not None
    code, said = put(moved.plan.run)
    assert (code, "if its rows are to count, say --refused" in said) == (2, True), said
    assert known(home, "accepted") == [first]

    log = moved.log.path.read_bytes()
    moved.log.path.write_bytes(b"".join(log.splitlines(keepends=True)[:-1]))
    code, said = put(moved.plan.run, "--refused")
    moved.log.path.write_bytes(log)
    assert (code, "does not end this run with this log" in said) == (2, True), said

    code, said = put(moved.plan.run, "--refused")
    assert code == 0, said
    assert f"accepted: fetch is held against {known(home, 'accepted')[1].profiles['fetch'][:12]} from now on" in said
    entry = known(home, "accepted")[1]
    assert (entry.run, entry.how, entry.reason) == (moved.plan.run, "set", "the app changed")

    state, again = ran(home, document=document, policy=policy, **SOME)
    assert re.search(drifts.moved("interaction_type"), state.message), "the cleaned rows were not seen before"
    assert again is not None
    assert any(where[:2] == ("features", "protect") for where in again.heard)
    assert again.plan.profiles["fetch"] == entry.profiles["fetch"] != first.profiles["fetch"]
    code, said = put(again.plan.run, "--refused")
    assert code == 0, said

    state, _ = ran(home, document=document, policy=policy, **SOME)
    assert state.is_completed(), state.message

    operator.fill(BUCKET, "accepted")
    state, back = ran(home, document=document, policy=policy, **SOME)
    assert re.search(drifts.moved("interaction_type"), state.message), "what was good before is what moved now"
    assert back is not None
    assert main(["baseline", "diff", back.plan.run, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {(e["column"], e["against"]) for e in told if e.get("drifted")} == {
        ("interaction_type", entry.profiles["fetch"])
    }
