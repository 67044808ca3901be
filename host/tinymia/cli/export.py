"""`tinymia export`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.config import GUARDS, flags_of, values_of
from tinymia.cli.options import (
    BETWEEN,
    FilePath,
    Finite,
    data_option,
    default_bundle,
    json_option,
    load_bundle,
    note,
    print_json,
    thousands,
)

if TYPE_CHECKING:
    from tinymia.defenses import Defense
    from tinymia.defenses.output_noise import OutputNoise
    from tinymia.export.bundle import Bundle
    from tinymia.export.update_rule import UpdateRule


@click.command()
@click.option(
    "--personalized",
    "personal_path",
    type=FilePath(),
    help="Bundle that `tinymia personalize --out` wrote.",
)
@click.option(
    "--base",
    type=FilePath(),
    help="Complete int8 model to write the tail into.  [default: the shipped har-watch.tflite]",
)
@click.option(
    "--out",
    type=FilePath(),
    help="The complete personalised int8 model, or the bundle with a budget."
    "  [default: personal.tflite, private.bundle]",
)
@data_option
@click.option("--person", help="Check accuracy on this person's windows (default: whose it is).")
@click.option("--image", type=FilePath(), help="Also bake it into a firmware image (.elf).")
@click.option(
    "--budget-epsilon",
    type=Finite(0, min_open=True),
    help="Write a privacy budget into --bundle instead: a device then trains with DP-SGD only, and"
    " stops when this epsilon is spent.",
)
@click.option("--bundle", "bundle_path", type=FilePath(), help="It gets the budget.")
@click.option("--delta", type=BETWEEN, default=1e-3, show_default=True, help="Of the budget.")
@click.option(
    "--members",
    default=80,
    type=click.IntRange(1, 65535),
    show_default=True,
    help="Of the budget: members that are expected, a public number.",
)
@click.option(
    "--batch",
    default=8,
    type=click.IntRange(1, 65535),
    show_default=True,
    help="Largest with so many members.",
)
@click.option(
    "--epochs",
    default=20,
    type=click.IntRange(1, 65535),
    show_default=True,
    help="Of all training together.",
)
@click.option(
    "--answers",
    type=click.Choice(["full", "rounded", "top1", "label"]),
    help="Write into --bundle what a release build answers: nothing else can be asked of it then."
    "  [default there: label]",
)
@click.option(
    "--levels",
    default=100,
    type=click.IntRange(1, 65535),
    show_default=True,
    help="Steps of a rounded probability.",
)
@click.option(
    "--guard",
    help="Write into --bundle how a release build guards its answers: a defence of answers, or"
    " several joined by +; for memguard a classifier of members is trained on --data's public"
    " people.",
)
@click.option(
    "--updates",
    type=click.IntRange(1, 2**32 - 1),
    help="Write into --bundle how many updates a release build gives in collaborative training."
    "  [default there: none]",
)
@click.option(
    "--update-clip",
    default=1.0,
    type=Finite(1e-6, 1e6),
    show_default=True,
    help="Of these: the largest norm.",
)
@click.option(
    "--update-noise",
    default=0.0,
    type=Finite(0, 64),
    show_default=True,
    help="The least noise, in clip norms.",
)
@click.option("--update-masked", is_flag=True, help="Behind masks alone (secure aggregation).")
@flags_of(GUARDS)
@json_option
def command(
    personal_path: Path | None,
    base: Path | None,
    out: Path | None,
    dataset: str,
    person: str | None,
    image: Path | None,
    budget_epsilon: float | None,
    bundle_path: Path | None,
    delta: float,
    members: int,
    batch: int,
    epochs: int,
    answers: str | None,
    levels: int,
    guard: str | None,
    updates: int | None,
    update_clip: float,
    update_noise: float,
    update_masked: bool,
    as_json: bool,
    **guards: Any,
) -> None:
    """Write what a device has trained back into a complete int8 .tflite file, or a privacy budget
    and the answer policy of a release build into a bundle.

    Reports what the write-back to int8 costs in accuracy and in the answers, and checks the file
    with TensorFlow Lite.

    \b
    Examples:
      tinymia personalize --person p07 --out personal.bundle
      tinymia export --personalized personal.bundle --out personal.tflite
      tinymia export --personalized personal.bundle --image personal.elf
      tinymia export --budget-epsilon 4 --members 80 --batch 8 --epochs 20 --out private.bundle
      tinymia export --updates 50 --update-clip 0.3 --update-masked --out shared.bundle
      tinymia export --answers rounded --levels 10 --bundle private.bundle --out private.bundle
      tinymia export --guard temperature+top-k --temperature 3 --bundle private.bundle
    """
    from tinymia.export.update_rule import UpdateRule

    given = UpdateRule(update_clip, update_noise, update_masked, updates) if updates else None
    asked = (budget_epsilon, answers, guard, given)
    provisions = any(part is not None for part in asked)
    if (personal_path is None) != provisions:
        raise click.UsageError(
            "Give either --personalized, or some of --budget-epsilon, --answers, --guard and"
            " --updates."
        )
    found: dict[str, Any] = {}
    say: Callable[[str], None] = (lambda _: None) if as_json else click.echo
    values = values_of(GUARDS, guards)
    if values and guard is None:
        raise click.UsageError("Say by --guard which defence the numbers are of.")
    if provisions:
        spend = None if budget_epsilon is None else (budget_epsilon, delta, members, batch, epochs)
        rule = None if answers is None else (answers, levels)
        kept = members, batch, epochs
        guarding = None if guard is None else (guard, values, dataset, kept)
        where = out or Path("private.bundle")
        found = _provision(bundle_path, where, spend, rule, guarding, given, say)
    elif personal_path is not None:
        where = out or Path("personal.tflite")
        found = _write_back(personal_path, base, where, dataset, person, image, say)
    if as_json:
        print_json(found)


def _provision(
    path: Path | None,
    out: Path,
    spend: tuple[float, float, int, int, int] | None,
    rule: tuple[str, int] | None,
    guarding: tuple[str, Mapping[str, Mapping[str, Any]], str, tuple[int, int, int]] | None,
    updates: UpdateRule | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """(epsilon, delta, members, batch, epochs), (policy, levels) and (defences, their parameters,
    data, (members, batch, epochs)) and a rule for updates into a bundle."""
    from tinymia import data
    from tinymia.defenses.accounting import Neighbours
    from tinymia.defenses.registry import build
    from tinymia.study.budget import (
        answer_rule,
        budget_for,
        with_answers,
        with_budget,
        with_guard,
    )

    made = load_bundle(path)
    if spend is not None:
        made = with_budget(made, budget_for(*spend, len(made.layers.parameters)))
    if rule is not None:
        made = with_answers(made, answer_rule(*rule))
    if guarding is not None:
        combination, values, dataset, (members, batch, epochs) = guarding
        from tinymia.errors import StudyError

        guards, *more = build(combination, values)
        if more:
            raise StudyError(
                "A bundle's guard has one value of each number.", "Give each flag a single number."
            )
        made = with_guard(
            made,
            guards,
            lambda: data.load(dataset),
            members=members,
            batch=batch,
            epochs=epochs,
        )
    if updates is not None:
        made = replace(made, updates=updates)
    made.save(out)
    say(f"bundle     {out} ({made.bundle_id})")
    if guarding is not None:
        _say_guard(made, guards, say)
    if spend is not None and made.budget is not None:
        budget = made.budget
        say(
            f"budget     epsilon {spend[0]:g} at delta {spend[1]:g} for"
            f" {Neighbours.ADD_OR_REMOVE.value}: at least noise {budget.noise_multiplier:.4g},"
            f" sampling rate (batch / expected members) at most {100 * budget.max_rate:.3g} %,"
            f" {budget.steps} steps since the board was switched on"
        )
    if made.answers is not None:
        levels = f", {made.answers.levels} levels" if made.answers.levels else ""
        say(f"answers    {made.answers.policy.name.lower()}{levels}: of release builds")
    if made.updates is not None:
        given = made.updates
        say(
            f"updates    {given.updates} since the board was switched on, of norm up to"
            f" {given.clip_norm:g}, noise at least {given.noise:g}"
            f"{', behind masks' if given.masked else ''}: of release builds"
        )
    return {
        "bundle": out,
        "bundle_id": made.bundle_id,
        "budget": made.budget,
        "answers": made.answers
        and {
            "policy": made.answers.policy.name.lower(),
            "levels": made.answers.levels,
        },
        "updates": made.updates,
    }


def _say_guard(made: Bundle, guards: Sequence[Defense], say: Callable[[str], None]) -> None:
    """How a bundle's release build guards answers, and what that leaves open."""
    from tinymia.defenses.output_noise import OutputNoise
    from tinymia.export.provenance import personalizations

    if made.answers is None:
        note("a release build answers with labels alone; give --answers, too")
    say(f"guard      {', '.join(defence.title for defence in guards)}")
    for defence in guards:
        if isinstance(defence, OutputNoise):
            say(f"epsilon    {_per_answer(defence, len(made.labels))}")
    kept = made.guard
    drawn = kept and (kept.noise_law or kept.classifier or kept.swap or kept.answers)
    if drawn and personalizations(made):
        note(
            "this bundle holds what was trained, and a board draws anew and counts answers anew"
            " each time it is switched on: whoever can do that averages away what is drawn"
        )


