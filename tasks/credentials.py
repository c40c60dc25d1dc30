"""The producer's credentials in a registry, where a policy says that they are. They are in no plan, log or fact."""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from security.engines.login import Login
from security.errors import KeyBroken

MOST = 1 << 20
"""Bytes of a file."""


def login(reference: str, address: str) -> Login | None:
    """The name and password that a reference has for a registry (HOST[:PORT][/PATH]); None where it has none.

    `auths`: the file that skopeo and docker log in by (`REGISTRY_AUTH_FILE`, then containers' `auth.json`, then
    docker's `config.json`), by its longest entry for the address; `env:NAME`, `file:PATH`: USER:PASSWORD. `KeyBroken`
    where what is there is no login.
    """
    kind, _, where = reference.partition(":")
    if kind == "auths":
        return next((found for path in _files() if (found := _saved(path, address))), None)
    try:
        told = os.environ.get(where, "") if kind == "env" else Path(where).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        told = ""
    return _login(told.strip(), reference)


def _files() -> Iterator[Path]:
    """Where skopeo looks, in its order; a file that is named is the only one."""
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
        return
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers", "auth.json")
    yield Path.home() / ".config" / "containers" / "auth.json"
    yield Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker", "config.json")


def _saved(path: Path, address: str) -> Login | None:
    try:
        if not path.is_file():
            return None
        told: Any = json.loads(path.read_bytes()[:MOST])
        auths, helpers = told.get("auths", {}), told.get("credHelpers", {})
        parts = address.split("/")
        spelled = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        saved = next((auths[each] for each in spelled if auths.get(each)), None)
        if saved is None:
            if told.get("credsStore") or parts[0] in helpers:
                raise KeyBroken(f"{path.name}: a program keeps the login of {parts[0]}; allowed: `auth` in the file")
            return None
        return _login(base64.b64decode(_auth(saved), validate=True).decode(), path.name)
    except (OSError, ValueError, AttributeError, TypeError) as why:
        raise KeyBroken(f"{path.name}: no file of logins ({type(why).__name__})") from None


def _auth(saved: Mapping[str, Any]) -> str:
    return str(saved.get("auth", ""))


def _login(told: str, where: str) -> Login:
    user, _, password = told.partition(":")
    if not user or not password or not told.isprintable():
        raise KeyBroken(f"{where}: found no login; allowed: USER:PASSWORD")
    return Login(user, password)
