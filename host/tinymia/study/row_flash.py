"""What each way of fine-tuning takes of the flash, in an image that can do nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tinymia.device.build import BuildResult
from tinymia.device.image_sizes import image_sizes
from tinymia.evidence import Run
from tinymia.export.answers import joined_classifiers
from tinymia.export.bundle import Bundle
from tinymia.study.needed import needed_by
from tinymia.study.showing import Showing


def own_bundle(bundle: Bundle, run: Run, showing: Showing) -> Bundle:
    """A bundle with those of its sections that one run needs.

    Args:
        bundle: of a study, with the public shape if any run takes it.
        run: of the study.
        showing: has what other sections are made of.
    """
    training = run.training
    references = showing.lanes.references or bundle.references
    adversary = showing.lanes.adversary if training.adversary else b""
    return replace(
        bundle,
        classifiers=joined_classifiers(adversary, showing.section(run)),
        references=references if training.references else b"",
        shape=bundle.shape if training.shaped else None,
    )


def row_flash(
    bundle: Bundle,
    runs: Sequence[Run],
    showing: Showing,
    whole: BuildResult,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, int]:
    """Bytes of flash by the name of a run: code and constants of its image, and its bundle.

    Args:
        bundle: what is fine-tuned.
        runs: of a study; several may have one image.
        showing: see :func:`own_bundle`.
        whole: the image with everything, which boards of the study run.
        advance: told of each run.

    Raises:
        DeviceError: an image does not build.
    """
    choices = [needed_by(bundle, run) for run in runs]
    sizes = image_sizes(choices, whole, advance)
    return {
        run.name: sizes[choice] + len(own_bundle(bundle, run, showing).to_bytes())
        for run, choice in zip(runs, choices, strict=True)
    }
