"""What an adversary's knowledge means for an attack's name, its words and who can run it."""

from __future__ import annotations

from tinymia.attacks.base import Adversary
from tinymia.evidence import Knowledge

_PHRASE = {
    Knowledge.SAME_PERSON: "",
    Knowledge.HALF: ", half of the person's windows unknown",
    Knowledge.OTHER_PEOPLE: ", shadows of other people",
    Knowledge.MISMATCHED: ", shadows of another recipe",
    Knowledge.UNDEFENDED: ", shadows without the defences",
}


def suffix_of(knowledge: Knowledge) -> str:
    """End of an attack's name: nothing where the adversary has the person's own windows."""
    if knowledge is Knowledge.SAME_PERSON:
        return ""
    return "-others" if knowledge is Knowledge.OTHER_PEOPLE else f"-{knowledge.value}"


def phrase_of(knowledge: Knowledge) -> str:
    """End of an attack's title."""
    return _PHRASE[knowledge]


def adversary_of(knowledge: Knowledge) -> Adversary:
    """Who can train shadow devices with that knowledge, and judges windows one at a time."""
    others = knowledge is Knowledge.OTHER_PEOPLE
    return Adversary.OTHER_PEOPLE if others else Adversary.CANDIDATES
