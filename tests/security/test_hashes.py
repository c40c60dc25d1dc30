"""Keyed hashes of texts: the same text has the same hash wherever it stands, another has another; the key decides."""

import secrets

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from security.rows.hashes import hashed, key

KEY = (0x9E3779B97F4A7C15, 12_345)
TEXTS = st.lists(st.text(max_size=20) | st.text("ab\0", max_size=30), max_size=30)


@given(TEXTS, st.integers(0, 30), st.integers(0, 30))
def test_a_hash_is_of_the_text_and_of_nothing_around_it(texts: list[str], start: int, count: int) -> None:
    whole = hashed(pa.array(texts, pa.string()), KEY).tolist()
    assert [hashed(pa.array([text], pa.string()), KEY)[0] for text in texts] == whole
    part = pa.array(texts, pa.string()).slice(start, count)
    assert hashed(part, KEY).tolist() == whole[start : start + count]


@given(TEXTS)
def test_other_texts_have_other_hashes(texts: list[str]) -> None:
    assert len(set(hashed(pa.array(texts, pa.string()), KEY).tolist())) == len(set(texts))


def test_texts_that_differ_in_little_do_not_meet() -> None:
    texts = [f"u{number:07d}" for number in range(200_000)] + ["a" * size for size in range(300)]
    texts += ["\0" * size for size in range(1, 40)] + [f"{'x' * 16}{number}" for number in range(20_000)]
    found = hashed(pa.array(texts), KEY)
    assert len(set(found.tolist())) == len(texts)
    # Buckets are chosen by the lowest bits: each of 64 gets its share.
    shares = [int((found[:200_000] % 64 == bucket).sum()) for bucket in range(64)]
    assert 2_700 < min(shares) <= max(shares) < 3_600


def test_the_key_decides() -> None:
    texts = pa.array(["jane.doe@example.org", "u1", None])
    keys = {key(secrets.token_bytes(32)) for _ in range(50)}
    assert len(keys) == 50
    assert all(each[0] % 2 for each in keys)
    assert len({tuple(hashed(texts, each).tolist()) for each in keys}) == 50
    assert key(b"k" * 32) == key(b"k" * 32)
    assert hashed(texts, KEY)[2] == hashed(pa.array([""]), KEY)[0]
