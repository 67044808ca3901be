"""What another project's attack gets and gives back, and which of ours it stands beside."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Candidates, Reveals, Shadows
from tinymia.evidence.types import Bools, Floats, Integers
from tinymia.experiments.peers.types import PeerUsed

_SEED = 20170522


@dataclass(frozen=True, eq=False)
class Evidence:
    """The devices of one person, as our own attacks see them.

    Attributes:
        candidates: the person's windows.
        answers: (devices, n, classes) float32, to the windows themselves, under the run's policy.
        member: (devices, n) bool. A peer whose interface wants members apart from non-members is
            given it; ours never is.
        counted: (devices, n) bool: windows that are a member or a non-member of the device's draw.
        shadows: trained on the person's windows, those that our attacks had.
        answer: how devices and shadow devices answered.
    """

    candidates: Candidates
    answers: Floats
    member: Bools
    counted: Bools
    shadows: Shadows
    answer: AnswerSettings

    @property
    def labels(self) -> Integers:
        """(n,) int64, true classes."""
        return self.candidates.labels

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True, eq=False)
class PeerScores:
    """What one attack of a peer says of one person's devices.

    Attributes:
        scores: (devices, n) float64, higher for likelier members (turned round where the peer's are
            lower for them); NaN for windows that do not count.
        own_auc: (devices,) float64, the AUC of each device as the peer's own metric gives it; None
            where it has none.
        alike: (devices, n) float64, our own code with the peer's choices in the place of ours; None
            where there is no such thing. Where the peer disagrees with our attack but not with
            this, those choices are the whole reason.
    """

    scores: NDArray[np.float64]
    own_auc: NDArray[np.float64] | None = None
    alike: NDArray[np.float64] | None = None


class UnavailableError(Exception):
    """An attack needs more than its project does; a sentence says what."""


@dataclass(frozen=True)
class PeerAttack:
    """An attack of a peer.

    Attributes:
        name: unique for the peer: "lira-offline".
        title: for people.
        ours: name of our attack that is meant to compute the same.
        run: gives its scores; raises UnavailableError.
        needs: the least that answers must reveal.
        differs: what it does otherwise, a sentence or more; printed where the figures disagree.
    """

    name: str
    title: str
    ours: str
    run: Callable[[Evidence], PeerScores]
    needs: Reveals = Reveals.ALL_PROBABILITIES
    differs: str = ""


@dataclass(frozen=True)
class Peer:
    """Another project: a module of this package with ``PEER``.

    Attributes:
        name: as in ``--with``; also that of the extra.
        title: for people.
        distribution: its package.
        tested: versions of it with which this was tried.
        install: the command that installs it.
        load: imports what the attacks need; raises ImportError.
        attacks: in the order of the page.
    """

    name: str
    title: str
    distribution: str
    tested: tuple[str, ...]
    install: str
    load: Callable[[], None]
    attacks: tuple[PeerAttack, ...]

    def installed(self) -> PeerUsed:
        """What is installed of it, once it was shown that it imports.

        Raises:
            StudyError: it is not installed, or does not import with the versions of other packages
                that are; the hint says what a person installs.
        """
        hint = f"Install it: {self.install} (in an environment of its own if versions conflict)."
        try:
            found = version(self.distribution)
        except PackageNotFoundError:
            raise StudyError(f"{self.title} is not installed.", hint) from None
        try:
            with quiet():
                self.load()
        except ImportError as error:
            raise StudyError(
                f"{self.title} {found} does not import here: {error}.".replace("..", "."), hint
            ) from error
        return PeerUsed(self.name, self.title, found, self.tested)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings: what a peer warns of is not for our user to mend."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def seeded() -> Iterator[None]:
    """NumPy's global generator, by which peers draw, from a fixed seed; as it was afterwards."""
    before = np.random.get_state()
    np.random.seed(_SEED)
    try:
        yield
    finally:
        np.random.set_state(before)


def scores_of(attack: PeerAttack, evidence: Evidence) -> PeerScores | str:
    """What a peer's attack says, or a sentence why nothing: its faults do not end a study."""
    from threadpoolctl import threadpool_limits  # scikit-learn's own

    try:
        # One thread, so that sums have one order however many processors there are.
        with quiet(), seeded(), threadpool_limits(1):
            return attack.run(evidence)
    except UnavailableError as error:
        return str(error)
    except Exception as error:  # whatever other people's code raises
        return f"Its code failed: {type(error).__name__}: {error}"


def spread(values: NDArray[np.floating], chosen: Bools) -> NDArray[np.float64]:  # type: ignore[type-arg]
    """Values of some windows at their places, NaN elsewhere.

    Args:
        values: (k,), of the chosen windows in order.
        chosen: (n,) bool, k of them.
    """
    row = np.full(len(chosen), np.nan)
    row[chosen] = values
    return row
