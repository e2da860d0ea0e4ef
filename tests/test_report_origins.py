"""Tests of rayoff.report.origins: the command is told without the machine."""

import pytest

from rayoff.report.origins import shorten_command


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/home/me/.venv/bin/python /home/me/.venv/bin/rayoff run a --seeds 5", "run a --seeds 5"),
        ("/usr/bin/python3 /home/ray/tune.py run 'a b.py'", "run 'a b.py'"),
        ("python -m rayoff.tune run a", "run a"),
        ("rayoff", "run"),
    ],
)
def test_a_command_of_ours_is_told_without_the_machine(command: str, expected: str) -> None:
    assert shorten_command(command) == f"rayoff {expected}"


@pytest.mark.parametrize(
    "command", ["python sweep.py run a", "python mine/tune.py 3", "python drive.py tune.py"]
)
def test_a_command_of_another_program_is_told_as_it_was(command: str) -> None:
    assert shorten_command(command) == command
