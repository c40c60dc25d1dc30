"""The command `sluice`. Nothing heavy is imported before the command that needs it: the first line comes at once."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from configs.load import ConfigError
from flows import model
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
        return advisories.status(as_json=given.json)
    return advisories.fetch(given.source or os.environ.get("SLUICE_ADVISORIES", ""), as_json=given.json)


def _waiver(given: argparse.Namespace) -> int:
    from flows.waiver import command

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
    from flows import plan

    brief = plan.read(given.document, given.policy)
    print(f"{brief.parsed.pipeline_name} under {brief.terms.name}: every check is built; target {brief.terms.target}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    made = argparse.ArgumentParser(
        prog="sluice", description="A machine-learning pipeline in which nothing passes that was not looked at."
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, work: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        each = commands.add_parser(name, help=text, description=text)
        each.set_defaults(work=work)
        return each

    def judged(each: argparse.ArgumentParser, document: str = "sample") -> None:
        each.add_argument("--document", default=document, help="a shipped document's name, or a path")
        each.add_argument("--policy", default="local", help="a shipped policy's name, or a path")

    command("demo", _demo, "run the sample, then two runs that must be refused (what `make run` calls)")
    each = command("run", _run, "one run of the pipeline")
    judged(each)
    each.add_argument("--partition", default="latest", help="2023-10-27, 2016-10, or latest")
    each.add_argument("--window", type=int, help="how many partitions up to this one; all, if left out")
    each.add_argument("--no-deploy", action="store_true", help="stop after the evaluation")
    each.add_argument("--stages", default="", help="ingest,features,train,evaluate,deploy: some of them, in a row")
    each.add_argument(
        "--after", default="", help="the run to go on from; without --stages, its model is deployed again"
    )
    each.add_argument(
        "--interactions", type=Path, help="a CSV of ratings or events, put into the embedded lake by month first"
    )
    each.add_argument("--columns", default="", help="user_id=...,item_id=...,timestamp=...,interaction_type=...")
    each.add_argument(
        "--unsafe-service", action="store_true", help="deploy a service that accepts expired tokens, to see it refused"
    )
    each.add_argument("--json", action="store_true", help="one JSON object instead of lines for people")
    each = command("backfill", _backfill, "the pipeline for each day of a range; deploys none")
    judged(each)
    each.add_argument("--start", required=True)
    each.add_argument("--end", required=True)
    each.add_argument("--window", type=int)
    each = command("plan", _plan, "check a document against a policy, and run nothing")
    judged(each)
    each = command("verify", _verify, "make every verdict of a run again, from its evidence and what you bring")
    each.add_argument("run", help="the folder of a run's evidence")
    each.add_argument("--key", required=True, help="the producer's public key, from outside the evidence")
    each.add_argument("--policy", required=True, help="the policy that you hold the run to")
    each.add_argument("--owner", type=Path, help="the owner's public key: then the policy must be signed by it")
    each.add_argument("--json", action="store_true")
    each = command("token", _token, "a short-lived token for a user of the local service")
    each.add_argument("user")
    each.add_argument("--seconds", type=int, default=300)
    each = command("sign", _sign, "sign a policy with the owner's key")
    each.add_argument("policy")
    each = command("digest", _digest, "the line that pins a document or a data contract in a policy")
    each.add_argument("document")
    each = command("baseline", _baseline, "what later runs are held against for drift: show it, set it, or compare")
    parts = each.add_subparsers(dest="what", required=True, metavar="show|set|diff")
    each = parts.add_parser("show", help="the profiles that count now")
    each.add_argument("pipeline", nargs="?", default="", help="of one pipeline; of all, if left out")
    each.add_argument("--json", action="store_true")
    each = parts.add_parser("set", help="the rows of a run are what is pinned from now on")
    each.add_argument("run")
    each.add_argument("--reason", required=True, help="why; it stands in the index of runs")
    each.add_argument("--policy", default="local", help="the policy that the run was held to")
    each.add_argument(
        "--refused", action="store_true", help="also if the gate for drift, and no other, refused the run"
    )
    each = parts.add_parser("diff", help="a run against what it was held against, or two profiles")
    each.add_argument("names", nargs="+", metavar="RUN|DIGEST")
    each.add_argument("--json", action="store_true")
    each = command("advisories", _advisories, "known vulnerabilities of packages: fetch them, or say how old they are")
    parts = each.add_subparsers(dest="what", required=True, metavar="update|status")
    each = parts.add_parser("update", help="fetch what changed; without a network it says so, and keeps what is here")
    each.add_argument(
        "--from", dest="source", default="", help="a URL or folder in the layout of OSV's export (or SLUICE_ADVISORIES)"
    )
    each.add_argument("--json", action="store_true")
    each = parts.add_parser("status", help="how many there are, and how old they are")
    each.add_argument("--json", action="store_true")
    each = command("waiver", _waiver, "findings of a run that may be let go for a while: see, approve, list")
    parts = each.add_subparsers(dest="what", required=True, metavar="findings|approve|list")
    each = parts.add_parser("findings", help="what a run was refused for, and whether it can be waived")
    each.add_argument("run")
    each.add_argument("--json", action="store_true")
    each = parts.add_parser("approve", help="let a finding go, with the approver's key; somebody else asked for it")
    each.add_argument("run")
    each.add_argument("fingerprint", help="of the finding: twelve digits or more")
    each.add_argument("--reason", required=True)
    each.add_argument("--ticket", required=True)
    each.add_argument("--requester", required=True, help="who asks for it; never the approver")
    each.add_argument("--days", type=float, default=14.0, help="how long it lasts; a policy says how long it may")
    each = parts.add_parser("list", help="every waiver, and why it does not count")
    each.add_argument("--policy", default="local")
    each.add_argument("--json", action="store_true")
    each = command("model", model.command, "the registry of models: see, verify, compare, revoke, promote, push, pull")
    model.options(each)
    each = command("check", _check, "one gate over one subject, without a run; 0 pass, 1 fail, 2 inconclusive")
    each.add_argument(
        "gate",
        choices=[
            "code_integrity_check",
            "dependency_scanning",
            "model_artifact_scan",
            "registry_authorization",
            "secrets_scanning",
        ],
    )
    subject = "a lock file; a model's folder; HOST[:PORT][/PATH]/MODEL or a MODEL of this home; else a checkout"
    each.add_argument("subject", metavar="SUBJECT", help=subject)
    each.add_argument("--limits", type=Path, help="a YAML file of what the gate allows, from elsewhere")
    each.add_argument("--bill", type=Path, metavar="FILE", help="of a lock: write its bill of materials, CycloneDX 1.6")
    form = each.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the verdict as one JSON object")
    form.add_argument("--sarif", action="store_true", help="the verdict as SARIF 2.1.0")
    each = command("manifest", _manifest, "the signed list of a checkout's files, if code_integrity_check passes it")
    each.add_argument("checkout", metavar="CHECKOUT")
    each.add_argument("--limits", type=Path, help="as of `sluice check`")
    each.add_argument("--out", type=Path, required=True, help="where it goes; the folder has it as code.manifest")
    each = command("signer", _signer, "hold the keys, as a user of its own, and sign for pipelines that ask")
    each.add_argument("--keys", type=Path, required=True, help="the folder of private keys, of this user alone")
    each.add_argument("--socket", type=Path, required=True, help="where to listen; a pipeline's SLUICE_SIGNER names it")
    each.add_argument("--for", type=int, action="append", required=True, dest="users", metavar="UID", help="who asks")
    command("up", _up, "start the embedded lake and Prefect's server")
    command("stop", _stop, "end what was started")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. 0: it held; 1: refused; 2: it could not be done, in one sentence; 130: interrupted."""
    given = parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        return int(given.work(given))
    except (SluiceError, ConfigError) as why:
        said = {"error": str(why)} if getattr(given, "json", False) else None
        print(json.dumps(said) if said else f"sluice {given.command}: {why}", file=sys.stdout if said else sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"sluice {given.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
