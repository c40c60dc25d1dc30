"""A cluster for runs of the pipeline: a strict small API server, in which whoever deploys may do what a rollout needs.

What stands for a release's pods is the service that the run itself began, as long as that runs, and then a stand-in
that answers as it does: `stood` has the releases for which it did. They begin and answer as long as the lease that lies
there lets them, by what the release's own manifests say: that is what the service is told, and how it judges.
"""

import base64
import hashlib
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from configs import load
from deployments.kubernetes.lease import FILE, called
from deployments.serving.__main__ import options
from deployments.serving.keyset import jwks
from flows import plan
from security.access import NEEDED
from security.errors import SluiceError
from security.keys import PublicKey, UnsafeLocalKeys
from security.models.lease import Lease, read, said
from tasks import process
from tasks.home import Home
from tests.cluster.conftest import TOKEN, World, rolled, stuck
from tests.cluster.server import Told

NAME = "clustered"
NAMESPACE = f"sluice-{NAME}"
GATE, IMAGE, NETWORK, WORKLOAD = (
    "deployment_authorization",
    "image_vulnerability_scanning",
    "network_policy_enforcement",
    "workload_hardening",
)
VARIABLE = "SLUICE_TESTED_CLUSTER"


def needed(namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """The rights of whoever deploys, as rules of roles: what a rollout needs, in its namespace, and nothing more."""
    return [
        {
            "verbs": [each.verb],
            "apiGroups": [each.group],
            "resources": [each.resource],
            "namespaces": [namespace, *([""] if each.named else [])],
            **({"resourceNames": [namespace]} if each.named else {}),
        }
        for each in NEEDED
    ]


class Grounds(World):
    """The cluster of these runs, with the namespace of one pipeline. `wrong`: by the name that callers know, another
    model answers."""

    def __init__(self, folder: Path, home: Home, name: str = NAME) -> None:
        super().__init__(folder)
        self.home, self.name, self.namespace = home, name, f"sluice-{name}"
        self.real, self.stood = dict[str, tuple[str, int]](), set[str]()
        self.rollout = self.begun
        self.restore()
        self.kubeconfig = folder / "kubeconfig.json"
        authority = base64.b64encode(self.cluster.authority.encode()).decode()
        about = {"server": self.cluster.url, "certificate-authority-data": authority}
        told = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tested",
            "clusters": [{"name": "tested", "cluster": about}],
            "users": [{"name": "deployer", "user": {"token": TOKEN}}],
            "contexts": [{"name": "tested", "context": {"cluster": "tested", "user": "deployer"}}],
        }
        self.kubeconfig.write_text(json.dumps(told))
        der = ssl.PEM_cert_to_DER_cert(self.cluster.authority)
        self.ca = hashlib.sha256(der).hexdigest()
        told = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self.objects.write(told, "owner", new=True, dry=False)

    def restore(self) -> None:
        """All is well again."""
        self.cluster.rights["deployer"] = needed(self.namespace)
        while self.serving:
            self.serving.popitem()[1].close()
        self.real.clear()
        self.open, self.wrong, self.rollout, self.cluster.faults[:] = False, False, self.begun, []

    def begun(self, told: Told, look: int) -> tuple[Told, str]:
        """Pods that begin, and what stands for them."""
        about = told["metadata"]
        release, model = about["labels"]["sluice/release"], about["annotations"]["sluice/model"]
        if why := self.unleased(told):
            return stuck(why)(told, look)
        if release not in self.serving:
            self.serve(release, model)
            for path in (self.home.root / "service").glob("*/endpoint.json"):
                said = json.loads(path.read_text())
                if said["model"] == model and process.alive(path.parent / "process.json"):
                    at = urlsplit(said["url"])
                    self.real[release] = (at.hostname or "", at.port or 0)
        return rolled(told, look)

    def unleased(self, told: Told) -> str:
        """Why the pods of a Deployment may not serve; empty where they may."""
        pod = told["spec"]["template"]["spec"]
        mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
        files: dict[Path, str] = {}
        for each in pod["volumes"]:
            if (named := each.get("configMap", {}).get("name")) is not None:
                held = self.objects.held.get(("ConfigMap", self.namespace, named))
                if held is None:
                    return "ContainerCreating"
                files |= {Path(mounts[each["name"]]) / name: data for name, data in held["data"].items()}
        known = options(pod["containers"][0]["args"])
        key, where = PublicKey(files[known.verifier].encode()), {"name": known.name, "target": known.target}
        try:
            lease = read(files[known.lease].encode(), key, now=time.time(), **where)
        except SluiceError as why:
            self.said.append(str(why))
            return "CrashLoopBackOff"
        return "" if told["metadata"]["annotations"]["sluice/model"] in lease.models else "CrashLoopBackOff"

    def lease(self) -> Lease:
        """The one that lies there, by the verifier's key."""
        held = self.objects.held["ConfigMap", self.namespace, called(self.name)]
        return said(held["data"][FILE].encode(), UnsafeLocalKeys(self.home.root / "keys").public("verifier"))

    def let(self) -> set[str]:
        """The models that it lets serve; none where there is none."""
        there = ("ConfigMap", self.namespace, called(self.name)) in self.objects.held
        return {*self.lease().models} if there else set()

    def address(self, host: str, component: str) -> tuple[str, int]:
        """Where a name leads in the network of the cluster, for whoever asks."""
        service = self.objects.held.get(("Service", self.namespace, host)) or {}
        release = service.get("spec", {}).get("selector", {}).get("sluice/release", "")
        if self.wrong and host == self.name:
            self.serve("wrong", "e" * 64)
            return self.serving["wrong"].address
        if release in self.serving and (component == "probe" or self.open):
            at = self.real.get(release, ("", 0))
            if not _answers(at):
                self.stood.add(release)
                return self.serving[release].address
            return at
        return super().address(host, component)

    def led(self) -> str | None:
        """The release that callers are led to."""
        service = self.objects.held.get(("Service", self.namespace, self.name))
        return service["spec"]["selector"]["sluice/release"] if service else None

    def releases(self) -> set[str]:
        """Those that are there."""
        found = [each for (kind, *_), each in self.objects.held.items() if kind == "Deployment"]
        return {each["metadata"]["labels"]["sluice/release"] for each in found}


