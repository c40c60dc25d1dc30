"""Baselines: which one a run is held against, what may become one, and how far a source may walk, a step each day."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.drift.profile import Reference
from security.errors import CannotTell, LogBroken, PlanError
from security.gate import judge, observe
from security.gates.drift import Facts, sealed
from security.keys import PublicKey, Signer, UnsafeLocalKeys
from security.log import Index
from security.policy import Plan, Terms
from security.proof import Held, Proof
from security.verdict import Effect, Outcome, Ref, Verdict
from tasks import baseline
from tasks.baseline import Entry, How, enter, entries, keep, named, opened, pinned, rolling
from tasks.home import Home
from tests.security.damage import other
from tests.security.gates import test_drift as rows
from tests.security.gates.test_drift import GATE, LEVELS, REFERENCE

FETCH, PROTECT = "fetch", "protect"
SPAN, POLICY = 28, "b" * 64
FIRST: dict[str, Any] = {"first": "establish", "levels": LEVELS}
ROWS = Ref(kind="rows", uri="store:rows", sha256="a" * 64, size=1, count=1, unit="rows")


@dataclasses.dataclass(frozen=True)
class Ground:
    """A home of its own, and who signs in it."""

    home: Home
    signer: Signer

    @property
    def key(self) -> PublicKey:
        """What proves it."""
        return self.signer.public

    def files(self) -> set[str]:
        """The names of the baselines that are kept."""
        return {path.stem for path in (self.home.root / "baselines").glob("*")}

    def known(self) -> list[Entry]:
        """What the index says."""
        return entries(self.home, self.key, "shop")


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Nothing has run yet."""
    return Ground(Home(tmp_path / "home"), UnsafeLocalKeys(tmp_path / "home" / "keys").signer("producer"))


def look(batch: Any, against: Reference | None = None) -> tuple[Verdict, Held]:
    """What the real gate makes of rows, under the terms of a plan that names this baseline."""
    limits = {**FIRST, "baseline": against.digest if against else ""}
    seen = observe(GATE, rows.given(batch, against=against), limits, random.Random(1))
    found = judge(GATE, seen, limits)
    return found, Held("ingest", FETCH, found, Effect(action="proceed", because="enforced"), seen)


def proof(*held: Held, profiles: dict[str, str] | None = None, partition: str = "2024-03-01", **more: Any) -> Proof:
    """What the log of a run proves that looked at these."""
    document = {"pipeline_name": more.pop("pipeline", "shop")}
    watched = Terms(limits={"since": more.pop("since", partition), "partitions": SPAN}, accepts={}, observe=())
    told = {
        "run": f"run-{partition}",
        "document": document,
        "partition": partition,
        "profiles": profiles or {},
        "policy_sha256": more.pop("policy", POLICY),
        "inputs": more.pop("inputs", {}),
        "matrix": dict.fromkeys(more.pop("stages", ("ingest", "features")), {}),
        "terms": {"ingest": {FETCH: {baseline.NAME: watched}}},
    }
    plan: Any = Plan.model_construct(**told)
    return Proof(plan, "0" * 64, list(held), available={"ingest": ROWS}, **{"closed": True, **more})


@pytest.fixture(scope="module")
def passed() -> Held:
    """A first look that passed."""
    found, held = look(rows.THEN)
    assert found.outcome is Outcome.PASS
    return held


def of(task: str, held: Held) -> Held:
    """The same look at what another task gave."""
    return dataclasses.replace(held, task=task)


def entry(how: How, partition: str = "2024-03-01", *tasks: str, digest: str = "0") -> Entry:
    """What the index may say."""
    return Entry("shop", partition, SPAN, "r", how, POLICY, dict.fromkeys(tasks or (FETCH,), digest), "a")


