"""Every line once through both engines, whatever file, commit or message it stands in.

A history is the same lines over and over: a line in which neither engine finds anything is not asked about again. In
each batch stands one line that both must find. A private key is found by its body, on the lines after its head: that,
and values of Kubernetes secrets, are all that a line alone does not show.
"""

import fnmatch
import hashlib
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import NamedTuple

from security.engines import detect, tokens
from security.engines.content import Closed, Opaque, View, joined, views
from security.engines.tokens import PROSE, Hit, Line
from security.gates.secrets import made
from security.gates.secrets.facts import BLOB, FILE, MESSAGE, TREE, About, Engine, Facts, Found, Item, Sealed
from security.gates.secrets.heads import HEADLESS, Heads
from security.gates.secrets.merge import merged
from security.gates.secrets.print import fingerprint

BATCH, CHARACTERS = 2000, 1 << 20
"""Lines, and characters, of one question."""
MOST = 300
"""Secrets that are listed; more are counted."""
REMEMBERED = 3_000_000
"""Lines that are not asked about again; beyond, they are forgotten and asked about anew."""
WHOLE = 1 << 20
"""Characters of a manifest."""
_KEYS = frozenset({"private-key", "age-secret-key", "putty-key"})
_PROSE = "text.txt"
_STEMS = ("allow", "nosec", "ignore", "nosemgrep", "noqa", "skip", "nosonar", "whitelist")


class Spot(NamedTuple):
    """Where a line stands. `marked`: the line before it tells others to look away from the next."""

    item: Item
    name: str
    line: int
    marked: bool


class Raw(NamedTuple):
    """A secret itself, and where it is: it never leaves the sweep."""

    spot: Spot
    rule: str
    value: str
    engines: tuple[str, ...]
    marked: bool


