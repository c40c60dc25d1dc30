"""Models on disk: content-addressed, written once, hashed again, and nothing but what a manifest may say."""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.errors import KeyBroken, LogBroken, StoreError
from security.keys import UnsafeLocalKeys
from security.models import manifest
from security.verdict import canonical
from tasks.layout import LAYOUT, Layout
from tests.security.models.making import ATTACHED, files


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("model")
    return files(folder / "model", UnsafeLocalKeys(folder / "keys"))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "models")


def blob(layout: Layout, data: bytes) -> Path:
    return layout.path(hashlib.sha256(data).hexdigest())


def test_a_model_comes_back_as_it_was_kept(layout: Layout, model: dict[str, bytes], tmp_path: Path) -> None:
    sha = layout.keep(model, ATTACHED)
    found = layout.model(sha)
    assert (found.files, found.attached, found.sha256) == (model, ATTACHED, sha)
    assert (found.manifest.name, found.manifest.version) == ("sample", 3)
    assert layout.keep(model, ATTACHED) == sha  # the same again is the same
    assert layout.keep({**model, "more": b"x"}, ATTACHED) != sha
    to = layout.unpack(sha, tmp_path / "out" / "model")
    assert {path.relative_to(to).as_posix(): path.read_bytes() for path in to.rglob("*") if path.is_file()} == model
    with pytest.raises(StoreError, match="there already"):
        layout.unpack(sha, to)
    assert sorted(path.name for path in to.parent.iterdir()) == ["model"]
    assert to.stat().st_mode & 0o777 == 0o700


def test_it_is_an_oci_layout(layout: Layout, model: dict[str, bytes]) -> None:
    sha = layout.keep(model, ATTACHED)
    assert not (layout.root / "index.json").exists()
    layout.tag(sha, "sample-3")
    assert (layout.root / "oci-layout").read_bytes() == LAYOUT == b'{"imageLayoutVersion":"1.0.0"}'
    (entry,) = json.loads((layout.root / "index.json").read_bytes())["manifests"]
    told = json.loads(blob(layout, layout.get(sha, entry["size"])).read_bytes())
    assert (entry["digest"], entry["mediaType"]) == (f"sha256:{sha}", told["mediaType"])
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "sample-3"}
    assert (told["schemaVersion"], told["artifactType"]) == (2, "application/vnd.sluice.model.v1")
    assert blob(layout, model["model.json"]).name == told["config"]["digest"].removeprefix("sha256:")
    titles = [each["annotations"]["org.opencontainers.image.title"] for each in told["layers"]]
    assert titles == [*sorted(model), *sorted(ATTACHED)]
    for path in layout.blobs.iterdir():
        assert path.name == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.stat().st_mode & 0o777 == 0o444


