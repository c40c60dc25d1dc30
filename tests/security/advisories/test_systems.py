"""Advisories of a system's packages: OSV's evaluation in the order of Debian."""

from pathlib import Path
from typing import Any

import pytest

from security.advisories import mirror, systems
from security.advisories.mirror import Kept
from security.advisories.record import read
from tests.security.gates.images import told

OF = "Debian:12"


def spans(*events: dict[str, str], versions: tuple[str, ...] = ()) -> Any:
    span = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    affected = {"package": {"ecosystem": OF, "name": "x"}, "ranges": span, "versions": list(versions)}
    return told(OF, "x", affected=[affected])


@pytest.mark.parametrize(
    ("advisory", "version", "wanted"),
    [
        (spans({"introduced": "0"}), "1", True),
        (spans({"introduced": "0"}, {"fixed": "1.0-1+deb12u10"}), "1.0-1+deb12u9", True),
        (spans({"introduced": "0"}, {"fixed": "1.0-1+deb12u10"}), "1.0-1+deb12u10", False),
        (spans({"introduced": "0"}, {"fixed": "1.0~rc1"}), "1.0~beta", True),
        (spans({"introduced": "0"}, {"fixed": "1:1"}), "9", True),
        (spans({"introduced": "2"}, {"last_affected": "3"}), "1", False),
        (spans({"introduced": "2"}, {"last_affected": "3"}), "3", True),
        (spans({"introduced": "2"}, {"last_affected": "3"}), "3-1", False),
        (spans({"fixed": "5"}, {"introduced": "3"}, {"fixed": "2"}, {"introduced": "0"}), "2.5", False),
        (spans({"fixed": "5"}, {"introduced": "3"}, {"fixed": "2"}, {"introduced": "0"}), "4", True),
        (spans(versions=("1.0", "1.1")), "0:1.0", True),
        (spans(versions=("1.0", "1.1")), "1.2", False),
        (spans(), "1", None),
        (spans({"introduced": "0"}, {"fixed": "a_b"}), "1", None),
        (spans({"introduced": "0"}, {"fixed": "9"}), "a_b", None),
        (spans({"fixed": "9"}), "1", None),
    ],
)
def test_whether_a_version_is_affected(advisory: Any, version: str, wanted: bool | None) -> None:
    assert systems.affects(advisory, OF, "x", version) is wanted
    assert systems.affects(advisory, "Debian:11", "x", version) is False
    assert systems.affects(advisory, OF, "y", version) is False


def test_fixes_come_in_their_order() -> None:
    some = spans({"introduced": "0"}, {"fixed": "1.10"}, {"introduced": "1.2"}, {"fixed": "1.9"})
    assert systems.fixes(some, OF, "x") == ("1.9", "1.10")


def test_one_mirror_holds_several_ecosystems(tmp_path: Path) -> None:
    import msgspec

    some = [
        told("PyPI", "alpha", "A-1"),
        told(OF, "glibc", "B-1"),
        told(OF, "glibc", "C-1", withdrawn="2026-01-01T00:00:00Z"),
    ]
    bodies = [
        msgspec.json.encode({k: v for k, v in msgspec.to_builtins(each).items() if v is not None}) for each in some
    ]
    for body in bodies:
        assert read(body, "x")
    path = tmp_path / "advisories.jsonl"
    mirror.write(path, [Kept(read(body, "x"), body) for body in bodies], "test", "2026-11-29T00:00:00Z")
    here = mirror.load(path)
    assert [each.id for each in here.of("alpha")] == ["A-1"]
    assert [each.id for each in systems.of(here, OF, "glibc")] == ["B-1"]
    assert here.of("glibc") == ()
    assert systems.of(here, "Debian:11", "glibc") == ()
