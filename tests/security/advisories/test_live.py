"""A live service, asked over its own protocol: every page, of what was asked about, or a reason of its own."""

import ssl
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from deployments.lake.certs import certificates
from security.advisories import live
from security.advisories.live import Told, ask
from security.engines import web
from security.gates.dependencies.match import FORGET_ME_NOT
from tests.security.advisories.exports import against, behind, told
from tests.security.advisories.service import LONGEST_WAIT, living

NEW = "2026-11-28T00:00:00Z"
EVERYBODY = [against(*each, "2026-01-01T00:00:00Z") for each in FORGET_ME_NOT]
MANY = [told(f"A-{number}", NEW, name="alpha") for number in range(1, 6)]
ALPHA = ("alpha", "1.0")


def asked(*packages: tuple[str, str], ill: str = "", sick: str = "alpha", **more: Any) -> Told:
    with living(*EVERYBODY, *MANY, ill=ill, sick=sick, **more) as url:
        return ask(url, packages or (ALPHA, ("beta", "2.0")), FORGET_ME_NOT)


def test_every_page_of_every_answer_is_followed() -> None:
    questions: list[dict[str, Any]] = []
    made, lacking = asked(asked=questions)
    assert lacking == ""
    assert made is not None
    assert made.answers[ALPHA] == {"A-1", "A-2", "A-3", "A-4", "A-5"}
    assert made.answers["beta", "2.0"] == frozenset()
    assert len(made.of("alpha")) == 5
    assert (made.head.newest, made.head.count, made.dated) == (NEW, 5 + len(FORGET_ME_NOT), "date")
    mine = [each for each in questions if each["package"]["name"] == "alpha"]
    assert sorted((each.get("version", ""), "page_token" in each) for each in mine) == [
        *[("", False), ("", True), ("", True)],
        *[("1.0", False), ("1.0", True), ("1.0", True)],
    ]


def test_what_is_known_of_a_package_is_more_than_what_affects_its_version() -> None:
    made, _ = asked(("alpha", "2.0"))
    assert made is not None
    assert (made.answers["alpha", "2.0"], len(made.of("alpha"))) == (frozenset(), 5)


def test_its_digest_is_of_what_was_answered() -> None:
    first, again, other = asked(), asked(), asked(ALPHA)
    one, same, less = (each.live.head.sha256 for each in (first, again, other) if each.live)
    assert one == same != less
    assert len(one) == 64


def test_it_is_as_old_as_its_oldest_date() -> None:
    with_dates, cached = asked().live, asked(ill="cached").live
    assert with_dates
    assert cached
    assert (cached.head.checked, cached.dated, with_dates.dated) == ("2026-10-01T00:00:00Z", "date", "date")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(with_dates.head.checked)).total_seconds()) < 60


SAYS: dict[str, str] = {
    "busy": "alpha(?: 1.0)?: answered 503; allowed: 200",
    "moved": "alpha(?: 1.0)?: answered 302, a redirect; allowed: 200",
    "text": "alpha(?: 1.0)?: found no JSON; allowed: vulns and next_page_token",
    "cut": "alpha(?: 1.0)?: found no JSON",
    "list": "alpha(?: 1.0)?: found another shape; allowed: vulns and next_page_token",
    "null": "alpha(?: 1.0)?: found another shape",
    "lost": "alpha(?: 1.0)?: found another shape",
    "word": "alpha(?: 1.0)?, the whole: found no advisory in the OSV format",
    "nameless": "alpha(?: 1.0)?, .*found no advisory in the OSV format",
    "huge": "alpha(?: 1.0)?: more than 65,536 bytes",
    "loop": "alpha(?: 1.0)?: page 2 names one that was read; allowed: each page once",
    "endless": "alpha(?: 1.0)?: pages without an end; allowed: 100",
    "torn": r"alpha(?: 1.0)?: cannot be asked \(RemoteProtocolError\)",
    "undated": "alpha(?: 1.0)?: found no Date; allowed: when it answered",
    "slow": r"alpha(?: 1.0)?: cannot be asked \(ReadTimeout\)",
}


