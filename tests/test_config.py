"""Options in a TOML file and by flag: one list, one meaning, and mistakes are named."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import click
import pytest

from tinymia.cli.catalogue import AUDIT, KNOWN, PERSONALIZE, chosen
from tinymia.cli.config import Chosen, read
from tinymia.cli.options import RATE
from tinymia.cli.values import Type
from tinymia.compat import tomllib
from tinymia.errors import StudyError
from tinymia.study.settings import StudySettings, names
from tinymia.wire.settings import TrainSettings, setting_called
from tinymia.wire.span import Span

ROOT = Path(__file__).resolve().parents[1]


def of_audit(*flags: str, config: str = "", folder: Path | None = None) -> Chosen:
    """What `tinymia audit` makes of flags and a file's text."""
    from tinymia.cli.audit import command

    words = list(flags)
    if folder is not None:
        (folder / "a.toml").write_text(config)
        words += ["--config", str(folder / "a.toml")]
    parsed = command.make_context("audit", words).params
    path = parsed.pop("config")
    parsed.pop("fresh")
    return chosen(AUDIT, parsed, path)


def settings_of(made: Chosen) -> StudySettings:
    asked = made["audit"]
    return StudySettings(
        epochs=asked["epochs"],
        defences=asked["defences"],
        depths=asked["depths"],
        training=made.training,
        values=made.parameters_of(asked["defences"]),
    )


def test_without_flags_and_file_the_defaults_hold() -> None:
    assert settings_of(of_audit()) == StudySettings()


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    text = "[training]\nbatch = 4\nlearning_rate = 1\n[defences.clip]\nnorm = 3\n"
    made = of_audit("--batch", "2", config=text, folder=tmp_path)
    assert made.training.batch == 2
    assert made.training.learning_rate == 1.0
    assert made.training.optimizer == "sgd"
    assert made.parameters["clip"] == {"norm": 3.0}
    assert made.flags == {("training", "batch")}


def test_lists_by_flag_and_in_a_file_are_the_same(tmp_path: Path) -> None:
    text = """
    [audit]
    epochs = [2, 9]
    person = ["a, b"]
    defences = ["clip", "dp"]
    depths = []
    [defences.dp]
    noise = [0.5, 2]
    """
    flags = ["--epochs", "2,9", "--person", "a, b", "--defence", "clip,dp", "--depth", ""]
    filed = of_audit(config=text, folder=tmp_path)
    flagged = of_audit(*flags, "--noise", "0.5,2")
    assert filed.values == flagged.values
    assert [name for name, _ in names(settings_of(filed).variants())] == ["clip", "dp-0.5", "dp-2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[training]\nlearning_rat = 1", "no key 'learning_rat' in [training].*'learning_rate'"),
        ("[defences.clap]\nnorm = 1", "no table [defences.clap].*'clip'"),
        ("[defences.dp]\nnoises = 1", "no key 'noises' in [defences.dp].*'noise'"),
        ("[trainning]\nbatch = 1", "no table [trainning].*'training'"),
        ("[training]\nbatch = 'eight'", "training.batch must be a whole number, not 'eight'"),
        ("[training]\nbatch = 8.5", "training.batch must be a whole number, not 8.5"),
        ("[training]\nbatch = true", "training.batch must be a whole number, not True"),
        ("[training]\nbatch = 70000", "training.batch is 70000.*range 1 to 65535"),
        ("[training]\noptimizer = 3", "training.optimizer must be a text, not 3"),
        ("[audit]\nepochs = [1, 'x']", "audit.epochs must be a list of whole numbers"),
        ("[audit]\nboard_only = 1", "audit.board_only must be true or false, not 1"),
        ("[personalize]\nepochs = 0", "personalize.epochs is 0.*range 1 to 65535"),
        ("training = 5", "training must be a table, not 5"),
        ("[defences]\nclip = 1", "defences.clip must be a table, not 1"),
        ("[training\nbatch = 1", "is not TOML"),
    ],
)
def test_a_mistake_in_a_file_names_file_and_key(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(StudyError) as caught:
        read(path, KNOWN)
    assert "mine.toml" in caught.value.message
    pattern = ".*".join(re.escape(part) for part in says.split(".*"))
    assert re.search(pattern, str(caught.value)), str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"Cannot read .*none\.toml"):
        read(tmp_path / "none.toml", KNOWN)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--optimizer", "adm"], "no optimizer 'adm'.*'adam'"),
        (["--schedule", "cosin"], "no schedule 'cosin'.*'cosine'"),
        (["--train", "last:0"], "does not say what to train"),
        (["--defence", "clipp"], "no defence 'clipp'.*'clip'"),
        (["--defence", "dp+clip"], "does not go together with 'clip'"),
        (["--defence", "dp+mixup"], "does not go together with 'mixup'"),
        (["--defence", "clip+clip"], "name one twice"),
        (["--depth", "everything"], "does not say what to train"),
        (["--clip", "0"], "clip norm of 0"),
        (["--noise", "0"], "noise multiplier of 0"),
        (["--dp-clip", "0"], "clip norm of 0.* DP-SGD"),
        (["--noise", "nan"], "noise multiplier of nan"),
        (["--noise", "1,1"], "one or more different values"),
        (["--l2", "2"], "L2 strength"),
        (["--dropout", "1"], "dropout of 1"),
        (["--holdout", "80"], "Holding out 80 %"),
        (["--mixup", "-1"], "mixup alpha"),
        (["--rotation", "9"], "rotation of 9"),
        (["--jitter", "0", "--scaling", "0", "--rotation", "0", "--shift", "0"], "is no defence"),
        (["--confidence-penalty", "1"], "no condition has.*--defence penalty"),
        (["--defence", "penalty", "--confidence-penalty", "0"], "confidence penalty of 0"),
        (["--defence", "focal", "--focal", "0.5"], "gamma of focal loss of 0.5"),
        (["--defence", "relax", "--relax", "11"], "alpha of RelaxLoss of 11"),
        (["--defence", "hamp", "--hamp-entropy", "1"], "with 1.0 of the greatest entropy"),
        (["--defence", "l2-sp", "--l2-sp", "2"], "pull to the base network of 2"),
        (["--defence", "round-weights", "--round-bits", "8,1"], "weights to 1 bits"),
        (["--defence", "round-weights", "--round-bits", "8,8"], "one or more different values"),
        (["--defence", "prune", "--prune", "1"], "Pruning of 1"),
        (["--defence", "hamp+smooth"], "HAMP.* does not go together with 'smooth'"),
        (["--defence", "relax+dp"], "RelaxLoss does not go together with 'dp'"),
        (["--defence", "l2+l2-sp"], "does not go together with 'l2'"),
        (["--defence", "early-stop+prune"], "does not go together with 'early-stop'"),
        (["--delta", "1"], "delta of 1"),
        (["--dp-slowdown", "0"], "slowdown of 0"),
        (["--epochs", "1,x"], "is not a list of whole numbers"),
    ],
)
def test_a_mistake_in_a_flag_is_one_message(flags: list[str], says: str) -> None:
    with pytest.raises(StudyError) as caught:
        settings_of(of_audit(*flags))
    assert re.search(says, str(caught.value)), str(caught.value)


