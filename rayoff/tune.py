"""The command: plan, run, resume, watch, report, evaluate and list studies.

It runs as ``rayoff``, as a script, and as a copy of this file alone, which is all that
``ray submit`` brings to the head node. Nothing heavy is imported before it is needed, so that a
mistake in a study is told at once.

Exit codes: 0 all trials have a result (a diverged run is one), 1 some trials failed or Ray did,
2 the command, the study or its data is wrong; interrupted, 128 plus the signal: 130 by Ctrl-C,
143 by SIGTERM, 129 by SIGHUP.
"""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction, arg

from rayoff import __version__
from rayoff.errors import RayoffError
from rayoff.inspection import evaluate, list_, report, watch
from rayoff.search import Resources, RunFolder
from rayoff.search.commands import typed
from rayoff.search.supervision import Supervision
from rayoff.study import (
    Study,
    foreseen_trials,
    load_study,
    override,
    smoke,
    trials,
    with_absolute_sources,
)

if TYPE_CHECKING:
    import pyarrow as pa

StudyName = Positional[str]
Assignments = Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="KEY=VALUE")]
Seeds = Annotated[str | None, arg(metavar="COUNT|LIST")]
Shares = OmitArgPrefixes[Resources]
Followed = OmitArgPrefixes[Supervision]

_ONE_CPU = Resources()
_ALONE = Supervision()


def plan(
    study: StudyName = "quickstart",
    /,
    *,
    assignments: Assignments = (),
    seeds: Seeds = None,
    small: Annotated[bool, arg(name="smoke")] = False,
    resources: Shares = _ONE_CPU,
    measure: bool = True,
) -> int:
    """Print the trials of a study, what they cost and what will be missing; start nothing.

    Args:
        study: a name in tune_spaces/, a .py file, a study.json or a run folder.
        assignments: change a setting or an axis: critic.norm=none,layer num_steps=1e5 ...
        seeds: a count, or seeds with commas.
        small: 2 arms, 1 seed and 200 steps on the built-in data.
        resources: what each trial asks for.
        measure: train a few steps to estimate the time.
    """
    chosen = _study(study, assignments, seeds, small)
    from rayoff.search.planning import describe_plan, measure_cost
    from rayoff.search.search_planning import NUM_MEASURED_POINTS, describe_search_plan

    foreseen, is_search = foreseen_trials(chosen), chosen.search is not None
    num_measured = NUM_MEASURED_POINTS if is_search else 1
    cost = measure_cost(foreseen, resources, num_measured) if measure else None
    if is_search:
        print(describe_search_plan(chosen, cost))
    else:
        print(describe_plan(chosen, resources, cost))
    return 0


def run(
    study: StudyName = "quickstart",
    /,
    *,
    assignments: Assignments = (),
    seeds: Seeds = None,
    small: Annotated[bool, arg(name="smoke")] = False,
    resources: Shares = _ONE_CPU,
    supervision: Followed = _ALONE,
    runs_dir: Path = Path("runs"),
) -> int:
    """Train a study and answer its question; of one that is finished, give the answer again.

    A study that was begun but is not finished is refused: resume goes on with it.

    Args:
        study: a name in tune_spaces/, a .py file, a study.json or a run folder.
        assignments: change a setting or an axis: critic.norm=none,layer num_steps=1e5 ...
        seeds: a count, or seeds with commas.
        small: 2 arms, 1 seed and 200 steps on the built-in data.
        resources: what each trial asks for.
        supervision: when the study is given up, and who follows it besides.
        runs_dir: where the run folder is made.
    """
    chosen = _study(study, assignments, seeds, small)
    if finished := RunFolder.finished(runs_dir, chosen):
        print(f"{finished} holds this study, finished. To train it again, remove that folder.")
        from rayoff.report import show_answer

        show_answer(finished.path)
        return 0
    from rayoff.search.tables import load_study_tables

    tables = load_study_tables(chosen)
    folder = RunFolder.create(runs_dir, chosen, sys.orig_argv)
    return _train(folder, resources, supervision, tables=tables)


def resume(
    folder: Positional[Path],
    /,
    *,
    resources: Shares = _ONE_CPU,
    supervision: Followed = _ALONE,
) -> int:
    """Go on with a study: finished trials stay, the others continue from their checkpoints.

    Args:
        folder: the run folder, runs/<study>-<hash>.
        resources: what each trial asks for; may differ from before.
        supervision: when the study is given up, and who follows it besides.
    """
    opened = RunFolder.open(folder)
    return _train(opened, resources, supervision, resumed_by=sys.orig_argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; no arguments run the quickstart study."""
    commands = {
        "plan": plan,
        "run": run,
        "resume": resume,
        "watch": watch,
        "report": report,
        "evaluate": evaluate,
        "list": list_,
    }
    given = list(sys.argv[1:] if argv is None else argv) or ["run", "quickstart"]
    if given == ["--version"]:
        print(f"rayoff {__version__}")
        return 0
    about = f"{(__doc__ or '').splitlines()[0]} This is version {__version__} (--version)."
    try:
        return tyro.extras.subcommand_cli_from_dict(
            commands, prog="rayoff", description=about, args=given
        )
    except KeyboardInterrupt as interrupt:
        print("Interrupted.", file=sys.stderr)
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
    except RayoffError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        # The base class itself is raised for what is not the user's to mend: Ray broke off.
        return 1 if type(error) is RayoffError else 2


def _study(name: str, assignments: Sequence[str], seeds: str | None, small: bool) -> Study:
    """Return the checked study that the command line describes, with absolute paths in it."""
    study = load_study(name)
    study = smoke(study) if small else study
    study = override(study, [*assignments, *([f"seeds={seeds}"] if seeds else [])])
    study = with_absolute_sources(study)
    trials(study)
    return study


def _train(
    folder: RunFolder,
    resources: Resources,
    supervision: Supervision,
    *,
    tables: "dict[str, pa.Table] | None" = None,
    resumed_by: Sequence[str] | None = None,
) -> int:
    """Train the unfinished trials of a run folder, print the answer, return the exit code."""
    from rayoff.report import show_answer
    from rayoff.results import measure_trial, write_metrics
    from rayoff.search import train

    print(f"{folder.outlook()} into {folder}")
    print(f"Watch: {typed('tensorboard', '--logdir', str(folder))}", flush=True)
    outcome = train(
        folder,
        resources,
        write_metrics,
        measure_trial,
        tables=tables,
        resumed_by=resumed_by,
        supervision=supervision,
    )
    show_answer(folder.path)
    for trial_id in outcome.failed:
        print(f"Failed: {folder}/trials/{trial_id}/error.txt", file=sys.stderr)
    is_left = outcome.failed or outcome.unfinished or outcome.search_left
    if is_left and not folder.is_complete():
        print(f"Go on with: {typed('rayoff', 'resume', str(folder))}", file=sys.stderr)
    if outcome.failed:
        return 1
    return 128 + outcome.ended_by if outcome.unfinished or outcome.search_left else 0


if __name__ == "__main__":
    sys.exit(main())
