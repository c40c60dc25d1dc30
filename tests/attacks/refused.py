"""What every attack ends with: SecurityGateFailed for the reason named; store, pointer and processes as they were."""

import re
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from flows.shell import once
from security.errors import SluiceError
from security.verify import verify
from tasks import chains, process
from tasks.home import Home
from tasks.report import TAG
from tasks.run import REFUSED
from tasks.store import current, measure
from tests.attacks.attacker import Attacker, Ground
from tests.attacks.conftest import Pair
from tests.attacks.table import Attack

KINDS = {"ingest": "rows", "features": "features", "train": "model", "evaluate": "scores", "deploy": "endpoint"}


def running(run: str) -> list[str]:
    """Processes whose command line names a run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if run.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def store(home: Home) -> set[str]:
    """The names in the store, each of them that of its content."""
    names = {path.name for path in (home.root / "store").iterdir()}
    assert {measure(home.root / "store" / name)[0] for name in names} == names
    return names


def entries(home: Home) -> dict[str, tuple[str, ...]]:
    """Where the chains of the registry end."""
    return {name: chains.heads(home, name) for name in chains.names(home)}


def told(state: Any) -> tuple[str, str, set[str]]:
    """How Prefect's server shows the run: type and name of its state, and its tags."""
    with get_client(sync_client=True) as api:
        flow_run = api.read_flow_run(state.state_details.flow_run_id)
    assert flow_run.state is not None
    return flow_run.state.type.value, str(flow_run.state.name), set(flow_run.tags)


def refused(attack: Attack, ground: Ground, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> str:
    """Carry an attack out against a real run, and look at what is left of it; why it was refused."""
    home = ground.home
    pointer, before, heads = current(home, "serving"), store(home), entries(home)
    document, policy = pair(ground.prefix, ground.bucket, **attack.changes)
    parameters: dict[str, Any] = {"document": document, "policy": policy, **attack.parameters}
    if attack.parameters.get("after"):
        parameters |= ground.passed.notes["asked"] | {"after": ground.passed.plan.run}
    attacker = Attacker(ground, attack.acts)
    attacker.wait(monkeypatch)
    attack.patch(monkeypatch, ground)
    state, run = once(attacker, **parameters)
    ground.restore()

    assert (state.is_failed(), state.name) == (True, REFUSED), state
    assert re.search(attack.says, state.message), state.message
    assert attacker.acted == list(attack.acts)
    assert run is not None
    stages = list(run.plan.matrix)
    inherited = ground.passed.published if run.plan.predecessor else {}
    published = [kind for kind, ref in run.published.items() if inherited.get(kind) != ref]
    assert published == [KINDS[stage] for stage in stages[: stages.index(attack.stage)]]
    assert store(home) <= before | {ref.sha256 for ref in run.published.values()}
    assert current(home, "serving") == pointer
    assert entries(home) == heads
    for scheme in ("quarantine", "staging"):
        assert not (home.root / scheme / run.plan.run).exists()
    assert process.alive(home.root / "service" / run.plan.run / "process.json") is None
    assert running(run.plan.run) == []
    with pytest.raises(SluiceError):
        verify(run.log.path, run.trust)
    kind, name, tags = told(state)
    assert (kind, name) == ("FAILED", REFUSED)
    assert TAG in tags
    return str(state.message)
