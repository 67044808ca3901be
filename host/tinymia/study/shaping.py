"""The public shape, for runs that need one and a bundle that has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinymia.data.base import Dataset
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.shape import personal_shape
from tinymia.study.public import public_of
from tinymia.twin import Twin

MOST_PEOPLE, MOST_WINDOWS = 12, 2880
"""Of a data set that a shape is made of."""


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
    left_out = {*private, *named}
    public = [person for person in dataset.people if person not in left_out]
    public = public[:: -(-len(public) // MOST_PEOPLE) or 1]
    twin = Twin(bundle)
    assert bundle.tail is not None
    people = []
    for person in public:
        others = [other for other in dataset.people if other != person]
        found = public_of(dataset, bundle, others, MOST_WINDOWS // len(public))
        if len(found.labels):
            embedded = bundle.dequantize_embedding(twin.embed(found.windows))
            people.append((embedded, bundle.tail.logits(embedded), found.labels))
    if sum(len(labels) for _, _, labels in people) < 2:
        raise StudyError(
            "A public shape is made of other people's windows, and there are none here.",
            "Give a data set with people who are not audited, or a bundle that holds a shape.",
        )
    return replace(bundle, shape=personal_shape(people))
