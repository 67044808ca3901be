"""The published schema of results.json is that of the types, and of what audits write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import ValidationError

import results_schema
import synthetic_results as made
from synthetic_membership import ANSWERS, BASE, CONDITIONS, PLAIN, membership
from tinymia.study.results import FORMAT, to_json


@pytest.fixture(scope="module")
def content() -> Any:
    few = membership([c for c in CONDITIONS if c.name in (BASE, PLAIN, "clip@50")], ANSWERS[:2])
    results = made.results(few, epsilon=made.epsilon(), user_level=made.user_level())
    return json.loads(json.dumps(to_json(results)))


def test_the_schema_is_that_of_the_types() -> None:
    """Else: python tests/results_schema.py, and another FORMAT where an old file would not do."""
    published = json.loads(results_schema.PATH.read_text())
    assert published == results_schema.made()
    assert published["$id"].endswith(f":{FORMAT}")


def test_results_are_valid(content: Any) -> None:
    results_schema.check(content)


def test_what_is_wrong_is_found(content: Any) -> None:
    for change in ({"format": FORMAT + 1}, {"more": 1}, {"context": {}}, {"timings": {"a": "b"}}):
        with pytest.raises(ValidationError):
            results_schema.check(content | change)
    with pytest.raises(ValidationError):
        results_schema.check({k: v for k, v in content.items() if k != "hashes"})
