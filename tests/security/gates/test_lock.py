"""A lock, line by line: a pin, or odd, and nothing left out."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.gates.dependencies.lock import Line, Odd, Pin, lines, read, spelled

A, B = "a" * 64, "b" * 64
ROOT = Path(__file__).parent.parent.parent.parent


def every(text: str) -> list[Pin | Odd]:
    return [read(line) for line in lines(text)]


def one(text: str) -> Pin | Odd:
    (found,) = every(text)
    return found


def test_a_pin_has_a_name_a_version_and_hashes() -> None:
    told = one(f"Some.Package==1.0.0 \\\n    --hash=sha256:{B} \\\n    --hash=sha256:{A}\n    # via another\n")
    assert told == Pin(line=1, name="some-package", version="1.0.0", hashes=(A, B), marker="", applies=True)


@pytest.mark.parametrize(
    ("marker", "applies"),
    [
        ("python_version >= '3'", True),
        ("sys_platform == 'win32'", False),
        ("python_version < '3' or sys_platform == 'linux'", True),
    ],
)
def test_a_marker_is_told_and_whether_it_applies_here(marker: str, applies: bool) -> None:
    told = one(f"a[extra]==1.0 ; {marker} --hash=sha256:{A}")
    assert isinstance(told, Pin)
    assert (told.name, told.marker.replace('"', "'"), told.applies) == ("a", marker, applies)


@pytest.mark.parametrize(
    ("text", "what", "name"),
    [
        ("a==1.0", "unhashed", "a"),
        ("a==1.0 --hash=md5:" + "a" * 32, "weak hash", "a"),
        (f"a==1.0 --hash=sha256:{A} --hash=sha1:{'a' * 40}", "weak hash", "a"),
        (f"a==1.0 --hash=sha256:{A[:-1]}", "weak hash", "a"),
        (f"a --hash=sha256:{A}", "unpinned", "a"),
        (f"a>=1.0 --hash=sha256:{A}", "unpinned", "a"),
        (f"a==1.* --hash=sha256:{A}", "unpinned", "a"),
        (f"a==1.0,!=1.1 --hash=sha256:{A}", "unpinned", "a"),
        (f"a===1.0 --hash=sha256:{A}", "unpinned", "a"),
        (f"a @ https://example.org/a-1.0-py3-none-any.whl --hash=sha256:{A}", "url", "a"),
        (f"a@git+ssh://git@example.org/a --hash=sha256:{A}", "url", "a"),
        (f"https://example.org/a-1.0-py3-none-any.whl --hash=sha256:{A}", "url", ""),
        ("git+https://example.org/a#egg=a", "url", ""),
        ("-e ./a", "editable", ""),
        ("--editable=git+https://example.org/a#egg=a", "editable", ""),
        ("./a-1.0-py3-none-any.whl", "path", ""),
        ("/tmp/a", "path", ""),
        ("file:///tmp/a", "path", ""),
        (f"a==1.0+x.zip --hash=sha256:{A}", "path", ""),
        (f"a==1.0+x.TAR.GZ ; python_version > '3' --hash=sha256:{A}", "path", ""),
        (f"a-1.0-py3-none-any.whl --hash=sha256:{A}", "path", ""),
        (f"a==1.0 ; sys_platform == '${{PLATFORM}}' --hash=sha256:{A}", "unreadable", ""),
        ("--index-url https://example.org/simple", "option", ""),
        ("--extra-index-url=https://example.org/simple", "option", ""),
        ("-r another.txt", "option", ""),
        ("-c another.txt", "option", ""),
        ("--trusted-host example.org", "option", ""),
        ("--no-binary :all:", "option", ""),
        ("--hash=sha256:" + A, "option", ""),
        ("a==1.0 b==2.0", "unreadable", ""),
        ("!!!", "unreadable", ""),
        (f"a==1.0 ; nonsense == 'x' --hash=sha256:{A}", "unreadable", ""),
        (f"a==1.0 ; os_name ~= 'x' --hash=sha256:{A}", "unreadable", "a"),
        (f"a==1.0 ; extra == 'x' --hash=sha256:{A} --no-binary", "unreadable", ""),
    ],
)
def test_whatever_else_a_line_is_is_told_apart(text: str, what: str, name: str) -> None:
    told = one(f"# a comment\n\n{text}\n")
    assert told == Odd(line=3, what=what, name=name, text=text[:80])  # type: ignore[arg-type]


def test_lines_are_joined_as_pip_joins_them() -> None:
    text = f"a==1.0 \\\n# remark \\\nb==2.0 --hash=sha256:{A}\nc==3.0#not-a-comment\nd==4.0 \\"
    assert [tuple(line) for line in lines(text)] == [
        (1, "a==1.0"),
        (3, f"b==2.0 --hash=sha256:{A}"),
        (4, "c==3.0#not-a-comment"),
        (5, "d==4.0"),
    ]


def test_a_remark_that_has_pip_decode_the_file_otherwise_is_told() -> None:
    hidden = f"# coding: unicode_escape\n# note \\nevil==1.0 --hash=sha256:{B}\na==1.0 --hash=sha256:{A}\n"
    assert [(each.line, getattr(each, "what", "pin")) for each in every(hidden)] == [(1, "unreadable"), (3, "pin")]
    assert len(every(f"#\n# -*- coding=latin-1 -*-\na==1.0 --hash=sha256:{A}\n")) == 2
    assert every("# -*- coding: utf-8 -*-\n") == every("#\n#\n# coding: latin-1\n") == []


def test_a_byte_order_mark_is_no_letter_of_the_first_line() -> None:
    assert isinstance(one(f"\ufeffa==1.0 --hash=sha256:{A}\r\n"), Pin)
    assert every("\ufeff# nothing\r\n") == []


def test_the_password_of_a_url_is_not_told() -> None:
    for text in ("--index-url https://me:s3cret@example.org/x", f"a @ https://s3cret@example.org/{'a' * 90}"):
        told = one(text)
        assert isinstance(told, Odd)
        assert "s3cret" not in told.text
        assert "https://***@example.org/" in told.text


@pytest.mark.parametrize("text", ["a" + " " * 200_000 + "b", "@" * 200_000 + " x"])
def test_a_long_line_takes_no_square_of_its_length(text: str) -> None:
    began = time.process_time()
    assert isinstance(one(text), Odd)
    assert time.process_time() - began < 5


def test_an_empty_lock_has_no_line() -> None:
    assert every("") == every("\n\n# nothing\n   \n") == []


def test_the_pipelines_own_lock_is_pins_alone() -> None:
    text = (ROOT / "requirements.lock").read_text()
    found = every(text)
    assert {type(each) for each in found} == {Pin}
    assert len(found) == sum("==" in line.partition("#")[0] for line in text.splitlines() if not line.startswith(" "))


def test_pins_are_spelled_again_without_markers_and_no_package_twice_in_one() -> None:
    pins = [
        read(Line(1, f"a==1.0 ; sys_platform == 'win32' --hash=sha256:{A}")),
        read(Line(2, f"b==1.0 --hash=sha256:{A} --hash=sha256:{B}")),
        read(Line(3, f"a==2.0 --hash=sha256:{B}")),
    ]
    first, second = spelled([pin for pin in pins if isinstance(pin, Pin)])
    assert first == f"a==1.0 --hash=sha256:{A}\nb==1.0 --hash=sha256:{A} --hash=sha256:{B}\n"
    assert second == f"a==2.0 --hash=sha256:{B}\n"


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,8}[A-Za-z0-9]", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(rc[0-9]|\.post[0-9])?", fullmatch=True)
HASHES = st.lists(st.sampled_from([A, B, "c" * 64]), min_size=1, max_size=3)


@given(st.lists(st.tuples(NAMES, VERSIONS, HASHES), max_size=6))
def test_what_is_spelled_is_read_again(told: list[tuple[str, str, list[str]]]) -> None:
    text = "".join(
        f"{name}=={at} " + " ".join(f"--hash=sha256:{sha}" for sha in each) + "\n" for name, at, each in told
    )
    first = every(text)
    assert len(first) == len(told)
    again = [pin for lock in spelled(pin for pin in first if isinstance(pin, Pin)) for pin in every(lock)]
    key = [(each.name, each.version, each.hashes) for each in first if isinstance(each, Pin)]
    assert sorted(key) == sorted((each.name, each.version, each.hashes) for each in again if isinstance(each, Pin))


@given(st.text(alphabet="a=1.0 \\\n#;-@:/\t", max_size=60))
def test_no_text_breaks_it_and_no_line_is_lost(text: str) -> None:
    found = list(lines(text))
    assert [read(line).line for line in found] == [line.number for line in found]
    kept = "".join("".join(line.text.split()) for line in found)
    for line in text.splitlines():
        bare = "".join(line.partition("#")[0].replace("\\", "").split())
        assert bare in kept.replace("\\", "")


@pytest.mark.parametrize("text", [f"a==1.0 \\\n  --hash=sha256:{A}\n", "a==1.0 \\\n# b \\\nc==2.0\n", "a==1.0#x\n"])
def test_pip_itself_sees_the_same_lines(text: str, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(text)
    code = (
        "import sys; from pip._internal.req.req_file import get_file_content, preprocess\n"
        "print([line for _, line in preprocess(open(sys.argv[1]).read())])"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "lock")], capture_output=True, text=True, check=True
    )
    theirs = [" ".join(line.split()) for line in eval(ended.stdout)]
    assert theirs == [" ".join(line.text.split()) for line in lines(text)]
