"""tinymia: on-device learning on microcontrollers, and what it leaks about its training data."""

__version__ = "0.1.0"
