"""`sluice model`: what it shows, what it refuses, and how it ends."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flows import models as works
from flows.cli import main
from security.errors import LogBroken
from security.keys import UnsafeLocalKeys
from security.models.chain import Keys
from security.proof import Proof
from tasks import chains, models
from tasks.home import Home
from tests.security.models.chains import keys, sha
from tests.security.models.making import METRICS, Model, model, plan
from tests.security.models.test_statement import log
from tests.tasks.distribution import Distribution, absent

Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, list[Model]]:
    """A home with versions 3, that is approved, and 4, the candidate."""
    home = Home(tmp_path_factory.mktemp("template") / "home")
    local = UnsafeLocalKeys(home.root / "keys")
    made = [
        model(home.root.parent / "3", local, version=3),
        model(home.root.parent / "4", local, version=4, metrics=METRICS[:1], hyperparameters={"learning_rate": 0.1}),
    ]
    trusted = keys(local)
    for each in made:
        models.enter(home, each.files, each.attached, local.signer("producer"), trusted, "all gates passed")
        if each is made[0]:
            chains.move(home, local.signer("verifier"), trusted, "sample", "approved", 3, reason="looked at it")
    return home, made


@pytest.fixture
def home(template: tuple[Home, list[Model]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    shutil.copytree(template[0].root, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def trusted(home: Home) -> Keys:
    return keys(UnsafeLocalKeys(home.root / "keys"))


@pytest.fixture
def brought(home: Home, tmp_path: Path) -> Path:
    """Public keys, from outside."""
    folder = tmp_path / "brought"
    folder.mkdir()
    for role in ("producer", "verifier", "owner"):
        (folder / f"{role}.pub").write_bytes(UnsafeLocalKeys(home.root / "keys").public(role).pem)  # type: ignore[arg-type]
    return folder


def asked(capsys: Said, *argv: str) -> tuple[int, Any]:
    code = main(["model", *argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_list_for_people_and_for_machines(home: Home, capsys: Said) -> None:
    code, told = asked(capsys, "list")
    assert (code, [(each["version"], each["aliases"], each["here"], each["wrong"]) for each in told]) == (
        0,
        [(4, ["candidate"], True, ""), (3, ["approved"], True, "")],
    )
    assert main(["model", "list"]) == 0
    out = capsys.readouterr().out
    assert "approved" in out
    assert told[0]["manifest"][:12] in out
    assert told[0]["manifest"] not in out


def test_a_home_without_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Said) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "empty"))
    assert asked(capsys, "list") == (0, [])
    assert main(["model", "list"]) == 0
    assert capsys.readouterr().out == "none\n"
    code, told = asked(capsys, "show", "sample")
    assert (code, told["error"]) == (2, "this home has no keys yet: bring some with --keys")
    assert not (tmp_path / "empty" / "keys").exists()


@pytest.mark.parametrize(
    ("spelled", "version"),
    [("sample", 4), ("sample:3", 3), ("sample@approved", 3), ("sample@candidate", 4)],
)
def test_a_model_by_name_version_or_alias(home: Home, capsys: Said, spelled: str, version: int) -> None:
    code, told = asked(capsys, "show", spelled)
    assert (code, told["version"], told["holds"], told["missing"], told["wrong"]) == (0, version, True, [], "")
    assert told["metrics"][0]["type"] == "precision@10"
    assert [each["alias"] for each in told["moves"]][:1] == ["candidate"]


@pytest.mark.parametrize(
    "spelled", ["other", "sample:5", "sample:x", "sample:", "sample@x", "sample@", "sample:3@approved"]
)
def test_a_model_that_is_not_there(home: Home, capsys: Said, spelled: str) -> None:
    assert main(["model", "show", spelled]) == 2
    assert capsys.readouterr().err.startswith("sluice model: ")


def test_an_alias_that_names_nothing(home: Home, capsys: Said) -> None:
    code, told = asked(capsys, "show", "sample@production")
    assert (code, told["holds"]) == (1, False)
    assert "production names nothing: it never named a version" in told["wrong"]


def test_verify_with_keys_from_elsewhere(home: Home, brought: Path, capsys: Said, trusted: Keys) -> None:
    code, told = asked(capsys, "verify", "sample:3", "--keys", str(brought))
    assert (code, told["holds"], told["head"]) == (0, True, chains.standing(home, "sample", trusted).head)
    assert main(["model", "verify", "sample:3", "--keys", str(brought)]) == 0
    assert capsys.readouterr().out.rstrip().endswith("✓ holds")
    head = told["head"]
    assert asked(capsys, "verify", "sample", "--keys", str(brought), "--known", head)[0] == 0
    (home.root / "chains" / "sample" / "5").unlink()
    code, told = asked(capsys, "verify", "sample", "--keys", str(brought), "--known", head)
    assert (code, "was there, and is gone" in told["wrong"]) == (1, True)


@pytest.mark.parametrize("what", ["statement", "file", "chain", "gone"])
def test_verify_finds_what_was_altered(home: Home, brought: Path, capsys: Said, trusted: Keys, what: str) -> None:
    stored = models.stored(home, "sample", 3, trusted)
    title = {"statement": "statement.dsse"}.get(what, "model.safetensors")
    path = models.layout(home).path(next(b.sha256 for b in stored.manifest.blobs if b.title == title))
    if what == "chain":
        path = home.root / "chains" / "sample" / "1"
    path.chmod(0o644)
    data = path.read_bytes()
    path.unlink()
    if what != "gone":
        path.write_bytes(data[:-3] + b"!" + data[-2:])
    code, told = asked(capsys, "verify", "sample:3", "--keys", str(brought))
    assert (code, told["holds"]) == (1, False)
    assert main(["model", "verify", "sample:3", "--keys", str(brought)]) == 1
    assert "✗" in capsys.readouterr().out
    if what == "chain":
        code, told = asked(capsys, "list")
        assert (code, told[0]["broken"], told[0]["model"]) == (1, True, "sample")


@pytest.mark.parametrize("argv", [["verify", "sample"], ["pull", "sample", "a.test"]])
def test_who_verifies_brings_keys(home: Home, capsys: Said, argv: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["model", *argv])
    assert "--keys" in capsys.readouterr().err


def test_keys_prove_nothing_beside_what_they_prove(home: Home, brought: Path, capsys: Said, tmp_path: Path) -> None:
    inside = home.root / "models" / "keys"
    shutil.copytree(brought, inside)
    assert "lies in the evidence" in asked(capsys, "verify", "sample", "--keys", str(inside))[1]["error"]
    link = tmp_path / "link"
    link.symlink_to(inside)
    assert asked(capsys, "verify", "sample", "--keys", str(link))[0] == 2
    (brought / "somebody.pub").write_bytes((brought / "owner.pub").read_bytes())
    assert "a key of no role" in asked(capsys, "verify", "sample", "--keys", str(brought))[1]["error"]
    assert "no producer's key" in asked(capsys, "verify", "sample", "--keys", str(tmp_path / "nowhere"))[1]["error"]


def test_strange_keys_do_not_count(home: Home, tmp_path: Path, capsys: Said) -> None:
    strange = UnsafeLocalKeys(tmp_path / "strange")
    folder = tmp_path / "their"
    folder.mkdir()
    (folder / "producer.pub").write_bytes(strange.public("producer").pem)
    code, told = asked(capsys, "verify", "sample", "--keys", str(folder))
    assert (code, "whose key was not given" in told["wrong"]) == (1, True)
    mine = UnsafeLocalKeys(home.root / "keys")
    (folder / "producer-2.pub").write_bytes(mine.public("producer").pem)
    (folder / "verifier.pub").write_bytes(mine.public("verifier").pem)
    assert asked(capsys, "verify", "sample", "--keys", str(folder))[0] == 0
    assert asked(capsys, "diff", "sample:3", "sample:4", "--keys", str(folder))[0] == 0


def test_what_differs(home: Home, capsys: Said) -> None:
    code, told = asked(capsys, "diff", "sample:3", "sample:4")
    found = {each["what"]: (each["before"], each["after"]) for each in told}
    assert (code, found["version"]) == (0, ("3", "4"))
    assert {"file model.json", "file model.sig", "run", "plan"} <= found.keys()
    assert "file model.safetensors" not in found
    assert found["metric precision@10 on test, popularity"] == ("0.02", "")
    assert found["hyperparameter learning_rate"] == ("0.001", "0.1")
    assert asked(capsys, "diff", "sample:3", "sample:3") == (0, [])
    assert main(["model", "diff", "sample:3", "sample:4"]) == 0
    assert "file model.sig" in capsys.readouterr().out


def test_what_a_person_wrote_draws_nothing(home: Home, capsys: Said) -> None:
    assert main(["model", "revoke", "model", "sample:3", "--reason", "[bold]fine[/bold]"]) == 0
    assert "is revoked: [bold]fine[/bold]" in capsys.readouterr().out
    assert main(["model", "list"]) == 0
    assert "is revoked: [bold]fine[/bold]" in capsys.readouterr().out


@pytest.mark.parametrize("role", ["owner", "verifier"])
def test_revoke_a_model(home: Home, brought: Path, capsys: Said, role: str) -> None:
    code, told = asked(capsys, "revoke", "model", "sample:3", "--reason", "it leaked", "--role", role)
    assert (code, told["fallen"]) == (0, ["sample 3 is revoked: it leaked"])
    code, told = asked(capsys, "list")
    assert (code, told[1]["wrong"], told[1]["aliases"]) == (0, "is revoked: it leaked", [])
    code, told = asked(capsys, "verify", "sample:3", "--keys", str(brought))
    assert (code, told["wrong"]) == (1, "sample: version 3 is revoked: it leaked")
    code, told = asked(capsys, "promote", "sample:3", "--to", "approved", "--reason", "all the same")
    assert (code, "is revoked" in told["wrong"]) == (1, True)


def test_revoke_a_dataset_and_a_key(home: Home, brought: Path, capsys: Said) -> None:
    assert main(["model", "revoke", "data", "e" * 64, "--reason", "not ours"]) == 0
    out = capsys.readouterr().out
    assert "sample 4 comes from the dataset eeeeeeeeeeee, which is revoked: not ours" in out
    assert "a cluster learns of it by its next lease; now, by: sluice deploy lease --document D --policy P" in out
    assert asked(capsys, "verify", "sample", "--keys", str(brought))[0] == 1
    producer = UnsafeLocalKeys(home.root / "keys").public("producer").id
    code, told = asked(capsys, "revoke", "key", producer, "--reason", "lost laptop")
    assert (code, len(told["fallen"])) == (0, 2)


@pytest.mark.parametrize(
    "argv",
    [
        ["revoke", "data", "eeee", "--reason", "too short"],
        ["revoke", "model", "sample", "--reason", "which one"],
        ["revoke", "model", "sample:9", "--reason", "not there"],
        ["promote", "sample:9", "--to", "approved", "--reason", "not there"],
        ["push", "sample", "https://a.test"],
        ["push", "other", "a.test"],
    ],
)
def test_what_cannot_be_done(home: Home, capsys: Said, argv: list[str]) -> None:
    code, told = asked(capsys, *argv)
    assert (code, list(told)) == (2, ["error"])


@pytest.fixture
def proven(home: Home, monkeypatch: pytest.MonkeyPatch, trusted: Keys) -> dict[str, Any]:
    """In place of a run's log: what it is said to prove, which a test may change."""
    said: dict[str, Any] = {"placed": True, "changes": {}}
    claim = models.verified(home, "sample", 4, trusted).claim

    def verify(path: Path, trust: Any) -> Proof:
        assert path == home.evidence("run-4") / "log.jsonl"
        assert trust.policy.name == "local"
        local = UnsafeLocalKeys(home.root / "keys")
        return log(claim, local, **{"plan": plan(local, run="run-4"), "head": sha(77)} | said["changes"])

    def placed(*_: Any) -> None:
        if not said["placed"]:
            raise LogBroken("the index of runs does not end this run with this log")

    monkeypatch.setattr(works, "verify", verify)
    monkeypatch.setattr(works, "placed", placed)
    return said


