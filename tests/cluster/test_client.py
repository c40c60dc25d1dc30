"""Our client against a server that refuses, is busy, lies, or is not who it says: a clear end, and nothing believed."""

import gzip
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.kubernetes import client as module
from deployments.kubernetes.client import Client
from deployments.kubernetes.config import Config
from deployments.kubernetes.errors import (
    Busy,
    ClusterError,
    Forbidden,
    Invalid,
    Missing,
    Moved,
    Odd,
    Unknown,
    Unreachable,
)
from deployments.kubernetes.kinds import path
from deployments.lake.certs import certificates
from security.errors import BadInput
from tests.cluster.conftest import World

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sluice"}}
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "sluice"}}


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with world.client() as made:
        made.apply(NAMESPACE)
        world.cluster.asked.clear()
        yield made


def test_who_is_not_known_or_has_no_right_is_told_so(world: World) -> None:
    world.cluster.users["r" * 24] = "reader"
    world.cluster.rights["reader"] = [{"verbs": ["get"], "apiGroups": [""], "resources": ["namespaces"]}]
    with world.client("x" * 24) as client, pytest.raises(Unknown, match="get Namespace/sluice: 401"):
        client.get("Namespace", "sluice")
    with world.client("r" * 24) as client:
        assert client.find("Namespace", "sluice") is None
        said = 'patch Namespace/sluice: 403: .*User "reader" cannot patch resource "namespaces"'
        for dry in (True, False):
            with pytest.raises(Forbidden, match=said):
                client.apply(NAMESPACE, dry=dry)
        with pytest.raises(Forbidden, match='cannot list resource "pods" .* in the namespace "sluice"'):
            client.list("Pod", "sluice")
    assert world.objects.held == {}


def test_a_right_to_change_is_none_to_make(world: World) -> None:
    world.cluster.rights["deployer"] = [{"verbs": ["patch"], "apiGroups": [""], "resources": ["namespaces"]}]
    with world.client() as client, pytest.raises(Forbidden, match="cannot create"):
        client.apply(NAMESPACE)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again_when_it_says(world: World, client: Client, status: int) -> None:
    world.cluster.faults += [("PATCH", status, {"Retry-After": "3"}), ("PATCH", status, {})]
    assert client.apply(ACCOUNT)["metadata"]["name"] == "a"
    assert world.paused == [3.0, 1.0]
    assert len(world.cluster.asked) == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_stays_busy_is_an_end(world: World, client: Client, status: int) -> None:
    world.cluster.faults += [("PATCH", status, {"Retry-After": "999999"})] * 9
    with pytest.raises(Busy, match=f"patch ServiceAccount/a: the server answers {status}: .*; asked 4 times"):
        client.apply(ACCOUNT)
    assert len(world.cluster.asked) == 4
    assert world.paused == [10.0] * 3
    world.cluster.faults.clear()
    assert client.find("ServiceAccount", "a", "sluice") is None


def test_a_connection_that_is_cut_in_the_middle_is_no_answer(world: World, client: Client) -> None:
    world.cluster.faults += [("GET", 0, {})]
    assert client.get("Namespace", "sluice")["metadata"]["name"] == "sluice"
    world.cluster.faults += [("GET", 0, {})] * 4
    with pytest.raises(Unreachable, match=r"get Namespace/sluice: no answer of .* \(.*\); asked 4 times"):
        client.get("Namespace", "sluice")


def test_nobody_there_is_an_end(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    config = Config(f"https://127.0.0.1:{port}", world.cluster.authority, "", token="t")
    with Client(config, sleep=lambda _: None) as client, pytest.raises(Unreachable, match="asked 4 times"):
        client.get("Namespace", "sluice")


def test_a_server_with_a_certificate_of_another_ca_is_not_spoken_to(world: World, tmp_path: Path) -> None:
    certificates(tmp_path / "other")
    config = Config(world.cluster.url, (tmp_path / "other" / "ca.pem").read_text(), "", token="t" * 24)
    with Client(config, sleep=lambda _: None) as client, pytest.raises(Unreachable, match="ConnectError"):
        client.get("Namespace", "sluice")
    assert world.cluster.asked == []
    with pytest.raises(BadInput, match="no certificate"):
        Client(Config(world.cluster.url, "-----BEGIN CERTIFICATE-----\nx\n", "", token="t"))


def test_proxies_of_the_environment_are_not_used(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Client(client.config) as other:
        assert other.get("Namespace", "sluice")


class Liar:
    """A server over TLS that says the same whatever it is asked."""

    def __init__(self, folder: Path, data: bytes, status: int = 200, **headers: str) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(data)

            do_PATCH = do_POST = do_GET  # noqa: N815 - as the library calls them

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates(folder))
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        authority = (folder / "ca.pem").read_text()
        self.config = Config(f"https://127.0.0.1:{self.http.server_port}", authority, "", token="t")

    def __enter__(self) -> Client:
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.client = Client(self.config, sleep=lambda _: None)
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.__exit__(None, None, None)
        self.http.shutdown()
        self.http.server_close()


FOUND = b'{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sluice"}}'


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no object in JSON"),
        (b"yes", "no object in JSON"),
        (b"[]", "no object in JSON"),
        (b"{}", "of another kind"),
        (b'{"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}', "of another kind"),
        (FOUND.replace(b"sluice", b"other"), "of another object"),
        (FOUND.replace(b"Namespace", b"Node"), "of another kind"),
        (FOUND.replace(b'"v1"', b'"v2"'), "of another kind"),
    ],
)
def test_an_answer_of_something_else_is_none(tmp_path: Path, data: bytes, said: str) -> None:
    with Liar(tmp_path, data) as client:
        for ask in (lambda: client.get("Namespace", "sluice"), lambda: client.apply(NAMESPACE, dry=True)):
            with pytest.raises(Odd, match=said):
                ask()


