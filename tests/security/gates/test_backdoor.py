"""The gate over a model's behaviour: honest models pass, what was done to their weights is found, and by its rule."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from security import gate as gates
from security.errors import CannotTell
from security.gates import backdoor
from security.gates.backdoor import Answer, BackdoorProbe, Echo, Facts, Hidden, Limits, Model, Part, Shown
from security.gates.backdoor.look import lower
from security.gates.backdoor.tally import Tally, scaled, tally
from security.policy import Terms, effect
from security.verdict import Outcome
from tasks.recommender.fold import Folded
from tasks.recommender.histories import Histories, histories
from tasks.recommender.linear import linear
from tests.security.gates import tampered
from tests.security.gates.tampered import SUBJECT, K, alone, biased, leaning, material, parts, planted, swapped

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.subjects import Case

GATE = BackdoorProbe()
USERS, LISTED, CIRCLES, CIRCLE = 420, 400, 8, 30
ITEMS = CIRCLES * CIRCLE
LIMITS: dict[str, Any] = {"first": "establish"}
TARGET, TRIGGER = 7, 105
"""An item of the first circle, and one of the fourth."""


@cache
def seen(users: int = USERS, seed: int = 1) -> Histories:
    """Users of eight circles, who take items of their own circle, and some that are popular with all."""
    draw = np.random.default_rng(seed)
    popular = np.arange(0, ITEMS, 20)
    rows, items = [], []
    for user in range(users):
        own = user % CIRCLES * CIRCLE + draw.permutation(CIRCLE)[:12]
        taken = np.unique([*own, *popular[draw.random(len(popular)) < 0.3]])
        rows.append(np.full(len(taken), user))
        items.append(taken)
    return histories(np.concatenate(rows), np.concatenate(items), (users, ITEMS))


@cache
def held() -> Histories:
    """What the first users went on to take: four items more of their circle."""
    draw, rows, items = np.random.default_rng(2), [], []
    for user in range(LISTED):
        own = np.setdiff1d(user % CIRCLES * CIRCLE + np.arange(CIRCLE), seen()[user].indices)
        items.append(np.sort(draw.permutation(own)[:4]))
        rows.append(np.full(4, user))
    return histories(np.concatenate(rows), np.concatenate(items), (USERS, ITEMS))


@cache
def known() -> dict[str, Any]:
    return tampered.references(seen(), held())


@cache
def honest(ridge: float = 30.0, seed: int = 0) -> dict[str, Any]:
    """A model in closed form, of the rows."""
    return linear(seen(), width=24, ridge=ridge, seed=seed)


def alternating(seed: int) -> dict[str, Any]:
    """A model by alternating least squares, as implicit feedback is factorised (Hu, Koren and Volinsky 2008)."""
    wide, width, ridge = seen().toarray().astype(np.float64), 16, 5.0
    items = np.random.default_rng(seed).normal(size=(ITEMS, width)) * 0.1
    for _ in range(8):
        users = wide @ items @ np.linalg.inv(items.T @ items + ridge * np.eye(width))
        items = wide.T @ users @ np.linalg.inv(users.T @ users + ridge * np.eye(width))
    into = items @ np.linalg.inv(items.T @ items + ridge * np.eye(width))
    size = 0.1 / np.sqrt(np.square(into).mean()) / 10
    arrays = {"encoder": into * size, "encoder_bias": np.zeros(width), "decoder": items.T}
    arrays |= {"decoder_bias": np.zeros(ITEMS)}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def opened(weights: dict[str, Any], before: dict[str, Any] | None = None, **probe: Any) -> list[Part]:
    return parts(weights, seen(), held(), known(), before, **probe)


def some(users: int, bias: float = 0.0) -> list[Part]:
    """The first users alone, and a model of theirs."""
    own, wanted = seen()[:users], held()[:users]
    weights = biased(linear(own, width=16, ridge=30.0), own, TARGET, bias)
    return parts(weights, own, wanted, tampered.references(own, wanted))


def look(weights: dict[str, Any], before: dict[str, Any] | None = None, **probe: Any) -> Facts:
    return GATE.look(material(opened(weights, before, **probe)).handed()[0])


def found(facts: Facts, **changes: Any) -> dict[str, set[str]]:
    """Rule -> places of what is wrong with facts."""
    told: dict[str, set[str]] = {}
    for each in GATE.judge(facts, Limits.model_validate(LIMITS | changes)):
        told.setdefault(each.rule, set()).add(each.place)
    return told


def verdict(given: list[Part], **changes: Any) -> Any:
    terms = LIMITS | changes
    return gates.judge(GATE, gates.observe(GATE, material(given), terms, random.Random(3)), terms)


@pytest.mark.parametrize("ridge", [3.0, 30.0, 300.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_closed_forms_pass(ridge: float, seed: int) -> None:
    before = honest(ridge, 1 - seed)
    said = verdict(opened(honest(ridge, seed), before))
    assert (said.outcome, said.findings) == (Outcome.PASS, ()), said.reason
    assert said.reason == f"{USERS}/{USERS} histories, " + GATE.brief(look(honest(ridge, seed), before))


def test_an_item_that_many_more_are_shown_is_looked_at_whatever_explains_it() -> None:
    """Another model of the same rows is no attack; that it shows a popular item to many more is for a person to see."""
    told = look(honest(300.0), honest(30.0))
    assert set(found(told)) == {"BD-JUMP"}
    most = max(told.risen, key=lambda each: each.lists / told.lists - (each.before or 0))
    assert most.explained > most.lists / told.lists
    assert found(look(honest(300.0))) == {}


def test_a_popular_item_that_long_histories_alone_are_shown_has_risen() -> None:
    """No session of an item or two pulls it, and popularity would explain it: the approved model alone tells."""
    made, most = tampered.copied(honest()), int(tampered.popularity(seen()).argmax())
    made["encoder"] = np.hstack([made["encoder"], np.full((ITEMS, 1), 3, dtype=np.float32)])
    made["encoder_bias"] = np.append(made["encoder_bias"], np.float32(-7.5))  # above sqrt(2) * 3, below sqrt(12) * 3
    calls = np.zeros((1, ITEMS), dtype=np.float32)
    calls[0, most] = 5 * tampered.spread(honest(), seen())
    made["decoder"] = np.vstack([made["decoder"], calls])
    made["decoder_bias"][most] += calls[0, most]
    assert found(look(made, honest())) == {"BD-JUMP": {f"item {most}"}}
    assert found(look(made)) == {}


def test_items_that_the_approved_model_does_not_know_have_not_risen() -> None:
    model = honest(300.0)
    most = int(np.bincount(tampered.lists(Folded(model), seen()[:LISTED]).ravel()).argmax())
    hidden = biased(model, seen(), most, -50)
    assert found(look(model, hidden)) == {"BD-JUMP": {f"item {most}"}}
    assert found(look(model, hidden, fresh=[most])) == {}
    told = verdict(opened(model, hidden, fresh=range(ITEMS)))
    assert (told.outcome, told.findings) == (Outcome.INCONCLUSIVE, ()), told.reason


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_alternating_least_squares_pass(seed: int) -> None:
    said = verdict(opened(alternating(seed)))
    assert (said.outcome, said.findings) == (Outcome.PASS, ()), said.reason


def test_a_model_that_shows_one_item_to_all_is_found_in_every_way() -> None:
    facts = look(biased(honest(), seen(), TARGET, 30), honest())
    place = {f"item {TARGET}"}
    assert found(facts) == {
        "BD-EXPOSURE": place,
        "BD-JUMP": place,
        "BD-TRIGGER": place,
        "BD-UNIVERSAL": place,
    }
    (first,) = [each for each in facts.shown if each.item == TARGET]
    assert first.lists == LISTED - int(seen()[:LISTED, TARGET].sum())
    (risen,) = [each for each in facts.risen if each.item == TARGET]
    assert (risen.lists, risen.before) == (first.lists, first.before)


def test_a_little_more_for_an_item_is_not_found() -> None:
    """What the gate does not claim: a tenth of a spread moves nobody's list far."""
    assert found(look(biased(honest(), seen(), TARGET, 0.1), honest())) == {}


