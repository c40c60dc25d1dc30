"""Handshakes with an endpoint that must fail: old TLS offered alone, another authority trusted, another name expected.

An offer of one version is written here byte by byte and nothing follows its first answer: what the OpenSSL of this
machine still speaks, or what its configuration forbids, plays no part. Beside the old offers stand new ones of the same
form, one of which must be taken up. Sources: RFC 2246, 4346, 5246 and 8446 (messages), RFC 6066 (server name).
"""

import ipaddress
import secrets
import socket
import ssl
import struct
import tempfile
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from security.engines.s3 import CONNECT, Credentials, Endpoint, client
from security.engines.settings import Answer, Whose
from security.errors import CannotTell

VERSIONS = {"tls_1_0": 0x0301, "tls_1_1": 0x0302, "tls_1_2": 0x0303, "tls_1_3": 0x0304}
"""Question -> the version that is offered alone."""
OTHERS = ("sluice.invalid", "192.0.2.1")
"""Names that no server has; with the second, an address of RFC 5737, none is said to the server."""
CLOSED, LOWER = -1, -2
"""In place of an alert: the connection was closed or reset without one; the server speaks only an older version."""

_OLD = (0xC009, 0xC00A, 0xC013, 0xC014, 0x0033, 0x0039, 0x0032, 0x0038, 0x002F, 0x0035, 0xC008, 0xC012, 0x0016,
        0x000A, 0x0005, 0x0004, 0x0041, 0x0084, 0x0045, 0x0088, 0x0096, 0x0007, 0x0009, 0x0015, 0x00FF)  # fmt: skip
_NEW = (0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA9, 0xCCA8, 0x009E, 0x009F, 0x009C, 0x009D, 0xC023, 0xC027, 0x003C)
_SUITES = {0x0303: (*_NEW, *_OLD), 0x0304: (0x1301, 0x1302, 0x1303)}
_GROUPS = (0x001D, 0x0017, 0x0018, 0x0019)
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)
_ALERT, _HANDSHAKE, _SERVER_HELLO, _WARNING = 21, 22, 2, 1
_MOST = 1 << 14
_OF_A_NAME = (62, 64)
"""OpenSSL: the host name, or the address, is not the certificate's."""


def offer(host: str, version: int) -> bytes:
    """A ClientHello that offers one version and nothing else."""
    parts = [(10, _sized(_words(*_GROUPS))), (11, b"\x01\x00")]
    if not _address(host):
        parts.append((0, _sized(b"\x00" + _sized(host.encode("idna")))))
    if version >= 0x0303:
        parts.append((13, _sized(_words(*_SIGNATURES))))
    if version == 0x0304:  # no key is shared: the server that would speak asks for one, and that is answer enough
        parts += [(43, b"\x02" + _words(version)), (51, _sized(b""))]
    extensions = _sized(b"".join(_words(kind) + _sized(body) for kind, body in parts))
    suites = _sized(_words(*_SUITES.get(version, _OLD)))
    body = _words(min(version, 0x0303)) + secrets.token_bytes(32) + b"\x00" + suites + b"\x01\x00" + extensions
    return bytes([_HANDSHAKE]) + _words(0x0301) + _sized(b"\x01" + struct.pack(">I", len(body))[1:] + body)


def tried(host: str, port: int, version: int) -> Answer:
    """Whether a server takes up one version offered alone: `taken`, and otherwise the `alert` that it gave.

    Raises `OSError` where it does not answer in time, `CannotTell` where it does not speak TLS.
    """
    with socket.create_connection((host, port), CONNECT) as plain:
        try:
            plain.sendall(offer(host, version))
            while True:
                kind, size = struct.unpack(">BxxH", _read(plain, 5))
                body = _read(plain, size) if 0 < size <= _MOST else b""
                if kind == _HANDSHAKE and body[:1] == bytes([_SERVER_HELLO]) and len(body) >= 6:
                    # Before 1.3 an offer is of all versions up to one, and only the answer says which it is.
                    chosen = int.from_bytes(body[4:6], "big")
                    return {"taken": True} if chosen == min(version, 0x0303) else {"taken": False, "alert": LOWER}
                if kind != _ALERT or len(body) != 2:
                    raise CannotTell("the endpoint does not speak TLS")
                if body[0] != _WARNING:
                    return {"taken": False, "alert": body[1]}
        except (EOFError, ConnectionError):
            return {"taken": False, "alert": CLOSED}


def other_authority(endpoint: Endpoint, own: Credentials, to: Whose) -> Answer:
    """A listing by the client that the pipeline uses, which is told to trust an authority made this moment."""
    from botocore.exceptions import SSLError

    with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
        pem.write(_authority())
        pem.flush()
        s3 = client(endpoint.model_copy(update={"ca": pem.name}), own, attempts=1)
        try:
            s3.list_objects_v2(**to, MaxKeys=1)
        except SSLError as no:
            if "CERTIFICATE_VERIFY_FAILED" not in str(no):
                raise
            return {"taken": False}
    return {"taken": True}


def other_name(host: str, port: int, context: ssl.SSLContext) -> Answer:
    """A handshake by the context that the probes use, which is told to expect another name."""
    last: ssl.SSLError | None = None
    for name in OTHERS:
        try:
            with (
                socket.create_connection((host, port), CONNECT) as plain,
                context.wrap_socket(plain, server_hostname=name),
            ):
                return {"taken": True}
        except ssl.SSLCertVerificationError as no:
            if no.verify_code in _OF_A_NAME:
                return {"taken": False}
            last = no
        except ssl.SSLError as no:  # the server itself would not have that name: nothing was verified yet
            last = no
    raise CannotTell(f"the handshake failed before a name was verified: {type(last).__name__}")


def _authority() -> bytes:
    """The certificate of an authority that has signed nothing."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def _address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}H", *numbers)


def _sized(data: bytes) -> bytes:
    return _words(len(data)) + data


def _read(plain: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = plain.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
