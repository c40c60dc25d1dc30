"""A run for a cluster that builds an image: on an approved base, named by its manifests, looked at and pushed."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tasks.deploy
from deployments.image import assemble
from deployments.image.closure import closure
from deployments.image.store import Store
from deployments.serving import load, log
from flows.shell import once
from security.errors import PlanError, StoreError
from security.gate import judge
from security.gates.image import Facts, ImageVulnerabilityScanning
from security.inventory import layout, made
from security.inventory.layers import Laid, lay
from tasks import build, process, service, tree
from tasks.home import Home
from tasks.run import Quiet, Run
from tests.attacks.bucket import Operator
from tests.attacks.clusters import signed
from tests.attacks.conftest import SECRETS
from tests.security.gates import images
from tests.security.gates.images import BASE, CONFIG, KEY
from tests.tasks.distribution import Distribution, absent

GATE = "image_vulnerability_scanning"
Run_ = Callable[..., tuple[Any, Run]]


@pytest.fixture
def building(operator: Operator, pair: Any, home: Home, base: str) -> Iterator[Run_]:
    """Makes a run whose policy has an image built."""
    runs = list[Run]()

    def run(address: str = "127.0.0.1:9", **limits: Any) -> tuple[Any, Run]:
        told = {"base": base, "repository": f"{address}/team/serving", "scheme": "UnsafeHttp"}
        told |= {"bases": [images.base()], "floor": 1, "secrets": SECRETS} | limits
        document, policy = pair(**{GATE: told}, target_environment="kubernetes_test")
        state, made_ = once(Quiet(), document=document, policy=signed(home, policy))
        assert made_ is not None
        runs.append(made_)
        return state, made_

    yield run
    for each in runs:
        process.stop(home.root / "service" / each.plan.run / "process.json")


def found(run: Run) -> set[str]:
    """The rules that the gate over images found broken."""
    (seen,) = [each for (*_, gate, _), each in run.heard.items() if gate == GATE]
    terms = run.plan.terms["deploy"]["serve"][GATE]
    return {each.rule for each in judge(ImageVulnerabilityScanning(), seen, terms.limits).findings}


def facts(run: Run) -> Facts:
    (seen,) = [each for (*_, gate, _), each in run.heard.items() if gate == GATE]
    return Facts.model_validate(seen.facts)


def unpacked(folder: Path, layer: str, into: Path) -> Path:
    """The files of a layer of a layout."""
    with tarfile.open(folder / "blobs" / "sha256" / layer) as archive:
        archive.extractall(into / "unpacked", filter="data")
    return into / "unpacked"


def test_a_run_builds_an_image_and_its_gate_looks_at_that(building: Run_, home: Home, tmp_path: Path) -> None:
    if lacks := absent():
        pytest.skip(f"no {', '.join(lacks)}: no image is pushed; install it")
    with Distribution(tmp_path) as server:
        state, run = building(server.address)
        assert "[deployment_authorization] inconclusive: " in state.message  # it names no cluster
        name, _, sha = build.reference(run).partition("@sha256:")
        seen = facts(run).built
        assert seen is not None
        assert (seen.reference, seen.sha256, seen.signed) == (f"{name}@sha256:{sha}", sha, (run.plan.signer,))
        (bill,) = seen.bills
        assert (bill.keys, bill.missing.count, bill.strange.count) == ((run.plan.signer,), 0, 0)
        assert facts(run).dists.keys() == (facts(run).locked or {}).keys()
        assert not server.storage.exists()
        build.pushed(run)
        assert server.blob(sha).read_bytes() == layout.opened(build.layout(run), sha).manifest
        assert server.tag("team/serving", f"sha256-{sha}.sig").exists()
        kept = home.evidence(run.plan.run) / "manifests" / "deployment.yaml"
        told = kept.read_bytes()
        kept.write_bytes(told.replace(b"team/serving@", b"team/other@"))
        with pytest.raises(StoreError, match="are not those that were rendered"):
            build.pushed(run)
        kept.write_bytes(told)
    with pytest.raises(StoreError, match=r"was not pushed: blob .*cannot be reached .*; tried 4 times"):
        build.pushed(run)
    again, packages = tmp_path / "again", service.packages(tmp_path, build._sealed(run))
    model = build._files(run.path(run.published["model"]))
    limits = build.wanted(run)
    assert limits is not None
    base, code = home.root / "bases" / limits.base, closure(tree.PIPELINE, build.SERVES)
    newest = layout.opened(build.layout(run), sha).layers[-1]
    shown = unpacked(build.layout(run), newest.sha256, tmp_path) / assemble.LOG
    assert (home.evidence(run.plan.run) / log.LOG).read_bytes().startswith((shown / log.LOG).read_bytes())
    loaded = load.load(run.path(run.published["model"]), run.trust.key)
    assert log.believed(shown, run.trust.key, loaded.card, run.published["model"].sha256, run.plan.policy_sha256)
    of = (base, limits.base, packages, code, model, service.logs(shown), build.ENTRYPOINT)
    assert assemble.assembled(*of, again, KEY, name) == sha
    laid = Laid()
    for number, each in enumerate(layout.opened(again, sha).layers, 1):
        lay(laid, number, each, lambda *_: None)
    paths = {path for path, _ in laid.tree.files()}
    assert {"srv/release/model.safetensors", "srv/code/deployments/serving/app.py"} <= paths
    assert not [path for path in paths if path.startswith(("srv/code/tasks", "srv/code/deployments/lake"))]


def test_an_image_of_another_base_signed_by_another_and_altered_is_refused(
    building: Run_, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tasks.deploy.process.ready

    def spoiled(*given: Any) -> Any:
        at = build.layout(tasks.deploy.current())
        _flip(max(at.glob("blobs/sha256/*"), key=lambda each: each.stat().st_size))
        return real(*given)

    monkeypatch.setattr(tasks.deploy.process, "ready", spoiled)
    state, run = building(signers=["e" * 64], bases=["e" * 64])
    assert state.name == "SecurityGateFailed"
    assert f"[{GATE}] fail: IMG-02 signature: found" in state.message
    assert {"IMG-02", "IMG-11", "IMG-12"} <= found(run)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(data))


def test_a_base_that_is_not_in_the_home_or_of_another_machine_is_refused(
    passed: Run, home: Home, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = build.Limits.model_validate({**images.LIMITS, "base": "e" * 64, "repository": "registry.test/x"})
    monkeypatch.setattr(build, "wanted", lambda _: limits)
    with pytest.raises(PlanError, match="bases/eeeeeeeeeeee: no such base in the home; allowed: an OCI layout"):
        build.built(passed, passed.published["model"])
    other = made.image([made.blob(made.layer(BASE))], CONFIG | {"architecture": "s390x"})
    assemble.written(other, Store(home.folder("bases", other.sha256)), "base")
    monkeypatch.setattr(build, "wanted", lambda _: limits.model_copy(update={"base": other.sha256}))
    with pytest.raises(PlanError, match=f"found 's390x'; allowed: {build.ARCHITECTURE}, as the packages here are"):
        build.built(passed, passed.published["model"])
    monkeypatch.setattr(build, "wanted", lambda _: limits.model_copy(update={"base": base}))
    monkeypatch.setattr(build.code, "digest", lambda: "f" * 64)
    with pytest.raises(PlanError, match="the code here is ffffffffffff; allowed: "):
        build.built(passed, passed.published["model"])
    assert not build.layout(passed).exists()
    for half in ({"base": "e" * 64}, {"repository": "registry.test/x"}, {"base": "e" * 64, "repository": "registry"}):
        with pytest.raises(ValueError, match=r"are both named|should match pattern"):
            build.Limits.model_validate({**images.LIMITS, **half})


def test_without_a_base_none_is_built(passed: Run) -> None:
    assert build.reference(passed) == ""
    assert facts(passed).built is None
    with pytest.raises(PlanError, match="no image of this run is to be pushed: its manifests name none"):
        build.pushed(passed)
