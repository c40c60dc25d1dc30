"""Registries in which the producer may do what it must not, and one that is down, for runs whose policy names one."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from security.models import chain
from tests.attacks.attacker import Ground
from tests.attacks.table import AFTER, Attack
from tests.security.gates.doubled import LOGIN, listening

GATE = r"\[registry_authorization\] "
Patch = Callable[[pytest.MonkeyPatch, Ground], None]


def free() -> int:
    """A port that nobody listens on: the policy names it before anybody does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def lets(port: int, *acts: str, **ways: Any) -> Patch:
    """A registry that grants its user more than it should; the login is in the variable that the policy names."""

    def patch(patch: pytest.MonkeyPatch, at: Ground) -> None:
        patch.setenv("SLUICE_PUSHES", f"{LOGIN.user}:{LOGIN.password}")
        at.ends.enter_context(listening("attacked", port=port, lets=acts, **ways))

    return patch


def forged(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """Readers that take the producer's word for what goes into production."""
    patch.setitem(chain.MAY, "production", ("verifier", "producer"))


def _asked(says: str, *acts: str, running: bool = True, **ways: Any) -> Attack:
    port = free()
    named = {"registry": f"127.0.0.1:{port}/models", "scheme": "UnsafeHttp", "credentials": "env:SLUICE_PUSHES"}
    patch = lets(port, *acts, **ways) if running else lets(free())
    return Attack("deploy", GATE + says, changes={"registry_authorization": named}, patch=patch)


REGISTRIES = {
    "producer-moves-production": _asked("fail: RA-PRODUCTION production: .* was granted", "production", asks="bearer"),
    "producer-overwrites-and-deletes": _asked(
        "fail: RA-OVERWRITE overwrite: .*; RA-DELETE untag: .*; RA-DELETE erase", "overwrite", "untag", "erase"
    ),
    "registry-that-does-what-it-refuses": _asked("fail: RA-KEPT approved: .* and it was done", lies=["approved"]),
    "registry-that-is-down": _asked("inconclusive: place: the registry cannot be reached", running=False),
    "readers-that-believe-the-producer": Attack(
        "deploy", f"{GATE}fail: RA-PRODUCTION production: .* is believed", parameters=AFTER, patch=forged
    ),
}
