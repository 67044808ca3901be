"""At what updates are looked at: how many windows, local epochs, defences, rounds of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinymia.evidence import Run, Terms


@dataclass(frozen=True)
class Setting:
    """One way in which an update comes about.

    Attributes:
        run: by which each device trains: a step on all its windows, or more; its name is unique
            among settings of as many windows.
        windows: of the attacked device.
        terms: on which the update leaves it; None: as it is.
        devices: whose updates are added before anybody sees them.
        label: "", or what the row is at beside its windows.
    """

    run: Run
    windows: int
    terms: Terms | None = None
    devices: int = 1
    label: str = ""

    @property
    def key(self) -> str:
        """Unique."""
        return f"{self.run.name}/{self.windows}/{self.label}"

    @property
    def steps(self) -> int:
        """Local steps."""
        return self.run.epochs * -(-self.windows // min(self.run.training.batch, self.windows))

    @property
    def examples(self) -> int:
        """Windows behind what is seen."""
        return self.windows * self.devices

    @property
    def at(self) -> dict[str, str]:
        """For people."""
        more = {"where": self.label} if self.label else {"where": "one step"}
        return {"windows": str(self.windows), **more}


BATCHES = (1, 2, 4, 6, 8, 12, 16, 32)
FEW, MANY = 4, 8
"""Windows at which local steps and defences are compared: fewer than classes, and more."""
EPOCHS = (2, 5, 20)
MOST_DEVICES = 3
"""A person and setting where finding the windows takes seconds a device."""


def fits(run: Run) -> bool:
    """Whether a defence makes sense for a handful of windows."""
    t = run.training
    return not (t.holdout or t.screen or t.heads or t.teacher_epochs or t.references or t.mixup)


def short(run: Run) -> str:
    """A run's name without its epochs, which are others here."""
    return run.name.partition("@")[0]


def local(run: Run, windows: int, epochs: int = 1, batch: int = 0) -> Run:
    """A run as one round of it goes on a device with so many windows."""
    t = run.training
    return replace(
        run,
        name=short(run),
        title=run.title if run.defences else "no defence",
        epochs=epochs,
        training=replace(
            t,
            batch=batch or windows,
            expected_members=windows if t.is_private else 0,
            schedule_epochs=epochs if t.schedule_epochs else 0,
            compress_after=epochs if t.compress_after else 0,
        ),
    )


def named(run: Run, name: str, title: str) -> Run:
    """The same training under another name."""
    return replace(run, name=name, title=title)


def devices_of(setting: Setting, classes: int, repetitions: int) -> int:
    """How many of a person's are attacked: fewer where windows are looked for one by one."""
    dear = setting.devices == 1 and setting.windows >= min(classes, MANY)
    return min(repetitions, MOST_DEVICES) if dear else repetitions


def settings_of(runs: Sequence[Run]) -> list[Setting]:
    """All of them; plain ones first."""
    plain, others = runs[0], [run for run in runs[1:] if fits(run)]
    found = [Setting(local(plain, n), n) for n in BATCHES]
    for n in (FEW, MANY):
        found += [
            Setting(local(plain, n, e), n, label=f"{e} local epochs, one step each") for e in EPOCHS
        ]
        found.append(Setting(local(plain, n, 5, n // 2), n, label="5 local epochs of two steps"))
        found.append(Setting(local(plain, n, 1, n // 4), n, label="one epoch of four steps"))
    for n in (1, FEW, MANY):
        found += [Setting(local(run, n), n) for run in others]
        one = local(plain, n)
        for units in (16384, 256):
            title = f"update in whole units of 1/{units:,}"
            found.append(Setting(named(one, f"units-{units}", title), n, Terms(units=units)))
        title = "noise of 0.1 clip norms on the update"
        found.append(Setting(named(one, "update-noise", title), n, Terms(noise=0.1)))
    for devices, n in ((4, 1), (10, 1), (10, 8)):
        run = named(local(plain, n), f"sum-{devices}", f"secure sum of {devices} devices")
        found.append(Setting(run, n, Terms(), devices))
    return found
