"""The attacks: what is done to a run, which stage must refuse it, and what must be said."""

import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

import tasks.features
import tasks.form
from tests.attacks import acts
from tests.attacks.acts import EARLY, logged, put, staged, stored
from tests.attacks.attacker import Act, Ground
from tests.attacks.bucket import DAYS, body, lines, packed, parquet, rows
from tests.attacks.conftest import LEVELS

FIRST, LAST = DAYS
FILE = rf"/{LAST}/part-000\.jsonl\.gz"


@dataclass(frozen=True)
class Attack:
    """What is done, and what must be said of it. `stage` is the one that is refused; those before it have published.

    `bodies`: day -> object in place of the good one. `acts`: moment -> what is done then. `flaw`: how the bucket is
    made. `changes`: of the document. `parameters`: of the run; `after` and true means the run that passed.
    """

    stage: str
    says: str
    acts: Mapping[str, Act] = field(default_factory=dict)
    bodies: Callable[[], Mapping[str, bytes]] = dict
    changes: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    flaw: Mapping[str, Any] = field(default_factory=dict)
    patch: Callable[[pytest.MonkeyPatch, Ground], object] = lambda patch, ground: None


def changed(*numbers: int, **values: Any) -> Callable[[], Mapping[str, bytes]]:
    """The last day with some of its rows changed."""
    return lambda: {LAST: body(LAST, change=dict.fromkeys(numbers, values))}


def without(column: str) -> Callable[[], Mapping[str, bytes]]:
    """The last day without a column."""
    return lambda: {LAST: packed(lines({k: v for k, v in row.items() if k != column} for row in rows(LAST)))}


def worked(accounts: int) -> Mapping[str, bytes]:
    """The last day, and in it accounts that take an item every twenty seconds."""
    made = [
        {"user_id": f"w{who}", "item_id": f"t{n:03d}", "interaction_type": "view", "comment": None}
        | {"timestamp": f"{LAST}T10:{n // 3:02d}:{n % 3 * 20 + who:02d}Z"}
        for who in range(accounts)
        for n in range(90)
    ]
    return {LAST: body(LAST, more=made)}


def swarm() -> Mapping[str, bytes]:
    """More bots than the policy's share."""
    return worked(8)


def one_bot() -> Mapping[str, bytes]:
    """One bot, for `filter_bots` to take out."""
    return worked(1)


def latin() -> Mapping[str, bytes]:
    """The last day, with a comment of row 7 in another encoding."""
    whole = lines([*rows(LAST)[:6], rows(LAST)[6] | {"comment": "caf\u00e9"}, *rows(LAST)[7:]])
    return {LAST: packed(whole.decode().encode("latin-1"))}


def long() -> Mapping[str, bytes]:
    """One line of 1 GiB, as 1,024 gzip members of 1 MiB each."""
    return {LAST: packed(lines(rows(LAST)[:2])) + gzip.compress(b"x" * (1 << 20), 9, mtime=0) * 1024}


MANY = tuple(range(3, 63))
"""Rows of the last day: more than the one in a hundred that may be rejected."""
OF_ROWS = rf"\[data_contract\] fail: {{}} good-.*{FILE} row 3: .*first: .*{FILE} row 3"
STRANGER = "arn:aws:iam::999988887777:root"
REASON = "the shop withdrew that day"
OTHER_KEY = "arn:aws:kms:us-east-1:999988887777:key/somebody"
OTHER_BYTES = (
    rf"\[data_encryption_at_rest\] fail: S3-SHA good-.*/{FIRST}/part-000\.jsonl\.gz: "
    r"found 1 versions with other bytes, the first SHA-256 [0-9a-f]{12}, [\d,]+ bytes "
)
STORED = r"(rows|features|model|scores) store:[0-9a-f]{64}: found SHA-256"
UNLIKE = r"\[{}\] inconclusive: StoreError while looking"
STAGED = r"staging:{}: found SHA-256"

