"""The log of a real run, and everything that can be done to it afterwards."""

import base64
import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from configs import load
from security.errors import LogBroken, Refused, SluiceError
from security.keys import PublicKey, Signer, UnsafeLocalKeys, seal, unseal
from security.log import Log, head_of, missing, read
from security.registry import GATES
from security.verify import Trust, verify
from tasks.home import Home
from tasks.run import Run, close, inside
from tasks.stage import stage
from tests.conformance.miniature import GOOD, MATRIX, POLICY, start, work


@pytest.fixture(scope="module")
def run(prefect: str, home: Home) -> Run:
    """A run that passed and is closed."""
    made = start(home, GOOD)
    with inside(made):
        assert flow(stage("ends")(lambda: work()), name="ends", retries=0)(return_state=True).is_completed()
    close(made, "passed")
    return made


@pytest.fixture
def log(run: Run, tmp_path: Path) -> Path:
    """A copy of its log, to be spoiled."""
    return Path(shutil.copy(run.log.path, tmp_path / "log.jsonl"))


@pytest.fixture(scope="module")
def producer(home: Home) -> Signer:
    return UnsafeLocalKeys(home.root / "keys").signer("producer")


def lines(log: Path) -> list[bytes]:
    return log.read_bytes().splitlines()


def put(log: Path, given: list[bytes]) -> None:
    log.write_bytes(b"".join(line + b"\n" for line in given))


