"""How bad an advisory is."""

from typing import Any

import pytest

from security.advisories.severity import LEVELS, level
from tests.security.advisories.test_ranges import advisory

LOW = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
MEDIUM = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:L/I:N/A:N"
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
FOUR = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
TWO = "AV:N/AC:L/Au:N/C:C/I:C/A:C"


def scored(*vectors: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": kind, "score": vector} for kind, vector in vectors]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"severity": scored(("CVSS_V3", LOW))}, "low"),
        ({"severity": scored(("CVSS_V3", MEDIUM))}, "medium"),
        ({"severity": scored(("CVSS_V3", CRITICAL))}, "critical"),
        ({"severity": scored(("CVSS_V4", FOUR))}, "critical"),
        ({"severity": scored(("CVSS_V4", f"{FOUR}/E:U/MVC:N/MVI:N/MVA:N"))}, "critical"),
        ({"severity": scored(("CVSS_V2", TWO))}, "critical"),
        ({"severity": scored(("CVSS_V3", LOW), ("CVSS_V3", MEDIUM))}, "medium"),
        ({}, "high"),
        ({"severity": scored(("CVSS_V3", "CVSS:3.1/AV:N"))}, "high"),
        ({"severity": scored(("CVSS_V3", "nonsense"), ("CVSS_V3", LOW))}, "high"),
        ({"severity": scored(("NEW", "9"), ("CVSS_V3", CRITICAL))}, "critical"),
        ({"database_specific": {"severity": "LOW"}}, "high"),
        ({"database_specific": {"severity": "critical"}}, "critical"),
        ({"database_specific": {"severity": 7}}, "high"),
        ({"id": "MAL-2024-1", "severity": scored(("CVSS_V3", LOW))}, "critical"),
    ],
)
def test_the_level_is_that_of_the_worst_score_and_high_where_nobody_says(more: dict[str, Any], expected: str) -> None:
    assert level(advisory({"versions": ["1.0"]}, **more)) == expected


def test_the_score_of_one_package_counts_too() -> None:
    assert level(advisory({"versions": ["1.0"], "severity": scored(("CVSS_V3", CRITICAL))})) == "critical"


def test_without_a_score_another_database_counts_that_speaks_of_the_same() -> None:
    def made(id: str, *vectors: str, **more: Any) -> Any:
        told = scored(*(("CVSS_V3", vector) for vector in vectors))
        return advisory({"versions": ["1.0"]}, id=id, severity=told, **more)

    bare, low, worse = made("P-1", aliases=["CVE-1"]), made("G-1", LOW, aliases=["CVE-1"]), made("CVE-1", CRITICAL)
    other = made("G-2", MEDIUM, aliases=["CVE-2"])
    assert level(bare, [bare, other]) == "high"
    assert level(bare, [bare, other, low]) == "low"
    assert level(bare, [low, worse]) == "critical"
    assert level(low, [bare, worse]) == "low"
    assert level(made("MAL-1", aliases=["CVE-1"]), [low]) == "critical"
    assert level(bare, [made("G-3", "nonsense", aliases=["CVE-1"])]) == "high"


def test_levels_are_in_order() -> None:
    assert LEVELS == ("none", "low", "medium", "high", "critical")