def _per_answer(defence: OutputNoise, classes: int) -> str:
    """Epsilon of one answer, and of all that a device gives."""
    one = f"{defence.epsilon(classes, 1):.1f} an answer to another question"
    if not defence.answers:
        return f"{one}; no limit is set, so none holds for all of them"
    return (
        f"{one}, {defence.epsilon(classes, int(defence.answers)):.4g} for all {defence.answers:g}"
        " since the board was switched on"
    )


def _write_back(
    personal_path: Path,
    base: Path | None,
    out: Path,
    dataset: str,
    person: str | None,
    image: Path | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    from tinymia import data
    from tinymia.data.splits import model_pool
    from tinymia.errors import BundleError
    from tinymia.export.inputs import look
    from tinymia.export.litert import litert_name
    from tinymia.export.personal import requantized
    from tinymia.export.provenance import whose
    from tinymia.export.writeback import complete_bundle, personalized_tflite
    from tinymia.files import write_whole

    bundle = load_bundle(personal_path)
    if bundle.tail is None:
        raise BundleError("This bundle has no tail to write back.", "Run `tinymia personalize`.")
    owner = person or whose(bundle)
    if owner is None:
        raise BundleError("The bundle does not say whose it is.", "Give --person.")
    loaded = data.load(dataset)
    loaded.check_model(bundle.meta)
    pool = model_pool(loaded, owner, bundle.meta)
    for text in look(bundle, pool.windows.x, force=True):
        note(text)
    source = base or default_bundle().with_suffix(".tflite")
    try:
        base_model = source.read_bytes()
    except OSError as error:
        raise BundleError(f"Cannot read {source}: {error.strerror}.", "Give --base.") from error
    model, report = personalized_tflite(
        bundle, base_model, bundle.tail, pool.windows.x, pool.windows.y
    )
    write_whole(out, model, "the model", BundleError)
    say(f"model      {out}, {len(model):,} bytes")
    if cost := requantized(bundle):
        say(f"layers     {cost}")
    say(
        f"accuracy   {report.accuracy_float_tail:.3f} with the device's float32 tail,"
        f" {report.accuracy_int8:.3f} written back to int8 ({report.windows} windows of {owner})"
    )
    say(
        f"answers    largest change of a probability {report.largest_probability_change:.4f},"
        f" mean {report.mean_probability_change:.5f}; {report.changed_answers} top answers differ"
    )
    if report.runtime_difference is not None:
        say(
            f"checked    {litert_name()} and the reference kernels differ by at most"
            f" {report.runtime_difference}/256 in {100 * (report.runtime_differing or 0):.2f} % of"
            " the output bytes"
        )
    if image is not None:
        from tinymia.device.connect import image_for
        from tinymia.study.needed import NOTHING, needed

        whole = complete_bundle(bundle, model)
        chosen = needed(whole, NOTHING)
        made = image_for(whole.to_bytes(), whole.bundle_id, image, chosen=chosen)
        say(f"image      {made.elf} (runs the complete model: `tinymia flash --image`)")
        flash = made.build.flash_bytes + len(whole.to_bytes())
        say(
            f"flash      {thousands(flash)} bytes with the bundle; of the operators only its"
            f" {len(chosen.operators)} kinds are in it, and no training"
        )
    return {
        "model": out,
        "bytes": len(model),
        "person": owner,
        "writeback": report,
        "image": None if image is None else made.elf,
        "flash_bytes": None if image is None else flash,
    }
