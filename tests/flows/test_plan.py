"""Document and policy to a sealed plan: every way to be refused before anything runs, by name."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs import load
from configs.load import ConfigError
from flows import brief as briefs
from flows import plan as planning
from security.errors import PlanError
from security.keys import PublicKey, UnsafeLocalKeys, unseal
from security.policy import Plan
from security.registry import GATES
from security.verify import UNSIGNED
from tasks import signer, store
from tasks.home import Home
from tasks.trainer.ask import TRAINER, Trainer

STAGES = list(load.SHORT.values())
Told = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which nothing was signed."""
    return Home(tmp_path_factory.mktemp("plans") / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def shipped(name: str, where: Any) -> Told:
    told: Told = load.text(load.find(name, where))
    return told


def pair(
    folder: Path, document: Told | None = None, policy: Told | None = None, *, pin: bool = True
) -> tuple[str, str]:
    """A document and a policy as files; the policy pins the document as it is, unless told not to."""
    document = copy.deepcopy(document or shipped("sample", "pipelines"))
    policy = copy.deepcopy(policy or shipped("local", "policies"))
    if pin and isinstance(policy.get("documents"), dict) and isinstance(document, dict):
        policy["documents"][str(document.get("pipeline_name"))] = load.sha256(document)
    paths = folder / "given.json", folder / "given.yaml"
    for path, told in zip(paths, (document, policy), strict=True):
        path.write_text(json.dumps(told))
    return str(paths[0]), str(paths[1])


def sealed(made: Home, paths: tuple[str, str], **changes: Any) -> Plan:
    """The plan of a run of all stages, but for what is changed."""
    how: Told = {"partition": "2023-10-27", "window": None, "stages": STAGES, **changes}
    return planning.plan(briefs.read(*paths), made, "", **how)


def spoiled(where: Any, name: str, *path: Any, value: Any) -> Told:
    """A shipped document or policy with one value changed."""
    told = shipped(name, where)
    place: Any = told
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return told


def test_a_good_plan_is_sealed_with_everything_that_decides(made: Home, folder: Path) -> None:
    plan = sealed(made, pair(folder), window=7)
    document, policy = (json.loads((folder / f"given.{kind}").read_text()) for kind in ("json", "yaml"))
    assert (plan.document, plan.policy) == (document, policy)
    assert (plan.document_sha256, plan.policy_sha256) == (load.sha256(document), load.sha256(policy))
    assert (plan.target, plan.signed, plan.baseline) == ("local", UNSIGNED, "establish")
    apart = TRAINER.isolation(signer.secret(made))
    assert (plan.isolation, plan.confined) == (apart.level, apart.layers)
    assert (plan.code, plan.lock) == (planning.code(), planning.lock())
    assert plan.matrix == load.matrix()
    assert plan.signer == UnsafeLocalKeys(made.root / "keys").public("producer").id
    assert "PRIVATE" not in plan.model_dump_json()
    assert Plan.model_validate_json(plan.model_dump_json()).sha256 == plan.sha256
    again = sealed(made, pair(folder), window=7)
    assert again.run != plan.run
    assert again.sha256 != plan.sha256


@pytest.mark.parametrize("name", ["sample", "movielens", "recommendation_engine_v2"])
def test_shipped_documents_run_on_a_laptop(made: Home, name: str) -> None:
    partition = {"movielens": "2016-10"}.get(name, "2023-10-27")
    assert sealed(made, (name, "local"), partition=partition).document["pipeline_name"] == name


def test_what_may_be_waived_and_by_whom_is_held_to_the_gates_and_the_keys(tmp_path: Path) -> None:
    home, who = Home(tmp_path / "home"), {"a" * 64: "Ada"}

    def refused(waive: list[str], waivers: Any, **more: Any) -> str:
        policy = shipped("local", "policies") | {"waivers": waivers, **more}
        policy["gates"]["dependency_scanning"]["waive"] = waive
        paths = pair(tmp_path, policy=policy)
        with pytest.raises(PlanError) as why:
            planning.plan(
                briefs.read(*paths),
                home,
                "",
                partition="2023-10-27",
                window=None,
                stages=["ingest", "features", "train"],
            )
        return str(why.value)

    listed = {"approvers": who, "days": 30}
    assert "DEP-01 cannot be; what can: DEP-04, DEP-10, DEP-12" in refused(["DEP-01"], listed)
    assert "names nobody who may" in refused(["DEP-04"], None)
    own = UnsafeLocalKeys(home.root / "keys").public("producer").id
    assert "waivers: the pipeline's own key" in refused(["DEP-04"], {"approvers": who | {own: "Robot"}, "days": 30})
    robot = {"approvers": who | {own: "Robot"}}
    assert "models: the pipeline's own key approves nothing" in refused(["DEP-04"], listed, models=robot)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"approvers": {"own": "Robot"}}, "approval: limits.approvers: the pipeline's own key approves nothing"),
        ({"target": "local"}, "approval: limits.target: is the plan's to say, not a policy's"),
        ({"name": "sample"}, "approval: limits.name: is the plan's to say, not a policy's"),
        ({"persons": 0}, "approval: limits.persons"),
    ],
)
def test_who_approves_is_neither_the_pipeline_nor_about_something_else(
    made: Home, tmp_path: Path, limits: Told, said: str
) -> None:
    own = UnsafeLocalKeys(made.root / "keys").public("producer").id
    policy = shipped("local", "policies")
    given = {"persons": 1, **limits}
    if "approvers" in given:
        given["approvers"] = {own: "Robot"}
    policy["gates"]["approval"]["limits"] = given
    with pytest.raises(PlanError, match=re.escape(said)):
        sealed(made, pair(tmp_path, policy=policy))


