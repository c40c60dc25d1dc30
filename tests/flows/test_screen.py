"""What a run looks like on a terminal, and that nothing that is looked at can draw on it."""

import io
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.screen import Screen, plain
from security.verdict import Effect, Outcome, Verdict
from tasks.run import Listener, Quiet

GO, STOP = Effect(action="proceed", because="enforced"), Effect(action="stop", because="enforced")
OBSERVED = Effect(action="proceed", because="observed")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def verdict(outcome: Outcome, reason: str = "40/40 rows", cause: str = "", gate: str = "data_contract") -> Verdict:
    return Verdict(
        gate=gate, outcome=outcome, cause=cause, reason=reason, findings=(), observation="0" * 64, rules="0" * 64
    )


def shown(*said: tuple[Verdict, Effect]) -> list[str]:
    """The lines of these verdicts, in a file."""
    out = io.StringIO()
    for each, follows in said:
        Screen(out).gate("ingest", each, follows, 0.25)
    return out.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def test_a_pass_is_one_line_with_what_was_looked_at() -> None:
    (line,) = shown((verdict(Outcome.PASS), GO))
    assert line.split() == ["✓", "ingest", "data_contract", "40/40", "rows", "canary", "caught", "0.2", "s"]


def test_a_refusal_says_why_below() -> None:
    lines = shown((verdict(Outcome.FAIL, "CON-TYPE row 1: found hover; allowed: view", "finding"), STOP))
    assert [line.split() for line in lines] == [
        ["✗", "ingest", "data_contract", "fail", "0.2", "s"],
        ["CON-TYPE", "row", "1:", "found", "hover;", "allowed:", "view"],
    ]


def test_what_could_not_be_told_is_no_pass_and_a_missed_canary_is_not_called_caught() -> None:
    first, why = shown((verdict(Outcome.INCONCLUSIVE, "the known-bad canary was not caught (CON-ID)", "canary"), STOP))
    assert first.split()[:4] == ["?", "ingest", "data_contract", "inconclusive"]
    assert "canary caught" not in first + why
    assert why.strip() == "the known-bad canary was not caught (CON-ID)"


def test_what_was_let_through_says_so() -> None:
    first, _ = shown((verdict(Outcome.INCONCLUSIVE, "no network", "no_network"), OBSERVED))
    assert first.split()[3:5] == ["inconclusive", "(observed)"]
    assert not any("(enforced)" in line for line in shown((verdict(Outcome.FAIL), STOP)))


def test_a_long_reason_is_wrapped_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "CON-TYPE found something; " * 40
    for columns in ("80", "200", "1"):
        monkeypatch.setenv("COLUMNS", columns)
        lines = shown((verdict(Outcome.FAIL, reason, "finding"), STOP))
        width = Screen(io.StringIO()).width
        assert all(len(line) <= width for line in lines[1:])
        assert " ".join(" ".join(lines[1:]).split()) == reason.strip()


def test_without_a_terminal_nothing_is_drawn() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.step("ingest", "12 objects")
    screen.gate("ingest", verdict(Outcome.PASS), GO, 1.0)
    screen.gate("ingest", verdict(Outcome.FAIL), STOP, 1.0)
    screen.say("done")
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()
    assert out.getvalue().splitlines()[0] == "  ingest    12 objects"
    assert out.getvalue().endswith("done\n")


def test_on_a_terminal_the_next_line_takes_the_place_of_a_step() -> None:
    out = Terminal()
    screen = Screen(out)
    screen.step("ingest", "reading")
    assert out.getvalue() == "\x1b[2m  ingest    reading\x1b[0m"
    screen.step("ingest", "cleaning")
    screen.say("done")
    screen.say("more")
    assert out.getvalue().split("\r\x1b[2K") == [
        "\x1b[2m  ingest    reading\x1b[0m",
        "\x1b[2m  ingest    cleaning\x1b[0m",
        "done\nmore\n",
    ]


@pytest.mark.parametrize(
    ("outcome", "mark"),
    [
        (Outcome.PASS, "\x1b[32m✓\x1b[0m "),
        (Outcome.FAIL, "\x1b[31m✗\x1b[0m "),
        (Outcome.INCONCLUSIVE, "\x1b[31m?\x1b[0m "),
    ],
)
def test_marks_are_coloured_on_a_terminal(outcome: Outcome, mark: str) -> None:
    out = Terminal()
    Screen(out).gate("ingest", verdict(outcome), STOP, 1.0)
    assert out.getvalue().startswith(mark)


def test_a_step_stays_on_one_line_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda fallback: (60, 24) and type("Size", (), {"columns": 60}))
    out = Terminal()
    Screen(out).step("ingest", "x" * 500)
    assert len(out.getvalue()) == len("\x1b[2m\x1b[0m") + 59


EVIL = "\r\x1b[2K\x1b[32m✓\x1b[0m ingest    access_control_s3     \x1b]0;title\x07\x9b2J\u202e\u2028"


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_looked_at_cannot_draw(outcome: Outcome, terminal: bool) -> None:
    def drawn(reason: str) -> tuple[int, int, str]:
        out = Terminal() if terminal else io.StringIO()
        screen = Screen(out)
        screen.gate("ingest", verdict(outcome, reason, gate=f"g{reason}"), STOP, 1.0)
        screen.step("ingest", reason)
        screen.say(f"refused: {reason}")
        return out.getvalue().count("\x1b"), out.getvalue().count("\r"), out.getvalue()

    quiet, loud = drawn("reason"), drawn(EVIL)
    assert loud[:2] == quiet[:2]
    assert not set("\x07\x9b\u202e\u2028") & set(loud[2])
    assert "\N{REPLACEMENT CHARACTER}[2K" in loud[2]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_what_is_looked_at_cannot_add_a_line_that_looks_passed(outcome: Outcome) -> None:
    lines = shown((verdict(outcome, "bad\n✓ ingest    data_contract         40/40 rows"), STOP))
    assert sum(line.startswith("✓") for line in lines) == (outcome is Outcome.PASS)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_plain_text_is_text_of_the_same_length_without_controls(text: str) -> None:
    made = plain(text)
    assert len(made) == len(text)
    assert all(each.isprintable() or each == "\n" for each in made)
    assert plain(made) == made
    assert made == text or not all(each.isprintable() or each == "\n" for each in text)


def test_a_screen_and_nobody_can_be_told_how_a_run_goes() -> None:
    told = io.StringIO()
    listeners: list[Listener] = [Screen(told), Quiet()]
    for listener in listeners:
        listener.step("ingest", "reading")
        listener.gate("ingest", verdict(Outcome.PASS), GO, 1.0)
    assert len(told.getvalue().splitlines()) == 2
