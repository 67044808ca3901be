"""``tinymia.register``: attacks, defences and sources of data of one's own, in this process."""

from __future__ import annotations

from tinymia.attacks import Attack
from tinymia.attacks import registry as attacks
from tinymia.data import Source
from tinymia.data import registry as sources
from tinymia.defenses import Kind
from tinymia.defenses import registry as defences
from tinymia.errors import PluginError


def register(*items: Attack | Kind | Source) -> None:
    """Add attacks, defences or sources of data to this process: to a notebook, say.

    Audits then run the attack beside tinymia's own, and take the defence and the source by name.
    What was registered before under the same name is replaced, so that a cell can be run again. For
    every process and the command line, a package names them as entry points instead:
    :mod:`tinymia.plugins`.

    Args:
        items: an :class:`~tinymia.attacks.Attack` (which never stands for its adversary in
            verdicts: those that do are fixed beforehand), the
            :class:`~tinymia.defenses.Kind` of a defence that is made of settings that the firmware
            has, or a :class:`~tinymia.data.Source`.

    Raises:
        PluginError: it is none of these, its name is taken, or it cannot be used; says why.

    >>> import tinymia
    >>> tinymia.register("loss")
    Traceback (most recent call last):
    tinymia.errors.PluginError: 'loss' is no attack, defence or source of data. Give ...
    """
    for item in items:
        if isinstance(item, Kind):
            defences.add(item)
        elif isinstance(item, Source):
            sources.add(item)
        elif isinstance(item, Attack):
            attacks.add(item)
        else:
            raise PluginError(
                f"{item!r:.80} is no attack, defence or source of data.",
                "Give an object with info and fit(), a Kind or a Source.",
            )
