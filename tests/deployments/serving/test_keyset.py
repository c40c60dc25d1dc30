"""Key rotation: a new key works, a removed one ends, and a file that cannot be read lets nobody in."""

import time
from functools import cache
from pathlib import Path

import pytest

from deployments.serving import keyset as keys
from deployments.serving.keyset import Rotation, jwks
from deployments.serving.schema import Refusal
from deployments.serving.token import LEEWAY, Denied, Verifier, mint
from security.errors import KeyBroken
from tests.deployments.serving.test_token import ISSUER, OTHER, new, public


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the first issuer's key."""
    path = tmp_path / "issuer.jwks.json"
    path.write_bytes(jwks(public(ISSUER)))
    return path


@pytest.fixture
def verifier(file: Path, clock: Clock) -> Verifier:
    return Verifier(Rotation(file, clock=clock), "issuer", "here", "shop")


@cache
def old() -> str:
    """A token of the first issuer's key, made when it is first needed: tokens do not live as long as a suite takes."""
    return f"Bearer {new()}"


@cache
def newer() -> str:
    """One of another key."""
    return f"Bearer {mint(OTHER, iss='issuer', aud='here', sub='u9', tenant='shop')}"


def believed(verifier: Verifier, header: str) -> bool:
    """Whether a token is believed."""
    try:
        verifier.bearer([header])
    except Denied:
        return False
    return True


def test_a_new_key_works_at_once(verifier: Verifier, file: Path, clock: Clock) -> None:
    assert (believed(verifier, old()), believed(verifier, newer())) == (True, False)
    file.write_bytes(jwks(public(ISSUER), public(OTHER)))
    clock.now += keys.LEAST
    assert (believed(verifier, newer()), believed(verifier, old())) == (True, True)
    assert verifier.bearer([newer()]).key != verifier.bearer([old()]).key


def test_a_removed_key_ends_also_for_a_token_that_was_believed(verifier: Verifier, file: Path, clock: Clock) -> None:
    assert believed(verifier, old())
    file.write_bytes(jwks(public(OTHER)))
    assert believed(verifier, old()), "until it is read again"
    clock.now += keys.EVERY
    assert not believed(verifier, old())
    assert believed(verifier, newer())


def test_a_token_of_a_new_key_ends_the_removed_one_too(verifier: Verifier, file: Path, clock: Clock) -> None:
    assert believed(verifier, old())
    file.write_bytes(jwks(public(OTHER)))
    clock.now += keys.LEAST
    assert believed(verifier, newer())
    assert not believed(verifier, old())


def test_tokens_of_unknown_keys_do_not_have_it_read_each_time(
    verifier: Verifier, file: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, real = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or real(path))
    clock.now += keys.LEAST
    for _ in range(50):
        assert not believed(verifier, newer())
    assert read == [file]
    clock.now += keys.LEAST
    believed(verifier, newer())
    assert len(read) == 2


@pytest.mark.parametrize("data", [b"", b'{"keys": []}', b"nothing", b'{"keys": ' + b"[" * 100_000, None], ids=range(5))
def test_while_it_cannot_be_read_nobody_is_believed(
    verifier: Verifier, file: Path, clock: Clock, data: bytes | None
) -> None:
    assert believed(verifier, old())
    whole = file.read_bytes()
    file.unlink() if data is None else file.write_bytes(data)
    clock.now += keys.EVERY
    with pytest.raises(Refusal, match="cannot be read") as why:
        verifier.bearer([old()])
    assert why.value.status == 503
    file.write_bytes(whole)
    with pytest.raises(Refusal, match="cannot be read"):
        verifier.bearer([old()])
    clock.now += keys.LEAST
    assert believed(verifier, old())


def test_whatever_happens_while_it_is_parsed_the_old_keys_end(
    verifier: Verifier, file: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(data: bytes, name: str) -> None:
        raise RuntimeError

    assert believed(verifier, old())
    file.write_bytes(jwks(public(ISSUER), public(OTHER)))
    clock.now += keys.EVERY
    monkeypatch.setattr(keys, "keyset", bug)
    with pytest.raises(RuntimeError):
        verifier.bearer([old()])
    with pytest.raises(Refusal, match="cannot be read"):
        verifier.bearer([old()])


def test_it_must_be_there_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Rotation(tmp_path / "absent.json")
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(KeyBroken):
        Rotation(tmp_path / "empty.json")


def test_a_token_that_is_kept_ends_when_it_expires(file: Path) -> None:
    moment, token = [time.time()], f"Bearer {new()}"
    verifier = Verifier(Rotation(file), "issuer", "here", "shop", clock=lambda: moment[0])
    assert believed(verifier, token)
    assert believed(verifier, token)
    moment[0] -= 30
    assert not believed(verifier, token), "not yet valid, by a clock that went back"
    moment[0] += 30 + 300 + LEEWAY - 20
    assert believed(verifier, token)
    moment[0] += 30
    assert not believed(verifier, token)


def test_what_is_kept_is_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.serving.token.KEPT", 3)
    verifier = Verifier(Rotation(file), "issuer", "here", "shop")
    for number in range(10):
        assert believed(verifier, f"Bearer {new(jti=str(number))}")
        assert len(verifier._kept) <= 3
    assert not believed(verifier, newer())
    assert len(verifier._kept) <= 3
