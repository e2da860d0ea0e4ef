"""Where results come from: the command, the code, the machine and the data, in words."""

import json
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from rayoff.results import read_json

_MAX_INLINE = 160
"""Characters of a value of provenance that is shown without unfolding."""

_DATASET_FACTS = (
    *("environment", "num_rows", "num_episodes", "worst_return", "best_return"),
    *("ref_min", "ref_max", "score_source", "reward_max_abs", "q_bound", "sha256"),
)
"""Facts of a trial that hold for its whole dataset, whatever its fraction."""

Described = list[tuple[str, str, bool]]
"""Name, text, and whether the text is long, of each value."""


def read_if_there(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, {} where there is none."""
    return read_json(path) if path.exists() else {}


def describe(values: dict[str, Any]) -> Described:
    """Return each value of a JSON object as text, those that are unknown left out."""
    described: Described = []
    for name, value in values.items():
        if isinstance(value, dict) and any(_is_long(_text(item)) for item in value.values()):
            described += [(f"{name} {key}", text, long) for key, text, long in describe(value)]
        elif value not in (None, "", [], {}):
            described.append((name.replace("_", " "), _text(value), _is_long(_text(value))))
    return described


def describe_seeds(frame: pd.DataFrame) -> Described:
    """Return which seeds were trained, of which phase if it was a search."""
    phases = frame["phase"].fillna("training") if "phase" in frame else "training"
    named = frame.assign(phase=phases).drop_duplicates(["phase", "seed"])
    return [
        (
            "seeds" if phase == "training" else f"seeds of the {phase}",
            ", ".join(str(seed) for seed in sorted(own["seed"])),
            False,
        )
        for phase, own in named.groupby("phase", sort=False)
    ]


def describe_data(run_folder: Path, frame: pd.DataFrame) -> list[tuple[str, Described]]:
    """Return what the trials noted of each dataset, by source.

    Args:
        run_folder: with the trials' folders.
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    described = []
    for dataset, part in frame.groupby("dataset", sort=False):
        folders = [run_folder / "trials" / trial for trial in dict.fromkeys(part["trial"])]
        configs = (read_if_there(folder / "config.json") for folder in folders)
        facts = next((config["facts"] for config in configs if "facts" in config), {})
        whole = {name: facts[name] for name in _DATASET_FACTS if name in facts}
        described.append((str(dataset), describe(whole)))
    return described


def shorten_command(command: str) -> str:
    """Return a command of ours as it is typed, ``rayoff run ...``; another as it is."""
    words = shlex.split(command)
    for index, word in enumerate(words[:3]):
        ours = index < 2 and Path(word).name in ("rayoff", "tune.py")
        ours |= words[index - 1 : index + 1] == ["-m", "rayoff.tune"]
        if ours and words[index + 1 : index + 2] in ([], ["run"], ["report"]):
            return shlex.join(["rayoff", *(words[index + 1 :] or ["run"])])
    return command


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def _is_long(text: str) -> bool:
    return len(text) > _MAX_INLINE or "\n" in text
