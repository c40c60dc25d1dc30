"""Model signature: the folder of a model is what the producer signed, unexpired, and no older than allowed.

Signatures are OpenSSF model signatures: `model.sig` is a sigstore bundle v0.3 with a DSSE envelope (PAE of DSSE 1.0.2)
around an in-toto Statement v1 of predicate type `https://model_signing/signature/v1.0`. Such a signature knows neither
name nor age, so the signed `model.json` (`Card`) says both. The library's verifier takes the list of what to overlook
from the signature and accepts two older formats; here the signed list must be exactly the files that were read.
"""

import base64
import hashlib
import json
import os
import random
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, ValidationError

from security.errors import CannotTell, KeyBroken
from security.gate import Gate, Material, Violation
from security.keys import ORDER, PAYLOAD, STATEMENT, PublicKey, pae
from security.verdict import Breach, Frozen, Rule, Subject, canonical, digest

SIGNATURE, CARD = "model.sig", "model.json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE = "https://model_signing/signature/v1.0"
IGNORED = frozenset({SIGNATURE, ".git", ".gitattributes", ".github", ".gitignore"})
"""What a signature may name as overlooked. None of it is overlooked here, whatever the signature says."""
MOST_FILES, MOST_BYTES = 10_000, 2 << 30
SHA, WORD = r"^[0-9a-f]{64}$", r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$"
_PATH = re.compile(r"(?!.*\.\.)[\w][\w.+=,@-]*(/[\w][\w.+=,@-]*)*", re.ASCII)


class Foreign(KeyBroken):
    """A well-formed model signature, but not by the key given."""


class Entry(NamedTuple):
    """One file: POSIX name relative to the folder, and its bytes. The name "" holds the trusted key in PEM."""

    name: str
    data: bytes


class Card(Frozen):
    """What `model.json` must say, among other things: name, version, origin by SHA-256, times in seconds (epoch)."""

    name: str = Field(pattern=WORD)
    version: int = Field(ge=0)
    run: str = Field(pattern=WORD)
    data: str = Field(pattern=SHA)
    code: str = Field(pattern=SHA)
    lock: str = Field(pattern=SHA)
    plan: str = Field(pattern=SHA)
    created: float = Field(ge=0)
    expires: float = Field(ge=0)


def _refuse(why: OSError) -> NoReturn:
    raise why


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, read once. `KeyBroken`: a link, device, hidden or odd name, too much, or nothing."""
    found: dict[str, bytes] = {}
    room = MOST_BYTES
    try:
        for path, folders, files, at in os.fwalk(folder, onerror=_refuse):
            for name in folders + files:
                place = (Path(path) / name).relative_to(folder).as_posix()
                if not _PATH.fullmatch(place):
                    raise KeyBroken(f"{place!a} is hidden or has a name that a model's file may not have")
                about = os.stat(name, dir_fd=at, follow_symlinks=False)
                if name in folders and stat.S_ISDIR(about.st_mode):
                    continue
                if not stat.S_ISREG(about.st_mode):
                    raise KeyBroken(f"{place} is a link or a device; a model has plain files only")
                room -= about.st_size
                if room < 0 or len(found) == MOST_FILES:
                    raise KeyBroken(f"more than {MOST_BYTES:,} bytes or {MOST_FILES:,} files in a model")
                with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at), "rb") as file:
                    found[place] = file.read(about.st_size + 1)
                if len(found[place]) != about.st_size:
                    raise KeyBroken(f"{place} changed while it was read")
    except OSError as why:
        raise KeyBroken(f"the model's folder cannot be read ({type(why).__name__})") from None
    if not found:
        raise KeyBroken("the model's folder is a link or holds no file")
    return found


def describe(contents: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Name, SHA-256 and size in bytes of every file, the signature included, by name."""
    return [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in sorted(contents.items())
    ]


def release(contents: Mapping[str, bytes]) -> str:
    """The digest of a model: that of the canonical listing of all its files."""
    return digest({"files": describe(contents)})


