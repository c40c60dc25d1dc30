"""The gate over model artefacts: what any gate must do, over the models that Sluice trains and over hostile ones.

The cheapest that would satisfy the words, and what catches each:
- a list of what is bad (`Lambda`, `ReadFile`, `.pkl`) looked for where it is usually found:
  `test_each_published_way_is_refused_by_its_rule`, and `test_what_is_on_no_list_is_refused`;
- names and first bytes are looked at, and the rest is taken for what it should be: the polyglots and cut files there,
  and in `tests/security/engines/test_artefacts.py` every file that is altered by a byte;
- the framework, or a comparator, is asked: `test_nothing_is_loaded`, and a hang or a crash of its own would show in
  `test_a_look_never_breaks`.
"""

import json
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.numpy import save

from flows.cli import main
from security.errors import BadInput, CannotTell
from security.gate import judge, observe
from security.gates import artifact
from security.gates.artifact import Item, Limits, ModelArtifactScan, forge
from security.gates.artifact.decoys import VIOLATIONS
from security.keys import UnsafeLocalKeys
from security.material import Material
from security.verdict import Outcome, Subject
from tasks import artifact as opener
from tasks.store import measure
from tests.deployments.serving import release
from tests.security.gates.artefacts import ALL, EVIL, SLUICE, corpus

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

GATE = ModelArtifactScan()
ROOT = Path(__file__).parents[3]
LIMITS: dict[str, Any] = {"formats": ALL, **SLUICE}
CORPUS = corpus()
Arrays = dict[str, Any]


