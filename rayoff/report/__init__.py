"""The answer of a study, from its results alone: tables, figures, one HTML file."""

from rayoff.report.effects import Effect, effects_table, find_effects
from rayoff.report.headline import Headline, headlines
from rayoff.report.page import write_comparison_report, write_report
from rayoff.report.search_answer import describe_search
from rayoff.report.summary import SUMMARY_COLUMNS, summarize
from rayoff.report.tables import render_markdown, render_table, rich_tables

__all__ = [
    "SUMMARY_COLUMNS",
    "Effect",
    "Headline",
    "describe_search",
    "effects_table",
    "find_effects",
    "headlines",
    "render_markdown",
    "render_table",
    "rich_tables",
    "summarize",
    "write_comparison_report",
    "write_report",
]
