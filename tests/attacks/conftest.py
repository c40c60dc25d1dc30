"""A bucket of the tests' own, and a run over it that passed and serves."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flows.shell import once
from tasks import process
from tasks.home import Home
from tasks.run import Quiet, Run
from tests.attacks.bucket import DAYS, Operator
from tests.small import small

BUCKET = "attacked"
Pair = Callable[..., tuple[str, str]]


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
        told = {"learning_rate": 0.01, "batch_size": 16, "thresholds": {"precision@10": 0.2}} | changes
        source = f"s3://{bucket}/{prefix}/{DAYS[-1]}/"
        return small(name="attacked", source=source, **told)

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
