"""Real registries: Debian's docker-registry open, behind passwords, behind tokens, and behind a front that is strict.

Without a front it lets whoever may push overwrite and move every tag: that it is refused here is no made-up case.
"""

import hashlib
import secrets
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from security.engines.line import TAKES
from security.engines.login import Login, Place
from security.engines.probe import CANARY, spelled
from security.engines.trespass import HALF, trespass
from security.gate import judge, observe
from security.gates.authorization import RegistryAuthorization
from security.gates.authorization.facts import TRIES
from security.keys import UnsafeLocalKeys
from security.models.chain import Keys
from security.posture import asked
from security.verdict import Outcome, Verdict
from tasks import authority, chains, models
from tasks.home import Home
from tasks.remote import Registry, push
from tests.security.models.chains import keys
from tests.security.models.making import model
from tests.tasks.distribution import Distribution, absent
from tests.tasks.guard import Guard, Tokens, no, serving

pytestmark = pytest.mark.real
GATE = RegistryAuthorization()
MOVED = {("RA-OVERWRITE", "overwrite"), ("RA-APPROVED", "approved"), ("RA-PRODUCTION", "production")}
DELETED = {("RA-DELETE", "delete"), ("RA-DELETE", "erase")}
"""docker-registry deletes no tag, only what it names."""


@pytest.fixture(autouse=True)
def _parts() -> None:
    if lacks := absent():
        pytest.skip(
            f"no {', '.join(lacks)}: nothing is shown on a real registry; install it (Debian: {' '.join(lacks)})"
        )


def judged(address: str, login: Login | None, **limits: Any) -> Verdict:
    place = Place(f"{address}/models", "sample", "UnsafeHttp", limits.get("tokens", ""))
    terms = {"name": "sample", "signer": "0" * 64, "registry": place.address, "scheme": "UnsafeHttp"} | limits
    seen = observe(GATE, asked(GATE, trespass(place, login, secrets.token_hex(8))), terms)
    verdict = judge(GATE, seen, terms)
    assert login is None or not login.within(seen.model_dump_json() + verdict.model_dump_json())
    return verdict


def found(verdict: Verdict) -> set[tuple[str, str]]:
    return {(each.rule, each.place) for each in verdict.findings}


def put(address: str, tag: str, nonce: str) -> str:
    """Put a manifest of the gate's own form under a tag of a registry that lets everybody; its digest."""
    data = spelled(nonce)
    kind = {"content-type": "application/vnd.oci.image.manifest.v1+json"}
    url = f"http://{address}/v2/models/sample/manifests/{tag}"
    assert httpx.put(url, content=data, headers=kind).status_code == 201
    return hashlib.sha256(data).hexdigest()


def named(address: str, path: str = "models") -> dict[str, str]:
    """What each tag of a registry names that lets everybody."""
    url = f"http://{address}/v2/{path}/sample"
    tags = httpx.get(f"{url}/tags/list").json().get("tags") or []
    accept = {"accept": TAKES}
    return {
        tag: hashlib.sha256(httpx.get(f"{url}/manifests/{tag}", headers=accept).content).hexdigest() for tag in tags
    }


@pytest.mark.parametrize("deletes", [False, True])
def test_a_registry_that_asks_nobody(tmp_path: Path, deletes: bool) -> None:
    with Distribution(tmp_path, deletes=deletes) as server:
        verdict = judged(server.address, None)
        assert found(verdict) == MOVED | (DELETED if deletes else set()), verdict.reason
        assert "granted to nobody in particular" in verdict.reason
        assert set(named(server.address)) == {CANARY}
        before = {
            **named(server.address),
            "7": put(server.address, "7", "a"),
            "production": put(server.address, "production", "b"),
        }
        version = {("RA-OVERWRITE", "version")}
        assert found(judged(server.address, None)) == MOVED | version | (DELETED if deletes else set())
        assert named(server.address) == before  # and what was granted has done no harm


def test_a_registry_behind_passwords(tmp_path: Path) -> None:
    """htpasswd knows who somebody is, and lets everybody whom it knows do everything."""
    login = Login("producer", secrets.token_hex(12))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import crypt
    mark = crypt.crypt(login.password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))
    (tmp_path / "htpasswd").write_text(f"{login.user}:{mark}\n")
    more = f"auth: {{htpasswd: {{realm: test, path: {tmp_path / 'htpasswd'}}}}}\n"
    with Distribution(tmp_path, more, deletes=True) as server:
        verdict = judged(server.address, login)
        assert found(verdict) == MOVED | DELETED, verdict.reason
        assert "granted to the producer's credentials" in verdict.reason
        for other in (None, Login("producer", secrets.token_hex(12))):
            verdict = judged(server.address, other)
            assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "unreadable")
            assert "was answered 401 UNAUTHORIZED: where that does not work, a refusal proves nothing" in verdict.reason


