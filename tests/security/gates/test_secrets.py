"""Secrets: two engines over every line, neither believed on its own word; canaries, liars, and who may allow what."""

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from security.engines import detect, tokens
from security.engines.tokens import Hit, Line
from security.errors import CannotTell
from security.gate import Gate, judge, observe
from security.gates.secrets import About, Facts, Item, Limits, SecretsScanning, fingerprint, made, material
from security.gates.secrets.decoys import SEALED
from security.gates.secrets.facts import ABOUT, BLOB, FILE, MESSAGE
from security.material import Handed, Material
from security.verdict import Outcome, Subject, Verdict

GATE = SecretsScanning()
SUBJECT = Subject(kind="checkout", name="checkout", sha256="0" * 64)
DRAW = random.Random(3)
SEEDS = 8
GOOD = {"a.py": "x = 1\n", "b/c.yaml": "password: ${PASSWORD}\n", "README.md": "# nosec\n"}


def file(name: str, text: str) -> Item:
    return Item(FILE, name, "", lambda: (text.encode(),))


def opened(*more: Item, about: About | None = None) -> Material[Any]:
    items = [Item(ABOUT, "", value=about or About())]
    items += [*(file(name, text) for name, text in GOOD.items()), *more]
    return material(SUBJECT, lambda: items, len(items) - 1)


def look(*more: Item, about: About | None = None) -> Facts:
    return GATE.look(opened(*more, about=about).handed()[0])


def bad() -> Material[Any]:
    return opened(file("d.py", f"key = '{made.aws(random.Random(1))}'"))


def verdict(made_: Material[Any], seed: int = 1, gate: Gate[Any] = GATE, **limits: Any) -> Verdict:
    return judge(gate, observe(gate, made_, limits, random.Random(seed)), limits)


def found(facts: Facts, **limits: Any) -> list[tuple[str, str]]:
    return [(each.rule, each.place) for each in GATE.judge(facts, Limits.model_validate(limits))]


def test_good_passes_every_time_and_says_what_it_did_not_obey() -> None:
    for seed in range(SEEDS):
        told = verdict(opened(), seed)
        assert told.outcome is Outcome.PASS, told.reason
        assert told.reason == "3/3 files and objects, no secret, 1 placeholders, 1 suppressions not obeyed"


def test_bad_fails_every_time() -> None:
    for seed in range(SEEDS):
        told = verdict(bad(), seed)
        assert [(each.rule, each.place) for each in told.findings] == [("SEC-01", "d.py, line 1")]
        assert "allowed" in told.findings[0].message


def blind(_: Sequence[Line]) -> Iterator[Hit]:
    return iter(())


def vague(lines: Sequence[Line]) -> Iterator[Hit]:
    """Finds something in the first line, whatever it is."""
    yield Hit(0, "x", lines[0].text, "example")


@pytest.mark.parametrize("engine", [blind, vague])
def test_our_engine_is_not_believed_where_it_finds_none_of_what_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    monkeypatch.setattr(tokens, "scan", engine)
    told = verdict(opened())
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "canary") or told.cause == "engine", told.reason
    facts = look()
    with pytest.raises(CannotTell, match="sluice found 0 of the 1 secrets that it was shown") as why:
        found(facts)
    assert why.value.cause == "engine"


class Deaf(detect.Detector):
    def take(self, seconds: float = 1.0) -> tuple[int, list[Hit]]:
        return super().take()[0], []


class Lazy(detect.Detector):
    def take(self, seconds: float = 1.0) -> tuple[int, list[Hit]]:
        count, hits = super().take()
        return count - 1, hits


class Gone(detect.Detector):
    def send(self, lines: Sequence[Line]) -> None:
        self._process.kill()
        self._process.wait()
        super().send(lines)


@pytest.mark.parametrize(
    ("kind", "said"),
    [(Deaf, "found 0 of the"), (Lazy, r"took \d+ of \d+ lines"), (Gone, "cannot be asked|ended before")],
)
def test_the_other_engine_is_not_believed_either(monkeypatch: pytest.MonkeyPatch, kind: Any, said: str) -> None:
    detect._kept().stop()
    monkeypatch.setattr(detect, "Detector", kind)
    with pytest.raises(CannotTell, match=f"detect-secrets {said}") as why:
        found(look())
    assert why.value.cause == "engine"
    told = verdict(opened())
    assert told.outcome is Outcome.INCONCLUSIVE, told.reason
    detect._kept().stop()


def test_each_engine_finds_what_the_other_does_not() -> None:
    ours = "hf_" + "".join(DRAW.choices("abcdefghijklmnopqrstuvwxyzABCDEFGH", k=34))
    theirs = f"{DRAW.randrange(10**8)}xyz"
    facts = look(file("a1.py", f"x = '{ours}'"), file("a2.py", f'if key_pass == "q7{theirs[:5]}":'))
    assert {each.name: each.engines for each in facts.found} == {"a1.py": ("sluice",), "a2.py": ("detect-secrets",)}


def test_a_secret_that_both_find_is_one() -> None:
    facts = look(file("a.env", f"GITHUB_TOKEN={made.github(DRAW)}"))
    assert [(each.kind, each.engines) for each in facts.found] == [("github-token", ("sluice", "detect-secrets"))]


