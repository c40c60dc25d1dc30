"""A kubeconfig is read strictly: what is not followed is refused, and what opens something is not shown."""

import base64
import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deployments.kubernetes.config import read
from deployments.lake.certs import certificates
from security.errors import BadInput

TOKEN = "".join(chr(ord("a") + n % 26) for n in range(40))
Told = dict[str, Any]


def pair() -> tuple[str, str]:
    """A certificate of one's own, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "deployer")])
    about = (name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
    made = x509.CertificateBuilder(*about).sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    certificates(tmp_path)
    return tmp_path


def given(folder: Path) -> Told:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "one", "preferences": {},
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority": "ca.pem"}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}, {"name": "other", "user": {"exec": {"command": "x"}}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "sluice"}},
                     {"name": "two", "context": {"cluster": "c", "user": "other"}}],
    }  # fmt: skip


def written(folder: Path, told: Told) -> Path:
    path = folder / "kubeconfig"
    path.write_text(json.dumps(told))
    return path


def test_a_config_is_read(folder: Path) -> None:
    made = read(written(folder, given(folder)))
    assert (made.server, made.namespace, made.token) == ("https://127.0.0.1:6443", "sluice", TOKEN)
    assert made.authority == (folder / "ca.pem").read_text()
    assert TOKEN not in repr(made)
    context = made.tls()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


def test_certificates_are_data_or_files(folder: Path) -> None:
    told = given(folder)
    certificate, key = pair()
    (folder / "user.pem").write_text(certificate)
    (folder / "user.key").write_text(key)
    for user in (
        {"client-certificate": "user.pem", "client-key": "user.key"},
        {"client-certificate-data": data(certificate), "client-key-data": data(key)},
    ):
        told["users"][0]["user"] = user
        told["clusters"][0]["cluster"]["certificate-authority"] = str(folder / "ca.pem")
        made = read(written(folder, told))
        assert (made.certificate, made.key, made.token) == (certificate, key, "")
        assert made.tls()
        assert key not in repr(made)
    told["users"][0]["user"] = {"client-certificate-data": data(certificate), "client-key-data": data(pair()[1])}
    with pytest.raises(BadInput, match="no certificate or key"):
        read(written(folder, told)).tls()


def test_a_token_is_in_a_file(folder: Path) -> None:
    (folder / "token").write_text(f"{TOKEN}\n")
    told = given(folder)
    told["users"][0]["user"] = {"tokenFile": "token"}
    assert read(written(folder, told)).token == TOKEN


def _cluster(**more: Any) -> Callable[[Told], None]:
    return lambda told: told["clusters"][0]["cluster"].update(more)


def _user(**more: Any) -> Callable[[Told], None]:
    return lambda told: told["users"][0]["user"].update({key.replace("_", "-"): each for key, each in more.items()})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_cluster(**{"insecure-skip-tls-verify": True}), "insecure-skip-tls-verify"),
        (_cluster(**{"proxy-url": "http://127.0.0.1:1"}), "proxy-url"),
        (_cluster(**{"tls-server-name": "other"}), "tls-server-name"),
        (_cluster(server="http://127.0.0.1:1"), "found http address"),
        (_cluster(server="https://user@127.0.0.1"), "https://HOST"),
        (_cluster(server="127.0.0.1:6443"), "https://HOST"),
        (_cluster(server=""), "server"),
        (_cluster(**{"certificate-authority": ""}), "no certificate-authority"),
        (_cluster(**{"certificate-authority": "nowhere.pem"}), "cannot be read"),
        (_cluster(**{"certificate-authority-data": "AAAA"}), "data and a file"),
        (_cluster(**{"certificate-authority": "", "certificate-authority-data": "!"}), "no PEM"),
        (lambda told: told["users"][0].update(user={"exec": {"command": "get-token"}}), "exec"),
        (lambda told: told["users"][0].update(user={"auth-provider": {"name": "gcp"}}), "auth-provider"),
        (lambda told: told["users"][0].update(user={"username": "a", "pass" + "word": "b"}), "word"),
        (lambda told: told["users"][0].update(user={}), "none or several"),
        (_user(**{"as": "admin"}), "as"),
        (_user(client_certificate="ca.pem", client_key="ca.pem"), "none or several"),
        (_user(client_certificate="ca.pem"), "none or several"),
        (_user(tokenFile="ca.pem"), "two tokens"),
        (_user(token="a\nb"), "no header"),
        (lambda told: told.update({"current-context": "three"}), "0 entries"),
        (lambda told: told.update({"current-context": ""}), "current-context"),
        (lambda told: told["clusters"].append(told["clusters"][0]), "2 entries"),
        (lambda told: told["contexts"][0]["context"].update(cluster="d"), "0 entries"),
        (lambda told: told.update(kind="Pod"), "kind Config"),
        (lambda told: told.update(clusters=None), "0 entries"),
    ],
)  # fmt: skip
def test_what_is_not_followed_is_refused(folder: Path, change: Callable[[Told], None], said: str) -> None:
    told = given(folder)
    change(told)
    with pytest.raises(BadInput, match=said) as why:
        read(written(folder, told))
    assert TOKEN not in str(why.value)


def test_another_context_is_one_that_is_named(folder: Path) -> None:
    with pytest.raises(BadInput, match="exec"):
        read(written(folder, given(folder)), "two")


@pytest.mark.parametrize("text", ["", "a: &x 1\nb: *x", "kind: [", "\xff", "kind: Config\n---\nkind: Config"])
def test_what_is_no_config_is_refused(folder: Path, text: str) -> None:
    path = folder / "kubeconfig"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput):
        read(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read(folder / "nowhere")
