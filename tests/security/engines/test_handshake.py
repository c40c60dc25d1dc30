"""Offers against servers that take them up or not, and proof that a client which verifies nothing is noticed."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deployments.lake.certs import certificates
from security.engines import handshake, s3
from security.engines.handshake import CLOSED, LOWER, VERSIONS, offer, other_authority, other_name, tried
from security.engines.s3 import Credentials, Endpoint
from security.engines.settings import Whose
from security.errors import CannotTell

Keys = Callable[[str], Credentials]
Spoken = ssl.TLSVersion
ALL = [Spoken.TLSv1, Spoken.TLSv1_1, Spoken.TLSv1_2, Spoken.TLSv1_3]


@contextmanager
def listening(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """A port of 127.0.0.1 on which each connection is answered by this, and then closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    plain, _ = server.accept()
                except OSError:
                    return
                with plain:
                    try:
                        answer(plain)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def speaking(state: Path, lowest: Spoken, highest: Spoken) -> Callable[[socket.socket], object]:
    """A server's end of TLS, of these versions."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates(state))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version, context.minimum_version = highest, lowest

    def answer(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as tls:
            tls.recv(1)

    return answer


@pytest.mark.parametrize("lowest", range(4))
@pytest.mark.parametrize("highest", range(4))
def test_what_a_server_speaks_is_taken_up_and_nothing_else(tmp_path: Path, lowest: int, highest: int) -> None:
    if lowest > highest:
        lowest, highest = highest, lowest
    with listening(speaking(tmp_path, ALL[lowest], ALL[highest])) as port:
        told = [tried("127.0.0.1", port, version) for version in VERSIONS.values()]
    assert [each["taken"] for each in told] == [lowest <= place <= highest for place in range(4)]
    assert {each["alert"] for each in told if not each["taken"]} <= {40, 70, LOWER}


def test_the_lake_takes_up_only_what_is_current(endpoint: Endpoint) -> None:
    port = int(endpoint.url.rpartition(":")[2])
    told = {name: tried("127.0.0.1", port, version) for name, version in VERSIONS.items()}
    assert {name for name, each in told.items() if each["taken"]} == {"tls_1_2", "tls_1_3"}
    assert told["tls_1_0"] == told["tls_1_1"] == {"taken": False, "alert": 70}


def test_an_offer_names_its_server_and_one_version_alone() -> None:
    for version in VERSIONS.values():
        assert b"s3.example" in offer("s3.example", version)
        assert b"127.0.0.1" not in offer("127.0.0.1", version)
    (taken,) = (name for name, version in VERSIONS.items() if b"\x00\x2b\x00\x03\x02" in offer("s3.example", version))
    assert taken == "tls_1_3"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", {"taken": False, "alert": CLOSED}),
        (b"\x15\x03", {"taken": False, "alert": CLOSED}),
        (b"\x15\x03\x01\x00\x02\x02\x46", {"taken": False, "alert": 70}),
        (b"\x15\x03\x01\x00\x02\x01\x70\x15\x03\x01\x00\x02\x02\x28", {"taken": False, "alert": 40}),
        (b"\x15\x03\x01\x00\x02\x01\x70\x16\x03\x01\x00\x06\x02\x00\x00\x00\x03\x01", {"taken": True}),
        (b"\x16\x03\x00\x00\x06\x02\x00\x00\x00\x03\x00", {"taken": False, "alert": LOWER}),
        (b"\x15\x03\x01\x00\x02\x01\x00", {"taken": False, "alert": CLOSED}),
    ],
)
def test_what_is_answered(answer: bytes, told: dict[str, Any]) -> None:
    with listening(lambda plain: (plain.recv(4096), plain.sendall(answer))) as port:
        assert tried("127.0.0.1", port, 0x0301) == told


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x16\x03\x01\x00\x04\x0b\x00\x00\x00",
        b"\x15\x03\x01\x00\x03\x02\x46\x00",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
    ],
)
def test_what_is_no_tls_is_no_answer(answer: bytes) -> None:
    with (
        listening(lambda plain: (plain.recv(4096), plain.sendall(answer))) as port,
        pytest.raises(CannotTell, match="does not speak TLS"),
    ):
        tried("127.0.0.1", port, 0x0301)


def test_silence_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "CONNECT", 0.2)
    with listening(lambda plain: (plain.recv(4096), plain.recv(1))) as port, pytest.raises(TimeoutError):
        tried("127.0.0.1", port, 0x0301)


def whose(endpoint: Endpoint) -> Whose:
    return Whose(Bucket="good", ExpectedBucketOwner=endpoint.account)


def test_another_authority_is_not_believed(endpoint: Endpoint, keys: Keys) -> None:
    assert other_authority(endpoint, keys("pipeline"), whose(endpoint)) == {"taken": False}


def test_a_client_that_verifies_nothing_is_noticed(
    endpoint: Endpoint, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(given: Endpoint, own: Credentials, *, attempts: int) -> Any:
        assert given.ca != endpoint.ca
        return s3.client(endpoint, own, attempts=attempts)

    monkeypatch.setattr(handshake, "client", careless)
    assert other_authority(endpoint, keys("pipeline"), whose(endpoint)) == {"taken": True}


def test_a_handshake_that_broke_for_another_reason_proves_nothing(
    tmp_path: Path, endpoint: Endpoint, keys: Keys
) -> None:
    from botocore.exceptions import SSLError

    def shut(plain: socket.socket) -> None:
        plain.recv(4096)
        plain.sendall(b"\x15\x03\x01\x00\x02\x02\x28")

    with listening(shut) as port:
        elsewhere = endpoint.model_copy(update={"url": f"https://127.0.0.1:{port}"})
        with pytest.raises(SSLError):
            other_authority(elsewhere, keys("pipeline"), whose(endpoint))
        with pytest.raises(CannotTell, match="before a name was verified"):
            other_name("127.0.0.1", port, ssl.create_default_context(cafile=endpoint.ca))


def test_another_name_is_not_believed(endpoint: Endpoint) -> None:
    port = int(endpoint.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=endpoint.ca)
    assert other_name("127.0.0.1", port, context) == {"taken": False}
    context.check_hostname = False
    assert other_name("127.0.0.1", port, context) == {"taken": True}


def test_a_chain_that_is_not_believed_proves_nothing_about_names(endpoint: Endpoint) -> None:
    port = int(endpoint.url.rpartition(":")[2])
    with pytest.raises(CannotTell, match="SSLCertVerificationError"):
        other_name("127.0.0.1", port, ssl.create_default_context())


def test_a_server_that_refuses_the_name_is_asked_without_one(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates(tmp_path))
    names: list[str | None] = []

    def choosy(tls: Any, name: str | None, _: Any) -> int | None:
        names.append(name)
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if name else None

    context.sni_callback = choosy

    def answer(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True):
            pass

    with listening(answer) as port:
        told = other_name("127.0.0.1", port, ssl.create_default_context(cafile=str(tmp_path / "ca.pem")))
    assert told == {"taken": False}
    assert names == ["sluice.invalid", None]


def test_an_authority_is_made_each_time() -> None:
    assert handshake._authority() != handshake._authority()
    assert json.dumps(sorted(VERSIONS.values())) == "[769, 770, 771, 772]"
