"""A base of Debian as mmdebstrap makes it, the real packages and code of the service on it, and the gate over it."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from deployments.image import assemble
from deployments.image.closure import closure
from security.gate import judge, observe
from security.gates.image import Facts, ImageVulnerabilityScanning
from security.verdict import Outcome
from tasks import build, image, lock, service, tree
from tasks.home import Home
from tests.deployments.image import debian
from tests.deployments.serving import story
from tests.security.gates import images
from tests.security.gates.images import KEY

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(not shutil.which("mmdebstrap") or os.getuid() != 0, reason="needs mmdebstrap, as root"),
]
GATE = ImageVulnerabilityScanning()
SETUID = ("chage", "chfn", "chsh", "expiry", "gpasswd", "mount", "newgrp", "passwd", "su", "umount")


def test_the_service_on_a_base_of_debian_has_no_finding(tmp_path: Path) -> None:
    base, chain = debian.base(tmp_path)
    packages = service.packages(tmp_path, hashlib.sha256(lock.SERVING.read_bytes()).hexdigest())
    code = closure(tree.PIPELINE, build.SERVES)
    (tmp_path / "model.json").write_text("{}")
    story.alone(tmp_path / "told", KEY, "a" * 64)
    model, log = {"model.json": tmp_path / "model.json"}, service.logs(tmp_path / "told")
    of = (*base, packages, code, model, log, build.ENTRYPOINT)
    made_once = assemble.assembled(*of, out=tmp_path / "out", signer=KEY, name="serving")
    assert made_once == assemble.assembled(*of, out=tmp_path / "again", signer=KEY, name="serving")
    limits = images.LIMITS | {
        "bases": [chain],
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
