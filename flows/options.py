"""The options of the command `sluice`, which are known before anything that a command needs is imported."""

import argparse
from pathlib import Path

from flows import model

ECOSYSTEMS = ("pypi", "debian")
"""Whose advisories can be fetched."""


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    made = argparse.ArgumentParser(
        prog="sluice", description="A machine-learning pipeline in which nothing passes that was not looked at."
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    def judged(each: argparse.ArgumentParser, document: str = "sample") -> None:
        each.add_argument("--document", default=document, help="a shipped document's name, or a path")
        each.add_argument("--policy", default="local", help="a shipped policy's name, or a path")

    command("demo", "run the sample, then two runs that must be refused (what `make run` calls)")
    each = command("run", "one run of the pipeline")
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
    each = command("backfill", "the pipeline for each day of a range; deploys none")
    judged(each)
    each.add_argument("--start", required=True)
    each.add_argument("--end", required=True)
    each.add_argument("--window", type=int)
    each = command("plan", "check a document against a policy, and run nothing")
    judged(each)
    each = command("verify", "make every verdict of a run again, from its evidence and what you bring")
    each.add_argument("run", help="the folder of a run's evidence")
    each.add_argument("--key", required=True, help="the producer's public key, from outside the evidence")
    each.add_argument("--policy", required=True, help="the policy that you hold the run to")
    each.add_argument("--owner", type=Path, help="the owner's public key: then the policy must be signed by it")
    each.add_argument("--json", action="store_true")
    each = command("token", "a short-lived token for a user of the local service")
    each.add_argument("user")
    each.add_argument("--seconds", type=int, default=300)
    each = command("sign", "sign a policy with the owner's key")
    each.add_argument("policy")
    each = command("digest", "the line that pins a document or a data contract in a policy")
    each.add_argument("document")
    each = command("baseline", "what later runs are held against for drift: show it, set it, or compare")
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
    each = command("advisories", "known vulnerabilities of packages: fetch them, or say how old they are")
    parts = each.add_subparsers(dest="what", required=True, metavar="update|status")
    each = parts.add_parser("update", help="fetch what changed; without a network it says so, and keeps what is here")
    each.add_argument(
        "--from", dest="source", default="", help="a URL or folder in the layout of OSV's export (or SLUICE_ADVISORIES)"
    )
    each.add_argument("--ecosystem", choices=ECOSYSTEMS, default="pypi", help="of what packages; else of Python's")
    each.add_argument("--json", action="store_true")
    each = parts.add_parser("status", help="how many there are, and how old they are")
    each.add_argument("--ecosystem", choices=ECOSYSTEMS, default="pypi", help="of what packages; else of Python's")
    each.add_argument("--json", action="store_true")
    each = command("waiver", "findings of a run that may be let go for a while: see, approve, list")
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
    each = command("approval", "that a model may go to a target: give, list")
    parts = each.add_subparsers(dest="what", required=True, metavar="give|list")
    each = parts.add_parser("give", help="approve a version, with the approver's key; somebody else asked for it")
    told = "a run, in the image that it made if it did; or NAME, NAME:VERSION, NAME@ALIAS of the registry, in none"
    each.add_argument("model", metavar="RUN|MODEL", help=told)
    each.add_argument("--key", type=Path, help="the producer's public key; then RUN is a folder of evidence, verified")
    each.add_argument("--owner", type=Path, help="with --key: the public key of who signed the policy")
    each.add_argument("--target", required=True, help="where it may go, and nowhere else")
    each.add_argument("--reason", required=True)
    each.add_argument("--requester", required=True, help="who asks for it; never the approver")
    each.add_argument("--approver", required=True, help="your name, as the policy has it beside your key")
    each.add_argument("--days", type=float, default=14.0, help="how long it lasts; a policy says how long it may")
    each.add_argument("--policy", default="local", help="whose approvers count in the registry")
    each = parts.add_parser("list", help="every approval, and why it does not count")
    each.add_argument("--policy", default="local")
    each.add_argument("--json", action="store_true")
    each = command("deploy", "what runs at a target, what was decided, and may still: status, diff, rollback, lease")
    parts = each.add_subparsers(dest="what", required=True, metavar="status|diff|rollback|lease")
    each = parts.add_parser("status", help="what runs, what was decided of it, and whether it may still")
    judged(each)
    each.add_argument("--json", action="store_true")
    each = parts.add_parser("diff", help="decision, registry and what runs: 1 where they differ in anything")
    judged(each)
    each.add_argument("--json", action="store_true")
    each = parts.add_parser("rollback", help="lead callers to an earlier release that may still serve")
    judged(each)
    each.add_argument("--to", required=True, metavar="RUN|RELEASE|MODEL", help="which: its run, or the first digits")
    each.add_argument("--reason", required=True, help="why; it stands beside the decision")
    each = parts.add_parser("lease", help="give a cluster a lease of what may serve there now; it runs out by itself")
    judged(each)
    each.add_argument("--json", action="store_true")
    each = command("model", "the registry of models: see, verify, compare, revoke, promote, push, pull")
    model.options(each)
    each = command("check", "one gate over one subject, without a run; 0 pass, 1 fail, 2 inconclusive")
    each.add_argument(
        "gate",
        choices=[
            "code_integrity_check",
            "dependency_scanning",
            "model_artifact_scan",
            "network_policy_enforcement",
            "registry_authorization",
            "secrets_scanning",
            "workload_hardening",
        ],
    )
    subject = "a lock file; a folder of a model or of manifests; HOST[:PORT][/PATH]/MODEL, or a MODEL of this home; "
    subject += "else a checkout"
    each.add_argument("subject", metavar="SUBJECT", help=subject)
    each.add_argument("--limits", type=Path, help="a YAML file of what the gate allows, from elsewhere")
    each.add_argument("--bill", type=Path, metavar="FILE", help="of a lock: write its bill of materials, CycloneDX 1.6")
    form = each.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the verdict as one JSON object")
    form.add_argument("--sarif", action="store_true", help="the verdict as SARIF 2.1.0")
    each = command("manifest", "the signed list of a checkout's files, if code_integrity_check passes it")
    each.add_argument("checkout", metavar="CHECKOUT")
    each.add_argument("--limits", type=Path, help="as of `sluice check`")
    each.add_argument("--out", type=Path, required=True, help="where it goes; the folder has it as code.manifest")
    each = command("signer", "hold the keys, as a user of its own, and sign for pipelines that ask")
    each.add_argument("--keys", type=Path, required=True, help="the folder of private keys, of this user alone")
    each.add_argument("--socket", type=Path, required=True, help="where to listen; a pipeline's SLUICE_SIGNER names it")
    each.add_argument("--for", type=int, action="append", required=True, dest="users", metavar="UID", help="who asks")
    command("up", "start the embedded lake and Prefect's server")
    command("stop", "end what was started")
    return made