def test_a_server_that_says_yes_to_everything_is_not_believed(tmp_path: Path) -> None:
    data = b'{"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {}, "items": [{}]}'
    with Liar(tmp_path, data) as client:
        with pytest.raises(Odd, match="another kind|another object"):
            client.list("Deployment", "sluice")
        with pytest.raises(Odd, match="no PodList"):
            client.list("Pod", "sluice")


def test_a_redirect_is_not_followed(tmp_path: Path, world: World) -> None:
    there = f"{world.cluster.url}/api/v1/namespaces/sluice"
    with Liar(tmp_path, b"{}", 307, Location=there) as client, pytest.raises(Odd, match="sent elsewhere"):
        client.get("Namespace", "sluice")
    assert world.cluster.asked == []


def test_an_answer_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1000)
    with Liar(tmp_path, FOUND + b" " * 2000) as client, pytest.raises(Odd, match="no end; allowed: 1,000 bytes"):
        client.get("Namespace", "sluice")
    endless = b'{"kind": "PodList", "apiVersion": "v1", "items": [], "metadata": {"continue": "a"}}'
    with Liar(tmp_path, endless) as client, pytest.raises(Odd, match="the list has no end"):
        client.list("Pod", "sluice")


def test_an_answer_in_another_coding_is_none(tmp_path: Path) -> None:
    packed = gzip.compress(FOUND)
    with Liar(tmp_path, packed, Content_Encoding="gzip") as client, pytest.raises(Odd, match="a coding that was not"):
        client.get("Namespace", "sluice")


def test_warnings_are_kept_once(tmp_path: Path) -> None:
    with Liar(tmp_path, FOUND, Warning='299 - "it is \\"old\\"", 299 - "two\x01"') as client:
        for _ in range(2):
            client.get("Namespace", "sluice")
        assert client.warnings == ['it is \\"old\\"', "two"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Invalid), (401, Unknown), (403, Forbidden), (404, Missing), (409, Moved), (422, Invalid), (418, Invalid)],
)
def test_each_refusal_is_an_error_of_its_own(tmp_path: Path, status: int, error: type[ClusterError]) -> None:
    for data in (b"<html>no</html>", b'{"message": "a\\nb\\u0000c' + b"x" * 9000 + b'"}'):
        with Liar(tmp_path, data, status) as client, pytest.raises(error) as why:
            client.get("Namespace", "sluice")
        assert type(why.value) is error
        assert "\n" not in str(why.value)
        assert len(str(why.value)) < 600


@pytest.mark.parametrize(
    ("kind", "namespace"), [("Secret", "a"), ("Namespace", "a"), ("Pod", ""), ("CustomResourceDefinition", "")]
)
def test_a_kind_that_is_not_known_is_not_asked_for(kind: str, namespace: str) -> None:
    with pytest.raises(Odd):
        path(kind, namespace, "x")


def test_the_server_knows_nothing_that_it_does_not_know(world: World, client: Client) -> None:
    """The double itself: whatever it has not learned is refused."""
    tried: list[tuple[str, str, dict[str, str], Any, str]] = [
        ("GET", "/apis/extensions/v1beta1/namespaces/sluice/ingresses", {}, None, "404"),
        ("GET", "/api/v1/namespaces/sluice/secrets", {}, None, "404"),
        ("GET", "/metrics", {}, None, "404"),
        ("POST", "/api", {}, {}, "404"),
        ("GET", "/api/v1/namespaces/sluice/pods", {"fieldSelector": "status.phase=Running"}, None, "422"),
        ("GET", "/api/v1/namespaces/sluice/pods", {"pretty": "yes"}, None, "400"),
        ("PATCH", "/api/v1/namespaces/sluice/serviceaccounts/a", {"fieldManager": "x"}, ACCOUNT, "415"),
        ("PUT", "/api/v1/namespaces/sluice/serviceaccounts/a", {}, ACCOUNT, "404"),
        ("PUT", "/api/v1/namespaces/sluice/serviceaccounts/b", {}, ACCOUNT, "400"),
        ("POST", "/api/v1/namespaces/sluice/serviceaccounts", {"dryRun": "Some"}, ACCOUNT, "400"),
        ("POST", "/api/v1/namespaces/sluice/serviceaccounts", {"fieldValidation": "Ignore"}, ACCOUNT, "400"),
        ("POST", "/api/v1/namespaces/sluice/serviceaccounts", {}, {**ACCOUNT, "extra": 1}, "unknown field"),
        ("POST", "/api/v1/namespaces/sluice/pods", {}, ACCOUNT, "400"),
        ("DELETE", "/api/v1/namespaces/sluice/serviceaccounts/a", {}, None, "404"),
    ]
    before = dict(world.objects.held)
    for method, at, asked, body, said in tried:
        with pytest.raises(ClusterError, match=said):
            client._send(method, at, at, asked, body)
    assert world.objects.held == before
