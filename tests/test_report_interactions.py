"""Tests of what choices do together, on results that are sums of known parts."""

import pandas as pd
import pytest
from synthetic_results import make_run_folder

from rayoff.report.interactions import find_interactions, interactions_table, largest
from rayoff.report.waterfall import Waterfall, find_waterfalls, waterfalls_table
from rayoff.results import collect

BASE, NORM, WIDTH, BOTH, SCARCE = 20.0, 30.0, -12.0, 8.0, -10.0


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Results of 2 norms x 2 widths x 2 fractions x 3 seeds whose scores are known sums."""
    folder = tmp_path_factory.mktemp("factorial") / "a"
    options = {"norms": ("none", "layer"), "widths": (256, 64), "fractions": (1.0, 0.1)}
    frame = collect(make_run_folder(folder, seeds=(0, 1, 2), **options)).to_pandas()
    norm = (frame["config.critic.norm"] == "layer").astype(float)
    narrow = (frame["config.critic.width"] == 64).astype(float)
    scarce = (frame["fraction"] == 0.1).astype(float)
    known = BASE + NORM * norm + WIDTH * narrow + BOTH * norm * narrow + SCARCE * scarce * norm
    noise = frame["seed"].map({0: -1.0, 1: 0.0, 2: 1.0})  # the same in all arms: pairs cancel it
    return frame.assign(
        status="done", score=(known + noise).where(frame["score"].notna()), stop_step=None
    )


def test_an_interaction_is_what_two_choices_do_beyond_their_sum(frame: pd.DataFrame) -> None:
    found = {(str(one.first), str(one.second)): one for one in find_interactions(frame)}
    values = {names: one.estimate.value for names, one in found.items()}
    assert values == pytest.approx(
        {
            ("critic.width = 64", "critic.norm = layer"): BOTH,
            ("critic.width = 64", "10% of the data"): 0.0,
            ("critic.norm = layer", "10% of the data"): SCARCE,
        },
        abs=1e-9,
    )
    assert found["critic.width = 64", "critic.norm = layer"].estimate.num_runs == 6
    assert [one.estimate.value for one in largest(list(found.values()))] == pytest.approx(
        [SCARCE, BOTH]
    )


def test_interactions_are_exported_row_by_row(frame: pd.DataFrame) -> None:
    table = interactions_table(find_interactions(frame))
    assert table["num_runs"].tolist() == [6, 6, 6]
    assert set(table["dataset"]) == {"mixed/hopper/replay-v0"}


def test_without_all_four_corners_there_is_no_interaction(frame: pd.DataFrame) -> None:
    ladder = frame.loc[(frame["arm"] != "layer") & (frame["fraction"] == 1.0)]
    assert find_interactions(ladder) == []


def test_a_waterfall_splits_the_way_to_the_best_arm_over_all_orders(frame: pd.DataFrame) -> None:
    better = frame.assign(score=frame["score"] + 10 * (frame["config.critic.width"] == 64))
    (found,) = find_waterfalls(better)
    assert isinstance(found, Waterfall)
    assert (found.baseline, found.best) == ("none", "layer-w64")
    assert found.start == pytest.approx(BASE)
    # half of what both do together goes to each; scarce data takes its mean from the norm
    assert {name: estimate.value for name, estimate in found.steps} == pytest.approx(
        {
            "critic.norm = layer": NORM + BOTH / 2 + SCARCE / 2,
            "critic.width = 64": WIDTH + 10 + BOTH / 2,
        }
    )
    assert waterfalls_table([found])["choice"].tolist() == [name for name, _ in found.steps]


def test_a_waterfall_needs_all_arms_between(frame: pd.DataFrame) -> None:
    better = frame.assign(score=frame["score"] + 10 * (frame["config.critic.width"] == 64))
    (reason,) = find_waterfalls(better.loc[better["arm"] != "none-w64"])
    assert "1 of the 4 arms between were not run" in str(reason)


def test_a_waterfall_says_where_there_is_nothing_to_split(frame: pd.DataFrame) -> None:
    (reason,) = find_waterfalls(frame)
    assert reason == ("layer, the best arm, differs from the baseline in one choice alone.")
    (reason,) = find_waterfalls(frame.assign(score=-frame["score"]).query("arm != 'none-w64'"))
    assert reason == "No arm has a larger mean than the baseline, none."
    begun = frame.query("arm == 'none' or (arm == 'layer' and fraction == 1.0)")
    (reason,) = find_waterfalls(begun)
    assert reason == "No arm but the baseline, none, has ended wherever runs have."