def test_promote_step_by_step(home: Home, capsys: Said, trusted: Keys, proven: dict[str, Any]) -> None:
    code, told = asked(capsys, "promote", "sample:4", "--to", "production", "--reason", "the log verifies")
    assert (code, "never approved" in told["wrong"]) == (1, True)
    code, told = asked(capsys, "promote", "sample:4", "--to", "approved", "--reason", "the log verifies")
    assert (code, told["log"]) == (0, sha(77))
    assert main(["model", "promote", "sample", "--to", "production", "--reason", "the log verifies"]) == 0
    assert "production is version 4" in capsys.readouterr().out
    move = chains.standing(home, "sample", trusted).row(4).moves[-1]
    assert (move.role, getattr(move.claim, "log", "")) == ("verifier", sha(77))
    code, told = asked(capsys, "show", "sample@production")
    assert [(each["alias"], each["by"], each["log"]) for each in told["moves"]] == [
        ("candidate", "producer", ""),
        ("approved", "verifier", sha(77)),
        ("production", "verifier", sha(77)),
    ]


@pytest.mark.parametrize("change", [{"changes": {"published": {}}}, {"changes": {"held": []}}, {"placed": False}])
def test_a_log_of_something_else_promotes_nothing(
    home: Home, capsys: Said, trusted: Keys, proven: dict[str, Any], change: dict[str, Any]
) -> None:
    proven.update(change)
    before = chains.there(home, "sample")
    assert asked(capsys, "promote", "sample:4", "--to", "approved", "--reason", "the log verifies")[0] == 1
    assert chains.there(home, "sample") == before


