"""The model signature gate: what the producer signed, file for file, and the library's own opinion beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from security import gate as gates
from security.errors import CannotTell, KeyBroken
from security.gates import model
from security.gates.model import Card, Entry, Facts, ModelSignature, decoys, signature
from security.keys import PublicKey, UnsafeLocalKeys, pae
from security.verdict import Breach, Observation, Outcome, Subject, Verdict

Files = dict[str, bytes]
GATE = ModelSignature()
SHA = hashlib.sha256(b"x").hexdigest()
KEPT: Files = {"weights.safetensors": bytes(range(256)) * 8, "items/names.json": b'["a"]', "empty.txt": b""}


def card(**changes: Any) -> bytes:
    """A model card that the limits of these tests allow."""
    origin = dict.fromkeys(("data", "code", "lock", "plan"), SHA)
    said = {"name": "recommender", "version": 7, "run": "run-1", "created": 1.0, "expires": time.time() + 3600}
    return json.dumps(said | origin | {"framework": "TensorFlow"} | changes).encode()


def write(folder: Path, files: Files) -> None:
    """Files into a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    """The producer's key, and the verifier's as somebody else's."""
    return UnsafeLocalKeys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def folder(tmp_path: Path, keys: UnsafeLocalKeys) -> Path:
    """A signed model."""
    path = tmp_path / "recommender"
    write(path, KEPT | {"model.json": card()})
    model.sign(path, keys.signer("producer"))
    return path


def limits(keys: UnsafeLocalKeys, **changes: Any) -> dict[str, Any]:
    """Limits that the signed model keeps."""
    return {"signer": keys.public("producer").id, "name": "recommender", "floor": 7} | changes


def material(folder: Path, keys: UnsafeLocalKeys, expected: int | None = None) -> gates.Material[Entry]:
    """The folder as a runner hands it out."""
    files = model.contents(folder)
    subject = Subject(kind="model", name="recommender", sha256=model.release(files))
    count = len(files) if expected is None else expected
    return model.material(subject, folder, count, keys.public("producer"))


def run(
    folder: Path, keys: UnsafeLocalKeys, gate: ModelSignature = GATE, **changes: Any
) -> tuple[Observation, Verdict]:
    """Look at a folder and judge it."""
    terms = limits(keys, **changes)
    seen = gates.observe(gate, material(folder, keys), terms)
    return seen, gates.judge(gate, seen, terms)


def library(folder: Path, keys: UnsafeLocalKeys, *, beside: bool = False) -> bool:
    """What the library's own verifier says, the signature inside the folder or beside it."""
    from model_signing import verifying

    public = folder.parent / "producer.pub"
    public.write_bytes(keys.public("producer").pem)
    config = verifying.Config()  # type: ignore[no-untyped-call]
    try:
        signature = (folder / "model.sig").rename(folder.parent / "beside.sig") if beside else folder / "model.sig"
        config.use_elliptic_key_verifier(public_key=public).verify(folder, signature)
    except Exception:  # noqa: BLE001 - it raises what its layers raise
        return False
    finally:
        if beside:
            signature.rename(folder / "model.sig")
    return True


def holds(folder: Path, keys: UnsafeLocalKeys) -> bool:
    """What `signer` says."""
    try:
        model.signer(model.contents(folder), keys.public("producer"))
    except KeyBroken:
        return False
    return True


