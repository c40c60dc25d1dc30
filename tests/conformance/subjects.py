"""For each gate a subject that it passes, one that it fails, and limits for both: what the conformance suite runs on.

A case is made in a folder: what cannot be made twice the same (a signature) is made once and found there again, so that
another process opens the very same bytes.
"""

import json
import random
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from security.engines.index import Listing
from security.gates import contract, dependencies, inputs, metrics, model, personal, secrets
from security.gates.dependencies import Pin
from security.gates.model.decoys import resigned
from security.keys import PublicKey
from security.material import Material
from security.personal.found import Model
from security.personal.names import pin
from security.posture import Posture, asked
from security.registry import GATES
from security.rows import lines
from security.verdict import Snapshot, Subject
from tests.security.gates import (
    codes,
    test_api,
    test_approval,
    test_artifact,
    test_authorization,
    test_backdoor,
    test_bias,
    test_bucket,
    test_dependencies,
    test_deployer,
    test_drift,
    test_fairness,
    test_image,
    test_inputs,
    test_metrics,
    test_model,
    test_network,
    test_newest,
    test_poisoning,
    test_rest,
    test_secrets,
    test_transit,
    test_versions,
    test_workload,
)
from tests.security.personal.test_names import ruled, written


@dataclass(frozen=True)
class Case:
    """One gate's subjects. `good` and `bad` open a fresh material at each call."""

    limits: dict[str, Any]
    stricter: dict[str, Any]
    """Limits that the good subject does not keep."""
    good: Callable[[], Material[Any]]
    bad: Callable[[], Material[Any]]
    rule: str
    """What is wrong with the bad one."""
    beside: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Rule -> rules that its known-bad material cannot but break as well."""
    maybe: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Rule -> rules that some of its known-bad material breaks as well."""


