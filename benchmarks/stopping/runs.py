"""The corpus as runs: their readings, and what became of them."""

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

CEILING_FACTOR = 1000.0
"""|Q| over the bound that counts as blown up; QLIMIT of the authors' code."""


def trial_name(dataset: str, choice: str, num_steps: int) -> str:
    """Return a short name of a trial, which depends on nothing but what the trial is."""
    return f"{zlib.crc32(f'{dataset}|{choice}|{num_steps}'.encode()):08x}"


@dataclass(frozen=True)
class Run:
    """One run that was trained to its end; all series are over its T readings."""

    described: dict[str, Any]
    """What distinguishes it: environment, algorithm, norm, seed and so on."""
    steps: NDArray[np.float64]
    """[step]."""
    signals: dict[str, NDArray[np.float64]]
    """By name, each (T,); nan where a number is not finite or was not read."""

    @property
    def trial(self) -> str:
        """Name of the trial, which its seeds have in common."""
        return trial_name(self.described["dataset"], self.described["choice"], self.num_steps)

    @property
    def num_steps(self) -> int:
        """Budget [step]."""
        return self.described["num_steps"]

    @property
    def bound(self) -> float:
        """Largest |Q| that the rewards allow [reward]."""
        return self.described["bound"]

    @cached_property
    def excess(self) -> NDArray[np.float64]:
        """|Q| over the bound, (T,); inf where it is not finite."""
        q = self.signals["q_abs"]
        return np.where(np.isfinite(q), q, np.inf) / self.bound

    @property
    def crash_step(self) -> float:
        """First reading with |Q| above the ceiling [step]; inf where there is none."""
        above = self.excess > CEILING_FACTOR
        return float(self.steps[above.argmax()]) if above.any() else np.inf

    @property
    def diverged(self) -> bool:
        """Whether |Q| passed the ceiling within the budget and was there at the end."""
        return bool(self.excess[-1] > CEILING_FACTOR)


def load_runs(path: Path) -> list[Run]:
    """Return the runs of a corpus."""
    table = pq.read_table(path).to_pandas()
    identity = ["dataset", "choice", "num_steps", "seed"]
    runs = []
    for _, group in table.sort_values("step").groupby(identity, sort=True):
        settings = [c for c in group if c != "step" and not _is_series(group[c].dtype, c)]
        described = {c: group[c].iloc[0] for c in settings}
        signals = {
            c: group[c].to_numpy(np.float64) for c in group if _is_series(group[c].dtype, c)
        }
        steps = group["step"].to_numpy(np.float64)
        runs.append(Run({k: _plain(v) for k, v in described.items()}, steps, signals))
    return runs


_SETTINGS = {"learning_rate", "discount", "tau", "bc_weight", "rd_weight", "fraction"}
_SETTINGS |= {"reward_scale", "bound", "step", "num_critics"}


def _is_series(dtype: Any, name: str) -> bool:  # noqa: ANN401 - numpy's dtype of any column
    return dtype.kind == "f" and name not in _SETTINGS


def _plain(value: Any) -> Any:  # noqa: ANN401 - a cell of any column
    return value.item() if isinstance(value, np.generic) else value
