"""The real kubectl speaks with the API server of the tests, and finds in it what our own client finds: so that what is
shown on it is shown of the protocol, and not of two ends that were made for each other."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from deployments.kubernetes.config import read
from deployments.kubernetes.rollout import place
from deployments.kubernetes.status import diff
from deployments.kubernetes.switch import switch
from deployments.kubernetes.watch import Until
from tests.cluster.conftest import TOKEN, World, lets, stuck
from tests.cluster.discovery import discovery, reviewed
from tests.cluster.kubectl import kubectl
from tests.security.manifests.given import OWN, RELEASE, VALUES, rendered

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(not (shutil.which("apt-get") and shutil.which("dpkg-deb")), reason="needs apt, for kubectl"),
]
DEPLOYMENT = f"deployment/{OWN}"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kubectl(tmp_path_factory.mktemp("kubectl"))


class Shell:
    """kubectl, with a config of its own and nothing of ours."""

    def __init__(self, program: Path, world: World, folder: Path) -> None:
        self.program, self.folder, self.world = program, folder, world
        authority = base64.b64encode(world.cluster.authority.encode()).decode()
        cluster = {"server": world.cluster.url, "certificate-authority-data": authority}
        told = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "sluice"}}],
        }  # fmt: skip
        self.config = folder / "kubeconfig"
        self.config.write_text(json.dumps(told))
        for name, data in rendered():
            (folder / name).write_bytes(data)

    def __call__(self, *argv: str, code: int = 0) -> str:
        env = {"HOME": str(self.folder), "KUBECONFIG": str(self.config), "PATH": "/usr/bin:/bin"}
        told = [str(self.program), *argv, "--request-timeout=20s"]
        ended = subprocess.run(told, cwd=self.folder, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    def apply(self, *files: str, more: tuple[str, ...] = (), code: int = 0) -> str:
        named = [part for each in files for part in ("-f", each)]
        return self("apply", "--server-side", *named, *more, code=code)


@pytest.fixture
def shell(program: Path, world: World, tmp_path: Path) -> Shell:
    world.cluster.decode, world.cluster.more = reviewed, discovery()
    folder = tmp_path / "shell"
    folder.mkdir()
    return Shell(program, world, folder)


def test_it_applies_our_manifests_and_keeps_nothing_of_a_dry_run(shell: Shell) -> None:
    held = shell.world.objects.held
    dry = ("--dry-run=server",)
    assert "namespace/sluice serverside-applied (server dry run)" in shell.apply("namespace.yaml", more=dry)
    assert held == {}
    assert 'namespaces "sluice" not found' in shell.apply("service.yaml", more=dry, code=1)
    shell.apply("namespace.yaml")
    files = [name for name, _ in rendered()]
    assert shell.apply(*files, more=dry).count("(server dry run)") == 13
    assert {key[0] for key in held} == {"Namespace"}
    assert shell.apply(*files).count("serverside-applied") == 13
    assert len([key for key in held if key[0] != "Pod"]) == 13


def test_it_shows_who_manages_what_and_takes_it_by_force_alone(shell: Shell) -> None:
    shell.apply("namespace.yaml")
    shell.apply("deployment.yaml", more=("--field-manager=sluice",))
    told = (shell.folder / "deployment.yaml").read_text().replace("replicas: 2", "replicas: 3")
    (shell.folder / "deployment.yaml").write_text(told)
    said = shell.apply("deployment.yaml", more=("--field-manager=other",), code=1)
    assert 'conflict with "sluice" using apps/v1: .spec.replicas' in said
    assert "--force-conflicts" in said  # it knows the conflict for one
    assert json.loads(shell("get", DEPLOYMENT, "-o", "json"))["spec"]["replicas"] == 2
    shell.apply("deployment.yaml", more=("--field-manager=other", "--force-conflicts"))
    found = json.loads(shell("get", DEPLOYMENT, "-o", "json", "--show-managed-fields"))
    owners = {each["manager"]: each["fieldsV1"]["f:spec"] for each in found["metadata"]["managedFields"]}
    assert found["spec"]["replicas"] == 3
    assert "f:replicas" in owners["other"]
    assert "f:replicas" not in owners["sluice"]


def test_it_is_told_of_a_field_that_nobody_knows(shell: Shell) -> None:
    shell.apply("namespace.yaml")
    told = (shell.folder / "service.yaml").read_text().replace("selector:", "selctor:")
    (shell.folder / "service.yaml").write_text(told)
    assert "selctor: field not declared in schema" in shell.apply("service.yaml", code=1)
    assert "selctor" in shell.apply("service.yaml", more=("--dry-run=server",), code=1)


def test_it_waits_for_a_rollout_and_learns_that_one_has_failed(shell: Shell) -> None:
    shell.apply("namespace.yaml", "deployment.yaml")
    assert "successfully rolled out" in shell("rollout", "status", DEPLOYMENT, "--timeout=20s")
    shell.world.rollout = stuck("ImagePullBackOff", given_up=True)
    told = (shell.folder / "deployment.yaml").read_text().replace("replicas: 2", "replicas: 3")
    (shell.folder / "deployment.yaml").write_text(told)
    shell.apply("deployment.yaml")
    assert "exceeded its progress deadline" in shell("rollout", "status", DEPLOYMENT, "--timeout=20s", code=1)


def test_it_learns_what_it_may(shell: Shell) -> None:
    assert shell("auth", "can-i", "create", "deployments.apps").strip() == "yes"
    may = [{"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"], "namespaces": ["sluice"]}]
    shell.world.cluster.rights["deployer"] = may
    assert shell("auth", "can-i", "get", "deployments.apps").strip() == "yes"
    assert shell("auth", "can-i", "create", "deployments.apps", code=1).strip() == "no"
    assert shell("auth", "can-i", "get", "deployments.apps", "-n", "other", code=1).strip() == "no"
    assert "deployments.apps" in shell("auth", "can-i", "--list")
    assert "deployer" in shell("auth", "whoami")
    said = shell("get", "services", code=1)
    assert 'User "deployer" cannot list resource "services" in API group "" in the namespace "sluice"' in said


def test_it_sees_what_our_own_client_has_done_and_reads_our_config(shell: Shell) -> None:
    shell.world.serve(RELEASE, VALUES["model"])
    assert read(shell.config).namespace == "sluice"
    with shell.world.client() as client:
        place(client, rendered(), say=print, lets=lets, until=Until(60))
        switch(client, rendered(), say=print, expected=None, stands=lambda _: True, until=Until(60))
        found = json.loads(shell("get", "services", "sample", "-o", "json"))
        assert found["spec"]["selector"]["sluice/release"] == RELEASE
        assert f"job.batch/{OWN}-smoke" in shell("get", "jobs", "-o", "name")
        ours = [name for name, _ in rendered() if name not in ("probe.yaml", "stranger.yaml", "smoke.yaml")]
        named = [part for each in ours for part in ("-f", each)]
        assert shell("diff", "--server-side", "--field-manager=sluice", *named).strip() == ""
        assert diff(client, rendered()) == []
        told = (shell.folder / "deployment.yaml").read_text().replace("replicas: 2", "replicas: 4")
        (shell.folder / "other.yaml").write_text(told)
        shell.apply("other.yaml", more=("--field-manager=other", "--force-conflicts"))
        more = ("--field-manager=sluice", "--force-conflicts")
        assert "replicas" in shell("diff", "--server-side", *more, *named, code=1)
        assert {each.path for each in diff(client, rendered())} == {".spec.replicas"}
    assert f"{OWN}-probe" in shell("delete", "job", f"{OWN}-probe", "--wait=false")
    assert ("Job", "sluice", f"{OWN}-probe") not in shell.world.objects.held