class Sweep:
    """One look, item by item; `facts` at its end."""

    def __init__(
        self, detector: detect.Detector, scan: Callable[[Sequence[Line]], Iterable[Hit]], draw: random.Random
    ) -> None:
        self.detector, self.scan, self.draw = detector, scan, draw
        self.counts, self.markers, self.excused = Counter[str](), Counter[str](), Counter[str]()
        self.settings, self.found, self.more = list[str](), list[Raw](), 0
        self.sealed = dict[str, tuple[str, int]]()
        self.given, self.taken = 0, {tokens.NAME: 0, detect.NAME: 0}
        self.shown, self.caught = 0, {tokens.NAME: 0, detect.NAME: 0}
        self._clean, self._dirty = set[bytes](), dict[bytes, tuple[Line, list[Hit], list[Hit]]]()
        self._batch, self._spots, self._size = list[tuple[bytes, Line]](), dict[bytes, list[Spot]](), 0
        self._known = set[tuple[str, str, bytes]]()
        self._names = set[str]()
        self._rules = tokens.rules()
        self._marks = {"".join(each.lower().split()): each for each in self._rules.markers}
        self._kind = ""

    def take(self, item: Item) -> None:
        """Everything that an item says, its name too."""
        if item.kind != self._kind:
            self.flush()  # what lies in the work tree is known before the history is
            self._kind = item.kind
        self.counts[item.kind] += 1
        if item.kind == FILE and any(
            fnmatch.fnmatch(PurePosixPath(item.name).name, each) for each in self._rules.settings
        ):
            self.settings.append(item.name)
        self._ask(Spot(item, item.name, 0, marked=False), Line(PROSE, item.name[-4096:]))
        try:
            for each in views(_PROSE if item.kind in (TREE, MESSAGE) else item.name, item.chunks):
                if each.name not in (item.name, _PROSE):  # of a member of what is packed: a place that is shown
                    self._ask(Spot(item, each.name, 0, marked=False), Line(PROSE, each.name[-4096:]))
                if isinstance(each, Opaque):
                    self.seal(each.kind, each.name)
                else:
                    self._view(item, each)
        except Closed as why:
            self.seal(str(why), item.name)
        except OSError as why:
            self.seal(f"unreadable ({type(why).__name__})", item.name)

    def seal(self, kind: str, name: str) -> None:
        """Something that cannot be looked into."""
        first, count = self.sealed.get(kind, (name, 0))
        self.sealed[kind] = (first, count + 1)

    def _view(self, item: Item, view: View) -> None:
        name = item.name if item.kind in (TREE, MESSAGE) else view.name
        kept: list[tuple[int, str]] | None = (
            [] if PurePosixPath(name).suffix.lower() in (".yaml", ".yml", ".json") else None
        )
        size, marked, keys = 0, False, Heads[Spot]()
        for number, text in view.lines:
            spot = Spot(item, name, number, marked)
            marked = "nextline" in text and bool(self._marked(text))
            if item.kind == FILE:
                self.markers.update(self._marked(text))
            self._keys(keys.take(spot, text))
            self._ask(spot, Line(view.flavour, text))
            if kept is not None:
                size += len(text)
                kept.append((number, text))
                if size > WHOLE:
                    kept = None
        self._keys(keys.end())
        for line, value in tokens.manifest(joined(kept)) if kept else ():
            self._keep(Spot(item, name, line, marked=False), "kubernetes-secret", value, (tokens.NAME,), "")

    def _keys(self, found: Iterable[tuple[Spot, str]]) -> None:
        for at, body in found:
            if body:
                self._keep(at, "private-key", body, (tokens.NAME,), "")
            else:
                self.excused[HEADLESS] += 1

    def _ask(self, spot: Spot, line: Line) -> None:
        key = hashlib.blake2b(f"{line.flavour}\0{line.text}".encode("utf-8", "surrogatepass"), digest_size=12).digest()
        if key in self._clean:
            return
        if told := self._dirty.get(key):
            self._tell(spot, *told)
        elif key in self._spots:
            self._spots[key].append(spot)
        else:
            self._spots[key] = [spot]
            self._batch.append((key, line))
            self._size += len(line.text)
            if len(self._batch) >= BATCH or self._size >= CHARACTERS:
                self.flush()

    def flush(self) -> None:
        """Ask both engines about the lines that wait, and one that both must find."""
        if not self._batch:
            return
        batch, spots = self._batch, self._spots
        self._batch, self._spots, self._size = [], {}, 0
        lines = [line for _, line in batch]
        at = self.draw.randrange(len(lines) + 1)
        lines.insert(at, Line(self.draw.choice((tokens.CONFIG, tokens.CODE)), self.draw.choice(made.KNOWN)(self.draw)))
        self.detector.send(lines)
        ours = list(self.scan(lines))
        taken, theirs = self.detector.take()
        self.given += len(lines)
        self.shown += 1
        told = dict[int, tuple[list[Hit], list[Hit]]]()
        for which, (name, hits, count) in enumerate(((tokens.NAME, ours, len(lines)), (detect.NAME, theirs, taken))):
            self.taken[name] += count
            self.caught[name] += any(hit.line == at and not hit.excuse for hit in hits)
            for hit in hits:
                told.setdefault(hit.line, ([], []))[which].append(hit)
        if len(self._clean) > REMEMBERED:
            self._clean.clear()
            self._dirty.clear()
        for number, (key, line) in enumerate(batch):
            place = number + (number >= at)
            if place not in told:
                self._clean.add(key)
                continue
            self._dirty[key] = (line, *told[place])
            for spot in spots[key]:
                self._tell(spot, *self._dirty[key])

    def _tell(self, spot: Spot, line: Line, ours: list[Hit], theirs: list[Hit]) -> None:
        for rule, value, excuse, engines in merged(ours, theirs):
            if excuse:
                self.excused[excuse] += 1
                continue
            if not spot.line and line.flavour == PROSE:
                self._names.add(value)
            self._keep(spot, rule, value, engines, line.text)

    def _keep(self, spot: Spot, rule: str, value: str, engines: tuple[str, ...], text: str) -> None:
        known = (rule, spot.name, hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).digest())
        if spot.item.kind in (BLOB, TREE) and known in self._known:
            return
        if spot.item.kind in (FILE, BLOB, TREE):
            self._known.add(known)
        if len(self.found) >= MOST:
            self.more += 1
            return
        self.found.append(Raw(spot, rule, value, engines, spot.marked or bool(self._marked(text))))

    def _marked(self, text: str) -> list[str]:
        lower = text.lower()
        if not any(stem in lower for stem in _STEMS):
            return []
        plain = "".join(lower.split())
        return [mark for short, mark in self._marks.items() if short in plain]

    def facts(self, about: About) -> Facts:
        """What was seen. A name that holds a secret is shown without it."""
        self.flush()
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # each print takes long on purpose
            shown = list(pool.map(self._shown, self.found))
        versions = {tokens.NAME: self._rules.sha256[:12], detect.NAME: detect.engine_version()}
        return Facts(
            about=about,
            counts=dict(sorted(self.counts.items())),
            found=tuple(sorted(shown, key=lambda each: (each.commit, each.name, each.line, each.kind))),
            more=self.more,
            markers=dict(sorted(self.markers.items())),
            settings=tuple(sorted(map(self._masked, self.settings))),
            excused=dict(sorted(self.excused.items())),
            sealed=tuple(
                Sealed(kind=kind, name=self._masked(name), count=count)
                for kind, (name, count) in sorted(self.sealed.items())
            ),
            engines=tuple(
                Engine(
                    name=name,
                    version=versions[name],
                    given=self.given,
                    taken=self.taken[name],
                    shown=self.shown,
                    caught=self.caught[name],
                )
                for name in sorted(versions)
            ),
            rules=self._rules.sha256,
        )

    def _shown(self, raw: Raw) -> Found:
        return Found(
            kind=raw.rule,
            name=self._masked(raw.spot.name),
            line=raw.spot.line,
            commit=raw.spot.item.commit,
            print=fingerprint(raw.rule, raw.spot.name, raw.value),
            engines=raw.engines,
            key=raw.rule in _KEYS,
            marked=raw.marked,
        )

    def _masked(self, name: str) -> str:
        for value in sorted(self._names, key=len, reverse=True):
            name = name.replace(value, "(a secret)")
        return name.encode("utf-8", "backslashreplace").decode()
