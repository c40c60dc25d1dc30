"""A package index, asked over its own protocol."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from security.engines import index
from security.engines.index import CAUSE, FORM, Listing, Wanted, ask
from security.errors import CannotTell
from tests.security.advisories.exports import behind

A, B, C = "a" * 64, "b" * 64, "c" * 64


def page(name: str, *files: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"meta": {"api-version": "1.4"}, "name": name, "files": list(files), **more}


def file(sha: str, **more: Any) -> dict[str, Any]:
    return {"filename": "a-1.0-py3-none-any.whl", "url": "x", "hashes": {"sha256": sha}, **more}


PAGES: dict[str, Any] = {
    "pip": page("pip", file(A)),
    "good": page("Good", file(A), file(B, yanked=False), file(C, yanked="broken")),
    "yanked": page("yanked", file(A, yanked="leaks"), file(B, yanked=True)),
    "wordless": page("wordless", file(A, yanked=True)),
    "held": page("held", file(A), **{"project-status": {"status": "quarantined"}}),
    "another": page("somebody-else", file(A)),
    "shapeless": {"files": 7},
    "text": "<html>fine</html>",
    "moved": page("moved", file(A)),
    "busy": page("busy", file(A)),
    "plain": page("plain", file(A)),
}


class Index(BaseHTTPRequestHandler):
    """Answers as an index does, and as some do not."""

    def do_GET(self) -> None:
        name = self.path.strip("/").rpartition("/")[2] if "/nothing/" not in self.path else "nothing"
        body = json.dumps(PAGES[name]).encode() if name in PAGES else b"404"
        status = {"moved": 302, "busy": 503}.get(name, 200 if name in PAGES else 404)
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if name == "plain" or self.headers["Accept"] != FORM else FORM)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "/simple/good/")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with behind(Index) as made:
        yield f"{made}/simple/"


def one(url: str, name: str, *hashes: str) -> Listing:
    (found,) = ask(url, [Wanted(name=name, version="1.0", hashes=hashes)])
    if isinstance(found, str):
        raise CannotTell(found, CAUSE)
    return found


def listing(name: str, **told: Any) -> Listing:
    return Listing(name=name, version="1.0", known=True, **told)


def test_what_it_has_is_known(url: str) -> None:
    assert one(url, "good", A, B) == listing("good")
    assert one(url, "good", A, C) == listing("good")
    assert ask(url, []) == []


def test_answers_come_in_the_order_of_the_questions(url: str) -> None:
    asked = [Wanted(name=name, version="1.0", hashes=(A,)) for name in ("held", "good", "nobody", "good")]
    assert [(each.name, each.known) for each in ask(url, asked) if isinstance(each, Listing)] == [
        ("held", True),
        ("good", True),
        ("nobody", False),
        ("good", True),
    ]


def test_a_name_that_it_does_not_know_is_an_answer(url: str) -> None:
    assert one(url, "nobody", A, B) == Listing(name="nobody", version="1.0", known=False, strange=2)


def test_hashes_of_no_file_are_counted(url: str) -> None:
    assert one(url, "good", A, "d" * 64, "e" * 64) == listing("good", strange=2)
    assert one(url, "good", "d" * 64) == listing("good", strange=1)


def test_what_was_withdrawn_is_told_with_the_reason(url: str) -> None:
    assert one(url, "good", C) == listing("good", yanked="broken")
    assert one(url, "yanked", A, B) == listing("yanked", yanked="leaks")
    assert one(url, "wordless", A) == listing("wordless", yanked="no reason given")
    assert one(url, "held", A) == listing("held", status="quarantined")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("another", "asked for another, it answered about somebody-else"),
        ("shapeless", "allowed: a page of PEP 691"),
        ("text", "allowed: a page of PEP 691"),
        ("moved", "answered 302"),
        ("busy", "answered 503"),
        ("plain", "answered 200 text/html"),
    ],
)
def test_anything_else_is_no_answer(url: str, name: str, said: str) -> None:
    with pytest.raises(CannotTell, match=said) as why:
        one(url, name, A)
    assert why.value.cause == CAUSE


def test_one_without_an_answer_takes_nothing_from_the_others(url: str) -> None:
    first, second, third = ask(
        url, [Wanted(name=name, version="1.0", hashes=(A,)) for name in ("yanked", "busy", "nobody")]
    )
    assert (first, third) == (
        listing("yanked", yanked="leaks"),
        Listing(name="nobody", version="1.0", known=False, strange=1),
    )
    assert "busy: answered 503" in str(second)


def test_after_a_few_without_an_answer_no_more_are_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "AT_ONCE", 1)
    found = ask(url, [Wanted(name=name, version="1.0", hashes=(A,)) for name in (*["busy"] * 3, "good")])
    assert len(found) == 4
    assert all(isinstance(each, str) for each in found)


def test_the_whole_has_its_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SECONDS", -1.0)
    with pytest.raises(CannotTell, match="not asked within"):
        one(url, "good", A)


def test_a_server_that_is_no_index_leaves_all_open(url: str) -> None:
    with pytest.raises(CannotTell, match="does not know pip: what is behind its URL is none"):
        one(url.replace("/simple/", "/nothing/"), "good", A)


def test_a_name_and_a_password_are_given_and_never_shown(url: str) -> None:
    mine = url.replace("://", "://ada:se%2Fcret@")
    assert one(mine, "good", A) == listing("good")
    assert index.shown(mine) == url
    with pytest.raises(CannotTell, match="answered 503") as why:
        one(mine, "busy", A)
    assert "cret" not in str(why.value)
    for wrong in (url.replace("://", "://ada:se/cret@"), "https://ada:cret@[::1", "https://127.0.0.1:x/simple"):
        with pytest.raises(CannotTell, match=r"cannot be read|allowed: https") as why:
            one(wrong, "good", A)
        assert "cret" not in str(why.value)


def test_one_that_is_down_is_no_answer() -> None:
    with behind(Index) as gone:
        pass
    with pytest.raises(CannotTell, match="cannot be asked about pip \\(ConnectError\\)"):
        one(gone, "good", A)


@pytest.mark.parametrize("url", ["http://example.org/simple", "ftp://127.0.0.1", "file:///simple", "simple"])
def test_only_https_is_asked_and_http_on_the_loopback(url: str) -> None:
    with pytest.raises(CannotTell, match="allowed: https"):
        one(url, "good", A)
