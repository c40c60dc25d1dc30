"""The command: what it imports before it says something, how it ends, and what `verify` takes for proof."""

import argparse
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from configs import load
from flows import cli, local, shell
from flows.cli import main
from flows.options import parser
from flows.screen import Screen
from security.keys import UnsafeLocalKeys
from tasks.home import Home
from tasks.run import Run, close, inside
from tasks.stage import stage
from tests.conformance.miniature import BAD, GOOD, MATRIX, POLICY, start, work

ROOT = Path(__file__).parent.parent.parent
NAMES = "demo run backfill plan verify token sign digest baseline advisories check manifest model up stop"
Said = pytest.CaptureFixture[str]


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    """A home in which nothing was done."""
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


def python(code: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout


HEAVY = ("prefect", "tensorflow", "boto3", "botocore", "pandas", "moto", "presidio_analyzer", "evidently", "fairlearn")


@pytest.mark.parametrize("modules", ["flows.cli", "flows.cli, flows.demo, flows.shell", "flows.cli, flows.audit"])
def test_nothing_heavy_is_imported_before_the_first_line(modules: str) -> None:
    told = python(f"import sys, {modules}; print(sorted(set({HEAVY!r}) & set(sys.modules)))")
    assert told == "[]\n"


@pytest.mark.parametrize(
    "argv", [["run"], ["run", "--document", "movielens"], ["demo"], ["backfill", "--start=a", "--end=b"]]
)
def test_the_first_line_comes_before_anything_is_started(
    empty: Home, capsys: Said, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    told: list[str] = []

    def ready(*_: Any, **__: Any) -> str:
        told.append(capsys.readouterr().out)
        raise KeyboardInterrupt

    monkeypatch.setattr(shell, "ready", ready)
    assert main(argv) == 130
    assert told[0].startswith("sluice")
    assert f"sluice {argv[0]}: interrupted" in capsys.readouterr().err


def test_the_commands_are_these_and_each_says_what_it_does(capsys: Said) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for command in NAMES.split():
        assert re.search(rf"^    {command}\s+[a-z]", said, re.MULTILINE), command
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert "usage: sluice" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [[], ["rnu"], ["run", "--partitions", "x"], ["run", "--window", "many"], ["verify"], ["verify", "x"],
     ["verify", "x", "--key", "k"], ["verify", "x", "--policy", "local"], ["token"], ["sign"], ["backfill"]],
)  # fmt: skip
def test_what_is_no_command_ends_with_2(argv: list[str], capsys: Said) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: sluice" in capsys.readouterr().err


def test_a_plan_that_can_be_made_ends_with_0(capsys: Said) -> None:
    assert main(["plan"]) == 0
    assert capsys.readouterr().out == "sample under local: every check is built; target local\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            ["plan", "--document", "sample", "--policy", "kubernetes_test"],
            "kubernetes_test.yaml: target kubernetes_test; sample.json goes no further than local",
        ),
        (["plan", "--document", "sampel"], "'sampel' (nearest: sample)"),
        (["plan", "--policy", "locl"], "no policy 'locl' (nearest: local)"),
        (["sign", "locl"], "no policy 'locl'"),
        (["digest", "sampel"], "'sampel' (nearest: sample)"),
        (["verify", "x", "--key", "k", "--policy", "locl"], "no policy 'locl'"),
    ],
)
def test_what_cannot_be_done_ends_with_2_in_one_sentence(empty: Home, argv: list[str], said: str, capsys: Said) -> None:
    assert main(argv) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"sluice {argv[0]}: ")
    assert said in told.err
    assert told.err.count("\n") == 1
    assert not empty.root.exists()


def test_a_digest_is_the_line_that_pins(capsys: Said) -> None:
    assert main(["digest", "sample"]) == 0
    name, _, sha = capsys.readouterr().out.strip().partition(": ")
    policy = load.policy(load.text(load.find("local", "policies")))
    assert policy.documents[name] == sha
    assert main(["digest", str(load.find("interactions", "contracts"))]) == 0
    name, _, sha = capsys.readouterr().out.strip().partition(": ")
    assert policy.contracts[name] == sha


