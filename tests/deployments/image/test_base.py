"""A base of Debian as mmdebstrap makes it, the real packages and code of the service on it, and the gate over it."""

import base64
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from deployments.image import assemble
from deployments.image.store import Store
from security.gate import judge, observe
from security.gates.image import Facts, ImageVulnerabilityScanning, signed
from security.inventory import layout, made
from security.inventory.layers import Blob
from security.verdict import Outcome
from tasks import image, lock, service
from tasks.home import Home
from tests.security.gates import images
from tests.security.gates.images import KEY

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(not shutil.which("mmdebstrap") or os.getuid() != 0, reason="needs mmdebstrap, as root"),
]
GATE = ImageVulnerabilityScanning()
SUITE = "bookworm"
SETUID = ("chage", "chfn", "chsh", "expiry", "gpasswd", "mount", "newgrp", "passwd", "su", "umount")


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(1 << 20), b"")


def sources() -> list[str]:
    """What apt's own listing has of the release, its security updates among it: the machine may reach no other. None
    where it is of another release, and mmdebstrap's own are taken."""
    told = ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Created-By: Packages"]
    listed = subprocess.run(told, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    rows = sorted({tuple(each.split()) for each in listed if len(each.split()) == 3})
    return [f"deb {site} {suite} {part}" for site, suite, part in rows if suite.startswith(SUITE) and part == "main"]


def test_the_service_on_a_base_of_debian_has_no_finding(tmp_path: Path) -> None:
    tar = tmp_path / "base.tar"
    made_ = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3.11-minimal", SUITE, str(tar), *sources()]
    subprocess.run(made_, check=True, timeout=500)
    sha = hashlib.sha256(tar.read_bytes()).hexdigest()
    layer = Blob(made.LAYER, sha, tar.stat().st_size, sha, partial(_read, tar))
    base = made.image([layer], {"architecture": "amd64", "os": "linux", "config": {}, "history": []})
    assemble.written(base, Store(tmp_path / "base"), "base")
    packages = service.packages(tmp_path, hashlib.sha256(lock.SERVING.read_bytes()).hexdigest())
    code = {name: lock.SERVING.parent / name for name in ("security", "configs", "deployments")}
    entry = ["/usr/bin/python3.11", "-I", "-S", "-B", "-c", service.BEGIN, "/srv/code", "/srv/packages"]
    of = (tmp_path / "base", base.sha256, packages, code, {"model.json": b"{}"}, entry)
    made_once = assemble.assembled(*of, out=tmp_path / "out", signer=KEY)
    assert made_once == assemble.assembled(*of, out=tmp_path / "again", signer=KEY)
    payload, store = signed.payload(made_once), Store(tmp_path / "out")
    store.listed = layout.listed(tmp_path / "out")
    mark = base64.b64encode(KEY.mark(payload)).decode()
    store.attach(made_once, ".sig", layout.SIGNED, payload, {layout.SIGNATURE: mark})
    limits = images.LIMITS | {
        "bases": [sha],
        "floor": 50,
        "setuid": [*(f"usr/bin/{name}" for name in SETUID), "usr/sbin/unix_chkpwd"],
        "made": {"etc/hostname": "made by mmdebstrap", "etc/resolv.conf": "the same"},
        "secrets": {
            "usr/share/man/*": "examples in manual pages",
            "srv/packages/joserfc-*.dist-info/METADATA": "an example of a token",
            "srv/packages/pydantic/networks.py": "an example of an address",
        },
    }
    reference = f"serving@sha256:{made_once}"
    seen = observe(GATE, image.image(Home(tmp_path), lock.SERVING, tmp_path / "out", reference, [KEY.public]), limits)
    told = judge(GATE, seen, limits)
    assert (told.outcome, told.findings) == (Outcome.INCONCLUSIVE, ()), told.reason
    assert {*told.cause.split("+")} <= {"advisories", "updates"}
    facts = Facts.model_validate(seen.facts)
    assert facts.packages > 80
    assert facts.dists.keys() == (facts.locked or {}).keys()