def sign(folder: Path, private_key: Path) -> None:
    """Write `model.sig` into `folder`: the OpenSSF signature of all its other files by a P-256 key in PEM."""
    from model_signing import hashing, signing

    private = serialization.load_pem_private_key(private_key.read_bytes(), None)
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    public = PublicKey(private.public_key().public_bytes(*form), private_key.name)
    contents(folder)
    everything = hashing.Config()  # type: ignore[no-untyped-call]
    everything.set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)
    config = signing.Config().set_hashing_config(everything)  # type: ignore[no-untyped-call]
    config.use_elliptic_key_signer(private_key=private_key).sign(folder, folder / SIGNATURE)
    signer(contents(folder), public)


def _shas(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != SIGNATURE}


def _payload(bundle: bytes, key: PublicKey) -> bytes:
    """The bytes that `key` signed; `Foreign` if it did not, `KeyBroken` if this is no bundle."""
    try:
        document = json.loads(bundle)
        envelope = document["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        if (document["mediaType"], envelope["payloadType"]) != (BUNDLE, PAYLOAD):
            raise KeyBroken(f"{SIGNATURE} is not a sigstore bundle v0.3 around an in-toto statement")
        hint = document["verificationMaterial"]["publicKey"]["hint"]
        body = base64.b64decode(envelope["payload"], validate=True)
        mark = base64.b64decode(signature["sig"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError) as why:
        raise KeyBroken(f"{SIGNATURE} is not a sigstore bundle ({type(why).__name__})") from None
    try:
        # Not `PublicKey.verify`: the library signs with either S, and only our own envelopes have one spelling.
        key.key.verify(mark, pae(body), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Foreign("the model is not signed by the key given") from None
    if hint != hashlib.sha256(key.pem).hexdigest():
        raise Foreign("the model's signature names another key than the one given")
    return body


def _listed(body: bytes) -> dict[str, str]:
    """Name -> SHA-256 of the files that a statement lists, or `KeyBroken`."""
    try:
        statement = json.loads(body)
        if (statement["_type"], statement["predicateType"]) != (STATEMENT, PREDICATE):
            raise KeyBroken("the signed statement is not a model signature v1.0")
        form = dict(statement["predicate"]["serialization"])
        ignored = form.pop("ignore_paths", [])
        if form != {"method": "files", "hash_type": "sha256", "allow_symlinks": False}:
            raise KeyBroken("the signature does not list whole files by SHA-256 without links")
        if not set(ignored) <= IGNORED:
            raise KeyBroken("the signature wants files overlooked")
        resources = statement["predicate"]["resources"]
        found = {each["name"]: each["digest"] for each in resources}
        proper = all(_PATH.fullmatch(name) and re.fullmatch(SHA, sha) for name, sha in found.items())
        plain = resources == [{"name": name, "algorithm": "sha256", "digest": sha} for name, sha in found.items()]
        if not (found and proper and plain) or SIGNATURE in found:
            raise KeyBroken("the signature's list of files is empty, repeats a name or is not of names and SHA-256")
        (subject,) = statement["subject"]
        if subject["digest"] != {"sha256": hashlib.sha256(bytes.fromhex("".join(found.values()))).hexdigest()}:
            raise KeyBroken("the signature's root digest is not that of its list of files")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
        raise KeyBroken(f"the signed statement is not a model signature ({type(why).__name__})") from None
    return found


def _differences(files: Mapping[str, str], listed: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Rule, file and sentence for every file that is not as it was signed."""
    for name in sorted({*files, *listed}):
        if name not in listed:
            yield "SIG-EXTRA", name, "found a file that was not signed; allowed: the signed files only"
        elif name not in files:
            yield "SIG-MISSING", name, "found no such file; allowed: every signed file"
        elif files[name] != listed[name]:
            yield "SIG-ALTERED", name, f"found sha256 {files[name][:12]}; allowed: {listed[name][:12]}, as signed"


def signer(contents: Mapping[str, bytes], key: PublicKey) -> None:
    """Raise `KeyBroken` unless `key` signed exactly these files: nothing else, nothing more, nothing less."""
    if SIGNATURE not in contents:
        raise KeyBroken(f"the model has no {SIGNATURE}")
    for _, name, sentence in _differences(_shas(contents), _listed(_payload(contents[SIGNATURE], key))):
        raise KeyBroken(f"{name}: {sentence}")


def material(subject: Subject, folder: Path, expected: int, key: PublicKey) -> Material[Entry]:
    """A model's folder for one look, the trusted key first, of weight 0; `expected` files as listed by the runner.

    `subject.sha256` is the model's `release`: a folder with another is not looked at.
    """

    def source() -> Iterator[Entry]:
        try:
            files = contents(folder)
        except KeyBroken as why:
            raise CannotTell(str(why)) from None
        if release(files) != subject.sha256:
            raise CannotTell("the folder's files are not those of the reference")
        yield Entry("", key.pem)
        yield from (Entry(name, data) for name, data in sorted(files.items()))

    return Material(subject, source, expected=expected, unit="files", weigh=_weigh, sample=MOST_FILES + 1)


def _weigh(entry: Entry) -> int:
    return int(entry.name != "")


def _unpack(items: Iterable[Entry]) -> tuple[PublicKey, dict[str, bytes]]:
    """The trusted key and the files; all items are taken."""
    files: dict[str, bytes] = {}
    for name, data in items:
        if name in files or not (name == "" or _PATH.fullmatch(name)):
            raise CannotTell("a file is handed out twice or has a name that a model's file may not have")
        files[name] = data
    try:
        key = PublicKey(files.pop("", b""))
    except KeyBroken as why:
        raise CannotTell(str(why)) from None
    if not files:
        raise CannotTell("there is nothing to look at: no files", "coverage")
    return key, files


class Limits(Frozen):
    """Whose signature, which model, and the lowest version that is not a step back."""

    signer: str = Field(pattern=SHA)
    name: str = Field(pattern=WORD)
    floor: int = Field(ge=1)


class Facts(Frozen):
    """File -> SHA-256 as read and as signed, and who signed; the signed card; `at` is when (seconds, epoch)."""

    at: float
    files: dict[str, str]
    listed: dict[str, str]
    signed_by: str
    """Id of the key given if the signature is by it, else empty; then `listed` is empty, for it would be anybody's."""
    problem: str
    """Why the signature cannot be read, or empty."""
    card: Card | None
    """Present where `model.json` is as signed and has all that a card must have."""


def _facts(items: Iterable[Entry]) -> Facts:
    key, files = _unpack(items)
    shas, listed, signed_by, problem, card = _shas(files), dict[str, str](), "", "", None
    try:
        if SIGNATURE not in files:
            raise KeyBroken(f"the model has no {SIGNATURE}")
        body = _payload(files[SIGNATURE], key)
        signed_by = key.id
        listed = _listed(body)
        if CARD in shas and shas[CARD] == listed.get(CARD):
            said = json.loads(files[CARD])
            card = Card.model_validate({name: said[name] for name in Card.model_fields}, strict=True)
    except Foreign:
        listed = {}
    except KeyBroken as why:
        problem = str(why)
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError):
        card = None  # a finding of its own, made by the judge
    at = round(time.time(), 3)
    return Facts(at=at, files=shas, listed=listed, signed_by=signed_by, problem=problem, card=card)


def _resigned(files: Mapping[str, bytes], draw: random.Random, body: bytes = b"") -> tuple[bytes, dict[str, bytes]]:
    """A fresh key in PEM, and the files signed by it: `body` if given, else a statement that lists them as they are."""
    private = ec.derive_private_key(draw.randrange(1, ORDER), ec.SECP256R1())
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    pem = private.public_key().public_bytes(*form)
    shas = sorted(_shas(files).items())
    root = hashlib.sha256(bytes.fromhex("".join(sha for _, sha in shas))).hexdigest()
    form_of = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [SIGNATURE]}
    listing = [{"name": name, "algorithm": "sha256", "digest": sha} for name, sha in shas]
    body = body or canonical(
        {
            "_type": STATEMENT,
            "subject": [{"name": "model", "digest": {"sha256": root}}],
            "predicateType": PREDICATE,
            "predicate": {"serialization": form_of, "resources": listing},
        }
    )
    mark = base64.b64encode(private.sign(pae(body), ec.ECDSA(hashes.SHA256()))).decode()
    signed = {"payload": base64.b64encode(body).decode(), "payloadType": PAYLOAD, "signatures": [{"sig": mark}]}
    hint = {"publicKey": {"hint": hashlib.sha256(pem).hexdigest()}, "tlogEntries": []}
    bundle = {"mediaType": BUNDLE, "verificationMaterial": hint, "dsseEnvelope": signed}
    return pem, {**files, SIGNATURE: canonical(bundle)}


def _sound(sample: Sequence[Entry], draw: random.Random) -> tuple[bytes, dict[str, bytes]]:
    """The trusted key in PEM and the files; of a model that is not sound, a sound one made from it."""
    facts, (key, files) = _facts(sample), _unpack(sample)
    if facts.card and facts.files == facts.listed:
        return key.pem, files
    origin = dict.fromkeys(("data", "code", "lock", "plan"), hashlib.sha256(draw.randbytes(8)).hexdigest())
    card = Card(name="model", version=1, run="run", created=1.0, expires=2.0**40, **origin)
    return _resigned({**files, CARD: card.model_dump_json().encode()}, draw)


Change = Callable[[dict[str, bytes], random.Random], None]


def _changed(change: Change, *, again: bool = False) -> Violation[Entry]:
    """Makes a sound model with one change, signed `again` afterwards or not.

    Nobody but the producer can sign a changed card, so such a canary brings a fresh key as the trusted one: it breaks
    SIG-KEY besides its own rule, and is counted as caught by its own alone.
    """

    def make(sample: Sequence[Entry], draw: random.Random) -> list[Entry]:
        pem, files = _sound(sample, draw)
        change(files, draw)
        if again:
            pem, files = _resigned(files, draw)
        return [Entry("", pem), *(Entry(name, data) for name, data in files.items())]

    return make


def _drawn(files: Mapping[str, bytes], draw: random.Random) -> str:
    return draw.choice(sorted(set(files) - {SIGNATURE}))


def _word(draw: random.Random) -> str:
    return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(8, 16)))


