"""`tinymia federate`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinymia.cli.options import (
    BETWEEN,
    RATE,
    FilePath,
    Finite,
    bundle_option,
    data_option,
    is_quiet,
    json_option,
    load_bundle,
    print_json,
    progress,
    show,
)
from tinymia.errors import StudyError

if TYPE_CHECKING:
    from tinymia.data import Dataset
    from tinymia.export.bundle import Bundle
    from tinymia.study.federation import FederationSettings


@click.command()
@bundle_option
@data_option
@click.option(
    "--devices", default=200, show_default=True, type=click.IntRange(2, 10_000), help="How many."
)
@click.option("--rounds", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option(
    "--strategy",
    default="fedavg",
    show_default=True,
    help="fedavg, fedprox, fedavgm, fedadam, fedyogi, fedadagrad, median, trimmed-mean, krum,"
    " multi-krum.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Of the strategy: eta and tau of fedadam and its like; server_learning_rate and"
    " server_momentum of fedavgm; beta of trimmed-mean; malicious (a share) of krum.",
)
@click.option(
    "--mu", type=Finite(0, 1), help="Of fedprox: how hard devices are pulled to the shared tail."
)
@click.option(
    "--share",
    default=1.0,
    type=Finite(0, 1, min_open=True),
    show_default=True,
    help="Of the devices, in each round.",
)
@click.option(
    "--windows", default=16, show_default=True, type=click.IntRange(1), help="Of each device."
)
@click.option(
    "--epochs", default=1, show_default=True, type=click.IntRange(1, 1000), help="In a round."
)
@click.option("--learning-rate", default=0.2, type=RATE, show_default=True, help="Of a device.")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--clip",
    default=1.0,
    type=Finite(1e-6, 1e6),
    show_default=True,
    help="Bound of an update's norm.",
)
@click.option(
    "--units",
    default=16384,
    type=click.IntRange(16, 2**21),
    show_default=True,
    help="Whole numbers to the clip norm.",
)
@click.option(
    "--width", default=4, show_default=True, type=click.IntRange(1, 4), help="Bytes a number."
)
@click.option(
    "--noise",
    default=0.0,
    type=Finite(0, 1000, max_open=True),
    show_default=True,
    help="DP-FedAvg: noise on the sum of updates, in clip norms.",
)
@click.option(
    "--noise-by",
    type=click.Choice(["server", "devices"]),
    default="server",
    show_default=True,
    help="Who adds it: the server, or each device its part (which wants --secure).",
)
@click.option(
    "--secure", is_flag=True, help="Secure aggregation: the server learns the sum of updates alone."
)
@click.option(
    "--peers",
    default=8,
    type=click.IntRange(2, 16),
    show_default=True,
    help="Of each device, for its masks; even.",
)
@click.option(
    "--delta", default=1e-3, type=BETWEEN, show_default=True, help="At which epsilon is said."
)
@click.option(
    "--drop",
    default=0.0,
    type=Finite(0, 1, max_open=True),
    show_default=True,
    help="Chance of a device to go away in a round.",
)
@click.option(
    "--board",
    "boards",
    multiple=True,
    metavar="TARGET",
    help="A board in the place of a twin: qemu:netduinoplus2, serial:/dev/ttyACM0. Can be given"
    " again. Each update is made by the twin, too, and must be the same in every bit.",
)
@click.option(
    "--leakage",
    is_flag=True,
    help="Also measure what the server, a curious device and the final model give away of one"
    " device's windows, on 20 of the devices and 10 rounds.",
)
@click.option(
    "--attack",
    default="",
    metavar="NAME",
    help="What malicious devices do, measured beside the same federation without them: flip (wrong"
    " labels), backdoor (a trigger), scale (the same, multiplied until it outweighs all others),"
    " opposite; hidden among the others' updates: sneak (a trigger), little, min-max, min-sum; or"
    " fitted to --strategy: fang, tailored. Or ascent: one device climbs the loss of another one's"
    " windows to learn which it has, measured with --leakage.",
)
@click.option(
    "--malicious",
    type=click.IntRange(0),
    help="How many devices, the last ones; with --attack.  [default: 1]",
)
@click.option(
    "--blind",
    is_flag=True,
    help="Malicious devices see nobody's updates and take what they would give, were they honest,"
    " for the others'.",
)
@click.option(
    "--unclipped",
    is_flag=True,
    help="Malicious devices do not clip their updates: they run something else than the firmware.",
)
@click.option(
    "--repetitions",
    default=10,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Federations with and without malicious devices that are compared.",
)
@click.option(
    "--homomorphic",
    is_flag=True,
    help="Also add a round's updates under CKKS and measure it (`tinymia[homomorphic]`).",
)
@click.option(
    "--engine",
    type=click.Choice(["inside", "simulation"]),
    default="inside",
    show_default=True,
    help="Who runs the twins: this process, all side by side, or Flower's simulation engine, each"
    " a node in processes of Ray's (`tinymia[simulation]`); the same comes of it.",
)
@click.option(
    "--listen",
    default="",
    metavar="HOST:PORT",
    help="Wait here for all devices, which come over Flower's gRPC.",
)
@click.option(
    "--join",
    "joined",
    default="",
    metavar="HOST:PORT",
    help="Be one device of the federation that waits there; the other options as its own.",
)
@click.option(
    "--certificates",
    type=FilePath(file_okay=False),
    help="TLS for --listen and --join: a folder with ca.crt and, at the server, server.pem and"
    " server.key.",
)
@click.option("--device", type=click.IntRange(0), help="Which, with --join; --board says where.")
@click.option("--person", "people", multiple=True, help="Whose devices. Can be given again.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**31 - 1))
@click.option("--threads", type=click.IntRange(1, 1024), help="[default: one a core]")
@click.option("--force", is_flag=True, help="Go on where data are plainly in other units.")
@click.option(
    "--out",
    default="federation",
    show_default=True,
    type=FilePath(file_okay=False),
    help="Folder of the results and of the bundle with the shared tail.",
)
@json_option
def command(
    bundle_path: Path | None,
    dataset: str,
    options: tuple[str, ...],
    clip: float,
    units: int,
    width: int,
    threads: int | None,
    force: bool,
    out: Path,
    boards: tuple[str, ...],
    leakage: bool,
    attack: str,
    malicious: int | None,
    blind: bool,
    unclipped: bool,
    repetitions: int,
    homomorphic: bool,
    engine: str,
    listen: str,
    joined: str,
    certificates: Path | None,
    device: int | None,
    people: tuple[str, ...],
    devices: int,
    rounds: int,
    strategy: str,
    mu: float | None,
    share: float,
    windows: int,
    epochs: int,
    learning_rate: float,
    batch: int,
    noise: float,
    noise_by: str,
    secure: bool,
    peers: int,
    delta: float,
    drop: float,
    seed: int,
    as_json: bool,
) -> None:
    """Fine-tune one shared tail on many devices, in rounds, through Flower.

    Each round, devices take the tail, train it on their own windows and give an update: the
    difference of weights, clipped and rounded to whole units on the device. Devices are twins; any
    may be a board. Needs `pip install 'tinymia[federated]'`.

    \b
    Examples:
      tinymia federate
      tinymia federate --board qemu:netduinoplus2 --board qemu:netduinoplus2
      tinymia federate --strategy fedadam --option eta=0.03 --share 0.25
      tinymia federate --strategy fedprox --mu 0.1 --epochs 5
      tinymia federate --strategy krum --option malicious=0.1
      tinymia federate --noise 8 --clip 0.3
      tinymia federate --secure --noise 8 --noise-by devices --clip 0.3
      tinymia federate --secure --board qemu:netduinoplus2 --rounds 5
      tinymia federate --secure --leakage
      tinymia federate --devices 2 --listen 127.0.0.1:8080
      tinymia federate --devices 2 --join 127.0.0.1:8080 --device 0 --board qemu:netduinoplus2
      tinymia federate --devices 2 --listen 0.0.0.0:8080 --certificates tls
      tinymia federate --engine simulation --devices 20 --rounds 5
      tinymia federate --drop 0.1 --devices 50 --rounds 10
      tinymia federate --devices 20 --rounds 20 --malicious 4 --attack backdoor --strategy krum
      tinymia federate --devices 20 --rounds 20 --attack scale --unclipped --secure
      tinymia federate --devices 20 --rounds 20 --malicious 4 --attack tailored --strategy median
      tinymia federate --rounds 10 --attack ascent
    """
    from tinymia import data
    from tinymia.cli.federate_shown import show_federation
    from tinymia.federated.strategies import chosen_of
    from tinymia.federated.terms import UpdateTerms
    from tinymia.report.federation import render_federation
    from tinymia.study.federate import Look, Where, run
    from tinymia.study.federated_results import RESULTS, load
    from tinymia.study.federation import FederationSettings

    by_server = noise_by == "server"
    ascent = attack == "ascent"
    if ascent and malicious not in (None, 1):
        raise StudyError("One device climbs, not several.", "Leave out --malicious.")
    if ascent:
        attack, leakage = "", True
    if not by_server and not secure:
        raise StudyError(
            "Devices' own noise hides a sum, and the server would see each update.",
            "Give --secure, too.",
        )
    if device is not None and not joined:
        raise StudyError(
            f"Device {device} is one that joins a federation elsewhere.", "Give --join, too."
        )
    # The parts of all that are chosen add up to it.
    part = 0.0 if by_server else noise / math.sqrt(chosen_of(devices, share))
    settings = FederationSettings(
        devices=devices,
        rounds=rounds,
        strategy=strategy,
        options=_options(options) | ({} if mu is None else {"mu": mu}),
        share=share,
        windows=windows,
        epochs=epochs,
        learning_rate=learning_rate,
        batch=batch,
        terms=UpdateTerms(clip, units, part, width, secure),
        noise=noise if by_server else 0.0,
        peers=peers,
        delta=delta,
        drop=drop,
        seed=seed,
        people=people,
        boards=boards,
        malicious=int(bool(attack)) if malicious is None or ascent else malicious,
        attack=attack,
        clips=not unclipped,
        sees_others=not blind,
        repetitions=repetitions,
    )
    bundle = load_bundle(bundle_path)
    loaded = data.load(dataset)
    if joined:
        _join(settings, bundle, loaded, joined, device, threads, certificates)
        return
    with progress("Rounds", rounds) as advance:
        found = run(
            settings,
            bundle,
            loaded,
            out,
            threads=threads,
            force=force,
            warn=lambda text: None if is_quiet() else click.echo(text, err=True),
            progress=advance,
            look=Look(leakage, homomorphic, ascent),
            where=Where(engine == "simulation", listen, certificates),
        )
    page = render_federation(load(out), out)
    if as_json:
        print_json(json.loads((out / RESULTS).read_text(encoding="utf-8")))
        return
    show_federation(found)
    show(f"Results: {out / RESULTS}, page: {page}")


def _join(
    settings: FederationSettings,
    bundle: Bundle,
    dataset: Dataset,
    address: str,
    device: int | None,
    threads: int | None,
    certificates: Path | None,
) -> None:
    from tinymia.federated.network import join
    from tinymia.study.federation import alone

    if device is None:
        raise StudyError("Nobody knows which device this is.", "Give its number with --device.")
    devices = alone(settings, bundle, dataset, device, threads=threads)
    try:
        join(address, devices, device, certificates)
    finally:
        devices.close()


def _options(given: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
            if not math.isfinite(found[name]):
                raise ValueError(value)
        except ValueError:
            raise StudyError(
                f"--option {text[:40]!r} sets nothing.", "Write NAME=NUMBER, as in eta=0.03."
            ) from None
    return found