@pytest.mark.parametrize("policy", ["kubernetes_prod", "kubernetes_test"])
def test_production_asks_for_every_gate_and_is_for_what_goes_so_far(policy: str) -> None:
    assert briefs.read("recommendation_engine_v2", policy).terms.target == policy
    assert set(shipped(policy, "policies")["gates"]) == {*GATES}


CHECKS = ("stages", 0, "security_checks")
UNKNOWN: list[tuple[tuple[Any, ...], Any, str]] = [
    (CHECKS, ["data_contact"], r"unknown check 'data_contact' \(nearest: data_contract\); there are "),
    (CHECKS, ["access_controls3"], r"unknown check 'access_controls3' \(nearest: access_control_s3\)"),
    (CHECKS, ["data_contract", "data_contract"], "data_ingestion: a check is named twice"),
    (("stages", 0, "transformations"), ["dedupe"], r"unknown transformation 'dedupe' \(nearest: deduplicate\)"),
    (
        ("stages", 3, "metrics"),
        ["precison@1"],
        r"unknown metric 'precison' \(nearest: precision\); there are",
    ),
    (("stages", 3, "metrics"), ["lift@10"], "unknown metric 'lift'"),
    (("stages", 3, "metrics"), ["precision"], "metric 'precision': found @nothing; allowed: @1 to @100"),
    (("stages", 3, "metrics"), ["precision@0"], "metric 'precision@0': found @0; allowed: @1 to @100"),
    (("stages", 3, "metrics"), ["ndcg@101"], "metric 'ndcg@101': found @101; allowed: @1 to @100"),
    (("stages", 3, "thresholds"), {"recal@10": 0.1}, r"unknown threshold 'recal' \(nearest: recall\)"),
    (
        ("stages", 3, "groups"),
        {"activty": "behavioural"},
        r"unknown grouping 'activty' \(nearest: activity\); there are",
    ),
    (("stages", 1, "features"), ["user_id", "item"], r"unknown feature 'item' \(nearest: item_id\)"),
    (("stages", 1, "features"), ["user_id", "item_id"], "interaction_type, timestamp is needed by the model"),
    (("stages", 2, "framework"), "Tensorflow", r"unknown framework 'Tensorflow' \(nearest: TensorFlow\)"),
    (("stages", 2, "framework"), "PyTorch", "unknown framework 'PyTorch'; there are TensorFlow"),
]


