"""The public shape, for runs that need one and a bundle that has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinymia.data.base import Dataset
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.shape import shape_of
from tinymia.study.lab import public_of
from tinymia.twin import Twin


def with_shape(bundle: Bundle, dataset: Dataset, private: Sequence[str]) -> Bundle:
    """The bundle with a public shape: its own, or that of the data set's other people.

    Args:
        bundle: with a tail.
        dataset: whose people, but for those in ``private``, are public.
        private: whose windows must not be looked at; nor are those whom the bundle names as
            people to audit.

    Raises:
        StudyError: the data set has nobody else.
    """
    if bundle.shape is not None:
        return bundle
    named = bundle.meta.get("provenance", {}).get("audited_people", [])
    public = public_of(dataset, bundle, sorted({*private, *named}))
    if len(public.labels) < 2:
        raise StudyError(
            "A public shape is made of other people's windows, and there are none here.",
            "Give a data set with people who are not audited, or a bundle that holds a shape.",
        )
    embeddings = bundle.dequantize_embedding(Twin(bundle).embed(public.windows))
    return replace(bundle, shape=shape_of(embeddings))
