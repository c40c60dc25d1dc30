"""The gate over a model's version: what any gate must do, over a signed model and chains to break.

The cheapest that would satisfy the words, and what catches each:
- the card is believed of itself: `test_a_model_is_bound_to_what_the_plan_says`, and that of the data;
- the newest entry is looked at, and the rest of the chain taken for sound: `test_a_chain_that_does_not_hold`;
- versions are compared, and nobody asks what stands: `test_an_entered_version_stands_with_its_files`;
- what was counted is what was handed out: `test_everything_is_handed_out_and_counted_apart`.
"""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from security.errors import CannotTell
from security.gate import judge, observe
from security.gates.model import contents, release
from security.gates.versions import Item, Limits, ModelVersioning
from security.gates.versions.decoys import VIOLATIONS
from security.keys import UnsafeLocalKeys
from security.log import head_of
from security.material import Handed, Material
from security.models import entries
from security.models.chain import Keys
from security.verdict import Outcome, Subject
from tasks import chains
from tasks import versions as opener
from tasks.home import Home
from tests.security.models import making
from tests.security.models.chains import History, sha
from tests.security.models.making import DAY, NOW

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

GATE = ModelVersioning()
THEN = 1.6e9
DATA, CODE, LOCK, PLAN = (letter * 64 for letter in "abcd")


def own(local: UnsafeLocalKeys) -> Keys:
    """Whose word counts in a home's registry."""
    return Keys((local.public("producer"),), (local.public("verifier"),), (local.public("owner"),))


class World:
    """A home with a model in it, whose chains grow as they are told to."""

    def __init__(self, folder: Path, **card: Any) -> None:
        self.home, self.local = Home(folder), UnsafeLocalKeys(folder / "keys")
        self.folder, self.history = folder / "model", History(self.local)
        if not self.folder.exists():
            making.files(self.folder, self.local, **card)

    @property
    def release(self) -> str:
        return release(contents(self.folder))

    def limits(self, **changes: Any) -> dict[str, Any]:
        usual = {"name": "sample", "run": "run-3", "code": CODE, "lock": LOCK, "at": "fit", "own": True}
        return usual | {"signer": self.local.public("producer").id, "card": "recommender"} | changes

    def chain(self, change: Callable[[History], Any]) -> "World":
        """Write the chains as they are after a change."""
        change(self.history)
        for name, lines in (("sample", self.history.lines), ("revoked", self.history.gone)):
            folder = self.home.folder("chains", name)
            for path in folder.iterdir():
                path.unlink()
            for number, line in enumerate(lines, 1):
                (folder / str(number)).write_bytes(line)
        return self

    def opened(self, limits: dict[str, Any], **told: Any) -> Material[Any]:
        subject = Subject(kind="model", name="staging:model", sha256=self.release)
        usual: dict[str, Any] = {"data": DATA, "plan": PLAN} | told
        return opener.opened(self.home, self.folder, limits, subject, own(self.local), **usual)

    def found(self, told: dict[str, Any] | None = None, **limits: Any) -> set[str]:
        """The rules that the model breaks."""
        terms = self.limits(**limits)
        facts = GATE.look(self.opened(terms, **told or {}).handed()[0])
        return {each.rule for each in GATE.judge(facts, Limits.model_validate(terms))}


def _history(history: History) -> None:
    """Two versions before this one, the first of which serves; moments that are past for any clock."""
    then: dict[str, Any] = {"at": THEN}
    history.version(1, **then, expires=4e9).move("candidate", 1, **then).move("approved", 1, **then)
    history.move("production", 1, **then).version(2, **then, expires=4e9)
    history.revoke("data", sha(77), **then)


