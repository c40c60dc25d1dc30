"""Opens what a gate looks at. The runner's part: no task and no gate decides what is handed out, or how much there is.

Rows in quarantine are held against a listing of the bucket made again now, and their lines are counted by other code
than reads them; an object that changed since it was listed is an error. They are read once: the first gate that looks
at them has them kept for those that follow and for the task that cleans them. Endpoints and buckets are asked here, and
the answers kept as a snapshot.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from configs import contract as contracts
from security.engines import cipher, volume
from security.engines.asker import ask
from security.errors import BadInput, CannotTell
from security.gate import Gate
from security.gates import bias, contract, drift, fairness, inputs, metrics, model, personal, poisoning, rest
from security.gates.network import NetworkPolicyEnforcement
from security.material import Material
from security.posture import Posture, asked, part
from security.rows import lines
from security.rows.kept import Kept
from security.verdict import Ref, Subject, digest
from tasks import (
    approvals,
    artifact,
    attempts,
    authority,
    baseline,
    candidate,
    checkout,
    cluster,
    dataset,
    declared,
    deployer,
    form,
    groups,
    lock,
    models,
    probe,
    source,
    span,
    tree,
    versions,
)
from tasks.approved import approved
from tasks.language import language
from tasks.run import Run
from tasks.secret import secret
from tasks.store import check, files, hashed

OPENS = {
    "rows": ("rows", "protected", "features"),
    "pairs": ("features",),
    "objects": ("rows",),
    "manifest": ("rows", "features"),
    "bucket": ("bucket",),
    "model": ("model",),
    "lock": ("features", "model"),
    "code": ("features", "model"),
    "checkout": ("features",),
    "scores": ("scores",),
    "endpoint": ("endpoint",),
    "registry": ("model",),
    "approval": ("model",),
    "manifests": ("manifests", "placed"),
    "image": ("endpoint",),
    "cluster": ("manifests",),
}
"""What kinds of reference a gate of a kind can open."""
SUPPLIED = ("lock", "code", "checkout", "registry")
"""Kinds of what works on references, and is none."""


def opened(run: Run, gate: Gate[Any], ref: Ref, where: tuple[str, str]) -> Material[Any]:
    """The material of a gate on a reference, its bytes hashed again first. `where` is the stage and the task."""
    subject = Subject(kind=ref.kind, name=ref.uri, sha256=ref.sha256)
    if isinstance(gate, Posture):
        return asked(gate, _asked(run, gate, ref, where), of=ref.sha256)
    if gate.kind == "image":
        return candidate.system(run, ref)
    folder = check(run.home, ref, run.plan.run)
    if gate.kind == "rows":
        rows, limits = _rows(run, ref, folder, subject, where), _limits(run, gate, where)
        if gate.name == baseline.NAME:
            then = baseline.opened(run.home, limits["baseline"], run.trust.key).bytes if limits["baseline"] else None
            recent, newest = span.recent(run, rows, folder, where[0], limits)
            key = secret(run.home, limits["key"], "drift")
            columns, pairs = limits.get("columns", drift.COLUMNS), limits.get("pairs", ())
            return drift.material(recent, then, key, columns, limits["beside"], pairs, newest, limits["partitions"])
        known = {*limits["roles"], *limits.get("actions", ())} if "roles" in limits else None
        return rows if known is None else personal.material(rows, known, language(limits.get("model")))
    if gate.kind == "pairs":
        path = folder / "rows.parquet"
        return poisoning.material(subject, path, lines(path, path.name))
    if gate.kind == "objects":
        return _objects(run, ref, folder, subject)
    if gate.kind in SUPPLIED:
        return _supplied(run, gate, ref, where)
    if gate.kind == "manifest":
        return _manifest(run, gate, ref, subject, where)
    if gate.name == artifact.NAME:
        return artifact.opened(folder, _limits(run, gate, where), subject)
    if gate.name == versions.NAME:
        told: dict[str, Any] = {"data": run.published["features"].sha256, "plan": run.plan.sha256}
        trusted, limits = models.trusted(run), _limits(run, gate, where)
        return versions.opened(run.home, folder, limits, subject, trusted, **told, known=run.plan.registry)
    if gate.kind == "manifests":
        probed = gate.name == NetworkPolicyEnforcement.name
        live = run.plan.target != "local"
        return candidate.manifests(subject, folder, placed=ref.kind == "placed", live=live, probed=probed)
    if gate.kind == "approval":
        return approvals.of(run, ref, subject)
    if gate.kind == "model":
        return model.material(subject, folder, len(files(folder)), run.trust.key)
    if gate.kind == "scores":
        return _scores(run, gate, folder, subject, where)
    raise CannotTell(f"nobody can open {gate.kind} for {gate.name}")


def _limits(run: Run, gate: Gate[Any], where: tuple[str, str]) -> dict[str, Any]:
    return run.plan.terms[where[0]][where[1]][gate.name].limits


def _rows(run: Run, ref: Ref, folder: Path, subject: Subject, where: tuple[str, str]) -> Material[Any]:
    """Rows: as they were fetched, into quarantine; cleaned; with personal data handled; or those of the features."""
    if where == ("ingest", "fetch"):
        return _raw(run, ref, folder, subject)
    path = folder / "rows.parquet"
    count = lines(path, path.name)
    form.files(ref.kind, folder)
    if ref.kind == "rows":
        form.rows(folder, dataset.listed(folder, run.trust.key), run.counted, count)
    elif ref.kind == "protected":
        before = run.published["rows"]
        told = json.loads((check(run.home, before, run.plan.run) / dataset.MANIFEST).read_text())
        heard = run.heard.get(("features", "protect", "PII_detection", before.sha256))
        observation = digest(heard.model_dump(mode="json")) if heard else ""
        form.protected(folder, before.sha256, observation, told["counts"]["rows out"], count)
    else:
        form.features(folder)
        if where == ("features", "prepare"):  # whoever takes them later believes them by their digest
            of = [check(run.home, each, run.plan.run) for each in run.outputs.values() if each.kind == "protected"]
            if len(of) != 1:
                raise CannotTell(f"found {len(of)} sets of rows that these features may be of; allowed: one")
            form.said(folder, of[0] / path.name, declared.named(run.plan))
    named = contracts.contract(run.plan.contract).groups()
    source = partial(contract.batches, [path], [path.name], contract.nowhere, named)
    return contract.material(subject, source, count)


def _supplied(run: Run, gate: Gate[Any], ref: Ref, where: tuple[str, str]) -> Material[Any]:
    """What works on a reference: the checkout, with its history; the code and the lock that the plan has sealed."""
    stage, limits = where[0], _limits(run, gate, where)
    if gate.kind == "checkout":
        return checkout.opened(checkout.PIPELINE, limits, ref.sha256)
    if gate.kind == "code":
        made, sealed = tree.opened(tree.PIPELINE, limits, ref.sha256, run.imported), run.plan.source
    else:
        out = run.home.evidence(run.plan.run) / lock.billed(stage)
        root = f"{run.plan.document['pipeline_name']} {stage}"
        made, sealed = lock.opened(run.home, lock.PIPELINE, limits, ref.sha256, root=root, out=out), run.plan.lock
    if made.subject.sha256 != sealed:
        found, wanted = f"SHA-256 {made.subject.sha256[:12]}", f"{sealed[:12] or 'none'}, as the plan has it"
        raise BadInput(made.subject.name, "the whole", found, wanted)
    return made


def _scores(run: Run, gate: Gate[Any], folder: Path, subject: Subject, where: tuple[str, str]) -> Material[Any]:
    """An evaluation whose form holds: what it is measured against was made again from what is published."""
    form.files("scores", folder)
    data, made = (check(run.home, run.published[kind], run.plan.run) for kind in ("features", "model"))
    seed, written = int(dataset.settings(run)["seed"]), folder / "scores.parquet"
    if (users := run.formed.get(subject.sha256)) is None:
        found = dataset.read(data)
        before, kinds = approved(run, found), dataset.groupings(run)
        users = form.scores(written, found, made, seed, dataset.cut(run), before, kinds, dataset.floor(run))
        run.formed[subject.sha256] = users
    if gate.name == fairness.FairnessMetrics.name:
        limits = fairness.Limits.model_validate(_limits(run, gate, where))
        return fairness.material(subject, [written], users, floor=limits.k, depth=limits.depth)
    if gate.name == bias.BiasDetection.name:
        named = declared.named(run.plan)["item"]
        return bias.material(subject, [written], users, groups.of_items(dataset.read(data), named) if named else {})
    if gate.name == probe.NAME:
        found, limits_ = dataset.read(data), _limits(run, gate, where)
        return probe.opened(subject, folder, made, run.published["model"], found, approved(run, found), limits_)
    return metrics.material(subject, [written], users, attempts.told(run, dataset.read(data)))


def _manifest(run: Run, gate: Gate[Any], ref: Ref, subject: Subject, where: tuple[str, str]) -> Material[Any]:
    """The manifest of the rows, or of the rows that features were made of: of what this run or the one before has."""
    rows = ref if ref.kind == "rows" else run.published["rows"]
    folder = check(run.home, rows, run.plan.run)
    form.sources(dataset.listed(folder, run.trust.key), run.pinned)
    revoked = _limits(run, gate, where).get("revoked", {})
    return inputs.material(subject, (folder / dataset.SEALED).read_bytes(), run.trust.key, revoked)


def _asked(run: Run, gate: Posture, ref: Ref, at: tuple[str, str]) -> Any:
    if gate.kind == "registry":
        signer, trusted = run.keys.signer("producer"), models.trusted(run)
        return authority.opened(run.home, _limits(run, gate, at), trusted, signer, run.plan.registry)
    if gate.kind == "cluster":
        return deployer.opened(check(run.home, ref, run.plan.run), _limits(run, gate, at), cluster.connected)
    if gate.kind == "bucket":
        if ref.sha256 not in run.visits:
            where, of = source.Place.of(run.plan.document["stages"][0]["source"]), run.source
            run.visits[ref.sha256] = ask(of.endpoint, of.credentials, where.bucket, where.prefix, stranger=of.stranger)
        return part(gate, run.visits[ref.sha256])
    return candidate.asked(run, gate, ref, at)


def _pinned(run: Run, ref: Ref, folder: Path) -> tuple[source.Place, list[dict[str, Any]]]:
    """The objects that were read, as the task says, held against a listing of the window made now. Their files are all
    that lies in the folder, and none is elsewhere."""
    if ref.uri != "quarantine:raw":
        raise CannotTell(f"rows that were fetched lie in quarantine, not at {ref.uri}")
    told: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text())["objects"]
    where = source.Place.of(run.plan.document["stages"][0]["source"])
    now = {each.key: each for each in source.window(run.source, where, run.plan.partition, run.plan.window)}
    for each in told:
        listed = now.pop(each["key"], None)
        if listed is None or (listed.version, listed.size) != (each["version"], each["size"]):
            found = "no object any more" if listed is None else f"version {listed.version}, {listed.size:,} bytes"
            wanted = f"version {each['version']}, {each['size']:,} bytes, as listed before it was read"
            raise BadInput(f"s3://{where.bucket}/{each['key']}", "listing", found, wanted)
    if now:
        raise BadInput(
            f"s3://{where.bucket}/{min(now)}", "listing", "an object that was not read", "what was listed before"
        )
    form.files("rows", folder, {"manifest.json", *(each["file"] for each in told)})
    return where, told


def _objects(run: Run, ref: Ref, folder: Path, subject: Subject) -> Material[Any]:
    """How the bucket, each version that was read, and the volumes of the run are encrypted: asked once, here. And what
    each version's bytes are: as the task says, and as they lie in quarantine."""
    where, told = _pinned(run, ref, folder)
    held = {}
    for each in told:
        sha, size = hashed(folder / each["file"])
        manifest = {"sha256": each["sha256"], "size": each["size"]}
        held[each["key"]] = {"manifest": manifest, "quarantine": {"sha256": sha, "size": size}}
    versions, home = [(each["key"], each["version"]) for each in told], run.home
    answers = cipher.ask(run.source.endpoint, run.source.credentials, where.bucket, versions)
    apart = {"quarantine": folder, "staging": home.folder("staging", run.plan.run, private=True)}
    lasting = {"evidence": home.evidence(run.plan.run), "store": home.folder("store", private=True)}
    return rest.material(subject, answers, held, volume.states(apart | lasting), run.source.basis)


def _raw(run: Run, ref: Ref, folder: Path, subject: Subject) -> Material[Any]:
    where, told = _pinned(run, ref, folder)
    for each in told:
        sha, size = hashed(folder / each["file"])
        if (sha, size) != (each["sha256"], each["size"]):
            found, wanted = f"SHA-256 {sha[:12]}, {size:,} bytes", f"{each['sha256'][:12]}, {each['size']:,}, as read"
            raise BadInput(f"s3://{where.bucket}/{each['key']}", "quarantine", found, wanted)
    paths, names = [folder / each["file"] for each in told], [each["key"] for each in told]
    run.counted, run.pinned = sum(map(lines, paths, names)), source.partitions(where, told)
    if ref.sha256 not in run.kept:
        named = contracts.contract(run.plan.contract).groups()
        run.kept[ref.sha256] = Kept(partial(contract.batches, paths, names, where.partition, named))
    return contract.material(subject, run.kept[ref.sha256], run.counted)
