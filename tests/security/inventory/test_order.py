"""The order of Debian versions: an order, and dpkg's own."""

import random
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.inventory.order import LONGEST, key, older

PARTS = ["0", "1", "2", "10", "09", "a", "b", "z", "Z", "~", "~~", "+", ".", "rc", "deb12u", "dfsg", "~rc1", "1a", ""]
VERSIONS = st.builds(
    lambda epoch, up, rev: epoch + "".join(["1", *up]) + ("-" + "".join(["0", *rev]) if rev else ""),
    st.sampled_from(["", "0:", "1:", "12:"]),
    st.lists(st.sampled_from(PARTS), max_size=4),
    st.lists(st.sampled_from(PARTS), max_size=3),
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0+b"),
        ("1.9", "1.10"),
        ("2.36-9+deb12u7", "2.36-9+deb12u10"),
        ("9.9", "1:0.1"),
        ("1.0-1", "1.0-1.1"),
        ("1.0~~", "1.0~"),
        ("1.0-1~bpo1", "1.0-1"),
    ],
)
def test_known_pairs(one: str, other: str) -> None:
    assert older(one, other)
    assert not older(other, one)


@pytest.mark.parametrize(("one", "other"), [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.01", "1.1"), ("1a", "1a0")])
def test_two_spellings_of_one(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize("none", ["", "1.0 ", "a:1", "1_2", "1/2", "-1", "ü", "1\n", "1" * (LONGEST + 1), "1:"])
def test_what_is_no_version_has_no_order(none: str) -> None:
    with pytest.raises(ValueError, match="version"):
        key(none)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_it_is_an_order(a: str, b: str, c: str) -> None:
    assert [older(a, b), older(b, a), key(a) == key(b)].count(True) == 1
    assert not (older(a, b) and older(b, c)) or older(a, c)


@pytest.mark.real
@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg")
def test_it_is_dpkgs_over_random_pairs() -> None:
    draw, apart = random.Random(8), []

    def made() -> str:
        epoch = draw.choice(["", "", "1:", "0:"])
        up, rev = (("".join(draw.choices(PARTS, k=draw.randrange(5)))) for _ in range(2))
        return f"{epoch}{draw.randrange(3)}{up}" + (f"-{draw.randrange(3)}{rev}" if draw.random() < 0.6 else "")

    for _ in range(300):
        one, other = made(), made()
        told = subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False, capture_output=True)
        if (told.returncode == 0) is not older(one, other):
            apart.append((one, other))
    assert apart == []
