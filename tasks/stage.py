"""The one place where a run is held: gates around a task, and a stage that believes only the log.

`guarded` names a task's gates where the task stands; the plan supplies their terms. `stage` wraps a flow's body:
whatever the body did, swallowed or returned, quarantine is wiped, and the log is verified against the plan before
anything is published.
Rows, keys and runs are never parameters of a flow: Prefect stores those.

Order of a guarded call: its inputs are hashed again; the `before` gates look; where a model is about to be measured,
the index of runs is told; the task works; its inputs are hashed once more; its output is logged; the `after` gates
look; the first refusal is raised once all of them have been heard.
"""

import functools
import inspect
import time
import typing
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Failed

from security import waiver
from security.errors import CannotTell, PlanError, Refused, SluiceError, StoreError
from security.gate import judge, observe, unopened
from security.verdict import Observation, Ref, Subject, Trouble
from tasks import attempts, candidate, report
from tasks.material import OPENS, SUPPLIED, opened
from tasks.run import REFUSED, Run, close, current, inside, stage_now
from tasks.source import Place, reference
from tasks.store import check, publish

P = ParamSpec("P")
R = TypeVar("R")

MATRIX: dict[str, dict[str, dict[str, list[str]]]] = {}
"""Stage -> task -> `before` and `after` -> gates, as the code declares them."""


@task(
    name="gate",
    task_run_name="gate: {gate}",
    tags=["security-gate"],
    retries=0,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def _gate(stage: str, of: str, gate: str, ref: Ref) -> Any:
    run = current()
    begun = time.monotonic()
    terms = run.plan.terms[stage][of][gate]
    check_ = run.trust.gates[gate]
    try:
        material = opened(run, check_, ref, (stage, of))
        seen = observe(check_, material, terms.limits)
    except CannotTell as why:
        seen = _closed(run, gate, ref, why.cause, str(why))
    except SluiceError as why:
        seen = _closed(run, gate, ref, "unreadable", str(why))
    except BaseException as bug:  # noqa: BLE001 - what cannot be opened was not looked at, whatever the reason
        seen = _closed(run, gate, ref, "crash", f"{type(bug).__name__} while opening")
    verdict = judge(check_, seen, terms.limits, terms.accepts, terms.enforce)
    follows = waiver.follows(check_, seen, verdict, terms, run.trust.policy.waivers, run.plan.waivers)
    run.log.append(
        "verdict",
        {seen.subject.name: seen.subject.sha256},
        stage=stage,
        task=of,
        gate=gate,
        observation=seen.model_dump(mode="json"),
        verdict=verdict.model_dump(mode="json"),
        effect=follows.model_dump(mode="json"),
    )
    run.heard[stage, of, gate, ref.sha256] = seen
    seconds = time.monotonic() - begun
    run.clock["gates"] += seconds
    run.listener.gate(stage, verdict, follows, seconds)
    report.verdict(run, stage, of, verdict, follows, seen, seconds)
    if follows.action != "proceed":
        return Failed(name=REFUSED, message=f"[{gate}] {verdict.outcome}: {verdict.reason}")
    return verdict


def _closed(run: Run, gate: str, ref: Ref, cause: str, message: str) -> Observation:
    subject = Subject(kind=ref.kind, name=ref.uri, sha256=ref.sha256)
    return unopened(run.trust.gates[gate], subject, Trouble(cause=cause, message=message))


def _look(stage: str, name: str, gates: list[str], refs: list[Ref], after: list[State[Any]]) -> list[State[Any]]:
    """Every gate on every reference that it can open, each a node of its own. All are heard before one is raised."""
    run, states = current(), []
    for gate in gates:
        kind = run.trust.gates[gate].kind
        mine = [ref for ref in refs if ref.kind in OPENS[kind]][: 1 if kind in SUPPLIED else None]
        if not mine:
            raise PlanError(f"{stage}/{name}: {gate} looks at {kind}, and there is none")
        states += [_gate(stage, name, gate, ref, return_state=True, wait_for=after) for ref in mine]
    if refusals := [state.message for state in states if not state.is_completed()]:
        raise Refused(str(refusals[0]))
    return states


def guarded(stage: str, *, before: list[str], after: list[str]) -> Callable[[Callable[..., Ref]], Callable[..., Ref]]:
    """A task of a stage between its gates. It takes references and returns one."""
    if not before and not after:
        raise PlanError(f"{stage}: a guarded task needs at least one gate")

    def decorate(fn: Callable[..., Ref]) -> Callable[..., Ref]:
        _plain(fn)
        name = fn.__name__
        MATRIX.setdefault(stage, {})[name] = {"before": list(before), "after": list(after)}
        named = f"{stage}: {name}"
        inner = task(name=name, task_run_name=named, retries=0, cache_policy=NO_CACHE, persist_result=False)(fn)

        @functools.wraps(fn)
        def call(*refs: Ref) -> Ref:
            run = current()
            if stage_now() != stage or name not in run.plan.matrix.get(stage, {}):
                raise PlanError(f"{stage}/{name}: not a task of the stage that runs ({stage_now() or 'none'})")
            for ref in refs:
                if not isinstance(ref, Ref):
                    raise PlanError(f"{stage}/{name}: takes references, not {type(ref).__name__}")
            _whole(run, refs)
            cleared = _look(stage, name, before, list(refs), [])
            if any(run.trust.gates[gate].kind == "scores" for gate in after):
                attempts.enter(run, stage, name, refs)
            begun = time.monotonic()
            state = inner(*refs, return_state=True, wait_for=cleared)
            run.clock["work"] += time.monotonic() - begun
            output = state.result()
            if not isinstance(output, Ref):
                raise PlanError(f"{stage}/{name}: returned {type(output).__name__}, not a reference")
            _whole(run, refs)  # what was looked at may have been altered before it was read
            run.outputs[output.sha256] = output
            made = {output.uri: output.sha256}
            inputs = [ref.model_dump(mode="json") for ref in refs]
            run.log.append("output", made, stage=stage, task=name, inputs=inputs, output=output.model_dump(mode="json"))
            _look(stage, name, after, [output], [state])
            return output

        call.__guarded__ = (stage, name)  # type: ignore[attr-defined]
        return call

    return decorate


def _whole(run: Run, refs: Iterable[Ref]) -> None:
    """Hash what a task takes in again; `StoreError` unless it is what its references say."""
    for ref in refs:
        if ref.kind == "endpoint":
            candidate.answers(run, ref)
        elif ref.kind != "bucket":
            check(run.home, ref, run.plan.run)
        elif ref != reference(run.source, Place.of(run.plan.document["stages"][0]["source"])):
            raise StoreError(f"{ref.uri} is not the bucket of this run's document")


def _plain(fn: Callable[..., Any]) -> None:
    """An async body or a generator would never run under a wrapper, and its flow would end COMPLETED."""
    if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise TypeError(f"{fn.__name__}: only plain functions can be held")


def _typed(wrapper: Any, fn: Callable[..., Any], returns: Any) -> None:
    """Prefect makes its parameter form from the wrapper, in whose module the names of `fn` are unknown."""
    hints = typing.get_type_hints(fn, include_extras=True) | {"return": returns}
    signature = inspect.signature(fn)
    parameters = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in signature.parameters.values()]
    wrapper.__annotations__ = hints
    wrapper.__signature__ = signature.replace(parameters=parameters, return_annotation=returns)


