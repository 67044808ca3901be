"""The joint decoder by a model of the training: few shadow devices, or none, and any policy.

:mod:`tinymia.attacks.joint` learns the way from answers to members as one linear map, and so needs
shadow devices by the hundred. But how a head answers to its members is largely known beforehand:
gradient descent filters their gradients (:mod:`tinymia.attacks.templates`). A few numbers are left
for shadow devices to teach (:mod:`tinymia.attacks.response`), or for the recipe to tell
(:mod:`tinymia.attacks.linearised`). What the device's policy lets through is turned into what it
says of the weights by its likelihood, and that into membership bits by expectation propagation
(:mod:`tinymia.attacks.posterior`).

Related work. That windows' memberships depend on each other once the model is seen: Du et al.,
Cascading and Proxy Membership Inference Attacks, NDSS 2026 (arXiv 2507.21412), who condition shadow
models on members that are already found, one round after the other. Learning the inverse of
training from shadow models: Salem et al., Updates-Leak, USENIX Security 2020, and Balle, Cherubin
and Hayes, IEEE S&P 2022, whose reconstructor network maps weights to one unknown example. That
dependent members are easier to find: Humphries et al., arXiv 2010.12112. None decodes a whole set
at once by a model of its training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.heads import Doubles, Readout
from tinymia.attacks.joint import bits_of, log_probabilities
from tinymia.attacks.knowing import phrase_of, suffix_of
from tinymia.attacks.linearised import Linearised
from tinymia.attacks.posterior import Locator, likelihood_of, log_odds
from tinymia.attacks.response import Law, Prior, Response
from tinymia.attacks.ridge import calibrate, ridge
from tinymia.attacks.signals import completed, remembered
from tinymia.attacks.softmax import head_of, read_by_head
from tinymia.attacks.steps import Steps, follows
from tinymia.attacks.taught import templates_of
from tinymia.attacks.templates import KernelTemplates, Templates
from tinymia.attacks.wary import Wary
from tinymia.errors import StudyError
from tinymia.evidence import (
    AnswerSettings,
    Candidates,
    Knowledge,
    Lab,
    Reveals,
    Run,
    Scorer,
    Scores,
    Shadows,
    Target,
    Told,
    told,
    untempered,
)
from tinymia.evidence.types import Bools, Integers

REFERENCE = "this project; cf. Du et al., NDSS 2026, and Balle et al., IEEE S&P 2022"
_RETIMINGS = 2
"""How often a device's length of training is estimated anew from where it was located."""
_LEAST = 4
_LIMITS = (
    "One law is taken to hold for all devices of a run: where training bends, as with deeper"
    " layers, who trains shadow devices about each device finds more (joint-closer)."
)


@dataclass(frozen=True, eq=False)
class Units:
    """What is decoded: windows that are members together, or single windows.

    Attributes:
        of: (n,) 0 to G - 1.
        labels: (G,), the class of each unit's first window.
    """

    of: Integers
    labels: Integers

    @classmethod
    def among(cls, candidates: Candidates, grouped: bool = True) -> Units:
        """Those of a person's windows."""
        of = bits_of(candidates) if grouped else np.arange(len(candidates))
        return cls(of, candidates.labels[np.unique(of, return_index=True)[1]])

    def members(self, shadows: Shadows) -> Bools:
        """(s, G)."""
        return shadows.member[:, np.unique(self.of, return_index=True)[1]]


class Laws(Protocol):
    """Laws of devices, see :class:`Response`, :class:`Wary` and :class:`Linearised`."""

    readout: Readout

    def at(self, matrix: Doubles | None) -> Law:
        """The law of devices like this one; None: of most."""
        ...