def case(folder: Path) -> "Case":
    """A model of its run, before it serves; the bad one was made of other code."""
    from tests.conformance.subjects import Case  # which has this one among its own

    made = {"created": THEN, "expires": 4e9}
    fresh = not (folder / "good").exists()
    good = World(folder / "good", **made)
    if fresh:
        good.chain(_history)
        shutil.copytree(good.home.root, folder / "bad", ignore=shutil.ignore_patterns("model"))
    bad = World(folder / "bad", **made, code="e" * 64)
    limits = good.limits(at="serve", days=36_500)
    return Case(
        limits,
        limits | {"days": 30},
        good=lambda: good.opened(limits),
        bad=lambda: bad.opened(limits),
        rule="VER-03",
        # Only the producer can enter a version, so such material has a producer of its own.
        beside=dict.fromkeys(("VER-07", "VER-08"), frozenset({"VER-12"})),
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A model of this run, and a registry that has two older versions."""
    return World(tmp_path).chain(_history)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> "Case":
    return case(tmp_path_factory.mktemp("versions"))


def test_good_passes_after_training_and_before_serving(world: World) -> None:
    for at in ("fit", "serve"):
        seen = observe(GATE, world.opened(world.limits(at=at)), world.limits(at=at))
        told = judge(GATE, seen, world.limits(at=at))
        assert (told.outcome, told.findings) == (Outcome.PASS, ()), told.reason
        assert "version 3, 6 entries" in told.reason
        assert (seen.coverage.expected, seen.coverage.inspected) == (11, 11)
        assert (seen.facts["chain"]["newest"], seen.facts["chain"]["production"]) == (2, 1)


def test_bad_fails_by_its_rule(held: "Case") -> None:
    for seed in range(5):
        told = judge(GATE, observe(GATE, held.bad(), held.limits, random.Random(seed)), held.limits)
        assert (told.outcome, {each.rule for each in told.findings}) == (Outcome.FAIL, {"VER-03"})


@pytest.mark.parametrize("rule", GATE.rules)
def test_a_canary_of_each_rule_is_caught_by_it_alone(held: "Case", rule: str) -> None:
    sample, wanted = list(held.good().source()), {rule} | held.beside.get(rule, frozenset())
    terms = Limits.model_validate(held.limits)
    for seed in range(20):
        items = VIOLATIONS[rule](sample, random.Random(seed))
        facts = GATE.look(held.good().decoy(items).handed()[0])
        assert {each.rule for each in GATE.judge(facts, terms)} == wanted, seed
        again = GATE.look(held.good().decoy(VIOLATIONS[rule](sample, random.Random(seed))).handed()[0])
        assert again.model_copy(update={"at": facts.at}) == facts, seed


@pytest.mark.parametrize("rule", GATE.rules)
@pytest.mark.parametrize("limits", [{"at": "fit"}, {"at": "serve"}, {"at": "serve", "own": False}])
def test_a_canary_is_caught_whatever_it_is_made_from(tmp_path: Path, rule: str, limits: dict[str, Any]) -> None:
    """An empty registry, a model that was entered, one that is none, and chains that do not hold."""
    world = World(tmp_path)
    terms = Limits.model_validate(world.limits(**limits))
    if rule not in GATE.active(terms):
        return
    bare = list(world.opened(world.limits()).source())
    world.chain(lambda history: history.version(3, release=world.release))
    samples = [bare, list(world.opened(world.limits()).source())]
    samples.append([item._replace(data=b"{}") if item.name == "model.json" else item for item in bare])
    samples.append([*bare, Item("entry", "1", b"junk")])
    samples.append([item._replace(data=b"") if item.kind == "declared" else item for item in bare])
    for number, sample in enumerate(samples):
        hides = number == 3 and rule in ("VER-05", "VER-09")  # of such a chain nothing is believed
        for seed in range(6):
            items = VIOLATIONS[rule](sample, random.Random(seed))
            facts = GATE.look(Handed(Subject(kind="model", name="m", sha256=""), iter(items)))
            assert hides or rule in {each.rule for each in GATE.judge(facts, terms)}, (number, seed)


@pytest.mark.parametrize(
    ("card", "rules"),
    [
        ({"name": "other"}, {"VER-02"}),
        ({"run": "run-4"}, {"VER-03"}),
        ({"code": "e" * 64}, {"VER-03"}),
        ({"lock": "e" * 64}, {"VER-03"}),
        ({"plan": "e" * 64}, {"VER-03"}),
        ({"data": "e" * 64}, {"VER-04"}),
        ({"version": 2}, {"VER-05", "VER-08"}),
        ({"version": 1}, {"VER-05", "VER-08"}),
        ({"version": 0}, {"VER-05"}),
        ({"version": 1 << 53}, {"VER-01"}),
        ({"version": -1}, {"VER-01"}),
        ({"version": "3"}, {"VER-01"}),
        ({"version": True}, {"VER-01"}),
        ({"plan": "short"}, {"VER-01"}),
        ({"expires": NOW - 1}, {"VER-10"}),
        ({"expires": NOW - 60}, {"VER-10"}),
        ({"created": NOW + DAY}, {"VER-10"}),
        ({"created": NOW - 2 * DAY}, {"VER-10"}),
        ({"expires": NOW - 90}, {"VER-10"}),
        ({"expires": float("inf")}, {"VER-01"}),
    ],
)
def test_a_model_is_bound_to_what_the_plan_says(tmp_path: Path, card: dict[str, Any], rules: set[str]) -> None:
    assert World(tmp_path, **card).chain(_history).found() == rules


def test_what_the_card_says_of_data_and_plan_is_held_against_what_the_run_knows(world: World) -> None:
    assert world.found({"data": "e" * 64}) == {"VER-04"}
    assert world.found({"plan": "e" * 64}) == {"VER-03"}


def test_of_another_run_s_model_only_what_can_be_known_is_held(world: World) -> None:
    later: dict[str, Any] = {"run": "run-9", "code": "e" * 64, "lock": "e" * 64}
    assert world.found({"plan": "e" * 64}, at="serve", own=False, **later) == set()
    assert world.found(at="serve", own=True, **later) == {"VER-03"}
    assert world.found(at="fit", own=False, **later) == {"VER-03"}
    assert "VER-03" not in GATE.active(Limits.model_validate(world.limits(at="serve", own=False)))
    assert world.found({"data": "e" * 64}, at="serve", own=False, **later) == {"VER-04"}
    assert world.found(at="serve", own=False, name="another", **later) == {"VER-02"}


def test_before_serving_no_version_is_older_than_what_serves(tmp_path: Path) -> None:
    old = World(tmp_path, version=2).chain(lambda history: history.through(1, 3))
    assert old.found(at="serve") == {"VER-05"}
    same = World(tmp_path / "same", version=4).chain(lambda history: history.through(1, 3))
    assert same.found(at="serve") == same.found() == set()
    assert same.chain(lambda history: history.through(4)).found(at="serve") == {"VER-08"}


def test_what_served_and_was_revoked_since_is_still_the_floor(tmp_path: Path) -> None:
    old = World(tmp_path, version=2).chain(lambda history: history.through(1, 3))
    told: dict[str, Any] = {"name": "sample", "version": 3}
    assert old.chain(lambda history: history.revoke("model", sha(3), **told)).found(at="serve") == {"VER-05"}


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (lambda h, r: h.version(3, release=r), set()),
        (lambda h, r: h.version(3), {"VER-08"}),
        (lambda h, r: h.version(3, release=r, expires=NOW - 1), {"VER-07"}),
        (lambda h, r: h.version(3, release=r).revoke("data", sha(600)), {"VER-07", "VER-09"}),
        (lambda h, r: h.version(3, release=r).revoke("model", sha(3), name="sample", version=3), {"VER-07", "VER-09"}),
        (lambda h, r: h.revoke("model", sha(3), name="sample", version=3), set()),
        (lambda h, r: h.revoke("data", DATA), {"VER-09"}),
        (lambda h, r: h.revoke("data", "e" * 64), set()),
        (lambda h, r: h.revoke("key", h.local.public("producer").id), {"VER-09"}),
        (lambda h, r: h.revoke("data", DATA, role="verifier"), {"VER-09"}),
    ],
)
def test_an_entered_version_stands_with_its_files(
    world: World, change: Callable[[History, str], Any], rules: set[str]
) -> None:
    world.chain(lambda history: change(history, world.release))
    assert world.found(at="serve") == rules
    assert world.found() - {"VER-05"} == rules


def _written(world: World, name: str, number: str, data: bytes | None) -> None:
    path = world.home.root / "chains" / name / number
    path.unlink(missing_ok=True)
    if data is not None:
        path.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.chain(lambda h: h.version(3, role="verifier")),
        lambda w: w.chain(lambda h: h.version(3, role="issuer")),
        lambda w: w.chain(lambda h: h.version(3, name="other")),
        lambda w: w.chain(lambda h: h.version(3, at=NOW + DAY)),
        lambda w: w.chain(lambda h: h.version(2)),
        lambda w: w.chain(lambda h: h.revoke("data", sha(1), role="producer")),
        lambda w: w.chain(lambda h: h.move("production", 2)),
        lambda w: _written(w, "sample", "2", None),
        lambda w: _written(w, "sample", "1", None),
        lambda w: (w.home.root / "chains" / "sample" / "5").rename(w.home.root / "chains" / "sample" / "9"),
        lambda w: _written(w, "sample", "2", b"{}"),
        lambda w: _written(w, "sample", "6", b""),
        lambda w: _written(w, "sample", "05", b"{}"),
        lambda w: _written(w, "sample", "notes", b"{}"),
        lambda w: _written(w, "sample", "6", w.history.lines[0]),
        lambda w: _written(w, "sample", "6", w.history.gone[0]),
        lambda w: _written(w, "revoked", "1", b"{}"),
        lambda w: _written(w, "revoked", "2", w.history.lines[0]),
    ],
)
def test_a_chain_that_does_not_hold_is_a_finding(world: World, change: Callable[[World], Any]) -> None:
    change(world)
    for at in ("fit", "serve"):
        assert world.found(at=at) == {"VER-06"}
        for seed in range(12):  # whichever canaries are drawn, of a chain that is not whole
            seen = observe(GATE, world.opened(world.limits(at=at)), world.limits(at=at), random.Random(seed))
            told = judge(GATE, seen, world.limits(at=at))
            assert told.outcome is Outcome.FAIL, (seed, told.reason)


def test_a_model_that_the_registry_of_a_home_has_entered(tmp_path: Path) -> None:
    """The same bytes as the registry's own writers leave them."""
    world = World(tmp_path)
    home, signer, with_ = world.home, world.local.signer("producer"), own(world.local)
    said: dict[str, Any] = {
        "name": "sample",
        "version": 3,
        "manifest": sha(3),
        "release": world.release,
        "run": "run-3",
    }
    chains.enter(home, signer, with_, **said, data=(DATA,), expires=NOW + 30 * DAY)
    chains.move(home, signer, with_, "sample", "candidate", 3, reason="all gates passed")
    chains.revoke(home, world.local.signer("owner"), with_, what="data", target=sha(77), reason="it leaked")
    assert world.found(at="serve") == set()
    assert world.found(at="fit") == {"VER-05"}
    facts = GATE.look(world.opened(world.limits()).handed()[0])
    assert facts.chain is not None
    assert facts.chain.entered is not None
    assert facts.chain.head == chains.standing(home, "sample", with_).head
    (world.folder / "empty.txt").write_bytes(b"more")
    assert world.found(at="serve") == {"VER-08"}


def test_revocations_that_an_entry_knew_cannot_be_cut_off(world: World) -> None:
    world.chain(lambda history: history.version(3, release=world.release))
    assert world.found(at="serve") == set()
    _written(world, "revoked", "1", None)
    assert world.found(at="serve") == {"VER-06"}


def test_an_entry_that_was_there_when_the_plan_was_sealed_must_be_there(world: World) -> None:
    """Whoever can write there could cut the newest off, and nothing that is left would tell."""
    assert world.found({"known": ("f" * 64,)}) == {"VER-06"}
    assert world.found({"known": ()}) == set()


@pytest.mark.parametrize("rule", GATE.rules)
def test_a_canary_is_caught_where_the_plan_knows_entries(tmp_path: Path, rule: str) -> None:
    world = World(tmp_path).chain(lambda history: history.through(1))
    terms = world.limits()
    known = tuple(head_of(line) for line in world.history.lines[-1:])
    sample = list(world.opened(terms, known=known).source())
    assert len(known) == 1
    for seed in range(10):
        facts = GATE.look(world.opened(terms).decoy(VIOLATIONS[rule](sample, random.Random(seed))).handed()[0])
        assert rule in {each.rule for each in GATE.judge(facts, Limits.model_validate(terms))}, seed


def test_the_chain_is_that_of_the_model_s_name(world: World) -> None:
    facts = GATE.look(world.opened(world.limits()).handed()[0])
    other = facts.model_copy(update={"told": facts.told.model_copy(update={"name": "other"})})
    assert {each.rule for each in GATE.judge(other, Limits.model_validate(world.limits()))} == {"VER-06"}
    assert world.found(name="revoked") == {"VER-02", "VER-06"}  # a name that no model has
    assert world.found(name="Odd") == {"VER-02", "VER-06"}


def test_keys_that_the_plan_does_not_name(world: World) -> None:
    assert world.found(signer="e" * 64) == {"VER-12"}


def test_the_declared_card_is_there_and_whole(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_CONFIGS", str(tmp_path))
    assert world.found(card="nobody_wrote_it") == {"VER-11"}
    whole = making.terms().model_dump(mode="json")
    for name, said in (
        ("less", {key: value for key, value in whole.items() if key != "licence"}),
        ("mute", whole | {"description": "TBD"}),
        ("more", whole | {"surplus": 1}),
        ("none", []),
    ):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(said))
        assert world.found(card=name) == {"VER-11"}, name
    (tmp_path / "broken.yaml").write_text("{")
    assert world.found(card="broken") == {"VER-11"}
    (tmp_path / "whole.yaml").write_text(json.dumps(whole))
    assert world.found(card="whole") == set()
    facts = GATE.look(world.opened(world.limits()).handed()[0])
    assert {e.rule for e in GATE.judge(facts, Limits.model_validate(world.limits(card="whole")))} == {"VER-11"}


def test_everything_is_handed_out_and_counted_apart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = opener._entries
    monkeypatch.setattr(opener, "_entries", lambda folder, kind: list(real(folder, kind))[:-1])
    told = judge(GATE, observe(GATE, world.opened(world.limits()), world.limits()), world.limits())
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "coverage")
    monkeypatch.setattr(opener, "_entries", real)
    monkeypatch.setattr(opener, "files", lambda folder: [])
    told = judge(GATE, observe(GATE, world.opened(world.limits()), world.limits()), world.limits())
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "coverage")


