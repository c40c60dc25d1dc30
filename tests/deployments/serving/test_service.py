"""The service as a process: what it answers, what it says when it does not, and when it does not start."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.kubernetes.probe import answers
from deployments.serving.__main__ import options
from deployments.serving.app import Service, application
from deployments.serving.keyset import keyset
from deployments.serving.load import load
from deployments.serving.token import ANY, READ, Verifier
from security.errors import PlanError
from tests.deployments.serving.release import AUDIENCE, ISSUER, NOBODY, PATH, ROOT, TENANT, Running, Site, card, write
from tests.deployments.serving.twins import serving

STRICT = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


@pytest.fixture(scope="module")
def running(home: Site) -> Iterator[Running]:
    """The service, up; for more questions than one person asks."""
    with home.serve("--rate", "1000", "--burst", "10000") as service:
        yield service


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[httpx.Client]:
    """A client of it."""
    with httpx.Client(base_url=running.url, trust_env=False, timeout=5) as each:
        yield each


def bearing(home: Site, **claims: Any) -> dict[str, str]:
    """Headers with a token."""
    return {"Authorization": f"Bearer {home.mint(**claims)}"}


def error(response: httpx.Response, status: int) -> str:
    """The sentence of a refusal, which is all that it says."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert {name: response.headers.get(name) for name in STRICT} == STRICT
    body = response.json()
    assert list(body) == ["error"]
    assert "Traceback" not in response.text
    return str(body["error"])


def test_it_says_when_it_listens(running: Running) -> None:
    assert running.pid == running.process.pid
    assert running.url.startswith("http://127.0.0.1:")
    assert len(running.model) == 64


def test_recommendations(client: httpx.Client, home: Site, running: Running) -> None:
    response = client.get(PATH, params={"user": "u001", "k": 7}, headers=bearing(home))
    model = load(home.release, home.keys.public("producer"))
    best, basis = model.recommend("u001", 7)
    assert response.status_code == 200
    assert response.json() == {
        "user": "u001",
        "model": running.model,
        "items": [{"item": item, "score": pytest.approx(score, abs=1e-5)} for item, score in best],
        "basis": basis,
    }
    assert (model.digest, basis, len(best)) == (running.model, "personal", 7)
    assert {name: response.headers[name] for name in STRICT} == STRICT
    assert "server" not in response.headers
    assert len(client.get(PATH, params={"user": "u001"}, headers=bearing(home)).json()["items"]) == 10


@pytest.mark.parametrize("user", [f"u{NOBODY:03d}", "who", "ü/é?&=#"])
def test_a_user_without_history_gets_the_most_popular(client: httpx.Client, home: Site, user: str) -> None:
    body = client.get(PATH, params={"user": user, "k": 3}, headers=bearing(home, sub=user)).json()
    assert (body["user"], body["basis"], len(body["items"])) == (user, "cold", 3)


def test_another_users_need_another_scope(client: httpx.Client, home: Site) -> None:
    query = {"user": "u002"}
    assert "another user" in error(client.get(PATH, params=query, headers=bearing(home)), 403)
    anybody = bearing(home, scope=f"{READ} {ANY}")
    assert client.get(PATH, params=query, headers=anybody).json()["user"] == "u002"
    named = {**bearing(home), "X-Forwarded-User": "u002", "X-User-Id": "u002"}
    error(client.get(PATH, params=query, headers=named), 403)


def test_without_a_token_nothing_is_said_about_the_query(client: httpx.Client) -> None:
    for query in ({"user": "u001"}, {"user": "u001", "k": "0"}, {"nothing": "known"}, {}):
        response = client.get(PATH, params=query)
        assert error(response, 401) == "a token is needed"
        assert response.headers["www-authenticate"] == "Bearer"
    error(client.get("/version"), 401)


