"""Shadow devices: trained like the attacked ones, apart from them, and once for all who ask."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from tinymia import data
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Knowledge, OutputPolicy, Run, Target, reveal
from tinymia.export.bundle import Bundle
from tinymia.study.lab import TwinLab, mismatched
from tinymia.study.lanes import Lanes, train_devices
from tinymia.study.people import Person, plan
from tinymia.study.public import public_of
from tinymia.study.settings import StudySettings
from tinymia.study.store import Store

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
SETTINGS = StudySettings(
    people=("p07", "p08"),
    repetitions=2,
    epochs=(2,),
    defences=("clip", "augment"),
    depths=("all",),
    shadows=20,
    dear_shadows=16,
)
COUNT = 20


@functools.cache
def bundle() -> Bundle:
    return Bundle.load(BUNDLE)


@functools.cache
def people() -> dict[str, Person]:
    found = plan(SETTINGS, data.load("watch"), SETTINGS.people, bundle())
    return {person.name: person for person in found}


@functools.cache
def runs() -> dict[str, Run]:
    return {run.name: run for run in SETTINGS.runs(bundle())}


def lab(folder: Path, audited: tuple[str, ...] = ("p07", "p08", "p09", "p10")) -> TwinLab:
    counts = {
        (run.recipe, run.epochs): 16 if run.name in ("augment@2", "all@2") else COUNT
        for run in runs().values()
    }
    public = public_of(data.load("watch"), bundle(), audited)
    return TwinLab(SETTINGS, Lanes(bundle(), threads=1), people(), public, counts, Store(folder))


def test_shadows_are_drawn_by_the_rule_of_the_attacked_devices(tmp_path: Path) -> None:
    found = lab(tmp_path).shadows(runs()["plain@2"], "p07")
    person = people()["p07"]
    assert found.member.shape == (COUNT, len(person.labels))
    assert (found.member.sum(axis=1) == SETTINGS.members).all()
    for row in found.member:  # whole blocks
        blocks = person.pool.block
        assert all(len(set(row[blocks == block])) == 1 for block in np.unique(blocks)[:20])
    attacked = {draw.member.tobytes() for draw in person.draws}
    assert not attacked & {row.tobytes() for row in found.member}
    assert len({row.tobytes() for row in found.theta}) == COUNT  # type: ignore[union-attr]


def test_a_shadow_device_is_what_a_device_with_its_members_would_be(tmp_path: Path) -> None:
    """The lab's first shadow, trained by the twin's own call."""
    made = lab(tmp_path)
    run, person = runs()["clip@2"], people()["p08"]
    found = made.shadows(run, "p08")
    seed = made._seeds("p08", 1)
    alone = made.lanes.train(
        run, person.windows, person.labels, found.member[:1], seed, person.windows
    )
    assert alone.answers[0].tobytes() == found.answers[0].tobytes()
    assert found.theta is not None
    assert alone.theta[0].tobytes() == found.theta[0].tobytes()


def test_answers_of_shadows_and_candidates_are_under_the_runs_policy(tmp_path: Path) -> None:
    made = lab(tmp_path)
    whole = runs()["plain@2"]
    label = whole.answering(AnswerSettings(OutputPolicy.LABEL))
    answers = made.shadows(label, "p07").answers
    assert set(np.unique(answers)) == {0.0, 1.0}
    assert np.array_equal(answers, reveal(made.shadows(whole, "p07").answers, label.answer))
    assert set(np.unique(made.candidates(label, "p07").base)) == {0.0, 1.0}


def test_training_is_done_once_for_all_who_ask(tmp_path: Path) -> None:
    made = lab(tmp_path)
    run = runs()["plain@2"]
    assert made.shadows(run, "p07") is made.shadows(run, "p07")
    few = made.shadows(run, "p07", count=5)
    assert few.answers.tobytes() == made.shadows(run, "p07").answers[:5].tobytes()
    assert made.candidates(run, "p07").features is not None
    assert made.candidates(runs()["all@2"], "p07").features is None


def test_other_people_know_nothing_of_the_candidates(tmp_path: Path) -> None:
    made = lab(tmp_path)
    found = made.shadows(runs()["plain@2"], "p07", Knowledge.OTHER_PEOPLE)
    assert not found.member.any()
    assert found.others is not None
    assert (found.others.member.sum(axis=1) == SETTINGS.members).all()
    assert found.others.answers.shape[:2] == found.others.member.shape
    own = {window.tobytes() for window in people()["p07"].windows}
    assert not own & {window.tobytes() for window in made.public.windows}


def test_half_of_the_windows_are_unknown(tmp_path: Path) -> None:
    made = lab(tmp_path)
    known = made.known("p07")
    blocks = people()["p07"].pool.block
    assert abs(known.mean() - 0.5) < 0.02
    assert all(len(set(known[blocks == block])) == 1 for block in np.unique(blocks))
    found = made.shadows(runs()["plain@2"], "p07", Knowledge.HALF)
    assert found.member.shape == (COUNT, known.sum())
    whole = made.shadows(runs()["plain@2"], "p07")
    assert np.array_equal(found.member, whole.member[:, known])
    # What they learnt of the unknown half is other people's.
    assert not np.array_equal(found.answers, whole.answers[:, known])


def test_who_does_not_know_the_defence_trains_without_it(tmp_path: Path) -> None:
    made = lab(tmp_path)
    clip, plain = runs()["clip@2"], runs()["plain@2"]
    assert not made.knows(plain, "p07", Knowledge.UNDEFENDED)
    found = made.shadows(clip, "p07", Knowledge.UNDEFENDED)
    assert found.answers.tobytes() == made.shadows(plain, "p07").answers.tobytes()
    assert mismatched(clip).recipe != clip.recipe


def test_where_nobody_else_is_there_nobody_can_train_on_them(tmp_path: Path) -> None:
    made = lab(tmp_path, audited=data.load("watch").people)
    assert len(made.public) == 0
    for knowledge in (Knowledge.OTHER_PEOPLE, Knowledge.HALF):
        assert not made.knows(runs()["plain@2"], "p07", knowledge)
        with pytest.raises(StudyError, match="no windows"):
            made.shadows(runs()["plain@2"], "p07", knowledge)


def test_dear_shadows_are_kept_and_read_again(tmp_path: Path) -> None:
    run = runs()["augment@2"]
    first = lab(tmp_path).shadows(run, "p07", Knowledge.OTHER_PEOPLE)
    kept = list((tmp_path / "store" / "shadows").glob("*.npz"))
    assert len(kept) == 1
    again = lab(tmp_path).shadows(run, "p07", Knowledge.OTHER_PEOPLE)
    assert again.answers.tobytes() == first.answers.tobytes()
    assert again.others is not None
    assert first.others is not None
    assert again.others.answers.tobytes() == first.others.answers.tobytes()
    # In the quick run, what nobody's verdict hangs on is not trained where it is dear.
    assert not lab(tmp_path).knows(run, "p07", Knowledge.MISMATCHED)
    assert len(first.answers) == 16


def test_an_oracle_answers_as_the_device_and_counts(tmp_path: Path) -> None:
    made = lab(tmp_path)
    run, person = runs()["plain@2"], people()["p07"]
    (_, device), *_ = train_devices(made.lanes, made.store, run, person, 1)
    made.devices[run.recipe, run.epochs, "p07", 0] = device.theta
    candidates = made.candidates(run, "p07")
    assert candidates.features is not None
    target = Target("p07", 0, candidates, device.answers)
    oracle = made.oracle(run, target)
    said = oracle.ask(candidates.features[:30])
    np.testing.assert_allclose(said, device.answers[:30, 0], atol=2e-6)
    assert oracle.asked == 30


def test_attacked_devices_do_not_depend_on_how_many_are_trained_together(tmp_path: Path) -> None:
    lanes = Lanes(bundle(), threads=1)
    person, run = people()["p07"], runs()["clip@2"]
    both = train_devices(lanes, Store(tmp_path / "a"), run, person, 1)
    one = Person(person.pool, person.draws[:1], person.windows)
    alone = train_devices(lanes, Store(tmp_path / "b"), run, one, 1)
    assert alone[0][0] == both[0][0]
    assert alone[0][1].answers.tobytes() == both[0][1].answers.tobytes()
    assert alone[0][1].hash == both[0][1].hash
