"""Defences, one file each. Each names where it acts and sets the device's own switch."""

from __future__ import annotations

from tinymia.defenses.base import Defense, Site
from tinymia.defenses.clipping import Clipping
from tinymia.defenses.label_smoothing import LabelSmoothing

__all__ = ["Clipping", "Defense", "LabelSmoothing", "Site"]