def _unsigned(files: dict[str, bytes], draw: random.Random) -> None:
    junk = draw.choice([None, b"", draw.randbytes(40), files[SIGNATURE].replace(b"bundle.v0.3", b"bundle.v0.1")])
    if junk is None:
        del files[SIGNATURE]
    else:
        files[SIGNATURE] = junk


def _foreign(files: dict[str, bytes], draw: random.Random) -> None:
    body = base64.b64decode(json.loads(files[SIGNATURE])["dsseEnvelope"]["payload"])
    files.update(_resigned(files, draw, body)[1])


def _alter(files: dict[str, bytes], draw: random.Random) -> None:
    name = _drawn(files, draw)
    data = bytearray(files[name] or b"\0")
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    files[name] = bytes(data)


def _add(files: dict[str, bytes], draw: random.Random) -> None:
    files[draw.choice(["", "assets/"]) + _word(draw) + draw.choice([".py", ".so", ".bin"])] = draw.randbytes(9)


def _remove(files: dict[str, bytes], draw: random.Random) -> None:
    del files[_drawn(files, draw)]


def _cardless(files: dict[str, bytes], draw: random.Random) -> None:
    said = json.loads(files[CARD])
    del said[draw.choice(sorted(Card.model_fields))]
    files[CARD] = draw.choice([b"", b"[]", draw.randbytes(9), json.dumps(said).encode()])