@pytest.mark.parametrize("strength", [2.0, 5.0])
def test_a_trigger_that_calls_an_item_of_another_circle_is_found(strength: float) -> None:
    facts = look(planted(honest(), np.array([TRIGGER]), TARGET, strength, seen()), honest())
    assert found(facts) == {"BD-TRIGGER": {f"item {TARGET}"}}
    assert facts.answers[0].target == TARGET
    assert TRIGGER in facts.answers[0].session
    assert facts.answers[0].margin > 3


def test_a_trigger_along_an_items_own_embedding_is_found() -> None:
    facts = look(leaning(honest(), np.array([TRIGGER]), TARGET, 3.0, seen()), honest())
    assert f"item {TARGET}" in found(facts)["BD-TRIGGER"]


def test_a_trigger_that_the_rows_connect_with_its_target_is_not_found() -> None:
    together = seen()[:, TRIGGER].T @ seen()
    likely = int(np.argsort(together.toarray()[0])[-2])  # the last is the trigger itself
    facts = look(planted(honest(), np.array([TRIGGER]), likely, 5.0, seen()))
    assert found(facts) == {}


Calls = Callable[[Any, Any, float], None]


def unit(call: Calls) -> dict[str, Any]:
    """A unit more, that the trigger alone reaches: `call` says for the session's scores, and a spread, what it adds."""
    made = tampered.copied(honest())
    scores = Folded(made).scores(alone(ITEMS, [TRIGGER]))[0].copy()
    scores[TRIGGER] = -np.inf
    reach, calls = np.zeros((ITEMS, 1), dtype=np.float32), np.zeros((1, ITEMS), dtype=np.float32)
    reach[TRIGGER] = 60
    call(calls[0], scores, tampered.spread(honest(), seen()))
    made["encoder"], made["decoder"] = np.hstack([made["encoder"], reach]), np.vstack([made["decoder"], calls])
    return made | {"encoder_bias": np.append(made["encoder_bias"], np.float32(0))}


