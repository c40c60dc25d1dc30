"""Terms, what follows from a verdict, and the days of a window."""

import copy
import re
from calendar import monthrange
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import load
from configs.contract import contract
from security.errors import PlanError
from security.gate import CAUSES
from security.gates.contract import DataContract
from security.policy import Terms, effect, terms
from security.registry import GATES
from security.resolve import days
from security.verdict import Basis, Outcome, Verdict

SIGNER = "5" * 64
MATRIX = load.matrix()
GIVEN = {
    "document": load.text(load.find("sample", "pipelines")),
    "partition": "2023-10-27",
    "window": 7,
    "contract": load.text(load.find("interactions", "contracts")),
    "inputs": {"2023-10-27": "7" * 64},
    "profiles": {"fetch": "8" * 64},
    "signer": SIGNER,
    "target": "local",
    "run": "run-1",
    "matrix": MATRIX,
    "code": "3" * 64,
    "lock": "4" * 64,
    "locks": {},
}


def policy(**gates: dict[str, Any]) -> load.Policy:
    """The local policy, with other terms for some gates."""
    told = copy.deepcopy(load.text(load.find("local", "policies")))
    told["gates"].update(gates)
    return load.policy(told)


def test_every_gate_of_every_task_has_terms() -> None:
    made = terms(policy(), GIVEN, MATRIX, GATES)
    assert {
        stage: {task: sorted(names) for task, names in tasks.items()} for stage, tasks in made.items()
    } == {
        stage: {task: sorted({*sides["before"], *sides["after"]}) for task, sides in tasks.items()}
        for stage, tasks in MATRIX.items()
    }  # fmt: skip
    for tasks in made.values():
        for names in tasks.values():
            for name, each in names.items():
                assert GATES[name].limits.model_validate(each.limits)


def test_personal_data_is_judged_by_the_contracts_columns_and_by_whether_it_was_handled() -> None:
    made = terms(policy(), GIVEN, MATRIX, GATES)
    where = [("ingest", "fetch"), ("features", "protect"), ("features", "prepare")]
    limits = [made[stage][task]["PII_detection"].limits for stage, task in where]
    assert [each["handled"] for each in limits] == [False, False, True]
    assert all(each["roles"] == contract(GIVEN["contract"]).roles() for each in limits)


APPROVED = (("ingest", "clean"), ("train", "fit"))
WATCHED = (("ingest", "fetch"), ("features", "protect"))


def test_limits_are_completed_from_the_plan() -> None:
    made = terms(policy(), GIVEN, MATRIX, GATES)
    fetched, cleaned = (made["ingest"][task]["data_contract"].limits for task in ("fetch", "clean"))
    assert (fetched["since"], fetched["until"], fetched["clean"]) == ("2023-10-21", "2023-10-27", False)
    assert cleaned == fetched | {"clean": True}
    assert made["features"]["prepare"]["data_contract"].limits["clean"] is True
    assert made["train"]["fit"]["model_signature"].limits == {"floor": 1, "signer": SIGNER, "name": "sample"}
    assert made["evaluate"]["score"]["metric_thresholds"].limits["thresholds"] == {"precision@10": 0.75}
    fetched, cleaned = (made[stage][task]["data_drift_monitoring"].limits for stage, task in WATCHED)
    assert [each["baseline"] for each in (fetched, cleaned)] == ["8" * 64, ""], "there is none yet of cleaned rows"
    assert [each["beside"] for each in (fetched, cleaned)] == [{"comment": "id", "user_agent": "category"}, {}]
    assert {(each["since"], each["until"]) for each in (fetched, cleaned)} == {("2023-10-21", "2023-10-27")}
    wanted = {"producer": SIGNER, "named": GIVEN["inputs"]}
    assert [made[stage][task]["approved_inputs"].limits for stage, task in APPROVED] == [wanted, wanted]


@pytest.mark.parametrize(
    ("partition", "window", "partitions", "days_"),
    [
        ("2023-10-27", 7, 3, ("2023-10-25", "2023-10-27")),
        ("2023-10-27", None, 28, ("2023-09-30", "2023-10-27")),
        ("2023-10-27", None, 1, ("2023-10-27", "2023-10-27")),
        ("2016-10", None, 3, ("2016-08-01", "2016-10-31")),
        ("2016-10", 1, 3, ("2016-10-01", "2016-10-31")),
    ],
)
def test_the_last_partitions_are_compared_and_none_that_the_run_does_not_take(
    partition: str, window: int | None, partitions: int, days_: tuple[str, str]
) -> None:
    told = policy(data_drift_monitoring={"limits": {"partitions": partitions, "key": "UnsafeLocal"}})
    made = terms(told, GIVEN | {"partition": partition, "window": window}, MATRIX, GATES)
    for stage, task in WATCHED:
        limits = made[stage][task]["data_drift_monitoring"].limits
        assert (limits["since"], limits["until"]) == days_