@pytest.mark.parametrize(("path", "value", "said"), UNKNOWN, ids=[said[:36] for _, _, said in UNKNOWN])
def test_an_unknown_name_is_refused_with_the_nearest(folder: Path, path: Any, value: Any, said: str) -> None:
    paths = pair(folder, spoiled("pipelines", "sample", *path, value=value))
    with pytest.raises(PlanError, match=rf"^given\.json: .*{said}"):
        briefs.read(*paths)


def test_an_unknown_gate_of_a_policy_is_refused_with_the_nearest(folder: Path) -> None:
    paths = pair(folder, policy=spoiled("policies", "local", "gates", "model_signatures", value={}))
    with pytest.raises(PlanError, match=r"given\.yaml: unknown check 'model_signatures' \(nearest: model_signature\)"):
        briefs.read(*paths)


def test_a_policy_that_is_silent_about_a_check_is_refused(folder: Path) -> None:
    policy = shipped("local", "policies")
    del policy["gates"]["data_contract"]
    with pytest.raises(PlanError, match="says nothing about data_contract, which given.json asks for"):
        briefs.read(*pair(folder, policy=policy))


def test_a_policy_that_is_silent_about_a_gate_of_the_matrix_is_refused(made: Home, folder: Path) -> None:
    document, policy = shipped("sample", "pipelines"), shipped("local", "policies")
    del policy["gates"]["model_signature"]
    document["stages"][2]["security_checks"] = ["data_contract"]
    document["stages"][4]["security_checks"] = ["access_control_api"]
    with pytest.raises(PlanError, match="gate model_signature has no terms in policy local"):
        sealed(made, pair(folder, document, policy))


@pytest.mark.parametrize(
    ("stage", "check"), [(0, "metric_thresholds"), (2, "access_control_api"), (4, "data_contract")]
)
def test_a_check_that_no_task_of_its_stage_carries_is_refused(folder: Path, stage: int, check: str) -> None:
    document = shipped("sample", "pipelines")
    document["stages"][stage]["security_checks"].append(check)
    with pytest.raises(PlanError, match=f"{load.STAGES[stage]}: no task of this stage carries {check}; there are "):
        briefs.read(*pair(folder, document))


def mine(folder: Path, types: list[str], *, pin: bool = True) -> tuple[str, str]:
    """A document with a contract of its own beside it, and a policy that pins both unless told not to."""
    promised = shipped("interactions", "contracts") | {"name": "mine"}
    promised["schema"][0]["properties"][2]["quality"][0]["arguments"]["validValues"] = types
    (folder / "mine.odcs.yaml").write_text(json.dumps(promised))
    policy = shipped("local", "policies")
    policy["contracts"] |= {"mine": load.sha256(promised)} if pin else {}
    document = shipped("sample", "pipelines")
    document["stages"][0]["contract"] = "mine"
    return pair(folder, document, policy)


def test_a_document_brings_the_contract_that_its_policy_pins(made: Home, folder: Path) -> None:
    plan = sealed(made, mine(folder, ["view"]))
    assert plan.terms["ingest"]["fetch"]["data_contract"].limits["types"] == ["view"]
    assert plan.contract["name"] == "mine"
    assert sealed(made, ("sample", "local")).contract == shipped("interactions", "contracts")


def test_groups_that_nobody_can_make_are_refused(folder: Path) -> None:
    for key, named, says in (
        ("groups", {"team": "declared"}, "unknown grouping 'team'; there are activity, tenure"),
        ("groups", {"tenure": "declared"}, "groups: tenure: found declared; allowed: behavioural, which it is"),
        ("item_groups", {"shelf": "declared"}, "unknown grouping of items 'shelf'"),
    ):
        with pytest.raises(PlanError, match=says):
            briefs.read(*pair(folder, spoiled("pipelines", "sample", "stages", 3, key, value=named)))


