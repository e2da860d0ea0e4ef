"""Tests of one report on several run folders."""

from pathlib import Path

import pytest
from synthetic_results import make_run_folder
from synthetic_search import make_search_folder

from rayoff.errors import ResultsError
from rayoff.report import find_effects, write_comparison_report
from rayoff.report.caveats import settings_apart
from rayoff.results import arm_order, read_results, write_comparison
from rayoff.tune import main


def test_runs_of_two_folders_are_matched(tmp_path: Path) -> None:
    options = {"fractions": (0.1,), "seeds": range(5)}
    first = make_run_folder(tmp_path / "old", **options)
    second = make_run_folder(tmp_path / "new", **options)
    frame = read_results(write_comparison([first, second], tmp_path / "both"))
    assert arm_order(frame) == ["none (old)", "layer (old)", "none (new)", "layer (new)"]
    assert frame.drop_duplicates("arm")["baseline"].tolist() == [True, False, False, False]
    effects = {(e.name, e.value, e.baseline): e for e in find_effects(frame)}
    assert set(effects) == {("run", "new", "old"), ("critic.norm", "layer", "none")}
    assert effects["run", "new", "old"].num_pairs == 10
    assert effects["critic.norm", "layer", "none"].num_pairs == 10


def test_a_choice_that_a_study_left_alone_has_its_default(tmp_path: Path) -> None:
    narrow = make_run_folder(tmp_path / "narrow", widths=(64,), fractions=(0.1,))
    usual = make_run_folder(tmp_path / "usual", fractions=(0.1,))
    frame = read_results(write_comparison([narrow, usual], tmp_path / "both"))
    widths = frame.groupby("run")["config.critic.width"].unique()
    assert (list(widths["narrow"]), list(widths["usual"])) == ([64], [256])


def test_settings_by_which_whole_folders_differ_are_told(tmp_path: Path) -> None:
    narrow = make_run_folder(tmp_path / "narrow", widths=(64,), fractions=(0.1,))
    usual = make_run_folder(tmp_path / "usual", fractions=(0.1,))
    page = write_comparison_report([narrow, usual], tmp_path / "both")
    told = "The run folders differ in critic.width (64 in narrow, 256 in usual)."
    assert page.read_text().count(told) == 2  # under the answer, and before use
    assert told in (page.parent / "README.md").read_text()
    assert settings_apart(read_results(usual)) == ""
    same = make_run_folder(tmp_path / "same", fractions=(0.1,))
    both = write_comparison([usual, same], tmp_path / "equal")
    assert settings_apart(read_results(both)) == ""


def test_of_a_search_the_confirmed_points_are_compared(tmp_path: Path) -> None:
    search = make_search_folder(tmp_path / "search", num_points=6)
    study = make_run_folder(tmp_path / "study", fractions=(1.0,))
    frame = read_results(write_comparison([study, search], tmp_path / "both"))
    found = frame.loc[frame["run"] == "search"]
    assert found["seed"].min() == 100
    assert len(set(found["arm"])) == 2


def test_the_command_writes_the_comparison_where_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        make_run_folder(tmp_path / name, norms=("layer",), fractions=(0.1,), simulator=False)
        for name in ("a", "b")
    ]
    out = tmp_path / "both"
    assert main(["report", *map(str, folders), "--out", str(out)]) == 0
    assert str(out / "report.html") in capsys.readouterr().out
    readme = (out / "README.md").read_text()
    assert "run = b instead of a" in readme
    assert "study.json" not in readme  # nothing of the kind lies there
    assert main(["report", str(folders[0]), str(tmp_path / "absent")]) == 2


def test_one_report_compares_both(tmp_path: Path) -> None:
    folders = [
        make_run_folder(tmp_path / name, norms=("layer",), fractions=(0.1,)) for name in ("a", "b")
    ]
    page = write_comparison_report(folders)
    assert page == tmp_path / "a+b" / "report.html"
    text = page.read_text()
    assert "run = b instead of a" in text
    assert "rayoff report" in text
    assert "0" * 40 in text  # the commit of each
    written = page.read_bytes()
    assert write_comparison_report(folders).read_bytes() == written


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "a", fractions=(0.1,))
    with pytest.raises(ResultsError, match=r"two or more run folders of different names"):
        write_comparison([folder, folder], tmp_path / "both")
    other = make_search_folder(tmp_path / "b", num_points=4, num_running=1)
    with pytest.raises(ResultsError, match="would replace its results"):
        write_comparison([folder, other], folder)
    with pytest.raises(ResultsError, match="must hold a search whose winner was confirmed"):
        write_comparison([folder, other], tmp_path / "both")
