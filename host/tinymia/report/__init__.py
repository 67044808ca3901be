"""The report: one HTML page and the CSV files behind it."""

from tinymia.report.render import render

__all__ = ["render"]
