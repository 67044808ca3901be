"""Every option of the verbs that take a file, by verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinymia.attacks.base import Adversary
from tinymia.cli.config import DEFENCES, GUARDS, TRAINING, Chosen, choose, defences
from tinymia.cli.options import DEFAULT_BUNDLE
from tinymia.cli.values import Option, Type
from tinymia.defenses import Site
from tinymia.defenses.registry import KINDS
from tinymia.errors import StudyError
from tinymia.experiments.experiment import experiments
from tinymia.study.settings import SPANS, StudySettings
from tinymia.wire.span import Span

if TYPE_CHECKING:
    from tinymia.device.connect import Interruption

_STUDY = StudySettings()
_BUNDLE = f"bundle to run; else the shipped {DEFAULT_BUNDLE}"
_DATA = "watch (shipped), another name, or a path of your own: see `tinymia data --sources`"
_FORCE = "go on with data that are plainly in other units than the model's"
_COMBINATIONS = "defences to compare; + joins some that act together, all names every one"


def _interruption(section: str) -> tuple[Option, Option]:
    return (
        Option(
            section,
            "on_interruption",
            Type.TEXT,
            "resume",
            "when a board is unplugged or resets: resume (wait for it, rebuild its state, go on to"
            " the same bits) or stop",
        ),
        Option(
            section,
            "wait",
            Type.WHOLE,
            60,
            "seconds to wait for its port",
            within=Span(1, 86400, whole=True),
        ),
    )


_AUDIT = (
    Option(
        "audit",
        "target",
        Type.NAMES,
        ("qemu:netduinoplus2",),
        "board that confirms: qemu:netduinoplus2, serial:/dev/ttyACM0, ...; once for each real"
        " board. twin: alone needs neither compiler nor simulator and confirms nothing",
    ),
    Option("audit", "board_only", Type.SWITCH, False, "run everything on the board, not the twin"),
    Option(
        "audit",
        "confirm",
        Type.WHOLE,
        _STUDY.confirm,
        "repetitions of each person and condition that the board runs as well",
        within=SPANS["confirm"],
    ),
    Option(
        "audit",
        "deep_people",
        Type.WHOLE,
        _STUDY.deep_people,
        "people for whom the board confirms runs that train more than the last layer",
        within=SPANS["deep_people"],
    ),
    Option(
        "audit",
        "deep_epochs",
        Type.WHOLE,
        _STUDY.deep_epochs,
        "epochs of those runs on it",
        within=SPANS["deep_epochs"],
    ),
    Option("audit", "bundle", Type.PATH, None, _BUNDLE),
    Option("audit", "data", Type.TEXT, _STUDY.dataset, _DATA),
    Option(
        "audit", "person", Type.NAMES, (), "person to audit; else all whom the base has not seen"
    ),
    Option(
        "audit",
        "repetitions",
        Type.WHOLE,
        _STUDY.repetitions,
        "draws of members a person",
        within=SPANS["repetitions"],
    ),
    Option(
        "audit",
        "members",
        Type.WHOLE,
        _STUDY.members,
        "windows to fine-tune on",
        within=SPANS["members"],
    ),
    Option(
        "audit",
        "split",
        Type.TEXT,
        _STUDY.split,
        "same-distribution, or cross-arm (members from one arm, non-members from the other)",
    ),
    Option("audit", "epochs", Type.WHOLES, _STUDY.epochs, "where to query", within=SPANS["epochs"]),
    Option("audit", "defences", Type.TEXTS, _STUDY.defences, _COMBINATIONS, "--defence"),
    Option(
        "audit",
        "tune",
        Type.SWITCH,
        False,
        "choose each defence's strength on public people; one that is given is kept",
    ),
    Option(
        "audit",
        "tune_points",
        Type.NUMBER,
        2.0,
        "points of accuracy that a strength may lose there against no defence",
        within=Span(0, 100),
    ),
    Option(
        "audit",
        "experiments",
        Type.TEXTS,
        _STUDY.experiments,
        "questions: membership, all, or " + ", ".join(experiments()),
    ),
    Option(
        "audit",
        "against",
        Type.TEXTS,
        _STUDY.against,
        "defences under which experiments beyond membership run, instead of those that each names",
    ),
    Option("audit", "depths", Type.TEXTS, _STUDY.depths, "what else to train", "--depth"),
    Option(
        "audit",
        "policy",
        Type.TEXT,
        _STUDY.policy,
        "what answers reveal: full, rounded, top1, label",
    ),
    Option(
        "audit",
        "policies",
        Type.TEXTS,
        _STUDY.policies,
        "further policies under which the same devices are attacked, beside full",
        "--also-policy",
    ),
    Option(
        "audit",
        "levels",
        Type.WHOLE,
        _STUDY.levels,
        "steps of a rounded probability",
        within=SPANS["levels"],
    ),
    Option(
        "audit",
        "shadows",
        Type.WHOLE,
        _STUDY.shadows,
        "shadow devices a person and condition",
        within=SPANS["shadows"],
    ),
    Option(
        "audit",
        "dear_shadows",
        Type.WHOLE,
        _STUDY.dear_shadows,
        "the same where each takes long: DP-SGD, augmentation, deep training",
        within=SPANS["dear_shadows"],
    ),
    Option(
        "audit",
        "about",
        Type.WHOLE,
        _STUDY.about,
        "shadow devices about each attacked one, for the joint decoder that closes"
        " in where training bends (about a second a device); 0: none",
        within=SPANS["about"],
    ),
    Option(
        "audit",
        "attacks",
        Type.TEXTS,
        _STUDY.attacks,
        "membership attacks to run, by name or all of an adversary: " + ", ".join(Adversary) + ";"
        " see --list-attacks",
    ),
    Option(
        "audit",
        "whole",
        Type.SWITCH,
        False,
        "as many shadow devices there as elsewhere, and every attack under every policy (an hour)",
    ),
    Option(
        "audit",
        "peers",
        Type.TEXTS,
        _STUDY.peers,
        "other projects whose membership attacks run on the same answers, beside ours: art,"
        " tensorflow-privacy; each is an extra of this package",
        "--with",
    ),
    Option(
        "audit",
        "epsilon_devices",
        Type.WHOLE,
        _STUDY.epsilon_devices,
        "devices in each group that check the claim of DP-SGD; 0: leave it out",
        within=SPANS["epsilon_devices"],
    ),
    Option(
        "audit",
        "no_flash",
        Type.SWITCH,
        False,
        "leave out what each way of training takes of the flash, for which images are built, once",
    ),
    Option("audit", "force", Type.SWITCH, False, _FORCE),
    Option(
        "audit",
        "boards",
        Type.WHOLE,
        0,
        "twins or simulators side by side; 0: one a core",
        within=Span(0, whole=True),
    ),
    Option("audit", "executor", Type.TEXT, "processes", "who attacks: processes, threads, or ray"),
    Option(
        "audit", "address", Type.TEXT, "", "a Ray cluster's, host:port; without: of this machine"
    ),
    *_interruption("audit"),
    Option("audit", "out", Type.PATH, "audit", "folder of the results"),
)
_PERSONALIZE = (
    Option(
        "personalize",
        "target",
        Type.TEXT,
        "qemu:netduinoplus2",
        "where to train: qemu:netduinoplus2, serial:/dev/ttyACM0, twin:",
    ),
    Option("personalize", "bundle", Type.PATH, None, _BUNDLE),
    Option("personalize", "data", Type.TEXT, "watch", _DATA),
    Option("personalize", "person", Type.TEXT, None, "whose windows"),
    Option(
        "personalize", "members", Type.WHOLE, 80, "windows to fine-tune on", within=SPANS["members"]
    ),
    Option(
        "personalize", "epochs", Type.WHOLE, 20, "passes over the members", within=SPANS["epochs"]
    ),
    Option(
        "personalize",
        "defence",
        Type.TEXT,
        "",
        "defences that are on, joined by +; giving a number of one by flag switches it on as well",
    ),
    *_interruption("personalize"),
    Option(
        "personalize",
        "out",
        Type.PATH,
        None,
        "save the personalised bundle here; tinymia export, query and build take it",
    ),
    Option(
        "personalize",
        "force",
        Type.SWITCH,
        False,
        f"{_FORCE}; save the bundle even if training diverged",
    ),
)
AUDIT = (*_AUDIT, *TRAINING, *DEFENCES)
# Defences of answers are no part of a training.
PERSONALIZE = (*_PERSONALIZE, *TRAINING, *(o for o in DEFENCES if o not in GUARDS))
KNOWN = (*_AUDIT, *_PERSONALIZE, *TRAINING, *DEFENCES)


def options_now(verb: str) -> tuple[Option, ...]:
    """Options of "audit" or "personalize", with those of defences that were registered since."""
    own = {"audit": _AUDIT, "personalize": _PERSONALIZE}[verb]
    # Defences of answers are no part of a training.
    left = {f"defences.{k.name}" for k in KINDS if verb != "audit" and k.site is Site.OUTPUT}
    return (*own, *TRAINING, *(option for option in defences() if option.section not in left))


def known_now() -> tuple[Option, ...]:
    """What a file may hold, with what was registered since."""
    return (*_AUDIT, *_PERSONALIZE, *TRAINING, *defences())


WORKING = tuple(option for option in _AUDIT if option.key in ("executor", "address", "boards"))
"""Who works, and how many side by side: nothing that is found depends on it."""


def interruption(asked: Mapping[str, Any], say: Callable[[str], None]) -> Interruption:
    """What a verb does when its board is lost.

    Args:
        asked: the verb's section of what was chosen.
        say: told of interruptions.

    Raises:
        StudyError: neither resume nor stop was asked for.
    """
    from tinymia.device.connect import Interruption

    chosen_way = asked["on_interruption"]
    if chosen_way not in ("resume", "stop"):
        raise StudyError(
            f"There is no way {chosen_way!r} to take an interruption.", "Known: resume, stop."
        )
    return Interruption(chosen_way == "resume", float(asked["wait"]), say)


def chosen(options: tuple[Option, ...], flags: Mapping[str, Any], path: Path | None) -> Chosen:
    """What holds for a verb, see :func:`tinymia.cli.config.choose`."""
    return choose(options, KNOWN, flags, path)