def _rows(folder: Path) -> Case:
    """Forty rows in two files, which say a team; the bad ones have an interaction type that nobody declared."""
    teams = {"team": ["red", "blue"]}
    volume = {"recent": 28, "fewest": 7, "lowest": 0.3, "highest": 3.0}
    limits = {"since": "", "until": "2023-10-27", "min_rows": 5, "clean": True, "volume": volume, "bots": {}}
    limits |= {"groups": [{"name": "team", "values": teams["team"]}]}
    for name, first in (("good", "view"), ("bad", "hover")):
        for part in range(2):
            rows = [
                {
                    "user_id": f"u{n % 7}",
                    "item_id": f"i{n}",
                    "interaction_type": (first, "click", "purchase")[n % 3],
                    "timestamp": f"2023-10-{n % 27 + 1:02d}T10:00:{n % 60:02d}Z",
                    "team": (*teams["team"], None)[n % 3],
                }
                for n in range(20 * part, 20 * part + 20)
            ]
            (folder / f"{name}-{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def opened(name: str) -> Material[Any]:
        paths = [folder / f"{name}-{part}.jsonl" for part in range(2)]
        subject = Subject(kind="rows", name="staging:rows", sha256="0" * 64)
        source = partial(contract.batches, paths, [path.name for path in paths], contract.nowhere, teams)
        return contract.material(subject, source, sum(map(lines, paths)))

    return Case(
        limits,
        limits | {"types": ["view"]},
        good=lambda: opened("good"),
        bad=lambda: opened("bad"),
        rule="CON-TYPE",
    )


def _personal(folder: Path) -> Case:
    """Forty rows in two files, with a comment each; in the bad ones one holds an address for mail. The policy names a
    model that knows some people."""
    known = written(ruled(), folder / "model")
    language = personal.Language(at=f"file:{known}", sha256=pin(known), finds="Alice Smith lives in Paris")
    used = Model(str(known), language.sha256, language.finds)
    for name in ("good", "bad"):
        for part in range(2):
            rows = [
                {
                    "user_id": f"u{n}",
                    "item_id": f"i{n}",
                    "interaction_type": "view",
                    "timestamp": "2023-10-27T10:00:00Z",
                    "comment": "nice",
                }
                for n in range(20)
            ]
            rows[7]["comment"] = (
                "write to jane.doe@example.com" if (name, part) == ("bad", 1) else "see www.example.com"
            )
            (folder / f"{name}-{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def opened(name: str) -> Material[Any]:
        paths = [folder / f"{name}-{part}.jsonl" for part in range(2)]
        subject = Subject(kind="rows", name="staging:rows", sha256="0" * 64)
        source = partial(contract.batches, paths, [path.name for path in paths])
        return personal.material(contract.material(subject, source, sum(map(lines, paths))), ["comment"], used)

    named = {"model": language.model_dump()}
    return Case(
        named | {"actions": {"comment": {"URL": "drop"}}},
        named | {"actions": {}},
        good=lambda: opened("good"),
        bad=lambda: opened("bad"),
        rule="PII-FOUND",
    )


def _drift(_: Path) -> Case:
    """Rows of the source that the baseline is of, the last of the newest of three partitions; of the bad ones before
    them a third are of another kind."""
    kinds, _found = test_drift.changes()["kind"]
    return Case(
        test_newest.LIMITS | {"newest": {"new": 0.5}},
        test_newest.LIMITS | {"newest": {"new": 0.5}, "baseline": "0" * 64},
        good=test_newest.good,
        bad=lambda: test_newest.given(kinds, test_drift.log(3, test_newest.LAST)),
        rule="DRIFT-COLUMN",
        # Where the rows before have others, or none, the ids of the newest are new.
        maybe={rule: frozenset({*test_drift.BESIDE.get(rule, ()), "DRIFT-NEWEST-IDS"}) for rule in test_drift.RULES},
    )


def _answers(gate: str, kind: str, uri: str, answers: Mapping[str, dict[str, Any]]) -> Material[Any]:
    posture = GATES[gate]
    assert isinstance(posture, Posture)
    return asked(posture, Snapshot(kind=kind, uri=uri, taken=time.time(), answers=dict(answers)))


def _bucket(_: Path) -> Case:
    """A bucket as it should be, which another account may read too; the bad one is read by anybody."""
    partner = {**test_bucket.ALLOW, "Principal": {"AWS": "210987654321"}}
    good = test_bucket.answers(policy=test_bucket.statements(test_bucket.TLS, partner))
    served = {**good, "anonymous_get": {"status": 200, "version": "v1", "code": ""}}
    return Case(
        {"accounts": ["210987654321"]},
        {"accounts": []},
        good=lambda: _answers("access_control_s3", "bucket", "s3://lake/p/", good),
        bad=lambda: _answers("access_control_s3", "bucket", "s3://lake/p/", served),
        rule="S3-PUB-READ",
    )


def _way(_: Path) -> Case:
    """The way to a bucket as it should be; the bad one is also open to TLS 1.0."""
    old = {**test_transit.GOOD, "tls_1_0": {"taken": True}}
    return Case(
        {},
        {"authorities": ["given"]},
        good=lambda: _answers("data_encryption_in_transit", "bucket", "s3://lake/p/", test_transit.GOOD),
        bad=lambda: _answers("data_encryption_in_transit", "bucket", "s3://lake/p/", old),
        rule="S3-TLS-OLD",
    )


def _endpoint(_: Path) -> Case:
    """A service that answers the right call with seven items; the bad one takes expired tokens."""
    good = test_api.clean()
    for question in ("right", "right-other", "right-session"):
        good[question]["items"] = 7
    bad = {**good, "expired": {**good["right"]}}
    return Case(
        {"items": 5},
        {"items": 10},
        good=lambda: _answers("access_control_api", "endpoint", "http://127.0.0.1/api", good),
        bad=lambda: _answers("access_control_api", "endpoint", "http://127.0.0.1/api", bad),
        rule="API-03",
    )


def _scores(folder: Path) -> Case:
    """An evaluation of fifty users in two files; in the bad one the model's lists are those of popularity."""
    rows = test_metrics.beside(test_metrics.sound(), hits=6)
    flat = [row | {"top_popularity": row["top_model"]} for row in rows]
    for name, held in (("good", rows), ("bad", flat)):
        for part, some in enumerate((held[:30], held[30:])):
            pq.write_table(pa.Table.from_batches([test_metrics.batch(some)]), folder / f"{name}-{part}.parquet")

    def opened(name: str) -> Material[Any]:
        subject = Subject(kind="scores", name="staging:scores", sha256="0" * 64)
        files = [folder / f"{name}-{part}.parquet" for part in range(2)]
        return metrics.material(subject, files, len(rows), test_metrics.looks(2, 1))

    limits = test_metrics.LIMITS | {"min_users": 10, "first": "fail"}
    return Case(
        limits,
        limits | {"thresholds": {"precision@10": 0.95}},
        good=lambda: opened("good"),
        bad=lambda: opened("bad"),
        rule="MET-BASELINE",
        # Where nobody hits anything that is listed, the model is ahead of nobody.
        beside={
            "MET-THRESHOLD": frozenset({"MET-BASELINE", "MET-REGRESSION"}),
            "MET-REGRESSION": frozenset({"MET-BASELINE", "MET-THRESHOLD"}),
        },
    )


def _model(folder: Path) -> Case:
    """A signed model; of the bad one a file was altered after it was signed."""
    good, bad, key = folder / "good", folder / "bad", folder / "key.pub"
    if not key.exists():
        card = test_model.card(expires=4e9)
        pem, files = resigned({**test_model.KEPT, "model.json": card}, random.Random("the producer"))
        test_model.write(good, files)
        test_model.write(bad, {**files, "weights.safetensors": b"other weights"})
        key.write_bytes(pem)
    public = PublicKey.read(key)
    limits = {"signer": public.id, "name": "recommender", "floor": 7}

    def opened(path: Path) -> Material[Any]:
        files = model.contents(path)
        subject = Subject(kind="model", name="staging:model", sha256=model.release(files))
        return model.material(subject, path, len(files), public)

    return Case(
        limits,
        limits | {"floor": 8},
        good=lambda: opened(good),
        bad=lambda: opened(bad),
        rule="SIG-ALTERED",
        # Only the producer can sign a changed card, so such material is signed by a key of its own.
        beside=dict.fromkeys(("SIG-CARD", "SIG-EXPIRED", "SIG-NAME", "SIG-VERSION"), frozenset({"SIG-KEY"})),
    )


def _objects(_: Path) -> Case:
    """A bucket's default and three versions by the key that the policy names; of the bad one a version by another."""

    def opened(**changed: dict[str, Any]) -> Material[Any]:
        given = test_rest.answers(**changed)
        return Material(test_rest.SUBJECT, lambda: given, expected=len(given), unit="answers")

    return Case(
        test_rest.LIMITS | {"volume": "encrypted"},
        {"keys": [test_rest.OTHER]},
        good=opened,
        bad=lambda: opened(**{"p/b": test_rest.sealed(key=test_rest.OTHER)}),
        rule="S3-SSE-OBJ",
    )


def _manifest(_: Path) -> Case:
    """Two partitions as the plan names them; in the bad manifest one object is of another version."""
    key, bad = test_inputs.signed(test_inputs.changed(version="v9"))

    def opened(envelope: bytes) -> Material[Any]:
        return inputs.material(test_inputs.SUBJECT, envelope, key, ())

    return Case(
        test_inputs.LIMITS,
        test_inputs.LIMITS | {"revoked": {test_inputs.MADE: "it was withdrawn"}},
        good=lambda: opened(test_inputs.ENVELOPE),
        bad=lambda: opened(bad),
        rule="INP-VERSION",
        # Only the producer can sign another manifest, so such material is signed by a key of its own.
        beside=dict.fromkeys(("INP-EXTRA", "INP-MISSING", "INP-VERSION"), frozenset({"INP-SIGNED"})),
    )


def _lock(_: Path) -> Case:
    """Three packages, two of them here and both known to the index; of the bad ones one has a known vulnerability."""
    pins = [pin for pin in map(dependencies.read, dependencies.lines(test_dependencies.LOCK)) if isinstance(pin, Pin)]
    every = [Listing(name=pin.name, version=pin.version, known=True) for pin in pins]
    limits = test_dependencies.LIMITS | {"allowed": "UnsafeAnyName", "index": True}
    bad = test_dependencies.mirror(test_dependencies.KNOWN)
    return Case(
        limits,
        limits | {"allowed": ["alpha", "beta"]},
        good=lambda: test_dependencies.opened(listings=every),
        bad=lambda: test_dependencies.opened(known=bad, listings=every),
        rule="DEP-04",
        # A line that cannot be looked up pins nothing either, and a package beside the lock is in none.
        beside={"DEP-05": frozenset({"DEP-02"})},
        maybe={
            "DEP-01": frozenset({"DEP-02", "DEP-05"}),
            "DEP-03": frozenset({"DEP-05"}),
            "DEP-05": frozenset({"DEP-01", "DEP-03"}),
        },
    )


def _code(folder: Path) -> Case:
    """A checkout of two signed commits; of the bad one a signed file is another."""
    root, listed, first = codes.checkout(folder)
    bad = folder / "bad"
    if not bad.exists():
        shutil.copytree(root, bad, symlinks=True)
        (bad / "ü.txt").write_text("y")
    limits = {"signers": listed, "since": first, "made": ["six.*"]}
    return Case(
        limits,
        limits | {"made": []},
        good=codes.opened(root, limits),
        bad=codes.opened(bad, limits),
        rule="CODE-01",
        # A module of the checkout that nobody signed is a file that nobody signed.
        beside={"CODE-17": frozenset({"CODE-04"})},
    )


def _secrets(_: Path) -> Case:
    """Three files, one of which tells others to look away from nothing; the bad checkout holds a key."""
    return Case(
        {"besides": {"vendor": "looked at elsewhere"}},
        {"besides": {}},
        good=lambda: test_secrets.opened(about=secrets.About(besides={"vendor": 2})),
        bad=test_secrets.bad,
        rule="SEC-01",
        # What hides a secret stands beside one.
        beside={"SEC-04": frozenset({"SEC-01"})},
    )


CASES: dict[str, Callable[[Path], Case]] = {
    "PII_detection": _personal,
    "access_control_api": _endpoint,
    "access_control_s3": _bucket,
    "approval": test_approval.case,
    "approved_inputs": _manifest,
    "code_integrity_check": _code,
    "data_contract": _rows,
    "data_drift_monitoring": _drift,
    "data_encryption_at_rest": _objects,
    "data_encryption_in_transit": _way,
    "data_poisoning": test_poisoning.case,
    "dependency_scanning": _lock,
    "deployment_authorization": test_deployer.case,
    "backdoor_probe": test_backdoor.case,
    "bias_detection": test_bias.case,
    "fairness_metrics": test_fairness.case,
    "image_vulnerability_scanning": test_image.case,
    "metric_thresholds": _scores,
    "model_artifact_scan": test_artifact.case,
    "model_signature": _model,
    "model_versioning": test_versions.case,
    "network_policy_enforcement": test_network.case,
    "registry_authorization": test_authorization.case,
    "secrets_scanning": _secrets,
    "workload_hardening": test_workload.case,
}
"""Gate -> maker of its case in a folder."""
