"""The firmware as a process of the host."""

from SCons.Script import Default, DefaultEnvironment

env = DefaultEnvironment()
env.Replace(CC="gcc", CXX="g++", LINK="g++", AR="gcc-ar", RANLIB="gcc-ranlib", PROGSUFFIX="")
# Linking needs the sanitizers too.
env.Append(LINKFLAGS=["-Wl,--build-id=sha1"])
env.Append(LINKFLAGS=[f for f in env.Flatten(env.get("CCFLAGS", [])) if "sanitize" in str(f)])
program = env.BuildProgram()
env.Alias("buildprog", program)
Default(program)