def test_a_run_that_passed_is_kept_and_the_index_says_so(ground: Ground, passed: Held) -> None:
    told = keep(ground.home, ground.signer, proof(passed, of(PROTECT, passed)))
    profiles = dict.fromkeys((FETCH, PROTECT), REFERENCE.digest)
    assert told == Entry("shop", "2024-03-01", SPAN, "run-2024-03-01", "established", POLICY, profiles, "a" * 64)
    assert ground.known() == [told]
    assert ground.files() == {REFERENCE.digest}
    assert opened(ground.home, REFERENCE.digest, ground.key) == REFERENCE
    folder = ground.home.root / "baselines"
    assert [each.stat().st_mode & 0o777 for each in (folder, *folder.iterdir())] == [0o700, 0o600]
    named_now = named(ground.known(), "2024-03-02", SPAN, against="pinned")
    assert named_now == {FETCH: told, PROTECT: told}


def test_nothing_is_said_of_a_home_or_a_pipeline_without_runs(ground: Ground, passed: Held) -> None:
    assert (ground.known(), named(ground.known(), "2024-03-01", SPAN, against="pinned")) == ([], {})
    keep(ground.home, ground.signer, proof(passed, pipeline="other"))
    assert (ground.known(), named(ground.known(), "2024-03-01", SPAN, against="rolling")) == ([], {})
    assert len(entries(ground.home, ground.key)) == 1


@pytest.mark.parametrize(
    ("tasks", "profiles", "how"),
    [
        ([FETCH], {}, "established"),
        ([FETCH], {FETCH: "0"}, "passed"),
        ([FETCH], {PROTECT: "0"}, "established"),
        ([FETCH, PROTECT], {FETCH: "0"}, "established"),
        ([FETCH, PROTECT], {FETCH: "0", PROTECT: "0"}, "passed"),
    ],
)
def test_a_run_establishes_only_where_its_plan_named_none(
    ground: Ground, passed: Held, tasks: list[str], profiles: dict[str, str], how: str
) -> None:
    told = keep(ground.home, ground.signer, proof(*(of(task, passed) for task in tasks), profiles=profiles))
    assert told is not None
    assert (told.how, set(told.profiles)) == (how, set(tasks))


def test_a_run_that_has_not_ended_is_no_baseline(ground: Ground, passed: Held) -> None:
    with pytest.raises(PlanError, match="run-2024-03-01 has not ended"):
        keep(ground.home, ground.signer, proof(passed, closed=False))
    assert (ground.known(), ground.files(), ground.home.index.exists()) == ([], set(), False)


def test_only_looks_that_passed_are_kept(ground: Ground, passed: Held) -> None:
    """Not one that a policy let go, nor that of another gate."""
    found, few = look(rows.log(2, 150))
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "few")
    other = dataclasses.replace(passed, verdict=passed.verdict.model_copy(update={"gate": "data_contract"}))
    for held in ([], [few], [other], [few, other]):
        assert keep(ground.home, ground.signer, proof(*held)) is None
    assert (ground.known(), ground.files()) == ([], set())
    told = keep(ground.home, ground.signer, proof(few, of(PROTECT, passed)))
    assert told is not None
    assert set(told.profiles) == {PROTECT}


def test_the_first_that_was_established_counts_until_one_is_set() -> None:
    first, passes, second = entry("established"), entry("passed"), entry("established", digest="1")
    known = [passes, first, second, passes]
    assert pinned(known, FETCH) is first
    assert pinned([passes], FETCH) is None
    assert pinned(known, PROTECT) is None
    chosen, last = entry("set", digest="2"), entry("set", digest="3")
    assert pinned([*known, chosen], FETCH) is chosen
    assert pinned([*known, chosen, passes, last, second], FETCH) is last
    assert pinned([chosen, *known], FETCH) is chosen


def test_each_task_has_its_own() -> None:
    both, later = entry("established", "2024-03-01", FETCH), entry("established", "2024-03-02", FETCH, PROTECT)
    only = entry("set", "2024-03-03", PROTECT)
    known = [both, later, only]
    assert (pinned(known, FETCH), pinned(known, PROTECT)) == (both, only)
    assert (rolling(known, FETCH, "2024-03-09"), rolling(known, PROTECT, "2024-03-09")) == (later, only)


