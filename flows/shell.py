"""Runs from a terminal: the local processes, the flow, and what people want to know at the end."""

import argparse
import io
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from configs import load
from flows import intake, local
from flows.screen import Screen
from security.verdict import Outcome
from tasks import process
from tasks.home import Home
from tasks.run import Quiet, Run


def ready(home: Home, screen: Screen, *, sample: bool = True) -> str:
    """Everything that a run needs, running: the lake, unless another source is named, and Prefect's server."""
    embedded = "SLUICE_LAKE" not in os.environ
    begun = time.monotonic()
    url = os.environ.get("PREFECT_API_URL", "").removesuffix("/api") or local.server(home)
    if embedded:
        screen.step("start", "the embedded lake and Prefect's server")
        local.lake(home, sample=sample)
    os.environ.update(local.settings(home, url))
    threading.Thread(target=_warm, daemon=True).start()
    import flows.pipeline  # noqa: F401 - three seconds, spent while the processes start

    if embedded:
        local.lake_ready(home)
    if process.alive(home.root / local.SERVER):
        local.server_ready(home, url)
    logging.getLogger("prefect").setLevel(logging.CRITICAL)
    screen.say(
        f"  started in {time.monotonic() - begun:.1f} s: Prefect {url}" + (", embedded lake" if embedded else "")
    )
    return url


def _warm() -> None:
    """Have the process that trains import TensorFlow while other things are waited for."""
    from tasks.trainer.ask import TRAINER

    TRAINER.soon()


def once(screen: Any, **parameters: Any) -> tuple[Any, Run | None]:
    """One run of the flow in this process; the state that it ended in, and the run if there was one."""
    from flows.pipeline import LAST, LISTENER, pipeline

    LAST.set(None)
    token = LISTENER.set(screen)
    try:
        state = pipeline(**parameters, return_state=True)
    finally:
        LISTENER.reset(token)
    return state, LAST.get()


def figures(screen: Screen, run: Run) -> None:
    """The metrics beside baselines and thresholds, and the gates' share of the time."""
    found: dict[str, dict[str, dict[str, float]]] = run.notes.get("metrics", {})
    if found:
        stage = run.plan.document["stages"][3]
        wanted, names = stage["thresholds"], stage["metrics"]
        screen.say("\n  " + " " * 12 + "".join(f"{name:>14}" for name in names))
        for system in ("model", "knn", "popularity", "random", "shuffled", "ceiling"):
            if system in found:
                note = {"shuffled": "  control, must fail", "ceiling": "  what the generator allows"}.get(system, "")
                values = "".join(f"{found[system][name]['value']:>14.3f}" for name in names)
                screen.say(f"  {system:<12}{values}{note}")
                if system == "model":
                    ends = [[f"{found[system][name][end]:.3f}" for end in ("low", "high")] for name in names]
                    spans = ["-".join(each) if each[0] != each[1] else "" for each in ends]
                    screen.say("  95 %        " + "".join(f"{span:>14}" for span in spans))
        screen.say(
            "  threshold   " + "".join(f"{wanted[name]:>14.3f}" if name in wanted else " " * 14 for name in names)
        )
        screen.say(f"  {run.notes.get('attempt', '')}")
    whole = time.monotonic() - run.started
    gates = run.clock["gates"]
    screen.say(f"\n  {whole:.1f} s, of which the gates took {gates:.1f} s ({gates / whole:.0%})")


