"""A certificate authority for one machine and one purpose."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deployments.lake.state import write

LIFE = timedelta(days=365)
RENEW = timedelta(days=1)
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def certificates(state: Path) -> Path:
    """The PEM file of the server's certificate and key; its CA's certificate is `state/ca.pem`.

    Both are made once and again within a day of their end, or when they do not belong together. The CA's key is thrown
    away, so nothing else can ever be signed with it. The names are `localhost` and 127.0.0.1 (RFC 5280 profile, good
    for OpenSSL's strict checks).
    """
    authority, server = state / "ca.pem", state / "server.pem"
    if not _usable(authority, server):
        ca, chain = _issue(datetime.now(UTC))
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(authority, ca, 0o644)
        write(server, chain, 0o600)
    return server


def _usable(authority: Path, server: Path) -> bool:
    try:
        ca = x509.load_pem_x509_certificate(authority.read_bytes())
        leaf = x509.load_pem_x509_certificate(server.read_bytes())
        leaf.verify_directly_issued_by(ca)
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature):
        return False
    return min(ca.not_valid_after_utc, leaf.not_valid_after_utc) > datetime.now(UTC) + RENEW


def _issue(now: datetime) -> tuple[bytes, bytes]:
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, leaf_name = _name("embedded lake CA"), _name("localhost")
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())

    def sign(subject: x509.Name, public: ec.EllipticCurvePublicKey, *parts: tuple[x509.ExtensionType, bool]) -> bytes:
        builder = x509.CertificateBuilder(
            ca_name, subject, public, x509.random_serial_number(), now - timedelta(hours=1), now + LIFE
        )
        for extension, critical in parts:
            builder = builder.add_extension(extension, critical)
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    ca = sign(
        ca_name,
        ca_key.public_key(),
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (identifier, False),
        (_usage("key_cert_sign"), True),
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = sign(
        leaf_name,
        key.public_key(),
        (names, False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage("digital_signature"), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ca, leaf + private


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(only: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage == only for usage in USAGES})
