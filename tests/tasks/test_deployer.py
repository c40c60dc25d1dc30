"""What the runner opens for the gate over who deploys: the manifests that were rendered, and the server behind a
kubeconfig."""

import hashlib
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.lake.certs import certificates
from security.errors import BadInput, CannotTell, KeyBroken, PlanError
from security.gate import judge, observe
from security.gates.deployer import DeploymentAuthorization
from security.posture import asked
from security.verdict import Outcome, Verdict
from tasks import deployer
from tests.security.gates import rbac
from tests.security.manifests.given import VALUES, rendered

GATE = DeploymentAuthorization()
HERE = VALUES["namespace"]


class Known:
    """A connection to a server of the tests."""

    def __init__(self, server: rbac.Server, authority: str, token: str = "") -> None:
        self.of, self.server, self.authority, self.token = server, "https://cluster.example:6443/", authority, token

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Any]:
        return self.of.ask(method, path, body)

    def tells(self, text: str) -> bool:
        return bool(self.token) and self.token in text


class World:
    """Manifests in a folder, a CA, and a server whose deployer has what it needs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        certificates(folder / "certs")
        self.authority = (folder / "certs" / "ca.pem").read_text()
        self.folder, self.config = folder / "manifests", folder / "kubeconfig"
        self.folder.mkdir()
        for name, data in rendered():
            (self.folder / name).write_bytes(data)
        self.config.write_text("{}")
        monkeypatch.setenv("KUBECONFIG", str(self.config))
        self.server, self.seen, self.token = rbac.Server(), list[Path](), ""
        self.server.grant(HERE, rbac.DEPLOYER)
        self.server.grant("", [rbac.rule("get patch", "namespaces", "", HERE)])
        self.limits: dict[str, Any] = {
            "name": "sample",
            "target": "kubernetes_test",
            "server": "https://cluster.example:6443",
            "ca": hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.authority)).hexdigest(),
            "namespace": HERE,
            "identity": rbac.USER,
            "registries": ["registry.example/sluice"],
        }

    @contextmanager
    def connect(self, path: Path) -> Iterator[Known]:
        self.seen.append(path)
        yield Known(self.server, self.authority, self.token)

    def opened(self, **limits: Any) -> Any:
        return deployer.opened(self.folder, self.limits | limits, self.connect)

    def judged(self, **limits: Any) -> Verdict:
        terms = self.limits | limits
        return judge(GATE, observe(GATE, asked(GATE, self.opened(**limits), of="a" * 64), terms), terms)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_release_of_ours_and_a_deployer_with_what_it_needs(world: World) -> None:
    verdict = world.judged()
    assert (verdict.outcome, verdict.findings) == (Outcome.PASS, ()), verdict.reason
    assert world.seen == [world.config]
    images = world.opened().answers["images"]
    assert set(images.values()) == {VALUES["image"]}
    assert {each.partition("/")[0] for each in images} == {"Deployment", "Job"}
    world.server.grant("", [rbac.rule("get", "secrets")])
    assert {each.rule for each in world.judged().findings} == {"DA-SECRETS"}


def test_a_process_of_this_machine_asks_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG")
    for name, data in rendered(image=None):
        (world.folder / name).write_bytes(data)
    verdict = world.judged(target="local")
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "process"), verdict.reason
    assert not world.seen
    assert not world.server.asked
    assert set(world.opened(target="local").answers["images"].values()) == {""}


def test_where_the_kubeconfig_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deployer.kubeconfig(f"file:{world.config}") == world.config
    monkeypatch.setenv("ELSEWHERE", str(world.config))
    assert deployer.kubeconfig("env:ELSEWHERE") == world.config
    for each in (f"file:{world.folder}", "file:", "env:NOBODY", f"file:{world.config}x"):
        with pytest.raises(KeyBroken, match="found no kubeconfig; allowed: one file"):
            deployer.kubeconfig(each)
    monkeypatch.setenv("ELSEWHERE", f"{world.config}:{world.config}")
    with pytest.raises(KeyBroken):
        deployer.kubeconfig("env:ELSEWHERE")
    assert not world.seen


def test_manifests_that_are_no_release(world: World) -> None:
    good = (world.folder / "account.yaml").read_text()
    for change, says in (
        (good.replace(f"namespace: {HERE}", "namespace: other"), "one, in which all of it lies"),
        (good.replace(f"namespace: {HERE}", ""), "one, in which all of it lies"),
        (good.replace("kind: ServiceAccount", "kind: Secret"), "a kind that is not known"),
    ):
        (world.folder / "account.yaml").write_text(change)
        with pytest.raises(CannotTell, match=says):
            world.opened()
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "x", "namespace": HERE}}
    role["rules"] = [{"verbs": ["get"], "resources": ["pods"], "apiGroups": [""]}]
    (world.folder / "account.yaml").write_text(yaml.safe_dump(role))
    with pytest.raises(CannotTell, match="a Role, which no rollout applies"):
        world.opened()
    with pytest.raises(BadInput, match="found none"):
        deployer.released([])
    assert not world.seen


def test_a_ca_is_told_by_its_certificates(world: World, tmp_path: Path) -> None:
    certificates(tmp_path / "others")
    both = world.authority + (tmp_path / "others" / "ca.pem").read_text()
    assert len(deployer.believed(both)) == 2
    assert deployer.believed(world.authority) == (world.limits["ca"],)
    world.authority = both
    assert [(each.rule, each.place) for each in world.judged().findings] == [("DA-TARGET", "ca")]
    for odd in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"):
        with pytest.raises(BadInput, match="certificate-authority"):
            deployer.believed(odd)


def test_who_rolls_out_is_whom_the_gate_has_asked_about(world: World) -> None:
    with world.connect(world.config) as of:
        deployer.kept(of, world.limits)
        for change in ({"server": "https://other.example"}, {"server": ""}, {"ca": "0" * 64}, {"identity": "another"}):
            with pytest.raises(PlanError):
                deployer.kept(of, world.limits | change)
        world.server.user = "system:serviceaccount:other:deployer"
        with pytest.raises(PlanError, match="another than the policy's deployer"):
            deployer.kept(of, world.limits)
        world.server.user, world.server.groups = rbac.USER, (*rbac.GIVEN, "system:masters")
        with pytest.raises(PlanError, match="a group that may do everything, whatever the rules are"):
            deployer.kept(of, world.limits)


def test_what_a_server_is_sent_it_does_not_tell(world: World) -> None:
    world.token = secrets.token_hex(20)
    world.server.grant(HERE, [rbac.rule("get", "configmaps", "", world.token)])
    snapshot = world.opened()
    assert world.token not in snapshot.model_dump_json()
    assert world.judged().reason == "place: the server answers with the credentials that it was sent"
