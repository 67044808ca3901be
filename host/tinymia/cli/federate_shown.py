"""What `tinymia federate` prints."""

from __future__ import annotations

import math

from tinymia.cli.options import show, table, thousands
from tinymia.experiments.base import Figure
from tinymia.study.federated_leakage import Leak
from tinymia.study.federated_malice import MaliceFound
from tinymia.study.federated_results import Federation


def show_federation(found: Federation) -> None:
    """Print accuracies, rounds, boards, claim and whatever else was looked at."""
    settings, last = found.settings, found.rounds[-1]
    listed = table(f"{settings.strategy}, {settings.devices} devices", ("", "held-out accuracy"))
    listed.add_row("base model", f"{100 * found.rounds[0].accuracy:.1f} %")
    listed.add_row(f"shared tail after {last.number} rounds", f"{100 * last.accuracy:.1f} %")
    listed.add_row("… on each device's own person", f"{100 * found.person:.1f} %")
    listed.add_row("devices that train alone as long", f"{100 * found.alone:.1f} %")
    show(listed)
    replied = sum(r.replied for r in found.rounds)
    gone = sum(sum(r.gone.values()) for r in found.rounds)
    show(
        f"{thousands(replied)} updates in {found.seconds:.1f} s, {thousands(gone)} missing;"
        f" {found.bytes_down:,} bytes down and {found.bytes_up:,} up for each."
    )
    for why, count in _reasons(found):
        show(f"  {'once' if count == 1 else f'{count} times'}: {why}")
    for board in found.boards:
        show(
            f"{board['target']}: an update takes {board['ticks']:,} {board['unit']},"
            f" a round {board['bytes']:,} bytes on the line."
        )
        if board["mask_ticks"]:
            keys, peer = board["mask_ticks"]
            show(f"  its keys take {keys:,}, each of {settings.peers} peers {peer:,}.")
    if found.boards:
        show(f"{found.confirmed} updates of boards confirmed by the twin in every bit.")
    if found.claim is not None:
        show(
            f"For one device more or less: epsilon {found.claim.epsilon:.2f} at delta"
            f" {found.claim.delta:g} over {found.claim.rounds} rounds ({found.claim.accountant})."
        )
    _show_looks(found)
    if found.malice is not None:
        _show_malice(found.malice)


def _show_looks(found: Federation) -> None:
    if found.leaks:
        listed = table(
            "Leakage of one device's windows: AUC (0.5 is guessing), 95 % interval over people",
            ("who sees what", "attack", "others unknown", "knows all others"),
        )
        worst = {(leak.who, leak.attack): leak for leak in found.leaks if leak.knows_others}
        for leak in found.leaks:
            if not leak.knows_others:
                listed.add_row(
                    leak.who, leak.attack, _auc(leak), _auc(worst[leak.who, leak.attack])
                )
        show(listed)
        claim = found.leak_claim
        if claim is not None:
            show(
                f"Leakage is that of a smaller federation, whose noise gives epsilon"
                f" {claim.epsilon:.2f}."
            )
    if (h := found.homomorphic) is not None:
        show(
            f"CKKS: an update is {h.bytes_up:,} bytes in place of {h.bytes_plain:,} as float32;"
            f" encrypting takes {h.encrypt_ms:.1f} ms, adding {h.add_ms:.2f}, reading the sum of"
            f" {h.devices} {h.decrypt_ms:.1f} ms here; largest error {h.worst_error:.1g} of the"
            " largest number."
        )
        show(
            f"On a Cortex-M4, reckoned from SEAL-Embedded's published figures and not measured:"
            f" {h.m4_ms:,.0f} ms and {h.m4_ram:,} bytes of RAM; the STM32F405 has"
            f" {h.m4_arena:,}: {'it fits' if h.fits_m4 else 'it does not fit'}."
        )


def _show_malice(found: MaliceFound) -> None:
    who = f"{found.malicious} of {found.devices} devices are malicious ({found.attack})"
    if not found.clips:
        who += ", and do not clip"
    wanted = "windows that are answered wrong" if found.wants == "wrong" else "attack success"
    listed = table(
        f"{who}: {found.federations} federations, 95 % interval",
        ("", "with", "without", "difference"),
    )
    listed.add_row(
        wanted, _share(found.success), _share(found.success_without), _share(found.gained, True)
    )
    listed.add_row(
        "held-out accuracy",
        _share(found.accuracy),
        _share(found.accuracy_without),
        _share(found.moved, True),
    )
    show(listed)
    if found.left_out:
        show(f"The server left out {100 * found.left_out:.0f} % of the malicious updates.")


def _share(figure: Figure, sign: bool = False) -> str:
    text = f"{100 * (figure.value or 0.0):{'+' if sign else ''}.1f} %"
    if figure.low is None or figure.high is None:
        return text
    return f"{text} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def _auc(leak: Leak) -> str:
    if not math.isfinite(leak.low):
        return f"{leak.auc:.3f}"
    return f"{leak.auc:.3f} [{leak.low:.3f}, {leak.high:.3f}]"


def _reasons(found: Federation) -> list[tuple[str, int]]:
    reasons: dict[str, int] = {}
    for done in found.rounds:
        for why, count in done.gone.items():
            reasons[why] = reasons.get(why, 0) + count
    return sorted(reasons.items(), key=lambda item: -item[1])[:5]
