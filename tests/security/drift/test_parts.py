"""The parts: cuts that give nothing away, keys in the order of numbers, hashes as published, distances as defined."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from security.drift import counts, distances, floors, histogram
from security.drift.cells import GIVEN, floats, ordered, roundest, valued
from security.drift.counts import Counts
from security.drift.edges import edges
from security.drift.groups import GROUPS, effects
from security.drift.histogram import Histogram
from security.drift.ids import Ids
from security.drift.profile import Number, Spec
from security.drift.tokens import keyed, read, siphash, spelled, tokens
from tests.security.drift.data import SECRET, facts

LEAST = 10
finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(2**62), 2**62)


@given(st.lists(finite, min_size=2, max_size=30))
def test_keys_are_ordered_as_numbers_are(values: list[float]) -> None:
    keys = ordered(np.array(values))
    assert valued(keys).tolist() == values
    order = np.argsort(keys, kind="stable")
    assert np.array(values)[order].tolist() == sorted(values)
    assert ordered(-np.array(values)).tolist() == (-keys).tolist()


@given(whole, whole)
def test_the_roundest_number_lies_in_its_window_and_none_is_rounder(one: int, other: int) -> None:
    low, high = sorted((one, other))
    if low == high:
        return
    found = roundest(low, high)
    assert low < found <= high
    zeros = (found & -found).bit_length()
    step = 1 << zeros
    assert found == 0 or not any(low < each <= high for each in (found - found % step, found - found % step + step))


def numbers(values: np.ndarray) -> Number:
    """The column of a profile."""
    found = facts(pa.table({"x": values}), under=Spec(roles={"x": "number"})).profile.columns["x"]
    assert isinstance(found, Number)
    return found


@given(st.lists(finite | st.sampled_from([0.0, 1.0, 2.0, -3.5]), min_size=4 * LEAST, max_size=400))
def test_every_bin_holds_enough_rows_and_enough_lie_beyond_the_range(values: list[float]) -> None:
    found, some = numbers(np.array(values)), np.sort(values)
    assert found.low is not None
    assert found.high is not None
    ends = np.searchsorted(some, np.array(found.cuts), side="left")
    assert np.diff(np.r_[0, ends, len(some)]).tolist() == list(found.counts)
    assert min(found.counts) >= LEAST
    assert (some < found.low).sum() < 2 * LEAST
    assert (some >= found.high).sum() < 2 * LEAST


@given(st.integers(0, 2**32), st.integers(1, LEAST - 1), st.floats(1e3, 1e300))
def test_the_largest_and_smallest_numbers_show_nowhere(seed: int, count: int, size: float) -> None:
    values = np.sort(np.random.default_rng(seed).standard_normal(3_000))
    other = values.copy()
    other[-count:], other[:count] = size, -size
    assert numbers(values).model_copy(update={"distinct": 0}) == numbers(other).model_copy(update={"distinct": 0})


@given(st.integers(0, 2**32))
def test_no_number_of_anybody_is_a_cut(seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(3_000)
    found = numbers(values)
    assert len(found.cuts) > 100
    assert not {found.low, found.high, *found.cuts} & set(values.tolist())


def test_cuts_lie_between_what_many_have() -> None:
    stars = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], [500, 20, 300, 9, 1_000])
    found = numbers(stars)
    assert found.cuts == (2.0, 3.0, 4.0)  # nine rows are not told apart
    assert found.counts == (500, 20, 300, 1_009)
    assert (found.low, found.distinct, found.exact) == (1.0, 5, True)


def test_too_few_rows_have_no_range() -> None:
    few = numbers(np.arange(4.0 * LEAST - 1))
    assert (few.low, few.high, few.cuts, few.counts) == (None, None, (), (39,))
    assert edges(np.zeros(0, np.int64), np.zeros(0, np.int64), 1, 256, LEAST) is None


def test_numbers_lie_evenly_in_their_bins() -> None:
    found = numbers(np.random.default_rng(1).lognormal(3, 1, 200_000))
    assert len(found.counts) > 230
    assert max(found.counts) < 3 * 200_000 / 256
    assert all(len(repr(cut)) < 14 for cut in found.cuts)


@given(st.lists(st.floats(-1e6, 1e6), max_size=200), st.integers(1, 60), st.integers(2, 30))
def test_a_histogram_is_as_fine_as_it_can_be(values: list[float], size: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histogram, "MOST", most)
        keys = ordered(np.array(values))
        found = Histogram()
        for first in range(0, len(keys), size):
            found.add(keys[first : first + size], np.arange(len(keys[first : first + size])) % GROUPS)
            found.settle()
        low, cells = found.bins()
        assert len(low) <= most
        assert cells.sum() == len(values)
        assert found.shift == GIVEN or len(set((keys >> (found.shift - 1)).tolist())) > most
        assert low.tolist() == sorted(set((keys >> found.shift << found.shift).tolist()))


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 40), max_size=300), st.integers(1, 80), st.integers(0, 300))
def test_counts_are_exact_however_little_memory_there_is(values: list[int], size: int, cut: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "MOST", 8)
        patch.setattr(counts, "PENDING", 16)
        one, other = Counts(), Counts()
        for held, part in ((one, values[:cut]), (other, values[cut:])):
            for first in range(0, len(part), size):
                held.add(np.array(part[first : first + size], np.uint64))
        one.merge(other)
        for _ in range(2):  # looked at twice
            parts = list(one.parts())
            found = {
                value: count for some, many in parts for value, count in zip(some.tolist(), many.tolist(), strict=True)
            }
            assert found == {value: values.count(value) for value in values}
            assert [value for some, _ in parts for value in some.tolist()] == sorted(set(values))


_ids = st.lists(st.integers(0, 30) | st.integers(0, 2**64 - 1).map(lambda each: each - each % 2**58), max_size=120)


@given(_ids, _ids, st.integers(1, 50))
def test_ids_of_a_part_alone_are_those_that_no_other_row_has(older: list[int], last: list[int], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "MOST", 8)
        patch.setattr(counts, "PENDING", 16)
        whole, part = Ids((0, 0), keyed(SECRET, "x")), Ids((0, 0), keyed(SECRET, "x"))
        for held, values in ((whole, older), (whole, last), (part, last)):
            for first in range(0, len(values), size):
                held.counts.add(np.array(values[first : first + size], np.uint64))
        assert whole.only(part) == len({*last} - {*older})


@pytest.mark.parametrize("cut", [0, 3, 500, 1_990, 2_000])
def test_shards_of_any_fineness_are_one(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """The left shard may be coarser than the right one, or finer; either may have put something aside."""
    monkeypatch.setattr(histogram, "MOST", 20)
    monkeypatch.setattr(counts, "MOST", 50)
    draw = np.random.default_rng(1)
    values = draw.standard_normal(2_000)
    values[:1_000] = values[:1_000].round(1)
    words = draw.integers(0, 700, 2_000).astype(np.uint64) << np.uint64(50)
    groups = np.arange(2_000) % GROUPS
    bins, held = [Histogram() for _ in range(3)], [Counts() for _ in range(3)]
    for place, part in enumerate((slice(None), slice(0, cut), slice(cut, None))):
        bins[place].add(ordered(values[part]), groups[part])
        held[place].add(words[part])
        held[place].settle()
    bins[1].merge(bins[2])
    held[1].merge(held[2])
    assert [each.tolist() for each in bins[0].bins()] == [each.tolist() for each in bins[1].bins()]
    assert bins[0].shift == bins[1].shift > GIVEN
    for each in held[:2]:
        assert each.aside is not None
        found = [np.concatenate(some) for some in zip(*each.parts(), strict=True)]
        assert [part.tolist() for part in found] == [part.tolist() for part in np.unique(words, return_counts=True)]


def test_siphash_is_the_published_one() -> None:
    """The vector for eight bytes of the authors' reference code, under the key 00 to 0f."""
    word = np.array([0x0706050403020100] * 20_000, np.uint64)
    assert set(siphash(word, bytes(range(16))).tolist()) == {0x93F5F5799A932462}
    assert len(siphash(word[:0], bytes(16))) == 0


