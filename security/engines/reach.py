"""Which resources some statements allow, and which of those others surely deny.

What does not depend on the action is worked out once, and for all patterns of a policy together: it may name thousands
of actions and resources, and may have been made to be slow.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from security.engines.conditions import holds
from security.engines.iam import Statement
from security.engines.patterns import Patterns

_VARIABLE = re.compile(r"\$\{[^}]*\}")


class Actions:
    """Which of some statements are about an action. Names of actions have no case, and no variables."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        self._known = Patterns(action.lower() for each in statements for action in each.actions)
        self._ends = [
            (_any(self._known, map(str.lower, each.actions)), "Action" in each.inverse) for each in statements
        ]
        self.about = cache(self._about)

    def _about(self, action: str) -> tuple[int, ...]:
        found = self._known.covering(action.lower())
        return tuple(i for i, (ends, inverse) in enumerate(self._ends) if bool(found & ends) != inverse)


class Denied:
    """The statements that deny and whose condition surely holds, as bits of a number."""

    def __init__(self, statements: Iterable[Statement], context: Mapping[str, str]) -> None:
        kept = [each for each in statements if holds(each.condition, context) is True]
        self._actions = Actions(kept)
        self._closed = Patterns(text for each in kept for text in each.resources)
        self._spared = Patterns(_loose(text) for each in kept for text in each.resources)
        self._ends = [
            (_any(self._closed, each.resources), 0)
            if "Resource" not in each.inverse
            else (0, _any(self._spared, (_loose(text) for text in each.resources)))
            for each in kept
        ]
        self.acting, self.shutting = cache(self._acting), cache(self._shutting)

    def _acting(self, action: str) -> int:
        """Those about an action."""
        return sum(1 << i for i in self._actions.about(action))

    def _shutting(self, resource: str) -> int:
        """Those that surely cover all of a resource. A variable is read as it is written, and so covers nothing."""
        closed, spared = self._closed.covering(resource), self._spared.meeting(resource)
        return sum(
            1 << i for i, (ends, others) in enumerate(self._ends) if (not spared & others if others else closed & ends)
        )


class Allowed:
    """The statements that allow and whose condition could hold, less what is denied."""

    def __init__(self, statements: Iterable[Statement], denied: Denied, context: Mapping[str, str]) -> None:
        self._kept = [each for each in statements if holds(each.condition, context) is not False]
        self._actions, self._denied = Actions(self._kept), denied
        self._listed = Patterns(text for each in self._kept for text in each.resources)
        self._loose = Patterns(_loose(text) for each in self._kept for text in each.resources)
        self._reached = cache(self._reach)

    def to(self, action: str, target: str) -> Iterator[str]:
        """The resources, as written, that share something with the target and to which this may be done."""
        denying, reached = self._denied.acting(action), self._reached(target)
        for i in self._actions.about(action):
            for shutting, resources in reached[i].items():
                if not shutting & denying:
                    yield from resources

    def _reach(self, target: str) -> list[dict[int, list[str]]]:
        """For each statement the resources of it, by the statements that would shut them."""
        meeting, covering, whole = self._loose.meeting(target), self._listed.covering(target), Patterns([target])
        made = []
        for each in self._kept:
            reached: defaultdict[int, list[str]] = defaultdict(list)
            if "Resource" in each.inverse:  # all but what is listed is the target itself
                found = [] if covering & _any(self._listed, each.resources) else [target]
            else:
                loose = [_loose(text) for text in each.resources]
                found = [text for text in loose if meeting & self._loose.ends[text]]
            for text in found:
                within = whole.covering(text) & whole.ends[target]
                reached[self._denied.shutting(text if within else target)].append(text)
            made.append(dict(reached))
        return made


def _loose(text: str) -> str:
    """A variable may be anything. What is never closed is none, and would be searched for its end again and again."""
    closed, end, rest = text.rpartition("}")
    return _VARIABLE.sub("*", closed + end) + rest


def _any(known: Patterns, texts: Iterable[str]) -> int:
    """The bits of all of these patterns."""
    ends = 0
    for text in texts:
        ends |= known.ends[text]
    return ends
