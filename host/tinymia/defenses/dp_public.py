"""DP in the public shape of a bundle: full batches, few steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.accounting import Account, Neighbours
from tinymia.defenses.base import Kind, Parameter, Plan, Site, TrainingSize, check, of_setting
from tinymia.defenses.dp_sgd import account_of
from tinymia.wire.settings import Schedule
from tinymia.wire.span import Span

_CAUTION = 1.25
"""More noise wants smaller steps, a little more so than in proportion."""


@dataclass(frozen=True)
class DpPublic:
    """Gradient descent on all members at once, with clipping and noise in the public shape.

    Public people's embeddings say where embeddings lie and in which directions they differ (the
    bundle's ``SHAP`` section, :mod:`tinymia.export.shape`); a gradient is clipped and noise is
    added in these coordinates. The rate falls in a straight line over the steps, which weighs them
    like a mean over the second half of the iterates and needs no memory; behind the last one
    nothing moves, however many epochs follow. All members take part in each step, so it is the
    Gaussian mechanism, composed. What is claimed, of whom and while what is secret: see
    :class:`~tinymia.defenses.dp_sgd.DpSgd`. The defaults were chosen on public people, each with a
    base model that had not seen them.

    Attributes:
        noise: standard deviation of the noise on the sum of gradients, in clip norms.
        clip: the clip norm, in the shape's coordinates.
        steps: how many are taken, one an epoch.
        delta: at which epsilon is stated; well below 1 / members.
        pace: the learning rate is that of the model times this, divided by the noise to the power
            of 1.25.

    Raises:
        StudyError: a number is out of range.
    """

    noise: float = 2.018
    clip: float = 3.37
    steps: int = 6
    delta: float = 1e-3
    pace: float = 7.32
    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "noise", "A noise multiplier")
        why = "Without a bound on a gradient no noise hides it."
        check(self, "clip", "A clip norm", why)
        check(self, "steps", "A training of {} steps")
        check(self, "delta", "A delta")
        check(self, "pace", "A pace")

    @property
    def title(self) -> str:
        """For people."""
        return f"DP in the public shape, {self.steps:g} steps with noise {self.noise:g}"

    def account(self, size: TrainingSize) -> Account:
        """What it claims of a training of that size."""
        steps = min(int(self.steps), size.epochs)
        added, replaced = (
            account_of(self.noise, 1.0, steps, self.delta, neighbours, size.parameters)
            for neighbours in (Neighbours.ADD_OR_REMOVE, Neighbours.REPLACE)
        )
        return Account(added, replaced, self.delta, 1.0, steps)

    def apply(self, plan: Plan) -> Plan:
        """The plan with all that on."""
        return plan.training(
            batch=plan.size.members,
            expected_members=plan.size.members,
            clip_norm=self.clip,
            noise_multiplier=self.noise,
            shaped=1,
            schedule=Schedule.LINEAR,
            schedule_epochs=int(self.steps),
            learning_rate=plan.settings.learning_rate * self.pace / self.noise**_CAUTION,
        )


KIND = DpPublic.kind = Kind(
    name="dp-public",
    short="DP in the public shape",
    site=Site.GRADIENT,
    make=DpPublic,
    parameters=(
        Parameter(
            "noise",
            "--public-noise",
            "noise multipliers",
            of_setting("noise_multiplier"),
            several=True,
        ),
        Parameter("clip", "--public-clip", "clip norm", of_setting("clip_norm")),
        Parameter("steps", "--public-steps", "steps, one an epoch", Span(1, 65535, whole=True)),
        Parameter(
            "delta",
            "--public-delta",
            "at which epsilon is stated",
            Span(0, 1, above=True, below=True),
        ),
        Parameter(
            "pace",
            "--public-pace",
            "learning rate over the model's, times noise^1.25",
            Span(0, 1000, above=True),
        ),
    ),
    spread=(1.178, 2.018, 3.542),
    excludes=frozenset({"clip", "dp", "mixup", "early-stop", "dropout"}),
    why="It clips and adds noise by itself, to all members at once.",
    sweep=(0.93, 1.178, 2.018, 3.542, 6.2),
)
