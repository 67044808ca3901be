"""Cortex-M images: flags from the board file, upload by OpenOCD, simulation by QEMU."""

import os
import re
import shlex

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()
board = env.BoardConfig()
prefix = "arm-none-eabi-"
# Relative to the project, where the linker runs: a folder above may have a space in its name.
script = os.path.join("boards", "cortex_m", "board.ld")
map_file = os.path.join(
    os.path.relpath(env.subst("$BUILD_DIR"), env.subst("$PROJECT_DIR")), "firmware.map"
)


core = [f"-mcpu={board.get('build.cpu')}", "-mthumb"]
if board.get("build.fpu", ""):
    core += ["-mfloat-abi=hard", f"-mfpu={board.get('build.fpu')}"]
else:
    core += ["-mfloat-abi=soft"]

env.SConscript("memory.py")

# The UART and its pins become macros of the board layer.
chip = re.match(r"stm32[a-z]\d\d\d|", board.get("build.mcu"))[0].upper()
macros = [("TINYMIA_UART", re.sub(r"\D", "", board.get("uart.port")))]
if chip:
    macros.append(f"TINYMIA_{chip}")
for wire in ("tx", "rx"):
    pin = board.get(f"uart.{wire}", "")
    if pin:  # PA9 and P0.06: port and pin; GP0: pin
        port, number = re.fullmatch(r"(?:P([A-K]|\d\.)|GP)(\d+)", pin).groups()
        at = 0 if port is None else "ABCDEFGHIJK".find(port) if port.isalpha() else int(port[0])
        macros.append((f"TINYMIA_{wire.upper()}_PORT", at))
        macros.append((f"TINYMIA_{wire.upper()}_PIN", int(number)))
env.Append(CPPDEFINES=macros)

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
    SIZEPROGREGEXP=r"^(?:\.boot2|\.vectors|\.note\S*|\.text|\.init_array|\.data)\s+(\d+).*",
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

if board.get("upload.openocd", ""):
    # A baked image (program and bundle) can be uploaded instead of the bare program, and a probe
    # named by its serial number.
    image = os.environ.get("TINYMIA_IMAGE", "$PROGPATH")
    probe = os.environ.get("TINYMIA_PROBE", "")
    flags = [part for config in board.get("upload.openocd").split() for part in ("-f", config)]
    flags[2:2] = ["-c", f"adapter serial {shlex.quote(probe)}"] if probe else []
    env.Replace(
        UPLOADER="openocd",
        UPLOADERFLAGS=[*flags, "-c", f"program {{{image}}} verify reset exit"],
        UPLOADCMD="$UPLOADER $UPLOADERFLAGS",
    )
    AlwaysBuild(env.Alias("upload", program, env.VerboseAction("$UPLOADCMD", f"Uploading {image}")))

if board.get("simulator.qemu", ""):
    # The firmware's UART is QEMU's serial line number N.
    line = {"usart2": 1, "usart3": 2, "usart6": 5}.get(board.get("uart.port"), 0)
    sim = (
        f"qemu-system-arm -M {board.get('simulator.qemu')} -icount shift=0 -display none"
        f" -monitor none {'-serial null ' * line}"
        "-serial tcp:127.0.0.1:4321,server=on,wait=off -kernel $PROGPATH"
    )
    what = "Simulated board at serial:socket://127.0.0.1:4321 (end with Ctrl-C)"
    env.AddTarget(
        "sim",
        program,
        env.VerboseAction(sim, what),
        title="Simulate",
        description="Run the image in QEMU; its serial port is TCP port 4321",
    )
Default(program)
