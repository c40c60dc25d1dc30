"""The command `sluice`. Nothing heavy is imported before the command that needs it: the first line comes at once."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from configs.load import ConfigError
from flows import model
from flows.options import parser
from security.errors import SluiceError


def _verify(given: argparse.Namespace) -> int:
    from flows.audit import audit

    return audit(Path(given.run), Path(given.key), given.policy, owner=given.owner, as_json=given.json)


def _run(given: argparse.Namespace) -> int:
    from flows.shell import run

    return run(given)


def _demo(given: argparse.Namespace) -> int:
    from flows.demo import demo

    return demo()


def _up(given: argparse.Namespace) -> int:
    from flows import local
    from tasks.home import Home

    home = Home.here()
    url = local.server(home)
    local.lake(home, sample=True)
    local.lake_ready(home)
    local.server_ready(home, url)
    print(f"Prefect {url}\nexport PREFECT_API_URL={url}/api SLUICE_HOME={home.root}")
    return 0


def _stop(given: argparse.Namespace) -> int:
    from flows.local import stop
    from tasks.home import Home

    ended = stop(Home.here())
    print("\n".join(f"stopped: {each}" for each in ended) or "nothing was running")
    return 0


def _token(given: argparse.Namespace) -> int:
    from tasks.home import Home
    from tasks.issuer import token

    print(token(Home.here(), sub=given.user, seconds=given.seconds))
    return 0


def _sign(given: argparse.Namespace) -> int:
    from flows import plan
    from tasks.home import Home

    path = plan.sign(given.policy, Home.here())
    print(f"signed by the owner's key (UnsafeLocalKeys): {path.name}")
    return 0


def _digest(given: argparse.Namespace) -> int:
    from configs import load
    from configs.contract import contract

    if given.document.endswith(load.KINDS["contracts"][1]):
        path = load.find(given.document, "contracts")
        told = load.text(path)
        print(f"{contract(told, path.name).name}: {load.sha256(told)}")
        return 0
    path = load.find(given.document, "pipelines")
    told = load.text(path)
    print(f"{load.document(told, path.name).pipeline_name}: {load.sha256(told)}")
    return 0


def _baseline(given: argparse.Namespace) -> int:
    from flows import baseline

    if given.what == "show":
        return baseline.show(given.pipeline, as_json=given.json)
    if given.what == "set":
        return baseline.put(given.run, given.policy, given.reason, refused=given.refused)
    return baseline.diff(given.names, as_json=given.json)


def _advisories(given: argparse.Namespace) -> int:
    from flows import advisories

    if given.what == "status":
        return advisories.status(given.ecosystem, as_json=given.json)
    named = os.environ.get("SLUICE_ADVISORIES", "") if given.ecosystem == "pypi" else ""
    return advisories.fetch(given.source or named, given.ecosystem, as_json=given.json)


def _waiver(given: argparse.Namespace) -> int:
    from flows.waiver import command

    return command(given)


def _approval(given: argparse.Namespace) -> int:
    from flows.approval import command

    return command(given)


def _deploy(given: argparse.Namespace) -> int:
    from flows.deployed import command

    return command(given)


def _check(given: argparse.Namespace) -> int:
    from flows import check

    asked = {"bill": given.bill, "as_json": given.json, "as_sarif": given.sarif}
    return check.check(given.gate, given.subject, given.limits, **asked)


def _manifest(given: argparse.Namespace) -> int:
    from flows import manifest

    return manifest.make(given.checkout, given.limits, given.out)


def _signer(given: argparse.Namespace) -> int:
    from flows.signer import command

    return command(given)


def _backfill(given: argparse.Namespace) -> int:
    from flows.shell import backfill

    return backfill(given)


def _plan(given: argparse.Namespace) -> int:
    from flows import brief as briefs

    brief = briefs.read(given.document, given.policy)
    print(f"{brief.parsed.pipeline_name} under {brief.terms.name}: every check is built; target {brief.terms.target}")
    return 0


WORK: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "demo": _demo,
    "run": _run,
    "backfill": _backfill,
    "plan": _plan,
    "verify": _verify,
    "token": _token,
    "sign": _sign,
    "digest": _digest,
    "baseline": _baseline,
    "advisories": _advisories,
    "waiver": _waiver,
    "approval": _approval,
    "deploy": _deploy,
    "model": model.command,
    "check": _check,
    "manifest": _manifest,
    "signer": _signer,
    "up": _up,
    "stop": _stop,
}
"""What each command does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. 0: it held; 1: refused; 2: it could not be done, in one sentence; 130: interrupted."""
    given = parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        return int(WORK[given.command](given))
    except (SluiceError, ConfigError) as why:
        said = {"error": str(why)} if getattr(given, "json", False) else None
        print(json.dumps(said) if said else f"sluice {given.command}: {why}", file=sys.stdout if said else sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"sluice {given.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
