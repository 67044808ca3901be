"""What a study is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from tinymia.attacks.choice import EVERY_ATTACK, Choice, canonical
from tinymia.defenses import Defense, TrainingSize
from tinymia.defenses import registry as defenses
from tinymia.defenses.together import planned_for
from tinymia.errors import StudyError
from tinymia.evidence import BASE, PLAIN, AnswerSettings, OutputPolicy, Run
from tinymia.experiments.experiment import MEMBERSHIP, experiments
from tinymia.experiments.experiment import spelt_out as asked_for
from tinymia.experiments.peers.registry import check_peers
from tinymia.export.bundle import Bundle
from tinymia.export.depth import HEAD, canonical_depth, check_depth, depth_title, resolve
from tinymia.study.training import TrainingOptions, guess
from tinymia.wire.settings import TrainSettings
from tinymia.wire.span import Span

MAX_REPETITIONS = 65535
MAX_EPOCHS = 65535
SPLITS = ("same-distribution", "cross-arm")
DEFENCES = (
    "clip",
    "smooth",
    "clip+smooth",
    "l2",
    "dropout",
    "early-stop",
    "mixup",
    "augment",
    "dp",
)
DEPTHS = ("biases", "last:2", "all")
POLICIES = tuple(p.value for p in OutputPolicy if p is not OutputPolicy.TOPK)
"""Of a whole study; the top classes alone are a defence."""
MAX_SHADOWS = 65536
MAX_DEVICES = 10_000_000

SPANS: Mapping[str, Span] = {
    # The device's generator is keyed by 16 bits of each, see `training_seed`.
    "repetitions": Span(1, MAX_REPETITIONS, whole=True),
    "epochs": Span(1, MAX_EPOCHS, whole=True),
    "members": Span(1, 65535, whole=True),
    "levels": Span(1, 65535, whole=True),
    "shadows": Span(16, MAX_SHADOWS, whole=True),
    "dear_shadows": Span(16, MAX_SHADOWS, whole=True),
    "about": Span(16, MAX_SHADOWS, off=True, whole=True),
    "epsilon_devices": Span(400, MAX_DEVICES, off=True, whole=True),
    "seed": Span(0, 2**32 - 1, whole=True),
    "confirm": Span(0, whole=True),
    "deep_people": Span(0, whole=True),
    "deep_epochs": Span(1, whole=True),
}
"""Where the numbers of a study may lie, by field; of several, each."""
_NUMBERED = {
    "dear_shadows": "shadow devices where each takes long",
    "shadows": "shadow devices",
    "about": "shadow devices about each attacked one",
    "epsilon_devices": "devices to check an epsilon",
    "seed": "as a seed",
    "confirm": "repetitions on a board",
    "deep_people": "people whose deep training a board confirms",
    "deep_epochs": "epochs of that",
}


@dataclass(frozen=True)
class StudySettings:
    """The settings of an audit; equal settings on equal boards give equal results.

    Attributes:
        dataset: a name or an .npz path, see :func:`tinymia.data.load`.
        people: the audited people; empty: all that the base model was not trained on.
        repetitions: draws of members and non-members for each person.
        members: windows that each device is fine-tuned on.
        split: "same-distribution" or "cross-arm".
        epochs: where the undefended device is queried; the last is where defences are compared.
        training: what all runs share.
        defences: combinations of names of :mod:`tinymia.defenses.registry`, one condition each;
            "all" stands for every defence.
        values: parameters of the defences.
        depths: what is trained in further runs without a defence.
        policy: what the device's answers reveal: "full", "rounded", "top1" or "label".
        policies: further policies under which the same devices are attacked.
        levels: steps of a probability under "rounded".
        shadows: shadow devices a person and condition.
        dear_shadows: the same where they take seconds each: DP-SGD, augmentation, deep training.
        about: shadow devices that are trained about each attacked one, in rounds, by the decoder
            that closes in where training bends; 0: none, and not that decoder.
        every_attack: try every attack under further policies, too, and not only what stands for an
            adversary or needs no more than a label.
        epsilon_devices: devices in each group that check the claim of DP-SGD; 0: it is not checked.
        seed: of draws, order of examples and resampling.
        confirm: repetitions of each person and condition that a board confirms.
        deep_people, deep_epochs: runs that train more than the last layer are slow on a simulated
            board, so they are confirmed for this many people and up to this epoch.
        attacks: those that are run, by name, or by adversary for all of theirs; see
            :mod:`tinymia.attacks.choice`.
        peers: other projects whose attacks run on the same answers, see
            :mod:`tinymia.experiments.peers`.
        experiments: questions that are asked, see :mod:`tinymia.experiments.experiment`; "all"
            stands for every one.
        against: combinations of defences under which experiments beyond membership are measured;
            empty: those that each names.

    Raises:
        StudyError: a setting is out of range.
    """

    dataset: str = "watch"
    people: tuple[str, ...] = ()
    repetitions: int = 10
    members: int = 80
    split: str = "same-distribution"
    epochs: tuple[int, ...] = (1, 5, 20, 50)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    defences: tuple[str, ...] = DEFENCES
    values: defenses.Values = field(default_factory=dict)
    depths: tuple[str, ...] = DEPTHS
    policy: str = "full"
    policies: tuple[str, ...] = ("rounded", "top1", "label")
    levels: int = 100
    shadows: int = 256
    dear_shadows: int = 64
    about: int = 64
    every_attack: bool = False
    epsilon_devices: int = 20_000
    seed: int = 1
    confirm: int = 1
    deep_people: int = 2
    deep_epochs: int = 5
    attacks: tuple[str, ...] = EVERY_ATTACK
    peers: tuple[str, ...] = ()
    experiments: tuple[str, ...] = (MEMBERSHIP,)
    against: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        def need(holds: bool, message: str, hint: str = "See `tinymia audit --help`.") -> None:
            if not holds:
                raise StudyError(message, hint)

        need(
            len(set(self.people)) == len(self.people),
            f"Somebody is named twice: {', '.join(self.people)}.",
        )
        for name, within in SPANS.items():
            given = getattr(self, name)
            for number in given if isinstance(given, tuple) else (given,):
                if not within.holds(number):
                    raise StudyError(
                        f"{number} {_NUMBERED.get(name, name)} are not possible.",
                        f"Give {within}.",
                    )
        if self.split not in SPLITS:
            raise StudyError(f"There is no split {self.split!r}.", guess(self.split, SPLITS))
        need(
            bool(self.epochs) and sorted(set(self.epochs)) == [*self.epochs],
            f"The epochs {self.epochs} must ascend.",
        )
        for policy in (self.policy, *self.policies):
            if policy not in POLICIES:
                raise StudyError(f"There is no output policy {policy!r}.", guess(policy, POLICIES))
        object.__setattr__(self, "attacks", canonical(self.attacks))
        self.choice.check(self.answers[0].policy, (self.training.train, *self.depths))
        check_peers(self.peers)
        object.__setattr__(self, "experiments", asked_for(self.experiments))
        need(bool(self.experiments), "No experiment is named.")
        object.__setattr__(self, "against", defenses.spelt_out(self.against))
        object.__setattr__(self, "defences", defenses.spelt_out(self.defences))
        object.__setattr__(self, "depths", tuple(check_depth(depth) for depth in self.depths))
        defenses.check_values(self.values)
        object.__setattr__(self, "values", _whole(self.values, (*self.defences, *self.against)))
        self.variants()  # the defences check their own parameters
        for combination in self.against:
            defenses.build(combination, self.values)

    @property
    def size(self) -> TrainingSize:
        """Of the longest training."""
        return TrainingSize(self.members, self.training.batch, self.epochs[-1])

    @property
    def answers(self) -> tuple[AnswerSettings, ...]:
        """How devices answer: as the study says, then under further policies.

        Further ones need whole answers to be derived from.
        """
        further = self.policies if self.policy == "full" else ()
        names = dict.fromkeys((self.policy, *further))
        return tuple(AnswerSettings(OutputPolicy(name), self.levels) for name in names)

    @property
    def choice(self) -> Choice:
        """Which attacks are run."""
        return Choice(self.attacks, bool(self.about))

    def variants(self) -> list[tuple[Defense, ...]]:
        """The sets of defences that are compared, each once."""
        sets: list[tuple[Defense, ...]] = []
        for combination in self.defences:
            sets += [s for s in defenses.build(combination, self.values) if s not in sets]
        return sets

    def runs(self, bundle: Bundle) -> tuple[Run, ...]:
        """All runs in the order of the page: base, plain by epochs, defences, other depths.

        Raises:
            TinymiaError: the bundle cannot train at such a depth.
        """
        depth, last = self.training.train, self.epochs[-1]
        runs = [self._run(bundle, BASE, "base model", depth, (), 0)]
        runs += [self._plain(bundle, epochs) for epochs in self.epochs]
        plain = runs[-1]
        for (name, title), made in zip(names(self.variants()), self.variants(), strict=True):
            runs.append(self._run(bundle, f"{name}@{last}", title, depth, made, last, plain))
        seen = {canonical_depth(bundle, depth)}
        for other in self.depths:
            same = canonical_depth(bundle, other)  # last:4 and all, of a network of four layers
            if same not in seen:
                seen.add(same)
                title = f"training {depth_title(same)}"
                runs.append(self._run(bundle, f"{same}@{last}", title, same, (), last, plain))
        return tuple(runs)

    def without_membership(self) -> StudySettings:
        """The same where nobody asks about membership: plain fine-tuning alone."""
        return replace(
            self,
            defences=(),
            depths=(),
            epochs=self.epochs[-1:],
            values={k: v for k, v in self.values.items() if k in "+".join(self.against).split("+")},
            epsilon_devices=0,
        )

    @property
    def combinations(self) -> tuple[str, ...]:
        """What experiments beyond membership are measured under, beside plain fine-tuning."""
        asked = [experiments()[name] for name in self.experiments if name != MEMBERSHIP]
        named = self.against or tuple(c for one in asked for c in one.info.defences)
        return tuple(dict.fromkeys(named))

    def _plain(self, bundle: Bundle, epochs: int) -> Run:
        """Fine-tuning without a defence."""
        title = f"no defence, {epochs} epoch{'s' if epochs != 1 else ''}"
        return self._run(bundle, f"{PLAIN}@{epochs}", title, self.training.train, (), epochs)

    def run_under(self, bundle: Bundle, combination: str) -> Run:
        """Fine-tuning to the last epoch under a combination of defences; "" for none.

        Raises:
            TinymiaError: the combination cannot be, or not on this bundle.
        """
        last, depth = self.epochs[-1], self.training.train
        plain = self._plain(bundle, last)
        if not combination:
            return plain
        made = defenses.build(combination, self.values)[0]
        ((name, title),) = names([made])
        return self._run(bundle, f"{name}@{last}", title, depth, made, last, plain)

    def _run(
        self,
        bundle: Bundle,
        name: str,
        title: str,
        depth: str,
        defences: tuple[Defense, ...],
        epochs: int,
        reference: Run | None = None,
    ) -> Run:
        settings = self.training.settings(
            seed=0, epochs=self.epochs[-1], depth=depth, parameters=resolve(bundle, depth)[1]
        )
        size = replace(self.size, classes=len(bundle.labels))
        head = canonical_depth(bundle, depth) == HEAD
        plan = planned_for(settings, defences, size, "" if head else depth_title(depth))
        policy = OutputPolicy(plan.policy.name.lower())
        own = AnswerSettings(policy, plan.levels or self.levels, plan.guard)
        answer = own.under(self.answers[0])
        return Run(name, title, depth, defences, epochs, plan.settings, answer, reference, own)


def _whole(values: defenses.Values, combinations: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Every parameter of every defence that runs: as given, or its default."""
    named = {name for combination in combinations for name in combination.split("+")}
    return {
        kind.name: {
            p.key: _plain(values.get(kind.name, {}).get(p.key, kind.default(p)))
            for p in kind.parameters
        }
        for kind in defenses.KINDS
        if kind.name in named
    }


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def names(variants: Sequence[tuple[Defense, ...]]) -> list[tuple[str, str]]:
    """A short name and a title for each set of defences; numbers only where they tell sets apart.

    Args:
        variants: all of a study, no two equal.

    Returns:
        (name, title) of each, no two names equal.
    """
    kinds = [tuple(d.kind.name for d in made) for made in variants]
    found = []
    for made, of in zip(variants, kinds, strict=True):
        alike = [v for v, k in zip(variants, kinds, strict=True) if k == of]
        words, titles = [], []
        for at, defence in enumerate(made):
            told = _apart([other[at] for other in alike])
            shown = {key: _shortest(defence, key, [other[at] for other in alike]) for key in told}
            phrases = ", ".join(f"{key} {value}" for key, value in shown.items())
            words.append("-".join((of[at], *shown.values())))
            titles.append(f"{defence.kind.short}, {phrases}" if told else defence.kind.short)
        found.append(("+".join(words), " + ".join(titles)))
    return found