@pytest.mark.parametrize(
    "query",
    [
        "user=u001&user=u001",
        "user=u001&k=5&k=5",
        "user=u001&more=1",
        "user=u001&access_token=x",
        "user=",
        "k=5",
        "",
        "user=u001&k=0",
        "user=u001&k=101",
        "user=u001&k=-1",
        "user=u001&k=1e1",
        "user=u001&k=%D9%A3",
        "user=u001&k=",
        "user=" + "u" * 257,
    ],
)
def test_a_query_is_exact(client: httpx.Client, home: Site, query: str) -> None:
    assert error(client.get(f"{PATH}?{query}", headers=bearing(home, scope=f"{READ} {ANY}")), 400)


@pytest.mark.parametrize("path", [PATH, "/version"])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_path_has_its_methods_and_no_other(client: httpx.Client, home: Site, path: str, method: str) -> None:
    if (path, method) == (PATH, "POST"):
        return
    override = {"X-HTTP-Method-Override": "GET", "X-Method-Override": "GET"}
    response = client.request(method, path, params={"user": "u001"}, headers={**bearing(home), **override})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST" if path == PATH else "GET")
    assert b"items" not in response.content


def test_no_body_is_taken(client: httpx.Client, home: Site) -> None:
    for content in (b"x", iter([b"x"])):
        response = client.request("GET", PATH, params={"user": "u001"}, headers=bearing(home), content=content)
        assert "no body" in error(response, 413)


@pytest.mark.parametrize(
    "target",
    [
        f"/{PATH}",
        f"{PATH}/",
        f"/%2e{PATH}",
        f"/x/..{PATH}",
        PATH.replace("r", "%72", 1),
        PATH.upper(),
        f"{PATH};x",
        "/docs",
        "/openapi.json",
        "/",
    ],
)
def test_a_path_has_one_spelling(client: httpx.Client, home: Site, target: str) -> None:
    spelled = {"target": f"{target}?user=u001".encode()}
    response = client.request("GET", "/", headers=bearing(home), extensions=spelled)
    assert error(response, 404) == "not found"


def test_version_and_health(client: httpx.Client, home: Site, running: Running) -> None:
    told = client.get("/version", headers=bearing(home)).json()
    assert told == {"model": running.model, "name": "recommender", "version": 3, "run": "run-7"}
    error(client.get("/version", headers=bearing(home, scope="other")), 403)
    for path, more in (("/healthz", {}), ("/readyz", {"model": running.model})):
        response = client.get(path)
        assert (response.status_code, response.json()) == (200, {"ok": True} | more)


def test_a_probe_learns_which_model_it_runs_and_that_nobody_is_answered_without_a_token(running: Running) -> None:
    at = httpx.URL(running.url)
    told = answers(at.host, at.port or 80, PATH)
    assert told == {"ready": 200, "model": running.model, "bare": 401, "garbage": 401}