BUCKETS = {
    "public": Attack("ingest", r"\[access_control_s3\] fail: .*S3-PUB-READ", flaw={"public": True}),
    "another-account-reads": Attack("ingest", rf"fail: S3-XACCT {STRANGER[13:25]}", flaw={"reader": STRANGER}),
    "pipeline-could-write": Attack(
        "ingest", r"\[access_control_s3\] fail: S3-LP policies: .*s3:PutObject", flaw={"writes": True}
    ),
    "tls-is-not-asked-for": Attack(
        "ingest", r"\[data_encryption_in_transit\] fail: S3-TLS policy", flaw={"tls": False}
    ),
    "old-tls-is-not-denied": Attack(
        "ingest", r"\[data_encryption_in_transit\] fail: S3-TLS-VERSION policy", flaw={"old": True}
    ),
    "no-default-encryption": Attack("ingest", r"\[data_encryption_at_rest\] fail: S3-SSE default", flaw={"key": ""}),
    "another-key": Attack(
        "ingest", rf"\[data_encryption_at_rest\] fail: S3-SSE default: .*{OTHER_KEY}", flaw={"key": OTHER_KEY}
    ),
    "versioning-suspended": Attack("ingest", r"\[access_control_s3\] fail: S3-VER", flaw={"suspended": True}),
}
OBJECTS = {
    "new-version-after-listing": Attack("ingest", "as listed before it was read", {"listed": put(FIRST)}),
    "new-version-after-reading": Attack("ingest", "as listed before it was read", {"ingest step 1": put(LAST)}),
    "one-object-by-another-key": Attack(
        "ingest", rf"\[data_encryption_at_rest\] fail: S3-SSE-OBJ .*/{FIRST}/part-000", patch=acts.weakly
    ),
    "deleted-after-listing": Attack("ingest", "no object any more", {"listed": acts.hidden}),
    "removed-for-good": Attack("ingest", "cannot be read: NoSuchVersion", {"listed": acts.gone}),
    "added-after-listing": Attack("ingest", "an object that was not read", {"listed": put(LAST, 1)}),
    "manifest-of-another-sha": Attack(
        "ingest", rf"{OTHER_BYTES}in quarantine; allowed: SHA-256 0{{12}}, ", patch=acts.misnamed
    ),
    "other-bytes-than-the-store-keeps": Attack("ingest", f"{OTHER_BYTES}in the store; allowed", patch=acts.swapping),
    "more-bytes-than-were-sent": Attack("ingest", f"{OTHER_BYTES}in quarantine; allowed", patch=acts.padded),
    "quarantine-before-its-gate": Attack(
        "ingest", f"{OTHER_BYTES}in quarantine; allowed", {"ingest step 1": acts.quarantined}
    ),
    "quarantine-after-its-gate": Attack("ingest", "found SHA-256", {"ingest gate 4": acts.quarantined}),
    "quarantine-before-drift-is-looked-for": Attack("ingest", "found SHA-256", {"ingest gate 5": acts.quarantined}),
    "quarantine-after-its-last-gate": Attack("ingest", "found SHA-256", {"ingest gate 6": acts.quarantined}),
    "kept-rows-after-their-gate": Attack("ingest", UNLIKE.format("PII_detection"), {"ingest gate 4": acts.rewritten}),
    "kept-rows-before-drift-is-looked-for": Attack(
        "ingest", UNLIKE.format("data_drift_monitoring"), {"ingest gate 5": acts.rewritten}
    ),
    "kept-rows-after-their-last-gate": Attack(
        "ingest", "others than were looked at", {"ingest gate 6": acts.rewritten}
    ),
}
INPUTS = {
    "another-version-than-planned": Attack(
        "ingest", rf"\[approved_inputs\] fail: INP-VERSION {LAST}: found version", {"ingest gate 1": put(LAST)}
    ),
    "another-object-than-planned": Attack("ingest", rf"fail: INP-VERSION {LAST}", {"ingest gate 1": put(LAST, 1)}),
    "a-partition-more-than-planned": Attack("ingest", rf"fail: INP-EXTRA {EARLY}", {"ingest gate 1": acts.early}),
    "a-partition-less-than-planned": Attack(
        "ingest",
        rf"fail: INP-MISSING {FIRST}",
        {"ingest gate 1": acts.hidden},
        # Half of the rows are too few for drift to tell; here it is to let them go.
        changes={"data_drift_monitoring": {"levels": LEVELS | {"blind": 4.0}}},
    ),
    "manifest-of-other-objects": Attack(
        "ingest", "sources: found other objects than were read", patch=acts.listing_another
    ),
    "input-revoked": Attack(
        "ingest",
        rf"\[approved_inputs\] fail: INP-REVOKED {FIRST}: .* is revoked: {REASON}",
        changes={"approved_inputs": {"revoked": {hashlib.sha256(body(FIRST)).hexdigest(): REASON}}},
    ),
}
ROWS = {
    "types": Attack("ingest", OF_ROWS.format("CON-TYPE"), bodies=changed(*MANY, interaction_type="stare")),
    "times": Attack("ingest", OF_ROWS.format("CON-TIME"), bodies=changed(*MANY, timestamp="05/01/2024")),
    "another-day": Attack(
        "ingest", OF_ROWS.format("CON-WINDOW"), bodies=changed(*MANY, timestamp="2024-01-06T00:00:00Z")
    ),
    "rows-of-another-partition": Attack(
        "ingest", OF_ROWS.format("CON-PARTITION"), bodies=changed(*MANY, timestamp=f"{FIRST}T10:00:00Z")
    ),
    "a-swarm-of-bots": Attack(
        "ingest", r"\[data_contract\] fail: CON-BOTS accounts: 8 accounts, [\d,]+ of [\d,]+ rows, behave", bodies=swarm
    ),
    "suspects-that-were-not-filtered": Attack(
        "ingest",
        r"CON-BOTS accounts: 1 accounts, .*allowed: none once",
        bodies=one_bot,
        changes={"data_drift_monitoring": {"levels": LEVELS | {"blind": 4.0}}},
        patch=acts.lenient,
    ),
    "empty-file": Attack("ingest", rf"CON-EMPTY .*{FILE}: no rows", bodies=lambda: {LAST: packed(b"")}),
    "no-such-partition": Attack(
        "ingest", r"2024-01-06/, listing: found no object", parameters={"partition": "2024-01-06"}
    ),
    "cut-gzip": Attack(
        "ingest", rf"{FILE}, row \d+: found a gzip file that is cut", bodies=lambda: {LAST: body(LAST)[:-900]}
    ),
    "no-gzip": Attack(
        "ingest", rf"{FILE}, row 1: found a file that is neither", bodies=lambda: {LAST: lines(rows(LAST))}
    ),
    "latin-1": Attack("ingest", rf"{FILE}, row 7: found bytes that are not UTF-8", bodies=latin),
    "no-column": Attack("ingest", rf"{FILE}, key item_id: found no column item_id", bodies=without("item_id")),
    "a-line-of-a-gigabyte": Attack("ingest", rf"{FILE}, row 3: found a line of more than 1 MiB", bodies=long),
}
JANE, CARD = "jane.doe@example.org", "4111 1111 1111 1111"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.6045.105 Safari/537.36"
IBAN = "VA59001123000012345678"