def forge(folder: Path, keys: UnsafeLocalKeys, change: Callable[[dict[str, Any]], None], **other: Any) -> None:
    """Sign the folder's statement again by the producer's key, after a change of it."""
    bundle = json.loads((folder / "model.sig").read_bytes())
    envelope = bundle["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    change(statement)
    body = json.dumps(statement).encode()
    private = serialization.load_pem_private_key(keys.path("producer").read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    mark = private.sign(other.get("encode", pae)(body), ec.ECDSA(hashes.SHA256()))
    envelope["payload"] = base64.b64encode(body).decode()
    envelope["signatures"] = [{"sig": base64.b64encode(mark).decode(), "keyid": ""}]
    (folder / "model.sig").write_text(json.dumps(bundle))


def test_a_signed_model_passes_and_says_which(folder: Path, keys: UnsafeLocalKeys) -> None:
    seen, verdict = run(folder, keys)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert "recommender v7" in verdict.reason
    assert seen.coverage.expected == seen.coverage.inspected == len(KEPT) + 2
    assert Facts.model_validate(seen.facts).signed_by == keys.public("producer").id
    assert {canary.rule for canary in seen.canaries} <= set(GATE.rules)
    assert len(seen.canaries) == 2


def test_every_rule_has_a_maker() -> None:
    assert set(GATE.rules) == set(GATE.violations)
    assert all(rule.controls and rule.remedy for rule in GATE.rules.values())


def _unsign(folder: Path, keys: UnsafeLocalKeys) -> None:
    (folder / "model.sig").unlink()


def _other(folder: Path, keys: UnsafeLocalKeys) -> None:
    model.sign(folder, keys.signer("verifier"))


def _alter(folder: Path, keys: UnsafeLocalKeys) -> None:
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(data)


def _add(folder: Path, keys: UnsafeLocalKeys) -> None:
    (folder / "items" / "more.py").write_bytes(b"")


def _remove(folder: Path, keys: UnsafeLocalKeys) -> None:
    (folder / "empty.txt").unlink()


def _says(**changes: Any) -> Callable[[Path, UnsafeLocalKeys], None]:
    def change(folder: Path, keys: UnsafeLocalKeys) -> None:
        (folder / "model.json").write_bytes(card(**changes))
        model.sign(folder, keys.signer("producer"))

    return change


def _tampered_card(folder: Path, keys: UnsafeLocalKeys) -> None:
    (folder / "model.json").write_bytes(card(version=99))


def _cardless(folder: Path, keys: UnsafeLocalKeys) -> None:
    (folder / "model.json").unlink()
    model.sign(folder, keys.signer("producer"))


BAD = [
    ("SIG-NONE", _unsign, "model.sig"),
    ("SIG-KEY", _other, "model.sig"),
    ("SIG-ALTERED", _alter, "weights.safetensors"),
    ("SIG-ALTERED", _tampered_card, "model.json"),
    ("SIG-EXTRA", _add, "items/more.py"),
    ("SIG-MISSING", _remove, "empty.txt"),
    ("SIG-CARD", _cardless, "model.json"),
    ("SIG-CARD", _says(version="7"), "model.json"),
    ("SIG-CARD", _says(data="unknown"), "model.json"),
    ("SIG-EXPIRED", _says(expires=time.time() - 1), "model.json:expires"),
    ("SIG-NAME", _says(name="recommender2"), "model.json:name"),
    ("SIG-VERSION", _says(version=6), "model.json:version"),
]


@pytest.mark.parametrize(("rule", "spoil", "place"), BAD)
def test_the_smallest_violation_trips_its_rule_alone(
    folder: Path, keys: UnsafeLocalKeys, rule: str, spoil: Callable[[Path, UnsafeLocalKeys], None], place: str
) -> None:
    spoil(folder, keys)
    seen, verdict = run(folder, keys)
    assert verdict.outcome is Outcome.FAIL, verdict.reason
    assert [(each.rule, each.place) for each in verdict.findings] == [(rule, place)]
    assert "allowed" in verdict.findings[0].message
    assert len(seen.canaries) == 2, seen.trouble


def test_a_key_that_the_policy_does_not_name_is_refused(folder: Path, keys: UnsafeLocalKeys) -> None:
    _, verdict = run(folder, keys, signer=keys.public("verifier").id)
    assert {each.rule for each in verdict.findings} == {"SIG-KEY"}


@pytest.mark.parametrize("changes", [{"signer": ""}, {"signer": "producer"}, {"floor": 0}, {"name": ""}, {"more": 1}])
def test_limits_are_strict(folder: Path, keys: UnsafeLocalKeys, changes: dict[str, Any]) -> None:
    assert run(folder, keys, **changes)[1].outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("rule", sorted(GATE.rules))
@pytest.mark.parametrize("sound", [True, False])
def test_every_canary_is_caught_by_its_own_rule(folder: Path, keys: UnsafeLocalKeys, rule: str, sound: bool) -> None:
    if not sound:
        (folder / "model.sig").unlink()
        (folder / "model.json").unlink()
    sample = list(material(folder, keys).source())
    terms = model.Limits.model_validate(limits(keys))
    resigned = {"SIG-CARD", "SIG-EXPIRED", "SIG-NAME", "SIG-VERSION"}
    for seed in range(24):
        items = GATE.violations[rule](sample, random.Random(seed))
        found = {each.rule for each in GATE.judge(GATE.look(material(folder, keys).decoy(items)), terms)}
        assert rule in found, seed
        if sound:
            assert found == {rule, "SIG-KEY"} if rule in resigned else found == {rule}, seed
    clean = [each.rule for each in GATE.judge(GATE.look(material(folder, keys)), terms)]
    assert clean == ([] if sound else ["SIG-NONE"])


def test_canaries_leave_the_sample_alone(folder: Path, keys: UnsafeLocalKeys) -> None:
    sample = list(material(folder, keys).source())
    before = list(sample)
    for make in GATE.violations.values():
        assert list(make(sample, random.Random(1))) != before
    assert sample == before


def test_an_engine_that_does_not_look_is_caught(folder: Path, keys: UnsafeLocalKeys) -> None:
    clean = GATE.look(material(folder, keys))

    class Blind(ModelSignature):
        def look(self, material: gates.Material[Entry]) -> Facts:
            list(material)
            return clean

    class Mute(ModelSignature):
        def judge(self, facts: Facts, limits: Any) -> Iterable[Breach]:
            return ()

    for engine in (Blind(), Mute()):
        for spoil in (None, _alter):
            if spoil:
                spoil(folder, keys)
            _, verdict = run(folder, keys, engine)
            assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "canary")


def test_it_cannot_tell_where_it_did_not_see_what_was_listed(folder: Path, keys: UnsafeLocalKeys) -> None:
    listed = len(model.contents(folder)) + 1
    seen = gates.observe(GATE, material(folder, keys, expected=listed), limits(keys))
    verdict = gates.judge(GATE, seen, limits(keys))
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "coverage")


