"""Code integrity as a gate: what any gate must do, over real checkouts and over folders with a signed list.

The cheapest that would satisfy the words, and what catches each:
- `git status` is empty and `git verify-commit HEAD` ends with 0: the tricks of `tests/tasks/test_tree.py` pass both;
- the files of the commit are hashed, and what else lies beside them is not looked for: there,
  `test_what_nobody_signed_is_told` and `test_bytecode_that_is_not_its_sources_is_told`;
- the list comes from what it is held against (the index, `.gitignore`, a list of signers or a record in the tree):
  `test_nothing_of_the_repository_says_who_may_sign` there, and `test_what_is_left_out_is_left_out_by_the_policy_alone`.
"""

import inspect
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from security.errors import CannotTell
from security.gate import judge, observe
from security.gates import code
from security.gates.code import CodeIntegrity, Listed, parents
from security.gates.code.decoys import VIOLATIONS
from security.keys import UnsafeLocalKeys
from security.verdict import Basis, Outcome, canonical
from tasks import tree
from tests.conformance import liars, test_gates
from tests.conformance.subjects import CASES, Case
from tests.security.engines.test_git import key
from tests.security.gates.codes import opened
from tests.tasks.checkouts import compiled, files, signers

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh-keygen")), reason="needs git and ssh-keygen"),
]
GATE = CodeIntegrity()


def listing(folder: Path) -> Case:
    """A folder with a signed list of its files; of the bad one a file is another."""
    root, bad = folder / "image", folder / "bad-image"
    keys = UnsafeLocalKeys(folder / "keys")
    if not root.exists():
        key(folder, "mine")
        files(root)
        listed = [Listed(each.path, each.mode, code.digest(each, git=False)) for each in tree.files(root)]
        (root / code.MANIFEST).write_bytes(code.sealed(listed, "0" * 40, keys.signer("owner")))
        compiled(root)
        shutil.copytree(root, bad, symlinks=True)
        (bad / "ü.txt").write_text("y")
    limits = {"signers": signers(folder / "mine"), "manifests": [keys.public("owner").pem.decode()], "made": ["six.*"]}
    rules = {rule: frozenset({"CODE-08"}) for rule in GATE.rules if rule != "CODE-08"}
    rules["CODE-17"] |= {"CODE-04"}
    return Case(
        limits,
        limits | {"made": []},
        good=opened(root, limits),
        bad=opened(bad, limits),
        rule="CODE-01",
        beside=rules,
    )


@pytest.fixture(scope="module", params=[CASES["code_integrity_check"], listing])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    made: Case = request.param(tmp_path_factory.mktemp("case"))
    return made


SUITE = [
    test_gates.test_good_passes,
    test_gates.test_bad_fails_by_its_rule,
    test_gates.test_every_rule_has_a_violation_and_nothing_else_has,
    test_gates.test_an_engine_that_reads_nothing_passes_nothing,
    test_gates.test_a_judge_that_only_cannot_tell_is_caught,
    test_gates.test_a_look_that_opens_its_material_twice_tells_nothing,
    test_gates.test_a_source_that_breaks_halfway_tells_nothing,
    test_gates.test_every_fact_is_needed,
    test_gates.test_a_canary_that_is_missing_or_another_is_no_pass,
    test_gates.test_an_unknown_limit_is_no_pass,
    test_gates.test_a_stored_observation_gives_the_same_verdict,
    test_gates.test_a_stricter_policy_fails_what_passed,
]
EACH: list[tuple[Callable[..., None], str, list[Any]]] = [
    (test_gates.test_an_engine_that_is_not_always_honest_passes_nothing_bad, "mood", list(liars.MOODS)),
    (
        test_gates.test_an_engine_that_is_honest_once_is_caught_every_time_also_over_good,
        "mood",
        ["never", "only-first", "only-last", "only-in-between"],
    ),
    (test_gates.test_a_single_lie_gets_through_only_where_it_falls_on_the_subject, "lie", [1, 2, 3]),
    (test_gates.test_a_judge_that_says_nothing_is_caught, "after", [0, 1]),
    (test_gates.test_a_look_that_ends_by_what_a_policy_observes_is_observed_by_none, "cause", ["old", "old+other"]),
    (test_gates.test_a_look_that_breaks_tells_nothing, "how", list(liars.BREAKS)),
    (test_gates.test_nothing_to_look_at_is_no_pass, "expected", [0, 5]),
    (test_gates.test_what_was_left_out_is_no_pass, "what", ["skipped", "unsupported", "errors"]),
    (
        test_gates.test_coverage_is_whole_or_no_pass,
        "expect",
        [lambda n: n + 1, lambda n: n - 1, lambda n: 0],
    ),
]