def stage(name: str) -> Callable[[Callable[P, Ref]], Callable[P, Any]]:
    """Wrap the body of a stage's flow. It returns what is to be published: the output of one of its guarded tasks."""

    def decorate(fn: Callable[P, Ref]) -> Callable[P, Any]:
        _plain(fn)

        @functools.wraps(fn)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            run, result, error = current(), None, None
            with inside(run, name):
                try:
                    result = fn(*args, **kwargs)
                except (Exception, SystemExit) as why:  # kept: the log decides first, a crash must not hide a refusal
                    error = why
            try:
                run.wipe("quarantine")  # what was not published outlives no stage
                run.settle({name})
                if error is None:
                    return _published(run, name, result)
            except SluiceError as why:
                return _refuse(run, str(why) if isinstance(why, Refused) or error is None else _said(name, error))
            if isinstance(error, SluiceError | SystemExit):
                return _refuse(run, _said(name, error))
            assert error is not None  # noqa: S101
            raise error

        call.__fail_closed__ = name  # type: ignore[attr-defined]
        _typed(call, fn, Any)
        return call

    return decorate


def _said(name: str, error: BaseException) -> str:
    """What an operator is told of an error: of one that was not raised on purpose only its type, it may quote a row."""
    return f"{name}: {error}" if isinstance(error, SluiceError) else f"{name}: broke off with {type(error).__name__}"


def _refuse(run: Run, message: str) -> State[Any]:
    run.refusal = run.refusal or message
    return report.refuse(run, Failed(name=REFUSED, message=message))


def _published(run: Run, name: str, result: Any) -> Ref:
    if not isinstance(result, Ref) or run.outputs.get(result.sha256) != result:
        raise PlanError(f"{name}: may publish only what one of its guarded tasks made")
    placed = publish(run.home, result, run.plan.run)
    run.log.append("published", {placed.uri: placed.sha256}, stage=name, output=placed.model_dump(mode="json"))
    run.published[placed.kind] = placed
    return placed


def held(fn: Callable[[Run], Any]) -> Callable[[Run], Any]:
    """Wrap what runs the stages of one run: closes it whatever happens, and believes only the whole, closed log."""
    _plain(fn)

    @functools.wraps(fn)
    def call(run: Run) -> Any:
        error: BaseException | None = None
        unclosed: SluiceError | None = None
        outcome = "refused"
        try:
            with inside(run):
                fn(run)
            run.settle(set(run.plan.matrix))
            outcome = "passed"
        except (Exception, SystemExit) as why:  # kept: closed and verified first
            error = why
        finally:
            try:
                close(run, outcome)
            except SluiceError as why:  # who signs may be gone
                unclosed = why
        if unclosed is not None:
            return _refuse(run, run.refusal or f"the log was not closed: {unclosed}")
        try:
            proof = run.settle(None)
            if error is None:
                return proof
        except SluiceError as why:
            first = why if isinstance(why, Refused) or not isinstance(error, SluiceError) else error
            return _refuse(run, run.refusal or str(first))
        if isinstance(error, SluiceError | SystemExit):
            return _refuse(run, str(error) or type(error).__name__)
        raise error

    return call
