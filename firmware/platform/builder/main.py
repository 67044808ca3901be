"""Builds a board's image when the environment names a board, else a program of the host."""

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
# The same sources give the same image, and build id, in whatever folder they lie.
env.Append(CCFLAGS=[f"-ffile-prefix-map={env.subst('$PROJECT_DIR')}=."])
env.SConscript("chosen.py")
env.SConscript("masks.py")
env.SConscript("native.py" if not env.get("BOARD") else "cortex_m.py")
