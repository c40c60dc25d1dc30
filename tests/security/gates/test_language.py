"""A model of a language that a policy names: names and places are found, by that model and no other."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from security.errors import CannotTell
from security.gate import judge, observe
from security.gates import contract
from security.gates.personal import Facts, PersonalLimits, PiiDetection, Sweep, material
from security.material import Handed
from security.personal.found import UNSEEN, Model
from security.personal.names import pin
from security.rows import lines
from security.verdict import Outcome, Verdict
from tasks.language import language
from tests.security.gates.test_personal import GATE, ROLES, SECRET, SUBJECT, lined
from tests.security.personal.test_names import ruled, written

pytestmark = pytest.mark.usefixtures("offline")

FINDS = "Alice Smith lives in Paris"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Rules that know some people and places."""
    folder = written(ruled(), tmp_path_factory.mktemp("language") / "model")
    return Model(str(folder), pin(folder), FINDS)


def limits(model: Model | None, **more: Any) -> dict[str, Any]:
    """The terms of a policy that names a model."""
    told = {"at": f"file:{model.folder}", "sha256": model.sha256, "finds": model.finds} if model else None
    return {"model": told, "roles": ROLES, **more}


def seen(path: Path, model: Model | None, names: tuple[str, ...] = ("comment",)) -> Any:
    """The rows of a file, marked for a look."""
    count = lines(path, path.name)
    return material(contract.material(SUBJECT, lambda: contract.batches([path], [path.name]), count), names, model)


def told(path: Path, model: Model | None, named: dict[str, Any], seed: int = 1, gate: Any = GATE) -> Verdict:
    """What is made of a file."""
    return judge(gate, observe(gate, seen(path, model), named, random.Random(seed)), named)


def test_names_and_places_are_found_with_it_and_said_to_be_unseen_without(tmp_path: Path, model: Model) -> None:
    path = lined(tmp_path, {"comment": "Bob was here"}, {"comment": "nobody"}, {"comment": "back from New York"})
    found = told(path, model, limits(model))
    assert found.outcome is Outcome.FAIL
    assert {(each.rule, each.place) for each in found.findings} == {("PII-NAMED", "comment")}
    assert {each.message.split(" in ")[0] for each in found.findings} == {"PERSON", "LOCATION"}
    assert "Bob" not in str(found)
    without = told(path, None, limits(None))
    assert without.outcome is Outcome.PASS
    assert all(entity in without.reason for entity in UNSEEN)
    passed = told(path, model, limits(model, actions={"comment": {"*": "drop"}}))
    assert passed.outcome is Outcome.PASS
    assert "PERSON" not in passed.reason.split("not looked for: ")[1]


def test_a_bare_word_as_an_id_is_an_id_and_a_whole_name_is_not(tmp_path: Path, model: Model) -> None:
    path = lined(tmp_path, {"user_id": "Bob", "item_id": "Paris"}, {"user_id": "u2"})
    assert told(path, model, limits(model)).outcome is Outcome.PASS
    roleless = told(path, model, limits(model) | {"roles": {}})
    assert {each.place for each in roleless.findings} == {"user_id", "item_id"}
    whole = told(lined(tmp_path, {"user_id": "Alice Smith", "item_id": "Köln"}), model, limits(model))
    assert {each.place for each in whole.findings} == {"user_id", "item_id"}


def test_names_are_looked_for_in_names_of_columns_and_not_over_two_columns(tmp_path: Path, model: Model) -> None:
    path = lined(tmp_path, {"Zoë": "yes"})
    assert {each.place for each in told(path, model, limits(model)).findings} == {"names of columns"}
    halves = lined(tmp_path, *({"first": "Alice", "last": "Smith"} for _ in range(30)))
    assert told(halves, model, limits(model)).outcome is Outcome.PASS, "stated: only what a check or a form tells"


