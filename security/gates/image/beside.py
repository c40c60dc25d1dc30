"""What other scanners say of the same image, held against what was seen here.

A report is believed for the image that it names and no other; that it has no finding says nothing, what it looked at
does.
"""

from collections.abc import Iterable, Iterator, Sequence

from security.advisories.severity import LEVELS
from security.errors import BadInput
from security.gates.image.facts import MOST, PYPI, Apart, Hit, Listed, Report, Theirs
from security.gates.image.foreign import NONE, OS, READERS, Found, shared
from security.inventory import Inventory


def beside(reports: Iterable[Report], images: Sequence[str], here: Inventory, hits: Sequence[Hit]) -> Iterator[Theirs]:
    """What each report says that differs. `images`: what the image may be called, its manifest's digest and its
    config's, as `sha256:...`."""
    ours = {(OS, each.name, each.version) for each in here.packages}
    ours |= {("pypi", each.name, each.version) for each in here.dists}
    system = f"{here.system.id} {here.system.version}".strip() if here.system else NONE
    for report in reports:
        if report.lacks:
            yield Theirs(name=report.name, lacks=ascii(report.lacks[:300])[1:-1])
            continue
        try:
            read = READERS[report.name](report)
            if not read.images & {*images}:
                raise BadInput(report.name, "image", "another image than this one", "a report of this one")
        except (BadInput, KeyError) as why:
            yield Theirs(name=report.name, lacks=str(why))
            continue
        apart = sorted(_apart(read.found, hits), key=lambda each: (-LEVELS.index(each.level), each.package, each.ids))
        yield Theirs(
            name=report.name,
            version=ascii(read.version[:40])[1:-1],
            system=ascii(read.system[:80])[1:-1],
            same=_major(read.system) == _major(system),
            ended=read.ended,
            data=ascii(read.data[:40])[1:-1],
            packages=None if read.parts is None else len(read.parts),
            missing=Listed.of(map(" ".join, ours - read.parts if read.parts is not None else ())),
            strange=Listed.of(map(" ".join, read.parts - ours if read.parts is not None else ())),
            apart=tuple(apart[:MOST]),
            more=max(len(apart) - MOST, 0),
        )


def _apart(theirs: Sequence[Found], ours: Sequence[Hit]) -> Iterator[Apart]:
    """Vulnerabilities that one found in a package, and the other did not."""
    mine = [
        Found("pypi" if each.ecosystem == PYPI else OS, each.package, shared(each.ids), each.level)
        for each in ours
    ]  # fmt: skip
    for who, some, others in (("theirs", theirs, mine), ("ours", mine, theirs)):
        known = dict[tuple[str, str], set[str]]()
        for each in others:
            known.setdefault((each.kind, each.package), set()).update(each.ids)
        for each in {*some}:
            if not each.ids & known.get((each.kind, each.package), set()):
                ids = tuple(sorted(ascii(one[:60])[1:-1] for one in each.ids))
                yield Apart(who=who, package=ascii(each.package[:200])[1:-1], ids=ids, level=each.level)


def _major(system: str) -> tuple[str, str]:
    name, _, version = system.partition(" ")
    return name.lower(), version.partition(".")[0]
