"""An image for one bundle: where the header is that says what of the core it needs."""

import os

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
# Written by host/tinymia/device/chosen.py, read by lib/learncore/src/chosen.h.
if folder := os.environ.get("TINYMIA_CHOSEN", ""):
    env.Prepend(CPPPATH=[folder])
    # What is left out is 0 for good; code that it switches off compares with it and divides by it.
    env.Append(CCFLAGS=["-Wno-type-limits", "-Wno-div-by-zero"])
