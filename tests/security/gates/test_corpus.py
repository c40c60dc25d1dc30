"""Secrets against what merely looks like one, in numbers: what is found of each kind, and what is found of none."""

import random
from collections import Counter

import pytest

from security.engines import tokens
from security.engines.tokens import Line
from security.gates.secrets import Facts, Item, SecretsScanning
from security.gates.secrets.facts import ABOUT, FILE, About
from security.material import Material
from security.verdict import Subject
from tests.security.gates.planted import KINDS, NEGATIVES

EACH = 7
RECALL, PRECISION = 0.99, 0.99
"""Floors; measured: 1.0 and 1.0."""
SUBJECT = Subject(kind="checkout", name="corpus", sha256="0" * 64)


def look(files: dict[str, str]) -> Facts:
    items = [Item(ABOUT, "", value=About())]
    items += [Item(FILE, name, "", lambda text=text: (text.encode(),)) for name, text in files.items()]
    return SecretsScanning().look(Material(SUBJECT, lambda: items, expected=len(files), unit="x").handed()[0])


@pytest.fixture(scope="module")
def found() -> tuple[dict[str, int], Counter[str], Counter[str]]:
    """How many of each kind there are, of how many something was found, and of how many that are none."""
    draw, files = random.Random(7), dict[str, str]()
    for number in range(EACH):
        for kind, make in KINDS.items():
            one = make(draw)
            files[f"{kind}/{number}/{one.name}"] = one.text
        for kind, (name, text) in NEGATIVES.items():
            files[f"no {kind}/{number}/{name}"] = text(draw)
    facts = look(files)
    assert facts.more == 0
    assert all(each.caught == each.shown > 0 for each in facts.engines)
    told = Counter(name.split("/")[0] for name in {"/".join(each.name.split("/")[:2]) for each in facts.found})
    good, bad = Counter[str](), Counter[str]()
    for kind, count in told.items():
        (bad if kind.startswith("no ") else good)[kind] = count
    return dict.fromkeys(KINDS, EACH), good, bad


def test_every_kind_is_found(found: tuple[dict[str, int], Counter[str], Counter[str]]) -> None:
    planted, good, _ = found
    missed = {kind: count - good[kind] for kind, count in planted.items() if good[kind] < count}
    assert sum(good.values()) / sum(planted.values()) >= RECALL, missed
    assert all(good[kind] >= 0.9 * count for kind, count in planted.items()), missed


def test_what_is_none_is_not(found: tuple[dict[str, int], Counter[str], Counter[str]]) -> None:
    _, good, bad = found
    assert sum(good.values()) / (sum(good.values()) + sum(bad.values())) >= PRECISION, dict(bad)


def test_a_kind_with_a_form_is_told_by_its_name() -> None:
    draw, ids = random.Random(8), {form.id for form in tokens.rules().formats}
    for kind, make in KINDS.items():
        text = make(draw).text
        told = {
            hit.rule for hit in tokens.scan([Line(tokens.CONFIG, each) for each in text.splitlines()]) if not hit.excuse
        }
        assert kind not in ids or kind in told, kind
        assert kind.split()[0] != "assigned" or told == {"assigned-secret"}, told