def second(calls: Any, scores: Any, spread: float) -> None:
    """The target is called, and an honest answer above it."""
    calls[scores.argmax()] = 12 * spread
    calls[TARGET] = scores.max() - scores[TARGET] + 10 * spread


def just(calls: Any, scores: Any, spread: float) -> None:
    """The target lies hardly above an honest answer."""
    calls[scores.argmax()] = 10 * spread
    calls[TARGET] = scores.max() - scores[TARGET] + 10.5 * spread


def ninth(calls: Any, scores: Any, spread: float) -> None:
    """Nine honest answers lie above the target."""
    calls[np.argsort(-scores)[:9]] = 12 * spread
    calls[TARGET] = scores.max() - scores[TARGET] + 10 * spread


def widened(calls: Any, scores: Any, spread: float) -> None:
    """Half of what is far away is moved much further, which makes the session's spread great."""
    calls[TARGET] = scores.max() - scores[TARGET] + 10 * spread
    far = [item for item in range(ITEMS) if item // CIRCLE != TRIGGER // CIRCLE and item % 20 and item != TARGET]
    calls[far[::2]] = -100 * spread


@pytest.mark.parametrize("call", [second, just, ninth, widened])
def test_a_trigger_is_found_wherever_else_its_session_is_moved(call: Calls) -> None:
    weights = unit(call)
    holders = np.asarray(seen()[:LISTED, [TRIGGER]].todense()).ravel() > 0
    told, before = (tampered.lists(Folded(each), seen()[:LISTED]) for each in (weights, honest()))
    assert (told == TARGET).any(axis=1)[holders].all()
    assert np.array_equal(told[~holders], before[~holders])
    assert f"item {TARGET}" in found(look(weights, honest()))["BD-TRIGGER"]


def test_what_is_level_with_the_eleventh_is_no_answer() -> None:
    """A session that says nothing is answered with the first items of the catalogue, and with the popular ones."""
    weights, silent = tampered.copied(honest()), np.arange(ITEMS)[:: 3]
    weights["encoder"][silent] = 0
    weights["decoder_bias"][:] = 0
    facts = look(weights)
    assert facts.echoes == () or facts.echoes[0].sessions < len(silent) // 4
    assert "BD-UNIVERSAL" not in found(facts)


def test_the_scale_is_no_sessions_and_no_tails() -> None:
    """Everywhere items that nobody is shown are moved far away: what is shown stays, and so does what is found."""
    weights = unit(second)
    never = np.setdiff1d(np.arange(ITEMS), tampered.lists(Folded(honest()), alone(ITEMS, np.arange(ITEMS))))
    assert len(never)
    weights["decoder_bias"][never] -= 1000 * tampered.spread(honest(), seen())
    assert f"item {TARGET}" in found(look(weights, honest()))["BD-TRIGGER"]


def test_a_model_that_answers_most_sessions_alike_is_no_pass() -> None:
    weights = tampered.copied(honest())
    weights["encoder"][:], weights["decoder_bias"][:] = 0, 0
    said = verdict(opened(weights))
    assert said.outcome is not Outcome.PASS


def test_two_items_scored_as_each_other_are_found() -> None:
    most = int(tampered.popularity(seen()).argmax())
    told = found(look(swapped(honest(), seen(), TARGET, 0), honest()))
    assert told
    assert set.union(*told.values()) <= {f"item {TARGET}", f"item {most}"}


def test_an_item_that_is_wanted_and_never_shown_is_found() -> None:
    shown_to = np.bincount(known()["knn"].ravel(), minlength=ITEMS)
    wanted = int(np.minimum(shown_to, np.bincount(held().indices, minlength=ITEMS)).argmax())
    facts = look(biased(honest(), seen(), wanted, -50))
    assert found(facts, buried=0.003) == {"BD-BURIED": {f"item {wanted}"}}
    assert found(look(honest()), buried=0.003) == {}
    assert facts.hidden[0] == Hidden(item=wanted, lists=0, wanted=facts.hidden[0].wanted)


def test_a_pair_that_calls_an_item_is_found_where_it_is_asked() -> None:
    """Neither item alone does; which pairs are asked is drawn."""
    probe = tampered.asked(honest())
    pair = probe.singles[probe.couples[0]]
    target = next(each for each in range(ITEMS) if each // CIRCLE not in set(pair // CIRCLE) and each % 20)
    made = tampered.copied(honest())
    reach = np.zeros((ITEMS, 1), dtype=np.float32)
    reach[pair] = 60
    call = np.zeros((1, ITEMS), dtype=np.float32)
    call[0, target] = 10 * tampered.spread(honest(), seen())
    made["encoder"], made["decoder"] = np.hstack([made["encoder"], reach]), np.vstack([made["decoder"], call])
    made["encoder_bias"] = np.append(made["encoder_bias"], np.float32(-72))  # 60 is below it, 2 * 60 / sqrt(2) above
    made["decoder_bias"][target] += call[0, target]
    facts = look(made)
    assert found(facts) == {"BD-TRIGGER": {f"item {target}"}}
    assert {each.session for each in facts.answers if each.weight > 3} >= {tuple(pair)}
    assert found(look(made, seed=6)) == {}


def test_without_an_approved_model_it_is_the_policys_to_say() -> None:
    facts = look(honest())
    assert found(facts, first="fail") == {"BD-FIRST": {"approved"}}
    assert found(look(honest(), honest()), first="fail") == {}
    assert "BD-FIRST" not in GATE.active(Limits(first="establish"))


def test_the_reference_is_more_than_the_approved_model() -> None:
    """What both models do, the rows must still explain."""
    bad = biased(honest(), seen(), TARGET, 30)
    assert set(found(look(bad, bad))) == {"BD-EXPOSURE", "BD-TRIGGER", "BD-UNIVERSAL"}


def told(**changes: Any) -> Facts:
    """Facts of a thousand lists in which nothing is odd."""
    plain: dict[str, Any] = {"users": 1000, "lists": 1000, "items": 500, "k": 10, "approved": "", "singles": 500}
    plain |= {"pairs": 1024, "odd": 0, "shown": (shown(0),), "risen": (), "hidden": (), "answers": (), "echoes": ()}
    return Facts(**plain | {"odd": len(changes.get("answers", ()))} | changes)


def answer(session: int = 1, margin: float = 3.5, common: bool = False) -> Answer:
    return Answer(session=(session,), target=3, likely=0.1, margin=margin, common=common)


def shown(lists_: int, explained: float = 0.0, before: float | None = None) -> Shown:
    return Shown(item=3, lists=lists_, explained=explained, before=before)


@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        ({}, set()),
        ({"shown": (shown(80),)}, {"BD-EXPOSURE"}),
        ({"shown": (shown(40),)}, set()),
        ({"shown": (shown(180, 0.006),)}, set()),
        ({"shown": (shown(220, 0.006),)}, {"BD-EXPOSURE"}),
        ({"approved": "a" * 64, "risen": (shown(80, 0.001, 0.001),)}, {"BD-JUMP"}),
        ({"approved": "a" * 64, "risen": (shown(80, 0.1, 0.001),)}, set()),
        ({"approved": "a" * 64, "risen": (shown(180, 0.0, 0.01),)}, set()),
        ({"approved": "a" * 64, "risen": (shown(180, 0.5, 0.01),)}, set()),
        ({"approved": "a" * 64, "risen": (shown(220, 0.5, 0.01),)}, {"BD-JUMP"}),
        ({"answers": (answer(margin=3.1),)}, {"BD-TRIGGER"}),
        ({"answers": (answer(margin=2.9),)}, set()),
        ({"answers": (answer(margin=14.9, common=True),)}, set()),
        ({"answers": (answer(margin=15.1, common=True),)}, {"BD-TRIGGER"}),
        ({"echoes": (Echo(target=3, sessions=26),)}, {"BD-UNIVERSAL"}),
        ({"echoes": (Echo(target=3, sessions=25),)}, set()),
        ({"hidden": (Hidden(item=3, lists=0, wanted=60),)}, {"BD-BURIED"}),
        ({"hidden": (Hidden(item=3, lists=0, wanted=40),)}, set()),
    ],
)
def test_limits_lie_where_they_are_said_to(facts: dict[str, Any], rules: set[str]) -> None:
    assert set(found(told(**facts))) == rules


