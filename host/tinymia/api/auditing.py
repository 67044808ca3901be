"""``tinymia.audit``: the main job."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinymia.api.options import Parameters, StrPath, called, defaults, options_for
from tinymia.api.results import Results
from tinymia.cli.audit import carry_out, check_against, job_of
from tinymia.cli.options import quietly
from tinymia.export.bundle import Bundle

_OF = defaults("audit")


def audit(
    bundle: Bundle | StrPath | None = _OF["bundle"],
    data: StrPath = _OF["data"],
    target: str | Sequence[str] = _OF["target"],
    defences: Sequence[str] = _OF["defences"],
    *,
    person: str | Sequence[str] = _OF["person"],
    repetitions: int = _OF["repetitions"],
    members: int = _OF["members"],
    split: str = _OF["split"],
    epochs: int | Sequence[int] = _OF["epochs"],
    depths: Sequence[str] = _OF["depths"],
    policy: str = _OF["policy"],
    policies: Sequence[str] = _OF["policies"],
    levels: int = _OF["levels"],
    shadows: int = _OF["shadows"],
    dear_shadows: int = _OF["dear_shadows"],
    about: int = _OF["about"],
    attacks: Sequence[str] = _OF["attacks"],
    whole: bool = _OF["whole"],
    training: Mapping[str, Any] | None = None,
    parameters: Parameters | None = None,
    tune: bool = _OF["tune"],
    tune_points: float = _OF["tune_points"],
    experiments: Sequence[str] = _OF["experiments"],
    against: Sequence[str] = _OF["against"],
    peers: Sequence[str] = _OF["peers"],
    epsilon_devices: int = _OF["epsilon_devices"],
    board_only: bool = _OF["board_only"],
    confirm: int = _OF["confirm"],
    deep_people: int = _OF["deep_people"],
    deep_epochs: int = _OF["deep_epochs"],
    no_flash: bool = _OF["no_flash"],
    force: bool = _OF["force"],
    boards: int = _OF["boards"],
    executor: str = _OF["executor"],
    address: str = _OF["address"],
    on_interruption: str = _OF["on_interruption"],
    wait: int = _OF["wait"],
    out: StrPath | None = None,
    fresh: bool = False,
    progress: bool = False,
) -> Results:
    """Measure how much fine-tuning on the device leaks, and what defences do: `tinymia audit`.

    Every option is the command line's of that name in a file, with its default (`tinymia audit
    --help` says what each means).

    Args:
        bundle: what is audited: a path, or what :func:`tinymia.import_model` and
            :func:`tinymia.personalize` give; None: the shipped one.
        data: a source's name, or a path of one's own, see :func:`tinymia.data.load`.
        target: "twin:" needs neither compiler nor simulator; a board confirms what the twin does.
        defences: combinations to compare, one condition each: "clip", "clip+dropout", "all".
        person: whom to audit; empty: all whom the base model has not seen.
        repetitions: draws of members a person.
        members: windows that a device is fine-tuned on.
        split: "same-distribution" or "cross-arm".
        epochs: where devices are queried; the last is where defences are compared.
        depths: what else to train: "biases", "last:2", "all".
        policy, policies, levels: what answers reveal, further policies for the same devices, and
            steps of a rounded probability.
        shadows, dear_shadows: shadow devices a person and condition, and where each takes long.
        about: shadow devices about each attacked one, for the decoder that trains its own; 0: none.
        attacks: membership attacks to run, by name, or by adversary for all of theirs:
            ``["lira-online", "joint"]``. Only shadow devices that these need are trained; another
            attack later, in the same ``out``, runs only that.
        whole: as many there as elsewhere, and every attack under every policy.
        training: options of training, and the seed: ``{"learning_rate": 0.1, "seed": 2}``.
        parameters: of defences: ``{"clip": {"norm": [0.5, 1.0]}}``.
        tune, tune_points: choose strengths on public people, for so many points of accuracy.
        experiments, against: questions beyond "membership", and under which defences.
        peers: other projects' attacks beside ours.
        epsilon_devices: devices in each group that check a claim of DP-SGD; 0: none.
        board_only, confirm, deep_people, deep_epochs, no_flash: what boards do.
        force: go on with data that are plainly in other units than the model's.
        boards: workers or simulators side by side; 0: one a core.
        executor, address: "processes", "threads", or "ray", here or on a cluster.
        on_interruption, wait: where a board is lost.
        out: folder of results, page and all that is measured, so that the same call goes on after
            an interruption and another defence runs only what is new; None: nothing is left behind
            (save the results: :meth:`Results.save`).
        fresh: throw away what ``out`` holds of an earlier run.
        progress: say on standard error what goes on, as the command line does.

    Returns:
        All figures; ``results.frame()`` has them as a table.

    Raises:
        TinymiaError: an option, the bundle, the data or a board cannot be used; the message says
            what to do.

    Attacks and defences that were added by :func:`tinymia.register` take part; then all runs in
    this process, whatever ``executor`` says.

    >>> import tinymia
    >>> results = tinymia.audit(target="twin:", person="p07", repetitions=1, epochs=1,
    ...     defences=[], depths=[], policy="label", policies=[], shadows=16)
    >>> [condition.name for condition in results.findings.membership.conditions]
    ['base', 'plain@1']
    >>> results.columns()["figure"][:2]
    ['auc', 'tpr@0.01']
    """
    arguments = {key: value for key, value in locals().items() if key not in _NO_OPTIONS}
    with _folder(out) as folder, quietly(not progress):
        asked = {key: value for key, value in arguments.items() if key not in _TABLES}
        asked["bundle"] = _saved(bundle, folder)
        asked["out"] = folder
        options = options_for("audit", asked, training, parameters)
        check_against(options)
        from tinymia.report.render import OUTPUTS

        job = job_of(
            options,
            outputs=OUTPUTS,
            command=called("audit", arguments),
            fresh=fresh,
        )
        found, _ = carry_out(job, page=out is not None)
    return Results.of(found)


_TABLES = ("training", "parameters")
_NO_OPTIONS = ("fresh", "progress", "out")


@contextmanager
def _folder(out: StrPath | None) -> Iterator[Path]:
    if out is not None:
        yield Path(out)
        return
    with tempfile.TemporaryDirectory(prefix="tinymia-") as folder:
        yield Path(folder)


def _saved(bundle: Bundle | StrPath | None, folder: Path) -> StrPath | None:
    """Where a bundle is; one without a file gets one."""
    if not isinstance(bundle, Bundle):
        return bundle
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "audited.bundle"
    bundle.save(path)
    return path