def test_another_model_or_none_is_never_taken_for_the_one_that_is_named(tmp_path: Path, model: Model) -> None:
    path = lined(tmp_path, {"comment": "nice"})
    for handed, named in ((None, model), (model, None), (model, model._replace(sha256="0" * 64))):
        found = {told(path, handed, limits(named), seed).cause for seed in range(8)}
        # Without a model the canary that only a model finds is not caught, where it was drawn.
        assert "model" in found, found
        assert found <= {"model", "canary"}
    wrong = model._replace(sha256="0" * 64)
    found = told(path, wrong, limits(wrong))
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "model")
    deaf = model._replace(finds="nobody is named in this")
    found = told(path, deaf, limits(deaf))
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "model")
    assert "finds nothing in the text in which it must" in found.reason
    loud = model._replace(finds="Alice Smith <alice.smith@example.com>")
    found = told(path, loud, limits(loud))
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "model")
    assert "there is more than names" in found.reason
    assert "model" not in GATE.causes, "no policy can observe it"


def test_an_engine_that_says_it_used_the_model_and_did_not_is_caught(tmp_path: Path, model: Model) -> None:
    class Liar(PiiDetection):
        def look(self, material: Handed[pa.RecordBatch]) -> Facts:
            plain = (each.replace_schema_metadata({b"known": b'["comment"]'}) for each in material)
            return GATE.look(Handed(material.subject, plain)).model_copy(update={"model": model.sha256})

    path, causes = lined(tmp_path, {"comment": "Bob was here"}), set()
    for seed in range(40):
        causes.add(told(path, model, limits(model), seed, Liar()).cause)
    assert "canary" in causes
    sample = list(seen(path, model).source())
    planted = GATE.violations["PII-NAMED"](sample, random.Random(1))
    assert any(FINDS in str(batch.to_pylist()) for batch in planted)


def test_known_bad_rows_are_caught_with_it(tmp_path: Path, model: Model) -> None:
    path, terms = lined(tmp_path, {"comment": "nice"}), PersonalLimits.model_validate(limits(model))
    sample = list(seen(path, model).source())
    for rule in GATE.rules:
        for seed in range(8):
            items = GATE.violations[rule](sample, random.Random(seed))
            facts = GATE.look(seen(path, model).decoy(items).handed()[0])
            assert {each.rule for each in GATE.judge(facts, terms)} == {rule}, seed


def test_a_model_is_one_for_all_rows_and_for_all_shards(tmp_path: Path, model: Model) -> None:
    one, other = lined(tmp_path, {"comment": "Bob"}, name="a"), lined(tmp_path, {"comment": "Zoë"}, name="b")
    kept = list[Sweep]()
    for path in (one, other):
        kept.append(Sweep(SECRET))
        for batch in seen(path, model).source():
            kept[-1].add(batch)
    kept[0].merge(kept[1])
    facts = kept[0].facts()
    assert facts.model == model.sha256
    assert sum(hit.cells for hit in facts.hits if hit.entity == "PERSON") == 2
    plain = Sweep(SECRET)
    for batch in seen(other, None).source():
        plain.add(batch)
    with pytest.raises(CannotTell, match="the model became another"):
        plain.merge(kept[1])
    with pytest.raises(CannotTell, match="the model became another"):
        plain.add(next(iter(seen(one, model).source())))


def test_what_a_policy_may_say_of_it(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    told_ = limits(model)["model"]
    assert language(None) is None
    assert language(told_) == model
    monkeypatch.setenv("MODEL_OF_TESTS", model.folder)
    assert language(told_ | {"at": "env:MODEL_OF_TESTS"}) == model
    with pytest.raises(CannotTell, match="env:NO_MODEL_OF_TESTS names no folder of a model"):
        language(told_ | {"at": "env:NO_MODEL_OF_TESTS"})
    for odd in ({"at": "somewhere"}, {"sha256": "abc"}, {"finds": ""}, {"fetch": "it"}):
        with pytest.raises(ValidationError):
            PersonalLimits.model_validate({"model": told_ | odd})
