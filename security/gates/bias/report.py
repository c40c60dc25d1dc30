"""Every figure beside its limit, in a sentence for people: what the judge decides by, and what the page shows."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from security.bootstrap import Estimate
from security.gates.bias.facts import Facts, Group
from security.gates.bias.limits import Bounds, Limits

Side = Literal["kept", "broken", "open"]


class Row(NamedTuple):
    """One figure: its rule and place, the ends of its interval, its limit, and whether that is the highest that it may
    be. `found` and `allowed` are the two halves of a sentence."""

    rule: str
    place: str
    value: float
    low: float
    high: float
    limit: float
    most: bool
    found: str
    allowed: str

    @property
    def side(self) -> Side:
        """Broken where even the favourable end breaks the limit; kept where the other keeps it; open between."""
        best, worst = (self.low, self.high) if self.most else (self.high, self.low)
        if (best > self.limit) if self.most else (best < self.limit):
            return "broken"
        return "kept" if ((worst <= self.limit) if self.most else (worst >= self.limit)) else "open"

    @property
    def sentence(self) -> str:
        """What was found and what is allowed, for somebody who knows neither."""
        return f"{self.found[0].upper()}{self.found[1:]}. Allowed: {self.allowed}."


def _part(share: float) -> str:
    return f"{100 * share:.1f} %"


def _row(rule: str, place: str, told: Estimate, limit: float, *, most: bool, found: str, allowed: str) -> Row:
    return Row(rule, place, told.value, told.low, told.high, limit, most, found, allowed)


def rows(facts: Facts, limits: Limits) -> list[Row]:
    """A row for each limit that there is a figure for."""
    return list(_rows(facts, limits))


def _rows(facts: Facts, limits: Limits) -> Iterator[Row]:
    if facts.lift:
        lift = facts.lift
        words = (
            f"lists {_part(abs(lift.value))} {'less' if lift.value < 0 else 'more'} popular than what the same users"
        )
        words += f" chose themselves ({100 * lift.low:+.1f} % to {100 * lift.high:+.1f} %)"
        allowed = f"{_part(limits.lift)} more at most"
        yield _row("BIAS-LIFT", "lift", lift, limits.lift, most=True, found=words, allowed=allowed)
    if facts.tail:
        tail = facts.tail
        words = f"the least popular items get {_part(tail.value)} of all exposure"
        words += f" ({_part(tail.low)} to {_part(tail.high)})"
        allowed = f"{_part(limits.tail)} or more"
        yield _row("BIAS-TAIL", "tail", tail, limits.tail, most=False, found=words, allowed=allowed)
    gini = facts.gini
    words = (
        f"exposure shared out with a Gini of {gini.value:.3f} ({gini.low:.3f} to {gini.high:.3f}), where 0 is evenly"
    )
    words += " over all items and 1 all to one"
    if (random := facts.beside.get("random")) is not None:
        words += f"; lists at random have {random.gini:.3f}"
    allowed = f"{limits.gini:g} or less"
    yield _row("BIAS-GINI", "gini", gini, limits.gini, most=True, found=words, allowed=allowed)
    for name, bounds in sorted(limits.groupings.items()):
        if (grouped := facts.groupings.get(name)) is None:
            continue
        if (apart := grouped.calibration) is not None:
            words = f"by {name} ({grouped.kind}), the mix of a list lies {apart.value:.3f} ({apart.low:.3f} to"
            words += (
                f" {apart.high:.3f}) nats from that of its user's own items, where 0 is the same and 4.6 wholly another"
            )
            allowed, place = f"{bounds.calibration:g} or less", f"{name}: calibration"
            yield _row("BIAS-CALIBRATION", place, apart, bounds.calibration, most=True, found=words, allowed=allowed)
        for group in grouped.groups:
            yield from _shares(name, grouped.kind, group, bounds, limits)


def _shares(name: str, kind: str, group: Group, bounds: Bounds, limits: Limits) -> Iterator[Row]:
    """A group beside its two shares."""
    asked = [("BIAS-CATALOGUE", "catalogue", group.by_catalogue, group.catalogue, bounds.catalogue, "of the catalogue")]
    if group.by_relevance is not None and group.held >= limits.least:
        share = "of what users went on to choose"
        asked.append(("BIAS-RELEVANCE", "relevance", group.by_relevance, group.relevance, bounds.relevance, share))
    for rule, label, told, share_of, limit, what in asked:
        words = (
            f"{group.name} items ({name}, {kind}), {_part(share_of)} {what}, get {_part(group.exposure.value)} of all"
        )
        words += f" exposure: {told.value:.3f} of their share ({told.low:.3f} to {told.high:.3f})"
        place = f"{name}: {group.name}: {label}"
        yield _row(rule, place, told, limit, most=False, found=words, allowed=f"{limit:g} of it or more")
