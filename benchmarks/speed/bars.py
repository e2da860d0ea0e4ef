"""What is asked of a GPU, and the verdict on it."""

from collections.abc import Iterable
from typing import NamedTuple


class Bar(NamedTuple):
    """One figure that is asked for."""

    what: str
    measured: float
    required: float
    unit: str
    at_most: bool = False
    """Whether less is better."""

    @property
    def holds(self) -> bool:
        """Whether the figure is as asked; nan never is."""
        if self.at_most:
            return self.measured <= self.required
        return self.measured >= self.required


def bars_table(bars: Iterable[Bar], *, judged: bool) -> str:
    """Return the verdicts in Markdown.

    Args:
        bars: in the order of the table.
        judged: False where the sizes or the device are not those that the bars are meant for.
    """
    lines = ["| what | measured | asked | verdict |", "|---|---|---|---|"]
    for bar in bars:
        side = "at most" if bar.at_most else "at least"
        verdict = ("holds" if bar.holds else "FAILS") if judged else "not judged"
        lines.append(
            f"| {bar.what} | {_number(bar.measured)} {bar.unit} "
            f"| {side} {_number(bar.required)} {bar.unit} | {verdict} |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
