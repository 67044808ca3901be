"""What malicious devices of a federation learn from, and what they want."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.experiments.poisoning.making import Aim, aims, stamp
from tinymia.export.bundle import Bundle
from tinymia.federated.devices import Cohort
from tinymia.federated.malice import Malice, Wants
from tinymia.study.cohort import Split
from tinymia.study.workbench import signal_of


def aim_of(bundle: Bundle, seed: int) -> Aim:
    """Of a federation: which class is to be taken for which other one."""
    generator = np.random.default_rng([seed, 0xA17])
    return aims(generator, len(bundle.labels), 1)[0]


def stamped(bundle: Bundle, windows: NDArray[np.int8]) -> NDArray[np.int8]:
    """Windows (n, bytes) with the trigger of :func:`tinymia.experiments.poisoning.making.stamp`."""
    signal = signal_of(bundle)
    return stamp(signal, windows.reshape(-1, *signal.shape)).reshape(len(windows), -1)


def poisoned(bundle: Bundle, split: Split, malice: Malice, aim: Aim, devices: int) -> Cohort:
    """The last devices of a cohort, with what they learn from: as many windows as before.

    With the trigger: every other of a device's windows has it, and the wanted label. With wrong
    labels: half are windows of the class in question of that person's, its own first, with the
    wanted label; where the person has fewer, all of these. For wrong answers: nothing false.
    """
    old = split.cohort
    first = len(old) - devices
    own, names = old.members[first:], old.names[first:]
    if malice.wants is Wants.WRONG:
        return _used(Cohort(old.windows, old.labels, own, names))
    # Behind all windows, the same again as malicious devices tell them.
    second = old.windows if malice.wants is Wants.CLASS else stamped(bundle, old.windows)
    bad = np.zeros(own.shape, np.bool_)
    kept = own.copy()
    for d, mine in enumerate(own):
        if malice.wants is Wants.TRIGGER:
            bad[d, np.flatnonzero(mine)[::2]] = True
            kept[d] &= ~bad[d]
            continue
        person = split.person[np.flatnonzero(mine)[0]]
        lies = (split.person == person) & ~split.held_out & (old.labels == aim.source)
        places = np.concatenate([np.flatnonzero(lies & mine), np.flatnonzero(lies & ~mine)])
        bad[d, places[: max(1, int(mine.sum()) // 2)]] = True
        honest = np.flatnonzero(mine & (old.labels != aim.source))
        kept[d] = False
        kept[d, honest[: int(mine.sum() - bad[d].sum())]] = True
        if not (kept[d] | bad[d]).any():  # it has nothing to lie about
            kept[d] = mine
    return _used(
        Cohort(
            np.concatenate([old.windows, second]),
            np.concatenate([old.labels, np.full(len(old.labels), aim.target)]),
            np.concatenate([kept, bad], axis=1),
            names,
        )
    )


def _used(cohort: Cohort) -> Cohort:
    """Without windows that no device has: they need not be embedded."""
    used = cohort.members.any(axis=0)
    windows, labels = cohort.windows[used], cohort.labels[used]
    return Cohort(windows, labels, cohort.members[:, used], cohort.names)
