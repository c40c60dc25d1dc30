"""Signatures of SSH keys: those in `ssh/` were made by OpenSSH 9.2's `ssh-keygen -Y sign -n git` over `MESSAGE`."""

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from security.engines.signers import Signers
from security.engines.sshsig import BEGIN, END, MAGIC, read, string, verify
from security.errors import BadInput, KeyBroken

FILES = Path(__file__).parent / "ssh"
MESSAGE = b"a message\nof two lines"
KEYS = {
    "ed25519": "SHA256:x8Pwj4KpTI5urrWXwn3bckIaMmmlGprQ8d+glB9TbjE",
    "ecdsab256": "SHA256:sBV4p4FWcANqzsZY/JmPTH/kXynUTsrPg7XSJP55uYc",
    "ecdsab384": "SHA256:ae8SJBmFLCuA1myMHeBvOMg4A1jG3cUEMfVLJ5rOeNU",
    "ecdsab521": "SHA256:H0klQKAMW8GqXgFnDFix5N87csiX8LTl12BGkvv8ZNo",
    "rsab3072": "SHA256:zA5lidrkmQbMi8uH9vWWj4XXcB9Iydf/2iCVpjZs0Vc",
    "sha256": "SHA256:x8Pwj4KpTI5urrWXwn3bckIaMmmlGprQ8d+glB9TbjE",
}
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def signature(name: str) -> str:
    return (FILES / f"{name}.sig").read_text()


def armoured(data: bytes) -> str:
    return f"{BEGIN}\n{base64.encodebytes(data).decode()}{END}\n"


@pytest.mark.parametrize(("name", "expected"), KEYS.items())
def test_what_openssh_signed_holds(name: str, expected: str) -> None:
    assert verify(signature(name), MESSAGE).fingerprint == expected


@pytest.mark.parametrize("name", KEYS)
def test_over_another_message_it_does_not(name: str) -> None:
    with pytest.raises(KeyBroken, match="does not hold"):
        verify(signature(name), MESSAGE + b"\n")


def test_a_signature_for_another_purpose_is_none() -> None:
    assert verify(signature("file"), MESSAGE, "file").namespace == b"file"
    with pytest.raises(KeyBroken, match="for another purpose; allowed: git"):
        verify(signature("file"), MESSAGE)


def test_a_short_rsa_key_is_none() -> None:
    with pytest.raises(KeyBroken, match="a key of another kind"):
        verify(signature("rsab2048"), MESSAGE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN PGP SIGNATURE-----\nAAAA\n-----END PGP SIGNATURE-----",
        f"{BEGIN}\n{END}",
        f"{BEGIN}\n????\n{END}",
        armoured(b"SSHSIG"),
        armoured(b"OTHERX" + b"\0" * 40),
        armoured(MAGIC + b"\0\0\0\2" + string(b"") * 5),
        armoured(MAGIC + b"\0\0\0\1" + string(b"k") + string(b"git") + string(b"") + string(b"md5") + string(b"s")),
        armoured(MAGIC + b"\0\0\0\1" + string(b"k") + string(b"git") + string(b"") + string(b"sha512") + string(b"s")),
        armoured(base64.b64decode("".join(signature("ed25519").splitlines()[1:-1])) + b"\0"),
    ],
)
def test_what_is_no_signature_is_told(text: str) -> None:
    with pytest.raises(KeyBroken, match="SSH signature"):
        verify(text, MESSAGE)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_byte_of_it_can_be_another(place: int, change: int) -> None:
    data = bytearray(base64.b64decode("".join(signature("ed25519").splitlines()[1:-1])))
    data[place % len(data)] ^= change
    with pytest.raises(KeyBroken):
        verify(armoured(bytes(data)), MESSAGE)