def _shortest(defence: Defense, key: str, alike: Sequence[Defense]) -> str:
    """A parameter's value with so many digits that no other defence's looks the same."""
    value = getattr(defence, key)
    others = {float(getattr(other, key)) for other in alike} - {float(value)}
    for digits in range(6, 17):
        text = f"{value:.{digits}g}"
        if all(f"{other:.{digits}g}" != text for other in others):
            return text
    return repr(float(value))


def _apart(alike: Sequence[Defense]) -> list[str]:
    """The parameters in which defences of one kind differ."""
    return [
        parameter.key
        for parameter in alike[0].kind.parameters
        if len({getattr(defence, parameter.key) for defence in alike}) > 1
    ]


def is_deep(run: Run) -> bool:
    """Whether more than the last layer is trained."""
    return run.depth != HEAD


def is_dear(run: Run) -> bool:
    """Whether a shadow device of this run takes long: DP-SGD, augmentation, deep training."""
    return is_deep(run) or run.training.is_private or run.training.augments


def training_seed(seed: int, person_index: int, repetition: int) -> int:
    """Key of the device's generator: the same for all runs of a repetition, so that they pair."""
    return seed << 32 | person_index << 16 | repetition


def device_settings(run: Run, seed: int) -> TrainSettings:
    """The settings of one device of a run."""
    return replace(run.training, seed=seed)


def listed(settings: StudySettings) -> list[tuple[str, str]]:
    """Every setting as text, for people."""
    rows = []
    for item in fields(settings):
        value = getattr(settings, item.name)
        if item.name == "training":
            rows += [(f"training.{f.name}", str(getattr(value, f.name))) for f in fields(value)]
        elif item.name == "values":
            rows += [
                (f"defences.{name}.{key}", _text(number))
                for name, given in sorted(value.items())
                for key, number in sorted(given.items())
            ]
        else:
            rows.append((item.name, _text(value)))
    return rows


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