def case(folder: Path) -> "Case":
    """A release as the service loads it; of the bad one a weight is not a number."""
    from tests.conformance.subjects import Case  # which has this one among its own

    good, bad = folder / "good", folder / "bad"
    if not good.exists():
        by = UnsafeLocalKeys(folder / "keys").signer("producer")
        broken = release.arrays()
        broken["encoder"][3, 5] = np.nan
        release.write(good, by)
        release.write(bad, by, tensors=broken)
    more = frozenset({"ART-08"})  # most are a file more
    return Case(
        LIMITS,
        LIMITS | {"formats": ["json"]},
        good=lambda: opener.opened(good, LIMITS),
        bad=lambda: opener.opened(bad, LIMITS),
        rule="ART-06",
        beside={rule: more for rule in GATE.rules if rule not in ("ART-06", "ART-07", "ART-08")},
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    case(folder)
    return folder / "good"


def found(items: list[Item], **limits: Any) -> set[str]:
    """The rules that some files break."""
    subject = Subject(kind="model", name="model", sha256="0" * 64)
    facts = GATE.look(artifact.material(subject, lambda: items, len(items)).handed()[0])
    return {each.rule for each in GATE.judge(facts, Limits.model_validate({"formats": ALL} | limits))}


def files(**held: bytes) -> list[Item]:
    return [Item(name, "file", len(data), data) for name, data in held.items()]


def test_a_release_passes_with_the_service_able_to_load_it(made: Path) -> None:
    seen = observe(GATE, opener.opened(made, LIMITS), LIMITS)
    told = judge(GATE, seen, LIMITS)
    assert (told.outcome, told.findings) == (Outcome.PASS, ()), told.reason
    assert seen.subject.sha256 == measure(made)[0]
    assert (seen.coverage.expected, seen.coverage.inspected) == (4, 4)
    assert "4 files" in told.reason
    assert "6 tensors" in told.reason


@pytest.mark.parametrize("rule", GATE.rules)
def test_a_canary_of_each_rule_is_caught_by_it_alone(made: Path, rule: str) -> None:
    sample, wanted = (
        list(opener.opened(made, LIMITS).source()),
        {rule} | case(made.parent).beside.get(rule, frozenset()),
    )
    for seed in range(80):
        assert found(list(VIOLATIONS[rule](sample, random.Random(seed))), **SLUICE) == wanted, seed


@pytest.mark.parametrize("rule", GATE.rules)
def test_a_canary_is_caught_in_a_model_that_is_none(rule: str) -> None:
    for sample in ([], files(**{"x.bin": b"1"}), files(**{"model.safetensors": b"no"})):
        for seed in range(10):
            assert rule in found(list(VIOLATIONS[rule](sample, random.Random(seed))), **SLUICE), seed


@pytest.mark.parametrize("name", CORPUS)
def test_each_published_way_is_refused_by_its_rule(name: str) -> None:
    rule, held = CORPUS[name]
    assert rule in found(files(**held))


@pytest.mark.parametrize("name", CORPUS)
def test_none_of_it_is_taken_by_default(name: str, tmp_path: Path) -> None:
    for path, data in CORPUS[name][1].items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    told = judge(GATE, observe(GATE, opener.opened(tmp_path, {}), {}), {})
    assert told.outcome is Outcome.FAIL, told.reason


def test_what_is_on_no_list_is_refused() -> None:
    op = forge.saved(forge.meta(forge.node("x", "NobodyKnowsThis")))
    assert found(files(**{"saved_model.pb": op})) == {"ART-14"}
    assert found(files(**{"saved_model.pb": op}), ops=["NobodyKnowsThis"]) == set()
    own = forge.keras(forge.sequential(forge.layer("Conv2D", units=1)), forge.hdf(b"\0" * 16))
    assert found(files(**{"m.keras": own})) == {"ART-12"}
    assert found(files(**{"m.keras": own}), layers=["keras.layers.Conv2D"]) == set()


@pytest.mark.parametrize(
    "limits",
    [
        {"ops": ["ReadFile"]},
        {"ops": ["EagerPyFunc"]},
        {"ops": ["SaveV2"]},
        {"ops": ["TFRecordDatasetV2"]},
        {"layers": ["keras.layers.Lambda"]},
        {"layers": ["os.system"]},
        {"layers": ["keras.utils.get_file"]},
        {"formats": []},
        {"formats": ["pickle"]},
        {"files": []},
        {"tensors": {}},
        {"tensors": {"w": {"shape": ["Users"]}}},
        {"tensors": {"w": {"shape": [0]}}},
        {"tensors": {"w": {"shape": [1], "kinds": ["object"]}}},
        {"counts": {"users+1": "ids.json#users"}},
        {"counts": {"users": "ids.json"}},
        {"largest": 0},
        {"counts": {"users": "ids.json#users"}},
        SLUICE | {"counts": {"people": "ids.json#users"}},
        SLUICE | {"sparse": [{"pointers": "nobody", "indices": "seen_indices", "columns": "items"}]},
    ],
)
def test_no_policy_can_allow_what_runs_or_ask_for_nothing(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(limits)


def test_files_of_keras_and_tensorflow_are_taken_only_where_they_are_named() -> None:
    sound = forge.keras(forge.sequential(forge.layer("Dense", units=1)), forge.hdf(b"\0" * 16))
    graph = forge.saved(forge.meta(forge.node("x", "NoOp")))
    for name, data, form in (
        ("m.keras", sound, "keras"),
        ("m.h5", forge.hdf(b"\0" * 16), "keras"),
        ("saved_model.pb", graph, "savedmodel"),
    ):
        assert found(files(**{name: data})) == set()
        assert found(files(**{name: data}), formats=["safetensors", "json", "parquet"]) == {"ART-02"}
        assert form not in Limits().formats
    off = {f"ART-{number}" for number in range(10, 17)} | {"ART-07", "ART-08"}
    assert set(GATE.active(Limits())) == set(GATE.rules) - off
    assert set(GATE.active(Limits.model_validate(LIMITS))) == set(GATE.rules)


def changed(change: Callable[[Arrays], Any]) -> list[Item]:
    held = release.arrays()
    change(held)
    ids = json.dumps(release.ids()).encode()
    return files(**{"model.safetensors": save(held), "ids.json": ids, "model.json": json.dumps({"name": "m"}).encode()})


def put(name: str, value: Callable[[Any], Any]) -> Callable[[Arrays], Any]:
    return lambda held: held.update({name: np.ascontiguousarray(value(held[name]))})


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda held: None, ""),
        (lambda held: held.pop("decoder"), "ART-07"),
        (lambda held: held.update(more=np.ones(2, np.float32)), "ART-07"),
        (put("encoder", lambda a: a[:-1]), "ART-07"),
        (put("encoder", lambda a: a[:, :-1]), "ART-07"),
        (put("encoder", lambda a: a.T), "ART-07"),
        (put("encoder", lambda a: a.astype(np.float64)), "ART-07"),
        (put("encoder", lambda a: a.reshape(-1)), "ART-07"),
        (put("decoder_bias", lambda a: a[:0]), "ART-07"),
        (put("seen_indptr", lambda a: a[:-1]), "ART-07"),
        (put("seen_indptr", lambda a: a + 1), "ART-07"),
        (put("seen_indptr", lambda a: a[::-1]), "ART-07"),
        (put("seen_indptr", lambda a: a.astype(np.float32)), "ART-07"),
        (put("seen_indices", lambda a: a + 50), "ART-07"),
        (put("seen_indices", lambda a: a - 1), "ART-07"),
        (put("seen_indices", lambda a: a[:-1]), "ART-07"),
        (put("encoder_bias", lambda a: a * np.float32(np.inf)), "ART-06"),
        (put("decoder", lambda a: np.where(a > 1, np.nan, a).astype(np.float32)), "ART-06"),
    ],
)
def test_tensors_fit_the_ids_and_each_other(change: Callable[[Arrays], Any], rule: str) -> None:
    assert found(changed(change), **SLUICE) == ({rule} if rule else set())


