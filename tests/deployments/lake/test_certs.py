"""The certificates: kept while they are good, made again when they are not, and nothing else can be signed."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from deployments.lake import certs
from deployments.lake.certs import certificates


def test_made_once(tmp_path: Path) -> None:
    server = certificates(tmp_path)
    first = server.read_bytes(), (tmp_path / "ca.pem").read_bytes()
    assert certificates(tmp_path) == server
    assert (server.read_bytes(), (tmp_path / "ca.pem").read_bytes()) == first
    assert stat.S_IMODE(server.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "server.pem"]


def test_profile(tmp_path: Path) -> None:
    server = certificates(tmp_path)
    ca, leaf = x509.load_pem_x509_certificates((tmp_path / "ca.pem").read_bytes() + server.read_bytes())
    leaf.verify_directly_issued_by(ca)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_key_of_the_authority_is_gone(tmp_path: Path) -> None:
    server = certificates(tmp_path)
    key = serialization.load_pem_private_key(server.read_bytes(), None)
    ca, leaf = x509.load_pem_x509_certificates((tmp_path / "ca.pem").read_bytes() + server.read_bytes())
    assert key.public_key() == leaf.public_key() != ca.public_key()
    assert (tmp_path / "ca.pem").read_bytes().count(b"PRIVATE KEY") == 0
    assert server.read_bytes().count(b"BEGIN PRIVATE KEY") == 1


@pytest.mark.parametrize("damage", ["absent", "garbage", "of another"])
def test_made_again_when_they_do_not_belong_together(tmp_path: Path, damage: str) -> None:
    server, authority = certificates(tmp_path), tmp_path / "ca.pem"
    before = server.read_bytes()
    if damage == "absent":
        authority.unlink()
    elif damage == "garbage":
        authority.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    else:
        certificates(tmp_path / "other")
        authority.write_bytes((tmp_path / "other" / "ca.pem").read_bytes())
    certificates(tmp_path)
    assert server.read_bytes() != before
    x509.load_pem_x509_certificate(server.read_bytes()).verify_directly_issued_by(
        x509.load_pem_x509_certificate(authority.read_bytes())
    )


def test_made_again_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "LIFE", timedelta(hours=23))
    server = certificates(tmp_path)
    before = server.read_bytes()
    monkeypatch.undo()
    certificates(tmp_path)
    assert server.read_bytes() != before
    left = x509.load_pem_x509_certificate(server.read_bytes()).not_valid_after_utc - datetime.now(UTC)
    assert left > timedelta(days=360)
