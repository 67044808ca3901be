"""Defences, one file each. Each names where it acts and sets the device's own switches."""

from tinymia.defenses.base import Defense, Kind, Plan, Site, TrainingSize

__all__ = ["Defense", "Kind", "Plan", "Site", "TrainingSize"]
