"""What a model takes of a device's memory: asked of the firmware's own code, on the twin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinymia.device.boards import BoardFile
from tinymia.device.checkout import firmware_dir
from tinymia.device.client import BoardRefusedError
from tinymia.device.connect import Connection, connect
from tinymia.device.elf import ImageInfo, image_info
from tinymia.errors import DeviceError, TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.export.depth import depth_title
from tinymia.export.graph import ALIASES, Graph, OperatorInfo, TensorInfo, sentence
from tinymia.export.layers import canonical
from tinymia.export.sections import pack_sections
from tinymia.wire.protocol import Status
from tinymia.wire.refusals import explain

_LEAST, _MOST = 1024, 1 << 28
_ALIGNMENT = 8  # of the planner's


def on_twin(bundle: bytes, arena: int) -> Connection:
    """The firmware with so many bytes of arena, in this process."""
    return connect(f"twin:?arena={min(max(arena, _LEAST), _MOST)}", bundle)


def bare(tflite: bytes) -> bytes:
    """A bundle of a model alone, for a device to load: nothing else of it is right."""
    return pack_sections([("MODL", tflite), ("META", b"{}")])


def least_arena(bundle: bytes) -> int:
    """The smallest arena in which a device takes a bundle, with room for eight windows.

    Raises:
        BoardRefusedError: it refuses the bundle for another reason.
    """
    arena = _LEAST
    while True:
        with on_twin(bundle, arena) as opened:
            greeting = opened.board.greeting
            if greeting.bundle_status == Status.ARENA_TOO_SMALL and arena < greeting.bundle_a:
                # Of an arena that cannot even hold the plan it is a lower bound.
                arena = greeting.bundle_a
                if arena <= _MOST:
                    continue
            opened.board.require_bundle()
        return arena


@dataclass(frozen=True)
class Depth:
    """One way of training.

    Attributes:
        depth: as `--train` takes it; "" for answers alone, of a complete model.
        first_layer: where it starts.
        trained: numbers that are trained.
        arena: bytes that it takes with room for eight windows (plain SGD, batches of 8).
        window: bytes of each more that is stored.
    """

    depth: str
    first_layer: int
    trained: int
    arena: int
    window: int

    @property
    def title(self) -> str:
        """For people."""
        return depth_title(self.depth) if self.depth else "inference alone"


def depths(bundle: Bundle) -> list[Depth]:
    """What training from each place takes, the last layer first.

    Raises:
        BoardRefusedError: a device does not take the bundle.
    """
    data = bundle.to_bytes()
    least = least_arena(data)
    layers = bundle.layers
    parametric = [i for i, r in enumerate(layers.records) if r.parametric]
    found = []
    with on_twin(data, least) as opened:
        for number, first in enumerate(reversed(parametric), 1):
            if first not in layers.boundaries():
                continue
            trained = sum(
                r.weight_count + r.bias_count for r in layers.records[first:] if r.parametric
            )
            arena = least
            try:
                opened.board.layout(first)
            except BoardRefusedError as error:
                if error.status != Status.ARENA_TOO_SMALL:
                    raise
                arena = error.a
            window = layers.records[first].inputs + 3
            name = canonical(layers, f"last:{number}")
            found.append(Depth(name, first, trained, arena, window))
    return found


def model_arena(bundle: bytes) -> int:
    """Bytes of arena that the int8 model takes: its tensors and what lasts beside them."""
    with on_twin(bundle, least_arena(bundle)) as opened:
        return opened.board.info().model_arena


_REASONS = {
    Status.MODEL_UNSUPPORTED_OP: "the firmware does not have it, or not in this variant",
    Status.MODEL_UNSUPPORTED_TYPE: "not int8, or of a type or quantisation that the firmware does"
    " not have",
    Status.MODEL_UNSUPPORTED_SHAPE: "of a shape that the firmware does not have",
    Status.MODEL_MALFORMED: "wrong in the file",
}


@dataclass(frozen=True)
class Refused:
    """Why a device does not take a model.

    Attributes:
        operator: number of the one at which it stops; None: no single one.
        tensor: number of what it does not like; None: the operator itself, or it does not say.
        error: what it says.
    """

    operator: int | None
    tensor: int | None
    error: BoardRefusedError

    @classmethod
    def of(cls, error: BoardRefusedError, graph: Graph) -> Refused:
        """What an error says of the operators and tensors of a graph."""
        named = error.status in _REASONS
        operator = error.a if named and error.a < len(graph.operators) else None
        tensor = error.b if named and error.b < len(graph.tensors) else None
        if error.status == Status.MODEL_UNSUPPORTED_OP:
            tensor = None  # there it is the operator's code
        return cls(operator, tensor, error)

    def words(self, operator: OperatorInfo | None, tensor: TensorInfo | None, graph: Graph) -> str:
        """Where and why, in a sentence.

        Args:
            operator, tensor: those that are meant, in the graph that the reader knows.
            graph: that one.
        """
        reason = _REASONS.get(Status(self.error.status))
        where = graph.describe(operator) if operator is not None else ""
        if reason is None or not (where or tensor is not None):
            # No board was asked, which the error's own message would say.
            return sentence(explain(self.error.status, self.error.a, self.error.b)[0] + ".")
        if tensor is not None:
            where = f"{where}: {tensor} is" if where else f"{tensor} is"
            return sentence(f"{where} {reason}.")
        if self.error.status != Status.MODEL_UNSUPPORTED_OP:
            reason = f"a tensor of it is {reason}"
        return sentence(f"{where}: {reason}.")


def refused(tflite: bytes, graph: Graph) -> Refused | None:
    """Whether a device refuses a model, and where; None: it loads."""
    try:
        least_arena(bare(tflite))
    except BoardRefusedError as error:
        return Refused.of(error, graph)
    return None


@dataclass(frozen=True)
class Live:
    """The tensors that must be there while an operator runs.

    Attributes:
        operator: which one.
        bytes: of all of them, rounded up as the device does.
        tensors: their numbers, the largest first.
    """

    operator: OperatorInfo
    bytes: int
    tensors: tuple[int, ...]


def live(graph: Graph) -> list[Live]:
    """Who occupies the arena when, operator by operator; scratch memory is not counted."""
    root: dict[int, int] = {}
    first: dict[int, int] = dict.fromkeys(graph.inputs, 0)
    last: dict[int, int] = dict.fromkeys(graph.inputs, 0)

    def base(tensor: int) -> int:
        return root.get(tensor, tensor)

    for op in graph.operators:
        read = [base(t) for t in op.inputs if t >= 0 and graph.tensors[t].data is None]
        for t in op.outputs:
            if op.name in ALIASES and read:
                root[t] = read[0]
            else:
                first[t] = op.number
            last[base(t)] = op.number
        for t in read:
            last[t] = op.number
    for t in graph.outputs:
        last[base(t)] = len(graph.operators)
    found = []
    for op in graph.operators:
        there = [t for t in first if first[t] <= op.number <= last.get(t, -1)]
        there.sort(key=lambda t: -graph.tensors[t].bytes)
        size = sum(-(-graph.tensors[t].bytes // _ALIGNMENT) * _ALIGNMENT for t in there)
        found.append(Live(op, size, tuple(there)))
    return found


@dataclass(frozen=True)
class Room:
    """What a board has.

    Attributes:
        board: its file.
        flash: bytes for a bundle.
        arena: bytes of RAM that its image leaves.
        measured: whether that is of its own image; else of another board's, or (`guessed`) of none:
            all of the RAM but the stack.
        guessed: see there.
    """

    board: BoardFile
    flash: int
    arena: int
    measured: bool
    guessed: bool


def rooms(boards: dict[str, BoardFile]) -> list[Room]:
    """What each board has for a bundle, by the images that were built here so far."""
    images = {name: info for name in boards if (info := _built(name)) is not None}
    static = max((info.ram_static_bytes for info in images.values()), default=None)
    found = []
    for name, board in boards.items():
        own = images.get(name)
        arena = board.ram.size - (board.stack if static is None else static)
        if own is not None:
            arena = own.arena_bytes
        found.append(Room(board, board.bundle.size, arena, own is not None, static is None))
    return found


def _built(environment: str) -> ImageInfo | None:
    """Of an image that is there already; nothing is built."""
    try:
        elf = Path(firmware_dir(), ".pio", "build", environment, "firmware.elf")
        return image_info(elf) if elf.is_file() else None
    except DeviceError:
        return None


@dataclass(frozen=True)
class Fit:
    """A bundle on a board.

    Attributes:
        room: the board.
        flash_short: bytes that are missing; 0: it fits.
        windows: by depth, how many are stored beside the training; None where it does not fit.
        arena_short: by depth, bytes of arena that are missing.
    """

    room: Room
    flash_short: int
    windows: dict[str, int | None]
    arena_short: dict[str, int]


def fits(bundle: bytes, ways: list[Depth], boards: dict[str, BoardFile]) -> list[Fit]:
    """How a bundle fits each board, asked of the firmware with an arena of that size."""
    asked: dict[int, dict[str, int | None]] = {}
    found = []
    for room in rooms(boards):
        if room.arena not in asked:
            asked[room.arena] = _windows(bundle, ways, room.arena)
        short = {way.depth: max(0, way.arena - room.arena) for way in ways}
        flash_short = max(0, len(bundle) - room.flash)
        found.append(Fit(room, flash_short, asked[room.arena], short))
    return found


def _windows(bundle: bytes, ways: list[Depth], arena: int) -> dict[str, int | None]:
    found: dict[str, int | None] = {way.depth: None for way in ways}
    with on_twin(bundle, arena) as opened:
        if opened.board.greeting.bundle_status != Status.OK:
            return found
        for way in ways:
            if not way.depth:
                found[way.depth] = 0
                continue
            try:
                found[way.depth] = opened.board.layout(way.first_layer).capacity
            except TinymiaError:
                continue
    return found
