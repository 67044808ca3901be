"""tinymia: on-device learning on microcontrollers, and what it leaks about its training data.

>>> import tinymia
>>> results = tinymia.audit(target="twin:", person=["p07", "p08"], repetitions=2, epochs=5,
...     defences=["clip"], depths=[], policies=[], out="audit")  # doctest: +SKIP
>>> results.frame()  # a row a condition, attack and figure: polars or pandas  # doctest: +SKIP

The functions below are the verbs of the command line, with its options and defaults. Importing this
is cheap: what they need is imported when they are first named. A user's error is a
:class:`TinymiaError` with one message that says what to do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinymia.api.auditing import audit
    from tinymia.api.judging import Checked, Comparison, check, compare
    from tinymia.api.models import Personalized, import_model, personalize
    from tinymia.api.registering import register
    from tinymia.api.results import Results, load
    from tinymia.api.studies import Study, run_study
    from tinymia.cli.options import default_bundle
    from tinymia.errors import TinymiaError
    from tinymia.export.bundle import Bundle

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "Checked",
    "Comparison",
    "Personalized",
    "Results",
    "Study",
    "TinymiaError",
    "audit",
    "check",
    "compare",
    "default_bundle",
    "import_model",
    "load",
    "personalize",
    "register",
    "run_study",
]

_HOMES = {
    "Bundle": "export.bundle",
    "Checked": "api.judging",
    "Comparison": "api.judging",
    "Personalized": "api.models",
    "Results": "api.results",
    "Study": "api.studies",
    "TinymiaError": "errors",
    "audit": "api.auditing",
    "check": "api.judging",
    "compare": "api.judging",
    "default_bundle": "cli.options",
    "import_model": "api.models",
    "load": "api.results",
    "personalize": "api.models",
    "register": "api.registering",
    "run_study": "api.studies",
}
_ROOMS = ("attacks", "data", "defenses", "errors", "evidence", "plugins", "twin")
"""What whoever writes an attack, a defence or a source needs: ``tinymia.data.load``, ..."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tinymia.{_HOMES[name]}"), name)
    if name in _ROOMS:
        return importlib.import_module(f"tinymia.{name}")
    raise AttributeError(f"module 'tinymia' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