def test_tokens_are_spelled_and_read() -> None:
    words = np.arange(5_000, dtype=np.uint64)
    one, other = (tokens(words, keyed(SECRET, name)) for name in ("a", "b"))
    assert len(set(one.tolist())) == 5_000
    assert not set(one.tolist()) & set(other.tolist())
    assert read(spelled(one)).tolist() == one.tolist()
    assert {len(each) for each in spelled(one)} == {8}


shares = st.lists(st.integers(0, 50), min_size=3, max_size=3).filter(any).map(lambda each: np.array(each) / sum(each))


@given(shares, shares)
def test_distances_are_what_they_are_called(one: np.ndarray, other: np.ndarray) -> None:
    assert distances.jensen(one, other) ** 0.5 == pytest.approx(distance.jensenshannon(one, other), abs=1e-7)
    places = np.arange(3)
    ends = np.arange(4.0)
    below = [np.r_[0, np.cumsum(each)] for each in (one, other)]
    assert distances.kolmogorov(one, other) == pytest.approx(np.abs(below[0] - below[1]).max())
    assert distances.variation(one, other) == pytest.approx(np.clip(one - other, 0, None).sum())
    fine = np.linspace(0, 3, 60_001)
    exact = np.abs(np.interp(fine, ends, below[0]) - np.interp(fine, ends, below[1])).mean() * 3
    assert distances.wasserstein(*below, ends) == pytest.approx(exact, abs=1e-4)
    raised = [(each + 0.01) / 1.03 for each in (one, other)]
    index = stats.entropy(*raised) + stats.entropy(*reversed(raised))
    assert distances.stability(one, other, 0.01) == pytest.approx(index)
    middle = (places + 0.5, one)
    mean = (middle[0] * middle[1]).sum()
    spread = (one * ((places + 0.5 - mean) ** 2 + 1 / 12)).sum() ** 0.5
    assert distances.deviation(below[0], ends) == pytest.approx(spread, abs=1e-9)