def test_no_policy_lowers_a_threshold_or_names_a_signer() -> None:
    lowered = policy(
        metric_thresholds={"limits": {"thresholds": {"precision@10": 0.01}, "attempts": 3}},
        model_signature={"limits": {"floor": 1, "signer": "0" * 64, "name": "other"}},
        data_contract={"limits": {"since": "1999-01-01", "until": "2099-01-01", "clean": False}},
        approved_inputs={"limits": {"producer": "0" * 64, "named": {}}},
    )
    made = terms(lowered, GIVEN, MATRIX, GATES)
    assert made["evaluate"]["score"]["metric_thresholds"].limits["thresholds"] == {"precision@10": 0.75}
    assert made["deploy"]["serve"]["model_signature"].limits["signer"] == SIGNER
    for stage, task in APPROVED:
        assert made[stage][task]["approved_inputs"].limits == {"producer": SIGNER, "named": GIVEN["inputs"]}
    window = {"since": "2023-10-21", "until": "2023-10-27", "clean": True, "bots": {}}
    assert made["ingest"]["clean"]["data_contract"].limits == contract(GIVEN["contract"]).limits() | window


def test_users_are_grouped_as_the_document_says_and_at_least_as_the_policy_asks() -> None:
    both = {"activity": "behavioural", "tenure": "behavioural"}
    given = copy.deepcopy(GIVEN)
    stage = given["document"]["stages"][3]

    def groupings(asked: Any) -> Any:
        terms_ = {"limits": {"groupings": asked, "ratio": {"ndcg": 0.8}}}
        return terms(policy(fairness_metrics=terms_), given, MATRIX, GATES)["evaluate"]["score"][
            "fairness_metrics"
        ].limits["groupings"]

    assert stage["groups"] == both
    assert groupings({"activity": "behavioural"}) == both, "what the document has beside it is looked at too"
    with pytest.raises(PlanError, match="limits.groupings.age: model_evaluation: groups: found activity, tenure; the"):
        groupings({"age": "declared"})
    stage["groups"] = both | {"age": "declared"}
    assert groupings({"age": "declared"}) == stage["groups"]
    del stage["groups"]
    assert groupings({"tenure": "behavioural"}) == both, "a document that does not say"
    stage["groups"] = {"tenure": "behavioural"}
    with pytest.raises(
        PlanError, match="limits.groupings.activity: model_evaluation: groups: found tenure; the policy"
    ):
        groupings(both)
    with pytest.raises(PlanError, match="limits.groupings.tenure: declared; the document has behavioural"):
        groupings({"tenure": "declared"})
    for none in ({}, None, []):
        with pytest.raises(PlanError, match=r"fairness_metrics: limits.groupings: none; allowed"):
            groupings(none)


def test_a_column_of_groups_is_not_masked_by_halves() -> None:
    given = copy.deepcopy(GIVEN)
    named = {"type": "library", "metric": "invalidValues", "arguments": {"validValues": ["a", "b"]}, "mustBe": 0}
    role = {"property": "sluiceRole", "value": "user_group"}
    column = {"name": "team", "required": False, "customProperties": [role], "quality": [named]}
    given["contract"]["schema"][0]["properties"].append(column)
    for action in ("mask", "drop", 1, ["block"], None):
        said = re.escape(f"limits.actions.team: found {action!r}; a column of groups stays or blocks")
        with pytest.raises(PlanError, match=said):
            terms(policy(PII_detection={"limits": {"actions": {"team": {"URL": action}}}}), given, MATRIX, GATES)
    for action in ("block", "UnsafeKeep"):
        assert terms(policy(PII_detection={"limits": {"actions": {"team": {"URL": action}}}}), given, MATRIX, GATES)