@pytest.mark.parametrize("ill", SAYS)
def test_half_an_answer_is_none_and_the_reason_its_own(ill: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LARGEST", 1 << 16)
    monkeypatch.setattr(web, "SECONDS", 1.0 if ill == "slow" else 20.0)
    made, lacking = asked(ill=ill)
    assert_matches(lacking, rf"^the live service, {SAYS[ill]}.*; 2 of 12 questions have no answer$")
    assert made is not None
    assert ALPHA not in made.answers
    assert made.answers["beta", "2.0"] == frozenset()


def assert_matches(text: str, pattern: str) -> None:
    with pytest.raises(RuntimeError, match=pattern):
        raise RuntimeError(text)


def test_records_of_another_package_are_no_answer() -> None:
    _, lacking = asked(("beta", "2.0"), ill="other", sick="beta")
    assert_matches(lacking, r"beta(?: 2.0)?: A-1 is about alpha; allowed: what was asked about")


def test_one_that_is_down_is_asked_a_few_times_alone() -> None:
    with behind(BaseHTTPRequestHandler) as gone:
        pass
    made, lacking = ask(gone, [(f"a{number}", "1.0") for number in range(500)], FORGET_ME_NOT)
    assert made is None
    assert_matches(lacking, r"cannot be asked \(ConnectError\); 1,008 of 1,008 questions have no answer")


@pytest.mark.parametrize("sick", ["", FORGET_ME_NOT[1][0]])
def test_one_that_knows_of_nothing_is_not_taken_at_its_word(sick: str) -> None:
    made, lacking = asked(ill="empty", sick=sick)
    name, _, id = FORGET_ME_NOT[1 if sick else 0]
    assert lacking == f"the live service does not know {id} of {name}; allowed: what everybody knows"
    assert made is not None


@pytest.mark.parametrize("sick", ["alpha", ""])
def test_what_it_says_of_a_version_it_says_of_the_package_too(sick: str) -> None:
    made, lacking = asked(ill="mute", sick=sick)
    name = sick or FORGET_ME_NOT[0][0]
    assert "says of a version what it does not say of the package" in lacking
    assert made is not None or not sick
    assert made is None or all(key[0] != name for key in made.answers)


def test_all_answers_together_have_a_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ALL", 2_000)
    _, lacking = asked()
    assert_matches(lacking, r"more than 2,000 bytes in all answers; \d+ of 12 questions have no answer")


@pytest.mark.parametrize("ill", ["dripping", "dripping head"])
def test_one_that_drips_is_ended_with_the_whole(ill: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SECONDS", 1.0)
    begun = time.monotonic()
    made, lacking = asked(ill=ill)
    assert time.monotonic() - begun < LONGEST_WAIT * 3
    assert_matches(lacking, r"alpha(?: 1.0)?: (an answer without an end|cannot be asked)")
    assert made is None or ALPHA not in made.answers


def test_after_its_time_no_more_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SECONDS", 0.0)
    made, lacking = asked()
    assert made is None
    assert_matches(lacking, "not asked within 0 s; 12 of 12 questions have no answer")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.org", "is http; allowed: https, and http on the loopback"),
        ("ftp://127.0.0.1", "is ftp"),
        ("//127.0.0.1", "is of no scheme"),
        ("https://[", "cannot be read"),
        ("https://example.org/?a=b", "has a query or no host"),
        ("https:///v1", "has a query or no host"),
    ],
)
def test_a_url_that_may_not_be_asked_is_told(url: str, said: str) -> None:
    assert_matches(ask(url, [ALPHA], FORGET_ME_NOT).lacking, f"the URL of the live service {said}")


def test_a_proxy_that_the_environment_names_hears_nothing_of_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert asked().lacking == ""


def test_a_name_and_a_password_in_the_url_are_neither_shown_nor_kept() -> None:
    with living(*EVERYBODY) as url:
        made, _ = ask(url.replace("//", "//me:" + "x" * 8 + "@"), [ALPHA], FORGET_ME_NOT)
    assert made is not None
    assert made.head.source == url


def test_tls_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates(tmp_path))
    with living(*EVERYBODY, tls=context) as url:
        assert url.startswith("https://")
        made, lacking = ask(url, [ALPHA], FORGET_ME_NOT)
        assert made is None
        assert_matches(lacking, r"cannot be asked \(ConnectError\)")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert ask(url, [ALPHA], FORGET_ME_NOT).lacking == ""
