"""The seam of experiments: cells, store, chapters, boards; with a question made for the test."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quiet import Quiet
from tinymia.errors import StudyError
from tinymia.evidence import Training, Workbench
from tinymia.experiments import experiment as registry
from tinymia.experiments.base import Figure, Verdict
from tinymia.experiments.chapter import (
    VERSION,
    Adversary,
    Chapter,
    Control,
    Line,
    Measure,
    Panel,
    Picture,
    Plot,
)
from tinymia.experiments.experiment import Info, Measured, spelt_out
from tinymia.experiments.rows import Found, Tabulator
from tinymia.report.render import render
from tinymia.report.section import all_sections
from tinymia.report.sections import chapters as section
from tinymia.study import audit, board_attacked, experimenting
from tinymia.study.audit import Audit
from tinymia.study.devices import Device
from tinymia.study.executors import Here
from tinymia.study.results import Results, load, to_json
from tinymia.study.settings import StudySettings
from tinymia.study.store import Store

BUNDLE = Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle"
GAIN = Measure("gain", "Right answers", None, "%", leaks=False)
INFO = Info("rightness", "Accuracy", "Is it right?", 1, ("clip", "temperature"))
calls: list[str] = []


@dataclass(frozen=True)
class Accuracy:
    """How many of the owner's windows a device has right; no attack, but one figure a device."""

    info: Info = INFO

    def cells(self, bench: Workbench) -> Sequence[str]:
        return [owner.name for owner in bench.owners]

    def trainings(self, bench: Workbench, name: str) -> list[Training]:
        owner = next(o for o in bench.owners if o.name == name)
        members = bench.draw(owner, bench.repetitions, "rightness")
        seeds = bench.seeds(bench.repetitions, "rightness", name)
        runs = bench.runs(self.info.defences)
        return [Training(run, owner.windows, owner.labels, members, seeds) for run in runs]

    def measure(self, bench: Workbench, cell: str) -> Measured:
        calls.append(cell)
        found = {}
        owner = next(o for o in bench.owners if o.name == cell)
        for training in self.trainings(bench, cell):
            done = bench.train(training, owner.windows)
            again = bench.answers(training.run, done.theta, owner.windows, training.seeds)
            assert np.array_equal(again, done.answers, equal_nan=True)
            right = np.nanargmax(done.answers, axis=-1) == owner.labels
            found[training.run.name] = right.mean(axis=1)
            base = bench.answers(
                training.run, np.stack([bench.base(training.run)] * 2), owner.windows, [0, 0]
            )
            found["base"] = (np.nanargmax(base, axis=-1) == owner.labels).mean(axis=1)
        return found

    def conclude(self, bench: Workbench, measured: Mapping[str, Measured]) -> Chapter:
        owners = [name for name in measured for _ in range(bench.repetitions)]

        def of(run: str) -> np.ndarray:
            return np.concatenate([np.asarray(m[run], np.float64) for m in measured.values()])

        found = [
            Found(run, of(run.name), of("base")[: len(owners)] if i == 0 else None)
            for i, run in enumerate(bench.runs(self.info.defences))
        ]
        rows = Tabulator(owners).rows(GAIN, "", found)
        window = bench.signal.real(bench.owners[0].windows[:1])[0]
        return Chapter(
            version=VERSION,
            name="rightness",
            title="Accuracy",
            question=self.info.question,
            answer=f"It is right in {100 * (rows[0].figure.value or 0):.1f} %.",
            adversaries=(Adversary("nobody", "nobody", "has nothing"),),
            measures=(GAIN,),
            rows=tuple(rows),
            controls=(Control("one is one", "exactly 1", Figure(1.0), 1.0, 1.0),),
            method=("Count.",),
            limits=("It is no attack.",),
            sources=("None.",),
            plots=(Plot("p", "A line", "x", "y", (Line("one", (1.0, 10.0), (0.5, 0.7)),), True),),
            pictures=(
                Picture("A window", (Panel("real", window.shape, tuple(window.ravel().tolist())),)),
            ),
        )

    def targets(self, bench: Workbench) -> Sequence[Training]:
        return self.trainings(bench, bench.owners[0].name)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made = {"rightness": Accuracy()}
    for module in (registry, experimenting, board_attacked, section):
        monkeypatch.setattr(module, "experiments", lambda: made)
    monkeypatch.setattr("tinymia.study.settings.experiments", lambda: made)
    monkeypatch.setattr(section, "SECTIONS", section.sections())
    all_sections.cache_clear()
    calls.clear()
    yield
    all_sections.cache_clear()


