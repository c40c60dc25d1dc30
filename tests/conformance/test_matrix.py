"""What the code declares, against what the matrix, the import contracts and the words of the house allow."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow

import flows.backfill
import flows.deploy
import flows.evaluate
import flows.features
import flows.ingest
import flows.lease
import flows.pipeline
import flows.train
from configs import load
from security.registry import GATES
from tasks.stage import MATRIX

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("configs", "security", "tasks", "flows", "deployments")
CODE = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
FLOWS: list[Flow[Any, Any]] = [
    flows.ingest.ingest, flows.features.features, flows.train.train, flows.evaluate.evaluate, flows.deploy.deploy,
    flows.pipeline.pipeline, flows.backfill.backfill, flows.lease.lease,
]  # fmt: skip
STAGES = FLOWS[:5]


def test_the_matrix_is_what_the_code_declares() -> None:
    assert load.matrix() == {stage: MATRIX[stage] for stage in load.SHORT.values()}


def test_the_matrix_is_this() -> None:
    """A gate that is removed shows up in review."""
    assert load.matrix() == {
        "ingest": {
            "fetch": {
                "before": ["access_control_s3", "data_encryption_in_transit"],
                "after": ["data_encryption_at_rest", "data_contract", "PII_detection", "data_drift_monitoring"],
            },
            "clean": {"before": [], "after": ["data_contract", "approved_inputs"]},
        },
        "features": {
            "protect": {
                "before": ["data_contract", "PII_detection", "data_drift_monitoring"],
                "after": ["data_contract"],
            },
            "prepare": {"before": ["PII_detection"], "after": ["data_contract", "data_poisoning"]},
        },
        "train": {
            "fit": {
                "before": [
                    "data_contract",
                    "approved_inputs",
                    "dependency_scanning",
                    "code_integrity_check",
                    "secrets_scanning",
                ],
                "after": ["model_signature", "model_artifact_scan", "model_versioning", "code_integrity_check"],
            }
        },
        "evaluate": {
            "score": {
                "before": ["model_signature", "code_integrity_check"],
                "after": ["metric_thresholds", "fairness_metrics", "bias_detection", "backdoor_probe"],
            }
        },
        "deploy": {
            "render": {
                "before": ["model_signature"],
                "after": ["network_policy_enforcement", "workload_hardening"],
            },
            "serve": {
                "before": [
                    "model_signature",
                    "model_artifact_scan",
                    "model_versioning",
                    "dependency_scanning",
                    "code_integrity_check",
                    "registry_authorization",
                    "approval",
                ],
                "after": ["image_vulnerability_scanning", "access_control_api"],
            },
            "place": {
                "before": ["deployment_authorization"],
                "after": ["network_policy_enforcement", "workload_hardening"],
            },
        },
    }


def test_every_gate_of_the_matrix_is_built_and_every_built_gate_is_in_it() -> None:
    sides = [each for tasks in load.matrix().values() for each in tasks.values()]
    named = {gate for each in sides for gate in each["before"] + each["after"]}
    assert named == set(GATES)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_no_flow_is_tried_again_by_itself(flow: Flow[Any, Any]) -> None:
    assert flow.retries == 0
    assert flow.persist_result is None or flow.persist_result is False
    assert flow.should_validate_parameters
    assert not (flow.on_completion_hooks)
    assert not (flow.on_failure_hooks)


@pytest.mark.parametrize("flow", STAGES, ids=lambda flow: flow.name)
def test_every_stage_is_held(flow: Flow[Any, Any]) -> None:
    assert flow.fn.__fail_closed__ == flow.name  # type: ignore[attr-defined]


FORBIDDEN = {
    "allow_failure": r"\ballow_failure\b",
    "a persisted result": r"persist_result\s*=\s*True|result_storage|cache_key_fn",
    "pickle": r"\b(import|from) +(pickle|cloudpickle|joblib|dill)\b|pickle\.(load|dump)|allow_pickle\s*=\s*True",
    "a hook": r"\bon_(completion|failure|commit)\s*=",
    "a shell": r"shell\s*=\s*True|run_shell_script",
    "unverified TLS": r"verify\s*=\s*False|CERT_NONE|_create_unverified",
    "a swallowed error": r"except (Base)?Exception:\s*\n\s*(pass|continue)",
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_words_that_are_not_written(name: str) -> None:
    found = [path.name for path in CODE if re.search(FORBIDDEN[name], path.read_text(encoding="utf-8"))]
    assert found == []


def test_modules_are_small_enough_to_read() -> None:
    assert {path.name: count for path in CODE if (count := len(path.read_text().splitlines())) > 400} == {}


def test_every_public_thing_says_what_it_is() -> None:
    silent = []
    for path in CODE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in [tree, *tree.body]:
            public = isinstance(node, ast.Module) or not getattr(node, "name", "_").startswith("_")
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and public and not ast.get_docstring(node):
                silent.append(f"{path.relative_to(ROOT)}:{getattr(node, 'name', '')}")
    assert silent == []


def test_security_never_imports_what_it_judges() -> None:
    heavy = {"prefect", "tensorflow", "pandas", "tasks", "flows"}
    for path in (ROOT / "security").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & heavy, path
