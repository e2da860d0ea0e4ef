"""Tests of what the README shows: study and notebook are sound, its links lead somewhere."""

import re
from pathlib import Path

import pytest
from finished_runs import train_here
from tiny_studies import study_text
from toy_pendulum import write_pendulum

from rayoff.search.planning import warnings
from rayoff.study import load_study, override, trials, with_absolute_sources

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
STUDY, SEARCH, NOTEBOOK = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)

SMALL = study_text("quickstart", num_steps=40, evaluation_period=20)


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "critic_norm.py"
    path.write_text(STUDY)
    return path


def test_the_study_of_the_readme_can_stop_its_runs(study_file: Path) -> None:
    here = ["datasets=builtin:hopper-mixed", "data.fraction=1.0,0.1"]  # 1% is less than a batch
    study = override(load_study(str(study_file)), here)
    found = warnings(study, trials(study))
    assert len(study.seeds) == 5
    assert not [warning for warning in found if "seeds" not in warning]


def test_the_notebook_runs_from_its_top_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pendulum(tmp_path / "pendulum.parquet")
    (tmp_path / "tune_spaces").mkdir()
    (tmp_path / "tune_spaces" / "quickstart.py").write_text(SMALL)
    train_here(Path("runs"), with_absolute_sources(load_study("quickstart")))
    cells: dict[str, object] = {}
    exec(NOTEBOOK, cells)
    assert "critic.norm = layer instead of none" in capsys.readouterr().out
    assert getattr(cells["action"], "shape", None) == (1,)
    assert (tmp_path / "policy.pt2").exists()


def test_the_search_of_the_readme_is_a_sound_one(tmp_path: Path) -> None:
    path = tmp_path / "my_search.py"
    path.write_text(SEARCH)
    study = override(load_study(str(path)), ["datasets=builtin:hopper-mixed"])
    assert study.search is not None
    assert study.search.num_points == 60
    assert len(trials(study)) == 1


def test_every_link_into_the_repository_leads_to_a_file() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(links) > 3
    assert not [link for link in links if not (REPOSITORY / link).exists()]
