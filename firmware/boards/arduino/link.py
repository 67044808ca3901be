"""Adds sections.ld behind the framework's own linker script."""

import os

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
script = os.path.join("boards", "arduino", "sections.ld")
env.Append(LINKFLAGS=[f"-Wl,--script={script}", "-Wl,--build-id=sha1"])
env.Depends("$BUILD_DIR/${PROGNAME}.elf", os.path.join("$PROJECT_DIR", script))
