"""What a run tells of images is held to one: what was approved and scanned, and what runs where it was rendered."""

import copy
import random
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from security.errors import LogBroken
from security.gate import observe
from security.proof import Judged
from security.registry import GATES
from security.verdict import Observation
from tests.conformance.subjects import CASES

ONE, TWO = "a" * 64, "b" * 64
Told = tuple[str, Observation]
TELL = ("approval", "deployment_authorization", "image_vulnerability_scanning", "workload_hardening")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Observation]:
    """What a gate sees of its good subject."""
    kept = dict[str, Observation]()

    def one(name: str) -> Observation:
        if name not in kept:
            case = CASES[name](tmp_path_factory.mktemp(name))
            kept[name] = observe(GATES[name], case.good(), case.limits, random.Random(1))
        return kept[name].model_copy(deep=True)

    return one


def approved(seen: Callable[[str], Observation], image: str) -> Told:
    told = seen("approval")
    told.facts["image"] = image
    return "approval", told


def scanned(seen: Callable[[str], Observation], image: str, of: str = "") -> Told:
    told = seen("image_vulnerability_scanning")
    told.facts["built"] |= {"reference": f"127.0.0.1/x@sha256:{image}", "sha256": image}
    return "image_vulnerability_scanning", told.model_copy(
        update={"subject": told.subject.model_copy(update={"sha256": of or image})}
    )


def deployed(seen: Callable[[str], Observation], image: str) -> Told:
    told = seen("deployment_authorization")
    told.facts["images"] = dict.fromkeys(told.facts["images"], f"127.0.0.1/x@sha256:{image}")
    return "deployment_authorization", told


def runs(seen: Callable[[str], Observation], **places: str) -> Told:
    """Workloads by name, each with the image that its containers run; jobs are called so."""
    told = seen("workload_hardening")
    first, made = told.facts["pods"][0], []
    for name, image in places.items():
        pods = copy.deepcopy(first) | {"place": f"{'Job' if 'job' in name else 'Deployment'}/sluice/{name}"}
        for box in pods["boxes"]:
            box["image"] = f"127.0.0.1/x@sha256:{image}" if image else ""
        made.append(pods)
    told.facts["pods"] = made
    return "workload_hardening", told


def held(*told: Told) -> None:
    """Hold them to each other, in this order."""
    plan = SimpleNamespace(matrix={})
    walk = Judged(SimpleNamespace(plan=plan, available={}, published={}), None)  # type: ignore[arg-type]
    for name, each in told:
        walk._imaged(f"deploy: {name}", "deploy", GATES[name], each)


def test_these_gates_tell_of_images_and_no_other() -> None:
    from security.gate import Gate

    assert sorted(name for name, gate in GATES.items() if type(gate).images is not Gate.images) == sorted(TELL)


def test_one_image_is_held_to_be_one_in_any_order(seen: Callable[[str], Observation]) -> None:
    every = [runs(seen, new=ONE), approved(seen, ONE), scanned(seen, ONE), deployed(seen, ONE), runs(seen, new=ONE)]
    for turn in range(5):
        held(*every[turn:], *every[:turn])
        for at, other in enumerate(
            (runs(seen, new=TWO), approved(seen, TWO), scanned(seen, TWO), deployed(seen, TWO), runs(seen, new=TWO))
        ):
            mixed = [*every[:at], other, *every[at + 1 :]]
            with pytest.raises(LogBroken, match=r"is about image [ab]{12}; deploy: \w+ is about image [ab]{12}"):
                held(*mixed[turn:], *mixed[:turn])


def test_that_there_is_none_is_told_too(seen: Callable[[str], Observation]) -> None:
    held(runs(seen, new=""), approved(seen, ""), runs(seen, new=""))
    with pytest.raises(LogBroken, match="is about image a{12}; deploy: workload_hardening is about no image"):
        held(runs(seen, new=""), approved(seen, ONE))
    with pytest.raises(LogBroken, match="is about no image; deploy: workload_hardening is about image a{12}"):
        held(runs(seen, new=ONE), approved(seen, ""))


def test_other_releases_may_run_others_beside_it(seen: Callable[[str], Observation]) -> None:
    held(runs(seen, new=ONE), approved(seen, ONE), runs(seen, new=ONE, old=TWO))
    with pytest.raises(LogBroken, match="is about image b{12}"):
        held(runs(seen, new=ONE), approved(seen, ONE), runs(seen, new=TWO, old=ONE))


def test_what_was_rendered_must_be_there(seen: Callable[[str], Observation]) -> None:
    for later in (runs(seen, old=ONE), runs(seen)):
        with pytest.raises(LogBroken, match=r"does not tell of (Deployment/sluice/new|anything that runs)"):
            held(runs(seen, new=ONE), later)
    with pytest.raises(LogBroken, match="does not tell of anything that runs"):
        held(runs(seen))


def test_a_job_may_be_gone_after_its_end_and_is_of_the_same_image_while_it_is_there(
    seen: Callable[[str], Observation],
) -> None:
    held(runs(seen, new=ONE, job=ONE), approved(seen, ONE), runs(seen, new=ONE))
    held(runs(seen, new=ONE, job=ONE), approved(seen, ONE), runs(seen, new=ONE, job=ONE, old_job=TWO))
    with pytest.raises(LogBroken, match="is about image b{12}"):
        held(runs(seen, new=ONE, job=ONE), approved(seen, ONE), runs(seen, new=ONE, job=TWO))


def test_what_was_scanned_is_the_image_that_the_look_says(seen: Callable[[str], Observation]) -> None:
    with pytest.raises(LogBroken, match="looked at another image than it says"):
        held(scanned(seen, ONE, of=TWO))
