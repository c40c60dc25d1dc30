"""A wrong check digit rules a recogniser out, and never where it would find something."""

import random
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from presidio_analyzer.predefined_recognizers import NhsRecognizer

from security.personal import prefilter
from security.personal.analyzer import analyzer, plain
from security.personal.cells import Cells
from security.personal.checks import Check, eleven, failed, luhn
from security.personal.prefilter import CHECKS, Prefilter
from security.personal.recognisers import Card

AROUND = (
    "{}",
    "u{}",
    "usr-{}",
    "id_{}",
    "({}",
    "{}.",
    "card {}",
    "nhs {}",
    "+{}",
    "{}x",
    "-{}-",
    "\n{}\n",
    "\0{}",
    "#{}",
)
FIRST = ("4", "51", "37", "6011", "30", "2221", "1", "9", "0", "35", "50")


def numbers(count: int, seed: int) -> Iterator[str]:
    """Runs of 7 to 20 digits, half of them with the right check digit of a card, some of a patient's."""
    draw = random.Random(seed)
    for _ in range(count):
        size = draw.randrange(7, 21)
        told = (draw.choice(FIRST) + "".join(draw.choices("0123456789", k=20)))[:size]
        if draw.random() < 0.5:
            total = sum(sum(divmod(int(each) * (1 + n % 2), 10)) for n, each in enumerate(told[::-1]))
            told = told[:-1] + str((int(told[-1]) - total) % 10)
        yield draw.choice(AROUND).format(told)
    for _ in range(count // 10):
        body = draw.choices(range(10), k=9)
        last = -sum(each * (10 - n) for n, each in enumerate(body)) % 11
        if last < 10:
            yield draw.choice(AROUND).format("".join(map(str, [*body, last])))


def unlike(cells: Cells, texts: list[str]) -> list[str]:
    """Texts in which the fast way finds other things than the engine."""
    found = cells.find(pa.array(texts, pa.string()))
    return [text for at, text in enumerate(texts) if found.get(at, ()) != plain(text, cells.beside)]


@pytest.mark.parametrize("beside", [[], ["card", "nhs"], ["phone"]])
def test_nothing_is_left_out_of_runs_of_digits(beside: list[str]) -> None:
    assert unlike(Cells(beside), [*numbers(700, 4), *(f"{text} {text[::-1]}" for text in numbers(60, 5))]) == []


@pytest.mark.parametrize("kind", CHECKS)
def test_a_check_that_is_too_narrow_is_noticed(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    """The negative control of the comparison above, for each check."""
    cells, never = Cells(), {**CHECKS, kind: lambda digits: np.zeros(len(digits), bool)}
    monkeypatch.setattr(prefilter, "CHECKS", never)
    cells.prefilter = Prefilter(cells.recognisers, analyzer().default_score_threshold)
    assert unlike(cells, list(numbers(300, 4)))


@pytest.mark.parametrize(("kind", "size", "share"), [(Card, 16, 0.1), (NhsRecognizer, 10, 1 / 11)])
def test_most_ids_ask_nobody(kind: type, size: int, share: float) -> None:
    draw, cells = random.Random(6), Cells()
    ids = [f"u-{draw.randrange(4 * 10 ** (size - 1), 5 * 10 ** (size - 1))}" for _ in range(4_000)]
    (at,) = [index for index, each in enumerate(cells.recognisers) if type(each) is kind]
    (phone,) = [index for index, each in enumerate(cells.recognisers) if type(each).__name__ == "Phone"]
    masks = cells.prefilter.masks(pa.array(ids))
    assert 0.7 * share < np.mean(masks >> np.uint64(at) & np.uint64(1)) < 1.3 * share
    assert not (masks >> np.uint64(phone) & np.uint64(1)).any()


@pytest.mark.parametrize(
    ("text", "check", "wrong"),
    [
        ("4111111111111111", luhn, False),
        ("4111111111111112", luhn, True),
        ("no 4111111111111112 at all", luhn, True),
        ("4111111111111112 4111111111111111", luhn, False),
        ("4111 1111 1111 1112", luhn, False),
        ("4111111111111112\u0661", luhn, False),
        ("123", luhn, False),
        ("12345678901234567890", luhn, False),
        ("", luhn, False),
        ("9434765919", eleven, False),
        ("9434765918", eleven, True),
        ("94347659190", eleven, True),
        ("943 476 5918", eleven, False),
    ],
)
def test_only_one_run_that_fails_is_wrong(text: str, check: Check, wrong: bool) -> None:
    assert failed(pa.array([text, "x", text]), check).tolist() == [wrong, False, wrong]
    assert failed(pa.array(["x", text, "y"]).slice(1, 1), check).tolist() == [wrong]
    assert failed(pa.array([], pa.string()), check).tolist() == []
