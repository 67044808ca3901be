"""Parts of `tinymia bench` about this machine: the twin, attacks, executors and the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinymia.cli.options import progress, show, table, thousands

if TYPE_CHECKING:
    from tinymia.data.base import Dataset
    from tinymia.export.bundle import Bundle

Figures = dict[str, Any]


def of_twin(bundle: Bundle) -> Figures:
    """Devices a second, by ways of training and beside batched NumPy."""
    from tinymia.twin import available_isas
    from tinymia.twin import bench as twin

    isas = available_isas()
    widest = [isa for isa in ("avx512", "avx2", "neon") if isa in isas] or list(isas)[:1]
    runs = [(isa, 1) for isa in widest] + [("auto", None)]
    with progress("Twin", len(isas) + 2 + len(runs)) as advance:
        rows = []
        for isa in isas:
            rows.append(twin.throughput(bundle, isa=isa, threads=1))
            advance(1)
        rows.append(twin.throughput(bundle, threads=None))
        advance(1)
        trained = twin.ways(bundle)
        advance(1)
        peers = []
        for isa, threads in runs:
            peers.append(twin.peer_task(bundle, isa=isa, threads=threads))
            advance(1)
    show(
        f"\nTwin: devices that fine-tune the head for {twin.EPOCHS} epochs over {twin.MEMBERS} of"
        f" {twin.EXAMPLES} windows,\nbatch {twin.BATCH}, clipping"
    )
    listed = table("", ("", "devices/s", "threads", "more RAM for ten times as many"))
    for row in rows:
        lanes = f"{row.isa}, {isas[row.isa]} lane{'s' if isas[row.isa] > 1 else ''}"
        listed.add_row(
            lanes, thousands(row.per_second), str(row.threads), f"{thousands(row.growth_kb)} kB"
        )
    show(listed)
    show(
        f"\nThe same on one thread of {trained[0].isa}, seconds of a processor, by what is trained"
    )
    listed = table("", ("", "ms a device", "hours for 1,000,000"))
    for way in trained:
        listed.add_row(way.name, f"{1000 * way.cpu:.3f}", f"{way.a_million:.3g}")
    show(listed)
    show(
        f"\nPeer task: {twin.PEER_HEADS} shadow heads, {twin.PEER_MEMBERS} of {twin.PEER_EXAMPLES}"
        f" members, {twin.PEER_EPOCHS} epochs, batch {twin.PEER_BATCH}"
    )
    listed = table("", ("", "twin, s", "batched NumPy, s", "times faster", "same answers"))
    for peer in peers:
        listed.add_row(
            f"{peer.isa}, {peer.threads} thread{'s' if peer.threads > 1 else ''}",
            f"{peer.twin:.3f}",
            f"{peer.numpy:.3f}",
            f"{peer.speedup:.1f}",
            f"{100 * peer.agreement:.1f} %",
        )
    show(listed)
    return {"throughput": rows, "ways": trained, "peer_task": peers}


def of_executors(bundle: Bundle) -> Figures:
    """Cells a second, and how busy workers are kept."""
    import os
    from importlib.util import find_spec

    from tinymia.study import executor_bench as bench
    from tinymia.study.executors import Executor, Processes, Threads
    from tinymia.study.ray_executor import OnRay

    known: dict[str, Callable[[int], Executor]] = {"processes": Processes, "threads": Threads}
    if find_spec("ray") is not None:
        known["ray"] = OnRay
    cores = len(os.sched_getaffinity(0))
    counts = sorted({1, min(2, cores), cores})
    data = bundle.to_bytes()
    computing, waiting = [], []
    with progress("Executors", len(known) * (len(counts) + 1)) as advance:
        for name, made in known.items():
            for workers in counts:
                computing.append(bench.computing(made(workers), name, data))
                advance(1)
            waiting.append(bench.waiting(made(bench.WORKERS), name))
            advance(1)
    for title, rows in (
        ("\nCells that fine-tune shadow devices", computing),
        (f"\nCells that wait for {bench.WAIT:g} s", waiting),
    ):
        listed = table(
            "",
            (
                *("", "workers", "all there, s", "cells/s", "CPU s a cell", "cores"),
                *("workers busy", "driver, ms"),
            ),
        )
        for row in rows:
            listed.add_row(
                row.executor,
                str(row.workers),
                f"{row.starting:.1f}",
                f"{row.per_second:.2f}",
                f"{row.cpu:.3f}",
                f"{row.cores:.2f}",
                f"{100 * row.share:.1f} %",
                f"{1000 * row.driver:.3f}",
            )
        show(title)
        show(listed)
    return {"computing": computing, "waiting": waiting}


def of_attacks(bundle: Bundle, dataset: Dataset, person: str) -> Figures:
    """LiRA and RMIA with their shadow devices, and the joint decoder."""
    import tempfile

    from tinymia.study import attack_bench as bench
    from tinymia.study.people import plan
    from tinymia.study.settings import StudySettings
    from tinymia.study.store import Store
    from tinymia.twin import available_isas

    isas = available_isas()
    widest = [isa for isa in ("avx512", "avx2", "neon") if isa in isas] or list(isas)[:1]
    settings = StudySettings()
    (planned,) = plan(settings, dataset, [person], bundle)
    plain = [run for run in settings.runs(bundle) if run.reference is None][-1]
    runs = [(isa, 1) for isa in widest] + [("auto", None)]
    with progress("Attacks", len(runs) + 1) as advance:
        rows = []
        for isa, threads in runs:
            rows.append(bench.peer_attacks(bundle, isa=isa, threads=threads))
            advance(1)
        with tempfile.TemporaryDirectory() as folder:
            joint = bench.joint_decoder(bundle, planned, plain, settings, Store(Path(folder)))
        advance(1)
    show(
        f"\nPeer task with attacks: {bench.HEADS} shadow heads and {bench.TARGETS} attacked ones,"
        " LiRA and RMIA,\nonline and offline"
    )
    listed = table("", ("", "twin, s", "batched NumPy, s", "times faster"))
    for row in rows:
        listed.add_row(
            f"{row.isa}, {row.threads} thread{'s' if row.threads > 1 else ''}",
            f"{row.twin:.3f}",
            f"{row.numpy:.3f}",
            f"{row.speedup:.1f}",
        )
    show(listed)
    found = rows[0].aucs
    listed = table("", ("AUC", "twin", "NumPy"))
    for name in bench.NAMES:
        listed.add_row(name, f"{found[name, 'twin']:.3f}", f"{found[name, 'NumPy']:.3f}")
    show(listed)
    show(
        f"Joint decoder, {joint.shadows:,} shadow devices of {person}: {joint.total:.2f} s"
        f" (training {joint.training:.2f}, fitting {joint.fitting:.2f}, ten devices"
        f" {joint.scoring:.2f})."
    )
    aucs = [{"attack": name, "side": side, "auc": value} for (name, side), value in found.items()]
    return {"peer_task": [replace(row, aucs={}) for row in rows], "aucs": aucs, "joint": joint}


def of_store(out: Path | None) -> Figures:
    """The store of a study, in a folder of its own that is gone afterwards."""
    import tempfile

    from tinymia.study import store_bench as bench

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tinymia-store-", dir=out) as folder:
        rows = bench.rates(Path(folder))
    listed = table(f"\nThe store, {bench.DEVICES:,} devices", ("", "a second", "s for 10,000"))
    for row in rows:
        listed.add_row(row.of, thousands(row.per_second), f"{row.ten_thousand:.2f}")
    show(listed)
    return {"rates": rows}
