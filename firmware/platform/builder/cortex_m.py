"""Cortex-M images: flags from the board file, upload by OpenOCD, simulation by QEMU."""

import os

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()
board = env.BoardConfig()
prefix = "arm-none-eabi-"
# Relative to the project, where the linker runs: a folder above may have a space in its name.
script = board.get("build.ldscript")
map_file = os.path.join(
    os.path.relpath(env.subst("$BUILD_DIR"), env.subst("$PROJECT_DIR")), "firmware.map"
)

core = [f"-mcpu={board.get('build.cpu')}", "-mthumb"]
if board.get("build.fpu", ""):
    core += ["-mfloat-abi=hard", f"-mfpu={board.get('build.fpu')}"]
else:
    core += ["-mfloat-abi=soft"]

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
        f"-Wl,-Map,{map_file}",
    ],
    # Only memcpy and its like are used, and those are the same in newlib's nano variant.
    LIBS=["c", "gcc"],
)
if "nobuild" in COMMAND_LINE_TARGETS:
    program = []
else:
    program = env.BuildProgram()
    for part in (script, os.path.join("boards", "cortex_m", "sections.ld")):
        env.Depends(program, os.path.join("$PROJECT_DIR", part))
AlwaysBuild(env.Alias("nobuild", program))
env.Alias("buildprog", program)

if board.get("upload.interface", ""):
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