def test_design_effects_are_those_of_clusters() -> None:
    """50 rows of each user of which 3 in 10 are alike: 1 + 49 x 0.3, raised by a quarter, at most 50."""
    draw, rows = np.random.default_rng(1), 400_000
    user = np.arange(rows) // 50
    group = (user * 2654435761 >> 5) % GROUPS
    for alike, wanted in ((0.0, 1.25), (0.3, 15.7 * 1.25), (1.0, 50)):
        value = np.where(
            draw.random(rows) < alike**0.5, draw.integers(0, 4, user.max() + 1)[user], draw.integers(0, 4, rows)
        )
        cells = np.bincount(value * GROUPS + group, minlength=4 * GROUPS).reshape(4, GROUPS)
        each, one = effects(cells, np.bincount(group, minlength=GROUPS), 50.0)
        assert one == pytest.approx(wanted, rel=0.35)
        assert max(each) <= 50
    assert effects(cells, np.bincount(group, minlength=GROUPS), 1.0)[1] == 1


def test_floors_fall_as_rows_grow_and_rise_with_clusters() -> None:
    pooled = np.array([0.5, 0.3, 0.2])
    for floor in (
        lambda apart: floors.share(0.03, apart),
        floors.kolmogorov,
        lambda apart: floors.squares(20, apart),
        lambda apart: floors.jensen(20, apart),
        lambda apart: floors.variation(pooled, apart),
        lambda apart: floors.way(1.2, apart),
        lambda apart: floors.regression(pooled, apart),
    ):
        told = [floor(2 / rows) for rows in (10**3, 10**4, 10**5, 10**6)]
        assert told == sorted(told, reverse=True)
        assert 0 < told[-1] < told[0] / 10


def test_floats_of_what_is_no_double() -> None:
    assert floats(pa.array([True, False])).tolist() == [1.0, 0.0]
    assert floats(pa.array([3, 4], pa.duration("s"))).tolist() == [3.0, 4.0]
    assert floats(pa.array([2**64 - 1], pa.uint64())).tolist() == [2.0**64]
    assert floats(pa.array(["1"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.int64()))).tolist() == [1.0]
