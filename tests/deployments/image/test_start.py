"""The image starts as a cluster would start it: its own entry point, the arguments of the rendered manifests, another
user, a network without a way out; and what answers is the model that is in it."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.image import assemble
from deployments.image.closure import closure
from deployments.kubernetes.lease import FILE
from deployments.kubernetes.render import Values, render
from deployments.serving.keyset import jwks
from security.gates.model import contents, release
from security.inventory import layout
from security.models.lease import sealed
from tasks import build, service, tree
from tests.deployments.image import debian
from tests.deployments.serving import story
from tests.deployments.serving.release import AUDIENCE, ISSUER, PATH, TENANT, Site, card, site

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(not shutil.which("mmdebstrap") or os.getuid() != 0, reason="needs mmdebstrap, as root"),
]
AS = 20_001
DRIVER = """
import json, subprocess, sys, time, urllib.error, urllib.request
root, user, *argv = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
begun = subprocess.Popen(["chroot", f"--userspec={user}:{user}", root, *argv], env=env, stderr=subprocess.PIPE)
status = 0
for _ in range(400):
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/readyz", timeout=5) as reply:
            status, told = reply.status, json.load(reply)
            break
    except (urllib.error.URLError, ConnectionError):
        if begun.poll() is not None:
            sys.exit(begun.stderr.read().decode())
        time.sleep(0.05)
ready = json.load(open(root + "/run/sluice/ready.json"))
uid = [line.split()[1] for line in open(f"/proc/{begun.pid}/status") if line.startswith("Uid:")][0]
begun.terminate()
print(json.dumps({"status": status, "told": told, "ready": ready, "uid": uid, "code": begun.wait(20)}))
"""


def unpacked(folder: Path, sha: str, root: Path) -> dict[str, Any]:
    """Lay the layers of an image into a folder; its configuration. None of them has whiteouts."""
    image = layout.opened(folder, sha)
    root.mkdir()
    for layer in image.layers:
        blob = folder / "blobs" / "sha256" / layer.sha256
        subprocess.run(["tar", "-xpf", str(blob), "-C", str(root), "--numeric-owner"], check=True)
    told: dict[str, Any] = json.loads(image.config)["config"]
    return told


def leased(there: Site, digest: str) -> bytes:
    """A lease of one model."""
    said = {"name": card()["name"], "target": "kubernetes_test", "models": (digest,), "entries": 4}
    said |= {"chain": "b" * 64, "revocations": "", "at": time.time(), "until": time.time() + 600}
    return sealed(there.keys.signer("verifier"), **said)


def test_the_image_serves_its_model_as_the_manifests_start_it(tmp_path: Path) -> None:
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("no unshare, or no ip")
    (tmp_path / "site").mkdir()
    there, (base, _) = site(tmp_path / "site"), debian.base(tmp_path)
    files = {path.name: path for path in there.release.iterdir()}
    log = service.logs(there.home / "log")
    of = (*base, there.packages, closure(tree.PIPELINE, build.SERVES), files, log, build.ENTRYPOINT)
    sha = assemble.assembled(*of, tmp_path / "out", there.keys.signer("producer"), "registry.test/serving")
    digest = release(contents(there.release))
    given = {"pipeline": card()["name"], "namespace": "sluice", "image": f"registry.test/serving@sha256:{sha}"}
    given |= {"policy": story.digest(story.POLICY)}
    given |= {"model": digest, "path": PATH, "issuer": ISSUER, "audience": AUDIENCE, "tenant": TENANT}
    given |= {"key": there.keys.public("producer").pem.decode(), "jwks": jwks(there.keys.public("issuer")).decode()}
    given |= {"target": "kubernetes_test", "verifier": there.keys.public("verifier").pem.decode()}
    made = dict(render(Values.model_validate(given)))
    pod = yaml.safe_load(made["deployment.yaml"])["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert "command" not in container
    assert container["securityContext"]["runAsUser"] == AS
    root = tmp_path / "root"
    told = unpacked(tmp_path / "out", sha, root)
    for name, text in yaml.safe_load(made["trust.yaml"])["data"].items():
        (root / "srv" / "trust").mkdir(exist_ok=True)
        (root / "srv" / "trust" / name).write_text(text)
    (root / "srv" / "lease").mkdir()
    (root / "srv" / "lease" / FILE).write_bytes(leased(there, digest))
    (root / "run" / "sluice").mkdir()
    os.chown(root / "run" / "sluice", AS, AS)
    argv = [str(root), str(AS), *told["Entrypoint"], *container["args"]]
    apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    ended = subprocess.run([*apart, sys.executable, "-c", DRIVER, *argv], capture_output=True, text=True, timeout=90)
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout.splitlines()[-1])  # after the access log
    told = {"ok": True, "model": digest}
    assert (seen["status"], seen["told"], seen["uid"], seen["code"]) == (200, told, str(AS), 0), seen
    assert seen["ready"]["model"] == digest
