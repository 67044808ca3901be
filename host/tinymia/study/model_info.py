"""A model file of any kind, taken apart for `tinymia info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinymia.device.client import BoardRefusedError
from tinymia.errors import BundleError, ModelError, TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.export.cut import cut
from tinymia.export.graph import Graph, read_graph
from tinymia.export.importing import Wanted, import_tflite
from tinymia.export.sections import MAGIC
from tinymia.export.tail import find_tail, without_ends
from tinymia.study.memory import Depth, Refused, bare, depths, least_arena, model_arena, refused


@dataclass(frozen=True, eq=False)
class ModelInfo:
    """What is known of a file without a board.

    Attributes:
        bundle: itself, or what an import would make of a .tflite; None: it cannot be one.
        given: whether the bundle is the file.
        why_not: why the .tflite cannot be imported.
        model: the int8 model that a device runs: the backbone of a bundle, a .tflite without
            conversions at its ends.
        graph: of the model.
        refusal: why a device does not take it; None: it does.
        arena: bytes that the model alone takes; 0 where it is refused.
        ways: training from each place, the last layer first; of a complete model the running alone.
    """

    bundle: Bundle | None
    given: bool
    why_not: TinymiaError | None
    model: bytes
    graph: Graph
    refusal: Refused | None
    arena: int
    ways: list[Depth]

    @property
    def flash(self) -> bytes:
        """What lies in flash."""
        return bare(self.model) if self.bundle is None else self.bundle.to_bytes()


def inspect(path: Path) -> ModelInfo:
    """Read a bundle (a personalised one, too) or a .tflite file.

    Raises:
        BundleError: it is neither, or a damaged bundle.
        ModelError: it is a damaged .tflite.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"Cannot read {path}: {error.strerror}.", "Check the path.") from error
    if data[:8] == MAGIC:
        bundle = Bundle.load(path)
        return _known(bundle, True, None, bundle.model)
    if data[4:8] != b"TFL3":
        raise BundleError(
            f"{path} is neither a bundle nor a .tflite file.", "Give a .tflite or .bundle file."
        )
    graph = read_graph(data)
    try:
        classes = find_tail(graph).tail.classes
        labels = tuple(f"class {i}" for i in range(classes))
        made = import_tflite(data, Wanted(labels, name=path.stem)).bundle
    except TinymiaError as error:
        return _known(None, False, error, _device_model(data, graph))
    return _known(made, False, None, _device_model(data, graph))


def _device_model(tflite: bytes, graph: Graph) -> bytes:
    """The file without conversions at its ends, where it has some and they can be cut off."""
    try:
        source, target = without_ends(graph)
        if (source, target) == (graph.inputs[0], graph.outputs[0]):
            return tflite
        return cut(tflite, source, target)
    except ModelError:
        return tflite


def _known(
    bundle: Bundle | None, given: bool, why_not: TinymiaError | None, model: bytes
) -> ModelInfo:
    graph = read_graph(model)
    refusal = refused(model, graph)
    ways: list[Depth] = []
    arena = 0
    if refusal is None:
        arena = model_arena(bare(model))
        least = least_arena(bare(model))
        if bundle is None or bundle.tail is None:
            ways = [Depth("", 0, 0, least, 0)]
        else:
            try:
                ways = depths(bundle)
            except BoardRefusedError as error:
                why_not = error
    return ModelInfo(bundle, given, why_not, model, graph, refusal, arena, ways)
