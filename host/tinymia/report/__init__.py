"""The report: one HTML page and the CSV files behind it."""

from tinymia.report.answer import compose
from tinymia.report.render import OUTPUTS, render

__all__ = ["OUTPUTS", "compose", "render"]
