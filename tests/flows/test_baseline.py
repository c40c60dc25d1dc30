"""`sluice baseline`: what it shows of a home, what it compares, and what it refuses."""

import json
import re
from pathlib import Path

import pytest

from flows.cli import main
from security.drift.profile import Reference
from security.gates.drift import Facts
from security.keys import UnsafeLocalKeys
from security.policy import Plan, Terms
from tasks import baseline, ledger
from tasks.history import Point
from tasks.home import Home
from tests.security.gates.test_drift import GATE, SECRET, log, made, material, rows_of

Said = pytest.CaptureFixture[str]
ONE, TWO = made(log(1)), made(log(2, 4_000))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
    return Home(tmp_path)


def facts(profile: Reference) -> Facts:
    return Facts(digest="", baseline=None, held={}, profile=profile, newest=None)


def entered(home: Home, run: str, profile: Reference, how: baseline.How = "established", reason: str = "") -> None:
    """A run of the pipeline `shop` of which the index says something."""
    watched = Terms(limits={"since": "2024-01-05", "partitions": 1}, accepts={}, observe=())
    plan = Plan.model_construct(
        document={"pipeline_name": "shop"},
        partition="2024-01-05",
        run=run,
        policy_sha256="0" * 64,
        terms={"features": {"protect": {baseline.NAME: watched}}},
    )
    signer = UnsafeLocalKeys(home.root / "keys").signer("producer")
    baseline.enter(home, signer, plan, {"protect": facts(profile)}, "", how, reason)


def told(capsys: Said, *argv: str) -> list[dict[str, object]]:
    assert main(["baseline", *argv, "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_nothing_is_shown_of_a_home_in_which_nothing_passed(home: Home, capsys: Said) -> None:
    assert main(["baseline", "show"]) == 0
    assert capsys.readouterr().out == "no baseline yet: a run that passes establishes one\n"
    assert main(["baseline", "show", "shop"]) == 2
    assert "no baseline of a pipeline 'shop' yet" in capsys.readouterr().err


def test_what_is_pinned_and_what_passed_last_are_shown(home: Home, capsys: Said) -> None:
    entered(home, "first", ONE)
    entered(home, "second", TWO, "passed")
    pinned, rolling = told(capsys, "show", "shop")
    assert (pinned["what"], pinned["digest"], pinned["run"], pinned["how"]) == (
        "pinned", ONE.digest, "first", "established",
    )  # fmt: skip
    assert (rolling["what"], rolling["digest"], rolling["run"]) == ("rolling", TWO.digest, "second")
    assert (pinned["rows"], rolling["rows"]) == (3_000, 4_000)
    assert pinned["bytes"] == len(ONE.bytes)
    assert main(["baseline", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:5] for line in lines[1:]] == [
        ["shop", "protect", "1", "pinned", ONE.digest[:12]],
        ["shop", "protect", "1", "rolling", TWO.digest[:12]],
    ]


def test_one_that_was_set_counts_and_its_reason_is_shown(home: Home, capsys: Said) -> None:
    entered(home, "first", ONE)
    entered(home, "second", TWO, "set", "the shop\x1b[31m has a new app")
    assert [(each["run"], each["how"]) for each in told(capsys, "show")][0] == ("second", "set")
    assert main(["baseline", "show"]) == 0
    said = capsys.readouterr().out
    assert "the shop" in said
    assert "\x1b" not in said


def test_of_one_pipeline_the_scores_over_its_partitions_are_shown(home: Home, capsys: Said) -> None:
    entered(home, "first", ONE)
    for day, value in (("2024-01-04", 0.2), ("2024-01-05", 1.7)):
        points = [Point(day, "item_id", "weight", value, 1.5, value > 1.5)]
        ledger.append(home, "shop", ledger.line("run", day, "features/protect", ONE.digest, points))
    assert main(["baseline", "show", "shop"]) == 0
    said = capsys.readouterr().out
    assert "scores over partitions, features/protect" in said
    assert re.search(r"item_id +weight +1.7 +1.5 +1 +\S", said)
    assert main(["baseline", "show"]) == 0
    assert "scores over" not in capsys.readouterr().out


@pytest.mark.parametrize("what", ["gone", "altered", "another"])
def test_a_profile_that_is_not_what_the_index_names_is_told(home: Home, capsys: Said, what: str) -> None:
    entered(home, "first", ONE)
    entered(home, "second", TWO, "passed")
    paths = [home.root / "baselines" / f"{each.digest}.dsse" for each in (ONE, TWO)]
    if what == "gone":
        paths[0].unlink()
    else:
        data = paths[0].read_bytes()
        half = len(data) // 2
        flipped = data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]
        paths[0].write_bytes(flipped if what == "altered" else paths[1].read_bytes())
    assert main(["baseline", "show"]) == 0
    said = capsys.readouterr().out
    wanted = {"gone": "is not in this home any more", "altered": "envelope", "another": f"lies where {ONE.digest[:12]}"}
    assert f"! {ONE.digest[:12]}: " in said
    assert wanted[what] in said


def test_two_profiles_are_compared_by_the_first_digits_of_their_digests(home: Home, capsys: Said) -> None:
    entered(home, "first", ONE)
    entered(home, "second", TWO, "passed")
    found = told(capsys, "diff", ONE.digest[:9], TWO.digest[:9])
    assert {"column": "rows", "what": "count", "one": 3_000, "other": 4_000} in found
    assert ("user_id", "distinct") in {(each["column"], each["what"]) for each in found}
    assert told(capsys, "diff", ONE.digest, ONE.digest) == []
    assert main(["baseline", "diff", ONE.digest, ONE.digest]) == 0
    assert capsys.readouterr().out == "they say the same\n"


def test_a_column_more_and_another_secret_are_differences(home: Home, capsys: Said) -> None:
    wide = log(1).append_column("column 0123456789ab", log(1)["row"])
    more = GATE.look(material(rows_of(wide), None, SECRET[::-1]).handed()[0]).profile
    entered(home, "first", ONE)
    entered(home, "second", more, "passed")
    found = {(each["column"], each["what"]) for each in told(capsys, "diff", ONE.digest, more.digest)}
    assert ("", "secret") in found
    assert any(column.startswith("column ") and what == "type" for column, what in map(tuple, found))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["diff", "nobody"], "no run 'nobody' in this home"),
        (["diff", ".."], "no run '..' in this home"),
        (["diff", "f", "f"], "0 baselines begin with 'f'; allowed: one"),
        (["diff", "a", "b", "c"], "3 names; allowed: a run, or two baselines"),
        (["set", "nobody", "--reason", "x"], "no run 'nobody' in this home"),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(home: Home, capsys: Said, argv: list[str], said: str) -> None:
    assert main(["baseline", *argv]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["set"], ["set", "run"], ["diff"], ["drop", "run"]])
def test_what_is_no_command_of_it_ends_with_2(capsys: Said, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["baseline", *argv])
    assert ended.value.code == 2
    assert "usage: sluice baseline" in capsys.readouterr().err