def test_what_cannot_be_read_is_no_look(world: World) -> None:
    made = world.opened(world.limits())
    (world.folder / "model.safetensors").write_bytes(b"other weights")
    told = judge(GATE, observe(GATE, made, world.limits()), world.limits())
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    entry = world.home.root / "chains" / "sample" / "6"
    entry.symlink_to(entry.with_name("1"))
    with pytest.raises(CannotTell):
        world.opened(world.limits())
    entry.unlink()
    entry.write_bytes(b" " * (entries.LARGEST + 1))
    with pytest.raises(CannotTell):
        world.opened(world.limits())


@pytest.mark.parametrize(
    "change",
    [
        lambda items: [],
        lambda items: [item for item in items if item.kind != "file"],
        lambda items: [item for item in items if item.kind != "told"],
        lambda items: [item for item in items if item.kind != "declared"],
        lambda items: [item for item in items if item.kind != "key"],
        lambda items: [*items, next(item for item in items if item.kind == "file")],
        lambda items: [*items, next(item for item in items if item.kind == "entry")],
        lambda items: [*items, next(item for item in items if item.kind == "told")],
        lambda items: [*items, Item("more", "", b"")],
        lambda items: [*items, Item("key", "issuer", next(item for item in items if item.kind == "key").data)],
        lambda items: [*items, Item("key", "owner", b"none")],
        lambda items: [*items, Item("key", "owner", next(item for item in items if item.kind == "key").data)],
        lambda items: [item._replace(data=b"{}") if item.kind == "told" else item for item in items],
    ],
)
def test_what_is_missing_twice_or_unknown_is_no_look(world: World, change: Callable[[list[Item]], list[Item]]) -> None:
    items = change(list(world.opened(world.limits()).source()))
    with pytest.raises(CannotTell):
        GATE.look(Handed(Subject(kind="model", name="m", sha256=""), iter(items)))


@pytest.mark.parametrize(
    "change",
    [
        {"at": "later"},
        {"signer": ""},
        {"own": 1},
        {"days": 0},
        {"card": ""},
        {"run": ""},
        {"data": DATA},
        {"code": "x"},
    ],
)
def test_limits_are_whole(world: World, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(world.limits(**change))


def test_facts_hold_no_bytes_of_what_was_seen(world: World) -> None:
    """Facts hold digests, names and times: no key, no entry, no file."""
    spelled = GATE.look(world.opened(world.limits()).handed()[0]).model_dump_json()
    assert "BEGIN" not in spelled
    assert "payload" not in spelled
    assert "weights" not in spelled