def test_it_cannot_tell_about_a_folder_that_is_not_the_reference(folder: Path, keys: UnsafeLocalKeys) -> None:
    opened = material(folder, keys)
    (folder / "weights.safetensors").write_bytes(b"swapped")
    seen = gates.observe(GATE, opened, limits(keys))
    verdict = gates.judge(GATE, seen, limits(keys))
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert "reference" in verdict.reason


@pytest.mark.parametrize(
    "items",
    [
        [],
        [Entry("model.json", b"{}")],
        [Entry("", b"no key"), Entry("model.json", b"{}")],
        [Entry("", b"PEM")],
        [Entry("", b"PEM"), Entry("a", b""), Entry("a", b"")],
        [Entry("", b"PEM"), Entry("../a", b"")],
        [Entry("", b"PEM"), Entry(".git/a", b"")],
        [Entry("", b"PEM"), Entry("/a", b"")],
    ],
)
def test_it_cannot_tell_from_odd_material(folder: Path, keys: UnsafeLocalKeys, items: list[Entry]) -> None:
    pem = keys.public("producer").pem
    items = [Entry(name, pem if data == b"PEM" else data) for name, data in items]
    with pytest.raises(CannotTell):
        GATE.look(material(folder, keys).decoy(items))


def test_no_byte_of_a_file_is_written_down(folder: Path, keys: UnsafeLocalKeys) -> None:
    write(folder, {"secret.bin": b"hunter2hunter2", "items/names.json": b'["jane.doe@example.org"]'})
    model.sign(folder, keys.signer("producer"))
    seen, verdict = run(folder, keys)
    assert verdict.outcome is Outcome.PASS
    for value in ("hunter2", "jane.doe", "BEGIN PUBLIC KEY", "TensorFlow"):
        assert value not in seen.model_dump_json()


def test_the_library_agrees(folder: Path, keys: UnsafeLocalKeys) -> None:
    assert library(folder, keys)
    assert holds(folder, keys)
    for spoil in (_alter, _add, _remove, _tampered_card, _other):
        kept = model.contents(folder)
        spoil(folder, keys)
        assert not library(folder, keys), spoil
        assert not holds(folder, keys), spoil
        (folder / "items" / "more.py").unlink(missing_ok=True)
        write(folder, kept)
    assert library(folder, keys)
    assert holds(folder, keys)


def test_a_renamed_folder_holds_and_a_canary_of_ours_convinces_the_library(folder: Path, keys: UnsafeLocalKeys) -> None:
    folder = folder.rename(folder.with_name("renamed"))
    assert library(folder, keys)
    assert holds(folder, keys)
    pem, files = decoys.resigned(model.contents(folder), random.Random(1))
    write(folder, files)
    assert not library(folder, keys)
    (folder.parent / "fresh.pub").write_bytes(pem)
    from model_signing import verifying

    config = verifying.Config()  # type: ignore[no-untyped-call]
    config.use_elliptic_key_verifier(public_key=folder.parent / "fresh.pub").verify(folder, folder / "model.sig")


def _overlook(statement: dict[str, Any]) -> None:
    statement["predicate"]["serialization"]["ignore_paths"].append("assets")


def _older(statement: dict[str, Any]) -> None:
    resources = statement["predicate"]["resources"]
    statement["predicateType"] = "https://model_signing/Digests/v0.1"
    statement["subject"] = [{"name": each["name"], "digest": {"sha256": each["digest"]}} for each in resources]


