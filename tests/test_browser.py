"""Tests of what a reader sees: the report and TensorBoard's pages in a real browser."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from synthetic_results import make_run_folder
from tensorboard_server import TensorBoard
from tiny_studies import make_study
from told_studies import Study, report, row

from rayoff.callbacks import Summaries
from rayoff.report import write_report
from rayoff.study import trials

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARMS = ("none", "layer", "none-w64", "layer-w64")
SEEDS = (0, 1, 2, 3, 4)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
"""The system's browser; none is downloaded for the tests."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")


class Visit(NamedTuple):
    """A page, with what it complained of and asked for."""

    page: "Page"
    errors: list[str]
    """Of its console, and those that no script caught."""
    warnings: list[str]
    """Of its console."""
    requests: list[str]
    """Addresses, those of data in the page itself left out."""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    reason = "playwright is not installed: rayoff[dev]"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    with playwright.sync_playwright() as driver:
        # Chromium's sandbox needs rights that containers rarely have; the pages are our own.
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of 2 x 2 arms with its report."""
    path = tmp_path_factory.mktemp("browser") / "critic_norm-3f9c2a1"
    make_run_folder(path, widths=(256, 64), fractions=(1.0, 0.1), seeds=SEEDS)
    write_report(path)
    return path


def visit(browser: "Browser", address: str, scheme: str = "light", width: int = 1200) -> Visit:
    page = browser.new_page(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # pyright: ignore[reportArgumentType]
    )
    visited = Visit(page, [], [], [])
    page.on("console", lambda message: _note(visited, message.type, message.text))
    page.on("pageerror", lambda error: _note(visited, "error", str(error)))
    page.on("request", lambda request: _note(visited, "request", request.url))
    page.goto(address)
    return visited


def _note(visited: Visit, kind: str, text: str) -> None:
    if kind == "error":
        visited.errors.append(text)
    elif kind == "warning":
        visited.warnings.append(text)
    elif kind == "request" and not text.startswith(("data:", "blob:")):
        visited.requests.append(text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_alone_and_without_complaint(
    browser: "Browser", folder: Path, scheme: str
) -> None:
    address = (folder / "report.html").as_uri()
    page, errors, warnings, requests = visit(browser, address, scheme)
    assert errors == warnings == []
    assert requests == [address]
    text = page.locator("body").inner_text()
    assert all(arm in text for arm in ARMS)
    assert "seeds\n0, 1, 2, 3, 4" in text
    for figure in page.locator("figure svg").all():
        box = figure.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 100
    page.close()


def test_every_section_can_be_linked_to(browser: "Browser", folder: Path) -> None:
    page = visit(browser, (folder / "report.html").as_uri()).page
    for link in page.locator("nav a").all():
        target = (link.get_attribute("href") or "")[1:]
        link.click()
        assert page.evaluate("location.hash") == f"#{target}"
        assert page.locator(f"h2#{target}").is_visible()
    page.close()


def test_text_stands_out_from_its_ground_in_both_themes(browser: "Browser", folder: Path) -> None:
    for scheme in ("light", "dark"):
        page = visit(browser, (folder / "report.html").as_uri(), scheme).page
        ground = page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
        for selector, property_ in (("p", "color"), (".baseline", "color"), ("svg text", "fill")):
            found = page.locator(selector).first
            ink = found.evaluate(f"e => getComputedStyle(e).{property_}")
            assert contrast(ink, ground) > 4.5, (scheme, selector)
        page.close()


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""
    lights = sorted(luminance(color) + 0.05 for color in (first, second))
    return lights[1] / lights[0]


def luminance(color: str) -> float:
    numbers = [int(number) / 255 for number in re.findall(r"\d+", color)[:3]]
    red, green, blue = (
        n / 12.92 if n <= 0.03928 else ((n + 0.055) / 1.055) ** 2.4 for n in numbers
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_narrow_page_scrolls_its_tables_and_not_itself(browser: "Browser", folder: Path) -> None:
    page = visit(browser, (folder / "report.html").as_uri(), width=480).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 480
    page.close()


def test_the_report_prints(browser: "Browser", folder: Path) -> None:
    page = visit(browser, (folder / "report.html").as_uri()).page
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") >= 3
    page.close()


PLAN = trials(make_study("parquet:p"))
"""2 arms at 2 shares of the data, 2 seeds each."""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TensorBoard]:
    """TensorBoard on a run folder whose trials have all ended."""
    folder = tmp_path_factory.mktemp("board")
    study = Study(Summaries(folder, PLAN))
    for trial in PLAN:
        study.tell("start", trial.trial_id)
        for step in (10, 20, 30):
            rows = [row(seed, step, **{"eval/score": 1.0 * step + seed}) for seed in (0, 1)]
            study.tell("result", trial.trial_id, result=report(rows))
        study.tell("complete", trial.trial_id)
    study.callback.on_experiment_end(trials=[])
    server = TensorBoard(folder)
    for trial in PLAN:
        server.wait_for(f"trials/{trial.trial_id}/s1", "eval/score", 3)
        server.wait_for(f"tensorboard/{trial.arm}", "50% of p/eval/score", 3)
    yield server
    server.close()


def test_tensorboards_scalars_show_arms_and_seeds(browser: "Browser", board: TensorBoard) -> None:
    page, errors, _, requests = visit(browser, f"{board.address}/?darkMode=false#timeseries")
    for trial in PLAN:
        mean = f"trials/{trial.trial_id}"
        for run in (f"tensorboard/{trial.arm}", mean, f"{mean}/s0", f"{mean}/s1"):
            page.get_by_text(run, exact=True).first.wait_for()
    page.get_by_text("eval/score").first.wait_for()
    assert errors == []
    assert all(url.startswith(board.address) for url in requests)
    page.close()


def test_tensorboards_hparams_have_a_row_for_each_trial(
    browser: "Browser", board: TensorBoard
) -> None:
    page, errors, _, requests = visit(browser, f"{board.address}/#hparams")
    for trial in PLAN:
        page.get_by_text(trial.trial_id).first.wait_for()
    page.get_by_text("critic.norm").first.wait_for()
    assert errors == []
    assert all(url.startswith(board.address) for url in requests)
    page.close()


def test_tensorboards_custom_scalars_lay_arms_side_by_side(
    browser: "Browser", board: TensorBoard
) -> None:
    page, errors, _, requests = visit(browser, f"{board.address}/#custom_scalars")
    for text in ("100% of p", "50% of p", "Score", "|Q|, as a power of ten"):
        page.get_by_text(text, exact=True).first.wait_for()
    # A line for each arm in both cells: of the runs that are listed, only arms have these tags.
    page.get_by_text("Matches (2)").nth(3).wait_for()
    assert errors == []
    assert all(url.startswith(board.address) for url in requests)
    page.close()