def run(
    out: Path,
    targets: tuple[str, ...] = ("twin:",),
    say: Callable[[str], None] = lambda _: None,
    **more: object,
) -> Results:
    settings = StudySettings(
        people=("p07", "p08"),
        repetitions=2,
        epochs=(3,),
        experiments=("rightness",),
        **more,  # type: ignore[arg-type]
    )
    return audit.run(Audit(settings, BUNDLE, targets, out, executor=Here()), Quiet(), say)


def test_a_chapter_from_cells_that_are_kept(tmp_path: Path) -> None:
    settings = StudySettings(
        people=("p07", "p08"), repetitions=2, epochs=(3,), experiments=("rightness",)
    )
    job = Audit(settings, BUNDLE, ("twin:",), tmp_path, executor=Here())
    results = audit.run(job, Quiet())
    (chapter,) = results.findings.chapters
    assert calls == ["p07", "p08"]
    assert results.findings.membership is None
    assert [row.condition for row in chapter.rows] == ["plain@3", "clip@3", "temperature@3"]
    assert chapter.rows[0].baseline is not None
    assert chapter.rows[0].verdict is not Verdict.NOT_MEASURED
    assert chapter.rows[2].figure == chapter.rows[0].figure  # softened answers are as right

    again = audit.run(job, Quiet())
    assert len(calls) == 2  # nothing was measured again
    assert to_json(again)["findings"] == to_json(results)["findings"]

    page = render(load(tmp_path), tmp_path).read_text()
    assert "It is right in" in page
    assert 'id="chapter-rightness"' in page
    assert "Right answers" in page
    assert "holds" in page


def test_boards_confirm_what_was_attacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two boards side by side; one of them ends in the middle, and the other takes over."""
    two, said = ("native:", "native:"), list[str]()
    both = threading.Barrier(2, timeout=60)
    began: list[Any] = []
    saved: list[str] = []
    do, save = board_attacked.AttackedWork.do, board_attacked.save_device

    def disturbed(work: Any, board: Any, *of: Any) -> None:
        if len(began) < 2 and board not in began:
            began.append(board)
            both.wait()  # each of them has a device
            if board is began[1]:
                os.kill(board._target.pid, signal.SIGKILL)
        do(work, board, *of)

    def kept(store: Store, kind: str, key: str, device: Device) -> None:
        saved.append(key)
        save(store, kind, key, device)

    with monkeypatch.context() as patch:
        patch.setattr(board_attacked.AttackedWork, "do", disturbed)
        patch.setattr(board_attacked, "save_device", kept)
        results = run(tmp_path, two, said.append, against=("clip", "memguard"), confirm=1)
    (row,) = results.context.confirmation.chapters
    assert (row.name, row.devices, row.devices_board, row.hashes) == ("rightness", 6, 3, 3)
    assert row.answers > 3 * 80
    assert len(began) == 2
    assert len(saved) == len(set(saved)) == 3
    assert [text for text in said if "a board is lost, others take over" in text]
    # One bit otherwise on the twin, and there is no report.
    whole = experimenting.TwinWorkbench.train

    def other(self: experimenting.TwinWorkbench, *given: object) -> object:
        done = whole(self, *given)  # type: ignore[arg-type]
        return replace(done, hashes=done.hashes ^ np.uint64(1))

    monkeypatch.setattr(experimenting.TwinWorkbench, "train", other)
    with pytest.raises(StudyError, match="does not confirm the twin: rightness, device 1, plain@3"):
        run(tmp_path, two, against=("clip", "memguard"), confirm=1)


def test_names() -> None:
    assert spelt_out(("rightness", "membership", "rightness")) == ("membership", "rightness")
    assert spelt_out(("all",)) == ("membership", "rightness")
    with pytest.raises(StudyError, match="no experiment 'rigtness'") as found:
        StudySettings(experiments=("rigtness",))
    assert "Did you mean" in str(found.value.hint)
