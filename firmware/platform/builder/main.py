"""Builds a board's image when the environment names a board, else a program of the host."""

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
env.SConscript("native.py" if not env.get("BOARD") else "cortex_m.py", exports="env")
