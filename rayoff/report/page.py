"""The report's files: tables, figures, one HTML page that needs nothing else, a README."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from rayoff.plots import save_figure, score_figure, stability_figure
from rayoff.report.caveats import caveats, progress
from rayoff.report.cost import time_spent
from rayoff.report.effects import Effect, effects_table, find_effects
from rayoff.report.headline import headlines, recipe
from rayoff.report.stops import audit, check_forecasts, stops_table
from rayoff.report.summary import summarize
from rayoff.report.tables import (
    format_fraction,
    format_interval,
    notes,
    render_markdown,
    table_columns,
)
from rayoff.results import (
    STATUSES,
    arm_order,
    count_runs,
    read_json,
    read_results,
    run_table,
    write_results,
)

_MAX_INLINE = 160
"""Characters of a value of provenance that is shown without unfolding."""

_DATASET_FACTS = (
    *("environment", "num_rows", "num_episodes", "worst_return", "best_return"),
    *("ref_min", "ref_max", "score_source", "reward_max_abs", "q_bound", "sha256"),
)
"""Facts of a trial that hold for its whole dataset, whatever its fraction."""


def write_report(run_folder: Path) -> Path:
    """Write ``results.parquet``, tables, figures, ``README.md`` and ``report.html`` of a folder.

    An unfinished folder gives a report with a banner. Equal results give equal bytes.

    Args:
        run_folder: ``runs/<study>-<hash>``, with ``study.json`` and the trials' metrics; without
            its trials, the ``results.parquet`` that is there is reported.

    Returns:
        Path of ``report.html``.

    Raises:
        ResultsError: there is no such folder, or what it holds cannot be read.
    """
    if (run_folder / "trials").is_dir() or not (run_folder / "results.parquet").exists():
        write_results(run_folder)
    frame = read_results(run_folder)
    summary, effects = summarize(frame), find_effects(frame)
    _write_tables(run_folder / "tables", frame, summary, effects)
    figures = _write_figures(run_folder / "figures", frame, summary)
    provenance = _read_if_there(run_folder / "provenance.json")
    context = {
        "folder": run_folder.absolute().name,
        "study": str(frame["study"].iloc[0]),
        "question": _read_if_there(run_folder / "study.json").get("question", ""),
        "progress": progress(frame),
        "headlines": headlines(frame, effects),
        "recipe": recipe(frame, effects),
        "caveats": caveats(frame, summary, effects),
        "command": _shorten_command(provenance.get("command", "rayoff run STUDY")),
    }
    page = context | {
        "coverage": _coverage_grids(frame),
        "tables": [_table(name, summary) for name in dict.fromkeys(summary["dataset"])],
        "effects": [_effect_row(effect) for effect in effects],
        "figures": figures,
        "stops": _stop_rows(frame),
        "audit": [told for told in (audit(frame), check_forecasts(frame)) if told],
        "cost": time_spent(frame),
        "data": _describe_data(run_folder, frame),
        "provenance": _describe({k: v for k, v in provenance.items() if k != "command"}),
    }
    path = run_folder / "report.html"
    path.write_text(_template("page.html").render(page), encoding="utf-8")
    readme = _template("readme.md").render(context)
    (run_folder / "README.md").write_text(readme, encoding="utf-8")
    return path


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rayoff.report"),
        autoescape=name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def _write_tables(
    folder: Path, frame: pd.DataFrame, summary: pd.DataFrame, effects: list[Effect]
) -> None:
    folder.mkdir(exist_ok=True)
    summary.to_csv(folder / "summary.csv", index=False)
    (folder / "summary.md").write_text(render_markdown(summary), encoding="utf-8")
    count_runs(frame).to_csv(folder / "coverage.csv", index=False)
    effects_table(effects).to_csv(folder / "effects.csv", index=False)
    stops_table(frame).to_csv(folder / "stops.csv", index=False)


def _write_figures(folder: Path, frame: pd.DataFrame, summary: pd.DataFrame) -> dict[str, Markup]:
    """Write the figures and return them by name, ready to stand inside a page."""
    figures = {
        "stability": stability_figure(frame),
        "score": score_figure(run_table(frame), summary),
    }
    return {
        name: _inline(save_figure(figure, folder / name)[0], name)
        for name, figure in figures.items()
        if figure is not None
    }


def _inline(path: Path, name: str) -> Markup:
    """Return an SVG file as an element with ids of its own, so that two can share a page."""
    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # A tenth of a point is finer than any screen, and halves the page.
    svg = re.sub(r' d="[^"]*"', lambda d: re.sub(r"(\.\d)\d+", r"\1", d.group()), svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{name}-", svg)
    svg = svg.replace("<svg", f'<svg role="img" aria-labelledby="{name}-about"', 1)
    return Markup(svg)


def _coverage_grids(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each dataset the fractions, and by arm what became of the runs at each."""
    cells = count_runs(frame).to_dict(orient="records")
    grids = []
    for dataset in dict.fromkeys(frame["dataset"]):
        own = [cell for cell in cells if cell["dataset"] == dataset]
        fractions = sorted({cell["fraction"] for cell in own}, reverse=True)
        found = {
            (cell["arm"], cell["fraction"]): [(s, cell[s]) for s in STATUSES if cell[s]]
            for cell in own
        }
        rows = [(arm, [found.get((arm, f), []) for f in fractions]) for arm in arm_order(frame)]
        headers = [format_fraction(fraction) for fraction in fractions]
        grids.append({"dataset": dataset, "headers": headers, "rows": rows})
    return grids


