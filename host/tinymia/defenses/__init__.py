"""Defences, one file each. Each names where it acts and sets the device's own switches."""

from __future__ import annotations

from tinymia.defenses.augmentation import Augmentation
from tinymia.defenses.base import Defense, Site
from tinymia.defenses.clipping import Clipping
from tinymia.defenses.dp_sgd import DpSgd
from tinymia.defenses.dropout import Dropout
from tinymia.defenses.early_stopping import EarlyStopping
from tinymia.defenses.l2 import L2
from tinymia.defenses.label_smoothing import LabelSmoothing
from tinymia.defenses.mixup import Mixup

__all__ = [
    "L2",
    "Augmentation",
    "Clipping",
    "Defense",
    "DpSgd",
    "Dropout",
    "EarlyStopping",
    "LabelSmoothing",
    "Mixup",
    "Site",
]