def token(kind: str, flags: int, application: bytes = b"ssh:") -> str:
    """A signature as a security key makes it."""
    digest = hashlib.sha512(MESSAGE).digest()
    signed = MAGIC + string(b"git") + string(b"") + string(b"sha512") + string(digest)
    said = bytes([flags]) + b"\0\0\0\7"
    whole = hashlib.sha256(application).digest() + said + hashlib.sha256(signed).digest()
    if kind == "ed":
        name, private = b"sk-ssh-ed25519@openssh.com", ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
        key = string(name) + string(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        value = private.sign(whole)
    else:
        name, other = b"sk-ecdsa-sha2-nistp256@openssh.com", ec.derive_private_key(7, ec.SECP256R1())
        point = other.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        key = string(name) + string(b"nistp256") + string(point)
        r, s = decode_dss_signature(other.sign(whole, ec.ECDSA(SHA256())))
        value = b"".join(string(each.to_bytes(33, "big")) for each in (r, s))
    made = string(name) + string(value) + said
    parts = [key + string(application), b"git", b"", b"sha512", made]
    return armoured(MAGIC + b"\0\0\0\1" + b"".join(map(string, parts)))


@pytest.mark.parametrize("kind", ["ed", "ec"])
def test_a_security_key_must_say_that_it_was_touched(kind: str) -> None:
    assert verify(token(kind, 0x01), MESSAGE).namespace == b"git"
    with pytest.raises(KeyBroken, match="does not hold"):
        verify(token(kind, 0x04), MESSAGE)
    with pytest.raises(KeyBroken, match="does not hold"):
        verify(token(kind, 0x01), MESSAGE + b"x")


def public(name: str) -> str:
    return " ".join((FILES / f"{name}.pub").read_text().split()[:2])


ED, EC = public("ed25519"), public("ecdsab256")


def listed(folder: Path, text: str) -> Signers:
    (folder / "signers").write_text(text)
    return Signers.read(folder / "signers")


def key(name: str) -> bytes:
    return read(signature(name)).key


def test_a_key_stands_for_who_is_listed(tmp_path: Path) -> None:
    known = listed(
        tmp_path, f'# people\n\nlisa@simpson.org {ED} Lisa\'s laptop\nbart@simpson.org namespaces="git" {EC}\n'
    )
    assert known.who(key("ed25519"), NOW) == known.who(key("sha256"), NOW) == "lisa@simpson.org"
    assert known.who(key("ecdsab256"), NOW) == "bart@simpson.org"
    with pytest.raises(KeyBroken, match=r"signed by SHA256:zA5lidrkmQbMi8uH9vWWj4XXcB9Iydf/\S+, which is on no list"):
        known.who(key("rsab3072"), NOW)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('namespaces="file,email"', "who may sign for file, email alone"),
        ("valid-after=20270101", "when the key was not valid"),
        ("valid-before=20261128", "when the key was not valid"),
        ('namespaces="git,file",valid-after="202701010000Z"', "when the key was not valid"),
        ("VALID-BEFORE=20261129000000Z", "when the key was not valid"),
        ('valid-after=20260101,valid-before=20261201,namespaces="git"', ""),
    ],
)
def test_options_are_obeyed(tmp_path: Path, options: str, said: str) -> None:
    known = listed(tmp_path, f"lisa@simpson.org {options} {ED}\n")
    if said:
        with pytest.raises(KeyBroken, match=f"signed by lisa@simpson.org.*{said}"):
            known.who(key("ed25519"), NOW)
    else:
        assert known.who(key("ed25519"), NOW) == "lisa@simpson.org"


@pytest.mark.parametrize(
    "line",
    [
        f"*@simpson.org {ED}",
        f"lisa@simpson.org,bart@simpson.org {ED}",
        f"lisa@simpson.org cert-authority {ED}",
        f'lisa@simpson.org namespaces="git",cert-authority {ED}',
        f"lisa@simpson.org valid-after=tomorrow {ED}",
        f"lisa@simpson.org valid-after=202701010000 {ED}",
        f"lisa@simpson.org namespaces= {ED}",
        f"lisa@simpson.org a b {ED}",
        f"{ED}",
        "lisa@simpson.org",
        "lisa@simpson.org ssh-ed25519",
        f"lisa@simpson.org ssh-rsa {ED.split()[1]}",
        "lisa@simpson.org ssh-ed25519 AAAA????",
    ],
)
def test_a_line_that_is_not_understood_allows_nobody(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadInput, match="signers, line 2: found"):
        listed(tmp_path, f"bart@simpson.org {EC}\n{line}\n")


@pytest.mark.parametrize("text", ["", "# nobody\n", f"lisa@simpson.org {ED}\nbart@simpson.org {ED}\n"])
def test_an_empty_list_and_a_key_of_two_are_errors(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyBroken, match="is empty|listed twice"):
        listed(tmp_path, text)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")])
def test_a_list_that_is_none_is_an_error(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "signers")
    with pytest.raises(BadInput, match="signers, the whole"):
        Signers.read(tmp_path / "signers")