def _table(dataset: str, summary: pd.DataFrame) -> dict[str, Any]:
    """Return titles, rows and notes of the final table of one dataset."""
    part = summary.loc[summary["dataset"] == dataset]
    columns = table_columns(part)
    return {
        "dataset": dataset,
        "titles": [title for title, _ in columns],
        "rows": list(
            zip(part["baseline"], zip(*(texts for _, texts in columns), strict=True), strict=True)
        ),
        "notes": notes(part),
    }


def _stop_rows(frame: pd.DataFrame) -> list[list[str]]:
    """Return the rows of the table of stops."""
    rows = []
    for stop in stops_table(frame).to_dict(orient="records"):
        interval = f"[{_step(stop['forecast_low'])}, {_step(stop['forecast_high'])}]"
        known = pd.notna(stop["forecast_step"])
        judged = {1.0: "yes", 0.0: "no"}.get(stop["right"], "-")
        rows.append(
            [
                *(stop["dataset"], format_fraction(stop["fraction"]), stop["arm"]),
                *(str(stop["seed"]), _step(stop["suspected_step"]), _step(stop["stop_step"])),
                f"{_step(stop['forecast_step'])} {interval}" if known else "-",
                *(_step(stop["passed_step"]), judged),
            ]
        )
    return rows


def _step(step: float) -> str:
    return "-" if pd.isna(step) else f"{step:,.0f}"


def _effect_row(effect: Effect) -> list[str]:
    """Return one row of the table of effects."""
    estimate = effect.estimate
    difference = "-"
    if estimate is not None:
        difference = format_interval(estimate.value, estimate.low, estimate.high, sign="+")
    share = effect.share_improved
    return [
        f"{effect.name} = {effect.value} instead of {effect.baseline}",
        effect.dataset or "all",
        "all" if effect.fraction is None else format_fraction(effect.fraction),
        str(effect.num_pairs),
        difference,
        "-" if share is None else f"{share:.0%}",
        f"{effect.num_diverged} instead of {effect.num_diverged_baseline}",
        effect.verdict,
    ]


def _describe_data(run_folder: Path, frame: pd.DataFrame) -> list[tuple[str, list[tuple]]]:
    """Return what the trials noted of each dataset, by source."""
    described = []
    for dataset, part in frame.groupby("dataset", sort=False):
        folders = [run_folder / "trials" / trial for trial in dict.fromkeys(part["trial"])]
        configs = (_read_if_there(folder / "config.json") for folder in folders)
        facts = next((config["facts"] for config in configs if "facts" in config), {})
        whole = {name: facts[name] for name in _DATASET_FACTS if name in facts}
        described.append((str(dataset), _describe(whole)))
    return described


def _describe(values: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return name, text, and whether the text is long, of each value of a JSON object."""
    described = []
    for name, value in values.items():
        if isinstance(value, dict) and any(_is_long(_text(item)) for item in value.values()):
            described += [(f"{name} {key}", text, long) for key, text, long in _describe(value)]
        elif value not in (None, "", [], {}):
            described.append((name.replace("_", " "), _text(value), _is_long(_text(value))))
    return described


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def _is_long(text: str) -> bool:
    return len(text) > _MAX_INLINE or "\n" in text


def _shorten_command(command: str) -> str:
    """Return a command of ours as it is typed, ``rayoff run ...``; another as it is."""
    words = shlex.split(command)
    for index, word in enumerate(words[:3]):
        ours = index < 2 and Path(word).name in ("rayoff", "tune.py")
        ours |= words[index - 1 : index + 1] == ["-m", "rayoff.tune"]
        if ours and words[index + 1 : index + 2] in ([], ["run"]):
            return shlex.join(["rayoff", *(words[index + 1 :] or ["run"])])
    return command


def _read_if_there(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
