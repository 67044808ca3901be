"""An image that masks updates: where Monocypher's source is, which src/monocypher.cc includes."""

import os

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
# Set by host/tinymia/device/build.py.
folder = os.environ.get("TINYMIA_MONOCYPHER", "")
if folder and env["PIOENV"].startswith("secure"):
    env.Append(CCFLAGS=[("-isystem", folder)])