def test_items_are_grouped_as_the_document_says_each_within_bounds_of_the_policy() -> None:
    given = copy.deepcopy(GIVEN)
    stage = given["document"]["stages"][3]
    asked = load.text(load.find("local", "policies"))["gates"]["bias_detection"]["limits"]
    popular = asked["groupings"]["popularity"]
    bounds = {"catalogue": 0.2, "relevance": 0.6, "calibration": 1.0}
    shelf = {"shelf": {"kind": "declared", **bounds}}

    def groupings(**more: Any) -> Any:
        terms_ = {"limits": {name: value for name, value in (asked | more).items() if value is not None}}
        made = terms(policy(bias_detection=terms_), given, MATRIX, GATES)
        assert "declared" not in made["evaluate"]["score"]["bias_detection"].limits
        return made["evaluate"]["score"]["bias_detection"].limits["groupings"]

    assert groupings(declared=bounds) == {"popularity": popular}
    with pytest.raises(PlanError, match="limits.groupings.shelf: model_evaluation: item_groups: found none"):
        groupings(groupings={"popularity": popular} | shelf)
    stage["item_groups"] = {"shelf": "declared"}
    assert groupings(declared=bounds) == {"popularity": popular} | shelf
    own = {"shelf": shelf["shelf"] | {"relevance": 0.9}}
    assert groupings(declared=bounds, groupings={"popularity": popular} | own) == {"popularity": popular} | own
    with pytest.raises(PlanError, match="limits.declared: none; the document groups items by shelf"):
        groupings(declared=None)
    with pytest.raises(PlanError, match="bias_detection: limits.groupings.shelf.relevance"):
        groupings(declared=bounds | {"relevance": 2.0})
    with pytest.raises(PlanError, match="allowed: bounds by name, and bounds"):
        groupings(declared=0.5)


def test_levels_of_a_column_that_is_not_kept_count_where_it_was_fetched() -> None:
    by = {"comment": {"distinct": 9.0}, "item_id": {"weight": 30.0}}
    told = policy(data_drift_monitoring={"limits": {"by": by, "key": "UnsafeLocal"}})
    made = terms(told, GIVEN, MATRIX, GATES)
    found = [made[stage][task]["data_drift_monitoring"].limits["by"] for stage, task in WATCHED]
    assert found == [by, {"item_id": {"weight": 30.0}}]
    with pytest.raises(PlanError, match=r"by\.nobody: no such column here"):
        terms(
            policy(data_drift_monitoring={"limits": {"by": {"nobody": {}}, "key": "UnsafeLocal"}}), GIVEN, MATRIX, GATES
        )


DRIFT = "data_drift_monitoring"
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("data_contract", {"limits": {"most_rejected": 0.9}}, "data_contract: limits.most_rejected: "),
    ("data_contract", {"limits": {"type": ["view"]}}, "data_contract: limits.type: "),
    *(
        ("data_contract", {"limits": {name: value}}, f"limits.{name}: is the contract's to say, not a policy's")
        for name, value in (("types", []), ("skew", 5), ("volume", None), ("min_rows", 1), ("letters", "printable"))
    ),
    ("model_signature", {"limits": {}}, "model_signature: limits.floor: "),
    ("access_control_s3", {"accepts": {"S3-PAB": "guessed"}}, "access_control_s3: accepts: "),
    ("access_control_s3", {"accepts": {"S3-NONE": "declared"}}, "accepts: no rule S3-NONE; there are S3-PAB, "),
    ("access_control_s3", {"accepts": {"CON-DUP": "declared"}}, "accepts: no rule CON-DUP; there are S3-PAB, "),
    ("data_contract", {"observe": ["CON-TYPE"]}, "observe: CON-TYPE cannot be observed; its causes: none"),
    ("data_contract", {"observe": ["finding"]}, "observe: finding cannot be observed"),
    ("data_contract", {"observe": ["whatever"]}, "observe: whatever cannot be observed"),
    ("access_control_s3", {"enforce": ["S3-PAB"]}, "enforce: S3-PAB is not an advisory rule; there are: S3-ACCOUNT, "),
    ("access_control_s3", {"enforce": ["S3-LOCK", "S3-NONE"]}, "enforce: S3-NONE is not an advisory rule"),
    ("data_contract", {"enforce": ["CON-TYPE"]}, "enforce: CON-TYPE is not an advisory rule; there are: none"),
    ("PII_detection", {"limits": {"roles": {}}}, "PII_detection: limits.roles: is not a policy's to say"),
    ("PII_detection", {"limits": {"handled": True}}, "PII_detection: limits.handled: is not a policy's to say"),
    ("PII_detection", {"limits": {"actions": {"*": {"*": "drop"}}}}, "no column is called '\\*'"),
    ("PII_detection", {"limits": {"actions": {"comment": {"*": "keep"}}}}, "limits.actions.comment"),
    ("PII_detection", {"limits": {"actions": {"comment": {"URL": "hash"}}}}, "comment is to be hashed, and no key is"),
    ("PII_detection", {"limits": {"key": "a secret itself"}}, "key: allowed: env:NAME, file:PATH, UnsafeLocal"),
    *(
        (DRIFT, {"limits": {name: value, "key": "UnsafeLocal"}}, f"limits.{name}: is the plan's to say, not a policy's")
        for name, value in (("baseline", "0" * 64), ("since", ""), ("until", ""), ("beside", {}))
    ),
    (DRIFT, {"limits": {}}, "limits.key: none; allowed: env:NAME, file:PATH, UnsafeLocal"),
    (DRIFT, {"limits": {"key": "a secret itself"}}, "data_drift_monitoring: limits.key: "),
    *(
        (DRIFT, {"limits": {"partitions": value, "key": "UnsafeLocal"}}, "limits.partitions: found .*; allowed: 1 or")
        for value in (0, -1, "all", True)
    ),
    (DRIFT, {"limits": {"key": "UnsafeLocal", "levels": {"missing": 0.9}}}, "nothing would be a drift"),
    (
        DRIFT,
        {"limits": {"key": "UnsafeLocal"}, "observe": ["facts"]},
        "observe: facts cannot be observed; its causes: few, newest, untested",
    ),
    *(("data_contract", {"observe": [cause]}, f"observe: {cause} cannot be observed") for cause in sorted(CAUSES)),
]