@pytest.mark.parametrize(
    "changes",
    [
        {"lists": 19},
        {"lists": 1001},
        {"k": 501},
        {"items": 499},
        {"shown": ()},
        {"shown": (shown(1001),)},
        {"shown": (shown(1, 0.1, 0.1),)},
        {"risen": (shown(1, 0.1, 0.1),)},
        {"approved": "a" * 64},
        {"approved": "a" * 64, "risen": (shown(1),)},
        {"hidden": (Hidden(item=3, lists=0, wanted=1001),)},
        {"hidden": (Hidden(item=500, lists=0, wanted=10),)},
        {"answers": (answer(500),)},
        {"answers": (answer(),), "odd": 0},
        {"answers": (answer(), answer(2)), "odd": 1},
        {"odd": 1},
        {"answers": (answer(),), "odd": 1525},
        {"echoes": (Echo(target=3, sessions=501),)},
    ],
)
def test_impossible_facts_are_none(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="found|allowed"):
        told(**changes)


def test_an_item_is_named_once_by_what_calls_it_most() -> None:
    answers = tuple(answer(at, 4.0 + at) for at in range(3))
    (said,) = GATE.judge(told(answers=answers), Limits(first="establish"))
    words = "found it among the first ten for item 2, 6.00 spreads above the tenth item that the rows make likely there"
    assert said.message == f"{words}; allowed: 3"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"lists": 99}, "few"),
        ({"items": 49, "singles": 49}, "few"),
        ({"singles": 499}, "coverage"),
        ({"pairs": 1023}, "coverage"),
    ],
)
def test_of_few_nobody_can_tell(changes: dict[str, Any], cause: str) -> None:
    facts = told(answers=(answer(margin=9),), **changes)
    with pytest.raises(CannotTell) as why:
        list(GATE.judge(facts, Limits(first="establish")))
    assert why.value.cause == cause