@dataclass(frozen=True, eq=False)
class Judge:
    """Scores devices by their answers, or by their weights.

    Attributes:
        answer: under which policy they answer.
        laws: of their training.
        units: what is decoded.
        retimings: how often the law is chosen anew from where a device's weights were located.
        spread: (n,), by how much a defence of answers moves logits, see :func:`likelihood_of`.
    """

    answer: AnswerSettings
    laws: Laws
    units: Units
    retimings: int = 0
    spread: Doubles | None = None

    @cached_property
    def _usual(self) -> Locator:
        return Locator(self.laws.at(None))

    def __call__(self, target: Target) -> Scores:
        """(n,) log odds."""
        answers = untempered(target.answers[:, 0], self.answer)
        if self.answer.is_exact and self._enough(answers):
            return self.by_matrix(self.laws.readout.of_whole(answers[None])[0])
        likelihood = likelihood_of(answers, self.answer, self.laws.readout.missed, self.spread)
        locator = self._usual
        found = locator.locate(likelihood)
        for _ in range(self.retimings):
            locator = Locator(self.laws.at(locator.matrix(found[0])))
            found = locator.locate(likelihood)
        return log_odds(*locator.evidence(*found), locator.law.prior)[self.units.of]

    def _enough(self, answers: NDArray[np.float32]) -> bool:
        """Whether whole answers, which need not be all, determine the matrix."""
        whole = told(answers, self.answer) == Told.AS_AGREED
        return bool(whole.all() or whole.sum() >= 2 * self.laws.readout.shape[1])

    def by_matrix(self, matrix: Doubles) -> Scores:
        """(n,) log odds for a device whose matrix (k, q) is known."""
        law = self.laws.at(matrix)
        odds = log_odds(law.information, law.weighted @ law.whiten(matrix), law.prior)
        return odds[self.units.of]


