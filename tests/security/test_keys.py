"""Keys by role, signatures in one spelling, envelopes that say one thing in one way."""

import base64
import hashlib
import json
import multiprocessing
import os
import random
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

import security.keys
from security.errors import KeyBroken, LogBroken
from security.keys import ORDER, STATEMENT, PublicKey, Signer, UnsafeLocalKeys, pae, seal, spell, unseal
from security.verdict import canonical

KIND = "urn:sluice:test/v1"
PEM, SPKI = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(tmp_path_factory.mktemp("made") / "keys")


@pytest.fixture(scope="module")
def signer(keys: UnsafeLocalKeys) -> Signer:
    return keys.signer("producer")


@pytest.fixture(scope="module")
def key(keys: UnsafeLocalKeys) -> PublicKey:
    return keys.public("producer")


def private(keys: UnsafeLocalKeys) -> ec.EllipticCurvePrivateKey:
    loaded = serialization.load_pem_private_key(keys.path("producer").read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded


def test_a_private_key_is_not_taken_for_a_public_one(keys: UnsafeLocalKeys) -> None:
    with pytest.raises(KeyBroken, match="producer.pem is a private key; give the public one"):
        PublicKey.read(keys.path("producer"))
    both = keys.public("producer").pem + keys.path("producer").read_bytes()
    with pytest.raises(KeyBroken, match="is a private key"):
        PublicKey(both)


def test_only_p_256_is_taken() -> None:
    others = [
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
    ]
    for other in others:
        with pytest.raises(KeyBroken, match="other is not a P-256 key"):
            PublicKey(other.public_bytes(PEM, SPKI), "other")


@pytest.mark.parametrize("pem", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused(pem: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.pub").write_bytes(pem)
    with pytest.raises(KeyBroken, match="odd.pub is not a public key in PEM"):
        PublicKey.read(tmp_path / "odd.pub")


def test_a_key_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.pub", tmp_path):
        with pytest.raises(KeyBroken, match="no key at"):
            PublicKey.read(path)


def test_a_key_is_known_by_the_digest_of_its_form_in_der(keys: UnsafeLocalKeys, key: PublicKey) -> None:
    der = private(keys).public_key().public_bytes(serialization.Encoding.DER, SPKI)
    assert key.id == hashlib.sha256(der).hexdigest()
    assert PublicKey(key.pem).id == key.id
    assert PublicKey(b"a comment\n" + key.pem).pem == key.pem


def test_what_is_signed_is_the_encoding_of_dsse() -> None:
    assert pae(b"hello") == b"DSSEv1 28 application/vnd.in-toto+json 5 hello"
    assert len({pae(b""), pae(b" "), pae(b"0 ")}) == 3


def test_signatures_have_a_low_s_and_the_other_one_is_refused(signer: Signer, key: PublicKey) -> None:
    for number in range(20):
        body = str(number).encode()
        signature = signer.sign(body)
        key.verify(signature, body)
        r, s = decode_dss_signature(signature)
        assert s <= ORDER // 2
        high = encode_dss_signature(r, ORDER - s)
        key.key.verify(high, pae(body), ec.ECDSA(hashes.SHA256()))
        with pytest.raises(KeyBroken, match="another spelling"):
            key.verify(high, body)


def _long(signature: bytes) -> bytes:
    """The same numbers in BER: the length of the sequence in the long form, which DER does not allow."""
    return b"\x30\x81" + signature[1:]


@pytest.mark.parametrize("other", [_long, lambda s: s + b"\0", lambda s: s[:-1], lambda s: b"", lambda s: b"\x30\0"])
def test_another_spelling_of_a_signature_is_refused(
    signer: Signer, key: PublicKey, other: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(KeyBroken):
        key.verify(other(signer.sign(b"body")), b"body")


def test_a_signature_is_for_one_body_and_one_key(keys: UnsafeLocalKeys, signer: Signer, key: PublicKey) -> None:
    signature = signer.sign(b"body")
    with pytest.raises(KeyBroken, match="not signed by the key given"):
        key.verify(signature, b"Body")
    with pytest.raises(KeyBroken, match="not signed by the key given"):
        keys.public("verifier").verify(signature, b"body")


TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
REAL = st.floats(-(2.0**52), 2.0**52) | st.floats(1e22, 1e300)  # between them are whole numbers, which are too large
VALUES = TEXT | st.integers(-(2**50), 2**50) | REAL | st.none() | st.booleans() | st.lists(TEXT | REAL, max_size=2)
PREDICATES = st.dictionaries(TEXT, VALUES)


@settings(deadline=None)
@given(predicate=PREDICATES, subject=st.dictionaries(TEXT, TEXT, max_size=3))
def test_what_is_sealed_is_unsealed_as_it_was(
    keys: UnsafeLocalKeys, predicate: dict[str, Any], subject: dict[str, str]
) -> None:
    line = seal(KIND, subject, predicate, keys.signer("producer"))
    statement = unseal(line, keys.public("producer"))
    assert repr(unseal(line, keys.public("producer"))) == repr(statement)  # and so it is where the line is known
    assert (statement["predicate"], statement["predicateType"]) == (predicate, KIND)
    assert {each["name"]: each["digest"]["sha256"] for each in statement["subject"]} == subject
    assert b"\n" not in line


def _enveloped(line: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    envelope = json.loads(line)
    change(envelope)
    return canonical(envelope)


def _second(envelope: dict[str, Any]) -> None:
    envelope["signatures"] *= 2


def _padded(envelope: dict[str, Any]) -> None:
    envelope["payload"] += "\n"


def test_a_line_is_held_against_its_key_once_and_then_known_by_all_of_its_bytes(
    keys: UnsafeLocalKeys, signer: Signer, key: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    real = PublicKey.verify

    def verify(own: PublicKey, mark: bytes, body: bytes) -> None:
        asked.append(body)
        real(own, mark, body)

    monkeypatch.setattr(PublicKey, "verify", verify)
    line = seal(KIND, {"a": "0" * 64}, {"n": secrets.token_hex()}, signer)
    first = unseal(line, key)
    first["predicate"]["n"] = "altered by whoever got it"
    assert unseal(line, key)["predicate"] != first["predicate"]
    assert len(asked) == 1
    with pytest.raises(LogBroken, match="not signed by the key given"):  # known under one key, and no other
        unseal(line, keys.public("verifier"))
    for place in random.Random(line).sample(range(len(line)), 50):  # and no other bytes
        with pytest.raises(LogBroken):
            unseal(line[:place] + bytes((line[place] ^ 1,)) + line[place + 1 :], key)
    assert unseal(line, key)["predicate"] != first["predicate"]


def test_no_more_lines_are_known_than_there_is_room_for(
    signer: Signer, key: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security.keys, "MOST", 3)
    lines = [seal(KIND, {"a": "0" * 64}, {"n": secrets.token_hex()}, signer) for _ in range(8)]
    for line in lines * 2:
        assert unseal(line, key)["predicateType"] == KIND
        assert len(security.keys._HELD) <= 3


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "spaces": lambda line: json.dumps(json.loads(line)).encode(),
    "an end of line": lambda line: line + b"\n",
    "a space before": lambda line: b" " + line,
    "another order": lambda line: json.dumps(dict(reversed(json.loads(line).items())), separators=(",", ":")).encode(),
    "a key more": lambda line: _enveloped(line, lambda told: told.update(more=1)),
    "a key twice": lambda line: line[:-1] + b',"payloadType":"application/vnd.in-toto+json"}',
    "another type": lambda line: _enveloped(line, lambda told: told.update(payloadType="text/plain")),
    "another key's id": lambda line: _enveloped(line, lambda told: told["signatures"][0].update(keyid="0" * 64)),
    "no key's id": lambda line: _enveloped(line, lambda told: told["signatures"][0].pop("keyid")),
    "a second signature": lambda line: _enveloped(line, _second),
    "padding": lambda line: _enveloped(line, _padded),
    "utf-16": lambda line: line.decode().encode("utf-16"),
}


@pytest.mark.parametrize("other", SPELLINGS.values(), ids=SPELLINGS)
def test_another_spelling_of_an_envelope_is_refused(
    signer: Signer, key: PublicKey, other: Callable[[bytes], bytes]
) -> None:
    line = seal(KIND, {"a": "0" * 64}, {"n": 1}, signer)
    assert unseal(line, key)["predicate"] == {"n": 1}
    changed = other(line)
    assert changed != line
    with pytest.raises(LogBroken):
        unseal(changed, key)


PLAIN = {"_type": STATEMENT, "subject": [], "predicateType": KIND, "predicate": {}}
BODIES: dict[str, bytes] = {
    "spaces": json.dumps(PLAIN, sort_keys=True).encode(),
    "another order": json.dumps(PLAIN, separators=(",", ":")).encode(),
    "another type": canonical(PLAIN | {"_type": "https://in-toto.io/Statement/v0.1"}),
    "no type": canonical({key: value for key, value in PLAIN.items() if key != "_type"}),
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "not JSON": b"{",
    "empty": b"",
    "not UTF-8": b'{"_type":"\xff"}',
    "a number that is none": canonical(PLAIN)[:-1] + b',"z":NaN}',
    "a number without end": canonical(PLAIN)[:-1] + b',"z":1e999}',
    "a number too large": canonical(PLAIN)[:-1] + b',"z":9007199254740993}',
    "half a character": canonical(PLAIN)[:-1] + b',"z":"\\ud800"}',
    "nested too deep": canonical(PLAIN)[:-1] + b',"z":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a key twice": canonical(PLAIN)[:-1] + b',"predicate":{}}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_another_statement_is_refused_though_signed(signer: Signer, key: PublicKey, body: bytes) -> None:
    assert unseal(spell(canonical(PLAIN), signer.sign(canonical(PLAIN)), key.id), key) == PLAIN
    with pytest.raises(LogBroken):
        unseal(spell(body, signer.sign(body), key.id), key)


NESTED = b'{"payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"null", b'{"payload":1}', b'{"payload":"","signatures":[]}', b"\xff", NESTED]
)
def test_what_is_no_envelope_is_refused(key: PublicKey, line: bytes) -> None:
    with pytest.raises(LogBroken):
        unseal(line, key)


@settings(deadline=None)
@given(
    st.binary(max_size=60)
    | st.recursive(st.text(max_size=3), lambda x: st.lists(x)).map(lambda x: canonical({"payload": x, "signatures": x}))
)
def test_no_bytes_make_another_error(keys: UnsafeLocalKeys, line: bytes) -> None:
    with pytest.raises(LogBroken):
        unseal(line, keys.public("producer"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask() -> Iterator[None]:
    """No bit is taken from the modes of what is made."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("there", [True, False], ids=["folder-there", "folder-made"])
def test_private_keys_are_their_owners_alone(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "deep" / "keys"
    if there:
        folder.mkdir(parents=True, mode=0o777)
    made = UnsafeLocalKeys(folder).path("verifier")
    assert (mode(made), mode(folder)) == (0o600, 0o700)
    assert [path.name for path in folder.iterdir()] == ["verifier.pem"]


def test_a_role_has_one_key_and_no_other_role_has_it(tmp_path: Path) -> None:
    keys = UnsafeLocalKeys(tmp_path)
    first = keys.path("owner").read_bytes()
    assert UnsafeLocalKeys(tmp_path).path("owner").read_bytes() == first
    assert len({keys.public(role).id for role in ("owner", "producer", "verifier", "approver", "issuer")}) == 5


@pytest.mark.parametrize("role", ["", "root", "../owner", "Owner"])
def test_there_are_no_other_roles(tmp_path: Path, role: Any) -> None:
    with pytest.raises(KeyBroken, match="no role .*; there are owner, producer, verifier, approver, issuer"):
        UnsafeLocalKeys(tmp_path / "keys").path(role)
    assert not (tmp_path / "keys").exists()


def test_keys_and_who_signs_show_no_private_part(keys: UnsafeLocalKeys, signer: Signer) -> None:
    shown = f"{signer!r} {vars(signer)} {keys!r} {vars(keys)}"
    secret = keys.path("producer").read_bytes()
    assert b"PRIVATE KEY" in secret
    assert base64.b64decode(b"".join(secret.splitlines()[1:-1])).hex() not in shown
    assert "PRIVATE KEY" not in shown


ROUNDS = 25


def _racer(folder: Path, start: Any, told: Any) -> None:
    """Ask for the same role's key at the same time as the others, again and again in fresh folders."""
    for number in range(ROUNDS):
        start.wait(30)
        told.put((number, UnsafeLocalKeys(folder / str(number)).public("producer").id))


def test_processes_that_make_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, told = context.Barrier(2), context.Queue()
    racers = [context.Process(target=_racer, args=(tmp_path, start, told)) for _ in range(2)]
    for racer in racers:
        racer.start()
    got = [told.get(timeout=60) for _ in range(2 * ROUNDS)]
    for racer in racers:
        racer.join(30)
        assert racer.exitcode == 0
    assert {number: len({sha for n, sha in got if n == number}) for number in range(ROUNDS)} == dict.fromkeys(
        range(ROUNDS), 1
    )
    for number in range(ROUNDS):
        assert [path.name for path in (tmp_path / str(number)).iterdir()] == ["producer.pem"]
