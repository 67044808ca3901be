"""The page of a federation, from its ``federation.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinymia.errors import ReportError
from tinymia.files import write_whole
from tinymia.report.page import whole_page
from tinymia.report.words import portion

PAGE = "federation.html"
_ROUNDS = 12
"""Rows of the table of rounds, about."""


def render_federation(results: Mapping[str, Any], folder: Path) -> Path:
    """Write ``federation.html``.

    Args:
        results: what :func:`tinymia.study.federated_results.load` gives.
        folder: of the results.

    Returns:
        Path of the page.

    Raises:
        ReportError: the results lack something, or the page cannot be written.
    """
    try:
        view = _view(results)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ReportError(
            f"The results in {folder} lack something: {error}.", "Run `tinymia federate` again."
        ) from error
    text = whole_page("federation.html.j2", view)
    return write_whole(folder / PAGE, text.encode(), "the page", ReportError)


def _view(results: Mapping[str, Any]) -> dict[str, Any]:
    found = results["federation"]
    settings, rounds = found["settings"], found["rounds"]
    base, last = rounds[0], rounds[-1]
    step = max(1, (len(rounds) - 1) // _ROUNDS)
    shown = [r for r in rounds if r["number"] % step == 0 or r is last]
    unfinished = "" if found["finished"] else f" It ended early, after {last['number']} rounds."
    gone: dict[str, int] = {}
    for one in rounds:
        for why, count in one["gone"].items():
            gone[why] = gone.get(why, 0) + count
    return {
        "subtitle": f"{settings['strategy']}, {settings['devices']} devices,"
        f" {last['number']} rounds",
        "answer": f"A tail that {settings['devices']} devices trained together answers"
        f" {portion(last['accuracy'])} of held-out windows right, the base model"
        f" {portion(base['accuracy'])}; devices that train alone as long"
        f" {portion(found['alone'])} of their own person's, the shared tail"
        f" {portion(found['person'])} of these.{unfinished}",
        "accuracy": [
            ("Base model", portion(base["accuracy"])),
            ("Shared tail", portion(last["accuracy"])),
            ("Shared tail, each device's own person", portion(found["person"])),
            ("Trained alone, own person", portion(found["alone"])),
        ],
        "rounds": [
            (
                r["number"],
                portion(r["accuracy"]),
                r["replied"],
                sum(r["gone"].values()),
                "–" if r["norm"] is None else f"{r['norm']:.3g}",
                portion(r["clipped"]),
            )
            for r in shown
        ],
        "gone": [("Once" if count == 1 else f"{count} times", why) for why, count in gone.items()],
        "cost": _cost(found),
        "claim": _claim(found),
        "shared": _shared(found),
        "leaks": _leaks(found["leaks"]),
        "leak_claim": _leak_claim(found["leak_claim"]),
        "malice": _malice(found["malice"]),
        "homomorphic": _homomorphic(found["homomorphic"]),
        "settings": _settings(settings),
    }


_TERMS = {
    "clip_norm": "Clip norm of an update",
    "units": "Whole units to the clip norm",
    "noise": "A device's own noise, in clip norms",
    "width": "Bytes of each number",
    "masked": "Behind masks (--secure)",
}


def _settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    def text(value: Any) -> str:
        if isinstance(value, Mapping):
            return ", ".join(f"{name} {number:g}" for name, number in value.items()) or "none"
        if isinstance(value, list):
            return ", ".join(map(str, value)) or "none named"
        if isinstance(value, bool):
            return "yes" if value else "no"
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    own = [
        ("The server's noise, in clip norms" if name == "noise" else _named(name), text(value))
        for name, value in settings.items()
        if name != "terms"
    ]
    return own + [(title, text(settings["terms"][name])) for name, title in _TERMS.items()]


def _named(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _shared(found: Mapping[str, Any]) -> str:
    if not found["shared"]:
        return "No two devices have windows of the same block of a recording."
    return (
        f"{found['shared']:,} of {found['settings']['devices']:,} devices have windows of a block"
        " of a recording that another device has, too: the people have too few for that many"
        " devices. A claim for one device says less about such windows, which others hold, too."
    )


def _leak_claim(claim: Mapping[str, Any] | None) -> str:
    if claim is None:
        return ""
    return (
        f"That smaller federation's noise gives epsilon {claim['epsilon']:.2f} at delta"
        f" {claim['delta']:g}, not the one above."
    )


def _cost(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("Down: the shared tail, keys", f"{found['bytes_down']:,} bytes"),
        ("Up: the update, keys, shares", f"{found['bytes_up']:,} bytes"),
    ]
    for board in found["boards"]:
        text = (
            f"an update takes {board['ticks']:,} {board['unit']}, a round moves"
            f" {board['bytes']:,} bytes on its line"
        )
        if board["mask_ticks"]:
            keys, peer = board["mask_ticks"]
            text += f"; keys of its masks take {keys:,}, each peer {peer:,}"
        rows.append((f"{board['target']} (device {board['device']})", text))
    if found["boards"]:
        rows.append(
            ("Confirmed", f"{found['confirmed']:,} updates of boards equal the twin's in every bit")
        )
    return rows


def _claim(found: Mapping[str, Any]) -> str:
    claim = found["claim"]
    if claim is None:
        return "No noise is added to updates or to their sum, so no epsilon is claimed."
    by = "each device, in part" if found["settings"]["terms"]["noise"] else "the server"
    return (
        f"For one device more or less: epsilon {claim['epsilon']:.2f} at delta {claim['delta']:g}"
        f" over {claim['rounds']} rounds ({claim['accountant']}); noise is added by {by}, at least"
        f" {claim['multiplier']:.3g} times what one device can move."
    )


def _leaks(rows: list[Mapping[str, Any]]) -> list[tuple[str, str, str, str]]:
    def text(leak: Mapping[str, Any]) -> str:
        if leak["low"] is None:  # one person
            return f"{leak['auc']:.3f}"
        return f"{leak['auc']:.3f} [{leak['low']:.3f}, {leak['high']:.3f}]"

    worst = {(leak["who"], leak["attack"]): leak for leak in rows if leak["knows_others"]}
    return [
        (leak["who"], leak["attack"], text(leak), text(worst[leak["who"], leak["attack"]]))
        for leak in rows
        if not leak["knows_others"]
    ]


_WANTED = {
    "class": "windows of one class that are taken for the wanted one",
    "trigger": "windows with the trigger that are taken for the wanted class",
    "wrong": "windows that are answered wrong",
}


def _malice(found: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if found is None:
        return None

    def text(figure: Mapping[str, Any], sign: str = "") -> str:
        mean = f"{100 * figure['value']:{sign}.1f} %"
        if figure["low"] is None:
            return mean
        return f"{mean} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"

    rows = [
        (_WANTED[found["wants"]], "success", "success_without", "gained"),
        ("held-out windows answered right", "accuracy", "accuracy_without", "moved"),
    ]
    clipping = "clip their updates" if found["clips"] else "do not clip their updates"
    return {
        "rows": [
            (title.capitalize(), text(found[on]), text(found[off]), text(found[by], "+"))
            for title, on, off, by in rows
        ],
        "text": f"{found['malicious']} of {found['devices']} devices are malicious"
        f" ({found['attack']}) and {clipping}. {found['federations']} federations with them and as"
        " many without, the same otherwise; each draws windows and the adversary's classes anew."
        f" The server left out {portion(found['left_out'])} of their updates. 95 % intervals over"
        " federations (Student's t).",
    }


def _homomorphic(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    fits = "fits" if found["m4_ram"] <= found["m4_arena"] else "does not fit"
    return [
        ("An update", f"{found['bytes_up']:,} bytes, {found['bytes_plain']:,} as float32"),
        ("Encrypting one, here", f"{found['encrypt_ms']:.2f} ms"),
        ("Adding one, at the server", f"{found['add_ms']:.2f} ms"),
        (f"Reading the sum of {found['devices']}", f"{found['decrypt_ms']:.2f} ms"),
        ("Largest error", f"{found['worst_error']:.1g} of the sum's largest number"),
        (
            "On a Cortex-M4, reckoned from SEAL-Embedded's published figures (nRF52840), not"
            " measured",
            f"{found['m4_ms']:,.0f} ms and {found['m4_ram']:,} bytes of RAM, which {fits} in the"
            f" STM32F405's {found['m4_arena']:,}",
        ),
    ]
