"""For the tests of what asks, fetches and judges: an embedded lake with a bucket as it should be and a public copy; and
a machine without a network."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from moto import mock_aws

from deployments.lake.server import Lake
from security.engines.s3 import Credentials, Endpoint, deaf

Keys = Callable[[str], Credentials]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake in this process: buckets `good` and `open`, each with p/0, p/1 and p/2."""
    with Lake(tmp_path_factory.mktemp("lake") / "state") as running:
        running.make_bucket("good")
        for number in range(3):
            running.publish("good", f"p/{number}", b"x" * (number + 1))
        running.copy_public("good", "open")
        yield running


@pytest.fixture(scope="module")
def endpoint(embedded: Lake) -> Endpoint:
    """Where the lake is."""
    principal = f"arn:aws:iam::{embedded.account}:user/pipeline"
    return Endpoint(
        url=embedded.endpoint,
        region=embedded.region,
        account=embedded.account,
        ca=str(embedded.ca),
        principal=principal,
    )


@pytest.fixture(scope="module")
def keys(embedded: Lake) -> Keys:
    """The credentials of a principal by its name."""
    written = json.loads((embedded.state / "credentials.json").read_text())
    return lambda who: Credentials(written[who]["access"], written[who]["secret"])


@pytest.fixture
def moto() -> Iterator[None]:
    """Every client of a new session is answered by moto, which knows accounts by the name of the host."""
    deaf.cache_clear()
    with mock_aws():
        yield
    deaf.cache_clear()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a socket, or asks for a name, breaks the test."""

    def no(*_: Any, **__: Any) -> Any:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no)
    monkeypatch.setattr(socket, "getaddrinfo", no)