def test_a_contract_that_is_not_pinned_as_it_is_is_refused(folder: Path) -> None:
    with pytest.raises(
        PlanError, match="does not pin the contract mine as it is now; .*under contracts: mine: [0-9a-f]{64}"
    ):
        briefs.read(*mine(folder, ["view"], pin=False))
    policy = spoiled("policies", "local", "contracts", "interactions", value="0" * 64)
    with pytest.raises(PlanError, match="does not pin the contract interactions as it is now"):
        briefs.read(*pair(folder, policy=policy))


def test_a_contract_that_is_not_there_or_cannot_be_read_is_refused(folder: Path) -> None:
    document = spoiled("pipelines", "sample", "stages", 0, "transformations", value=[])
    document["stages"][0]["contract"] = "interaction"
    with pytest.raises(ConfigError, match=r"no contract 'interaction' \(nearest: interactions\)"):
        briefs.read(*pair(folder, document))
    with pytest.raises(ConfigError, match=r"mine.odcs.yaml: .*validValues.0: "):
        briefs.read(*mine(folder, ["hover"]))


def test_a_document_that_is_not_pinned_as_it_is_is_refused(folder: Path) -> None:
    document = spoiled("pipelines", "sample", "stages", 3, "thresholds", "precision@10", value=0.01)
    with pytest.raises(PlanError, match=f"does not pin .*write under documents: sample: {load.sha256(document)}"):
        briefs.read(*pair(folder, document, pin=False))
    document = spoiled("pipelines", "sample", "pipeline_name", value="other")
    with pytest.raises(PlanError, match="does not pin given.json as it is now"):
        briefs.read(*pair(folder, document, pin=False))
    assert briefs.read(*pair(folder, document)).parsed.pipeline_name == "other"


def test_a_target_further_than_the_document_goes_is_refused(folder: Path) -> None:
    policy = spoiled("policies", "local", "target", value="kubernetes_test")
    with pytest.raises(PlanError, match="target kubernetes_test; given.json goes no further than local"):
        briefs.read(*pair(folder, policy=policy))
    document = spoiled("pipelines", "sample", "stages", 4, "target_environment", value="kubernetes_prod")
    for target in load.TARGETS:
        policy = spoiled("policies", "local", "target", value=target)
        assert briefs.read(*pair(folder, document, policy)).terms.target == target


REFUSED: list[tuple[Told, str]] = [
    ({"window": 0}, "window 0: allowed: 1 or more partitions"),
    ({"window": -3}, "window -3"),
    ({"partition": "latest"}, "no partition 'latest'"),
    ({"partition": "2023-02-30"}, "no partition '2023-02-30'"),
    ({"stages": []}, "stages"),
    ({"stages": ["ingest", "train"]}, "ingest, train: a run takes stages in a row"),
    ({"stages": ["features"]}, "begins where its predecessor ended"),
    ({"stages": ["deploy"]}, "begins where its predecessor ended"),
    ({"stages": STAGES, "predecessor": {"run": "r", "head": "h"}}, "begins where its predecessor ended"),
    ({"stages": ["ingest", "trian"]}, r"unknown stage 'trian' \(nearest: train\)"),
]


