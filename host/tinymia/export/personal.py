"""A bundle with the tail that a device has trained."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from tinymia.errors import BundleError
from tinymia.export.bundle import Bundle, Tail


def personalized_bundle(base: Bundle, tail: Tail, note: dict[str, Any]) -> Bundle:
    """The base bundle with another tail; ``note`` goes into ``provenance.personalized``.

    Raises:
        BundleError: the tail's shape is not that of the base tail.
    """
    if base.tail is None or base.tail.weights.shape != tail.weights.shape:
        raise BundleError(
            "The trained tail does not fit this bundle.", "Use the bundle it is from."
        )
    meta = copy.deepcopy(base.meta)
    meta["name"] = f"{meta['name']}-personal"
    meta.setdefault("provenance", {})["personalized"] = {"base": base.bundle_id, **note}
    meta.pop("accuracy", None)  # it was the base model's
    return replace(base, tail=tail, meta=meta)


def whose(bundle: Bundle) -> str | None:
    """The person whose windows a personalised bundle was trained on."""
    person = bundle.meta.get("provenance", {}).get("personalized", {}).get("person")
    return None if person is None else str(person)