def planted(where: float, groups: int = 0, **values: Any) -> Callable[[], Mapping[str, bytes]]:
    """The larger of the days with values in one row, so far through its rows; as Parquet of so many row groups."""

    def made() -> Mapping[str, bytes]:
        day = max(DAYS, key=lambda each: len(rows(each)))
        number = min(len(rows(day)), 1 + int(where * len(rows(day))))
        whole = [row | (values if place == number else {}) for place, row in enumerate(rows(day), 1)]
        return {day: parquet(whole, groups) if groups else packed(lines(whole))}

    return made


def halves() -> Mapping[str, bytes]:
    """The last day, in which every row has the two halves of a card's number in two columns."""
    cards = ("40128888", "88881881"), ("41111111", "11111111"), ("55555555", "55554444")
    told = (row | dict(zip(("front", "back"), cards[n % 3], strict=True)) for n, row in enumerate(rows(LAST)))
    return {LAST: packed(lines(told))}


def agents() -> Mapping[str, bytes]:
    """The last day with a browser in every row, and in one of them more than that."""
    told = [row | {"user_agent": AGENT} for row in rows(LAST)]
    told[40] |= {"user_agent": f"{AGENT} ({JANE})"}
    return {LAST: packed(lines(told))}


PERSONAL = r"\[PII_detection\] fail: {} {}: {} in [\d,]+ of [\d,]+ cells, .*first: .*part-000.* row \d+"
MASKED = {"PII_detection": {"actions": {"user_id": {"IBAN_CODE": "mask"}}}}


