"""The file of advisories is brought up to date whole, or stays as it was."""

import json
import os
import zipfile
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from security.advisories import mirror, update
from security.advisories.export import Web, source
from security.errors import BadInput, CannotTell
from tests.security.advisories.exports import behind, export, told, web

NOW = datetime(2024, 2, 1, tzinfo=UTC)
NEXT = "2024-01-02T00:00:00Z"
FIRST = [told("A-1"), told("A-2", name="requests"), told("A-3", name="Flask")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "here" / "pypi.jsonl"


@pytest.fixture
def kept(tmp_path: Path, path: Path) -> bytes:
    """What is here already."""
    update.update(path, source(str(export(tmp_path / "first", *FIRST))), now=NOW)
    return path.read_bytes()


def test_the_first_time_all_is_fetched(tmp_path: Path, path: Path) -> None:
    said: list[str] = []
    change = update.update(path, source(str(export(tmp_path / "e", *FIRST))), said.append, NOW)
    found = mirror.load(path)
    assert (change.whole, change.fetched, change.dropped) == (True, 3, 0)
    assert found.head == change.head
    assert (found.head.count, found.head.newest, found.head.checked) == (
        3,
        FIRST[0]["modified"],
        "2024-02-01T00:00:00Z",
    )
    assert sorted(found.known) == ["flask", "jinja2", "requests"]
    assert said == ["fetching all of 3 advisories"]
    lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[1:-1]]
    assert lines == FIRST


def test_afterwards_only_what_changed_is(tmp_path: Path, path: Path, kept: bytes) -> None:
    later = [FIRST[0], told("A-3", NEXT, name="flask", summary="changed"), told("A-4", NEXT, name="torch")]
    asked: list[str] = []
    with web(export(tmp_path / "e", *later), asked) as url:
        change = update.update(path, source(url), now=NOW)
    assert asked == ["/modified_id.csv", "/A-3.json", "/A-4.json"]
    assert (change.whole, change.fetched, change.dropped, change.head.newest) == (False, 2, 1, NEXT)
    assert change.head.source == url
    found = mirror.load(path)
    assert sorted(found.known) == ["flask", "jinja2", "torch"]
    assert found.of("flask")[0].summary == "changed"


def test_nothing_new_is_a_check_too(tmp_path: Path, path: Path, kept: bytes) -> None:
    change = update.update(path, source(str(tmp_path / "first")), now=NOW + timedelta(days=1))
    assert (change.fetched, change.head.checked) == (0, "2024-02-02T00:00:00Z")
    assert change.head.sha256 == mirror.Head.model_validate_json(kept.splitlines()[0]).sha256


def test_of_much_that_changed_the_whole_is_fetched(
    tmp_path: Path, path: Path, kept: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "FEW", 1)
    change = update.update(path, source(str(export(tmp_path / "e", told("A-1", NEXT), told("A-2", NEXT)))), now=NOW)
    assert (change.whole, change.head.count) == (True, 2)


def test_what_the_zip_does_not_have_yet_is_fetched_by_itself(tmp_path: Path, path: Path) -> None:
    fresh = [told("A-1", NEXT), told("A-2"), told("A-3")]
    asked: list[str] = []
    with web(export(tmp_path / "e", *fresh, packed=[told("A-0"), told("A-1"), told("A-2")]), asked) as url:
        assert update.update(path, source(url), now=NOW).head.newest == NEXT
    assert asked == ["/modified_id.csv", "/all.zip", "/A-1.json", "/A-3.json"]
    assert [each.told.id for each in mirror.bodies(path)] == ["A-1", "A-2", "A-3"]


def test_a_damaged_file_is_fetched_anew(tmp_path: Path, path: Path, kept: bytes) -> None:
    path.write_bytes(kept[:-40])
    assert update.update(path, source(str(tmp_path / "first")), now=NOW).whole
    assert path.read_bytes() == kept


def _lacks(folder: Path) -> None:
    (folder / "all.zip").unlink()
    (folder / "A-3.json").unlink()