def test_setting_one_is_told_with_its_reason(ground: Ground, passed: Held) -> None:
    first = keep(ground.home, ground.signer, proof(passed))
    _, other = look(rows.log(5))
    seen = {FETCH: Facts.model_validate(other.seen.facts)}
    plan = proof(other, partition="2024-03-05").plan
    told = enter(ground.home, ground.signer, plan, seen, "", "set", "the shop sells books too")
    assert (told.how, told.reason) == ("set", "the shop sells books too")
    assert ground.known() == [first, told]
    chosen = named(ground.known(), "2024-03-02", SPAN, against="pinned")[FETCH]
    assert opened(ground.home, chosen.profiles[FETCH], ground.key) == rows.made(rows.log(5))


DAYS = st.sampled_from([f"2024-03-{day:02d}" for day in range(1, 7)])
HOWS = st.sampled_from(["established", "passed", "set"])
TOLD = st.lists(
    st.builds(
        lambda how, day, tasks: entry(how, day, *sorted(tasks)),
        HOWS,
        DAYS,
        st.sets(st.sampled_from([FETCH, PROTECT]), min_size=1),
    ),
    max_size=12,
)


def plainly(known: list[Entry], task: str) -> tuple[int | None, dict[str, int]]:
    """Where what is pinned stands, and for each partition the last of it: read from the first to the last."""
    first: int | None = None
    chosen: int | None = None
    last: dict[str, int] = {}
    for number, each in enumerate(known):
        if task not in each.profiles:
            continue
        last[each.partition] = number
        if each.how == "set":
            chosen = number
        elif each.how == "established" and first is None:
            first = number
    return (first if chosen is None else chosen), last


@given(TOLD, DAYS)
def test_what_is_pinned_and_what_rolls_are_those_of_a_plain_reading(known: list[Entry], partition: str) -> None:
    known = [dataclasses.replace(each, run=f"r{number}") for number, each in enumerate(known)]
    for task in (FETCH, PROTECT):
        at, last = plainly(known, task)
        expected = None if at is None else known[at]
        assert pinned(known, task) == expected
        earlier = [day for day in last if day < partition]
        found = rolling(known, task, partition)
        assert found == (known[last[max(earlier)]] if earlier else expected)
        if earlier:
            assert found is not None
            assert found.partition < partition


@given(st.permutations([f"2024-03-{day:02d}" for day in range(1, 7)]), DAYS)
def test_what_rolls_does_not_depend_on_the_order_of_runs(order: list[str], partition: str) -> None:
    """A backfill of old partitions does not make an old one the newest."""
    known = [entry("established", "2024-02-01"), *(entry("passed", day) for day in order)]
    found = rolling(known, FETCH, partition)
    assert found is not None
    assert found.partition == max(day for day in ("2024-02-01", *order) if day < partition)


def test_a_file_that_was_altered_is_never_opened(ground: Ground, passed: Held) -> None:
    keep(ground.home, ground.signer, proof(passed))
    path = ground.home.root / "baselines" / f"{REFERENCE.digest}.dsse"
    whole = path.read_bytes()
    for place in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises((CannotTell, LogBroken)):
            opened(ground.home, REFERENCE.digest, ground.key)
    for data in (b"", whole[:-9], whole + whole, b"{}"):
        path.write_bytes(data)
        with pytest.raises((CannotTell, LogBroken)):
            opened(ground.home, REFERENCE.digest, ground.key)
    path.write_bytes(whole)
    assert opened(ground.home, REFERENCE.digest, ground.key) == REFERENCE