def ending(screen: Screen, home: Home, state: Any, run: Run | None, url: str) -> None:
    """How it ended, and what to do next."""
    if not state.is_completed():
        screen.say(f"\n✗ refused: {state.message}")
    if run is None:
        return
    here = home.root.parent

    def short(path: str | Path) -> str:
        return os.path.relpath(path, here)

    if serving := run.notes.get("serving"):
        ids = json.loads((run.path(run.published["model"]) / "ids.json").read_text())
        path = run.plan.document["stages"][4]["inference_endpoint"]
        user = ids["users"][0]
        if "url" in serving:
            screen.say("\n  Ask the service (the token lives five minutes):")
            screen.say(
                f'    curl -s -H "Authorization: Bearer $(.venv/bin/sluice token {user})" '
                f"'{serving['url']}{path}?user={user}&k=10'"
            )
        else:
            screen.say(f"\n  Callers of {serving['namespace']}/{serving['name']} are led to {serving['release']}")
    signed = "unsigned (UnsafeUnsignedPolicy)" if run.plan.signed.startswith("Unsafe") else "signed by its owner"
    where = f"target {run.plan.target}; key isolation {run.plan.isolation}"
    screen.say(f"  Policy    {run.plan.policy['name']}, {signed}; {where}")
    screen.say(f"  Prefect   {url}\n  Page      {short(run.notes['page'])}")
    evidence, key = short(home.evidence(run.plan.run)), short(home.root / "trust" / "producer.pub")
    screen.say(f"  Evidence  {evidence}")
    screen.say(f"  Verify    .venv/bin/sluice verify {evidence} --key {key} --policy {run.plan.policy['name']}")


def _json(state: Any, run: Run | None, url: str) -> str:
    told = {"state": state.name, "message": state.message or "", "prefect": url}
    if run:
        told |= {
            "run": run.plan.run,
            "verdicts": run.notes.get("verdicts", []),
            "metrics": run.notes.get("metrics", {}),
            "seconds": {**run.clock, "whole": time.monotonic() - run.started},
            "page": run.notes.get("page", ""),
        }
    return json.dumps(told, indent=1, sort_keys=True)


def named(given: str) -> str:
    """A document or policy as the flow takes it: by name. A path is offered to this process alone."""
    return given if load.BARE.fullmatch(given) else load.offer(Path(given))


def run(given: argparse.Namespace) -> int:
    """`sluice run`."""
    home, screen = Home.here(), Screen()
    quiet = Quiet() if given.json else screen
    if given.json:
        screen = Screen(io.StringIO())
    screen.say(f"sluice run: home {os.path.relpath(home.root)}")
    document, policy = named(given.document), named(given.policy)
    if given.interactions and document == "sample":
        document = "movielens"
    url = ready(home, screen)
    if given.interactions:
        source = load.document(load.text(load.find(document, "pipelines"))).stages[0].source
        kms = intake.key(load.policy(load.text(load.find(policy, "policies"))))
        counts = intake.load(home, given.interactions, intake.columns(given.columns), source, kms)
        screen.say(f"  {sum(counts.values()):,} rows of {given.interactions.name} into the lake, {len(counts)} months")
    parameters = {
        "document": document,
        "policy": policy,
        "partition": given.partition,
        "window": given.window,
        "deploy": not given.no_deploy,
        "after": given.after,
        "stages": given.stages.split(",") if given.stages else None,
        "unsafe_service": given.unsafe_service,
    }
    state, done = once(quiet, **parameters)
    if given.json:
        print(_json(state, done, url))
    else:
        if done:
            figures(screen, done)
        ending(screen, home, state, done, url)
    return 0 if state.is_completed() else 1


def backfill(given: argparse.Namespace) -> int:
    """`sluice backfill`."""
    home, screen = Home.here(), Screen()
    screen.say(f"sluice backfill: {given.start} to {given.end}")
    ready(home, screen)
    from flows.backfill import backfill as flow
    from flows.pipeline import LISTENER

    token = LISTENER.set(screen)
    try:
        state: Any = flow(
            start=given.start,
            end=given.end,
            document=named(given.document),
            policy=named(given.policy),
            window=given.window,
            return_state=True,
        )
    finally:
        LISTENER.reset(token)
    screen.say(
        f"\n{'✓' if state.is_completed() else '✗'} {state.name}" + (f": {state.message}" if state.message else "")
    )
    return 0 if state.is_completed() else 1


def passed(run: Run | None) -> int:
    """How many of a run's verdicts passed."""
    return sum(row["outcome"] == Outcome.PASS for row in (run.notes.get("verdicts", []) if run else []))