SPOILED = {
    "no-list": lambda folder: (folder / "modified_id.csv").unlink(),
    "empty-list": lambda folder: (folder / "modified_id.csv").write_text(""),
    "another-list": lambda folder: (folder / "modified_id.csv").write_text("A-1,2024-01-01T00:00:00Z\n"),
    "twice-in-the-list": lambda folder: (folder / "modified_id.csv").write_text(f"{NEXT},A-3\n" * 2),
    "a-path-for-an-id": lambda folder: (folder / "modified_id.csv").write_text(f"{NEXT},../A-3\n"),
    "not-there": lambda folder: (folder / "A-3.json").unlink(),
    "no-json": lambda folder: (folder / "A-3.json").write_text("{"),
    "another-format": lambda folder: (folder / "A-3.json").write_text('{"id": "A-3", "modified": 7}'),
    "another-id": lambda folder: (folder / "A-3.json").write_text(json.dumps(told("A-1", NEXT))),
    "older-than-listed": lambda folder: (folder / "A-3.json").write_text(json.dumps(told("A-3"))),
    "a-newer-schema": lambda folder: (folder / "A-3.json").write_text(json.dumps(told("A-3", schema_version="2.0.0"))),
    "two-in-an-event": lambda folder: (folder / "A-3.json").write_text(
        json.dumps(told("A-3", NEXT)).replace('"introduced": "0"', '"introduced": "0", "fixed": "1"')
    ),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_what_cannot_be_read_leaves_what_is_here(tmp_path: Path, path: Path, kept: bytes, spoil: object) -> None:
    folder = export(tmp_path / "e", *FIRST[:2], told("A-3", NEXT))
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(CannotTell, match=r"modified_id\.csv|A-3|advisory"):
        update.update(path, source(str(folder)), now=NOW)
    assert path.read_bytes() == kept
    assert os.listdir(path.parent) == ["pypi.jsonl"]


@pytest.mark.parametrize("spoil", [b"no zip", b"", None], ids=["no-zip", "empty-zip", "cut-zip"])
def test_a_zip_that_is_none_leaves_nothing(tmp_path: Path, path: Path, spoil: bytes | None) -> None:
    packed = export(tmp_path / "e", *FIRST) / "all.zip"
    packed.write_bytes(packed.read_bytes()[:-30] if spoil is None else spoil)
    with pytest.raises(BadInput, match=r"all\.zip"):
        update.update(path, source(str(tmp_path / "e")), now=NOW)
    assert not os.listdir(path.parent)


def test_without_a_network_it_says_so_at_once(path: Path, kept: bytes) -> None:
    with behind(BaseHTTPRequestHandler) as url:
        pass
    with pytest.raises(CannotTell, match=r"http://127\.0\.0\.1:\d+ cannot be reached \(ConnectError\)") as told_:
        update.update(path, source(url), now=NOW)
    assert told_.value.cause == mirror.CAUSE
    assert path.read_bytes() == kept


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://127.0.0.1/x", "https://u:p@example.org/x", "https:///x", "http://[::1"]
)
def test_only_https_is_taken_and_http_on_the_loopback(url: str) -> None:
    with pytest.raises(CannotTell, match="allowed: https"):
        Web(url)


def test_a_list_that_lacks_much_of_what_is_here_is_a_cut_one(
    tmp_path: Path, path: Path, kept: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "FEW", 1)
    with pytest.raises(BadInput, match=r"modified_id\.csv, .* found 1, without 2 of the 3 that are here"):
        update.update(path, source(str(export(tmp_path / "e", FIRST[0]))), now=NOW)
    assert path.read_bytes() == kept


@pytest.mark.parametrize("spoil", [0, 1], ids=["not-to-be-unpacked", "locked"])
def test_a_member_that_cannot_be_unpacked_leaves_nothing(tmp_path: Path, path: Path, spoil: int) -> None:
    packed = export(tmp_path / "e", FIRST[0]) / "all.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("A-1.json", json.dumps(FIRST[0]))
    whole = bytearray(packed.read_bytes())
    if spoil:
        whole[6] |= 1
        whole[whole.index(b"PK\x01\x02") + 8] |= 1
    else:
        whole[38:68] = b"\xff" * 30
    packed.write_bytes(whole)
    with pytest.raises(BadInput, match=r"all\.zip"):
        update.update(path, source(str(tmp_path / "e")), now=NOW)
    assert not os.listdir(path.parent)


class Endless(BaseHTTPRequestHandler):
    """Ends when it hangs up: nobody can tell whether that was the end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{NEXT},A-1\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_answer_without_a_length_may_be_cut_anywhere(path: Path) -> None:
    with behind(Endless) as url, pytest.raises(CannotTell, match="without a length"):
        update.update(path, source(url), now=NOW)


class Half(BaseHTTPRequestHandler):
    """Promises more than it sends, and sends people elsewhere."""

    def do_GET(self) -> None:
        elsewhere = self.path.startswith("/moved/")
        self.send_response(302 if elsewhere else 200)
        self.send_header("Location", "/modified_id.csv")
        self.send_header("Content-Length", "400")
        self.end_headers()
        self.wfile.write(f"{NEXT},A-1\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_cut_answer_is_none_and_nobody_is_followed(path: Path) -> None:
    with behind(Half) as url:
        with pytest.raises(CannotTell, match=r"cannot be reached \(RemoteProtocolError\)|cut after"):
            update.update(path, source(url), now=NOW)
        with pytest.raises(CannotTell, match="answered 302"):
            update.update(path, source(f"{url}/moved"), now=NOW)
    assert not path.exists()