def test_a_file_that_is_not_there_or_another_is_told(ground: Ground, passed: Held, tmp_path: Path) -> None:
    keep(ground.home, ground.signer, proof(passed))
    path = ground.home.root / "baselines" / f"{REFERENCE.digest}.dsse"
    other = rows.made(rows.log(5))
    path.write_bytes(sealed(other, ground.signer))
    with pytest.raises(CannotTell, match=f"{other.digest[:12]} lies where {REFERENCE.digest[:12]} should") as why:
        opened(ground.home, REFERENCE.digest, ground.key)
    assert why.value.cause == "reference"
    path.unlink()
    with pytest.raises(CannotTell, match="is not in this home any more") as why:
        opened(ground.home, REFERENCE.digest, ground.key)
    assert why.value.cause == "reference"
    path.write_bytes(sealed(REFERENCE, UnsafeLocalKeys(tmp_path / "somebody").signer("producer")))
    with pytest.raises(LogBroken, match="not signed by the key given"):
        opened(ground.home, REFERENCE.digest, ground.key)


def test_an_index_that_was_altered_names_no_baseline(ground: Ground, passed: Held) -> None:
    for day in ("2024-03-01", "2024-03-02", "2024-03-03"):
        keep(ground.home, ground.signer, proof(passed, partition=day))
    whole = ground.home.index.read_bytes().splitlines(keepends=True)
    altered = other(whole[1])
    for lines in ([whole[0], altered, whole[2]], [whole[0], whole[2]], whole[1:], [*whole, whole[0]], [b"{}\n"]):
        ground.home.index.write_bytes(b"".join(lines))
        with pytest.raises(LogBroken, match="line "):
            named(ground.known(), "2024-03-04", SPAN, against="pinned")
    stranger = UnsafeLocalKeys(ground.home.root.parent / "somebody").signer("producer")
    ground.home.index.unlink()
    Index(ground.home.index, stranger).append("reference", **json.loads(json.dumps(vars(entry("set")))))
    with pytest.raises(LogBroken, match="line 1: "):
        ground.known()


def walked(day: int) -> Any:
    """Rows of a source whose views become purchases, three in a hundred rows more each day."""
    draw, share = np.random.default_rng(100 + day), 0.6 - 0.03 * day
    kinds = draw.choice(["view", "click", "purchase"], rows.ROWS, p=[share, 0.3, 0.7 - share])
    return rows.put(rows.log(50 + day), "interaction_type", kinds)


def walk(ground: Ground, against: str, days: int) -> list[Verdict]:
    """Each day is held against what the index names for it; a day that passed is kept, one that was refused is not."""
    told = []
    for day in range(days):
        partition = f"2024-03-{day + 1:02d}"
        chosen = named(ground.known(), partition, SPAN, against=against).get(FETCH)
        reference = opened(ground.home, chosen.profiles[FETCH], ground.key) if chosen else None
        found, held = look(walked(day), reference)
        told.append(found)
        if found.outcome is Outcome.PASS:
            profiles = {FETCH: reference.digest} if reference else {}
            keep(ground.home, ground.signer, proof(held, profiles=profiles, partition=partition))
    return told


def test_a_slow_walk_passes_each_day_and_is_caught_by_what_is_pinned(ground: Ground, tmp_path: Path) -> None:
    days = 14
    assert {each.outcome for each in walk(ground, "rolling", days)} == {Outcome.PASS}
    assert [each.how for each in ground.known()] == ["established", *["passed"] * (days - 1)]

    other = Ground(Home(tmp_path / "other"), ground.signer)
    told = walk(other, "pinned", days)
    kept = [each.outcome is Outcome.PASS for each in told]
    stopped = kept.index(False)
    assert 3 <= stopped <= 6
    assert kept == [True] * stopped + [False] * (days - stopped)
    assert {(each.rule, each.place) for found in told[stopped:] for each in found.findings} == {
        ("DRIFT-COLUMN", "interaction_type")
    }
    assert len(other.known()) == len(other.files()) == stopped
    assert pinned(other.known(), FETCH) == other.known()[0]

    # The same days in one step: it is the small steps that pass, not what they come to.
    first = opened(ground.home, ground.known()[0].profiles[FETCH], ground.key)
    assert look(walked(days - 1), first)[0].outcome is Outcome.FAIL


