"""A bill of materials of an audited bundle, as CycloneDX has it for machine learning (ML-BOM).

Components, hashes and the document itself are the library's (`cyclonedx-python-lib`); its objects
have no model card, so that is added to the JSON, and the whole is held against the library's
schema.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tinymia
from tinymia.errors import ReportError
from tinymia.experiments.base import Figure
from tinymia.export.bundle import Bundle
from tinymia.files import write_whole
from tinymia.gate.figures import Selection, finding_of
from tinymia.gate.kinds import KINDS
from tinymia.study.results import RESULTS, Results

NAME = "bom.cdx.json"
_INSTALL = "Run: pip install 'tinymia[bom]'"
_METRICS = ("membership.auc", "membership.tpr")


def _library() -> Any:
    try:
        import cyclonedx

        return cyclonedx
    except ImportError as error:
        raise ReportError("A bill of materials needs cyclonedx-python-lib.", _INSTALL) from error


def write(
    results: Results, folder: Path, bundle: Path, image: Path | None = None, condition: str = ""
) -> Path:
    """Write ``bom.cdx.json`` into the folder of ``results.json``; equal inputs, equal bytes.

    Args:
        results: of the bundle's audit.
        folder: of those.
        bundle: that was audited.
        image: of the firmware, for its hash.
        condition: what is shipped; "" plain fine-tuning.

    Raises:
        ReportError: the library is missing, the bundle is not the audited one, a file cannot be
            read, or what was made is not valid.
    """
    _library()
    loaded = Bundle.load(bundle)
    audited = results.context.device.bundle_id
    if loaded.bundle_id != audited:
        raise ReportError(
            f"{bundle} is not the bundle of these results: its id is {loaded.bundle_id},"
            f" theirs is {audited}.",
            "Give the audited one by --bundle.",
        )
    content = _document(results, folder, loaded, bundle, image, condition)
    data = json.dumps(content, indent=1, allow_nan=False) + "\n"
    _validate(data)
    return write_whole(folder / NAME, data.encode(), error=ReportError)


def _document(
    results: Results,
    folder: Path,
    loaded: Bundle,
    bundle: Path,
    image: Path | None,
    condition: str,
) -> dict[str, Any]:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    def hashes(path: Path) -> list[HashType]:
        return [HashType(alg=HashAlgorithm.SHA_256, content=_sha256(path))]

    context, device = results.context, results.context.device
    provenance = loaded.meta.get("provenance", {})
    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=str(loaded.meta.get("name", bundle.stem)),
        version=loaded.bundle_id,
        bom_ref="model",
        hashes=hashes(bundle),
        properties=[Property(name="tinymia:bundle", value=bundle.name)],
    )
    data = Component(
        type=ComponentType.DATA,
        name=str(provenance.get("dataset", context.dataset)),
        bom_ref="data",
        description="What the base model was trained on",
        properties=_properties(
            {
                # Of its arrays, not of a file, so it is no hash of the component.
                "tinymia:content-sha256": str(provenance.get("dataset_sha256", "")),
                "tinymia:people": ", ".join(context.public_people),
            }
        ),
    )
    audited = Component(
        type=ComponentType.DATA,
        name=f"{context.dataset} (audit)",
        bom_ref="audit-data",
        description="What audited devices were fine-tuned on",
        properties=_properties(
            {
                "tinymia:content-sha256": context.dataset_sha256,
                "tinymia:people": ", ".join(context.audited_people),
            }
        ),
    )
    firmware = Component(
        type=ComponentType.FIRMWARE,
        name="tinymia firmware",
        version=device.build_id,
        bom_ref="firmware",
        hashes=hashes(image) if image is not None else [],
        properties=_properties(
            {"tinymia:board": device.board, "tinymia:protocol": str(device.protocol)}
        ),
    )
    tool = Component(
        type=ComponentType.APPLICATION,
        name="tinymia",
        version=tinymia.__version__,
        bom_ref="tinymia",
        purl=PackageURL("pypi", None, "tinymia", tinymia.__version__),
    )
    bom = Bom(components=[data, audited, firmware], serial_number=_serial(folder, bundle))
    bom.metadata.component = model
    bom.metadata.tools.components.add(tool)
    bom.register_dependency(model, [data, firmware])
    bom.register_dependency(firmware)
    bom.register_dependency(data)
    bom.register_dependency(audited)
    content: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    content["metadata"].pop("timestamp", None)  # equal inputs, equal bytes
    card = _card(results, loaded, condition)
    content["metadata"]["component"]["modelCard"] = card
    return content


def _properties(values: dict[str, str]) -> list[Any]:
    from cyclonedx.model import Property

    return [Property(name=name, value=value) for name, value in values.items() if value]


def _serial(folder: Path, bundle: Path) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, _sha256(folder / RESULTS) + _sha256(bundle))


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ReportError(f"Cannot read {path}: {error.strerror}.") from error


def _card(results: Results, loaded: Bundle, condition: str) -> dict[str, Any]:
    """The model card: what goes in and out, what was measured, and what that does not say."""
    split = results.context.split
    shape = " x ".join(map(str, loaded.meta.get("input", {}).get("shape", [])))
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "classification",
            "datasets": [{"ref": "data"}],
            "inputs": [{"format": f"int8, {shape}" if shape else "int8"}],
            "outputs": [{"format": f"probabilities of {', '.join(loaded.labels)}"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(results, condition))},
        "considerations": {
            "technicalLimitations": [
                "An attack that finds nothing proves nothing.",
                f"Members were drawn as {split.kind}: {split.note}",
            ]
        },
    }


def _metrics(results: Results, condition: str) -> Iterator[dict[str, Any]]:
    finding = finding_of(results)
    if finding is None:
        return
    for name in ("accuracy.heldout", *_METRICS):
        kind = KINDS[name]
        who = "every" if "adversary" in kind.takes else ""
        for reading in kind.read(results, Selection(condition=condition, adversary=who)):
            if reading.figure.value is not None:
                yield _metric(f"{kind.title}", reading.of, reading.figure)


def _metric(title: str, of: str, figure: Figure) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": title, "value": f"{figure.value:.6g}", "slice": of}
    if figure.low is not None and figure.high is not None:
        metric["confidenceInterval"] = {
            "lowerBound": f"{figure.low:.6g}",
            "upperBound": f"{figure.high:.6g}",
        }
    return metric


def _validate(data: str) -> None:
    from cyclonedx.exception import MissingOptionalDependencyException
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    try:
        wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(data)
    except MissingOptionalDependencyException as error:
        raise ReportError("A bill of materials cannot be checked.", _INSTALL) from error
    if wrong is not None:
        raise ReportError(f"The bill of materials is not valid CycloneDX: {wrong}.")