def test_without_a_log_nothing_is_promoted(home: Home, capsys: Said) -> None:
    code, told = asked(capsys, "promote", "sample:4", "--to", "approved", "--reason", "trust me")
    assert (code, told["wrong"]) == (1, "there is no log at log.jsonl")


def test_an_approver_is_one_of_the_policy(
    home: Home, capsys: Said, proven: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ("promote", "sample:4", "--to", "approved", "--reason", "looked at it", "--role", "approver")
    code, told = asked(capsys, *argv)
    assert (code, "whose key was not given" in told["wrong"]) == (1, True)
    id = UnsafeLocalKeys(home.root / "keys").public("approver").id
    monkeypatch.setattr(models, "approvers", lambda policy: {id: "Ada"})
    assert asked(capsys, *argv)[0] == 0
    assert [each["by"] for each in asked(capsys, "show", "sample:4")[1]["moves"]] == ["producer", "Ada"]
    code, told = asked(capsys, "promote", "sample:4", "--to", "production", "--reason", "me too", "--role", "approver")
    assert (code, "production signed by the approver; allowed: verifier" in told["wrong"]) == (1, True)


@pytest.mark.real
def test_push_and_pull(
    home: Home, brought: Path, capsys: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lacks := absent():
        pytest.skip(f"no {', '.join(lacks)}: nothing is pushed; install it (Debian: {' '.join(lacks)})")
    (tmp_path / "registry").mkdir()
    with Distribution(tmp_path / "registry") as server:
        where = (server.address, "--unsafe-http")
        assert asked(capsys, "push", "sample", *where) == (0, {"model": "sample", "versions": [3, 4]})
        monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "other"))
        strange = tmp_path / "strange"
        strange.mkdir()
        (strange / "producer.pub").write_bytes(UnsafeLocalKeys(tmp_path / "their").public("producer").pem)
        assert asked(capsys, "pull", "sample", *where, "--keys", str(strange))[0] == 1
        code, told = asked(capsys, "pull", "sample", *where, "--keys", str(brought), "--known", sha(1))
        assert (code, "is gone" in told["wrong"]) == (1, True)
        assert main(["model", "pull", "sample", *where, "--keys", str(brought)]) == 0
        assert capsys.readouterr().out == "sample: pulled 3, 4\n"
        assert asked(capsys, "verify", "sample@approved", "--keys", str(brought))[0] == 0
        assert asked(capsys, "pull", "none", *where, "--keys", str(brought))[0] == 2
