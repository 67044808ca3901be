"""The errors that a user can cause: one clear message each, and what to do about it."""

from __future__ import annotations

from typing import Any


class TinymiaError(Exception):
    """A failure that the user can mend; the command line prints it without a traceback.

    Args:
        message: what is wrong, in one sentence.
        hint: what to do about it (optional).

    Attributes:
        exit_status: with which a command ends.
        of_machine: whether disk, memory or a process failed, not what was asked: so would whatever
            else is asked. It passes from worker processes, which a cause does not.
    """

    exit_status = 1
    of_machine = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is, whatever a subclass's ``__init__`` takes: it passes between processes."""
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[TinymiaError], args: tuple[Any, ...], state: dict[str, Any]) -> TinymiaError:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


class DataError(TinymiaError):
    """A data set, a window or a split is missing, damaged or of the wrong shape."""


class ModelError(TinymiaError):
    """A model cannot be trained, converted or read."""


class BundleError(TinymiaError):
    """A bundle is truncated, damaged or of another version."""


class DeviceError(TinymiaError):
    """A board, a simulator or the link to it failed, or it refused a request."""


class TwinError(TinymiaError):
    """The twin's extension is missing or out of date, or it cannot do what is asked."""


class StudyError(TinymiaError):
    """A study's settings or its stored results cannot be used."""


class ReportError(TinymiaError):
    """A report cannot be made from the results given."""


class PolicyError(TinymiaError):
    """A policy for `tinymia check` cannot be read, or asks what there is no answer to."""


class PluginError(TinymiaError):
    """What another package adds (an attack, a defence, a data source) cannot be used."""
