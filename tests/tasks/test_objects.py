"""What the runner hands out of versions that were read: the task's word, the bytes in quarantine, the store's word."""

import hashlib
import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs import load
from security.engines.s3 import Object
from security.errors import BadInput
from security.gate import judge, observe
from security.gates.rest import VOLUMES
from security.material import Material
from security.registry import GATES
from security.verdict import Basis, Outcome, Ref, Subject, Verdict
from tasks import material

DOCUMENT = load.text(load.find("sample", "pipelines"))
KEY = "arn:aws:kms:us-east-1:123456789012:key/ours"
BODIES = {"p/a.jsonl": b"alpha", "p/b.jsonl": b"beta!"}
FILES = {key: f"{number:05d}-{key[2:]}" for number, key in enumerate(BODIES)}
SUBJECT = Subject(kind="rows", name="quarantine:raw", sha256="0" * 64)
STATES = dict.fromkeys(("quarantine", "staging", "evidence", "store"), "encrypted")


def held(body: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}


def told() -> list[dict[str, Any]]:
    """What an honest task writes."""
    return [{"file": FILES[key], "key": key, "version": "v1", **held(body)} for key, body in BODIES.items()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Quarantine, as an honest task leaves it."""
    path = tmp_path / "raw"
    path.mkdir()
    for key, body in BODIES.items():
        (path / FILES[key]).write_bytes(body)
    written(path, told())
    return path


def written(folder: Path, objects: list[dict[str, Any]]) -> None:
    (folder / "manifest.json").write_text(json.dumps({"bucket": "b", "objects": objects}))


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that keeps the bodies, encrypted, and a checksum of the first."""

    def ask(*given: Any) -> list[tuple[str, dict[str, Any]]]:
        assert given[3] == [(key, "v1") for key in BODIES]
        sealed = {"status": 200, "algorithm": "aws:kms", "key": KEY}
        kept = {key: sealed | held(body) for key, body in BODIES.items()}
        kept["p/b.jsonl"]["sha256"] = ""
        return [("", sealed), *kept.items()]

    listed = [Object(key=key, version="v1", size=len(body), etag="") for key, body in BODIES.items()]
    monkeypatch.setattr("tasks.source.window", lambda *_: listed)
    monkeypatch.setattr("security.engines.cipher.ask", ask)
    monkeypatch.setattr("security.engines.volume.states", lambda _: STATES)


def opened(folder: Path) -> Material[Any]:
    plan = SimpleNamespace(document=DOCUMENT, partition="2023-10-27", window=1, run="r")
    home = SimpleNamespace(folder=lambda *_, private: folder, evidence=lambda _: folder)
    source = SimpleNamespace(endpoint="endpoint", credentials="own", basis=Basis.OBSERVED)
    run: Any = SimpleNamespace(plan=plan, home=home, source=source)
    ref = Ref(kind="rows", uri="quarantine:raw", sha256="0" * 64, size=0, count=2, unit="objects")
    return material._objects(run, ref, folder, SUBJECT)


def verdict(folder: Path) -> Verdict:
    limits = {"keys": [KEY]}
    gate = GATES["data_encryption_at_rest"]
    return judge(gate, observe(gate, opened(folder), limits, random.Random(1)), limits)


def test_each_version_comes_with_three_words_on_its_bytes(folder: Path) -> None:
    given = opened(folder)
    answers = dict(given)
    assert list(answers) == ["", VOLUMES, *BODIES]
    assert given.expected == 4
    for key, body in BODIES.items():
        own = held(body)
        assert (answers[key]["manifest"], answers[key]["quarantine"]) == (own, own)
        assert answers[key]["size"] == own["size"]
    found = verdict(folder)
    assert (found.outcome, found.cause) == (Outcome.PASS, "")
    assert found.reason.endswith("volumes encrypted, 1 of 2 checked against the store's own checksum")


@pytest.mark.parametrize("key", BODIES)
def test_a_manifest_that_names_another_sha_is_a_finding(folder: Path, key: str) -> None:
    written(folder, [each | ({"sha256": "f" * 64} if each["key"] == key else {}) for each in told()])
    assert [(each.rule, each.place) for each in verdict(folder).findings] == [("S3-SHA", key)]


@pytest.mark.parametrize("body", [b"other", b"longer than that"])
def test_other_bytes_in_quarantine_are_a_finding(folder: Path, body: bytes) -> None:
    (folder / FILES["p/b.jsonl"]).write_bytes(body)
    (found,) = verdict(folder).findings
    assert (found.rule, found.place, found.severity) == ("S3-SHA", "p/b.jsonl", "high")
    assert f"SHA-256 {held(body)['sha256'][:12]}, {len(body)} bytes in quarantine; allowed" in found.message


def test_other_bytes_in_quarantine_and_manifest_are_a_finding_where_the_store_keeps_a_checksum(folder: Path) -> None:
    for key, rules in (("p/a.jsonl", ["S3-SHA"]), ("p/b.jsonl", [])):
        (folder / FILES[key]).write_bytes(b"other")
        written(folder, [each | (held(b"other") if each["key"] == key else {}) for each in told()])
        assert [each.rule for each in verdict(folder).findings] == rules
        (folder / FILES[key]).write_bytes(BODIES[key])


@pytest.mark.parametrize("sha", ["", "F" * 64, None, 7])
def test_a_manifest_of_another_form_tells_nothing(folder: Path, sha: Any) -> None:
    written(folder, [each | {"sha256": sha} for each in told()])
    found = verdict(folder)
    assert (found.outcome, found.cause, found.findings) == (Outcome.INCONCLUSIVE, "unreadable", ())
    assert found.reason == "p/a.jsonl: manifest.sha256 was told in words that are not known"


def test_a_file_that_is_elsewhere_is_not_hashed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "elsewhere").write_bytes(BODIES["p/a.jsonl"])
    written(folder, [each | ({"file": "../elsewhere"} if each["key"] == "p/a.jsonl" else {}) for each in told()])
    monkeypatch.setattr(material, "hashed", lambda path: pytest.fail(f"{path} was read"))
    with pytest.raises(BadInput, match=r"^rows/../elsewhere, file: found no such file"):
        opened(folder)


def test_a_file_that_no_object_was_is_an_error(folder: Path) -> None:
    (folder / "hook.py").write_text("import os")
    with pytest.raises(BadInput, match=r"^rows/hook\.py, file: found a file that nobody looks at"):
        opened(folder)
