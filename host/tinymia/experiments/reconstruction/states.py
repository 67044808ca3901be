"""Who sees two states of a device, with and without one window, finds that window.

Learnt alone on top of what is there, its rank-one update gives it exactly. Learnt, or forgotten, by
training all again, the weights move by the loss's inverse Hessian times the window's gradient:
Bertran et al. (2024) estimate the Hessian on public people's windows and undo it.
"""

from __future__ import annotations

import numpy as np

from tinymia.attacks.softmax import head_of, mean_hessian, probabilities, residuals, with_one
from tinymia.evidence import Run
from tinymia.experiments.gradients.attack import Server
from tinymia.experiments.gradients.lattice import Doubles, whole_rows


def alone(server: Server, before: Doubles, after: Doubles) -> Doubles | None:
    """(d,) codes above the zero point of a window that was learnt alone; None: nothing whole."""
    off = float(np.sqrt((np.spacing(before.astype(np.float32)).astype(float) ** 2).mean()))
    rows = whole_rows(server.scaled(after - before), off / server.scale, *server.box, 1)
    return rows[0].astype(np.float64) if len(rows) else None


def hessian(server: Server, run: Run, theta: Doubles, count: int) -> Doubles:
    """(P, P): of the mean loss of public windows at some weights, as far as training goes.

    Classes in rows, features and bias in columns.

    Args:
        server: knows public people.
        run: its rate, batch and epochs damp the Hessian, see ``early_stopping``.
        theta: (P,).
        count: windows of a device.
    """
    read = server.public_read
    found = mean_hessian(probabilities(head_of(theta, server.classes), read), read)
    t = run.training
    epochs = min(run.epochs, t.schedule_epochs or run.epochs)
    steps = max(1, epochs) * max(1.0, count / t.batch)
    damping = 1.0 / (t.learning_rate * steps)
    return found + damping * np.eye(len(found))


def gradient(server: Server, run: Run, less: Doubles, more: Doubles, count: int) -> Doubles:
    """(classes, d + 1): the window's gradient, up to noise: of the state without it and with it."""
    moved = head_of(less, server.classes) - head_of(more, server.classes)
    undone = hessian(server, run, more, count) @ moved.ravel()
    return np.asarray(count * undone.reshape(moved.shape))


def window_of(server: Server, found: Doubles) -> tuple[Doubles, int]:
    """The most likely input (codes above the zero point) and label behind a gradient.

    Args:
        server: its prior gives the size, which the noisy bias does not.
        found: (classes, d + 1).
    """
    left, _, right = np.linalg.svd(found, full_matrices=False)
    pull, row = left[:, 0], right[0]
    if row[:-1].sum() < 0:  # features are above 0, so that the true class alone is below
        pull, row = -pull, -row
    label = int(pull.argmin())
    mean = server.prior.mean[label]
    size = float(row[:-1] @ mean) / float(row[:-1] @ row[:-1])
    return np.asarray(np.clip(row[:-1] * size, 0.0, None)), label


def likeness(server: Server, theta: Doubles, found: Doubles, inputs: Doubles) -> Doubles:
    """(n,): how like a gradient that was found is to each window's, under its likeliest label.

    Args:
        server: knows the scale of inputs.
        theta: (P,), the weights at which windows have their gradients.
        found: (classes, d + 1).
        inputs: (n, d), codes above the zero point.
    """
    read = with_one(inputs * server.scale)
    probs = probabilities(head_of(theta, server.classes), read)
    best = np.full(len(read), -np.inf)
    for label in range(server.classes):
        pulled = residuals(probs, np.full(len(read), label))
        inner = ((pulled @ found) * read).sum(axis=1)
        size = np.linalg.norm(pulled, axis=1) * np.linalg.norm(read, axis=1)
        best = np.maximum(best, inner / np.maximum(size, 1e-12))
    return best
