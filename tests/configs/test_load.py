"""Documents and policies: what is read, and what is refused by name."""

import contextlib
import copy
import difflib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from configs import files, load
from configs.load import ConfigError

SPECIFIED = "c85453a4bff3efe7f4768bdb66f75c090fa2c6af9dc823e1aea9810e3a3b5599"
"""Digest of the document that the system was specified by."""


def sample() -> dict[str, Any]:
    """The shipped sample, to be spoiled."""
    told: dict[str, Any] = load.text(load.find("sample", "pipelines"))
    return told


def local() -> dict[str, Any]:
    """The shipped local policy, to be spoiled."""
    told: dict[str, Any] = load.text(load.find("local", "policies"))
    return told


@pytest.mark.parametrize("name", ["sample", "movielens", "recommendation_engine_v2"])
def test_shipped_documents_are_read(name: str) -> None:
    told = load.text(load.find(name, "pipelines"))
    parsed = load.document(told)
    assert parsed.pipeline_name == name
    assert [stage.name for stage in parsed.stages] == list(load.STAGES)


@pytest.mark.parametrize("name", ["local", "kubernetes_test", "kubernetes_prod"])
def test_shipped_policies_are_read_and_pin_every_shipped_document(name: str) -> None:
    parsed = load.policy(load.text(load.find(name, "policies")))
    assert (parsed.name, parsed.target) == (name, name)
    shipped = {path.stem: load.sha256(load.text(path)) for path in (load.ROOT / "pipelines").glob("*.json")}
    assert parsed.documents == shipped


def test_the_document_that_the_system_was_specified_by_is_read_as_it_is() -> None:
    told = load.text(load.find("recommendation_engine_v2", "pipelines"))
    assert load.sha256(told) == SPECIFIED
    parsed = load.document(told)
    assert sum(len(stage.security_checks) for stage in parsed.stages) == 12
    assert parsed.stages[3].thresholds == {"precision@10": 0.75}
    assert parsed.stages[4].target_environment == "kubernetes_prod"


def test_production_is_what_the_test_cluster_is_but_for_what_tests_cannot_show() -> None:
    prod, test = (load.text(load.find(name, "policies")) for name in ("kubernetes_prod", "kubernetes_test"))
    assert {key for key in {*prod, *test} if prod.get(key) != test.get(key)} == {
        "name",
        "target",
        "gates",
    }
    lines = [load.find(name, "policies").read_text().splitlines() for name in ("kubernetes_prod", "kubernetes_test")]
    changed = [line for line in difflib.unified_diff(*lines, n=0, lineterm="") if re.match(r"[+-][^+#-]", line)]
    assert [line for line in changed if line.strip("+- ")[0] != "#"] == [
        "-name: kubernetes_prod",
        "-target: kubernetes_prod",
        "+name: kubernetes_test",
        "+target: kubernetes_test",
        "-    enforce: [S3-ACCOUNT, S3-AP, S3-IDENTITY, S3-WIDE, S3-LOCK, S3-LOG, S3-MFA, S3-KEY, S3-SSE-C]",
        "+    enforce: [S3-AP, S3-WIDE]",
        "+    observe: [ownership]",
        "-      least: 6_000",
        "+      days: 3650",
        "+      least: 2_600",
        "+      days: 3650",
    ]


