"""Cortex-M images: flags from the board file, upload by OpenOCD, simulation by QEMU."""

import os

from SCons.Script import AlwaysBuild, COMMAND_LINE_TARGETS, Default, Import

Import("env")
board = env.BoardConfig()
prefix = "arm-none-eabi-"
script = os.path.join("$PROJECT_DIR", board.get("build.ldscript"))

core = [f"-mcpu={board.get('build.cpu')}", "-mthumb"]
if board.get("build.fpu", ""):
    core += ["-mfloat-abi=hard", f"-mfpu={board.get('build.fpu')}"]

env.Replace(
    AR=prefix + "gcc-ar",
    AS=prefix + "gcc",
    CC=prefix + "gcc",
    CXX=prefix + "g++",
    # g++ would ask for libstdc++, which the firmware neither uses nor needs installed.
    LINK=prefix + "gcc",
    RANLIB=prefix + "gcc-ranlib",
    OBJCOPY=prefix + "objcopy",
    SIZETOOL=prefix + "size",
    SIZEPROGREGEXP=r"^(?:\.vectors|\.note\S*|\.text|\.init_array|\.data)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.stack|\.data|\.bss|\.noinit)\s+(\d+).*",
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPRINTCMD="$SIZETOOL -B -d $SOURCES",
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
)
env.Append(
    ASFLAGS=core,
    CCFLAGS=core,
    CXXFLAGS=["-fno-use-cxa-atexit"],
    LINKFLAGS=[
        *core,
        "-nostartfiles",
        "-nodefaultlibs",
        "-Wl,--gc-sections",
        "-Wl,--fatal-warnings",
        "-Wl,--build-id=sha1",
        f"-Wl,-T,{script}",
        "-Wl,-Map,${BUILD_DIR}/firmware.map",
    ],
    # Not newlib's nano variant: its memcpy moves one byte at a time.
    LIBS=["c", "gcc"],
)
if "nobuild" in COMMAND_LINE_TARGETS:
    program = []
else:
    program = env.BuildProgram()
    env.Depends(program, script)
AlwaysBuild(env.Alias("nobuild", program))
env.Alias("buildprog", program)

# A baked image (program and bundle) can be uploaded instead of the bare program.
image = os.environ.get("TINYMIA_IMAGE", "$PROGPATH")
env.Replace(
    UPLOADER="openocd",
    UPLOADERFLAGS=[
        "-f", board.get("upload.interface"),
        "-f", board.get("upload.target"),
        "-c", f"program {{{image}}} verify reset exit",
    ],
    UPLOADCMD="$UPLOADER $UPLOADERFLAGS",
)  # fmt: skip
AlwaysBuild(env.Alias("upload", program, env.VerboseAction("$UPLOADCMD", f"Uploading {image}")))

sim = (
    f"qemu-system-arm -M {board.get('simulator.machine')} -icount shift=0 -display none"
    " -monitor none -serial tcp:127.0.0.1:4321,server=on,wait=off -kernel $PROGPATH"
)
env.AddTarget(
    "sim",
    program,
    env.VerboseAction(sim, "Simulated board at serial:socket://127.0.0.1:4321 (end with Ctrl-C)"),
    title="Simulate",
    description="Run the image in QEMU; its serial port is TCP port 4321",
)
Default(program)