def given(check: Callable[..., None], case: Case, **more: Any) -> None:
    """Runs a check of the suite for every gate over this one."""
    known = {
        "gate": lambda: GATE,
        "case": lambda: case,
        "clean": lambda: GATE.look(case.good().handed()[0]),
        "seen": lambda: observe(GATE, case.good(), case.limits, random.Random(1)),
    }
    check(**{name: known[name]() for name in inspect.signature(check).parameters if name in known}, **more)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return listing(tmp_path_factory.mktemp("listed"))


@pytest.mark.parametrize("check", SUITE, ids=lambda check: check.__name__)
def test_it_does_what_every_gate_must(listed: Case, check: Callable[..., None]) -> None:
    given(check, listed)


@pytest.mark.parametrize(("check", "name", "values"), EACH, ids=lambda each: getattr(each, "__name__", ""))
def test_it_does_so_in_each_way(listed: Case, check: Callable[..., None], name: str, values: list[Any]) -> None:
    for value in values:
        given(check, listed, **{name: value})


@pytest.mark.parametrize("rule", GATE.rules)
def test_a_violation_is_caught_by_its_rule(case: Case, rule: str) -> None:
    terms = GATE.limits.model_validate({"since": "0" * 40} | case.limits)
    sample, ranged = list(case.good().source()), "since" in case.limits
    wanted = {rule} | case.beside.get(rule, frozenset())
    if not ranged:  # a list proves no range
        wanted |= {"CODE-09"}
    if (rule, ranged) == ("CODE-07", False):  # nothing of a list that is not believed is known
        wanted = {"CODE-07", "CODE-09", "CODE-17"}
    for seed in range(20):
        facts = GATE.look(case.good().decoy(VIOLATIONS[rule](sample, random.Random(seed))).handed()[0])
        found = list(GATE.judge(facts, terms))
        assert {each.rule for each in found} == wanted, seed
        assert all("allowed" in each.message for each in found)


FILES = {"CODE-01", "CODE-02", "CODE-03", "CODE-04", "CODE-05", "CODE-06", "CODE-12", "CODE-16", "CODE-17"}


@pytest.mark.parametrize("rule", GATE.rules)
def test_a_work_tree_lets_go_of_its_files_and_of_nothing_else(case: Case, rule: str) -> None:
    """Nor does it pass for signed: where files differ, that is left open under a name of its own."""
    limits = {"since": "0" * 40} | case.limits | {"tree": "UnsafeWorkTree"}
    sample = list(case.good().source())
    for seed in range(5):
        facts = GATE.look(case.good().decoy(VIOLATIONS[rule](sample, random.Random(seed))).handed()[0])
        found = list[str]()
        try:
            found.extend(each.rule for each in GATE.judge(facts, GATE.limits.model_validate(limits)))
            cause = ""
        except CannotTell as why:
            cause = why.cause
        assert (rule in found) == (rule not in FILES), seed
        assert not FILES & {*found}
        differs = bool(facts.changes or facts.extras or facts.bytecode)
        assert ("tree" in cause.split("+")) == differs, seed


def test_a_work_tree_as_it_was_signed_passes(case: Case) -> None:
    limits = case.limits | {"tree": "UnsafeWorkTree"}
    for seed in range(5):
        told = judge(GATE, observe(GATE, case.good(), limits, random.Random(seed)), limits)
        assert told.outcome is Outcome.PASS, told.reason
        told = judge(GATE, observe(GATE, case.bad(), limits, random.Random(seed)), limits)
        assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "tree")


def test_a_canary_of_what_is_no_checkout_is_caught_too(tmp_path: Path) -> None:
    files(tmp_path / "plain")
    limits = {"signers": [], "imported": False}
    for seed in range(10):
        seen = observe(GATE, tree.opened(tmp_path / "plain", limits), limits, random.Random(seed))
        told = judge(GATE, seen, limits)
        assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "repository"), told.reason
        assert "what was signed nobody can tell" in told.reason


def test_an_observation_is_the_same_bytes_again(case: Case) -> None:
    for seed in range(4):
        first, second = (observe(GATE, case.good(), case.limits, random.Random(seed)) for _ in range(2))
        again = second.model_copy(update={"taken": first.taken})
        assert canonical(first.model_dump(mode="json")) == canonical(again.model_dump(mode="json"))
        assert not json.dumps(first.facts).count(str(Path.home()))


def test_a_basis_that_is_lower_is_said(case: Case) -> None:
    seen = observe(GATE, case.good(), case.limits).model_copy(update={"basis": Basis.DECLARED})
    assert judge(GATE, seen, case.limits).cause == "basis"
    if "since" in case.limits:  # only then is every rule active
        given(test_gates.test_a_basis_lower_than_a_rule_accepts_is_no_pass, case)


@hypothesis.given(st.lists(st.text("ab./", max_size=8)))
def test_the_folders_above_paths_are_those_of_pathlib(paths: list[str]) -> None:
    assert parents(paths) == {parent.as_posix() for path in paths for parent in PurePosixPath(path).parents}
