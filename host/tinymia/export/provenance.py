"""Whose data a bundle has learnt from: what its metadata says, which only ever grows."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia import data
from tinymia.data import content
from tinymia.data.base import Dataset
from tinymia.errors import DataError, StudyError
from tinymia.export.bundle import Bundle

DIGITS = 10
_SHIFT = np.uint64(64 - 4 * DIGITS)
"""Of a mark of content so many hexadecimal digits are kept: a chance hit is one in 10^12."""
MOST, LEAST, TOGETHER = 32, 4, 1024
"""Marks that are kept of each person: a bundle lives in flash."""
HITS = 2
"""Marks in common from which on somebody's data are taken for the same."""

MOST_IN_COMMON = 0.1
"""Share of one person's samples that may be another's, too: one in ten may be a slip of a label."""
OTHERS = "Give data of people whom it has not seen, or a bundle that has not seen these."


def content_of(dataset: Dataset, people: Sequence[str]) -> dict[str, str]:
    """By what people's data are known again, however they are saved: for ``provenance.content``.

    Args:
        dataset: theirs.
        people: whom the model was trained on.

    Returns:
        The smallest marks of each (:mod:`tinymia.data.content`), ``DIGITS`` hexadecimal digits
        each, in one string.
    """
    count = max(LEAST, min(MOST, TOGETHER // max(1, len(people))))
    found = {}
    for person in people:
        marks = np.sort(dataset.fingerprint(person))[:count] >> _SHIFT
        found[person] = "".join(f"{int(mark):0{DIGITS}x}" for mark in marks)
    return found


def _marks(text: str) -> NDArray[np.uint64]:
    cut = [text[at : at + DIGITS] for at in range(0, len(text), DIGITS)]
    return np.array([int(part, 16) for part in cut], np.uint64)


def known_content(bundle: Bundle) -> NDArray[np.uint64] | None:
    """Marks of all data that the bundle has learnt from; None: it does not say.

    A bundle that names a data set which is installed, and not the content itself (the shipped one),
    is taken by its word: the marks are those of its public people there.
    """
    provenance = bundle.meta.get("provenance", {})
    texts = list(provenance.get("content", {}).values())
    for note in personalizations(bundle):
        texts += note.get("content", {}).values()
    found = [_marks(text) for text in texts]
    if not provenance.get("content"):
        source = data.get_source(str(provenance.get("dataset", "")))
        try:
            own = source.load(None) if source is not None and not source.needs_path else None
        except DataError:  # it is not installed, which its own use would say
            own = None
        if own is not None and own.sha256 == provenance.get("dataset_sha256"):
            people = [p for p in provenance.get("public_people", []) if p in own.people]
            found += [own.fingerprint(person) >> _SHIFT for person in people]
    return np.unique(np.concatenate(found)) if found else None


def personalizations(bundle: Bundle) -> list[dict[str, Any]]:
    """The notes of all devices' training that the bundle holds, oldest first.

    (Bundles of earlier versions hold the last one alone.)
    """
    found = bundle.meta.get("provenance", {}).get("personalized", [])
    return [found] if isinstance(found, dict) else list(found)


def whose(bundle: Bundle) -> str | None:
    """The person whom a bundle was personalised for last; None: it does not say."""
    people = [str(note["person"]) for note in personalizations(bundle) if "person" in note]
    return people[-1] if people else None


def seen_people(dataset: Dataset, bundle: Bundle) -> set[str]:
    """Everybody in this data set whom the bundle was trained on: by name, and by content.

    Names count where the bundle names this very file; content wherever it stands.
    """
    provenance = bundle.meta.get("provenance", {})
    seen: set[str] = set()
    if provenance.get("dataset_sha256") == dataset.sha256:
        seen.update(provenance.get("public_people", []))
    for note in personalizations(bundle):
        if note.get("dataset_sha256", dataset.sha256) == dataset.sha256 and "person" in note:
            seen.add(note["person"])
    if provenance.get("dataset_sha256") == dataset.sha256:
        return seen  # their names say it
    known = known_content(bundle)
    if known is not None:
        for person in dataset.people:
            marks = np.unique(dataset.fingerprint(person) >> _SHIFT)
            if np.isin(known, marks, assume_unique=True).sum() >= HITS:
                seen.add(person)
    return seen


def people_to_audit(dataset: Dataset, bundle: Bundle, wanted: Sequence[str]) -> list[str]:
    """The audited people: those asked for, else those whom the bundle names for it in this very
    file, else all that it has not seen.

    Raises:
        StudyError: somebody is unknown, or the bundle was trained on them, or on everybody; or two
            of them have the same recordings.
    """
    seen = seen_people(dataset, bundle)
    for person in wanted:
        if person not in dataset.people:
            raise StudyError(
                f"There is nobody called {person!r} in {dataset.name}.",
                "".join(
                    f"Did you mean {near!r}? "
                    for near in difflib.get_close_matches(person, dataset.people, 1)
                )
                + f"People: {', '.join(dataset.people)}.",
            )
        if person in seen:
            left = [p for p in dataset.people if p not in seen]
            raise StudyError(
                f"The base model was trained on {person}: an audit would measure the base model.",
                f"Audit one of: {', '.join(left)}." if left else OTHERS,
            )
    provenance = bundle.meta.get("provenance", {})
    named = set[str]()
    if provenance.get("dataset_sha256") == dataset.sha256:
        named = set(provenance.get("audited_people", [])) - seen
    chosen = list(wanted) or [p for p in dataset.people if p in named]
    chosen = chosen or [p for p in dataset.people if p not in seen]
    if not chosen:
        raise StudyError("The base model was trained on everybody in this data set.", OTHERS)
    one, other, share = content.in_common([dataset.fingerprint(person) for person in chosen])
    if share > MOST_IN_COMMON:
        raise StudyError(
            f"{share:.0%} of the samples of {chosen[one]} or {chosen[other]} are the other's, too:"
            " one person would count as two.",
            f"Give both one name in the data, or audit others than {chosen[other]} (--person).",
        )
    return chosen
