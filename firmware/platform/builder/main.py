"""Builds a board's image when the environment names a board, else a program of the host."""

import os

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
# The same sources give the same image, and build id, in whatever folder they lie.
env.Append(CCFLAGS=[f"-ffile-prefix-map={env.subst('$PROJECT_DIR')}=."])
env.SConscript("chosen.py")
env.SConscript("masks.py")
# CMake's name for it, which the twin's build knows, too. Only run: to SCons the compiler stays what
# makes the objects, so that it compiles nothing anew when a cache comes or goes.
if launcher := os.environ.get("CMAKE_CXX_COMPILER_LAUNCHER", ""):
    spawn = env["SPAWN"]

    def _cached(sh, escape, cmd, args, environment):
        if args[0] in (env.subst("$CC"), env.subst("$CXX")) and "-c" in args:
            cmd, args = launcher, [escape(launcher), *args]
        return spawn(sh, escape, cmd, args, environment)

    env.Replace(SPAWN=_cached)

env.SConscript("native.py" if not env.get("BOARD") else "cortex_m.py")
