"""What is around a site: a store that really encrypts, a registry behind a strict front, a base as mmdebstrap makes it.

Not real are the cluster, a strict small API server in whose network a probe is let through by its name, and whose pods
are the process that the run began; the index, which knows what is locked; and the advisories, old ones of Python and
one of Debian about nothing that is there."""

import json
import os
import shutil
import ssl
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import certifi

from deployments.lake.certs import certificates
from security.advisories import mirror
from tests.attacks.clusters import Grounds
from tests.ceph.gateway import Gateway
from tests.deployments.image import debian
from tests.integration.test_packages import Knowing
from tests.security.advisories.exports import behind, export, told, web
from tests.site.ground import Site
from tests.site.visits import visits
from tests.tasks.distribution import Distribution
from tests.tasks.guard import Guard, serving

BUCKET, PIPELINE = "my-data-lake", "recommendation-engine-v2"
WIDTH = 400
"""Of terminals, so that no sentence is broken."""


@dataclass
class World:
    """Where things are, as an owner writes them into a policy. `registry`, `images`: HOST:PORT/PATH; `base`: digest and
    chain id of its layer."""

    site: Site
    gateway: Gateway
    guard: Guard
    storage: Distribution
    cluster: Grounds
    registry: str
    images: str
    base: tuple[str, str]


@contextmanager
def world(site: Site, gateway: Gateway, folder: Path, real: Path) -> Iterator[World]:
    """All of it, and what the pipeline's commands are told of it. `real`: a zip of advisories in OSV's form."""
    with ExitStack() as stack:
        for name in ("registry", "front", "cluster", "bases"):
            (folder / name).mkdir()
        lake(site, gateway)
        storage = stack.enter_context(Distribution(folder / "registry"))
        guard = Guard(storage.address, "https")
        (context := ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)).load_cert_chain(certificates(folder / "front"))
        front = stack.enter_context(serving(guard, context))
        bundle = site.folder / "authorities.pem"
        bundle.write_text(Path(certifi.where()).read_text() + (folder / "front" / "ca.pem").read_text())
        cluster = Grounds(folder / "cluster", site.kept, PIPELINE)
        stack.enter_context(cluster.cluster)
        stack.callback(lambda: [each.close() for each in cluster.serving.values()])
        access = site.folder / "kubeconfig.json"
        shutil.copy(cluster.kubeconfig, access)
        os.chown(access, site.user, site.user)
        site.env |= {
            "SSL_CERT_FILE": str(bundle),
            "KUBECONFIG": str(access),
            "SLUICE_REGISTRY_LOGIN": f"{guard.login.user}:{guard.login.password}",
            "COLUMNS": str(WIDTH),
        }
        site.env["SLUICE_INDEX"] = f"{stack.enter_context(behind(Knowing))}/simple"
        advisories(site, stack, folder, real)
        models, images = f"{front}/models", f"{front}/team/serving"
        yield World(site, gateway, guard, storage, cluster, models, images, base(site, folder))


def lake(site: Site, gateway: Gateway) -> None:
    """The sample, visit by visit, in a bucket of the real store, and how the pipeline's user finds it."""
    gateway.make(BUCKET)
    for key, body in visits():
        gateway.put(BUCKET, key, body)
    gateway.close(BUCKET)
    found = site.home / "lake"
    found.mkdir()
    for name in ("lake.json", "credentials.json", "ca.pem"):
        shutil.copy(gateway.folder / name, found / name)
    about = json.loads((found / "lake.json").read_text()) | {"ca": str(found / "ca.pem")}
    (found / "lake.json").write_text(json.dumps(about))
    site.given(found)
    site.env["SLUICE_LAKE"] = str(found / "lake.json")


def advisories(site: Site, stack: ExitStack, folder: Path, real: Path) -> None:
    """Real advisories of Python, as old as they are, and made ones of Debian, from a server; the pipeline's user has
    fetched them."""
    now = mirror.stamp(datetime.now(UTC))
    with zipfile.ZipFile(real) as archive:
        every = [json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")]
    made: dict[str, Any] = {"affected": [{"package": {"ecosystem": "Debian:12", "name": "not-here"}, "ranges": []}]}
    for name, said in (("PyPI", every), ("Debian", [told("DEBIAN-CVE-0000-1", now, **made)])):
        at = stack.enter_context(web(export(folder / name, *said), []))
        ended = site.sluice("advisories", "update", "--ecosystem", name.lower(), "--from", at)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def base(site: Site, folder: Path) -> tuple[str, str]:
    """A base in the home of the pipeline."""
    subprocess.run(["apt-get", "-qq", "update"], check=True, timeout=300)
    (layout, sha), chain = debian.base(folder / "bases")
    there = site.home / "bases"
    there.mkdir(exist_ok=True)
    shutil.copytree(layout, there / sha)
    site.given(there)
    return sha, chain