@pytest.mark.parametrize(
    "ids",
    [
        {"users": release.ids()["users"]},
        release.ids() | {"users": ["a", *release.ids()["users"]]},
        release.ids() | {"items": release.ids()["items"][:-1]},
        release.ids() | {"items": ["i000"] * release.ITEMS},
        release.ids() | {"items": [*release.ids()["items"][:-1], ""]},
        {"users": [], "items": []},
    ],
)
def test_ids_are_counted_and_each_is_there_once(ids: dict[str, list[str]]) -> None:
    held = changed(lambda held: None)
    data = json.dumps(ids).encode()
    assert found([held[0], Item("ids.json", "file", len(data), data), held[2]], **SLUICE) == {"ART-07"}


def test_ids_may_stand_in_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [f"u{n}" for n in range(release.USERS)]}), tmp_path / "users.parquet")
    pq.write_table(pa.table({"item": list(range(release.ITEMS))}), tmp_path / "items.parquet")
    held = [(path, (tmp_path / path).read_bytes()) for path in ("users.parquet", "items.parquet")]
    counts = {"users": "users.parquet#user", "items": "items.parquet#item"}
    limits = SLUICE | {"files": ["model.safetensors", "users.parquet", "items.parquet"], "counts": counts}
    weights = changed(lambda held: None)[0]
    assert found([weights, *files(**dict(held))], **limits) == set()
    pq.write_table(pa.table({"user": ["u"] * release.USERS}), tmp_path / "users.parquet")
    twice = files(**{"users.parquet": (tmp_path / "users.parquet").read_bytes(), held[1][0]: held[1][1]})
    assert found([weights, *twice], **limits) == {"ART-07"}


def test_files_are_those_that_are_named() -> None:
    held = changed(lambda held: None)
    assert found(held[:2], **SLUICE) == {"ART-08"}
    assert found([*held, *files(**{"more.json": b"{}"})], **SLUICE) == {"ART-08"}
    assert found([*held, *files(**{"model.sig": b"{}"})], **SLUICE) == set()
    assert found([*held, *files(**{"model.sig": EVIL})], **SLUICE) == {"ART-03"}


def test_too_much_is_not_read_and_no_later_policy_takes_it(made: Path) -> None:
    for small in ({"largest": 1000}, {"total": 2000}, {"most": 2}):
        seen = observe(GATE, opener.opened(made, LIMITS | small), LIMITS | small)
        told = judge(GATE, seen, LIMITS | small)
        assert "ART-05" in {each.rule for each in told.findings}
        assert judge(GATE, seen, LIMITS).outcome is (Outcome.PASS if "most" in small else Outcome.FAIL)


