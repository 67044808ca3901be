"""Public people's windows, as a bundle carries them, from which or beside which devices learn."""

from __future__ import annotations

import numpy as np

from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.references import pack_references
from tinymia.study.showing import Public
from tinymia.twin import Twin


def references_for(bundle: Bundle, wanted: int, public: Public, seed: int) -> bytes:
    """The body of the bundle's section of references that trainings need; empty: none does.

    Args:
        bundle: its own references are taken where it has some.
        wanted: how many.
        public: windows of people who are not audited.
        seed: of which of them are taken.

    Raises:
        StudyError: there are too few.
    """
    if wanted == 0 or bundle.references:
        return bundle.references
    if len(public) < wanted:
        raise StudyError(
            f"Training needs {wanted} windows of public people as references, and"
            f" {len(public)} are left beside those who are audited.",
            "Name the audited ones by --person, give fewer references, or leave that defence out.",
        )
    chosen = np.random.default_rng([seed, 56]).permutation(len(public))[:wanted]
    twin = Twin(bundle, threads=1)
    codes = twin.embed(public.windows[chosen])
    return pack_references(codes, twin.first_layer, public.labels[chosen])
