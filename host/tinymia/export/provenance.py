"""Whose data a bundle has learnt from: what its metadata says, which only ever grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinymia.data.dataset import PersonalDataset
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle


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


def seen_people(dataset: PersonalDataset, bundle: Bundle) -> set[str]:
    """Everybody in this data set whose windows the bundle says that it was trained on."""
    provenance = bundle.meta.get("provenance", {})
    seen: set[str] = set()
    if provenance.get("dataset_sha256") == dataset.sha256:
        seen.update(provenance.get("public_people", []))
    for note in personalizations(bundle):
        if note.get("dataset_sha256", dataset.sha256) == dataset.sha256 and "person" in note:
            seen.add(note["person"])
    return seen


def people_to_audit(dataset: PersonalDataset, bundle: Bundle, wanted: Sequence[str]) -> list[str]:
    """The audited people: those asked for, else all that the bundle has not seen.

    Raises:
        StudyError: somebody is unknown, or the bundle was trained on them, or on everybody.
    """
    seen = seen_people(dataset, bundle)
    for person in wanted:
        if person not in dataset.people:
            raise StudyError(
                f"There is nobody called {person!r} in {dataset.name}.",
                f"People: {', '.join(dataset.people)}.",
            )
        if person in seen:
            raise StudyError(
                f"The base model was trained on {person}: an audit would measure the base model.",
                f"Audit one of: {', '.join(p for p in dataset.people if p not in seen)}.",
            )
    chosen = list(wanted) or [p for p in dataset.people if p not in seen]
    if not chosen:
        raise StudyError("The base model was trained on everybody in this data set.")
    return chosen