def test_what_cannot_be_unpacked_as_it_is_is_not(
    layout: Layout, model: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha, to = layout.keep(model, ATTACHED), tmp_path / "out" / "model"
    to.parent.mkdir()
    to.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="there already"):
        layout.unpack(sha, to)
    to.unlink()
    monkeypatch.setattr("tasks.layout.contents", lambda folder: {"other": b""})
    with pytest.raises(StoreError, match="was unpacked to other files than it names"):
        layout.unpack(sha, to)
    monkeypatch.setattr(Path, "write_bytes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        layout.unpack(sha, to)
    assert list(to.parent.iterdir()) == []
    large = layout.put(b" " * (manifest.MOST + 1))
    with pytest.raises(StoreError, match="found 4,194,305 bytes; allowed: 4,194,304"):
        layout.model(large)


def test_what_is_read_is_hashed_again(layout: Layout, model: dict[str, bytes], tmp_path: Path) -> None:
    sha = layout.keep(model, ATTACHED)
    for data in (*model.values(), *ATTACHED.values()):
        path = blob(layout, data)
        path.chmod(0o644)
        for other in (data[:-1] + b"!", data + b"!", data[:-1] if data else b"?"):
            path.write_bytes(other)
            with pytest.raises(StoreError, match="other bytes than its digest"):
                layout.model(sha)
            with pytest.raises(StoreError, match="other bytes"):
                layout.keep(model, ATTACHED)  # and is never put right in silence
            with pytest.raises(StoreError):
                layout.unpack(sha, tmp_path / "out")
        path.unlink()
        with pytest.raises(StoreError, match="cannot be read"):
            layout.model(sha)
        (tmp_path / "aside").write_bytes(data)
        path.symlink_to(tmp_path / "aside")
        with pytest.raises(StoreError, match="cannot be read"):
            layout.model(sha)
        path.unlink()
        path.write_bytes(data)
    assert not (tmp_path / "out").exists()
    data = model["model.safetensors"]
    for size in (0, len(data) - 1, len(data) + 1):
        with pytest.raises(StoreError, match="and its size of"):
            layout.get(hashlib.sha256(data).hexdigest(), size)
    layout.path(sha).chmod(0o644)
    layout.path(sha).write_bytes(layout.path(sha).read_bytes().replace(b"sample", b"simple"))
    with pytest.raises(StoreError, match="other bytes"):
        layout.model(sha)


@pytest.mark.parametrize("sha", ["", "../oci-layout", "A" * 64, "a" * 63, "/etc/passwd"])
def test_a_digest_is_no_path(layout: Layout, sha: str) -> None:
    with pytest.raises(StoreError, match="not a SHA-256"):
        layout.model(sha)


Change = Callable[[dict[str, Any]], Any]


def layer(title: str, kind: str = manifest.FILE) -> dict[str, Any]:
    told = manifest.descriptor(kind, hashlib.sha256(b"").hexdigest(), 0)
    return told | {"annotations": {manifest.TITLE: title}}


CHANGES: dict[str, Change] = {
    "a field that nobody knows": lambda told: told.update(more=1),
    "a subject": lambda told: told.update(subject=told["config"]),
    "another artifact type": lambda told: told.update(artifactType="application/vnd.other"),
    "no artifact type": lambda told: told.pop("artifactType"),
    "another schema": lambda told: told.update(schemaVersion=1),
    "another media type": lambda told: told.update(mediaType="application/vnd.docker.distribution.manifest.v2+json"),
    "a config of another type": lambda told: told["config"].update(mediaType="application/json"),
    "another config": lambda told: told["config"].update(digest="sha256:" + "0" * 64),
    "another size": lambda told: told["config"].update(size=told["config"]["size"] + 1),
    "an annotation more": lambda told: told["annotations"].update(more="x"),
    "an annotation of a layer more": lambda told: told["layers"][0]["annotations"].update(more="x"),
    "a url in a layer": lambda told: told["layers"][0].update(urls=["https://elsewhere.test/"]),
    "data in a layer": lambda told: told["layers"][0].update(data="eA=="),
    "an odd layer": lambda told: told["layers"].append(layer("x", "application/octet-stream")),
    "a second statement": lambda told: told["layers"].append(layer("x", manifest.ATTACHED["statement.dsse"])),
    "no statement": lambda told: told["layers"].pop(),
    "a statement as a file": lambda told: told["layers"].insert(0, layer("statement.dsse")),
    "one title twice": lambda told: told["layers"].insert(1, told["layers"][0]),
    "another order": lambda told: told["layers"].reverse(),
    "no layers": lambda told: told.update(layers=[]),
    "layers that are none": lambda told: told.update(layers=7),
    "a name that climbs": lambda told: told["layers"].insert(0, layer("../evil.py")),
    "an absolute name": lambda told: told["layers"].insert(0, layer("/evil.py")),
    "a hidden name": lambda told: told["layers"].insert(0, layer(".git/evil.py")),
    "a hidden name below": lambda told: told["layers"].insert(1, layer("deep/.git/evil.py")),
    "a file that is a folder": lambda told: told["layers"].insert(0, layer("deep")),
    "an empty name": lambda told: told["layers"].insert(0, layer("")),
    "a size that is no number": lambda told: told["layers"][0].update(size=str(told["layers"][0]["size"])),
    "a size below nothing": lambda told: told["layers"][0].update(size=-1),
    "a size beyond all": lambda told: told["layers"][0].update(size=1 << 40),
    "more than a model may weigh": lambda told: [each.update(size=manifest.MOST_BYTES) for each in told["layers"][:2]],
    "another algorithm": lambda told: told["layers"][0].update(digest="sha512:" + "0" * 128),
    "another name": lambda told: told["annotations"].update({manifest.TITLE: "Sample"}),
    "a version spelled otherwise": lambda told: told["annotations"].update({manifest.VERSION: "03"}),
    "a version beyond all": lambda told: told["annotations"].update({manifest.VERSION: str(1 << 53)}),
    "version zero": lambda told: told["annotations"].update({manifest.VERSION: "0"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_is_what_a_models_is_and_nothing_more(
    layout: Layout, model: dict[str, bytes], change: str, tmp_path: Path
) -> None:
    layout.put(b"")
    told = json.loads(manifest.made(model, ATTACHED))
    CHANGES[change](told)
    data = canonical(told)
    sha = layout.put(data)
    with pytest.raises(LogBroken if change != "another name" else KeyBroken):
        manifest.read(data, sha)
    with pytest.raises((LogBroken, KeyBroken)):
        layout.unpack(sha, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_spelling(model: dict[str, bytes]) -> None:
    data = manifest.made(model, ATTACHED)
    assert manifest.read(data, hashlib.sha256(data).hexdigest()).spelled() == data
    for other in (data + b"\n", json.dumps(json.loads(data)).encode(), b"", b"[]", b"{", b'{"layers":[7]}'):
        with pytest.raises(LogBroken):
            manifest.read(other, hashlib.sha256(other).hexdigest())
    with pytest.raises(LogBroken, match="of another digest"):
        manifest.read(data, "0" * 64)
    large = b" " * (manifest.MOST + 1)
    with pytest.raises(LogBroken, match="or too many of them"):
        manifest.read(large, hashlib.sha256(large).hexdigest())


@pytest.mark.parametrize("name", ["", "Sample", "a/b", "-a", "a..b", "a" * 101, "revoked", ".git", "a:b", "a\n"])
def test_a_name_is_one_that_a_repository_can_have(name: str) -> None:
    assert manifest.named("a" * 100) == "a" * 100
    with pytest.raises(KeyBroken, match="a model named"):
        manifest.named(name)


@given(at=st.integers(0), flip=st.integers(1, 255))
def test_no_byte_of_a_manifest_can_be_changed(model: dict[str, bytes], at: int, flip: int) -> None:
    """Either it is refused, or it names other bytes or another version: never the same model."""
    data = bytearray(manifest.made(model, ATTACHED))
    before = manifest.read(bytes(data), hashlib.sha256(data).hexdigest())
    data[at % len(data)] ^= flip
    try:
        after = manifest.read(bytes(data), hashlib.sha256(data).hexdigest())
    except (LogBroken, KeyBroken):
        return
    assert after != before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.json": b"[]"}, "no card"),
        ({"model.json": b'{"name": "sample", "version": "3"}'}, "no card"),
        ({"model.json": b'{"name": "Sample", "version": 3}'}, "a model named 'Sample'"),
        ({"statement.dsse": b"x"}, "one title twice"),
        ({".git/evil.py": b"x"}, "may not have"),
        ({"../evil.py": b"x"}, "may not have"),
    ],
)
def test_what_cannot_be_read_is_not_kept(
    layout: Layout, model: dict[str, bytes], changes: dict[str, bytes], said: str
) -> None:
    with pytest.raises((LogBroken, KeyBroken), match=said):
        layout.keep({**model, **changes}, ATTACHED)
    assert not layout.root.exists()


@pytest.mark.parametrize("name", ["model.json", "model.sig"])
def test_a_card_and_a_signature_must_be_there(layout: Layout, model: dict[str, bytes], name: str) -> None:
    with pytest.raises(LogBroken):
        layout.keep({key: data for key, data in model.items() if key != name}, ATTACHED)
    for lost in ATTACHED:
        with pytest.raises(LogBroken, match="other than one each"):
            layout.keep(model, {key: data for key, data in ATTACHED.items() if key != lost})


def tagged(layout: Layout, model: dict[str, bytes]) -> str:
    sha = layout.keep(model, ATTACHED)
    layout.tag(sha, f"sample-{layout.model(sha).manifest.version}")
    return sha


def test_many_writers_leave_one_whole_layout(layout: Layout, model: dict[str, bytes]) -> None:
    others = [{**model, "model.json": json.dumps({"name": "sample", "version": n}).encode()} for n in range(1, 9)]
    shas: list[str] = []
    threads = [threading.Thread(target=lambda m=each: shas.append(tagged(layout, m))) for each in others * 2]  # type: ignore[misc]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    tags = json.loads((layout.root / "index.json").read_bytes())["manifests"]
    assert {each["digest"].removeprefix("sha256:") for each in tags} == set(shas)
    assert (len(tags), len(shas)) == (8, 16)
    assert not [path for path in layout.root.iterdir() if path.name.startswith(".new-")]
    assert all(layout.model(sha).manifest.version in range(1, 9) for sha in shas)


def test_nothing_half_written_is_seen(layout: Layout, model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends while it writes leaves no blob under its name."""

    def full(_: int) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        layout.keep(model, ATTACHED)
    assert list(layout.blobs.iterdir()) == []
    assert not (layout.root / "index.json").exists()


def test_the_index_decides_nothing(layout: Layout, model: dict[str, bytes]) -> None:
    sha, other = layout.keep(model, ATTACHED), layout.keep({**model, "more": b"x"}, ATTACHED)
    layout.tag(sha, "sample-3")
    layout.tag(other, "sample-3")  # a tag moves, and names one manifest
    (entry,) = json.loads((layout.root / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == f"sha256:{other}"
    (layout.root / "index.json").write_text("{}")
    assert layout.model(sha).files == model
    with pytest.raises(StoreError, match="it decides nothing"):
        layout.tag(sha, "sample-3")
    (layout.root / "index.json").unlink()
    layout.tag(sha, "sample-3")
