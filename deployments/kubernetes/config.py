"""Which cluster, and as whom: a kubeconfig, read strictly.

Only what is understood is followed. A server without TLS or without a CA, one whose certificate is not verified, a
program that is run for a token, a proxy, a password, another identity than the credentials' own: each is refused with
one sentence. The credentials are never shown.
"""

import base64
import binascii
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from security.errors import BadInput, CannotTell
from security.manifests import documents

MOST = 1 << 20
"""Bytes of a file that is named."""
CLUSTER = frozenset({"server", "certificate-authority", "certificate-authority-data", "extensions"})
USER = frozenset(
    {
        "token", "tokenFile", "client-certificate", "client-certificate-data", "client-key", "client-key-data",
        "extensions",
    }
)  # fmt: skip
CONTEXT = frozenset({"cluster", "user", "namespace", "extensions"})


@dataclass(frozen=True, slots=True)
class Config:
    """A server (https://HOST[:PORT]), its CA, and a token or a client's certificate with its key (PEM)."""

    server: str
    authority: str
    namespace: str
    token: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)

    def tls(self) -> ssl.SSLContext:
        """What a connection is verified by: this CA and no other. `BadInput` for a CA, certificate or key that is
        none."""
        try:
            made = ssl.create_default_context(cadata=self.authority)
            if self.certificate:
                with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # the library reads no other way
                    file.write(f"{self.certificate.rstrip()}\n{self.key}")
                    file.flush()
                    made.load_cert_chain(file.name)
        except (ssl.SSLError, ValueError):
            raise BadInput("kubeconfig", "certificates", "what is no certificate or key", "PEM") from None
        return made


def read(path: Path, context: str = "") -> Config:
    """The config of a context, or of the current one. `BadInput` names the file and the key."""
    told = _document(path)
    name = context or _text(path, told, "current-context")
    chosen = _entry(path, told, "contexts", "context", name, CONTEXT)
    cluster = _entry(path, told, "clusters", "cluster", _text(path, chosen, "cluster"), CLUSTER)
    user = _entry(path, told, "users", "user", _text(path, chosen, "user"), USER)
    authority = _given(path, cluster, "certificate-authority")
    token, certificate = _token(path, user), _given(path, user, "client-certificate")
    key = _given(path, user, "client-key")
    if not authority:
        raise BadInput(str(path), "cluster", "no certificate-authority", "the CA that the server is verified by")
    if bool(certificate) != bool(key) or bool(token) == bool(certificate):
        raise BadInput(str(path), "user", "none or several ways to be known", "a token, or a certificate and its key")
    return Config(_server(path, cluster), authority, str(chosen.get("namespace") or ""), token, certificate, key)


def _document(path: Path) -> dict[str, Any]:
    try:
        found = list(documents([(path.name, _bytes(path, "file"))]))
    except CannotTell as why:
        raise BadInput(str(path), "file", str(why), "a kubeconfig") from None
    told = found[0][1]
    if len(found) > 1 or told.get("kind") != "Config" or told.get("apiVersion") != "v1":
        raise BadInput(str(path), "kind", "another document", "one, of kind Config and apiVersion v1")
    return told


def _bytes(path: Path, key: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as why:
        raise BadInput(str(path), key, f"a file that cannot be read ({type(why).__name__})", "a file") from None
    if not data or len(data) > MOST:
        raise BadInput(str(path), key, "an empty file, or one without end", f"1 to {MOST:,} bytes")
    return data


def _text(path: Path, told: dict[str, Any], key: str) -> str:
    found = told.get(key)
    if not isinstance(found, str) or not found:
        raise BadInput(str(path), key, "nothing", "a name")
    return found


def _entry(path: Path, told: dict[str, Any], many: str, one: str, name: str, known: frozenset[str]) -> dict[str, Any]:
    """The entry of that name, which must be there once and say nothing that is not followed."""
    listed = told.get(many)
    found = [each for each in listed if isinstance(each, dict) and each.get("name") == name] if listed else []
    if len(found) != 1 or not isinstance(found[0].get(one), dict):
        raise BadInput(str(path), f"{many}, {name}", f"{len(found)} entries", "one, with its values")
    entry: dict[str, Any] = {key: each for key, each in found[0][one].items() if each not in (None, "", False)}
    if strange := sorted(entry.keys() - known):
        raise BadInput(str(path), f"{many}, {name}, {strange[0]}", "what is not followed", ", ".join(sorted(known)))
    return entry


def _server(path: Path, cluster: dict[str, Any]) -> str:
    server = _text(path, cluster, "server")
    parts = urlsplit(server)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise BadInput(str(path), "server", f"{parts.scheme or 'no'} address", "https://HOST[:PORT]")
    return server.rstrip("/")


def _given(path: Path, told: dict[str, Any], key: str) -> str:
    """What is given as data, or in a file that is named from where the kubeconfig lies; empty for neither."""
    data, named = told.get(f"{key}-data"), told.get(key)
    if data and named:
        raise BadInput(str(path), key, "data and a file", "one of them")
    try:
        if data:
            return base64.b64decode(str(data), validate=True).decode("ascii")
        return _bytes(path.parent / str(named), key).decode("ascii") if named else ""
    except (binascii.Error, UnicodeDecodeError):
        raise BadInput(str(path), key, "what is no PEM", "PEM, as data in base64") from None


def _token(path: Path, user: dict[str, Any]) -> str:
    if user.get("token") and user.get("tokenFile"):
        raise BadInput(str(path), "token", "two tokens", "one")
    named = user.get("tokenFile")
    token = _bytes(path.parent / str(named), "tokenFile").decode("latin-1") if named else str(user.get("token") or "")
    token = token.strip()
    if not all("!" <= sign <= "~" for sign in token):
        raise BadInput(str(path), "token", "signs that no header may have", "printable ASCII")
    return token
