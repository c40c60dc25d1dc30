"""What a run looks like on a terminal: one line for each gate as it ends, and what work goes on."""

import shutil
import sys
import textwrap
from typing import IO

from security.verdict import Effect, Outcome, Verdict

MARKS = {Outcome.PASS: ("✓", "32"), Outcome.FAIL: ("✗", "31"), Outcome.INCONCLUSIVE: ("?", "31")}

NARROW = 40
"""Fewest columns that a terminal is taken to have."""


def plain(text: str) -> str:
    """Text that cannot draw: what a file or a bucket is called may be somebody's who would like it to look passed."""
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)


class Screen:
    """Prints to a stream; colour and passing lines only where it is a terminal."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.out: IO[str] = stream or sys.stdout
        self.colour = self.out.isatty()
        self.width = max(shutil.get_terminal_size((120, 24)).columns, NARROW)
        self.passing = False

    def say(self, text: str = "") -> None:
        """One line that stays."""
        self._put(plain(text))

    def step(self, stage: str, text: str) -> None:
        """What goes on now; on a terminal the next line takes its place."""
        line = plain(f"  {stage:<9} {text}").replace("\n", " ")[: self.width - 1]
        if self.colour:
            self._clear()
            print(f"\x1b[2m{line}\x1b[0m", end="", file=self.out, flush=True)
            self.passing = True
        else:
            self.say(line)

    def gate(self, stage: str, verdict: Verdict, effect: Effect, seconds: float) -> None:
        """The line of a gate that ended."""
        mark, colour = MARKS[verdict.outcome]
        canary = "canary not caught" if verdict.cause == "canary" else "canary caught"
        if verdict.outcome is Outcome.PASS:
            text = f"{verdict.reason:<60} {canary}   {seconds:.1f} s"
        else:
            because = f" ({effect.because})" if effect.action == "proceed" else ""
            text = f"{verdict.outcome}{because}   {seconds:.1f} s"
        mark = f"\x1b[{colour}m{mark}\x1b[0m" if self.colour else mark
        rest = plain(f"{stage:<9} {verdict.gate:<26} {text}").replace("\n", " ")
        self._put(f"{mark} {rest}")
        if verdict.outcome is not Outcome.PASS:
            for line in textwrap.wrap(verdict.reason, self.width - 14, break_on_hyphens=False) or [""]:
                self.say(f"            {line}")

    def _put(self, line: str) -> None:
        self._clear()
        print(line, file=self.out, flush=True)

    def _clear(self) -> None:
        if self.passing:
            print("\r\x1b[2K", end="", file=self.out, flush=True)
            self.passing = False
