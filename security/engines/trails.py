"""Whether a trail of CloudTrail records every read and every write of the objects under a prefix.

A trail counts that is logging, delivers what it logs, is one of the bucket's region or of all regions, and has a
selector that surely takes it all by itself. A selector that is narrowed by anything else than is known here takes
nothing, nor does one of exact ARNs: what will lie under a prefix is not known beforehand. Event data stores of
CloudTrail Lake are not asked for. Grammar: "DataResource" and "AdvancedFieldSelector" in the API reference of AWS
CloudTrail.
"""

from collections.abc import Callable, Mapping
from typing import Any

from security.engines.settings import Answer

OBJECT = "AWS::S3::Object"
BOTH = {"true", "false"}
"""What `readOnly` is of reads, and of writes."""
Selector = Mapping[str, Any]


def recording(at: Callable[[str], Any], region: str, target: str) -> Answer:
    """The ARN of such a trail, or nothing. `target` is the ARN that the objects' ARNs begin with; `at` makes a client.

    A trail that cannot be asked is left out while another one is found; else its `ClientError` is the answer. Only its
    home region knows the selectors of a trail; each region has a status of its own.
    """
    from botocore.exceptions import ClientError

    here, refused = at(region), None
    for trail in here.describe_trails(includeShadowTrails=True)["trailList"]:
        arn, home = trail["TrailARN"], trail["HomeRegion"]
        if home != region and trail.get("IsMultiRegionTrail") is not True:
            continue
        try:
            delivered = _delivered(here.get_trail_status(Name=arn))
            if delivered and _taken((here if home == region else at(home)).get_event_selectors(TrailName=arn), target):
                return {"status": 200, "trail": arn}
        except ClientError as no:
            refused = refused or no
    if refused:
        raise refused
    return {"status": 200, "trail": ""}


def _delivered(status: Mapping[str, Any]) -> bool:
    return status["IsLogging"] is True and not status.get("LatestDeliveryError")


def _taken(found: Mapping[str, Any], target: str) -> bool:
    """Whether one selector takes it all. A trail always has selectors, of one kind: none at all is a `ValueError`."""
    if not {"EventSelectors", "AdvancedEventSelectors"} & found.keys():
        raise ValueError("a trail has no selectors")
    basic = any(_basic(each, target) for each in found.get("EventSelectors", []))
    return basic or any(_advanced(each, target) for each in found.get("AdvancedEventSelectors", []))


def _basic(selector: Selector, target: str) -> bool:
    """A value is all of S3, or a prefix in the bucket: a bucket's name without its slash is none."""
    service, bucket = target.partition(":::")[0], target.partition("/")[0]
    values = [
        value
        for each in selector.get("DataResources", [])
        for value in each["Values"]
        if each["Type"] == OBJECT and (value in (service, f"{service}:::") or value.startswith(f"{bucket}/"))
    ]
    return selector.get("ReadWriteType") == "All" and any(target.startswith(value) for value in values)


def _advanced(selector: Selector, target: str) -> bool:
    """Every field must hold, so that each must be known, be there once, and have one operator."""
    fields: dict[str, tuple[str, list[str]]] = {}
    for each in selector["FieldSelectors"]:
        operators = [(name, values) for name, values in each.items() if name != "Field"]
        if each["Field"] in fields or len(operators) != 1:
            return False
        fields[each["Field"]] = operators[0]
    how, begins = fields.pop("resources.ARN", ("StartsWith", [target]))
    equal, read_only = fields.pop("readOnly", ("Equals", [*BOTH]))
    whole = how == "StartsWith" and any(value and target.startswith(value) for value in begins)
    kinds = {"eventCategory": ("Equals", ["Data"]), "resources.type": ("Equals", [OBJECT])}
    return fields == kinds and whole and equal == "Equals" and set(read_only) == BOTH