def chained(log: Path, key: PublicKey, signer: Signer, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change the statements, then sign and chain them all again: what somebody with the producer's key can do."""
    statements = copy.deepcopy(read(log, key)[0])
    changed = change(statements)
    statements = statements if changed is None else changed
    made: list[bytes] = []
    for number, each in enumerate(statements):
        predicate = each["predicate"] | {"previous": head_of(made[-1]) if made else "", "sequence": number}
        subject = {one["name"]: one["digest"]["sha256"] for one in each["subject"]}
        made.append(seal(each["predicateType"], subject, predicate, signer))
    put(log, made)


def test_it_holds_and_says_what(run: Run) -> None:
    proof = verify(run.log.path, run.trust)
    assert proof.closed
    assert [(h.stage, h.task, h.verdict.gate, h.verdict.outcome.value) for h in proof.held] == [
        ("ends", "work", "data_contract", "pass")
    ]
    assert list(proof.published) == ["ends"]


def test_rewriting_nothing_changes_nothing(run: Run, log: Path, producer: Signer) -> None:
    chained(log, run.trust.key, producer, lambda _: None)
    assert verify(log, run.trust).closed


SPOILS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "empty": lambda given: [],
    "first-gone": lambda given: given[1:],
    "last-gone": lambda given: given[:-1],
    "middle-gone": lambda given: given[:2] + given[3:],
    "swapped": lambda given: [given[0], given[2], given[1], *given[3:]],
    "twice": lambda given: [*given, given[-1]],
    "plan-twice": lambda given: [given[0], given[0], *given[1:]],
    "blank-line": lambda given: [given[0], b"", *given[1:]],
    "space": lambda given: [given[0].replace(b'":', b'": ', 1), *given[1:]],
    "unsigned": lambda given: [json.dumps({"payload": json.loads(given[0])["payload"]}).encode(), *given[1:]],
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_lines_cannot_be_deleted_moved_or_doubled(run: Run, log: Path, spoil: Callable[..., list[bytes]]) -> None:
    put(log, spoil(lines(log)))
    with pytest.raises(LogBroken):
        verify(log, run.trust)


def test_truncation_is_seen_at_every_length(run: Run, log: Path) -> None:
    whole = log.read_bytes()
    for length in range(0, len(whole), 97):
        log.write_bytes(whole[:length])
        with pytest.raises(LogBroken):
            verify(log, run.trust)


def test_no_byte_can_be_flipped(run: Run, log: Path) -> None:
    whole = log.read_bytes()
    kept = 0
    for place in range(len(whole)):
        log.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            verify(log, run.trust)
            kept += 1
        except SluiceError:
            continue
    assert kept == 0


def test_another_keys_signature_is_refused(run: Run, log: Path, tmp_path: Path) -> None:
    other = UnsafeLocalKeys(tmp_path / "other").signer("producer")
    chained(log, run.trust.key, other, lambda _: None)
    with pytest.raises(LogBroken, match="not signed by the key given"):
        verify(log, run.trust)


def test_the_other_spelling_of_a_signature_is_refused(run: Run, log: Path) -> None:
    """ECDSA has two values of S for each signature; the high one is refused, also where the key verifies it."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    from security.keys import ORDER, spell

    given = lines(log)
    envelope = json.loads(given[-1])
    r, s = decode_dss_signature(base64.b64decode(envelope["signatures"][0]["sig"]))
    high = encode_dss_signature(r, ORDER - s)
    put(log, [*given[:-1], spell(base64.b64decode(envelope["payload"]), high, run.trust.key.id)])
    with pytest.raises(LogBroken, match="spelling"):
        verify(log, run.trust)


def _verdict(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return next(s["predicate"] for s in statements if "verdict" in s["predicate"])


def _lie(statements: list[dict[str, Any]]) -> None:
    """The observation is of something bad, the verdict says pass."""
    _verdict(statements)["observation"]["trouble"] = {"cause": "unreadable", "message": "not read"}


def _weaken(statements: list[dict[str, Any]]) -> None:
    plan = statements[0]["predicate"]["plan"]
    plan["terms"]["ends"]["work"]["data_contract"]["limits"]["most_rejected"] = 0.5


def _weaken_policy(statements: list[dict[str, Any]]) -> None:
    plan = statements[0]["predicate"]["plan"]
    plan["policy"]["gates"]["data_contract"]["limits"]["most_rejected"] = 0.5
    plan["policy_sha256"] = load.sha256(plan["policy"])
    _weaken(statements)


def _weaken_document(statements: list[dict[str, Any]]) -> None:
    plan = statements[0]["predicate"]["plan"]
    plan["document"]["stages"][3]["thresholds"] = {"precision@10": 0.01}
    plan["document_sha256"] = load.sha256(plan["document"])


def _weaken_contract(statements: list[dict[str, Any]]) -> None:
    plan = statements[0]["predicate"]["plan"]
    plan["contract"]["schema"][0]["properties"][2]["quality"][0]["arguments"]["validValues"].append("rating")
    plan["terms"]["ends"]["work"]["data_contract"]["limits"]["types"].append("rating")


def _drop_gate(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    plan = statements[0]["predicate"]["plan"]
    plan["matrix"]["ends"]["work"]["after"] = []
    del plan["terms"]["ends"]["work"]["data_contract"]
    return [s for s in statements if "verdict" not in s["predicate"]]


def _drop_stage(statements: list[dict[str, Any]]) -> None:
    statements[0]["predicate"]["plan"] |= {"matrix": {}, "terms": {}}


def _drop_verdict(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [s for s in statements if "verdict" not in s["predicate"]]
    kept[-1]["predicate"]["count"] = len(kept) - 1
    return kept


def _observe_away(statements: list[dict[str, Any]]) -> None:
    plan = statements[0]["predicate"]["plan"]
    plan["terms"]["ends"]["work"]["data_contract"]["observe"] = ["coverage"]


def _other_signer(statements: list[dict[str, Any]]) -> None:
    statements[0]["predicate"]["plan"]["signer"] = "0" * 64


def _other_subject(statements: list[dict[str, Any]]) -> None:
    _verdict(statements)["observation"]["subject"]["sha256"] = "1" * 64


def _no_canary(statements: list[dict[str, Any]]) -> None:
    _verdict(statements)["observation"]["canaries"] = []


def _short(statements: list[dict[str, Any]]) -> None:
    _verdict(statements)["observation"]["coverage"]["inspected"] -= 1


def _published_other(statements: list[dict[str, Any]]) -> None:
    next(s["predicate"] for s in statements if "published" in s["predicateType"])["output"]["sha256"] = "2" * 64


def _took_in_something(statements: list[dict[str, Any]]) -> None:
    output = next(s["predicate"] for s in statements if "urn:sluice:output" in s["predicateType"])
    output["inputs"] = [output["output"] | {"sha256": "3" * 64}]


def _second_verdict(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    at = next(n for n, s in enumerate(statements) if "verdict" in s["predicate"])
    more = [*statements[: at + 1], copy.deepcopy(statements[at]), *statements[at + 1 :]]
    more[-1]["predicate"]["count"] += 1
    return more


def _closed_as_refused(statements: list[dict[str, Any]]) -> None:
    statements[-1]["predicate"]["outcome"] = "refused"


def _nothing_published(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [s for s in statements if "published" not in s["predicateType"]]
    kept[-1]["predicate"]["count"] = len(kept) - 1
    return kept


def _published_twice(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    at = next(n for n, s in enumerate(statements) if "published" in s["predicateType"])
    more = [*statements[: at + 1], copy.deepcopy(statements[at]), *statements[at + 1 :]]
    more[-1]["predicate"]["count"] += 1
    return more


def _worked_after(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    output = next(s for s in statements if "urn:sluice:output" in s["predicateType"])
    more = [*statements[:-1], copy.deepcopy(output), statements[-1]]
    more[-1]["predicate"]["count"] += 1
    return more


def _one_canary(statements: list[dict[str, Any]]) -> None:
    _verdict(statements)["observation"]["canaries"].pop()


def _long_ago(statements: list[dict[str, Any]]) -> None:
    from security.gate import judge
    from security.verdict import Observation

    said = _verdict(statements)
    said["observation"]["taken"] = 1.0
    limits = statements[0]["predicate"]["plan"]["terms"]["ends"]["work"]["data_contract"]["limits"]
    again = judge(GATES["data_contract"], Observation.model_validate(said["observation"]), limits)
    said["verdict"] = again.model_dump(mode="json")


def _signed_by_nobody(statements: list[dict[str, Any]]) -> None:
    statements[0]["predicate"]["plan"] |= {"target": "kubernetes_test"}


def _nested(statements: list[dict[str, Any]]) -> None:
    _verdict(statements)["observation"]["facts"] = {"rows": 1}


FORGERIES = {
    "closed-as-refused": (_closed_as_refused, "closed as 'refused'"),
    "nothing-published": (_nothing_published, "published nothing"),
    "published-twice": (_published_twice, "published twice"),
    "worked-after-publishing": (_worked_after, "after its stage had published"),
    "one-canary": (_one_canary, "observation gives"),
    "looked-at-before-the-run": (_long_ago, "before the run began"),
    "other-target": (_signed_by_nobody, "the policy for local"),
    "facts-that-are-none": (_nested, "observation gives"),
    "signed-lie": (_lie, "the observation gives"),
    "weaker-terms": (_weaken, "not those of the policy"),
    "weaker-policy": (_weaken_policy, "another policy"),
    "weaker-document": (_weaken_document, "does not pin the document"),
    "weaker-contract": (_weaken_contract, "does not pin the contract interactions"),
    "gate-dropped": (_drop_gate, "matrix given"),
    "stage-dropped": (_drop_stage, "no stage"),
    "verdict-dropped": (_drop_verdict, "never ran"),
    "observed-away": (_observe_away, "not those of the policy"),
    "other-signer": (_other_signer, "another producer"),
    "other-subject": (_other_subject, "observation gives|never ran"),
    "no-canary": (_no_canary, "observation gives"),
    "short-coverage": (_short, "observation gives"),
    "published-other": (_published_other, "not what its last task made"),
    "took-in-unknown": (_took_in_something, "nothing here made"),
    "second-verdict": (_second_verdict, "second verdict"),
}


@pytest.mark.parametrize(("change", "said"), FORGERIES.values(), ids=FORGERIES)
def test_even_the_producer_cannot_forge(run: Run, log: Path, producer: Signer, change: Any, said: str) -> None:
    chained(log, run.trust.key, producer, change)
    with pytest.raises(SluiceError, match=said):
        verify(log, run.trust)


def test_an_honest_fail_is_refused(run: Run, log: Path, producer: Signer) -> None:
    """Bad facts with the verdict that they deserve: the log holds together, and the run does not pass."""
    from security.gate import judge
    from security.verdict import Observation

    def tell(statements: list[dict[str, Any]]) -> None:
        said = _verdict(statements)
        said["observation"]["trouble"] = {"cause": "unreadable", "message": "said so"}
        limits = run.plan.terms["ends"]["work"]["data_contract"].limits
        verdict = judge(GATES["data_contract"], Observation.model_validate(said["observation"]), limits)
        said["verdict"] = verdict.model_dump(mode="json")
        said["effect"] = {"action": "stop", "because": "enforced"}

    chained(log, run.trust.key, producer, tell)
    with pytest.raises(Refused, match="inconclusive: said so"):
        verify(log, run.trust)


def test_lines_that_cannot_be_parsed_are_refused(run: Run, log: Path) -> None:
    for line in (b"[" * 200_000, b'{"payload": 1e999}', b"\xff\xfe", b"null", b"{}"):
        put(log, [line, *lines(log)[1:]])
        with pytest.raises(LogBroken):
            verify(log, run.trust)


def test_a_policy_that_must_be_signed_needs_the_owners_key(
    run: Run, log: Path, producer: Signer, tmp_path: Path
) -> None:
    owner = UnsafeLocalKeys(tmp_path / "owner")
    policy = copy.deepcopy(POLICY) | {"unsigned": "refuse"}
    sha = load.sha256(policy)

    def signed(by: str) -> Callable[[list[dict[str, Any]]], None]:
        def change(statements: list[dict[str, Any]]) -> None:
            statements[0]["predicate"]["plan"] |= {"policy": policy, "policy_sha256": sha, "signed": by}

        return change

    def held(key: PublicKey | None) -> bool:
        return verify(log, Trust(run.trust.key, load.policy(policy), sha, MATRIX, GATES, key)).closed

    good = seal("urn:sluice:policy/v1", {"miniature": sha}, {}, owner.signer("owner")).decode()
    other = seal("urn:sluice:dataset/v1", {"miniature": sha}, {}, owner.signer("owner")).decode()
    for by, key, said in [
        ("nobody", None, "no owner's key"),
        (good, None, "no owner's key"),
        ("nobody", owner.public("owner"), "not an envelope"),
        (other, owner.public("owner"), "another policy"),
        (good, owner.public("verifier"), "not signed by the key given"),
    ]:
        shutil.copy(run.log.path, log)
        chained(log, run.trust.key, producer, signed(by))
        with pytest.raises(LogBroken, match=said):
            held(key)
    shutil.copy(run.log.path, log)
    chained(log, run.trust.key, producer, signed(good))
    assert held(owner.public("owner"))


def test_a_policy_that_asks_for_more_than_the_matrix_carries_is_refused(run: Run) -> None:
    policy = copy.deepcopy(POLICY)
    policy["gates"]["approval"] = {}
    trust = Trust(run.trust.key, load.policy(policy), run.trust.policy_sha256, MATRIX, GATES)
    with pytest.raises(LogBroken, match="asks for approval"):
        verify(run.log.path, trust)


def test_a_stricter_policy_refuses_the_same_log(run: Run) -> None:
    policy = copy.deepcopy(POLICY)
    policy["gates"]["data_contract"]["limits"]["types"] = ["view"]
    with pytest.raises(LogBroken, match="another policy"):
        verify(run.log.path, Trust(run.trust.key, load.policy(policy), load.sha256(policy), MATRIX, GATES))


@pytest.mark.parametrize("change", [{"code": ["0" * 63 + "1"]}, {"keys": "isolated"}, {"target": "kubernetes_test"}])
def test_what_the_policy_does_not_accept_is_refused(run: Run, change: dict[str, Any]) -> None:
    policy = copy.deepcopy(POLICY) | change
    trust = Trust(run.trust.key, load.policy(policy), run.trust.policy_sha256, MATRIX, GATES)
    with pytest.raises(LogBroken):
        verify(run.log.path, trust)


def test_with_an_owner_an_unsigned_policy_is_refused(run: Run, tmp_path: Path) -> None:
    owner = UnsafeLocalKeys(tmp_path).public("owner")
    trust = Trust(run.trust.key, run.trust.policy, run.trust.policy_sha256, MATRIX, GATES, owner)
    with pytest.raises(LogBroken, match="not signed by its owner"):
        verify(run.log.path, trust)


def test_a_cut_end_is_seen_by_the_run_itself(run: Run, log: Path) -> None:
    put(log, lines(log)[:-1])
    with pytest.raises(LogBroken, match="end of the log"):
        verify(log, run.trust, stages={"ends"}, head=run.log.head)


def test_a_run_has_one_log(run: Run) -> None:
    with pytest.raises(LogBroken, match="there already"):
        Log(run.log.path, run.log.signer)


def test_a_run_that_vanished_is_seen(run: Run, home: Home, tmp_path: Path) -> None:
    runs = tmp_path / "evidence"
    shutil.copytree(home.root / "evidence", runs)
    said = missing(runs / "index.jsonl", run.trust.key, runs)
    assert not any(run.plan.run in each for each in said)
    shutil.rmtree(runs / run.plan.run)
    assert f"run {run.plan.run} was opened and its log is gone" in missing(runs / "index.jsonl", run.trust.key, runs)


def test_a_run_whose_log_was_replaced_is_seen(run: Run, home: Home, tmp_path: Path, producer: Signer) -> None:
    runs = tmp_path / "evidence"
    shutil.copytree(home.root / "evidence", runs)
    chained(runs / run.plan.run / "log.jsonl", run.trust.key, producer, lambda _: None)
    said = missing(runs / "index.jsonl", run.trust.key, runs)
    assert any(run.plan.run in each and "another log" in each for each in said)


@pytest.fixture(scope="module", autouse=True)
def _over(run: Run) -> Iterator[None]:
    yield
    assert not (run.home.root / "quarantine" / run.plan.run).exists()


def test_unseal_needs_a_statement(producer: Signer) -> None:
    from security.keys import spell
    from security.verdict import canonical

    old = {"_type": "https://in-toto.io/Statement/v0.1", "subject": [], "predicateType": "x", "predicate": {}}
    body = canonical(old)
    with pytest.raises(LogBroken, match="spelling"):
        unseal(spell(body, producer.sign(body), producer.public.id), producer.public)