def test_signing_and_tokens_leave_no_key_on_the_screen(empty: Home, capsys: Said) -> None:
    assert main(["sign", "local"]) == 0
    assert (empty.root / "trust" / "owner.pub").is_file()
    assert main(["token", "u1", "--seconds", "60"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[0].startswith("signed by the owner's key (UnsafeLocalKeys): ")
    assert told.splitlines()[1].count(".") == 2
    for path in (empty.root / "keys").iterdir():
        assert not any(line in told for line in path.read_text().splitlines())


def test_where_nothing_runs_nothing_is_stopped(empty: Home, capsys: Said) -> None:
    assert main(["stop"]) == 0
    assert capsys.readouterr().out == "nothing was running\n"


def test_every_command_has_its_work() -> None:
    (commands,) = (each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    assert set(commands.choices) == set(cli.WORK)


def test_an_error_of_ours_that_nobody_expected_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(given: Any) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "WORK", {**cli.WORK, "plan": broken})
    with pytest.raises(ZeroDivisionError):
        main(["plan"])


@pytest.fixture
def ran(prefect: str, lake: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """The session's home, with everything that a run needs, and Prefect's own level of logging kept."""
    monkeypatch.setattr(shell, "_warm", lambda: None)
    kept = logging.getLogger("prefect").level
    yield lake
    logging.getLogger("prefect").setLevel(kept)


REFUSED = ["run", "--policy", "kubernetes_test"]


def test_a_run_that_is_refused_ends_with_1_and_says_why(ran: Home, capsys: Said) -> None:
    assert main(REFUSED) == 1
    said = capsys.readouterr().out
    assert said.startswith("sluice run: home ")
    assert "✗ refused: plan: kubernetes_test.yaml: target kubernetes_test; sample.json goes no further" in said


def test_a_refused_run_in_json_is_one_object_and_nothing_else(ran: Home, capsys: Said) -> None:
    assert main([*REFUSED, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == "SecurityGateFailed"
    assert "sample.json goes no further than local" in told["message"]
    assert told["prefect"].startswith("http://127.0.0.1:")


@pytest.fixture(scope="module")
def runs(prefect: str, home: Home) -> dict[str, Run]:
    """A run of one stage that passed, and one that was refused."""
    made = {}
    for name, rows in (("passed", GOOD), ("refused", BAD)):
        run = made[name] = start(home, rows)
        with inside(run):
            state = flow(stage("ends")(lambda: work()), name="ends", retries=0)(return_state=True)
        assert state.is_completed() == (name == "passed")
        close(run, name)
    return made


@pytest.fixture
def brought(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an auditor brings along: a public key and a policy, from outside of the evidence."""
    monkeypatch.setattr(load, "matrix", lambda: MATRIX)
    key, policy = tmp_path / "producer.pub", tmp_path / "miniature.yaml"
    key.write_bytes(UnsafeLocalKeys(home.root / "keys").public("producer").pem)
    policy.write_text(json.dumps(POLICY))
    return ["--key", str(key), "--policy", str(policy)]


@pytest.fixture
def evidence(runs: dict[str, Run]) -> str:
    """The folder of the run that passed."""
    return str(runs["passed"].log.path.parent)


def test_a_run_that_passed_verifies(evidence: str, brought: list[str], capsys: Said) -> None:
    assert main(["verify", evidence, *brought]) == 0
    said = capsys.readouterr().out
    assert "✓ ends/work" in said
    assert "✗" not in said
    assert main(["verify", evidence, *brought, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["holds"] is True
    assert [(each["gate"], each["outcome"], each["basis"]) for each in told["held"]] == [
        ("data_contract", "pass", "observed")
    ]
    assert told["key_isolation"] == "none"


def test_a_run_that_was_refused_does_not(runs: dict[str, Run], brought: list[str], capsys: Said) -> None:
    folder = str(runs["refused"].log.path.parent)
    assert main(["verify", folder, *brought]) == 1
    assert "✗ run " in capsys.readouterr().out
    assert main(["verify", folder, *brought, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["holds"] is False
    assert told["why"].startswith("[data_contract] fail: CON-TYPE")


def test_an_altered_log_does_not(evidence: str, brought: list[str], tmp_path: Path, capsys: Said) -> None:
    copy = shutil.copytree(evidence, tmp_path / "runs" / Path(evidence).name)
    data = (copy / "log.jsonl").read_bytes()
    for spoiled in (data[:-2], data.replace(b"a", b"b", 1), data[: data.rindex(b"\n", 0, -1) + 1], b""):
        (copy / "log.jsonl").write_bytes(spoiled)
        assert main(["verify", str(copy), *brought, "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["holds"] is False
    (copy / "log.jsonl").unlink()
    assert main(["verify", str(copy), *brought, "--json"]) == 1
    assert "no log" in json.loads(capsys.readouterr().out)["why"]


def test_another_key_or_policy_proves_nothing(evidence: str, brought: list[str], tmp_path: Path, capsys: Said) -> None:
    other = tmp_path / "other.pub"
    other.write_bytes(UnsafeLocalKeys(tmp_path / "keys").public("producer").pem)
    assert main(["verify", evidence, "--key", str(other), *brought[2:]]) == 1
    assert "not signed by the key given" in capsys.readouterr().out
    assert main(["verify", evidence, *brought[:2], "--policy", "local"]) == 1
    assert "another policy" in capsys.readouterr().out
    assert main(["verify", evidence, *brought, "--owner", str(other)]) == 1
    assert "not signed by its owner" in capsys.readouterr().out


def test_a_key_that_lies_in_the_evidence_is_refused(
    evidence: str, brought: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    copy = shutil.copytree(evidence, tmp_path / "runs" / "copy")
    planted = copy / "deep" / "producer.pub"
    planted.parent.mkdir()
    shutil.copy(brought[1], planted)
    monkeypatch.chdir(planted.parent)
    (tmp_path / "link.pub").symlink_to(planted)
    for key in (
        str(planted),
        "producer.pub",
        str(copy / ".." / "copy" / "deep" / "producer.pub"),
        str(tmp_path / "link.pub"),
    ):
        for options in (["--key", key], [*brought[:2], "--owner", key]):
            assert main(["verify", str(copy), *options, *brought[2:]]) == 2
            assert "lies in the evidence; bring a key from outside of it" in capsys.readouterr().err
    assert main(["verify", str(copy / "log.jsonl"), "--key", str(planted), *brought[2:], "--json"]) == 2
    assert "lies in the evidence" in json.loads(capsys.readouterr().out)["error"]


def test_a_private_key_and_a_missing_one_are_refused(
    evidence: str, brought: list[str], tmp_path: Path, home: Home, capsys: Said
) -> None:
    private = UnsafeLocalKeys(home.root / "keys").path("producer")
    (tmp_path / "odd.pub").write_text("no key")
    for key, said in (
        (private, "producer.pem is a private key; give the public one"),
        (tmp_path / "gone.pub", "no key at "),
        (tmp_path, "no key at "),
        (tmp_path / "odd.pub", "odd.pub is not a public key in PEM"),
    ):
        assert main(["verify", evidence, "--key", str(key), *brought[2:]]) == 2
        told = capsys.readouterr()
        assert told.err.startswith("sluice verify: ")
        assert said in told.err
        assert told.out == ""


def test_what_a_run_needs_is_found_running(ran: Home, capsys: Said) -> None:
    url = shell.ready(ran, Screen(sys.stdout))
    assert url == os.environ["PREFECT_API_URL"].removesuffix("/api")
    assert "started in" in capsys.readouterr().out
    assert local.settings(ran, url)["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
