"""What a law demands of a measurement, and the table of all of them."""

from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Check:
    """One measured number, and the interval that it must lie in."""

    law: str
    """``R1`` to ``R12``."""
    what: str
    """What is measured, where and of what."""
    expected: str
    """What an independent reproduction of the authors' code gave."""
    measured: float
    low: float = float("-inf")
    high: float = float("inf")

    @property
    def holds(self) -> bool:
        """Whether the number lies in its interval; nan never does."""
        return self.low <= self.measured <= self.high

    @property
    def tolerance(self) -> str:
        """The interval as a reader writes it."""
        if self.low == self.high:
            return f"exactly {_short(self.low)}"
        if self.low == float("-inf"):
            return f"at most {_short(self.high)}"
        if self.high == float("inf"):
            return f"at least {_short(self.low)}"
        return f"{_short(self.low)} to {_short(self.high)}"


class Finding(NamedTuple):
    """What an experiment says about its laws."""

    checks: list[Check]
    figures: dict[str, Figure]
    """By the name of their file, without suffix."""


def around(centre: float, within: float) -> dict[str, float]:
    """Return the bounds of a check for a number that is known to an absolute error."""
    return {"low": centre - within, "high": centre + within}


def table_head() -> str:
    """Return the head of the Markdown table of laws."""
    names = "| law | what is measured | expected | tolerance | measured | verdict |"
    return f"{names}\n|---|---|---|---|---|---|"


def table_line(check: Check) -> str:
    """Return the line of a check."""
    verdict = "holds" if check.holds else "**fails**"
    measured = _short(check.measured)
    cells = check.law, check.what, check.expected, check.tolerance, measured, verdict
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _short(number: float) -> str:
    """Return a number to five digits, without the zeros at its end."""
    return f"{number:,.0f}" if 1e3 <= abs(number) < 1e7 else f"{number:.5g}"