def test_production_allows_just_the_names_that_are_locked() -> None:
    limits = load.text(load.find("kubernetes_prod", "policies"))["gates"]["dependency_scanning"]["limits"]
    locked = (files.ROOT.parent / "requirements.lock").read_text()
    assert limits["allowed"] == sorted({canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", locked, re.M)})


def test_production_takes_nothing_unsafe() -> None:
    for name in ("kubernetes_prod", "kubernetes_test"):
        parsed = load.policy(load.text(load.find(name, "policies")))
        assert (parsed.unsigned, parsed.keys, parsed.store) == ("refuse", "isolated", "conditional")
        assert isinstance(parsed.code, list)
        assert not any(each.accepts for each in parsed.gates.values())
        observed = {gate: each.observe for gate, each in parsed.gates.items() if each.observe}
        shown = {"access_control_s3": ["ownership"]}
        assert observed == (shown if name == "kubernetes_test" else {})


Change = Callable[[dict[str, Any]], Any]


def _at(*path: Any, value: Any) -> Change:
    def change(told: dict[str, Any]) -> None:
        place: Any = told
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def _without(*path: Any) -> Change:
    def change(told: dict[str, Any]) -> None:
        place: Any = told
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


BAD_DOCUMENTS: list[tuple[Change, str]] = [
    (_at("pipelinename", value="x"), r"pipelinename: unknown key 'pipelinename' \(nearest: pipeline_name\)"),
    (_at("stages", 0, "sorce", value="x"), r"unknown key 'sorce' \(nearest: source\)"),
    (_at("stages", 2, "hyperparameters", "learning_rat", value=1), r"unknown key 'learning_rat' \(nearest: learning_"),
    (_at("stages", 0, "name", value="data_ingestoin"), r"unknown stage 'data_ingestoin' \(nearest: data_ingestion\)"),
    (_at("stages", 1, "dependencies", value=["data_ingest"]), r"no stage 'data_ingest' \(nearest: data_ingestion\)"),
    (_at("stages", 1, "dependencies", value=[]), r"depends on \[\]; allowed: \['data_ingestion'\]"),
    (_at("stages", 2, "dependencies", value=["data_ingestion"]), r"depends on \['data_ingestion'\]; allowed: \['feat"),
    (_at("stages", 0, "dependencies", value=["data_ingestion"]), r"allowed: \[\]"),
    (_at("stages", 1, "dependencies", value="data_ingestion"), "dependencies: Input should be a valid"),
    (lambda told: told["stages"].reverse(), "stages: found model_deployment, .* in this order"),
    (lambda told: told["stages"].pop(), "stages: found .*; allowed: .*, in this order"),
    (lambda told: told["stages"].append(copy.deepcopy(told["stages"][4])), "in this order"),
    (_at("stages", value=[]), "stages: found none"),
    (_without("stages"), "stages: found none"),
    (_without("pipeline_name"), "pipeline_name: missing"),
    (_without("stages", 0, "source"), "source: missing"),
    (_at("pipeline_name", value="Sample!"), "pipeline_name: String should match"),
    (_at("stages", 0, "security_checks", value=[]), "security_checks: .*at least 1"),
    (_at("stages", 0, "source", value="s3://my-data-lake/x/"), "source: String should match"),
    (_at("stages", 0, "source", value="http://my-data-lake/2023-10-27/"), "source: String should match"),
    (_at("stages", 2, "hyperparameters", "learning_rate", value=0), "learning_rate: .*greater than 0"),
    (_at("stages", 2, "hyperparameters", "batch_size", value="128"), "batch_size: Input should be a valid integer"),
    (_at("stages", 2, "hyperparameters", "batch_size", value=128.5), "batch_size: Input should be a valid integer"),
    (_at("stages", 3, "thresholds", value={}), "thresholds: .*at least 1"),
    (_at("stages", 3, "groups", value={}), "groups: .*at least 1"),
    (_at("stages", 3, "item_groups", value={f"g{n}": "declared" for n in range(9)}), "item_groups: .*at most 8"),
    (_at("stages", 3, "item_groups", value={"shelf": "behavioural"}), "item_groups.shelf: Input should be 'declared'"),
    (_at("stages", 3, "groups", value={"age": "said"}), "groups.age: Input should be 'behavioural' or 'declared'"),
    (_at("stages", 3, "groups", value=["activity"]), "groups: Input should be an object"),
    (_at("stages", 3, "thresholds", "precision@10", value="0.75"), "precision@10: Input should be a valid number"),
    (_at("stages", 3, "thresholds", "precision@10", value=None), "precision@10: Input should be a valid number"),
    (_at("stages", 4, "target_environment", value="production"), "target_environment: Input should be 'local'"),
    (_at("stages", 4, "inference_endpoint", value="api"), "inference_endpoint: String should match"),
    (_at("waivers", value=[{"finding": "x"}]), "waivers: are a policy's to allow"),
]


@pytest.mark.parametrize(("change", "said"), BAD_DOCUMENTS, ids=[said[:40] for _, said in BAD_DOCUMENTS])
def test_a_document_is_refused_by_name(change: Change, said: str) -> None:
    told = sample()
    change(told)
    with pytest.raises(ConfigError, match=f"^spoiled.json: .*{said}"):
        load.document(told, "spoiled.json")


@pytest.mark.parametrize("told", [None, [], "sample", 1, {}, {"stages": None}, {"stages": [None]}, {"stages": 5}])
def test_what_is_no_document_is_refused(told: Any) -> None:
    with pytest.raises(ConfigError, match="^spoiled.json: "):
        load.document(told, "spoiled.json")


BAD_POLICIES: list[tuple[Change, str]] = [
    (_at("gate", value={}), r"unknown key 'gate' \(nearest: gates\)"),
    (_at("gates", "data_contract", "limit", value={}), r"unknown key 'limit' \(nearest: limits\)"),
    (_at("gates", "data_contract", "mode", value="observe"), "unknown key 'mode'"),
    (_at("gates", "data_contract", "observe", value=True), "observe: Input should be a valid"),
    (_at("gates", "data_contract", "waivers", value=[]), "unknown key 'waivers'"),
    (_at("gates", value={}), "gates: .*at least 1"),
    (_at("documents", value={}), "documents: .*at least 1"),
    (_at("documents", "sample", value="abc"), "documents: .*64 hexadecimal digits"),
    (_at("documents", "sample", value="Z" * 64), "documents: .*64 hexadecimal digits"),
    (_at("documents", "sample", value="A" * 64), "documents: .*64 hexadecimal digits"),
    (_at("target", value="kubernetes"), "target: Input should be 'local'"),
    (_at("unsigned", value="accept"), "unsigned: Input should be 'refuse' or 'UnsafeUnsignedPolicy'"),
    (_at("keys", value="local"), "keys: Input should be 'isolated' or 'UnsafeLocalKeys'"),
    (_at("code", value="any"), "code.*"),
    (_without("code"), "code: missing"),
    (_without("target"), "target: missing"),
    (_at("waivers", value=["S3-PAB"]), "waivers: Input should be an object"),
    (_at("waivers", value={"S3-PAB": {"until": "2099-01-01"}}), "waivers.*"),
    (_at("waivers", value={"approvers": {"a" * 64: "Ada"}}), "waivers.days: missing"),
    (_at("waivers", value={"approvers": {}, "days": 30}), "waivers.approvers: .*at least 1"),
    (_at("waivers", value={"approvers": {"a" * 63: "Ada"}, "days": 30}), "waivers.approvers: .*64 hexadecimal"),
    (_at("waivers", value={"approvers": {"a" * 64: " "}, "days": 30}), "waivers.approvers: .*belongs to a name"),
    (_at("waivers", value={"approvers": {"a" * 64: "Ada"}, "days": 367}), "waivers.days: .*less than or equal to 366"),
    (_at("waivers", value={"approvers": {"a" * 64: "Ada"}, "days": 0}), "waivers.days: .*greater than 0"),
    (_at("models", value={"approvers": {}}), "models.approvers: .*at least 1"),
    (_at("models", value={"approvers": {"a" * 63: "Ada"}}), "models.approvers: .*64 hexadecimal"),
    (_at("models", value={"approvers": {"a" * 64: "Ada"}, "days": 30}), "models.days: unknown key"),
]


@pytest.mark.parametrize(("change", "said"), BAD_POLICIES, ids=[said[:40] for _, said in BAD_POLICIES])
def test_a_policy_is_refused_by_name(change: Change, said: str) -> None:
    told = local()
    change(told)
    with pytest.raises(ConfigError, match=f"^spoiled.yaml: .*{said}"):
        load.policy(told, "spoiled.yaml")


@pytest.mark.parametrize("told", [None, [], "local", 1, {}])
def test_what_is_no_policy_is_refused(told: Any) -> None:
    with pytest.raises(ConfigError, match="^spoiled.yaml: "):
        load.policy(told, "spoiled.yaml")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("place", ["precision@10", "learning_rate"])
def test_numbers_that_are_none_are_refused_in_json(tmp_path: Path, number: str, place: str) -> None:
    text, value = load.find("sample", "pipelines").read_text(), {"precision@10": "0.75", "learning_rate": "0.001"}
    spoiled = text.replace(f'"{place}": {value[place]}', f'"{place}": {number}')
    assert spoiled != text
    (tmp_path / "n.json").write_text(spoiled)
    with pytest.raises(ConfigError, match="^n.json: "):
        load.document(load.text(tmp_path / "n.json"), "n.json")


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf"])
def test_numbers_that_are_none_are_refused_in_yaml(tmp_path: Path, number: str) -> None:
    text = load.find("local", "policies").read_text()
    spoiled = text.replace("most_rejected: 0.01", f"most_rejected: {number}")
    assert spoiled != text
    (tmp_path / "n.yaml").write_text(spoiled)
    with pytest.raises(ConfigError, match="^n.yaml: "):
        load.policy(load.text(tmp_path / "n.yaml"), "n.yaml")


DOUBLED = {
    "top.json": '{"pipeline_name": "a", "pipeline_name": "b"}',
    "deep.json": '{"stages": [{"name": "a", "name": "a"}]}',
    "top.yaml": "name: a\nname: b\n",
    "deep.yaml": "gates:\n  data_contract:\n    limits: {a: 1, a: 2}\n",
    "list.yaml": "gates:\n- {a: 1, a: 1}\n",
}


@pytest.mark.parametrize("name", DOUBLED)
def test_a_key_that_is_given_twice_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(DOUBLED[name])
    with pytest.raises(ConfigError, match=rf"^{name}: .*key '\w+' is given twice"):
        load.text(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.json", b'{"stages": ['),
        ("empty.json", b""),
        ("latin.json", '{"name": "é"}'.encode("latin-1")),
        ("tag.yaml", b"name: !!python/object/apply:os.system ['true']\n"),
        ("cut.yaml", b"name: [a\n"),
        ("two.yaml", b"--- {}\n--- {}\n"),
        ("odd.yaml", b"? [a, b]\n: 1\n"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError, match=f"^{name}: "):
        load.text(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^gone.json: cannot be read"):
        load.text(tmp_path / "gone.json")


def test_a_name_that_is_not_shipped_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"no (pipeline|document) 'sampel' \(nearest: sample\); there are movielens, "
    ):
        load.find("sampel", "pipelines")
    with pytest.raises(ConfigError, match=r"no policy 'kubernetes_pord' \(nearest: kubernetes_prod\); there are kub"):
        load.find("kubernetes_pord", "policies")


def test_a_path_is_taken_as_it_is_where_paths_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(sample()))
    assert load.find(str(path), "pipelines") == path
    with pytest.raises(ConfigError, match="no (pipeline|document) "):
        load.find(str(path), "pipelines", paths=False)


def test_a_bare_name_is_never_a_file_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sample", "sample.json", "other", "other.json"):
        (tmp_path / name).write_text(json.dumps(sample()))
    monkeypatch.chdir(tmp_path)
    assert load.find("sample", "pipelines") == load.ROOT / "pipelines" / "sample.json"
    with pytest.raises(ConfigError, match="no (pipeline|document) 'other'"):
        load.find("other", "pipelines")


def test_a_file_that_was_offered_is_known_by_its_name_and_hides_no_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "OFFERED", {})
    for name in ("mine.json", "sample.json", "local.yaml", "My-own.json"):
        (tmp_path / name).write_text("{}")
    assert load.offer(tmp_path / "mine.json") == "mine"
    assert load.find("mine", "pipelines", paths=False) == tmp_path / "mine.json"
    with pytest.raises(ConfigError, match="no policy 'mine'"):
        load.find("mine", "policies")
    for name in ("sample.json", "local.yaml"):
        with pytest.raises(ConfigError, match="is the name of a shipped file"):
            load.offer(tmp_path / name)
    for name in ("My-own.json", "gone.json"):
        with pytest.raises(ConfigError, match="no such file, or a name of other than small letters"):
            load.offer(tmp_path / name)


def test_a_folder_of_ones_own_is_looked_into_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine.json", "sample.json"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setenv("SLUICE_CONFIGS", str(tmp_path))
    assert load.find("mine", "pipelines", paths=False) == tmp_path / "mine.json"
    assert load.find("sample", "pipelines") == load.ROOT / "pipelines" / "sample.json"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcé", max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(st.text("abcdé", min_size=1, max_size=4), VALUES, max_size=4))
def test_a_digest_is_of_what_is_said_not_of_how(told: dict[str, Any]) -> None:
    turned = dict(reversed(list(told.items())))
    assert load.sha256(turned) == load.sha256(told)
    assert load.sha256(json.loads(json.dumps(told, indent=3))) == load.sha256(told)
    assert load.sha256({**told, "more": 1}) != load.sha256(told)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["name", "target", "gates", "documents", "code", "x"]), VALUES))
def test_whatever_a_policy_says_it_is_read_or_refused(told: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigError):
        assert load.policy(told).gates


def test_yaml_and_json_say_the_same() -> None:
    assert yaml.safe_load(load.find("local", "policies").read_text()) == local()


@pytest.mark.parametrize("name", ["told.yaml", "told.json"])
def test_what_a_file_says_is_its_bytes_and_belongs_to_whoever_asked(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for value in (1, 2, 1):
        path.write_text(f'{{"a": {{"b": {value}, "c": [1.0, -0.5, true, null, "é"]}}, "0": 1}}')
        os.utime(path, ns=(1, 1))
        for _ in range(2):
            told = load.text(path)
            assert repr(told) == repr({"a": {"b": value, "c": [1.0, -0.5, True, None, "é"]}, "0": 1})
            told["a"]["b"] = told["a"]["c"][:] = "altered"
