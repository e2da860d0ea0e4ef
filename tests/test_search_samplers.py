"""Tests of benchmarks/search_samplers.py on invented searches."""

import json
from pathlib import Path

import numpy as np
import pytest
from search_samplers import curves, read_course, table
from synthetic_search import make_search_folder

from rayoff.results import read_points


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    parent = tmp_path_factory.mktemp("runs")
    made = []
    for seed, sampler in enumerate(["tpe", "random", "tpe"]):
        folder = make_search_folder(parent / f"{sampler}-{seed}", num_points=8, seed=seed)
        study = json.loads((folder / "study.json").read_text())
        study["search"] |= {"sampler": sampler, "seed": seed}
        (folder / "study.json").write_text(json.dumps(study))
        made.append(folder)
    return made


def best_after(folder: Path) -> list[float]:
    """Return the best feasible score after each point, by hand."""
    points = read_points(folder).query("phase == 'search'").sort_values("order")
    best, found = float("nan"), []
    for point in points.to_dict("records"):
        if point["feasible"] and not point["score"] <= best:
            best = point["score"]
        found.append(best)
    return found


def test_the_course_of_a_search_is_its_best_score_so_far(folders: list[Path]) -> None:
    course = read_course(folders[1])
    assert (course.sampler, course.seed) == ("random", 1)
    np.testing.assert_allclose(course.best, best_after(folders[1]))
    confirmed = read_points(folders[1]).query("phase == 'confirm' and point != 0")
    assert [course.fresh] == confirmed["score"].tolist()


def test_samplers_are_compared_by_the_means_over_their_seeds(folders: list[Path]) -> None:
    rows = [
        line.split("|")[1:-1] for line in table(list(map(read_course, folders)), 8).split("\n")
    ]
    cells = [[cell.strip() for cell in row] for row in rows[2:]]
    assert [row[:2] for row in cells] == [
        *(["tpe", "0"], ["tpe", "2"], ["tpe", "mean"], ["random", "1"], ["random", "mean"])
    ]
    halfway = [best_after(folders[index])[3] for index in (0, 2)]
    assert [row[3] for row in cells[:3]] == [f"{x:.1f}" for x in (*halfway, sum(halfway) / 2)]


def test_every_search_is_a_curve_and_every_sampler_has_a_mean(folders: list[Path]) -> None:
    (axes,) = curves(list(map(read_course, folders))).axes
    assert len(axes.get_lines()) == 5
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "tpe, mean of 2",
        "random, mean of 1",
    ]
