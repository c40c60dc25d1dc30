"""The other engine in its process: what it answers, what it cannot do, and what becomes of it."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from security.engines import detect
from security.engines.detect import Detector, detecting
from security.engines.tokens import BINARY, CODE, CONFIG, Line
from security.errors import CannotTell
from security.gates.secrets import made
from tests.security.gates.planted import KINDS, NEGATIVES

ROOT = Path(__file__).parent.parent.parent.parent
DRAW = random.Random(4)


@pytest.fixture
def detector() -> Iterator[Detector]:
    made_ = Detector()
    yield made_
    made_.close()


def test_it_finds_what_both_know_in_lines_of_every_kind(detector: Detector) -> None:
    lines = [Line(flavour, f"x = '{make(DRAW)}'") for make in made.KNOWN for flavour in (CODE, CONFIG, BINARY)]
    detector.send(lines)
    count, hits = detector.take()
    assert count == len(lines)
    assert {hit.line for hit in hits if not hit.excuse} == set(range(len(lines)))


def test_what_hides_a_line_from_its_command_hides_none_here(detector: Detector) -> None:
    token = made.aws(DRAW)
    detector.send([Line(CODE, f"key = '{token}'  # pragma: allowlist secret"), Line(CODE, "x")])
    assert [hit.value for hit in detector.take()[1]] == [token]


def test_a_named_value_is_held_against_its_own_heuristics(detector: Detector) -> None:
    value = f"q7{DRAW.randrange(10**6)}Xz!"
    texts = {
        f'password = "{value}"': "",
        'password = "12345678"': "sequence",
        'password = "changeme"': "example",
        'password = "some words only"': "words",
        f'password = load("{value}")': None,
    }
    detector.send([Line(CODE, text) for text in texts])
    found = {hit.line: hit.excuse for hit in detector.take()[1]}
    assert [found.get(number) for number in range(len(texts))] == list(texts.values())


def test_a_line_of_names_is_looked_at_in_short_windows(detector: Detector) -> None:
    detector.send([Line(CONFIG, ("password" * 600)[:4096])] * 3)
    assert detector.take()[0] == 3
    text = "".join(chr(97 + n % 26) for n in range(4096))
    for count in (0, 1, detect.PART, detect.PART + 1, 4096):
        parts = detect._parts(text[:count])
        assert max(map(len, parts)) <= detect.PART
        for at in range(max(count - 100, 1)):
            assert any(text[at : min(at + 100, count)] in part for part in parts)


def test_it_can_ask_nobody() -> None:
    code = (
        "import sys; from security.engines import detect; import socket; sys.addaudithook(detect._alone)\n"
        "for ask in (lambda: socket.create_connection(('127.0.0.1', 9)), lambda: socket.getaddrinfo('x', 1)):\n"
        "    try:\n        ask()\n    except PermissionError as why:\n        print(why)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.count("nothing here may ask anybody") == 2


def test_one_that_was_ended_or_takes_too_long_is_told(detector: Detector) -> None:
    detector.send([Line(CONFIG, "x" * 4096)] * 3000)
    with pytest.raises(CannotTell, match="still looking") as why:
        detector.take(0.0)
    assert why.value.cause == "timeout"
    with pytest.raises(CannotTell, match="cannot be asked"):
        detector.send([Line(CONFIG, "x")])


def _still_asked(detector: Detector) -> None:
    detector.send([Line(CONFIG, "x" * 4096)] * 3000)
    detector.take(0.0)


def test_a_look_that_breaks_ends_the_process_and_the_next_has_another() -> None:
    with detecting() as first:
        pass
    with detecting() as second:
        assert second is first
    with pytest.raises(CannotTell), detecting() as broken:
        _still_asked(broken)
    with detecting() as other:
        assert other is not first
        other.send([])
        assert other.take() == (0, [])


def test_an_answer_of_another_form_is_none(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in (b"{}\n", b"[1, [[2]]]\n", b"no\n"):
        monkeypatch.setattr(detector, "_line", lambda _, line=line: line)
        with pytest.raises(CannotTell, match="no answer that can be read"):
            detector.take()


def test_its_detectors_are_those_that_go_by_form_or_name() -> None:
    names = {type(each).__name__ for each in detect._detectors()}
    assert len(names) > 20
    assert not names & detect._NOT
    assert {"KeywordDetector", "AWSKeyDetector", "PrivateKeyDetector", "BasicAuthDetector"} <= names


def test_detectors_that_are_left_out_would_have_found_nothing() -> None:
    every = detect._detectors()
    draw = random.Random(9)
    texts = [line for make in KINDS.values() for line in make(draw).text.splitlines()]
    texts += [line for _, make in NEGATIVES.values() for line in make(draw).splitlines()]
    texts += [f"AKC{'a1B2' * 5}", f'cl_password="{"a1" * 32}"', f"ibm_api_key: {'a1-_' * 11}", "nothing"]
    for text in texts:
        for flavour in (CODE, CONFIG, BINARY):
            lines = [Line(flavour, "x = 1"), Line(flavour, text), Line(flavour, "y")]
            some = detect._some(every, lines)
            assert len(some) < len(every)
            assert detect._hits(some, 0, lines[1]) == detect._hits(every, 0, lines[1]), text[:4]