def _nothing(statement: dict[str, Any]) -> None:
    """The statement as it was."""


def _unicode(body: bytes) -> bytes:
    from model_signing._signing.sign_sigstore_pb import pae_compat

    return pae_compat(body)


@pytest.mark.parametrize(
    ("change", "other"),
    [(_overlook, {}), (_older, {}), (_nothing, {"encode": _unicode})],
    ids=["overlooked", "v0.1", "pae"],
)
def test_what_the_library_lets_through_is_refused(
    folder: Path, keys: UnsafeLocalKeys, change: Callable[[dict[str, Any]], None], other: dict[str, Any]
) -> None:
    forge(folder, keys, change, **other)
    if change is _overlook:
        write(folder, {"assets/evil.py": b"evil"})
    assert library(folder, keys, beside=change is _older)
    assert not holds(folder, keys)
    assert run(folder, keys)[1].outcome is Outcome.FAIL


def test_the_librarys_defaults_hide_what_contents_refuses(folder: Path, keys: UnsafeLocalKeys) -> None:
    from model_signing import hashing, signing

    defaults = hashing.Config().set_ignored_paths(paths=["model.sig"])  # type: ignore[no-untyped-call]
    config = signing.Config().set_hashing_config(defaults)  # type: ignore[no-untyped-call]
    config.use_elliptic_key_signer(private_key=keys.path("producer")).sign(folder, folder / "model.sig")
    assert holds(folder, keys)
    write(folder, {".git/evil.py": b"evil"})
    assert library(folder, keys)
    with pytest.raises(KeyBroken, match="hidden"):
        model.contents(folder)
    files = {name: (folder / name).read_bytes() for name in (*KEPT, "model.json", "model.sig", ".git/evil.py")}
    with pytest.raises(KeyBroken, match="not signed"):
        model.signer(files, keys.public("producer"))


def _set(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(statement: dict[str, Any]) -> None:
        place: Any = statement
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


RESOURCE = ("predicate", "resources", 0)
SERIAL = ("predicate", "serialization")


@pytest.mark.parametrize(
    "change",
    [
        _set("_type", value="https://in-toto.io/Statement/v0.1"),
        _set("predicateType", value="https://slsa.dev/provenance/v1"),
        _set("subject", value=[]),
        _set("subject", 0, "digest", value={"sha256": SHA}),
        _set("predicate", "resources", value=[]),
        _set(*RESOURCE, "algorithm", value="blake2"),
        _set(*RESOURCE, "digest", value="00"),
        _set(*RESOURCE, "name", value="../up"),
        _set(*RESOURCE, "name", value="model.sig"),
        _set(*RESOURCE, "more", value="1"),
        _set(*SERIAL, "method", value="shards"),
        _set(*SERIAL, "allow_symlinks", value=True),
        _set(*SERIAL, "ignore_paths", value=["."]),
        _set(*SERIAL, "ignore_paths", value="model.sig"),
        _set("predicate", value=None),
        lambda statement: statement["predicate"]["resources"].append(statement["predicate"]["resources"][0]),
    ],
)
def test_a_statement_that_is_not_one_is_refused_though_signed(
    folder: Path, keys: UnsafeLocalKeys, change: Callable[[dict[str, Any]], None]
) -> None:
    forge(folder, keys, change)
    assert not holds(folder, keys)
    assert [each.rule for each in run(folder, keys)[1].findings] == ["SIG-NONE"]


def test_a_signature_that_names_another_key_is_not_believed(folder: Path, keys: UnsafeLocalKeys) -> None:
    bundle = json.loads((folder / "model.sig").read_bytes())
    bundle["verificationMaterial"]["publicKey"]["hint"] = SHA
    (folder / "model.sig").write_text(json.dumps(bundle))
    assert not library(folder, keys)
    assert not holds(folder, keys)
    assert [each.rule for each in run(folder, keys)[1].findings] == ["SIG-KEY"]


def test_signing_refuses_what_it_cannot_vouch_for(folder: Path, keys: UnsafeLocalKeys) -> None:
    mixed = keys.signer("producer")
    mixed.public = keys.public("verifier")
    with pytest.raises(KeyBroken, match="not signed by the key given"):
        model.sign(folder, mixed)
    (folder / ".gitattributes").write_bytes(b"")
    with pytest.raises(KeyBroken, match="hidden"):
        model.sign(folder, keys.signer("producer"))


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda folder: (folder / "link").symlink_to(folder / "empty.txt"), "link"),
        (lambda folder: (folder / "linked").symlink_to(folder / "items"), "link"),
        (lambda folder: (folder / "dangling").symlink_to("nowhere"), "link"),
        (_pipe, "device"),
        (lambda folder: (folder / "items" / ".github").mkdir(), "hidden"),
        (lambda folder: (folder / ".hidden").write_bytes(b""), "hidden"),
        (lambda folder: (folder / "a..b").write_bytes(b""), "name"),
        (lambda folder: (folder / "a\nb").write_bytes(b""), "name"),
        (lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b""), "name"),
    ],
)
def test_contents_refuses_what_no_model_has(folder: Path, spoil: Callable[[Path], None], word: str) -> None:
    spoil(folder)
    with pytest.raises(KeyBroken, match=word):
        model.contents(folder)


