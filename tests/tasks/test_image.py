"""What the runner opens for the gate over images: this very system, and a layout on disk."""

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deployments.image.assemble import written
from deployments.image.store import Store
from security.errors import BadInput
from security.gate import judge, observe
from security.gates.image import Facts, ImageVulnerabilityScanning
from security.inventory import Node, layout, made
from security.inventory.layers import Blob
from security.policy import Terms, effect
from security.verdict import Outcome
from tasks import image, lock, service
from tasks.home import Home
from tests.security.gates import images
from tests.security.gates.images import BASE, CONFIG, KEY, TOP

GATE = ImageVulnerabilityScanning()
LIMITS = images.LIMITS | {"bases": [images.base()], "pending": "UnsafeLet"}


def lay(folder: Path, *layers: Mapping[str, Node], config: Mapping[str, Any] = CONFIG) -> made.Made:
    """An image in a layout of its own, signed and attested as cosign does it."""
    given = images.items(*layers, config=config)
    told = {each.kind: each.value for each in given}
    blobs = [each.value for each in given if each.kind == "layer"]
    here, store = made.Made(told["manifest"], told["config"], tuple(blobs)), Store(folder)
    written(here, store)
    payload, mark = told["signature"]
    store.attach(here.sha256, ".sig", layout.SIGNED, payload, {layout.SIGNATURE: base64.b64encode(mark).decode()})
    store.attach(here.sha256, ".att", layout.ENVELOPE, told["attestation"], {})
    return here


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.lock"
    path.write_text("".join(f"{name}=={at} --hash=sha256:{'a' * 64}\n" for name, at in images.LOCK.items()))
    return path


def test_an_image_of_a_layout(tmp_path: Path, home: Home, own: Path) -> None:
    folder = tmp_path / "oci"
    here = lay(folder)
    given = image.image(home, own, folder, f"serving@sha256:{here.sha256}", [KEY.public], root=tmp_path)
    seen = observe(GATE, given, LIMITS)
    told = judge(GATE, seen, LIMITS)
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "advisories"), told.reason
    assert (seen.coverage.expected, seen.coverage.inspected) == (2, 2)
    facts = Facts.model_validate(seen.facts)
    assert facts.built is not None
    assert facts.built.signed == (KEY.public.id,)
    assert [each.keys for each in facts.built.bills] == [(KEY.public.id,)]
    unknown = image.image(home, own, folder, f"serving@sha256:{here.sha256}", root=tmp_path)
    assert {each.rule for each in judge(GATE, observe(GATE, unknown, LIMITS), LIMITS).findings} == {"IMG-02", "IMG-03"}