def test_past_its_expiry_it_recommends_nothing(home: Site) -> None:
    model = load(home.release, home.keys.public("producer"))
    verifier = Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    late = Service(model, verifier, clock=lambda: model.card.expires)
    with serving(application(late, PATH)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert "expired" in error(client.get(PATH, params={"user": "u001"}, headers=bearing(home)), 503)
        assert (client.get("/readyz").status_code, client.get("/healthz").status_code) == (503, 200)


def test_an_error_inside_shows_nothing_of_it(home: Site, capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(Verifier):
        def bearer(self, headers: object) -> Any:
            raise RuntimeError("secret of the inside")

    model = load(home.release, home.keys.public("producer"))
    broken = Service(model, Broken(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT))
    with serving(application(broken, PATH)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        response = client.get(PATH, params={"user": "u001"})
        assert error(response, 500) == "something went wrong here"
    assert capfd.readouterr().err.startswith(f"RuntimeError at {__file__}:")


@pytest.mark.parametrize(
    "path", ["", "/", "recommendations", "/a/", "/a//b", "/{user}", "/healthz", "/version", "/metrics", "/a/../b"]
)
def test_a_path_that_cannot_be_served(home: Site, path: str) -> None:
    model = load(home.release, home.keys.public("producer"))
    verifier = Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    with pytest.raises(PlanError, match="cannot be served"):
        application(Service(model, verifier), path)


def refusal(home: Site, *more: str, **changes: Path | None) -> str:
    """What the service says that ends with 3, one sentence, and no file that says it is ready."""
    code, text = home.refusal("--ready", str(home.home / "not-ready.json"), *more, **changes)
    assert (code, len(text.strip().splitlines())) == (3, 1), text
    assert text.startswith("refuses to start: ")
    assert not (home.home / "not-ready.json").exists()
    return str(text)


def test_it_does_not_start_on_an_altered_release(home: Site, folder: Path) -> None:
    shutil.copytree(home.release, folder)
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert "model.safetensors" in refusal(home, release=folder)


def test_it_does_not_start_without_a_signature(home: Site, folder: Path) -> None:
    shutil.copytree(home.release, folder)
    (folder / "model.sig").unlink()
    assert "model.sig" in refusal(home, release=folder)


def test_it_does_not_start_on_an_expired_card(home: Site, folder: Path) -> None:
    old = card(created=time.time() - 100, expires=time.time() - 1)
    write(folder, home.keys.signer("producer"), says=old)
    assert "expired" in refusal(home, release=folder)


def test_it_does_not_start_on_another_name_key_or_key_set(home: Site, tmp_path: Path) -> None:
    assert "not of 'other'" in refusal(home, "--name", "other")
    (tmp_path / "other.pub").write_bytes(home.keys.public("owner").pem)
    assert "not signed by the key" in refusal(home, key=tmp_path / "other.pub")
    assert "private key" in refusal(home, key=home.keys.path("producer"))
    (tmp_path / "empty.json").write_text('{"keys": []}')
    assert "no keys" in refusal(home, jwks=tmp_path / "empty.json")


def test_without_a_registry_it_says_so(home: Site) -> None:
    with home.serve("--registry", "UnsafeNone") as service:
        service.process.terminate()
        _, said = service.process.communicate(timeout=10)
    assert said == "UNSAFE: no registry is asked whether the release was revoked\n"
    told = ["--release", "r", "--key", "k", "--jwks", "j", "--issuer", "i", "--audience", "a", "--tenant", "t"]
    with pytest.raises(SystemExit):
        options([*told, "--path", PATH, "--ready", "f", "--registry", "chains", "--owner", "o"])


def test_it_does_not_start_without_a_limit(home: Site) -> None:
    assert "rate: found 0" in refusal(home, "--rate", "0")


def test_it_does_not_start_where_it_cannot_say_so(home: Site) -> None:
    assert "no folder" in refusal(home, "--ready", str(home.home / "absent" / "ready.json"))


def test_it_does_not_start_on_a_port_in_use(home: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "in use" in refusal(home, "--port", str(taken.getsockname()[1]))


def test_a_signal_ends_it_quietly(home: Site) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with home.serve() as service:
            with httpx.Client(base_url=service.url, trust_env=False) as client:
                assert client.get("/healthz").json() == {"ok": True}
                os.kill(service.pid, number)
                _, said = service.process.communicate(timeout=10)
            assert (service.process.returncode, said) == (0, "")
            assert service.log.read_text().count("\n") == 1


def test_the_unsafe_one_says_so(home: Site) -> None:
    now = int(time.time())
    old = bearing(home, iat=now - 900, nbf=now - 900, exp=now - 600)
    with home.serve("--unsafe-accept-expired") as service:
        with httpx.Client(base_url=service.url, trust_env=False) as client:
            assert client.get(PATH, params={"user": "u001"}, headers=old).status_code == 200
        service.process.terminate()
        _, said = service.process.communicate(timeout=10)
    assert said.startswith("UNSAFE: expired tokens are accepted")


def test_it_carries_nothing_of_the_pipeline() -> None:
    heavy = ["prefect", "tensorflow", "pandas", "presidio_analyzer", "evidently", "fairlearn", "model_signing"]
    ours = ["flows", "tasks", "configs", "deployments.lake"]
    modules = "deployments.serving.__main__, deployments.serving.app"
    code = f"import json, sys, {modules}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert "deployments.serving.load" in loaded
    assert set(loaded) & {*heavy, *ours} == set()
