"""Tests of rayoff.study.loading: a study is found, and a mistake in its file is named."""

import re
from pathlib import Path

import pytest
from norm_studies import message_of

from rayoff.errors import StudyError
from rayoff.study import load_study, study_files, to_json, trials

ROOT = Path(__file__).parent.parent


def test_a_study_is_found_by_name_file_and_run_folder(tmp_path: Path) -> None:
    by_name = load_study("quickstart")
    by_file = load_study(ROOT / "tune_spaces" / "quickstart.py")
    (tmp_path / "study.json").write_text(to_json(by_name))
    for found in (by_file, load_study(tmp_path), load_study(tmp_path / "study.json")):
        assert trials(found) == trials(by_name)
        assert found.question == by_name.question
    assert load_study(tmp_path).file == str(tmp_path / "study.json")


def test_the_studies_of_the_working_directory_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tune_spaces").mkdir()
    text = (ROOT / "tune_spaces" / "quickstart.py").read_text()
    for name in ("quickstart", "mine"):
        path = tmp_path / "tune_spaces" / f"{name}.py"
        path.write_text(text.replace("4_000", "40"))
    monkeypatch.chdir(tmp_path)
    assert trials(load_study("quickstart"))[0].config.num_steps == 40
    assert load_study("mine").file == "tune_spaces/mine.py"
    assert {"mine", "quickstart", "ensembles"} <= set(study_files())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("quikstart", "No study is named 'quikstart'. Did you mean 'quickstart'?\n  tune_spaces/"),
        ("tune_spaces/quikstart.py", "is neither. Did you mean 'quickstart.py'?"),
        ("runs/nothing", "A study must be a file or a run folder but 'runs/nothing' is neither."),
    ],
)
def test_an_unknown_study_names_the_nearest(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(StudyError) as caught:
        load_study(name)
    assert message in str(caught.value)


STUDY_FILE = '''"""Is it a question?"""

from rayoff.study import Axis, Study


def study() -> Study:
    return Study(
        name="broken",
        base="td3",
        axes=[Axis("critic.norm", ["none", "layer"])],
        datasets=["builtin:hopper-mixed"],
        seeds=range(2),
        baseline={"critic.norm": "none"},
    )
'''


@pytest.mark.parametrize(
    ("right", "wrong", "message", "line"),
    [
        ("axes=", "axs=", "Study has no field 'axs'. Did you mean 'axes'?", 7),
        ('Axis("critic.norm", [', 'Axis("critic.norm", vals=[', "Axis has no field 'vals'.", 10),
        ("axes=[Axis", "axes=[Axes", "'Axes' is not defined. Did you mean 'Axis'?", 10),
        ("import Axis", "import Axs", "cannot import name 'Axs' .* Did you mean 'Axis'?", 3),
        ('"td3"', '"td3', "The study file is not valid Python: unterminated string literal", 9),
        ("range(2)", "range('2')", "TypeError: 'str' object cannot be interpreted", 12),
        ("range(2)", "2", "seeds must be a list but got 2", 7),
        ("seeds=range(2),\n", "", "missing 1 required keyword-only argument: 'seeds'", 7),
        ('"broken"', '"a".uper()', "no attribute 'uper'. Did you mean 'upper'?", 8),
    ],
)
def test_a_study_file_that_raises_names_file_line_and_the_nearest_word(
    right: str,
    wrong: str,
    message: str,
    line: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert right in STUDY_FILE
    Path("broken.py").write_text(STUDY_FILE.replace(right, wrong))
    with pytest.raises(StudyError) as caught:
        load_study("broken.py")
    text, _, where = str(caught.value).rpartition("\n  ")
    assert re.search(message, text)
    assert where == f"broken.py, line {line}"


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("def study()", "def stdy()", "must define study.. -> Study but got no such function"),
        ("return Study", "return dict", r"-> Study but got \{'name': 'broken'"),
    ],
)
def test_a_study_file_must_return_a_study(
    right: str, wrong: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(STUDY_FILE.replace(right, wrong))
    with pytest.raises(StudyError, match=message):
        load_study(path)


def test_a_mistyped_value_in_a_file_ends_with_file_and_axis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("typo.py").write_text(STUDY_FILE.replace('"layer"', '"layernorm"'))
    message = message_of(load_study("typo.py"))
    assert message.endswith("Did you mean 'layer'?\n  typo.py, axis 1")