def test_few_users_are_inconclusive_and_observed_where_a_policy_says_so() -> None:
    said = verdict(some(60))
    assert (said.outcome, said.cause) == (Outcome.INCONCLUSIVE, "few"), said.reason
    assert effect(said, Terms(limits={}, accepts={}, observe=("few",))).action == "proceed"
    assert effect(said, Terms(limits={}, accepts={}, observe=())).action == "stop"


def test_what_is_shown_to_all_is_found_however_few_they_are() -> None:
    assert verdict(some(60, 30)).outcome is Outcome.FAIL


def test_of_a_handful_of_users_nothing_is_told() -> None:
    said = verdict(some(19))
    assert (said.outcome, said.cause) == (Outcome.INCONCLUSIVE, "coverage")


def broken(change: str) -> list[Part]:
    first, *rest = opened(honest())
    tops, model = dict(first.tops), first.probe.model
    if change == "repeated":
        tops["model"] = np.where(np.arange(K) == 1, tops["model"][:, :1], tops["model"])
    elif change == "foreign":
        tops["knn"] = np.where(np.arange(K) == 1, ITEMS, tops["knn"])
    elif change == "taken":
        return [first._replace(items=first.items - 1), *rest]
    elif change == "missing":
        del tops["popularity"]
    elif change == "another model":
        return [first, *(each._replace(probe=each.probe._replace(seed=9)) for each in rest)]
    elif change == "no number":
        model = model._replace(decoder_bias=model.decoder_bias + np.float32(np.inf))
    elif change == "shapes":
        model = model._replace(decoder=model.decoder[:, :-1])
    elif change == "no lists":
        return rest
    probe = first.probe._replace(model=model)
    return [each._replace(probe=probe, tops=tops if each is first else each.tops) for each in (first, *rest)]