def test_what_is_no_plain_file_is_a_finding(made: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.json").symlink_to(made / "ids.json")
    os.mkfifo(tmp_path / "model.json")
    (tmp_path / "deep").symlink_to(made)
    told = judge(GATE, observe(GATE, opener.opened(tmp_path, {}), {}), {})
    assert (told.outcome, {each.rule for each in told.findings}) == (Outcome.FAIL, {"ART-01"})
    assert {each.place for each in told.findings} == {"ids.json", "model.json", "deep"}


def test_an_empty_folder_is_no_pass_and_none_is_an_error(tmp_path: Path) -> None:
    assert judge(GATE, observe(GATE, opener.opened(tmp_path, {}), {}), {}).cause == "coverage"
    with pytest.raises(BadInput):
        opener.opened(tmp_path / "none", {})


def test_another_folder_than_the_references_is_not_looked_at(made: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotTell, match="not those of the reference"):
        opener.opened(made, {}, Subject(kind="model", name="m", sha256="0" * 64))
    (tmp_path / "a.json").write_text("{}")
    material = opener.opened(tmp_path, {})
    (tmp_path / "a.json").write_text("[]")
    told = judge(GATE, observe(GATE, material, {}), {})
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert "changed" in told.reason


def test_a_file_more_than_was_counted_is_no_pass(made: Path) -> None:
    material = opener.opened(made, LIMITS)
    material.expected += 1
    assert judge(GATE, observe(GATE, material, LIMITS), LIMITS).cause == "coverage"


def test_a_finding_quotes_no_value(tmp_path: Path) -> None:
    secret = "jane.doe@example.com"
    twice = f'{{"{secret}": 1, "{secret}": 2}}'.encode()
    config = forge.sequential(forge.layer("Dense", units=1, activation=secret))
    held = {
        "m.keras": forge.keras(config, forge.hdf(b"\0" * 16)),
        "x.json": json.dumps({secret: {"auto_map": [secret]}}).encode(),
    }
    held |= {"y.json": json.dumps({secret: [secret], "b": {secret: 3}}).encode(), "z.json": twice}
    subject = Subject(kind="model", name="m", sha256="")
    facts = GATE.look(artifact.material(subject, lambda: files(**held), 4).handed()[0])
    broken = list(GATE.judge(facts, Limits.model_validate({"formats": ALL})))
    assert {each.rule for each in broken} == {"ART-04", "ART-09", "ART-13"}
    assert secret not in facts.model_dump_json()
    assert secret not in str(broken)


def test_nothing_is_loaded(tmp_path: Path, made: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(CORPUS["a pickle"][1]["model.pkl"])
    script = (
        "import sys; from pathlib import Path; from security.gates.artifact.look import look\n"
        "from security.gates.artifact import Item\n"
        "for path in sys.argv[1:]:\n"
        "    data = Path(path).read_bytes(); look([Item(Path(path).name, 'file', len(data), data)])\n"
        "bad = {'tensorflow', 'keras', 'torch', 'h5py', 'safetensors', 'pyarrow'} & {*sys.modules}\n"
        "assert not bad, bad\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "model.pkl"), *map(str, made.iterdir())]
    subprocess.run(argv, cwd=ROOT, check=True, timeout=60)


@settings(max_examples=120)
@given(st.sampled_from(sorted(CORPUS)), st.data())
def test_a_look_never_breaks(name: str, data: st.DataObject) -> None:
    """Hostile files, altered once more: whatever they are, there are facts, and by default a refusal."""
    held = dict(CORPUS[name][1])
    path = data.draw(st.sampled_from(sorted(held)))
    spoiled = bytearray(held[path][: data.draw(st.integers(0, min(len(held[path]), 5000)))] or b"\0")
    for _ in range(data.draw(st.integers(0, 4))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    found(files(**(held | {path: bytes(spoiled)})))


@settings(max_examples=150)
@given(st.binary(max_size=300), st.sampled_from(["x.safetensors", "x.json", "x.keras", "x.h5", "saved_model.pb"]))
def test_random_bytes_are_refused(data: bytes, name: str) -> None:
    if name == "x.json":
        data = b"\xff" + data
    assert found(files(**{name: data}))


def test_a_matrix_of_a_huge_declared_shape_costs_nothing() -> None:
    head = json.dumps({"w": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}}).encode()
    assert found(files(**{"m.safetensors": struct.pack("<Q", len(head)) + head + b"\0" * 4})) == {"ART-04"}


def test_the_command(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "model_artifact_scan", str(made)]) == 0
    assert "model_artifact_scan good: pass" in capsys.readouterr().out
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "x.pkl").write_bytes(b"\x80\x04N.")
    assert main(["check", "model_artifact_scan", str(tmp_path / "m"), "--sarif"]) == 1
    log = json.loads(capsys.readouterr().out)
    assert [each["ruleId"] for each in log["runs"][0]["results"]] == ["ART-02"]
    (tmp_path / "empty").mkdir()
    assert main(["check", "model_artifact_scan", str(tmp_path / "empty"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["outcome"] == "inconclusive"


def test_a_material_hands_out_each_file_once(made: Path) -> None:
    material: Material[Any] = opener.opened(made, LIMITS)
    names = [item.name for item in material.source()]
    assert sorted(names) == sorted({*names}) == ["ids.json", "model.json", "model.safetensors", "model.sig"]
    with pytest.raises(CannotTell, match="twice"):
        found([*material.source(), *material.source()])
