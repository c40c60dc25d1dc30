"""Files against a list of files; and what a look at code is handed out."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from security.engines.objects import hashed
from security.errors import CannotTell
from security.gates.code import CodeIntegrity, Found, Item, Limits, Listed, compare, matches, spelled
from security.gates.code.facts import FILE, LINK, RUNS, Foreign, Imported, Shadow
from security.gates.code.links import leads
from security.material import Handed
from security.verdict import Subject

GATE = CodeIntegrity()
SUBJECT = Subject(kind="code", name="code", sha256="")
ONCE = [Item("source", "commit"), Item("since", ("", "")), Item("now", 1.0), Item("imports", False)]


def read(data: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter((data,))


def found(path: str, data: bytes = b"x", mode: int = FILE) -> Found:
    return Found(path, mode, len(data), read(data))


def listed(path: str, data: bytes = b"x", mode: int = FILE) -> Listed:
    return Listed(path, mode, hashed("blob", data))


def look(*items: Item) -> Any:
    return GATE.look(Handed(SUBJECT, iter([*ONCE, *items])))


def test_a_file_that_is_handed_out_twice_is_an_error() -> None:
    for twice in ([Item("file", found("a"))] * 2, [Item("listed", listed("a"))] * 2):
        with pytest.raises(CannotTell, match="a is handed out twice"):
            look(*twice)


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([*ONCE, ONCE[0]], "source is handed out twice"),
        ([*ONCE, Item("verdict", "pass")], "verdict is handed out twice, or is nothing that is known"),
        (ONCE[1:], "wanted: imports, now, since, source"),
        ([*ONCE, Item("envelope", (b"", ()))], "wanted: imports, now, since, source"),
        ([Item("source", "manifest"), *ONCE[1:]], "wanted: envelope, imports, now, since, source"),
        ([], "wanted"),
    ],
)
def test_what_is_handed_out_otherwise_is_an_error(items: list[Item], said: str) -> None:
    with pytest.raises(CannotTell, match=said):
        GATE.look(Handed(SUBJECT, iter(items)))


def test_nothing_that_was_signed_is_no_pass() -> None:
    with pytest.raises(CannotTell, match="the commit has no files") as why:
        list(GATE.judge(look(), Limits(signers="UnsafeAnybody", imported=False)))
    assert why.value.cause == "repository"


def test_no_commit_at_all_is_told() -> None:
    key = "lisa ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHuuNZPzyumsnc9M5I4+/bg/nIxxFBQ9yo/9h6IzCeiw"
    facts = look(Item("listed", listed("a")), Item("file", found("a")))
    told = list(GATE.judge(facts, Limits(signers=(key,), imported=False)))
    assert [(each.rule, each.place) for each in told] == [("CODE-07", "history")]


def test_imports_that_were_not_looked_at_are_told() -> None:
    facts = look(Item("listed", listed("a")), Item("file", found("a")))
    none = Imported(modules=0, foreign=(), shadows=())
    for seen in (facts, facts.model_copy(update={"imported": none})):
        told = list(GATE.judge(seen, Limits(signers="UnsafeAnybody")))
        assert [(each.rule, each.place) for each in told] == [("CODE-15", "modules")]


def test_what_a_policy_lets_be_imported_is_that_alone() -> None:
    facts = look(Item("listed", listed("a")), Item("file", found("a")))
    shadows = [Shadow(name=name, places=("here", "there")) for name in ("tests", "other")]
    foreign = [
        Foreign(name=name, kind="module", fault="no", origin="made" if made else "elsewhere") for name, made in MADE
    ]
    told = Imported(modules=9, foreign=tuple(foreign), shadows=tuple(shadows))
    limits = Limits(signers="UnsafeAnybody", made=("six.*", "one"), shadows=("tests",))
    given = GATE.judge(facts.model_copy(update={"imported": told}), limits)
    assert {(each.rule, each.place) for each in given} == {
        ("CODE-13", "other"),
        ("CODE-15", "six.file"),
        ("CODE-15", "one.more"),
        ("CODE-15", "six"),
    }


MADE = [("six.moves", True), ("six.file", False), ("one", True), ("one.more", True), ("six", True)]


@pytest.mark.parametrize("pieces", [[b"xy"], [b"x", b"y"], [b""], []])
def test_content_of_another_length_changed_meanwhile(pieces: list[bytes]) -> None:
    with pytest.raises(CannotTell, match="a changed while it was read"):
        compare.digest(Found("a", FILE, 1, lambda: iter(pieces)), git=True)


@pytest.mark.parametrize(
    ("path", "mode", "runs"),
    [
        ("a.py", FILE, True),
        ("a.PY", FILE, True),
        ("a.txt", FILE, False),
        ("a", FILE, False),
        ("a", RUNS, True),
        ("a", LINK, True),
        ("a", 0, True),
        ("a.so.1", FILE, True),
        ("a.cpython-311-x.so", FILE, True),
        ("pyproject.toml", FILE, False),
    ],
)
def test_what_could_run(path: str, mode: int, runs: bool) -> None:
    assert compare.runs(found(path, mode=mode)) is runs


@pytest.mark.parametrize(
    ("path", "pattern", "same"),
    [
        (".venv", ".venv", True),
        (".venv/x", ".venv", False),
        ("a.egg-info", "*.egg-info", True),
        ("b/a.egg-info", "*.egg-info", False),
        ("axb", "a.b", False),
        ("a/b/c", "a/*/c", True),
        ("a/b/d/c", "a/*/c", False),
        ("ab", "a?", False),
        ("a\n", "a", False),
    ],
)
def test_a_pattern_is_of_the_whole_path(path: str, pattern: str, same: bool) -> None:
    assert matches(path, pattern) is same


@pytest.mark.parametrize(
    ("links", "out"),
    [
        ({"l": "f"}, True),
        ({"l": "d/f"}, True),
        ({"l": "m", "m": "d"}, True),
        ({"l": "m/f", "m": "d"}, True),
        ({"l": "m/../f", "m": "d"}, True),
        ({"l": "m/../f", "m": "d/e"}, True),
        ({"l": "m/../x", "m": "d/e"}, False),
        ({"l": "l"}, False),
        ({"l": "m", "m": "l"}, False),
        ({"l": "l/l"}, False),
        ({"l": "/f"}, False),
        ({"l": "../f"}, False),
        ({"l": "d/../../f"}, False),
        ({"l": ""}, True),
        ({"l": "g"}, False),
        ({"l": "m", "m": "/"}, False),
    ],
)
def test_where_links_lead(links: dict[str, str], out: bool) -> None:
    assert leads("l", links, {"f", "d", "d/f", "d/e", "d/e/x", *links}) is out


def test_a_path_is_spelled_so_that_it_can_be_written() -> None:
    for path, told in (
        ("ü/a b", "ü/a b"),
        ("a\nb", r"b'a\nb'"),
        ("a\udcff", r"b'a\xff'"),
        ("a\u202eb", r"b'a\xe2\x80\xaeb'"),
    ):
        assert spelled(path) == told
        told.encode()