def test_a_registry_behind_tokens(tmp_path: Path) -> None:
    """Tokens tell pushing from deleting, and not one tag from another."""
    tokens = Tokens(tmp_path, "pull", "push")
    with serving(tokens) as at, Distribution(tmp_path, tokens.configured(at), deletes=True) as server:
        verdict = judged(server.address, tokens.login, tokens=at)
        assert found(verdict) == MOVED, verdict.reason
        assert "repository:models/sample:delete" in tokens.asked
        tokens.actions = ("pull", "push", "delete")
        assert found(judged(server.address, tokens.login, tokens=at)) == MOVED | DELETED
        tokens.actions = ("pull",)
        assert (
            "to upload, with the producer's credentials, was answered 401"
            in judged(server.address, tokens.login, tokens=at).reason
        )
        tokens.asked.clear()
        verdict = judged(server.address, tokens.login)
        assert (
            "asks to have the credentials sent to http on another host; allowed: itself, or `tokens`" in verdict.reason
        )
        assert tokens.asked == []


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    if absent():
        pytest.skip("no registry")
    with Distribution(tmp_path_factory.mktemp("behind"), deletes=True) as server:
        yield server


@pytest.fixture
def guard(behind: Distribution) -> Iterator[tuple[str, Guard]]:
    made = Guard(behind.address)
    with serving(made) as at:
        yield at, made


def test_a_strict_front_passes(guard: tuple[str, Guard], behind: Distribution) -> None:
    at, front = guard
    assert judged(at, front.login).outcome is Outcome.PASS
    for tag in ("7", "approved", "production", "chain"):
        put(behind.address, tag, tag)
    before = named(behind.address)
    verdict = judged(at, front.login)
    assert (verdict.outcome, verdict.findings) == (Outcome.PASS, ()), verdict.reason
    assert "7 attempts refused, 5 tags as they were" in verdict.reason
    assert named(behind.address) == before


@pytest.mark.parametrize("act", ["overwrite", "version", "approved", "production", "delete", "erase"])
def test_whatever_a_front_lets_through_is_found(guard: tuple[str, Guard], behind: Distribution, act: str) -> None:
    at, front = guard
    put(behind.address, "7", "7")
    judged(at, front.login)
    before = named(behind.address)
    front.lets = {act}
    assert found(judged(at, front.login)) == {(TRIES[act], act)}
    assert named(behind.address) == before


def test_a_front_that_is_no_registry_or_is_down(guard: tuple[str, Guard]) -> None:
    at, front = guard
    page = (403, {"Content-Type": "text/html"}, b"<html>no</html>")
    for odd, says in (
        ({"PUT /manifests/production": page}, "production: a page was answered (403)"),
        ({"DELETE /manifests/0": (302, {"Location": "http://elsewhere.example/"}, b"")}, "sends onward (302)"),
        ({"PUT /manifests/approved": no(503, "UNKNOWN")}, "was answered 503 UNKNOWN: neither granted nor refused"),
        ({"GET /v2/": (200, {"Content-Type": "text/html"}, b"<html>hello</html>")}, "place: a page was answered (200)"),
    ):
        front.odd = odd
        verdict = judged(at, front.login)
        assert (verdict.outcome, says in verdict.reason) == (Outcome.INCONCLUSIVE, True), verdict.reason
    verdict = judged("127.0.0.1:9", front.login)
    assert verdict.reason == "place: the registry cannot be reached (ConnectError)"


def test_the_logins_and_the_tags_are_those_of_a_push(
    guard: tuple[str, Guard], behind: Distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models as `sluice model push` sends them, and the very credentials that it sends them with."""
    at, front = guard
    local = UnsafeLocalKeys(tmp_path / "keys")
    with_: Keys = keys(local)
    made, home = model(tmp_path / "model", local, version=3), Home(tmp_path / "home")
    models.enter(home, made.files, made.attached, local.signer("producer"), with_, "all gates passed")
    (tmp_path / "auth.json").write_text(
        '{"auths": {"%s": {"auth": "%s"}}}' % (at, front.login.basic().partition(" ")[2])  # noqa: UP031
    )
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    assert push(home, "sample", Registry(f"{at}/pushed", unsafe_http=True), with_) == [3]
    before = named(behind.address, "pushed")
    limits = {"name": "sample", "signer": local.public("producer").id}
    limits |= {"registry": f"{at}/pushed", "scheme": "UnsafeHttp"}
    known = chains.heads(home, "sample")

    def look() -> Verdict:
        snapshot = authority.opened(home, limits, with_, local.signer("producer"), known)
        return judge(GATE, observe(GATE, asked(GATE, snapshot), limits), limits)

    verdict = look()
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert "3 tags as they were" in verdict.reason  # 0, 3 and chain
    front.lets = {"production"}
    assert found(look()) == {("RA-PRODUCTION", "production")}
    assert named(behind.address, "pushed") == before | {CANARY: named(behind.address, "pushed")[CANARY]}
    assert HALF not in {path.read_bytes() for path in behind.folder.rglob("data") if path.is_file()}