def _answers(at: tuple[str, int]) -> bool:
    try:
        socket.create_connection(at, timeout=1).close()
    except OSError:
        return False
    return True


def terms(world: Grounds, repository: str, base: str, bases: list[str], secrets: dict[str, str]) -> dict[str, Any]:
    """Gates with their terms, as an owner fills them in for this cluster."""
    local = load.text(load.find("local", "policies"))["gates"]
    image = local[IMAGE]["limits"] | {"base": base, "repository": repository, "scheme": "UnsafeHttp"}
    image |= {"bases": bases, "floor": 1, "secrets": secrets}
    network = {key: each for key, each in local[NETWORK]["limits"].items() if key != "probe"}
    named = {"server": world.cluster.url, "ca": world.ca, "identity": "deployer", "credentials": f"env:{VARIABLE}"}
    return {
        GATE: {"limits": named | {"registries": [repository.rpartition("/")[0]]}},
        IMAGE: local[IMAGE] | {"limits": image},
        NETWORK: {"limits": network},
        WORKLOAD: {},
    }


def callers(folder: Path) -> dict[str, str]:
    """Who issues tokens to those who call in a cluster, with a key of its own: not the pipeline."""
    keys = jwks(UnsafeLocalKeys(folder).public("issuer")).decode()
    return {"issuer": "https://login.example", "audience": "recommendations", "tenant": "shop", "jwks": keys}


def signed(home: Home, policy: str) -> str:
    """A policy, made one for a cluster, and signed by its owner."""
    path = load.find(policy, "policies")
    told = load.text(path) | {"target": "kubernetes_test", "unsigned": "refuse"}
    limits = told["gates"]["access_control_api"].setdefault("limits", {})
    limits.setdefault("callers", callers(home.root.parent / "login"))
    path.write_text(json.dumps(told))
    plan.sign(policy, home)
    return policy
