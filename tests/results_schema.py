"""The JSON Schema of results.json, from the dataclasses that it is made of.

python tests/results_schema.py     writes host/tinymia/study/results.schema.json again
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinymia.study.results import FORMAT, Results

PATH = Path(__file__).resolve().parents[1] / "host" / "tinymia" / "study" / "results.schema.json"


def made() -> dict[str, Any]:
    """The schema; nothing but what it names may be in a file."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(Results).json_schema(mode="serialization")
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            # A file may have been written before a field with a default was there.
            part["additionalProperties"] = False
        for field in part.get("properties", {}).values():
            field.pop("title", None)  # the name once more
    schema["properties"]["format"] = {"const": FORMAT}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$id"] = f"urn:tinymia:results:{FORMAT}"
    schema["title"] = f"tinymia results.json, format {FORMAT}"
    return dict(schema)


def text() -> str:
    return json.dumps(made(), indent=1, sort_keys=True) + "\n"


def check(content: Any) -> None:
    """Raise ValidationError unless this is what the published schema says."""
    from jsonschema import Draft202012Validator

    Draft202012Validator(json.loads(PATH.read_text())).validate(content)


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