def test_what_a_refused_look_saw_is_never_a_baseline(ground: Ground, passed: Held) -> None:
    keep(ground.home, ground.signer, proof(passed))
    before = ground.known(), ground.files()
    batch, _ = rows.changes()["kind"]
    found, held = look(batch, REFERENCE)
    assert found.outcome is Outcome.FAIL
    assert Facts.model_validate(held.seen.facts).profile.digest not in ground.files()
    assert baseline.looks(proof(held)) == {}
    assert keep(ground.home, ground.signer, proof(held, profiles={FETCH: REFERENCE.digest})) is None
    assert (ground.known(), ground.files()) == before


def test_only_profiles_of_as_many_partitions_count(ground: Ground, passed: Held) -> None:
    told = keep(ground.home, ground.signer, proof(passed))
    assert told is not None
    for against in ("pinned", "rolling"):
        assert named(ground.known(), "2024-03-02", SPAN, against=against) == {FETCH: told}
        assert named(ground.known(), "2024-03-02", 1, against=against) == {}


def test_under_a_policy_that_establishes_nothing_what_another_policy_let_be_does_not_count(
    ground: Ground, passed: Held
) -> None:
    lax = keep(ground.home, ground.signer, proof(passed, policy="c" * 64))
    assert lax is not None
    strict = {"against": "pinned", "only": POLICY}
    assert named(ground.known(), "2024-03-02", SPAN, **strict) == {}
    seen = {FETCH: Facts.model_validate(passed.seen.facts)}
    chosen = enter(ground.home, ground.signer, proof(passed, policy="c" * 64).plan, seen, "", "set", "looked at")
    assert named(ground.known(), "2024-03-02", SPAN, **strict) == {FETCH: chosen}
    profiles = {FETCH: REFERENCE.digest}
    keep(ground.home, ground.signer, proof(passed, policy="c" * 64, partition="2024-03-05", profiles=profiles))
    rolling_ = {"against": "rolling", "only": POLICY}
    assert named(ground.known(), "2024-03-09", SPAN, **rolling_) == {FETCH: chosen}
    own = keep(ground.home, ground.signer, proof(passed, partition="2024-03-06", profiles=profiles))
    assert own is not None
    assert named(ground.known(), "2024-03-09", SPAN, **rolling_) == {FETCH: own}


def test_a_run_that_makes_nothing_of_its_rows_is_no_baseline(ground: Ground, passed: Held) -> None:
    """A later stage may still refuse them."""
    assert keep(ground.home, ground.signer, proof(passed, stages=["ingest"])) is None
    assert (ground.known(), ground.files()) == ([], set())


@pytest.mark.parametrize(("first", "kept"), [("2024-02-01", True), ("2024-02-03", True), ("2024-02-04", False)])
def test_one_of_fewer_partitions_than_it_stands_for_is_not_established(
    ground: Ground, passed: Held, first: str, kept: bool
) -> None:
    inputs = dict.fromkeys([first, "2024-03-01"], "1" * 64)
    told = keep(ground.home, ground.signer, proof(passed, since="2024-02-03", inputs=inputs))
    assert bool(told) == kept
    again = proof(passed, since="2024-02-03", inputs=inputs, profiles={FETCH: REFERENCE.digest})
    assert keep(ground.home, ground.signer, again) is not None, "what passed against another was compared"


def test_a_file_that_is_damaged_is_written_again(ground: Ground, passed: Held) -> None:
    keep(ground.home, ground.signer, proof(passed))
    path = ground.home.root / "baselines" / f"{REFERENCE.digest}.dsse"
    path.write_bytes(path.read_bytes()[:-9])
    keep(ground.home, ground.signer, proof(passed))
    assert opened(ground.home, REFERENCE.digest, ground.key) == REFERENCE


def test_an_entry_that_is_not_one_names_no_baseline(ground: Ground) -> None:
    Index(ground.home.index, ground.signer).append("reference", pipeline="shop")
    with pytest.raises(LogBroken, match="an entry on a baseline without 'partition'"):
        ground.known()
