"""A bucket of the tests' own, and a run over it that passed and serves."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from configs import load
from deployments.image import assemble
from deployments.image.store import Store
from flows.local import PUBLIC
from flows.shell import once
from security.inventory import made
from tasks import build, process
from tasks.home import Home
from tasks.run import Quiet, Run
from tests.attacks.attacker import Ground
from tests.attacks.bucket import DAYS, Operator
from tests.security.gates.images import BASE, CONFIG
from tests.small import small

if TYPE_CHECKING:
    from tests.attacks.table import Attack

BUCKET = "attacked"
SECRETS = {
    "srv/packages/joserfc-*.dist-info/METADATA": "an example of a token",
    "srv/packages/pydantic/networks.py": "an example of an address",
}
"""Of the service's packages, what looks like a secret and is none."""
pytest.register_assert_rewrite("tests.attacks.refused")
LEVELS: dict[str, Any] = {"move": 0.1, "fresh": 0.1, "js": None, "psi": None, "distinct": 4.0}
"""From when on 4,300 rows of 160 people have drifted: of smaller moves chance cannot be told apart."""
Pair = Callable[..., tuple[str, str]]


def drift() -> dict[str, Any]:
    """The terms of drift: those of the policy, with levels at which so few rows can be told, so that none is let go."""
    limits = load.text(load.find("local", "policies"))["gates"]["data_drift_monitoring"]["limits"]
    return {
        "data_drift_monitoring": {
            "limits": limits | {"partitions": len(DAYS), "levels": dict(LEVELS), "newest": {"new": 0.5}},
            "observe": [],
        }
    }


@pytest.fixture(scope="package")
def base(home: Home) -> str:
    """The digest of a small base that lies in the home."""
    here = made.image([made.blob(made.layer(BASE))], CONFIG | {"architecture": build.ARCHITECTURE})
    assemble.written(here, Store(home.folder("bases", here.sha256)), "base")
    return here.sha256


@pytest.fixture(scope="session")
def operator(prefect: str, home: Home) -> Operator:
    """Who owns the buckets; one good one is there."""
    made = Operator(home)
    made.make(BUCKET)
    made.fill(BUCKET, "good")
    return made


@pytest.fixture(scope="session")
def pair() -> Pair:
    """Makes a document over a prefix of a bucket, soon learned, and the policy that pins it."""

    def made(prefix: str = "good", bucket: str = BUCKET, **changes: Any) -> tuple[str, str]:
        told: dict[str, Any] = {"learning_rate": 0.01, "batch_size": 16, "thresholds": {"precision@10": 0.15}}
        told |= {"name": "attacked", "source": f"s3://{bucket}/{prefix}/{DAYS[-1]}/", "terms": drift()} | changes
        return small(**told)

    return made


@pytest.fixture(scope="package")
def passed(operator: Operator, pair: Pair, home: Home) -> Iterator[Run]:
    """A run that passed, whose model serves."""
    document, policy = pair()
    state, run = once(Quiet(), document=document, policy=policy)
    assert state.is_completed(), state.message
    assert run is not None
    run.notes["asked"] = {"document": document, "policy": policy}
    yield run
    process.stop(home.root / "service" / run.plan.run / "process.json")


@pytest.fixture
def desk(home: Home) -> Iterator[Path]:
    """Where approvals lie; none is left of a test."""
    yield home.root / "approvals"
    for path in (home.root / "approvals").glob("*"):
        path.unlink()


@pytest.fixture
def ground(attack: "Attack", request: pytest.FixtureRequest, operator: Operator, passed: Run) -> Iterator[Ground]:
    """A prefix with the objects that the attack wants, in a bucket with the flaw that it wants."""
    name = request.node.callspec.id
    flaw, bucket = dict(attack.flaw), BUCKET
    if flaw:
        bucket = PUBLIC if flaw.pop("public", False) else f"flawed-{name}"
        suspended = flaw.pop("suspended", False)
        if bucket != PUBLIC:
            operator.make(bucket, **flaw)
    operator.fill(bucket, f"good-{name}", attack.bodies())
    if attack.flaw and suspended:
        operator.suspend(bucket)
    made = Ground(passed.home, operator, bucket, f"good-{name}", passed)
    yield made
    made.restore()
