"""Silence: the known lines go, all others stay."""

from __future__ import annotations

import os

import pytest

from tasks.recommender.quiet import quiet

NOISE = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    b"I0000 00:00:1795473933.833927    6288 cudart_stub.cc:31] "
    b"Could not find cuda drivers on your machine, GPU will not be used.\n"
)


def test_known_lines_are_dropped_and_others_kept_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(2, b"first\n" + NOISE + b"E0000 00:00:1.2 3 cuda.cc:1] a real error\nlast")
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == "first\nE0000 00:00:1.2 3 cuda.cc:1] a real error\nlast"


def test_an_error_inside_is_raised_and_the_descriptor_given_back(capfd: pytest.CaptureFixture[str]) -> None:
    def breaks() -> None:
        with quiet():
            os.write(2, NOISE + b"before it broke\n")
            raise KeyError

    with pytest.raises(KeyError):
        breaks()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before it broke\nafter\n"