def test_every_switch_of_the_device_can_be_set() -> None:
    """Training options and defences together reach every field of the device's settings."""
    from tinymia.defenses import TrainingSize
    from tinymia.defenses.base import with_defences
    from tinymia.defenses.registry import build
    from tinymia.study.training import TrainingOptions
    from tinymia.wire.settings import Parameters

    options = TrainingOptions(
        "all", 0.3, 4, "adam", momentum=0.8, beta2=0.9, schedule="cosine", schedule_epochs=7
    )
    settings = options.settings(seed=3, epochs=9, parameters=Parameters.BIASES)
    everything = build("smooth+l2+dropout+early-stop+mixup+augment", {})[0]
    private = build("dp", {"dp": {"noise": 1.5}})[0]
    size = TrainingSize(80, 4, 9, classes=7)
    settings = with_defences(settings, (*everything, *private), size)
    objectives = ("penalty", "focal", "relax", "l2-sp", "dmp", "selena", "mmd", "stacking")
    for name in (*objectives, "adversarial", "screen"):
        rate = {"adversarial": {"rate": 0.01}}
        settings = with_defences(settings, build(name, rate)[0], size)
    weights = replace(settings, trained=Parameters.WEIGHTS)
    weights = with_defences(
        weights, build("round-weights+prune", {"round-weights": {"bits": 4}})[0], size
    )
    settings = replace(weights, trained=settings.trained)
    default = TrainSettings()
    same = [
        f.name for f in fields(default) if getattr(settings, f.name) == getattr(default, f.name)
    ]
    assert same == ["shaped"]
    shaped = with_defences(default, build("dp-public", {})[0], TrainingSize(80, 4, 9))
    assert shaped.shaped == 1


def test_an_unset_schedule_takes_the_whole_run() -> None:
    from tinymia.study.training import TrainingOptions

    assert TrainingOptions(schedule="linear").settings(seed=0, epochs=9).schedule_epochs == 9
    assert TrainingOptions().settings(seed=0, epochs=9).schedule_epochs == 0


@pytest.mark.parametrize("options", [AUDIT, PERSONALIZE])
def test_no_flag_is_there_twice(options: tuple) -> None:
    flags = [option.flag or f"--{option.key.replace('_', '-')}" for option in options]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("verb", ["audit", "personalize"])
def test_the_shipped_example_names_every_option_with_its_default(verb: str) -> None:
    path = ROOT / "host" / "examples" / f"{verb}.toml"
    options = {(o.section, o.key): o for o in (AUDIT if verb == "audit" else PERSONALIZE)}
    found = read(path, KNOWN)
    for key, value in found.items():
        if key != ("personalize", "person"):
            assert options[key].default == value, key
    left_out = {key for key, option in options.items() if option.default not in (None, "", ())}
    assert left_out <= set(found) | {("personalize", "person")}
    assert tomllib.loads(path.read_text())