@dataclass(frozen=True)
class ModelDecoder:
    """All membership bits from all that a device shows, by a model of its training.

    Attributes:
        knowledge: what the shadow devices are trained on.
        grouped: whether the adversary knows which windows are members together.
        weights: whether the trained weights are read instead of the answers.
        headline: see :class:`AttackInfo`.
    """

    knowledge: Knowledge = Knowledge.SAME_PERSON
    grouped: bool = True
    weights: bool = False
    headline: bool = False

    @property
    def info(self) -> AttackInfo:
        """See :class:`AttackInfo`."""
        what = f"joint-model{'-weights' * self.weights}{'' if self.grouped else '-windows'}"
        return AttackInfo(
            name=what + suffix_of(self.knowledge),
            title=f"Joint decoder by a model of training{', of the weights' * self.weights}"
            f"{'' if self.grouped else ', window by window'}{phrase_of(self.knowledge)}",
            reference=REFERENCE,
            adversary=Adversary.FLASH if self.weights else Adversary.JOINT,
            # Those that stand for nobody are tried where there is most to see.
            needs=Reveals.LABEL if self.headline else Reveals.ALL_PROBABILITIES,
            knowledge=self.knowledge,
            weights=self.weights,
            headline=self.headline,
            limits=("It knows which windows were recorded together. " * self.grouped) + _LIMITS,
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See :class:`Attack`.

        Raises:
            StudyError: there are fewer than four shadow devices.
        """
        if self.weights and lab.candidates(run, person).features is None:
            return _deep_weights(lab, run, person, self.knowledge)
        shadows = lab.shadows(run.whole, person, self.knowledge)
        key = "scorer", self, run.recipe, run.epochs, run.answer, shadows.member.shape
        return remembered(shadows, key, lambda: self._fit(lab, run, person))

    def _fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        candidates = lab.candidates(run.whole, person)
        laws: Laws
        if self.knowledge is Knowledge.SAME_PERSON and follows(run, candidates):
            # The steps are known better than shadow devices show; these tell who may be a member.
            units = Units.among(candidates, self.grouped)
            member = units.members(lab.shadows(run.whole, person, self.knowledge))
            prior = prior_of(member, units, self.grouped)
            laws, times = Steps(candidates, units.of, run, prior), 1
        else:
            response, units = respond(lab, run, person, self.knowledge, grouped=self.grouped)
            if response is None:
                return lambda target: np.zeros(len(target.candidates))
            laws, times = response, _RETIMINGS if response.timed else 0
        if self.weights:
            judge = Judge(AnswerSettings(), laws, units)

            def score(target: Target) -> Scores:
                assert target.theta is not None, "the target's weights are not granted"
                head = head_of(target.theta, target.candidates.classes)
                return judge.by_matrix(laws.readout.of_weights(head))

            return score
        spread = spread_by_guard(lab, run, person, self.knowledge)
        if isinstance(laws, Response) and self.knowledge is not Knowledge.SAME_PERSON:
            laws, times = Wary(laws, units.labels), _RETIMINGS
        return Judge(run.answer, laws, units, times, spread)


def spread_by_guard(lab: Lab, run: Run, person: str, knowledge: Knowledge) -> Doubles | None:
    """(n,), mean square by which MemGuard moves each window's centred logits in shadow devices.

    What it does to an answer follows no law that could be written down; how far it goes, the
    adversary's own devices show.
    """
    if not run.answer.guard.classifier:
        return None
    moved = lab.shadows(run, person, knowledge).answers[:, :, 0]
    whole = lab.shadows(run.whole, person, knowledge).answers[:, :, 0]
    soft = softened(whole, run.answer)
    difference = log_probabilities(completed(moved), AnswerSettings()) - soft
    return np.asarray((difference**2).mean(axis=(0, 2)) + 1e-9)


def softened(whole: NDArray[np.float32], answer: AnswerSettings) -> Doubles:
    """Centred logits of whole answers as a temperature leaves them: (..., classes)."""
    return log_probabilities(whole, AnswerSettings()) / (answer.guard.temperature or 1.0)


def _deep_weights(lab: Lab, run: Run, person: str, knowledge: Knowledge) -> Scorer:
    """Where there is no model of the training: a ridge regression, as ``joint-weights`` has it, of
    weights in units of their spread over shadow devices."""
    shadows = lab.shadows(run, person, knowledge)
    assert shadows.theta is not None, "the lab gives no weights"
    units = Units.among(lab.candidates(run, person))
    theta = shadows.theta.astype(np.float64)
    spread = theta.std(axis=0)
    spread += 1e-6 * max(float(spread.max()), 1e-30)
    member = units.members(shadows)
    fitted = ridge(theta / spread, member.astype(np.float64))
    calibration = calibrate(fitted.left_out, member)

    def score(target: Target) -> Scores:
        assert target.theta is not None, "the target's weights are not granted"
        decoded = fitted.decode(target.theta.astype(np.float64) / spread)
        return np.asarray(calibration.ratio(decoded)[units.of], np.float64)

    return score


def respond(
    lab: Lab, run: Run, person: str, knowledge: Knowledge, *, grouped: bool = True
) -> tuple[Response | None, Units]:
    """The model of a run's devices, made once for all attacks; None where training moves nothing.

    The adversary sees shadow devices' answers whole, whatever the attacked one's policy: they are
    the adversary's own.

    Args:
        lab: candidates and shadow devices.
        run: which run; how it answers matters where deep networks' answers are summarised.
        person: whose devices.
        knowledge: what the shadow devices are trained on.
        grouped: whether it is known which windows are members together.

    Raises:
        StudyError: there are fewer than four shadow devices.
    """
    whole = run.whole
    candidates = lab.candidates(whole, person)
    shadows = lab.shadows(whole, person, knowledge)
    if len(shadows) < _LEAST:
        raise StudyError(
            f"{len(shadows)} shadow devices are too few for a model of the training.",
            f"Give {_LEAST} at least; 64 find nearly all that there is to find.",
        )
    units = Units.among(candidates, grouped)
    # Locating a device that hides something takes equations in all numbers of its matrix.
    brief = candidates.features is None and not run.answer.is_exact
    informed = knowledge is not Knowledge.UNDEFENDED

    def make() -> Response | None:
        prior = prior_of(units.members(shadows), units, grouped)
        return _response(whole, candidates, shadows, units, prior, informed, brief)

    key = "response", run.recipe, grouped, brief, informed, candidates.group.tobytes()
    return remembered(shadows, key, make), units


def response_of(
    run: Run, candidates: Candidates, shadows: Shadows, units: Units, prior: Prior
) -> Response | None:
    """The model of devices like some shadow devices; None where training moves nothing.

    Args:
        run: how all were trained, and how the attacked one answers.
        candidates: with whole answers of the base model.
        shadows: with whole answers.
        units: what is decoded.
        prior: of the attacked device's members, who need not be drawn as those of the shadows.
    """
    brief = candidates.features is None and not run.answer.is_exact
    return _response(run.whole, candidates, shadows, units, prior, True, brief)


def _response(
    run: Run,
    candidates: Candidates,
    shadows: Shadows,
    units: Units,
    prior: Prior,
    informed: bool,
    brief: bool,
) -> Response | None:
    answers, labels = shadows.answers[:, :, 0], candidates.labels
    is_head = candidates.features is not None and candidates.head is not None
    if is_head:
        readout, start = _head(candidates)
    else:
        readout = Readout.of_answers(answers, brief)
        start = readout.of_whole(candidates.base[None, :, 0])[0]
    matrices = readout.of_whole(answers)
    mean = matrices.mean(axis=0)
    if not np.abs(matrices - mean).max() > 1e-5 * np.abs(matrices).max():
        return None
    templates: Templates
    if is_head:
        known = run if informed else None
        templates = templates_of(known, candidates, readout, units.of, start, mean)
    else:
        base = np.asarray(candidates.base[:, 0], np.float64)
        templates = KernelTemplates(readout, matrices, labels, units.of, base)
    return Response(readout, templates, matrices, units.members(shadows), start, prior)


def prior_of(member: Bools, units: Units, grouped: bool) -> Prior:
    """What shadow devices' members (s, G) tell of other devices'."""
    if grouped:
        return Prior.learnt(member, units.labels)
    return Prior.independent(len(units.labels), float(member.mean()))


def _head(candidates: Candidates) -> tuple[Readout, Doubles]:
    """How a head's answers follow from its matrix, and the public head's."""
    assert candidates.head is not None
    readout = Readout.of_head(read_by_head(candidates), candidates.classes)
    return readout, readout.of_weights(candidates.head)


@dataclass(frozen=True)
class UntrainedDecoder:
    """The same by one who trains no shadow devices: the recipe tells what they would show."""

    info: ClassVar[AttackInfo] = AttackInfo(
        name="joint-untrained",
        title="Joint decoder by the recipe",
        reference="this project; cf. Koh and Liang, ICML 2017, and Mandt et al., JMLR 2017",
        adversary=Adversary.JOINT,
        needs=Reveals.ALL_PROBABILITIES,
        head_only=True,
        calibrated=True,
        limits="It trains no shadow devices; it knows the recipe, and which windows were recorded "
        "together. RelaxLoss, pruning and rounding it takes for noise about plain training.",
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See :class:`Attack`; nothing is asked of the lab but the candidates."""
        candidates = lab.candidates(run.whole, person)
        units = Units.among(candidates)
        if follows(run, candidates):
            return Judge(run.answer, Steps(candidates, units.of, run), units, 1)
        readout, start = _head(candidates)
        read = read_by_head(candidates)
        laws = Linearised(readout, read, candidates.labels, units.of, start, run)
        return Judge(run.answer, laws, units, 1)


ATTACKS: tuple[Attack, ...] = (
    ModelDecoder(headline=True),
    ModelDecoder(grouped=False),
    ModelDecoder(Knowledge.HALF),
    ModelDecoder(Knowledge.MISMATCHED),
    ModelDecoder(Knowledge.UNDEFENDED),
    ModelDecoder(weights=True, headline=True),
    UntrainedDecoder(),
)
