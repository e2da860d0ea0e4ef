"""Distributed ablations for offline reinforcement learning.

rayoff asks which critics stay alive on how little data: it trains the arms of a study over Ray
Tune, watches each critic with SEEM, and ends a run before it diverges. Nothing heavy is imported
here; ``rayoff.study`` and ``rayoff.config`` stay light as well.

    results = rayoff.run("quickstart")         # or rayoff.load("runs/quickstart-...")
    results.table("summary")                   # pandas; results.arrow(...) for Arrow
    policy = results.policy(results.trials[0])  # observations -> actions
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rayoff.workbench import Results, load, load_policy, run

__version__ = "0.1.0"
__all__ = ["Results", "load", "load_policy", "run"]


def __getattr__(name: str) -> object:
    """Return a name of the workbench, importing what it needs when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("rayoff.workbench"), name)
