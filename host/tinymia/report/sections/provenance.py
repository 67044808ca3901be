"""Where the figures come from."""

from __future__ import annotations

from collections.abc import Sequence

from tinymia.report.section import Section, View
from tinymia.report.words import count, some
from tinymia.study.results import Results, Setting


def _listed(settings: Sequence[Setting]) -> str:
    return ", ".join(f"{s.name} {s.value}" for s in settings)


def view(results: Results) -> View:
    """Pairs of a name and a value; what is not known is left out."""
    context, finding = results.context, results.findings.membership
    device = context.device
    rows: list[tuple[str, object]] = [
        ("Command", context.command),
        ("Seed", context.seed),
        ("Data", context.dataset),
        ("SHA-256 of the data", context.dataset_sha256),
        ("People of the base model", some(context.public_people)),
        ("Audited people", some(context.audited_people)),
        ("Board", device.board),
        ("Target", device.target),
        ("Firmware build id", device.build_id),
        ("Twin build id", device.twin_build_id),
        ("Bundle", f"{device.bundle} {device.bundle_id}".strip()),
        ("Protocol", device.protocol or ""),
        *((setting.name, setting.value) for setting in context.settings),
        ("Versions", _listed(context.versions)),
    ]
    if finding is not None:
        rules = finding.rules
        rows.append(("Resampling", f"{count(rules.resamples)} resamples, seed {rules.seed}"))
        rows.append(("Scores computed", count(finding.counts.scores)))
    return {"rows": [(name, str(value)) for name, value in rows if value not in (None, "")]}


SECTION = Section(title="Provenance", short="Provenance", order=250, view=view)
