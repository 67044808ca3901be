"""Metrics, intervals and verdicts: from the answers of devices to the figures of the report."""