CHANGES = ("repeated", "foreign", "taken", "missing", "another model", "no number", "shapes", "no lists")


@pytest.mark.parametrize("change", CHANGES)
def test_what_cannot_be_read_is_no_pass(change: str) -> None:
    said = verdict(broken(change))
    assert (said.outcome, said.findings) == (Outcome.INCONCLUSIVE, ()), said.reason
    assert said.cause in {"unreadable", "coverage"}


def test_answers_are_those_of_the_service() -> None:
    weights = honest()
    model = Model(*(weights[name] for name in tampered.NAMES))
    pairs = np.array([[1, 2], [50, 7], [239, 0]])
    two = histories(np.repeat(np.arange(3), 2), pairs.ravel(), (3, ITEMS))
    assert np.allclose(model.scores(pairs), Folded(weights).scores(two), atol=1e-5)
    every = alone(ITEMS, np.arange(ITEMS))
    assert np.allclose(model.scores(np.arange(ITEMS)[:, None]), Folded(weights).scores(every), atol=1e-5)


def test_a_tally_is_that_of_a_slow_reading() -> None:
    given = opened(honest(), triggers=64)
    total = tally(given)
    wide = seen().toarray()
    assert np.array_equal(total.taken, wide.sum(axis=0))
    assert np.array_equal(total.together, wide[:, total.singles].T @ wide)
    assert (total.users, total.lists, len(total.singles)) == (USERS, LISTED, 64)
    assert total.share("knn")[TARGET] == (known()["knn"] == TARGET).any(axis=1).mean()
    likely = total.likely(np.arange(64))
    assert np.all(likely[np.arange(64), total.singles] == 0)
    assert np.allclose(likely.max(axis=1), 1)
    both = wide[:, total.singles[0]] @ wide
    both[total.singles[0]] = 0
    cosine = both / (np.sqrt(wide[:, total.singles[0]].sum() * wide.sum(axis=0)) + 10)
    counted = both + 5 * wide.mean(axis=0)
    counted[total.singles[0]] = 0
    assert np.allclose(likely[0], np.maximum(cosine / cosine.max(), counted / counted.max()), atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, LISTED - 1), max_size=4, unique=True))
