"""Collaborative training: many devices fine-tune one shared tail in rounds."""