def test_contents_refuses_nothing_and_too_much(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "void").mkdir()
    (tmp_path / "link").symlink_to(folder)
    for path in (tmp_path / "void", tmp_path / "absent", tmp_path / "link"):
        with pytest.raises(KeyBroken):
            model.contents(path)
    size = sum(map(len, model.contents(folder).values()))
    monkeypatch.setattr(signature, "MOST_BYTES", size)
    assert model.contents(folder)
    monkeypatch.setattr(signature, "MOST_BYTES", size - 1)
    with pytest.raises(KeyBroken, match="more than"):
        model.contents(folder)
    monkeypatch.undo()
    monkeypatch.setattr(signature, "MOST_FILES", len(KEPT) + 1)
    with pytest.raises(KeyBroken, match="more than"):
        model.contents(folder)


def test_a_release_is_known_by_its_listing(folder: Path) -> None:
    files = model.contents(folder)
    listing = model.describe(files)
    assert [each["name"] for each in listing] == sorted(files)
    weights = next(each for each in listing if each["name"] == "weights.safetensors")
    assert weights == {
        "name": "weights.safetensors",
        "sha256": hashlib.sha256(KEPT["weights.safetensors"]).hexdigest(),
        "size": 2048,
    }
    assert model.release(files) == model.release(dict(reversed(files.items())))
    assert model.release(files) != model.release(files | {"empty.txt": b"1"})


NAMES = st.text("abz09_-", min_size=1, max_size=5).filter(lambda name: not name.startswith("-"))
PATHS = NAMES.map(lambda name: f"d/{name}") | NAMES.map(lambda name: f"{name}.bin")
TREES = st.dictionaries(PATHS, st.binary(max_size=9))


@settings(max_examples=60, deadline=None)
@given(files=TREES, other=TREES, seed=st.integers(0, 2**32))
def test_a_signature_holds_for_its_own_files_and_no_others(files: Files, other: Files, seed: int) -> None:
    files = files | {"model.json": card()}
    pem, signed = decoys.resigned(files, random.Random(seed))
    key = PublicKey(pem)
    model.signer(signed, key)
    swapped = other | {"model.json": files["model.json"], "model.sig": signed["model.sig"]}
    if swapped == signed:
        model.signer(swapped, key)
    else:
        with pytest.raises(KeyBroken):
            model.signer(swapped, key)


SIGNED = decoys.resigned({"model.json": b"{}", "a": b"1"}, random.Random(3))
"""Made once: an ECDSA signature is drawn anew each time, and so is its length."""


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_no_byte_of_a_signature_can_change_what_it_says(data: st.DataObject) -> None:
    pem, signed = SIGNED
    bundle = bytearray(signed["model.sig"])
    place = data.draw(st.integers(0, len(bundle) - 1))
    bundle[place] ^= 1 << data.draw(st.integers(0, 7))
    altered = signed | {"model.sig": bytes(bundle)}
    try:
        model.signer(altered, PublicKey(pem))
    except KeyBroken:
        return
    # What is not under the signature may differ; the files may not.
    with pytest.raises(KeyBroken):
        model.signer(altered | {"a": b"2"}, PublicKey(pem))


def test_the_card_is_what_training_writes() -> None:
    said = json.loads(card())
    known = Card.model_validate({name: said[name] for name in Card.model_fields}, strict=True)
    assert (known.name, known.version) == ("recommender", 7)


def entries(folder: Path) -> Iterator[Path]:
    """Files below a folder, listed apart from the code under test."""
    return (path for path in folder.rglob("*") if path.is_file())


def test_contents_reads_every_file(folder: Path) -> None:
    listed = {path.relative_to(folder).as_posix(): path.read_bytes() for path in entries(folder)}
    assert model.contents(folder) == listed
