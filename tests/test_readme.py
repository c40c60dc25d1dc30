"""What people read first is finished: no place is left that a measurement was to fill."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_no_place_is_left_to_be_filled(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text
    assert [line for line in text.splitlines() if "@@" in line] == []
