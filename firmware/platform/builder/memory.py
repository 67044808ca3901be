"""What a board file says, for linker and compiler; also where another platform builds the rest."""

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
board = env.BoardConfig()


def size_of(text):
    """Bytes of "128K", "2M" or "512"."""
    number = int(text.rstrip("KM"), 0)
    return number * {"K": 1024, "M": 1024 * 1024}.get(text[-1], 1)


# Regions of memory become symbols of the linker.
symbols = {}
for name in ("flash", "bundle", "ram"):
    start, size = board.get(f"memory.{name}").split()
    symbols[f"{name}_start"] = start
    symbols[f"{name}_size"] = size_of(size)
for name in ("stack", "heap"):
    symbols[f"{name}_size"] = size_of(board.get(f"memory.{name}", "0"))
names = {f"TINYMIA_{name.upper()}": value for name, value in symbols.items()}
# By this `tinymia flash` knows what the image is for.
names[f"tinymia_environment_is_{env.subst('$PIOENV')}"] = 0
env.Append(
    LINKFLAGS=[f"-Wl,--defsym={name}={value}" for name, value in names.items()],
    CPPDEFINES=[
        ("TINYMIA_BOARD", env.StringifyMacro(env.subst("$PIOENV"))),
        ("TINYMIA_BAUD", board.get("uart.baud")),
    ],
)
board.update("upload.maximum_size", symbols["flash_size"] + symbols["bundle_size"])
board.update("upload.maximum_ram_size", symbols["ram_size"])