def person(value: str) -> Callable[[], Mapping[str, bytes]]:
    """The last day, in which one account has this for its name."""
    return lambda: {
        LAST: packed(lines(row | ({"user_id": value} if row["user_id"] == "p001" else {}) for row in rows(LAST)))
    }


PRIVACY = {
    "personal-in-the-middle-of-the-largest-file": Attack(
        "ingest", PERSONAL.format("PII-FOUND", r"column \d", "EMAIL_ADDRESS"), bodies=planted(0.5, note=f"ask {JANE}")
    ),
    "personal-in-the-last-row-group": Attack(
        "ingest", PERSONAL.format("PII-FOUND", r"column \d", "CREDIT_CARD"), bodies=planted(1, 7, note=CARD)
    ),
    "personal-in-a-column-that-appeared-today": Attack(
        "ingest", PERSONAL.format("PII-FOUND", r"column \d", "CREDIT_CARD"), bodies=planted(0.9, card=4111111111111111)
    ),
    "personal-in-the-name-of-a-column": Attack(
        "ingest",
        PERSONAL.format("PII-FOUND", "names of columns", "EMAIL_ADDRESS"),
        bodies=planted(0.3, **{JANE: True}),
    ),
    "personal-in-a-user-agent": Attack(
        "ingest", PERSONAL.format("PII-FOUND", "user_agent", "EMAIL_ADDRESS"), bodies=agents
    ),
    "personal-split-over-two-columns": Attack(
        "ingest",
        PERSONAL.format("PII-SPLIT", r"column \d \+ column \d", "EMAIL_ADDRESS"),
        bodies=planted(0.5, front="jane.doe@example.o", back="rg"),
    ),
    "cards-split-over-two-columns": Attack(
        "ingest", PERSONAL.format("PII-SPLIT", r"column \d \+ column \d", "CREDIT_CARD"), bodies=halves
    ),
    "personal-in-full-width": Attack(
        "ingest",
        PERSONAL.format("PII-DISGUISED", r"column \d", "EMAIL_ADDRESS"),
        bodies=planted(0.5, note="jane.doe\uff20example.o\u200brg"),
    ),
    "personal-inside-of-json": Attack(
        "ingest",
        PERSONAL.format("PII-DISGUISED", r"column \d", "EMAIL_ADDRESS"),
        bodies=planted(0.5, note={"a": ['{"b": "jane.doe\\u0040example.org"}']}),
    ),
    "personal-in-a-value-that-is-rejected": Attack(
        "ingest", PERSONAL.format("PII-FOUND", "item_id", "EMAIL_ADDRESS"), bodies=planted(0.5, item_id=[JANE])
    ),
    "personal-in-an-id": Attack("ingest", PERSONAL.format("PII-FOUND", "user_id", "IBAN_CODE"), bodies=person(IBAN)),
    "personal-that-was-not-handled": Attack(
        "features",
        r"\[PII_detection\] fail: PII-FOUND user_id: IBAN_CODE in .*which is done",
        bodies=person(IBAN),
        changes=MASKED,
        patch=acts.idle,
    ),
    "a-row-that-was-lost-while-handling": Attack(
        "features",
        "dropped: found .* each row accounted for once",
        bodies=person(IBAN),
        changes=MASKED,
        patch=acts.dropping,
    ),
    "handled-rows-before-their-gate": Attack(
        "features",
        STAGED.format("protected"),
        {"features step 1": staged("protected/rows.parquet")},
        parameters={"after": True, "stages": ["features"]},
    ),
}
AFTER = {"after": True}
FEATURES, TRAIN, EVALUATE = (AFTER | {"stages": [stage]} for stage in ("features", "train", "evaluate"))
UNSAFE = AFTER | {"unsafe_service": True}
PARQUET, TENSORS = "rows/rows.parquet", "model/model.safetensors"

