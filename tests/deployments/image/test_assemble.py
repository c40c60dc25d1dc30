"""The image of the service: put together twice the same, and what the gate over images says of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from deployments.image import assemble
from deployments.image.store import Store
from security.errors import BadInput, StoreError
from security.gate import judge, observe
from security.gates.image import ImageVulnerabilityScanning
from security.inventory import layout, made
from security.inventory.layers import Laid, chains, lay
from security.verdict import Outcome, Verdict
from tasks import image
from tasks.home import Home
from tests.security.gates import images
from tests.security.gates.images import BASE, CONFIG, KEY, TOP

GATE = ImageVulnerabilityScanning()
LIMITS = images.LIMITS | {"bases": [images.base()], "pending": "UnsafeLet"}
ENTRY = ["/usr/bin/python3.11", "-I", "-S", "-B", "/srv/code/serve.py"]
MODEL = {"model.safetensors": b"\0" * 64, "model.json": b"{}"}


@pytest.fixture
def base(tmp_path: Path) -> tuple[Path, str]:
    """A base in a layout of its own."""
    here = made.image([made.blob(made.layer(BASE))], CONFIG)
    assemble.written(here, Store(tmp_path / "base"), "base")
    return tmp_path / "base", here.sha256


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Any]:
    """Packages behind links, and code."""
    real, packages, code = tmp_path / "real", tmp_path / "packages", tmp_path / "code"
    for folder in (real, packages, code):
        folder.mkdir()
    for path, node in TOP.items():
        at = real / path.removeprefix("srv/packages/")
        at.parent.mkdir(exist_ok=True)
        at.write_bytes(node.data or b"")
    for path in real.iterdir():
        (packages / path.name).symlink_to(path)
    (code / "serve.py").write_text("print('x')\n")
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "serve.pyc").write_bytes(b"made here")
    model = {name: tmp_path / name for name in MODEL}
    for name, path in model.items():
        path.write_bytes(MODEL[name])
    log = {"predecessor/log.jsonl": tmp_path / "log"}
    (tmp_path / "log").write_bytes(b"{}\n")
    return {"packages": packages, "code": {"serving": code}, "model": model, "log": log, "entrypoint": ENTRY}


def test_it_is_the_same_digest_each_time_and_has_the_base_below(
    base: tuple[Path, str], parts: dict[str, Any], tmp_path: Path
) -> None:
    first = assemble.assembled(*base, **parts, out=tmp_path / "one", signer=KEY)
    for path in sorted((tmp_path / "real").rglob("*")):
        path.touch()
    again = assemble.assembled(*base, **parts, out=tmp_path / "two", signer=KEY)
    assert first == again
    (tmp_path / "code" / "serve.py").write_text("print('y')\n")
    assert assemble.assembled(*base, **parts, out=tmp_path / "three", signer=KEY) != first
    found = layout.opened(tmp_path / "one", first)
    assert chains(each.diff for each in found.layers)[0] == images.base()
    assert len(found.layers) == 4
    laid = Laid()
    for number, each in enumerate(found.layers, 1):
        lay(laid, number, each, lambda *_: None)
    assert laid.broken == []
    paths = {path for path, _ in laid.tree.files()}
    assert {"srv/packages/alpha.py", "srv/code/serving/serve.py", "srv/release/model.json"} <= paths
    assert "srv/log/predecessor/log.jsonl" in paths
    assert not any("__pycache__" in path for path in paths)


def verdict(folder: Path, sha: str, lock: Path, home: Path) -> Verdict:
    given = image.image(Home(home), lock, folder, f"127.0.0.1:5000/serving@sha256:{sha}", [KEY.public], root=home)
    return judge(GATE, observe(GATE, given, LIMITS), LIMITS)


def test_the_gate_finds_nothing_but_that_nobody_signed_it_where_nobody_has(
    base: tuple[Path, str], parts: dict[str, Any], tmp_path: Path
) -> None:
    out, lock = tmp_path / "out", tmp_path / "own.lock"
    lock.write_text("".join(f"{name}=={at} --hash=sha256:{'a' * 64}\n" for name, at in images.LOCK.items()))
    sha = assemble.assembled(*base, **parts, out=out, signer=KEY, name="127.0.0.1:5000/serving")
    seen = verdict(out, sha, lock, tmp_path / "home")
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "advisories"), seen.reason
    index = json.loads((out / "index.json").read_bytes())
    left = [each for each in index["manifests"] if each["annotations"][layout.TAG] == assemble.TAG]
    (out / "index.json").write_text(json.dumps({**index, "manifests": left}))
    assert {each.rule for each in verdict(out, sha, lock, tmp_path / "home").findings} == {"IMG-02", "IMG-03"}


def test_what_cannot_be_put_together(base: tuple[Path, str], parts: dict[str, Any], tmp_path: Path) -> None:
    def refused(**changed: Any) -> str:
        with pytest.raises((BadInput, StoreError)) as why:
            assemble.assembled(*base, **{**parts, "out": tmp_path / "out", "signer": KEY} | changed)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        return str(why.value)

    assert "no service, no model, or no log" in refused(model={})
    assert "no service, no model, or no log" in refused(log={})
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no service, no model, or no log" in refused(packages=empty, code={})
    assert "a new folder" in refused(out=empty)
    bad = tmp_path / "bad"
    (bad / "pkg").mkdir(parents=True)
    (bad / "pkg" / "link").symlink_to("/etc/passwd")
    assert "a link" in refused(packages=bad)
    path = base[0] / "blobs" / "sha256" / images.base()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"\0")
    assert "allowed: its own" in refused()
