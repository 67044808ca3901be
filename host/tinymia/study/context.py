"""How the findings of a study came about, as its results say it."""

from __future__ import annotations

from collections.abc import Sequence

from tinymia.experiments.base import Condition
from tinymia.study import describe
from tinymia.study.devices import Device
from tinymia.study.results import Confirmation, Context, ShadowRow
from tinymia.study.results import Device as DeviceRow
from tinymia.study.showing import Public
from tinymia.study.underway import Underway
from tinymia.twin.core import core
from tinymia.wire import protocol


def context_of(
    study: Underway,
    devices: dict[str, list[Device]],
    confirmed: Confirmation,
    conditions: Sequence[Condition],
    public: Public,
) -> Context:
    """Everything that the results say beside findings.

    Args:
        study: at its end.
        devices: of each run, by name; none where membership was not asked about.
        confirmed: what boards ran, too.
        conditions: of the runs, in their order.
        public: other people's windows.
    """
    settings = study.settings
    return Context(
        command=study.audit.command,
        seed=settings.seed,
        dataset=study.dataset.name,
        dataset_sha256=study.dataset.sha256,
        public_people=tuple(study.bundle.meta.get("provenance", {}).get("public_people", [])),
        audited_people=tuple(study.names),
        settings=describe.shown(settings),
        split=describe.split(settings, study.people),
        notes=(*describe.notes(study.bundle, study.dataset, study.people), *study.left_out),
        versions=describe.versions(),
        device=_device(study),
        costs=describe.run_costs(study.runs, devices, study.measured, study.flash),
        privacy=describe.privacy(settings, study.runs, study.bundle),
        confirmation=confirmed,
        shadows=tuple(
            ShadowRow(c.name, c.shadows, settings.shadows if c.shadows else 0)
            for c, r in zip(conditions, study.runs, strict=True)
            if not r.is_base
        ),
    )


def _device(study: Underway) -> DeviceRow:
    """Who the devices were."""
    fleet, bundle, measured = study.fleet, study.bundle, study.measured
    name = str(bundle.meta.get("name", ""))
    if fleet is None or measured is None:
        return DeviceRow(
            "twin:", "the twin", core().stamp, protocol.VERSION, "ticks", name, bundle.bundle_id
        )
    image = fleet.image
    return DeviceRow(
        target=" ".join(study.audit.targets),
        board=fleet.board,
        build_id=fleet.build_id,
        protocol=fleet.protocol,
        unit=measured.unit,
        bundle=name,
        bundle_id=bundle.bundle_id,
        twin_build_id="" if study.audit.board_only else core().stamp,
        flash_bytes=None if image is None else image.build.flash_bytes + len(bundle.to_bytes()),
        flash_size=None if image is None else image.build.flash_size,
        inference=measured.inference,
        query=measured.query,
        arena_used=measured.arena_used,
        arena_size=measured.arena_size,
        arena_model=measured.arena_model,
        arena_tail=measured.arena_tail,
        arena_store=measured.arena_store,
        store_capacity=measured.store_capacity,
        stack_used=measured.stack_used,
        stack_size=measured.stack_size,
        bytes_host_to_device=measured.bytes_host_to_device,
        bytes_device_to_host=measured.bytes_device_to_host,
        payload_fraction=measured.payload_fraction,
    )