FOLDERS = {
    "rows-before-their-gate": Attack(
        "ingest",
        "the rows are not those that their signed manifest lists",
        {"ingest step 2": staged(PARQUET, acts.reworded)},
    ),
    "file-beside-the-rows": Attack(
        "ingest", "rows/hook.py, file: found a file that nobody looks at", {"ingest step 2": acts.beside("rows")}
    ),
    "rows-after-their-gate": Attack(
        "ingest", "rows changed between its gates and its publication", {"ingest gate 8": staged(PARQUET)}
    ),
    "rows-in-the-store": Attack(
        "features", STORED, {"before features": stored("rows", "rows.parquet")}, parameters=FEATURES
    ),
    "rows-while-they-are-read": Attack(
        "features",
        "the rows are not those that their signed manifest lists",
        {"features gate 3": stored("rows", "rows.parquet", acts.reworded)},
        parameters=FEATURES,
    ),
    "rows-before-drift-is-looked-for": Attack(
        "features", STORED, {"features gate 2": stored("rows", "rows.parquet", acts.reworded)}, parameters=FEATURES
    ),
    "features-before-their-gate": Attack(
        "features",
        STAGED.format("features"),
        {"features step 2": staged("features/vocabulary.json")},
        parameters=FEATURES,
    ),
    "features-while-they-are-read": Attack(
        "train",
        STORED,
        {"train gate 1": stored("features", "rows.parquet", acts.reworded)},
        parameters=TRAIN,
    ),
    "model-after-signing": Attack(
        "train", "SIG-ALTERED model.safetensors", {"signed": staged(TENSORS)}, parameters=TRAIN
    ),
    "model-signed-by-another": Attack("train", "SIG-KEY model.sig", {"signed": acts.resigned}, parameters=TRAIN),
    "file-beside-the-model": Attack("train", "SIG-EXTRA hook.py", {"signed": acts.beside("model")}, parameters=TRAIN),
    "model-in-the-store": Attack(
        "evaluate", STORED, {"before evaluate": stored("model", "model.safetensors")}, parameters=EVALUATE
    ),
    "model-while-it-is-read": Attack(
        "evaluate", STORED, {"evaluate gate 1": stored("model", "model.safetensors")}, parameters=EVALUATE
    ),
    "scores-of-a-better-model": Attack(
        "evaluate",
        "top_model: found lists that are not of this system",
        {"written": staged("scores/scores.parquet", acts.flattered)},
        parameters=EVALUATE,
    ),
    "scores-of-an-easier-test": Attack(
        "evaluate",
        "held: found items that are not the features'",
        {"written": staged("scores/scores.parquet", acts.easier)},
        parameters=EVALUATE,
    ),
    "scores-before-their-gate": Attack(
        "evaluate",
        STAGED.format("scores"),
        {"scored": staged("scores/scores.parquet", acts.flattered)},
        parameters=EVALUATE,
    ),
    "scores-in-the-store": Attack(
        "deploy", STORED, {"before deploy": stored("scores", "scores.parquet")}, parameters=AFTER
    ),
    "model-before-it-is-deployed": Attack(
        "deploy", STORED, {"before deploy": stored("model", "model.safetensors")}, parameters=AFTER
    ),
    "model-while-it-is-loaded": Attack(
        "deploy",
        "the service did not start: refuses to start",
        {"deploy gate 10": stored("model", "model.safetensors")},
        parameters=AFTER,
    ),
}
LOGS = {
    "statement-removed": Attack(
        "ingest", "line 2: does not follow", {"ingest gate 2": logged(lambda whole: [whole[0], *whole[2:]])}
    ),
    "line-altered": Attack("ingest", "line 2: ", {"ingest gate 8": logged(acts.altered)}),
    "line-cut": Attack("ingest", "the last line is cut off", {"ingest gate 8": logged(acts.cut)}),
    "end-removed": Attack(
        "ingest", "the end of the log is missing", {"ingest gate 8": logged(lambda whole: whole[:-1])}
    ),
    "log-of-another-run": Attack("ingest", "the end of the log is missing", {"ingest gate 8": acts.swapped}),
    "plan-removed": Attack(
        "features",
        "line 1: does not follow",
        {"features gate 3": logged(lambda whole: whole[1:])},
        parameters=FEATURES,
    ),
    "predecessor-altered": Attack("deploy", "line 2: ", {"deploy gate 1": acts.inherited}, parameters=AFTER),
}
MODELS = {
    "threshold": Attack(
        "evaluate",
        r"MET-THRESHOLD precision@10: found 0\.\d+ \(0\.\d+ to 0\.\d+\); allowed: 0.99 or more at the lower end",
        changes={"thresholds": {"precision@10": 0.99}},
    ),
    "control": Attack("evaluate", "MET-CONTROL shuffled", changes={"thresholds": {"precision@10": 0.0001}}),
    "test-on-what-came-before": Attack(
        "features",
        r"features/rows\.parquet, part: found [\d,]+ pairs that are split otherwise; allowed: each user's last",
        patch=acts.splitting(tasks.features),
    ),
    "test-on-what-came-before-to-the-runner-too": Attack(
        "evaluate",
        r"MET-TIME held: found [\d,]+ users with a held-out item older than one of their training part; allowed: 0",
        patch=acts.splitting(tasks.features, tasks.form),
    ),
    "threshold-by-the-mean-alone": Attack(
        "evaluate",
        r"MET-THRESHOLD lift@10: found \d+\.\d+ \(\d+\.\d+ to \d+\.\d+\); allowed: 9 or more at the lower end",
        changes={"thresholds": {"lift@10": 9.0}},
    ),
    "worse-than-the-approved-model": Attack(
        "evaluate",
        r"MET-REGRESSION precision@10: found -0\.\d+ \(-0\.\d+ to -0\.\d+\) more than the approved model "
        r"[0-9a-f]{12}, of the same users; allowed: -0.005 or more at the lower end",
        changes={"width": 4, "epochs": 1, "thresholds": {"lift@10": 1.01}, "metric_thresholds": {"margin": 0.005}},
    ),
    "approved-model-denied": Attack(
        "evaluate",
        r"scores/scores\.parquet, approved: found another model as the approved one; allowed: the version \d+",
        patch=acts.denying,
    ),
    "exposure-shared-out-less-evenly-than-asked": Attack(
        "evaluate",
        r"\[bias_detection\] fail: BIAS-GINI gini: found exposure shared out with a Gini of 0\.\d+ \(.*\), "
        r"where 0 is evenly .*; allowed: 0\.1 or less",
        changes={"bias_detection": {"gini": 0.1}},
    ),
    "less-for-the-long-tail-than-asked": Attack(
        "evaluate",
        r"\[bias_detection\] fail: BIAS-TAIL tail: found the least popular items get \d+\.\d % of all exposure",
        changes={"bias_detection": {"tail": 0.5}},
    ),
    "expired-tokens": Attack("deploy", "API-03 expired: answered 200", parameters=UNSAFE),
    "another-model-answers": Attack("deploy", "API-19 right", parameters=AFTER, patch=acts.lying),
    "another-model-is-begun": Attack(
        "deploy", "the log is of a run whose train published", parameters=AFTER, patch=partial(acts.lying, log="")
    ),
    "another-service-is-asked": Attack(
        "deploy", "the candidate's address is not", {"deploy step 1": acts.redirected}, parameters=UNSAFE
    ),
}
