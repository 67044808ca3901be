"""The twin: the firmware's own training, thousands of devices a second, the same in every bit."""

from tinymia.twin.core import interrupt
from tinymia.twin.fleet import FineTuned, Twin, available_isas
from tinymia.twin.settings import settings_array, settings_dtype

__all__ = ["FineTuned", "Twin", "available_isas", "interrupt", "settings_array", "settings_dtype"]
