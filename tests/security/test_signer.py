"""Who signs: what it signs in which role, whom it answers, and from whom the keys are kept."""

import ast
import json
import os
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from security.endorse import NAME, SHA, Image, payload, read
from security.errors import KeyBroken
from security.gates.drift.baseline import BASELINE
from security.gates.image.signed import CYCLONEDX
from security.gates.inputs import DATASET
from security.gates.model.signature import PREDICATE
from security.keys import STATEMENT, UnsafeLocalKeys, pae, seal, unseal
from security.log import KINDS, NAMESPACE
from security.models import chain, provenance, statement
from security.signer import lease, serve, wire
from security.signer import token as tokens
from security.signer.ask import Asked, Line, connected
from security.signer.serve import ALIAS, MAY, MOVES, answer, listen
from tasks.decision import SUMMARY

AS, ASKS, STRANGER = 64_001, 64_002, 64_003
"""Users of nobody: who signs, who may ask, who may not."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(tmp_path_factory.mktemp("signing") / "keys")


def body(kind: str, **predicate: Any) -> bytes:
    return json.dumps({"_type": STATEMENT, "predicateType": kind, "predicate": predicate}).encode()


def asked(keys: UnsafeLocalKeys, role: str, what: bytes, ask: str = "sign") -> bytes:
    return answer(json.dumps({"ask": ask, "role": role}).encode() + b"\n" + what, keys)


BEGUN = time.time()
"""When these tests were collected: others may run for an hour before them."""


def leased(late: float = 0.0, since: float = BEGUN, **told: Any) -> dict[str, Any]:
    """A lease that nobody has yet."""
    now = since + late
    usual = {"name": "sample", "target": "kubernetes_test", "models": ["a" * 64], "chain": "b" * 64, "revocations": ""}
    return {**usual, "entries": 1, "at": now, "until": now + 3600, **told}


def test_roles_sign_what_a_run_says_in_them_and_no_more() -> None:
    log = {f"{NAMESPACE}{kind}/v1" for kind in KINDS}
    made = {DATASET, BASELINE, PREDICATE, statement.KIND, provenance.KIND, CYCLONEDX}
    moves = {kind for kind, claim in chain.KINDS.items() if claim is chain.Move}
    entered = {kind for kind, claim in chain.KINDS.items() if claim is chain.Version}
    assert moves == {ALIAS}
    assert {"producer": log | made | entered | moves, "verifier": {SUMMARY, lease.KIND} | moves} == dict(MAY)


@pytest.mark.parametrize("role", MAY)
def test_each_of_its_types_is_signed(keys: UnsafeLocalKeys, role: Any) -> None:
    for kind in MAY[role]:
        said = body(kind, **leased(since=time.time())) if kind == lease.KIND else body(kind, alias=min(MOVES[role]))
        got = asked(keys, role, said)
        assert got[:1] == b"+"
        keys.public(role).verify(got[1:], said)


REFUSED = {
    "a type of another role": ("verifier", body("urn:sluice:verdict/v1"), "verifier signs no 'urn:sluice:verdict/v1'"),
    "a release by who makes it": ("producer", body(SUMMARY), "producer signs no "),
    "production by who makes it": ("producer", body(ALIAS, alias="production"), "producer moves no 'production'"),
    "approved by who makes it": ("producer", body(ALIAS, alias="approved"), "producer moves no 'approved'"),
    "a candidate by who approves": ("verifier", body(ALIAS, alias="candidate"), "verifier moves no 'candidate'"),
    "a lease for later": ("verifier", body(lease.KIND, **leased(86_400.0)), "allowed: from now, within 60 s"),
    "a lease for long": ("verifier", body(lease.KIND, **leased(until=9e9)), "a lease for 7"),
    "a lease that never ends": ("verifier", body(lease.KIND, **leased(until=float("inf"))), "allowed: moments"),
    "a lease from nowhere": ("verifier", body(lease.KIND, **leased(at=float("nan"))), "allowed: moments"),
    "a lease beyond all time": ("verifier", body(lease.KIND, **leased(at=10**400)), "allowed: moments"),
    "a lease until yes": ("verifier", body(lease.KIND, **leased(until=True)), "to bool; allowed: moments as numbers"),
    "a lease that says nothing": ("verifier", body(lease.KIND), "nothing to sign (KeyError)"),
    "a lease by who makes models": ("producer", body(lease.KIND, **leased()), "producer signs no "),
    "no alias": ("verifier", body(ALIAS), "nothing to sign (KeyError)"),
    "an alias that is none": ("verifier", body(ALIAS, alias=["approved"]), "nothing to sign (TypeError)"),
    "a revocation": ("producer", body("urn:sluice:revoked/v1"), "producer signs no "),
    "a policy": ("owner", body("urn:sluice:policy/v1"), "nobody signs as 'owner' here"),
    "a waiver": ("approver", body("urn:sluice:waiver/v1"), "nobody signs as 'approver' here"),
    "a token": ("issuer", body("urn:sluice:verdict/v1"), "nobody signs as 'issuer' here"),
    "another role": ("../producer", body("urn:sluice:verdict/v1"), "nobody signs as"),
    "no statement": ("producer", b"rm -rf", "nothing to sign (JSONDecodeError)"),
    "nothing": ("producer", b"", "nothing to sign (JSONDecodeError)"),
    "a list": ("producer", b"[]", "nothing to sign (TypeError)"),
    "another form": ("producer", b'{"_type":"x","predicateType":"urn:sluice:verdict/v1"}', "producer signs no ''"),
    "two types": (
        "producer",
        body("urn:sluice:policy/v1")[:-1] + b', "predicateType": "urn:sluice:verdict/v1"}',
        "nothing to sign (ValueError)",
    ),
    "depth": ("producer", b"[" * 100_000, "nothing to sign (RecursionError)"),
    "no type": ("producer", json.dumps({"_type": STATEMENT, "predicateType": {}}).encode(), "(TypeError)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_else_is(keys: UnsafeLocalKeys, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "time", SimpleNamespace(time=lambda: BEGUN))
    role, what, said = REFUSED[name]
    got = asked(keys, role, what)
    assert got[:1] == b"-"
    assert said in got.decode()


def test_an_image_is_endorsed_by_its_producer_in_the_one_spelling(keys: UnsafeLocalKeys) -> None:
    image = Image("a" * 64, "127.0.0.1:5000/team/serving")
    got = asked(keys, "producer", payload(image), "endorse")
    assert got[:1] == b"+"
    keys.public("producer").endorsed(got[1:], image)
    for role in ("verifier", "owner", "approver", "issuer"):
        assert asked(keys, role, payload(image), "endorse") == f"-nobody signs as {role!a} here".encode()
    assert b"-nothing to sign" in asked(keys, "producer", payload(image))


OTHERS = {
    "a statement": body("urn:sluice:verdict/v1"),
    "what an envelope signs": pae(body("urn:sluice:verdict/v1")),
    "a space more": payload(Image("a" * 64)) + b" ",
    "a key more": payload(Image("a" * 64)).replace(b'"optional":null', b'"optional":null,"x":1'),
    "something optional": payload(Image("a" * 64)).replace(b"null", b'{"creator":"x"}'),
    "a key twice": payload(Image("a" * 64)).replace(b'{"critical"', b'{"critical":1,"critical"'),
    "another type": payload(Image("a" * 64)).replace(b"container", b"contained"),
    "no digest": payload(Image("a" * 64)).replace(b"a" * 64, b"a" * 63),
    "capitals": payload(Image("a" * 64)).replace(b"a" * 64, b"A" * 64),
    "a digest twice named": payload(Image("a" * 64)).replace(b"sha256:", b"sha256:sha256:"),
    "a name with a break": payload(Image("a" * 64, "x")).replace(b'"x"', b'"x\\n"'),
    "a long one": payload(Image("a" * 64)) + b" " * 5_000,
    "nothing": b"",
    "a list": b"[]",
    "depth": b"[" * 2_000,
    "a number for a name": payload(Image("a" * 64)).replace(b'reference":""', b'reference":1'),
}


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_bytes_are_signed_without_an_envelope(keys: UnsafeLocalKeys, name: str) -> None:
    assert asked(keys, "producer", OTHERS[name], "endorse")[:1] == b"-"


@given(st.binary(max_size=400) | st.binary(max_size=9).map(lambda before: before + payload(Image("a" * 64))))
def test_what_is_read_is_what_would_be_made(data: bytes) -> None:
    try:
        image = read(data)
    except KeyBroken:
        return
    assert payload(image) == data


@given(st.from_regex(SHA, fullmatch=True), st.from_regex(NAME, fullmatch=True))
def test_every_payload_is_read(sha: str, name: str) -> None:
    assert read(payload(Image(sha, name))) == Image(sha, name)


@pytest.mark.parametrize("image", [Image("A" * 64), Image("a"), Image("a" * 64, "a b"), Image("a" * 64, "a@b")])
def test_what_is_no_image_is_not_endorsed(keys: UnsafeLocalKeys, image: Image) -> None:
    with pytest.raises(KeyBroken, match="an image is endorsed by a SHA-256"):
        keys.signer("producer").endorse(image)


def test_an_image_is_endorsed_by_asking(line: Asked, keys: UnsafeLocalKeys) -> None:
    image = Image("b" * 64, "registry.test/serving")
    mark = line.signer("producer").endorse(image)
    keys.public("producer").endorsed(mark, image)
    with pytest.raises(KeyBroken, match="not signed by the key given"):
        keys.public("producer").endorsed(mark, Image("b" * 64))
    with pytest.raises(KeyBroken, match="who signs refused: nobody signs as 'verifier' here"):
        line.signer("verifier").endorse(image)


@pytest.mark.parametrize("head", [b"", b"{}", b"[]", b'{"ask": "sign"}', b'{"ask": "sign", "role": []}', b"\xff"])
def test_a_question_that_is_none(keys: UnsafeLocalKeys, head: bytes) -> None:
    assert answer(head + b"\n" + body("urn:sluice:verdict/v1"), keys).startswith(b"-")
    assert asked(keys, "producer", b"", "export").startswith(b"-")


@pytest.fixture
def line(keys: UnsafeLocalKeys) -> Iterator[Asked]:
    """Keys that are asked for over a socket, served by a thread."""
    own, its = socket.socketpair()
    thread = threading.Thread(target=serve.own, args=(its,), daemon=True)
    thread.start()
    told = Line(own)
    yield Asked(told, os.fsencode(keys.folder) + b"\n")
    told.close()
    thread.join(10)
    its.close()
    assert not thread.is_alive()


def test_an_envelope_signed_by_asking_is_as_any_other(line: Asked, keys: UnsafeLocalKeys) -> None:
    sealed = seal("urn:sluice:verdict/v1", {"a": "0" * 64}, {"n": 1}, line.signer("producer"))
    assert unseal(sealed, keys.public("producer"))["predicate"] == {"n": 1}
    assert line.public("verifier").id == keys.public("verifier").id
    with pytest.raises(KeyBroken, match="who signs refused: producer signs no 'urn:sluice:waiver/v1'"):
        seal("urn:sluice:waiver/v1", {"a": "0" * 64}, {}, line.signer("producer"))


def test_many_who_ask_at_once_get_each_their_own(line: Asked, keys: UnsafeLocalKeys) -> None:
    signer, wrong = line.signer("producer"), list[BaseException]()

    def ask(n: int) -> None:
        try:
            for each in range(20):
                sealed = seal("urn:sluice:verdict/v1", {"a": "0" * 64}, {"n": n, "each": each}, signer)
                assert unseal(sealed, keys.public("producer"))["predicate"] == {"n": n, "each": each}
        except BaseException as why:  # noqa: BLE001 - told below
            wrong.append(why)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@contextmanager
def saying(answers: list[bytes]) -> Iterator[socket.socket]:
    """The end of a line at whose other end somebody answers as told, and then is gone."""
    own, its = socket.socketpair()

    def serve() -> None:
        with its:
            for each in answers:
                its.recv(1 << 20)
                its.sendall(each)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with own:
        yield own
    thread.join(10)


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(4) + message


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "who signs refused: it has ended"),
        (b"\0\0", "who signs refused: it has ended"),
        ((100).to_bytes(4) + b"+half", "who signs refused: it has ended"),
        ((wire.LARGEST + 1).to_bytes(4), "a message of 67,108,865 bytes"),
        (framed(b"-no\x1b[31m"), r"who signs refused: no\[31m$"),
        (framed(b"?"), "who signs refused: "),
        (framed(b"+no key"), "the key of producer is not a public key in PEM"),
    ],
)
def test_an_answer_that_is_none_is_told(said: bytes, why: str) -> None:
    with saying([said]) as own, pytest.raises(KeyBroken, match=why):
        Asked(Line(own)).public("producer")


def test_a_signature_that_does_not_hold_is_not_taken(keys: UnsafeLocalKeys) -> None:
    other = keys.signer("verifier").sign(b"body")
    with saying([framed(b"+" + keys.public("producer").pem), framed(b"+" + other)]) as own:
        signer = Asked(Line(own)).signer("producer")
        with pytest.raises(KeyBroken, match="not signed by the key given"):
            signer.sign(b"body")


def test_one_that_does_not_answer_is_told_once_and_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 0.2)
    own, its = socket.socketpair()
    with its:
        line = Line(own)
        with pytest.raises(KeyBroken, match=r"who signs does not answer \(TimeoutError\)"):
            line.ask(b"x")
        with pytest.raises(KeyBroken, match=r"who signs does not answer \(OSError\)"):
            line.ask(b"x")


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(KeyBroken, match=r"nobody signs at gone \(FileNotFoundError\)"):
        connected(tmp_path / "gone")


def as_user(user: int, work: Any) -> dict[str, Any]:
    """What `work` says in a process of another user."""
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            said = work()
        except BaseException as why:  # noqa: BLE001 - told to the test
            said = {"error": f"{type(why).__name__}: {why}"}
        os.write(mouth, json.dumps(said).encode())
        os._exit(0)
    os.close(mouth)
    with os.fdopen(ear, "rb") as said_:
        told: dict[str, Any] = json.loads(said_.read())
    os.waitpid(child, 0)
    return told


@pytest.fixture
def apart() -> Iterator[Path]:
    """The folder of a user who signs for another one, with its socket and its keys."""
    if os.geteuid() != 0:
        pytest.skip("to be three users takes root")
    with tempfile.TemporaryDirectory(prefix="sluice-signer-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.chown(folder, AS, AS)
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(AS)
                os.setuid(AS)
                listen(folder / "socket", UnsafeLocalKeys(folder / "keys"), [ASKS, os.getuid()])
            finally:
                os._exit(1)
        try:
            for _ in range(200):
                if (folder / "socket").exists() and stat.S_IMODE((folder / "socket").stat().st_mode) == 0o666:
                    break
                threading.Event().wait(0.05)
            yield folder
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)


def test_another_user_signs_and_the_keys_are_kept_from_who_asks(apart: Path) -> None:
    def ask() -> dict[str, Any]:
        keys, isolated = connected(apart / "socket")
        sealed = seal("urn:sluice:verdict/v1", {"a": "0" * 64}, {"n": 1}, keys.signer("producer"))
        told = {"isolated": isolated, "n": unseal(sealed, keys.public("producer"))["predicate"]["n"]}
        for act in ((apart / "keys" / "producer.pem").read_bytes, lambda: os.listdir(apart / "keys")):
            try:
                act()
                told["read"] = True
            except PermissionError:
                told["denied"] = told.get("denied", 0) + 1
        return told

    told = as_user(ASKS, ask)
    assert told == {"isolated": True, "n": 1, "denied": 2}


def test_one_who_is_slow_or_has_many_connections_keeps_nobody_waiting(apart: Path) -> None:
    def ask() -> dict[str, Any]:
        held = [socket.socket(socket.AF_UNIX) for _ in range(serve.CONNECTIONS + 8)]
        for each in held:
            each.connect(str(apart / "socket"))
            each.sendall(b"\0\0")
        try:
            connected(apart / "socket")[0].public("producer")
        except KeyBroken as why:
            said = str(why)
        for each in held:
            each.close()
        for _ in range(100):
            try:
                return {"said": said, "id": connected(apart / "socket")[0].public("producer").id}
            except KeyBroken:
                threading.Event().wait(0.05)
        return {}

    told = as_user(ASKS, ask)
    assert f"user {ASKS} has 32 connections" in told["said"]
    slow = as_user(AS, lambda: {"id": connected(apart / "socket")[0].public("producer").id})
    assert slow["id"] == told["id"]


def test_one_who_can_be_root_again_is_not_isolated(apart: Path) -> None:
    def ask() -> dict[str, Any]:
        return {"isolated": connected(apart / "socket")[1]}

    def waiting() -> dict[str, Any]:
        os.setresuid(ASKS, ASKS, 0)
        return ask()

    assert as_user(0, waiting) == {"isolated": False}
    assert as_user(ASKS, ask) == {"isolated": True}


def test_a_token_is_what_was_claimed_by_the_issuers_key_and_for_no_long_time(keys: UnsafeLocalKeys) -> None:
    now = int(time.time())
    claims = {"iss": "i", "sub": "u1", "exp": now + 300}
    got = asked(keys, "issuer", json.dumps(claims).encode(), "token")
    public = ECKey.import_key(keys.public("issuer").pem)
    found = jwt.decode(got[1:].decode(), public, algorithms=["ES256"])
    assert (got[:1], found.claims, found.header["kid"]) == (b"+", claims, public.thumbprint())
    long = asked(keys, "issuer", json.dumps({"exp": now + tokens.LONGEST + 60}).encode(), "token")
    assert long.startswith(b"-a token for 36")
    assert long.endswith(f" s; allowed: 1 to {tokens.LONGEST}".encode())
    for role in ("producer", "verifier", "owner", "approver"):
        assert asked(keys, role, json.dumps(claims).encode(), "token").startswith(b"-nobody signs as")
    for odd in ("NaN", "1e400", "1.5", "true", '"never"', "9" * 400):
        got = asked(keys, "issuer", b'{"exp": ' + odd.encode() + b"}", "token")
        assert got.startswith(b"-a token ")
    for none in (b"", b"[]", b"7", b'"exp"', b"[" * 100_000):
        assert not asked(keys, "issuer", none, "token").startswith(b"+")


def test_a_user_who_is_not_listed_is_refused(apart: Path) -> None:
    told = as_user(STRANGER, lambda: {"key": connected(apart / "socket")[0].public("producer").id})
    assert told == {"error": f"KeyBroken: who signs refused: user {STRANGER} may not ask here"}


def test_the_same_user_and_one_who_may_read_everything_are_not_isolated(apart: Path) -> None:
    assert as_user(AS, lambda: {"isolated": connected(apart / "socket")[1]}) == {"isolated": False}
    keys, isolated = connected(apart / "socket")
    keys.close()
    assert isolated is False


def test_the_process_that_signs_imports_no_gate_and_nothing_of_the_work() -> None:
    names = set[str]()
    for part in (wire, serve, tokens, lease):
        for node in ast.walk(ast.parse(Path(str(part.__file__)).read_text())):
            if isinstance(node, ast.ImportFrom):
                names.add(str(node.module))
    known = {"security.endorse", "security.errors", "security.keys", "security.signer", "security.signer.wire"}
    known |= {"security.signer.token"}
    assert {name for name in names if name.startswith(("security", "tasks"))} == known
