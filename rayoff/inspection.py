"""The commands that look at what there is: watch, report, evaluate and list.

Nothing heavy is imported before it is needed, so that the other commands start at once.
"""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rayoff.search.commands import shown


def report(
    folder: Positional[Path],
    others: Positional[tuple[Path, ...]] = (),
    /,
    *,
    out: Path | None = None,
) -> int:
    """Write tables, figures and report.html of a run folder, finished or not, or of several.

    What the folder holds is enough: it may come from another version, or from another machine.

    Args:
        folder: the run folder, runs/<study>-<hash>.
        others: run folders to be compared with it in one report.
        out: where the report on several is written; without it, beside the first.
    """
    if others:
        from rayoff.report import write_comparison_report

        page = write_comparison_report([folder, *others], out)
        print(f"Comparison: {shown(page)}")
    else:
        from rayoff.report import show_answer

        show_answer(folder)
    return 0


def watch(
    folder: Positional[Path],
    /,
    *,
    once: bool = False,
    report_minutes: Annotated[float | None, arg(name="report", metavar="MINUTES")] = None,
) -> int:
    """Show how far a study is until it ends, from its folder alone, on any machine that sees it.

    Args:
        folder: the run folder, runs/<study>-<hash>.
        once: show it once, as is done off a terminal.
        report_minutes: render report.html anew as often, while there are new results.
    """
    from rayoff.report import watch as watch_folder

    watch_folder(folder, once=once, report_minutes=report_minutes)
    return 0


def evaluate(
    folder: Positional[Path],
    /,
    *,
    seed: int | None = None,
    episodes: int | None = None,
    video: Path | None = None,
) -> int:
    """Roll out the policies of a finished trial.

    Args:
        folder: the trial's folder, runs/<study>-<hash>/trials/<trial>.
        seed: of one run; without it all runs are rolled out.
        episodes: of each run; without it as many as the trial's evaluations had.
        video: an .mp4 or .gif file for an episode of the run of that seed, or of the first.
    """
    from rayoff.results import divergence_reasons
    from rayoff.search import Policies

    policies = Policies(folder)
    if video is not None:
        own, episode = policies.policy(seed).seed, policies.record(video, seed)
        print(f"{video}: seed {own}, return {episode.earned:.1f} in {episode.length} steps")
    reasons = divergence_reasons(folder)
    seeds, returns, scores = policies.evaluate(seed, episodes)
    for index, own in enumerate(seeds):
        line = f"seed {own}: return {returns[index].mean():.1f} +- {returns[index].std():.1f}"
        if scores is not None:
            line += f", score {scores[index].mean():.1f}"
        print(f"{line} over {returns.shape[1]} episodes")
        if own in reasons:
            print(f"  This run diverged, and counts with its floor in the report: {reasons[own]}")
    return 0


def list_(what: Positional[Literal["datasets", "studies", "agents", "axes"]], /) -> int:
    """Print what there is to choose from.

    Args:
        what: datasets that need no download, studies, algorithms, or fields that can be axes.
    """
    from rayoff.search.catalog import CATALOG

    for name, about in CATALOG[what]():
        print(f"{name:36} {about}".rstrip())
    return 0