def test_help_shows_the_flags_under_the_tables_of_a_file() -> None:
    from tinymia.cli.audit import command

    text = command.get_help(click.Context(command, info_name="audit"))
    for title in ("Options  [audit]", "Training  [training]", "Defences  [defences.NAME]"):
        assert title in text
    assert "--dropout" in text[text.index("Defences") :]


def test_an_account_is_of_a_training_of_that_size() -> None:
    from tinymia.defenses import TrainingSize
    from tinymia.defenses.dp_sgd import DpSgd

    made = DpSgd(noise=3.0)
    small, large = (made.account(TrainingSize(80, 8, epochs)) for epochs in (5, 50))
    assert (small.rate, small.steps) == (0.1, 50)
    assert small.added.best < large.added.best < large.replaced.best
    # The last, smaller batch is a step too.
    assert made.account(TrainingSize(82, 8, 1)).steps == 11


def of_personalize(*flags: str) -> Chosen:
    from tinymia.cli.personalize import command

    parsed = command.make_context("personalize", list(flags)).params
    path = parsed.pop("config")
    return chosen(PERSONALIZE, parsed, path)


def test_one_device_has_one_strength() -> None:
    """Of a defence whose default in an audit are several, the first; what was given must be one."""
    from tinymia.cli.fitting import defences_of
    from tinymia.defenses.registry import KINDS

    spread = [kind.name for kind in KINDS if len(kind.spread) > 1]
    assert {"dp", "dp-public", "round-weights"} <= set(spread)
    for name in spread:
        (made,) = defences_of(of_personalize("--defence", name))
        assert made.kind.name == name
    with pytest.raises(StudyError, match="One run has one value of --noise"):
        defences_of(of_personalize("--defence", "dp", "--noise", "1,2"))


def verbs(group: click.Group, words: str = "tinymia") -> Iterator[tuple[str, click.Command]]:
    """Every verb with its name, those of groups as well."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from verbs(command, f"{words} {name}")
        elif command is not None:
            yield f"{words} {name}", command


def test_help_says_where_every_number_may_lie() -> None:
    from tinymia.cli.main import cli

    numbers = {Type.NUMBER, Type.NUMBERS, Type.WHOLE, Type.WHOLES}
    of_files = {o.name for o in KNOWN if o.type in numbers}
    silent, seen = [], set()
    for name, command in verbs(cli):
        for option in command.params:
            kind = type(option.type)
            plain = issubclass(kind, click.types.IntParamType | click.types.FloatParamType)
            if not plain and option.name not in of_files:
                continue
            seen.add(option.name)
            record = option.get_help_record(click.Context(command))
            assert record is not None
            if not re.search(r"\bx[<>]|[<>]=?x\b", record[1]):
                silent.append(f"{name} {option.opts[0]}")
    assert not silent
    assert of_files <= seen  # by flag, too


def test_a_number_lies_where_help_says() -> None:
    """Of a defence in its own words, of all else by the option; a file's as a flag's."""
    for option in KNOWN:
        if option.within is None or option.type not in (Type.WHOLE, Type.NUMBER):
            continue
        assert option.within.holds(option.default), option
        wrong: list[float] = [-1]
        wrong += [option.within.most * 2] if option.within.most < math.inf else []
        wrong += [math.nan, math.inf] if option.type is Type.NUMBER else []
        for value in wrong:
            with pytest.raises(StudyError, match="not in the range"):
                option.from_flag(value)
            with pytest.raises(StudyError, match="not in the range"):
                option.from_file(value, "here")
    rate = setting_called("learning_rate")
    assert (RATE.min, RATE.max) == (rate.least, rate.most)


@pytest.mark.parametrize(
    ("span", "words", "brief", "inside", "outside"),
    [
        (Span(1, 5, whole=True), "1 to 5", "1<=x<=5", [1, 5.0], [0, 6, 2.5, math.nan]),
        (Span(16, 64, off=True), "0 or 16 to 64", "0 or 16<=x<=64", [0, 16], [1, 65, math.inf]),
        (Span(0, 1, True, True), "above 0 to below 1", "0<x<1", [0.5], [0, 1, -1]),
        (Span(0, whole=True), "0 or more", "x>=0", [0, 10**400 // 10**399], [-1, 10**400]),
        (Span(0, 2**64 - 1), "0 to 2^64 - 1", "0<=x<=2^64 - 1", [0], [-1]),
        (Span(0, 1, single=True), "0 to 1", "0<=x<=1", [0, 1 + 1e-9], [1e-60, 1.1]),
    ],
)
def test_spans(
    span: Span, words: str, brief: str, inside: list[float], outside: list[float]
) -> None:
    assert (str(span), span.brief) == (words, brief)
    assert all(map(span.holds, inside))
    assert not any(map(span.holds, outside))
