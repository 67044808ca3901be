"""Defences, one file each. Each names where it acts and sets the device's own switches."""

from tinymia.defenses.base import Defense, Kind, Parameter, Plan, Site, TrainingSize, Unproven

__all__ = ["Defense", "Kind", "Parameter", "Plan", "Site", "TrainingSize", "Unproven"]
