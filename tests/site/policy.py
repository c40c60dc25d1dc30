"""What an owner writes into a shipped policy: who signs, approves, calls and deploys, where things are, and what the
base of images has of its own."""

import json
from pathlib import Path
from typing import Any

from configs import load
from security.keys import PublicKey
from tests.attacks.clusters import callers
from tests.attacks.conftest import SECRETS
from tests.site.world import World
from tests.tasks.checkouts import signers

SETUID = ("chage", "chfn", "chsh", "expiry", "gpasswd", "mount", "newgrp", "passwd", "su", "umount")
"""Of a minimal Debian 12, what may become root."""


def named(world: World, approver: PublicKey, producer: PublicKey) -> dict[str, Any]:
    """Gate -> limits that an owner fills in."""
    of = world.cluster
    login = {"scheme": "https", "credentials": "env:SLUICE_REGISTRY_LOGIN"}
    sha, chain = world.base
    return {
        "access_control_s3": {"owner": "operator"},
        "data_encryption_at_rest": {"keys": ["lake-test"]},
        "access_control_api": {"callers": callers(world.site.folder / "login")},
        "approval": {"approvers": {approver.id: "Ada"}},
        "code_integrity_check": {"signers": signers(world.site.signer)},
        "registry_authorization": {"registry": world.registry, **login},
        "deployment_authorization": {
            "server": of.cluster.url,
            "ca": of.ca,
            "identity": "deployer",
            "registries": [world.images.rpartition("/")[0]],
        },
        "image_vulnerability_scanning": {
            **login,
            "base": sha,
            "bases": [chain],
            "repository": world.images,
            "signers": [producer.id],
            "setuid": [*(f"usr/bin/{name}" for name in SETUID), "usr/sbin/unix_chkpwd"],
            "made": {"etc/hostname": "made by mmdebstrap", "etc/resolv.conf": "the same"},
            "secrets": SECRETS | {"usr/share/man/*": "examples in manual pages"},
        },
        "workload_hardening": {"registries": [world.images.rpartition("/")[0] + "/"]},
    }


def written(shipped: str, limits: dict[str, Any], code: str, path: Path) -> Path:
    """A shipped policy with those limits, in a file; `code`: the only code that may run under it."""
    told = load.text(load.find(shipped, "policies"))
    told["code"] = [code]
    for gate, more in limits.items():
        told["gates"][gate].setdefault("limits", {}).update(more)
    path.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return path
