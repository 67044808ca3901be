"""Other projects' attacks on a study's devices, beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinymia.attacks.choice import Choice
from tinymia.errors import StudyError
from tinymia.evidence import Run, reveal
from tinymia.experiments.peers.base import Evidence, Peer, PeerAttack, PeerScores, scores_of
from tinymia.experiments.peers.compare import Beside, PersonDevices, compare
from tinymia.experiments.peers.registry import get_peer
from tinymia.experiments.peers.types import PeersFinding, PeerUsed
from tinymia.study.devices import load_device
from tinymia.study.executors import Executor
from tinymia.study.people import Person
from tinymia.study.scoring import Cell, Scoring
from tinymia.study.store import Store

_Found = dict[tuple[str, str], PeerScores | str]


@dataclass
class _Peering:
    """The work on one person's devices; sent to each worker once."""

    scoring: Scoring
    names: tuple[str, ...]

    def __call__(self, cell: Cell) -> _Found:
        """What every attack of every peer says, by peer and attack."""
        evidence = evidence_of(self.scoring, cell)
        found: _Found = {
            (peer.name, attack.name): scores_of(attack, evidence)
            for peer, attack in _attacks(self.names, cell.run, self.scoring.settings.choice)
        }
        self.scoring.lab.forget()
        return found


def installed(names: Sequence[str]) -> dict[str, PeerUsed]:
    """What is installed of each peer; raises StudyError where it is not, or does not import."""
    return {name: get_peer(name).installed() for name in names}


def evidence_of(scoring: Scoring, cell: Cell) -> Evidence:
    """One person's devices as our own attacks see them, with the same shadow devices."""
    run, person = cell.run, scoring.people[cell.person]
    store = Store(scoring.folder)
    shown = [load_device(store, "devices", name).answers[:, 0] for name in cell.devices]
    devices = _devices(person)
    return Evidence(
        candidates=scoring.lab.candidates(run, cell.person),
        answers=np.stack([reveal(answers, run.answer) for answers in shown]),
        member=devices.member,
        counted=devices.counted,
        shadows=scoring.lab.shadows(run, cell.person),
        answer=run.answer,
    )


def peers_finding(
    scoring: Scoring,
    cells: Sequence[Cell],
    main: str,
    found: Mapping[str, PeerUsed],
    executor: Executor,
) -> PeersFinding | None:
    """Run peers on plain fine-tuning under the study's own policy.

    Args:
        scoring: has the shadow devices, and our scores.
        cells: of the study.
        main: name of plain fine-tuning at the last epochs.
        found: peers by name, see :func:`installed`.
        executor: where each person's devices are attacked.

    Returns:
        None where no peer was asked for.
    """
    own = [cell for cell in cells if cell.run.name == main]
    if not found or not own:
        return None
    given = list(executor.map(_Peering(scoring, tuple(found)), own))
    ours = [scoring.scores(cell, cell.run.answer) for cell in own]
    beside = [
        Beside(
            found[peer.name],
            attack,
            [of[peer.name, attack.name] for of in given],
            [of[attack.ours] for of in ours],
        )
        for peer, attack in _attacks(tuple(found), own[0].run, scoring.settings.choice)
        if all(attack.ours in of for of in ours)
    ]
    people = [_devices(scoring.people[cell.person]) for cell in own]
    return compare(main, own[0].run.answer.policy, people, tuple(found.values()), beside)


def check_choice(names: Sequence[str], choice: Choice) -> None:
    """Raise StudyError for a peer none of whose attacks stands beside one that was chosen."""
    for name in names:
        ours = dict.fromkeys(attack.ours for attack in get_peer(name).attacks)
        if choice.names is not None and not choice.names & set(ours):
            raise StudyError(
                f"--with {name} sets attacks beside ours, of which none was chosen.",
                f"Choose one of {', '.join(ours)}, or leave it out.",
            )


def _attacks(names: Sequence[str], run: Run, choice: Choice) -> Iterator[tuple[Peer, PeerAttack]]:
    """What can run on a run's answers, beside one of ours that was chosen."""
    for name in names:
        peer = get_peer(name)
        for attack in peer.attacks:
            chosen = choice.names is None or attack.ours in choice.names
            if chosen and attack.needs <= run.answer.reveals:
                yield peer, attack


def _devices(person: Person) -> PersonDevices:
    return PersonDevices(
        person.name,
        np.stack([draw.member for draw in person.draws]),
        np.stack([draw.member | draw.nonmember for draw in person.draws]),
        person.pool.block,
    )