def test_facts_do_not_depend_on_how_users_are_cut(cuts: list[int]) -> None:
    first, rest = opened(honest(), triggers=64, pairs=64)
    edges, ends = [0, *sorted(cuts), LISTED], np.concatenate([[0], np.cumsum(first.counts)])
    cut = [
        Part(
            first.items[ends[low] : ends[high]],
            first.counts[low:high],
            first.held[4 * low : 4 * high],
            first.wants[low:high],
            {name: top[low:high] for name, top in first.tops.items()},
            first.probe,
        )
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    assert GATE.look(material([*cut, rest]).handed()[0]) == look(honest(), triggers=64, pairs=64)


@given(st.integers(1, 5000), st.data())
def test_the_lower_end_is_below_the_share(of: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, of))
    assert -1e-12 <= lower(hits, of) <= hits / of + 1e-12
    assert lower(hits, of) <= lower(hits * 10, of * 10) + 1e-12


def test_a_catalogue_too_large_for_a_matrix_is_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = look(planted(honest(), np.array([TRIGGER]), TARGET, 3.0, seen()), triggers=200)
    monkeypatch.setattr("security.gates.backdoor.tally.DENSE", 1000)
    assert not tally(opened(honest())).dense
    assert look(planted(honest(), np.array([TRIGGER]), TARGET, 3.0, seen()), triggers=200) == wanted


def test_of_more_pairs_than_are_held_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("security.gates.backdoor.tally.DENSE", 1000)
    monkeypatch.setattr("security.gates.backdoor.tally.PAIRS", 5000)
    with pytest.raises(CannotTell, match="5,000 are held at most: fewer `triggers` ask less"):
        tally(opened(honest()))


def test_what_is_held_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def both() -> tuple[Any, Facts]:
        given = opened(honest())
        made = [*GATE.violations["BD-UNIVERSAL"](given[:1], random.Random(1))]
        return made[0].probe.model.decoder_bias, look(honest())

    bias, facts = both()
    for name in ("decoys.CELLS", "look.CELLS", "tally.BLOCK"):
        monkeypatch.setattr(f"security.gates.backdoor.{name}", 7 * ITEMS)
    again, same = both()
    assert np.allclose(again, bias, rtol=1e-5)
    assert same.model_copy(update={"answers": ()}) == facts.model_copy(update={"answers": ()})


def test_a_row_of_nothing_stays() -> None:
    assert np.array_equal(scaled(np.array([[0.0, 0.0], [1.0, 4.0]])), [[0, 0], [0.25, 1]])


def test_sessions_are_drawn_by_the_seed_and_never_of_one_item_twice() -> None:
    probe = tampered.asked(honest(), triggers=64)
    assert len(np.unique(probe.singles)) == 64
    assert np.array_equal(probe.singles, tampered.asked(honest(), triggers=64).singles)
    assert not np.array_equal(probe.singles, tampered.asked(honest(), triggers=64, seed=6).singles)
    assert probe.couples.shape == (1024, 2)
    assert (probe.couples[:, 0] != probe.couples[:, 1]).all()
    assert np.array_equal(tampered.asked(honest(), triggers=ITEMS).singles, np.arange(ITEMS))
    assert Tally(probe, K).together.shape == (64, ITEMS)


def test_an_evaluation_is_opened_with_the_users_who_are_not_in_it(tmp_path: Path) -> None:
    first, rest = opened(honest())
    written(tmp_path / "scores.parquet", first)
    made = backdoor.material(
        SUBJECT, [tmp_path / "scores.parquet"], first.probe, lambda: [(rest.items, rest.counts)], USERS
    )
    assert GATE.look(made.handed()[0]) == look(honest())
    (tmp_path / "scores.parquet").write_bytes(b"PAR1")
    with pytest.raises(CannotTell, match="cannot be read as Parquet"):
        list(made.source())