@pytest.mark.parametrize(("gate", "given_terms", "said"), BAD, ids=[f"{gate}-{said[-30:]}" for gate, _, said in BAD])
def test_terms_that_a_gate_does_not_have_are_refused(gate: str, given_terms: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        terms(policy(**{gate: given_terms}), GIVEN, MATRIX, GATES)


def test_a_causes_of_its_own_a_gate_may_have_observed() -> None:
    class Patient(DataContract):
        causes = frozenset({"old_data", "coverage"})

    gates = {**GATES, "data_contract": Patient()}
    made = terms(policy(data_contract={"observe": ["old_data"]}), GIVEN, MATRIX, gates)
    assert made["ingest"]["fetch"]["data_contract"].observe == ("old_data",)
    with pytest.raises(PlanError, match="coverage cannot be observed"):
        terms(policy(data_contract={"observe": ["coverage"]}), GIVEN, MATRIX, gates)


@pytest.mark.parametrize("name", ["kubernetes_prod", "kubernetes_test"])
def test_a_cluster_enforces_every_advisory_rule(name: str) -> None:
    told = load.policy(load.text(load.find(name, "policies")))
    for gate in GATES.values():
        advisory = {rule.id for rule in gate.rules.values() if rule.advisory}
        if (name, gate.name) == ("kubernetes_test", "access_control_s3"):  # what radosgw cannot show
            advisory -= {f"S3-{each}" for each in ("ACCOUNT", "IDENTITY", "LOCK", "LOG", "MFA", "KEY", "SSE-C")}
        assert set(told.gates[gate.name].enforce) == advisory, gate.name


def test_advisory_rules_are_enforced_where_the_policy_says_so() -> None:
    made = terms(policy(access_control_s3={"enforce": ["S3-LOG", "S3-LOCK"]}), GIVEN, MATRIX, GATES)
    assert made["ingest"]["fetch"]["access_control_s3"].enforce == ("S3-LOG", "S3-LOCK")
    assert made["ingest"]["fetch"]["data_contract"].enforce == ()


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ({}, "no stage"),
        ({"ingest": {}}, "no stage"),
        ({"ingest": {"fetch": {"before": [], "after": []}}}, "ingest/fetch has no gate"),
        ({"ingest": {"fetch": {"before": ["nobody_knows"], "after": []}}}, "gate nobody_knows is not built"),
    ],
)
def test_a_matrix_that_guards_nothing_is_refused(matrix: Any, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        terms(policy(), GIVEN, matrix, GATES)


def test_a_gate_of_which_the_policy_says_nothing_is_refused() -> None:
    silent = policy().model_copy(update={"gates": {"data_contract": load.Terms()}})
    with pytest.raises(PlanError, match="gate access_control_s3 has no terms in policy local"):
        terms(silent, GIVEN, MATRIX, GATES)


def said(outcome: Outcome, cause: str) -> Verdict:
    """A verdict."""
    return Verdict(
        gate="g", outcome=outcome, cause=cause, reason="r", findings=(), observation="0" * 64, rules="0" * 64
    )


CAUSE = st.sampled_from(["finding", "old_data", "no_network", *sorted(CAUSES)])


@settings(deadline=None)
@given(st.sampled_from(list(Outcome)), CAUSE, st.sets(CAUSE))
def test_only_an_observed_cause_of_inconclusive_proceeds_without_a_pass(
    outcome: Outcome, cause: str, observed: set[str]
) -> None:
    follows = effect(said(outcome, cause), Terms(limits={}, accepts={}, observe=tuple(observed)))
    let = outcome is Outcome.PASS or (outcome is Outcome.INCONCLUSIVE and cause in observed)
    assert follows.action == ("proceed" if let else "stop")
    assert follows.because == ("observed" if let and outcome is not Outcome.PASS else "enforced")


@settings(deadline=None)
@given(st.sets(CAUSE, min_size=1), st.sets(CAUSE))
def test_of_several_causes_every_one_must_be_observed(causes: set[str], observed: set[str]) -> None:
    follows = effect(
        said(Outcome.INCONCLUSIVE, "+".join(sorted(causes))), Terms(limits={}, accepts={}, observe=tuple(observed))
    )
    assert follows.action == ("proceed" if causes <= observed else "stop")


def test_a_finding_is_never_observed_away() -> None:
    follows = effect(said(Outcome.FAIL, "finding"), Terms(limits={}, accepts={}, observe=("finding",)))
    assert (follows.action, follows.because) == ("stop", "enforced")


DAY = st.dates(date(1990, 1, 1), date(2099, 12, 31))
WINDOW = st.integers(1, 3_660)


@settings(deadline=None)
@given(DAY, WINDOW)
def test_a_window_of_days_ends_with_its_partition_and_has_as_many(day: date, window: int) -> None:
    since, until = days(str(day), window)
    assert until == str(day)
    assert (day - date.fromisoformat(since)).days == window - 1
    assert days(str(day), None) == ("", str(day))


@settings(deadline=None)
@given(DAY, st.integers(1, 240))
def test_a_window_of_months_is_of_whole_months(day: date, window: int) -> None:
    partition = f"{day:%Y-%m}"
    since, until = (date.fromisoformat(each) for each in days(partition, window))
    assert until == day.replace(day=monthrange(day.year, day.month)[1])
    assert since.day == 1
    assert (until.year - since.year) * 12 + until.month - since.month == window - 1
    assert days(partition, None) == ("", str(until))


@settings(deadline=None)
@given(DAY, st.integers(1, 400))
def test_a_longer_window_begins_earlier(day: date, window: int) -> None:
    shorter, longer = (days(str(day), count)[0] for count in (window, window + 1))
    assert date.fromisoformat(longer) == date.fromisoformat(shorter) - timedelta(days=1)


@pytest.mark.parametrize(
    "partition",
    ["", "latest", "2023", "2023-13", "2023-00", "2023-02-30", "2023-10-27-01", "x-y", "0000-01", "2023-10-27T00", "-"],
)
def test_what_is_no_partition_is_refused(partition: str) -> None:
    with pytest.raises(PlanError, match=r"no partition .*; allowed: a day \(2023-10-27\) or a month \(2016-10\)"):
        days(partition, 1)


@settings(deadline=None)
@given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,5}-[0-9]{1,3}(-[0-9]{1,3})?", fullmatch=True), st.none() | WINDOW)
def test_any_text_is_a_partition_or_refused(text: str, window: int | None) -> None:
    try:
        since, until = days(text, window)
    except PlanError:
        return
    assert date.fromisoformat(until)
    assert not since or date.fromisoformat(since) <= date.fromisoformat(until)


