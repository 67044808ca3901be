"""What newer Pythons have and the oldest one that is supported has not."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 11):
    from enum import StrEnum

    import tomllib
else:  # Ubuntu 22.04 has 3.10
    from enum import Enum

    import tomli as tomllib

    class StrEnum(str, Enum):
        """Members are their values."""

        __str__ = str.__str__


__all__ = ["StrEnum", "tomllib"]