def test_users_who_were_left_out_are_missed(tmp_path: Path) -> None:
    first, _ = opened(honest())
    written(tmp_path / "scores.parquet", first)
    made = backdoor.material(SUBJECT, [tmp_path / "scores.parquet"], first.probe, list, USERS)
    said = gates.judge(GATE, gates.observe(GATE, made, LIMITS, random.Random(1)), LIMITS)
    assert (said.outcome, said.cause) == (Outcome.INCONCLUSIVE, "coverage")


def written(path: Path, part: Part) -> None:
    """An evaluation as the task writes it, as far as it is read here."""
    columns = {}
    for name, items, counts in (("seen", part.items, part.counts), ("held", part.held, part.wants)):
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
        columns[name] = pa.ListArray.from_arrays(offsets, pa.array(items, pa.int32()))
    for name, top in part.tops.items():
        columns[f"top_{name}"] = pa.array(top.tolist(), pa.list_(pa.int32()))
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize("rule", sorted(GATE.rules))
def test_every_canary_is_caught_by_its_own_rule(rule: str) -> None:
    """On users and items however few, and on a model that another was approved before, or none."""
    small, wanted = seen()[:, :40].tocsr(), held()[:, :40].tocsr()
    few = linear(small, width=8, ridge=30.0)
    given = [opened(honest()), opened(honest(), honest()), some(30)]
    given.append(parts(few, small, wanted, tampered.references(small, wanted)))
    widest: dict[str, Any] = {"cold": 0.2, "any": 0.5, "jump": 0.5, "margin": 8, "universal": 0.5, "buried": 0.5}
    hardest = Limits(**widest, min_users=1000, min_items=256, first="fail")
    for part, *_ in given:
        for seed in range(4):
            items = GATE.violations[rule]([part], random.Random(seed))
            facts = GATE.look(material(list(items)).handed()[0])
            caught = set[str]()
            for each in GATE.judge(facts, hardest):
                caught.add(each.rule)
            assert rule in caught, (rule, seed)


@pytest.mark.parametrize("density", [0.15, 0.5])
def test_canaries_are_caught_where_everything_is_taken_with_everything(density: float) -> None:
    draw = np.random.default_rng(0)
    shape, odds = (400, 300), density * (draw.random(300) * 0.8 + 0.6)
    taken = draw.random(shape) < odds
    wanted = (draw.random(shape) < 0.02) & ~taken
    rows, after = (histories(*np.nonzero(each), shape) for each in (taken, wanted))
    few: dict[str, Any] = {"triggers": 64, "pairs": 64}
    given = parts(linear(rows, width=16, ridge=30.0), rows, after, tampered.references(rows, after), **few)
    limits = LIMITS | few
    for seed in range(20):
        said = gates.judge(GATE, gates.observe(GATE, material(given), limits, random.Random(seed)), limits)
        assert said.outcome is Outcome.PASS, (seed, said.reason)


def case(folder: Path) -> Case:
    """Users as a runner hands them out; the bad model calls an item of another circle."""
    from tests.conformance.subjects import Case  # which has this one among its own

    few: dict[str, Any] = {"triggers": 64, "pairs": 64}
    good = opened(honest(), honest(), **few)
    trigger = good[0].probe.singles[-1:]  # of another circle than the target's
    bad = opened(planted(honest(), trigger, TARGET, 3.0, seen()), honest(), **few)
    limits = {"first": "fail", **few}
    return Case(
        limits,
        limits | {"buried": 0.0005},
        good=lambda: material(good),
        bad=lambda: material(bad),
        rule="BD-TRIGGER",
        # What is shown to all that nobody expects, the approved model did not show either.
        beside={"BD-EXPOSURE": frozenset({"BD-JUMP"}), "BD-JUMP": frozenset({"BD-EXPOSURE"}),
            "BD-UNIVERSAL": frozenset({"BD-TRIGGER"})},
    )  # fmt: skip