@pytest.mark.parametrize("mark", tokens.rules().markers)
def test_what_tells_others_to_look_away_is_counted_and_held_against_a_secret(mark: str) -> None:
    facts = look(file("a.py", f"key = '{made.aws(DRAW)}'  # {mark}"), file("b.py", f"x = 1  # {mark}"))
    if "nextline" not in mark:
        assert found(facts) == [("SEC-01", "a.py, line 1"), ("SEC-04", "a.py, line 1")]
    assert facts.markers[mark] == 2 + (mark == "nosec")


def test_a_mark_for_the_next_line_is_one() -> None:
    facts = look(file("a.py", f"# pragma: allowlist nextline secret\nkey = '{made.aws(DRAW)}'"))
    assert found(facts) == [("SEC-01", "a.py, line 2"), ("SEC-04", "a.py, line 2")]


def test_a_placeholder_excuses_only_itself() -> None:
    token = made.github(DRAW)
    for text in (
        f"password = '${{X}}'  # {token}",
        f"example: your-token-here {token}",
        f"{'AKIA' + 'IOSFODNN7' + 'EXAMPLE'} {token}",
        f"password: changeme, token: example{token[8:20]}",
    ):
        assert [each.name for each in look(file("a.yaml", text)).found] == ["a.yaml"], text


def test_a_private_key_is_told_by_its_body() -> None:
    key = made.pem(DRAW)
    head = key.splitlines()[0]
    facts = look(file("a.py", f"if text.startswith('{head}'):\n    return 1\n"), file("b.py", f"KEY = '''{key}'''"))
    assert found(facts) == [("SEC-03", "b.py, line 1")]
    for text in (
        key.replace("\n", "\\n"),
        key.replace("\n", "\r\n"),
        "\n".join(f"    {row}" for row in key.split("\n")),
    ):
        assert found(look(Item(BLOB, "c.json", "1" * 40, lambda text=text: (text.encode(),)))) == [  # type: ignore[misc]
            ("SEC-03", f"c.json in {'1' * 12}, line 1")
        ]


def test_the_same_line_is_told_in_every_file_and_once_of_a_history() -> None:
    line = f"key = '{made.aws(DRAW)}'"
    past = [Item(BLOB, "x.py", str(n) * 40, lambda: (line.encode(),)) for n in (1, 2)]
    other = Item(BLOB, "y.py", "3" * 40, lambda: (b"\n" + line.encode(),))
    said = Item(MESSAGE, "message", "4" * 40, lambda: (line.encode(),))
    assert found(look(file("a.py", line), file("b.py", line), *past, other, said)) == [
        ("SEC-01", "a.py, line 1"),
        ("SEC-01", "b.py, line 1"),
        ("SEC-02", f"x.py in {'1' * 12}, line 1"),
        ("SEC-02", f"y.py in {'3' * 12}, line 2"),
        ("SEC-02", f"message in {'4' * 12}, line 1"),
    ]


def test_more_secrets_than_are_listed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from security.gates.secrets import sweep

    monkeypatch.setattr(sweep, "MOST", 2)
    facts = look(*(file(f"{n}.py", made.aws(DRAW)) for n in range(5)))
    assert (len(facts.found), facts.more) == (2, 3)
    assert found(facts, allowed={each.print: "harmless" for each in facts.found}) == [("SEC-01", "the rest")]


def test_kinds_that_nobody_can_look_into_are_the_policys_to_allow() -> None:
    facts = look(Item(FILE, "a.pdf", "", lambda: (b"%PDF-1.7 x",)), Item(FILE, "b.zip", "", lambda: (b"PK\x03\x04x",)))
    assert found(facts) == [("SEC-07", "b.zip"), ("SEC-07", "a.pdf")]
    assert found(facts, opaque=["pdf"]) == [("SEC-07", "b.zip")]
    assert "SEC-07" in GATE.active(Limits(opaque=("pdf", "7z")))
    assert "SEC-07" not in GATE.active(Limits(opaque=tuple(SEALED)))


def test_a_history_that_is_not_whole_is_left_open_after_what_was_found() -> None:
    told = verdict(opened(about=About(whole=False)))
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "history")
    told = verdict(opened(file("a.py", made.aws(DRAW)), about=About(whole=False)))
    assert told.outcome is Outcome.FAIL


def test_allowed_needs_a_reason_and_a_fingerprint() -> None:
    for allowed in ({"abc": "because"}, {"abcdef": ""}, {"ABCDEF": "because"}):
        with pytest.raises(ValueError, match="allowed"):
            Limits.model_validate({"allowed": allowed})
    with pytest.raises(ValueError, match="besides"):
        Limits.model_validate({"besides": {"x": ""}})


def test_a_fingerprint_is_of_rule_path_and_value() -> None:
    prints = {fingerprint(*each) for each in (("a", "b", "c"), ("x", "b", "c"), ("a", "x", "c"), ("a", "b", "x"))}
    assert len(prints) == 4
    assert fingerprint("a", "b", "c") == fingerprint("a", "b", "c")
    assert all(len(each) == 6 for each in prints)


def test_what_was_known_of_a_repository_is_handed_out_once() -> None:
    for items in ([], [Item(ABOUT, "", value=About())] * 2):
        handed: Handed[Any] = Handed(SUBJECT, iter(items))
        with pytest.raises(CannotTell, match="handed out once"):
            GATE.look(handed)


def test_nothing_of_the_other_engine_is_imported_here() -> None:
    root = Path(__file__).parent.parent.parent.parent
    code = "import sys, security.gates.secrets; print(sorted({'detect_secrets', 'requests'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
