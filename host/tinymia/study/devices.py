"""One fine-tuned device: what it was asked and answered, and the name of that in the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import OutputPolicy, Run, digest
from tinymia.study.people import Person
from tinymia.study.store import Store


@dataclass(frozen=True, eq=False)
class Device:
    """The answers of one device at the end of a run.

    Attributes:
        slots: (m,) int64, ascending: the windows that were asked, by place in the person's pool.
        member: (m,) bool.
        answers: (m, views, classes) float32; view 0 is the window itself.
        theta: (P,) float32, what was trained; (0,) where it was not read.
        hash: of the trained weights, 16 hexadecimal digits.
        steps, clipped: examples of the whole training, and those that were clipped.
        ticks: what the training cost in the board's unit; 0 on the twin.
        spare: (spare windows, classes) float32, whole answers to random windows that a defence
            hands out in place of the own; (0, classes) where no run's does.
    """

    slots: NDArray[np.int64]
    member: NDArray[np.bool_]
    answers: NDArray[np.float32]
    theta: NDArray[np.float32]
    hash: str
    steps: int
    clipped: int
    ticks: int
    spare: NDArray[np.float32] | None = None


def device_key(run: Run, person: Person, repetition: int, seed: int, where: str) -> str:
    """Digest of everything that a device's answers depend on.

    Args:
        run: how it was trained and answers.
        person: whose windows.
        repetition: number of the draw.
        seed: of the device's generator.
        where: digest of bundle, firmware and what was asked.
    """
    # Whole answers hold all others, so these are made from them and not stored.
    policy = run.answer.policy
    changed = policy is not OutputPolicy.FULL or run.answer.guard.is_on
    answer = asdict(run.answer) if changed else policy.value
    return digest(
        {
            "recipe": run.recipe,
            "epochs": run.epochs,
            "answer": answer,
            "person": person.digest,
            "member": np.packbits(person.draws[repetition].member).tobytes().hex(),
            "seed": seed,
            "where": where,
        }
    )


def save_device(store: Store, kind: str, key: str, device: Device) -> None:
    """Store a device's answers; raises StudyError."""
    spare = {} if device.spare is None else {"spare": device.spare}
    store.save(
        kind,
        key,
        {
            **spare,
            "slots": device.slots,
            "member": device.member,
            "answers": device.answers,
            "theta": device.theta,
            "hash": np.frombuffer(bytes.fromhex(device.hash), np.uint8),
            "counts": np.array([device.steps, device.clipped, device.ticks], np.int64),
        },
    )


def load_device(store: Store, kind: str, key: str) -> Device:
    """Read a device's answers; raises StudyError."""
    found = store.load(kind, key)
    steps, clipped, ticks = (int(n) for n in found["counts"].tolist())
    return Device(
        found["slots"],
        found["member"],
        found["answers"],
        found["theta"],
        found["hash"].tobytes().hex(),
        steps,
        clipped,
        ticks,
        found.get("spare"),
    )