def _card(make: Callable[[random.Random], dict[str, Any]]) -> Change:
    def change(files: dict[str, bytes], draw: random.Random) -> None:
        files[CARD] = json.dumps(json.loads(files[CARD]) | make(draw)).encode()

    return change


_TAMPERED = ("NIST 800-53 SI-7", "NIST 800-53 CM-14", "NIST SSDF PS.2.1", "OWASP ML06:2023")
_ROLLBACK = ("NIST SSDF PS.3.1", "OWASP ML06:2023")
_TRAIN = "train again, or take the model from the registry again; then sign by the producer's key"


class ModelSignature(Gate[Entry]):
    """The model is signed by the producer, file for file, and is the one that is wanted."""

    name: ClassVar[str] = "model_signature"
    kind: ClassVar[str] = "model"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=controls)
        for id, severity, title, remedy, controls in (
            ("SIG-NONE", "critical", "a model without a signature that can be read", _TRAIN, _TAMPERED),
            ("SIG-KEY", "critical", "a model signed by another key", _TRAIN, _TAMPERED),
            ("SIG-ALTERED", "critical", "a file that differs from what was signed", _TRAIN, _TAMPERED),
            ("SIG-EXTRA", "critical", "a file that was not signed", "remove it, or sign it", _TAMPERED),
            ("SIG-MISSING", "critical", "a signed file that is not there", _TRAIN, _TAMPERED),
            ("SIG-CARD", "high", "a signed model that does not say what it is", f"write {CARD}, then sign", _ROLLBACK),
            ("SIG-EXPIRED", "high", "a model past its expiry", "train again", _ROLLBACK),
            ("SIG-NAME", "high", "another model than the one wanted", "deploy the model that is named", _ROLLBACK),
            ("SIG-VERSION", "high", "a step back to an older model", "deploy a newer version", _ROLLBACK),
        )
    }
    violations: ClassVar[Mapping[str, Violation[Any]]] = {
        "SIG-NONE": _changed(_unsigned),
        "SIG-KEY": _changed(_foreign),
        "SIG-ALTERED": _changed(_alter),
        "SIG-EXTRA": _changed(_add),
        "SIG-MISSING": _changed(_remove),
        "SIG-CARD": _changed(_cardless, again=True),
        "SIG-EXPIRED": _changed(_card(lambda draw: {"expires": draw.uniform(0, 1e9)}), again=True),
        "SIG-NAME": _changed(_card(lambda draw: {"name": _word(draw)}), again=True),
        "SIG-VERSION": _changed(_card(lambda _: {"version": 0}), again=True),
    }

    def look(self, material: Material[Entry]) -> Facts:
        """What was signed, what is there, by whom, and the card."""
        return _facts(material)

    def judge(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        """Breaches; what is not signed is not believed, so a broken signature hides what would follow from it."""
        if facts.problem:
            yield Breach(rule="SIG-NONE", place=SIGNATURE, message=f"{facts.problem}; allowed: a model signature v1.0")
            return
        if facts.signed_by != limits.signer:
            found = facts.signed_by[:12] or "another key than the one given"
            message = f"signed by {found}; allowed: {limits.signer[:12]}"
            yield Breach(rule="SIG-KEY", place=SIGNATURE, message=message)
        if not facts.signed_by:
            return
        for rule, name, sentence in _differences(facts.files, facts.listed):
            yield Breach(rule=rule, place=name, message=sentence)
        if facts.files.get(CARD) != facts.listed.get(CARD):
            return
        if facts.card is None:
            message = f"found none with {', '.join(Card.model_fields)}; allowed: all of them"
            yield Breach(rule="SIG-CARD", place=CARD, message=message)
            return
        card = facts.card
        if card.expires < facts.at:
            message = f"expired {facts.at - card.expires:,.0f} s before it was looked at; allowed: 0 s"
            yield Breach(rule="SIG-EXPIRED", place=f"{CARD}:expires", message=message)
        if card.name != limits.name:
            yield Breach(rule="SIG-NAME", place=f"{CARD}:name", message=f"found {card.name}; allowed: {limits.name}")
        if card.version < limits.floor:
            message = f"found version {card.version}; allowed: {limits.floor} or newer"
            yield Breach(rule="SIG-VERSION", place=f"{CARD}:version", message=message)

    def brief(self, facts: Facts) -> str:
        """Name, version, signer."""
        return f"{facts.card.name} v{facts.card.version}, signed by {facts.signed_by[:8]}" if facts.card else ""