def test_a_layout_that_is_damaged_opens_nothing_or_is_found(tmp_path: Path, home: Home, own: Path) -> None:
    folder = tmp_path / "oci"
    here = lay(folder)
    reference = f"serving@sha256:{here.sha256}"
    last = here.layers[-1].sha256
    path = folder / "blobs" / "sha256" / last
    good = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(good + b"\0" * 512)
    told = judge(
        GATE, observe(GATE, image.image(home, own, folder, reference, [KEY.public], root=tmp_path), LIMITS), LIMITS
    )
    assert {each.rule for each in told.findings} == {"IMG-12"}
    path.unlink()
    lost = judge(GATE, observe(GATE, image.image(home, own, folder, reference, root=tmp_path), LIMITS), LIMITS)
    assert (lost.outcome, lost.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    path.symlink_to(own)
    link = judge(GATE, observe(GATE, image.image(home, own, folder, reference, root=tmp_path), LIMITS), LIMITS)
    assert (link.outcome, link.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    for name, data in (("index.json", b"{}"), ("oci-layout", b"[]"), (f"blobs/sha256/{here.sha256}", b"{}")):
        kept = (folder / name).read_bytes()
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(data)
        with pytest.raises(BadInput):
            image.image(home, own, folder, reference, root=tmp_path)
        (folder / name).write_bytes(kept)
    for other in ("serving:latest", f"serving@sha256:{'0' * 64}", "serving@sha256:../x"):
        with pytest.raises(BadInput):
            image.image(home, own, folder, other, root=tmp_path)


def test_an_empty_folder_is_no_layout(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        layout.opened(tmp_path, "0" * 64)


def system(root: Path, packages: Path) -> None:
    """A system below a folder, and distributions in another."""
    for path, node in BASE.items():
        if node.kind == "file":
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(node.data or b"")
    for path, node in TOP.items():
        at = packages / path.removeprefix("srv/packages/")
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(node.data or b"")


def test_a_process_of_a_made_up_system(tmp_path: Path, home: Home, own: Path) -> None:
    root, packages = tmp_path / "root", tmp_path / "packages"
    system(root, packages)

    def opened() -> Any:
        return image.process(home, own, packages, ["python3"], {"PATH": "/usr/bin"}, "0" * 64, root=root)

    seen = observe(GATE, opened(), LIMITS)
    told = judge(GATE, seen, LIMITS)
    assert told.outcome is Outcome.INCONCLUSIVE, told.reason
    assert {*told.cause.split("+")} == {"advisories", "interpreter", "image"}
    assert (seen.coverage.expected, seen.coverage.inspected) == (4, 4)
    laptop = Terms(limits=LIMITS, accepts={}, observe=("advisories", "image", "interpreter", "packages", "updates"))
    assert effect(told, laptop).action == "proceed"
    assert effect(told, laptop.model_copy(update={"observe": ("advisories", "interpreter")})).action == "stop"
    (root / "var/lib/dpkg/info/gone.list").write_text("/.\n")
    found = judge(GATE, observe(GATE, opened(), LIMITS), LIMITS)
    assert {each.rule for each in found.findings} == {"IMG-05"}
    assert effect(found, laptop).action == "stop"
    (root / "var/lib/dpkg/info/gone.list").unlink()
    module = packages / "alpha.py"
    before = opened().subject.sha256
    module.write_text("x = 2\n")
    found = judge(GATE, observe(GATE, opened(), LIMITS), LIMITS)
    assert [(each.rule, each.message) for each in found.findings] == [
        ("IMG-05", "srv/packages/alpha.py: found other bytes than its record has; allowed: those that were installed")
    ]
    assert opened().subject.sha256 != before, "what was looked at is told by its bytes"
    module.write_text("x = 1\n")
    assert opened().subject.sha256 == before
    (packages / "alpha-1.0.dist-info" / "RECORD").unlink()
    assert {each.rule for each in judge(GATE, observe(GATE, opened(), LIMITS), LIMITS).findings} == {"IMG-05"}
    shutil.rmtree(packages)
    assert "IMG-13" in {each.rule for each in judge(GATE, observe(GATE, opened(), LIMITS), LIMITS).findings}


@pytest.mark.real
@pytest.mark.skipif(not Path("/var/lib/dpkg/status").is_file(), reason="needs a system of Debian")
def test_what_the_local_service_really_runs_on(tmp_path: Path, home: Home) -> None:
    sealed = hashlib.sha256(lock.SERVING.read_bytes()).hexdigest()
    packages = service.packages(tmp_path, sealed)
    argv = service.argv(tmp_path, packages, ["--port", "0"])
    limits = LIMITS | {"others": "UnsafeAny"}
    seen = observe(GATE, image.process(home, lock.SERVING, packages, argv, service.env()), limits)
    told = judge(GATE, seen, limits)
    assert (told.outcome, told.findings) == (Outcome.INCONCLUSIVE, ()), told.reason
    assert {"image", "advisories"} <= {*told.cause.split("+")} <= {"image", "advisories", "interpreter", "updates"}
    facts = Facts.model_validate(seen.facts)
    assert facts.packages > 50
    assert facts.locked is not None
    assert {name: (at,) for name, at in facts.locked.items()} == facts.dists
    assert seen.coverage.whole


def test_a_layer_that_is_no_digest_is_no_path(tmp_path: Path) -> None:
    here = lay(tmp_path)
    told = json.loads(here.manifest)
    told["layers"][0]["digest"] = "sha256:../../../secret"
    body = json.dumps(told).encode()
    Store(tmp_path).name(body, "bad")
    opened = layout.opened(tmp_path, hashlib.sha256(body).hexdigest())
    bad: Blob = opened.layers[0]
    with pytest.raises(BadInput):
        list(bad.chunks())