def test_a_basis_reaches_itself_and_what_is_lower() -> None:
    for high, stronger in enumerate(Basis):
        for low, weaker in enumerate(Basis):
            assert stronger.reaches(weaker) == (high <= low)


@pytest.mark.parametrize(
    ("gate", "limits", "name"),
    [
        ("code_integrity_check", {"signers": [], "tree": "UnsafeWorkTree"}, "UnsafeWorkTree"),
        ("code_integrity_check", {"signers": "UnsafeAnybody"}, "UnsafeAnybody"),
        ("dependency_scanning", {"allowed": [], "licences": [], "UnsafeClock": "2024-10-10T00:00:00Z"}, "UnsafeClock"),
        ("data_drift_monitoring", {"key": "UnsafeLocal"}, "UnsafeLocal"),
    ],
)
def test_no_limit_that_is_unsafe_is_for_production(gate: str, limits: dict[str, Any], name: str) -> None:
    near = policy(**{gate: {"limits": limits}})
    alone = {"train": {"fit": {"before": [gate], "after": []}}}
    terms(near, GIVEN, alone, GATES)
    far = near.model_copy(update={"target": "kubernetes_prod"})
    with pytest.raises(PlanError, match=f"{gate}: limits: {name} is for no target kubernetes_prod"):
        terms(far, GIVEN, alone, GATES)
