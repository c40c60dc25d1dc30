"""Sets of addresses as ranges of numbers, and what is allowed with each: never a sample of them."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network

from security.network.ports import Reach

Span = tuple[int, int, int]
"""Version (4 or 6), first and last address, as numbers."""
Row = tuple[Span, Reach]
"""Addresses, and the ports that are allowed with every one of them."""
WHOLE: tuple[Span, ...] = ((4, 0, (1 << 32) - 1), (6, 0, (1 << 128) - 1))


def span(cidr: str) -> Span:
    """The addresses of a network; a host's bits are a `ValueError`."""
    network = ip_network(cidr)
    return network.version, int(network.network_address), int(network.broadcast_address)


def block(cidr: str, excluded: Iterable[str]) -> tuple[Span, ...]:
    """The addresses of a network but for others."""
    return minus([span(cidr)], map(span, excluded))


def minus(spans: Iterable[Span], taken: Iterable[Span]) -> tuple[Span, ...]:
    """What is left of some addresses without others."""
    left = list(spans)
    for version, first, last in taken:
        cut: list[Span] = []
        for kind, low, high in left:
            if kind != version or high < first or last < low:
                cut.append((kind, low, high))
                continue
            cut += [(kind, low, first - 1)] if low < first else []
            cut += [(kind, last + 1, high)] if last < high else []
        left = cut
    return tuple(sorted(left))


def size(spans: Iterable[Span], version: int) -> int:
    """How many addresses of a version there are in any of them."""
    count, end = 0, -1
    for _, low, high in sorted(each for each in spans if each[0] == version):
        count += max(0, high - max(low, end + 1) + 1)
        end = max(end, high)
    return count


def table(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Every address of any row with all that any row allows it: ranges apart, in order, neighbours alike merged."""
    given = [row for row in rows if row[1]]
    made: list[Row] = []
    for version in (4, 6):
        mine = [((low, high), reach) for (kind, low, high), reach in given if kind == version]
        cuts = sorted({low for (low, _), _ in mine} | {high + 1 for (_, high), _ in mine})
        for first, after in zip(cuts, cuts[1:], strict=False):
            reach = Reach()
            for (low, high), each in mine:
                if low <= first and after - 1 <= high:
                    reach |= each
            if not reach:
                continue
            if made and made[-1][0][0] == version and made[-1][0][2] + 1 == first and made[-1][1] == reach:
                made[-1] = ((version, made[-1][0][1], after - 1), reach)
            else:
                made.append(((version, first, after - 1), reach))
    return tuple(made)


def more(rows: Sequence[Row], than: Sequence[Row]) -> tuple[Row, ...]:
    """What the first table allows and the second does not."""
    left: list[Row] = []
    for whole, reach in rows:
        version, low, high = whole
        cuts = {low, high + 1}
        for (kind, first, last), _ in than:
            if kind == version:
                cuts |= {each for each in (first, last + 1) if low < each <= high}
        ordered = sorted(cuts)
        for first, after in zip(ordered, ordered[1:], strict=False):
            rest = reach
            for (kind, begin, end), other in than:
                if kind == version and begin <= first and after - 1 <= end:
                    rest -= other
            left.append(((version, first, after - 1), rest))
    return table(left)


def told(where: Span) -> str:
    """A range in words."""
    version, low, high = where
    kind = IPv4Address if version == 4 else IPv6Address
    return str(kind(low)) if low == high else f"{kind(low)} to {kind(high)}"