@pytest.mark.parametrize(("changes", "said"), REFUSED, ids=[said[:36] for _, said in REFUSED])
def test_a_run_that_cannot_be_is_refused(made: Home, changes: Told, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        sealed(made, ("sample", "local"), **changes)


def test_some_stages_in_a_row_are_a_run(made: Home) -> None:
    plan = sealed(made, ("sample", "local"), stages=["features", "ingest"])
    assert list(plan.matrix) == list(plan.terms) == ["ingest", "features"]
    before = {"run": "r", "head": "h"}
    plan = sealed(made, ("sample", "local"), stages=["deploy"], predecessor=before)
    assert (list(plan.matrix), plan.predecessor) == (["deploy"], before)


STRICT: list[tuple[tuple[Any, ...], Any, str]] = [
    (("unsigned",), "refuse", "policy local is not signed by its owner: sign it with `sluice sign local`"),
    (("keys",), "isolated", "wants isolated keys, of another user"),
    (("code",), ["0" * 64], "does not accept this code"),
    (("code",), [], "does not accept this code"),
    (("gates", "data_contract", "limits", "most_rejected"), 0.9, "data_contract: limits.most_rejected"),
    (("gates", "data_contract", "observe"), ["coverage"], "data_contract: observe: coverage cannot be observed"),
]


@pytest.mark.parametrize(("path", "value", "said"), STRICT, ids=[said[:36] for _, _, said in STRICT])
def test_what_the_policy_does_not_accept_is_refused(made: Home, folder: Path, path: Any, value: Any, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        sealed(made, pair(folder, policy=spoiled("policies", "local", *path, value=value)))


def test_code_that_the_policy_lists_is_accepted(made: Home, folder: Path) -> None:
    policy = spoiled("policies", "local", "code", value=["0" * 64, planning.code()])
    assert sealed(made, pair(folder, policy=policy)).code == planning.code()


def test_a_store_without_conditional_writes_is_refused(
    made: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sealed(made, pair(folder))
    monkeypatch.setattr(planning, "conditional", lambda home: False)
    with pytest.raises(PlanError, match="this home is an UnsafeStore"):
        sealed(made, pair(folder))
    assert sealed(made, pair(folder, policy=spoiled("policies", "local", "store", value="UnsafeStore")))


def test_the_baseline_is_the_model_that_serves(tmp_path: Path) -> None:
    home = Home(tmp_path)
    store.move(home, "serving", 0, {"model": "7" * 64})
    assert sealed(home, ("sample", "local")).baseline == "7" * 64


def test_an_unsigned_policy_is_for_a_laptop_alone(made: Home, folder: Path) -> None:
    document = spoiled("pipelines", "sample", "stages", 4, "target_environment", value="kubernetes_prod")
    for target in ("kubernetes_test", "kubernetes_prod"):
        policy = spoiled("policies", "local", "target", value=target)
        with pytest.raises(PlanError, match="is not signed by its owner"):
            sealed(made, pair(folder, document, policy))


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Home, tuple[str, str], Path]:
    """A home, a policy that must be signed and is, and the file of its signature."""
    home = Home(tmp_path / "home")
    paths = pair(tmp_path, policy=spoiled("policies", "local", "unsigned", value="refuse"))
    return home, paths, planning.sign(paths[1], home)


Signed = tuple[Home, tuple[str, str], Path]


def test_a_signed_policy_is_taken_with_its_owners_envelope(signed: Signed) -> None:
    home, paths, envelope = signed
    plan = sealed(home, paths)
    assert plan.signed == envelope.read_text()
    claim = unseal(plan.signed.encode(), PublicKey.read(home.root / "trust" / "owner.pub"))
    assert claim["subject"] == [{"name": "local", "digest": {"sha256": plan.policy_sha256}}]
    assert claim["predicate"] == {"documents": plan.policy["documents"]}


def test_a_changed_policy_is_no_longer_signed(signed: Signed) -> None:
    home, paths, _ = signed
    policy = json.loads(Path(paths[1]).read_text())
    policy["gates"]["data_contract"]["limits"]["most_rejected"] = 0.02
    Path(paths[1]).write_text(json.dumps(policy))
    with pytest.raises(PlanError, match="policy local is not signed by its owner"):
        sealed(home, paths)


def _flip(home: Home, envelope: Path) -> None:
    data = bytearray(envelope.read_bytes())
    data[len(data) // 2] ^= 1
    envelope.write_bytes(bytes(data))


def _stranger(home: Home, envelope: Path) -> None:
    """Signed by the producer, who owns no policy."""
    claim = unseal(envelope.read_bytes(), PublicKey.read(home.root / "trust" / "owner.pub"))
    subject = {each["name"]: each["digest"]["sha256"] for each in claim["subject"]}
    signer = UnsafeLocalKeys(home.root / "keys").signer("producer")
    envelope.write_bytes(planning.seal(planning.SIGNED, subject, claim["predicate"], signer))


def _other(home: Home, envelope: Path) -> None:
    """The owner's envelope over another policy, under this one's name."""
    envelope.write_bytes(planning.sign("local", home).read_bytes())


TAMPERED = [
    (_flip, "its signature does not hold"),
    (_stranger, "its signature does not hold: not signed by the key given"),
    (_other, "the signature found is for another policy"),
    (lambda home, path: path.write_bytes(b""), "its signature does not hold"),
    (lambda home, path: path.write_bytes(path.read_bytes() + b"\n"), "its signature does not hold"),
    (lambda home, path: (home.root / "trust" / "owner.pub").write_bytes(b"no key"), "does not hold"),
    (lambda home, path: path.unlink(), "is not signed by its owner"),
    (lambda home, path: (home.root / "trust" / "owner.pub").unlink(), "is not signed by its owner"),
]


@pytest.mark.parametrize(("tamper", "said"), TAMPERED, ids=[str(n) for n in range(len(TAMPERED))])
def test_a_tampered_signature_is_refused(signed: Signed, tamper: Callable[[Home, Path], Any], said: str) -> None:
    home, paths, envelope = signed
    tamper(home, envelope)
    with pytest.raises(PlanError, match=said):
        sealed(home, paths)


WORDS = st.sampled_from(
    [*GATES, *load.STAGES, *STAGES, "deduplicate", "user_id", "TensorFlow", "precision@10", "local",
     "kubernetes_prod", "s3://b-1/x/2023-10/", "s3://b-1/2023-10-27/", "/api", "", "x", "é\u2028", "0" * 64]
)  # fmt: skip
NUMBERS = st.sampled_from([0, -1, 1, 2, 0.5, 10, 1e-9, 1e308, 2**53 - 1])
SCALARS = st.none() | st.booleans() | NUMBERS | WORDS
KEYS = st.sampled_from(["name", "stages", "limits", "observe", "accepts", "waivers", "x", "data_contract", "unsigned"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2), max_leaves=4
)


def places(told: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value below the top."""
    steps = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    return [place for step, each in steps for place in ((*path, step), *places(each, (*path, step)))]


def mutated(told: Told, data: st.DataObject) -> Told:
    """A copy with one to three values replaced, removed, doubled or added."""
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places(told)))
        place: Any = told
        for step in path:
            place = place[step]
        act = data.draw(st.sampled_from(["replace", "remove", "double", "add"]))
        if act == "remove":
            del place[last]
        elif act == "double" and isinstance(place, list):
            place.append(copy.deepcopy(place[last]))
        elif act == "add" and isinstance(place, dict):
            place[data.draw(KEYS)] = copy.deepcopy(data.draw(VALUES))
        else:
            place[last] = copy.deepcopy(data.draw(VALUES))
        if not places(told):
            break
    return told


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), which=st.sampled_from(["document", "policy"]))
def test_whatever_is_given_it_is_a_good_plan_or_refused(
    made: Home, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, which: str
) -> None:
    document, policy = shipped("sample", "pipelines"), shipped("local", "policies")
    mutated(document if which == "document" else policy, data)
    try:
        plan = sealed(made, pair(tmp_path_factory.getbasetemp(), document, policy))
    except (PlanError, ConfigError) as why:
        said = str(why)
    else:
        said = f"{len(plan.terms)} stages"
        assert plan.matrix == load.matrix()
        for tasks in plan.terms.values():
            for gates in tasks.values():
                assert all(GATES[name].limits.model_validate(each.limits) for name, each in gates.items())
    assert said


def test_isolated_keys_are_another_users_and_out_of_reach_of_the_training(
    made: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = pair(folder, policy=spoiled("policies", "local", "keys", value="isolated"))
    with pytest.raises(PlanError, match="found key_isolation: training$"):
        sealed(made, wanted)
    monkeypatch.setattr(signer, "isolated", lambda: True)
    assert sealed(made, wanted).isolation == "user"
    monkeypatch.setattr(planning, "TRAINER", Trainer(confined=False))
    try:
        with pytest.raises(PlanError, match="found key_isolation: none"):
            sealed(made, wanted)
        assert (sealed(made, pair(folder)).isolation, sealed(made, pair(folder)).confined) == ("none", ())
    finally:
        planning.TRAINER.close()
