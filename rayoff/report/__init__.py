"""The answer of a study, from its results alone: tables, figures, one HTML file."""

from rayoff.report.answer import show_answer
from rayoff.report.effects import Effect, effects_table, find_effects
from rayoff.report.exports import ReportTable
from rayoff.report.figures import Analysis, draw_figures
from rayoff.report.headline import Headline, headlines
from rayoff.report.page import (
    analyse,
    answers,
    report_tables,
    write_comparison_report,
    write_report,
)
from rayoff.report.search_answer import describe_search
from rayoff.report.searches import read_search
from rayoff.report.summary import SUMMARY_COLUMNS, summarize
from rayoff.report.tables import render_markdown, render_table, rich_tables
from rayoff.report.watching import watch

__all__ = [
    "SUMMARY_COLUMNS",
    "Analysis",
    "Effect",
    "Headline",
    "ReportTable",
    "analyse",
    "answers",
    "describe_search",
    "draw_figures",
    "effects_table",
    "find_effects",
    "headlines",
    "read_search",
    "render_markdown",
    "render_table",
    "report_tables",
    "rich_tables",
    "show_answer",
    "summarize",
    "watch",
    "write_comparison_report",
    "write_report",
]
