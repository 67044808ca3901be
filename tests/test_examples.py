"""Examples that stand alone: how they are dealt, drawn, planned and told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pictures import picture_bundle, picture_meta, pictures, with_meta
from tinymia import data
from tinymia.data.examples import dealt
from tinymia.data.splits import assert_disjoint, draw
from tinymia.errors import DataError
from tinymia.export.bundle import Bundle

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"


def test_examples_are_drawn_one_by_one_in_equal_shares() -> None:
    dataset, meta = pictures(), picture_meta([8, 8, 1])
    dataset.check_model(meta)
    pool = dataset.pool("p1", meta)
    assert pool.windows.x.shape == (200, 8, 8, 1)
    assert (pool.block_length, pool.blocks, pool.notes) == (1, 200, ())
    taken = np.zeros(200, int)
    for repetition in range(300):
        drawn = draw(pool, 1, repetition, 40)
        assert (drawn.member.sum(), drawn.nonmember.sum()) == (40, 160)
        per_class = np.bincount(pool.windows.y[drawn.member], minlength=10)
        assert (np.abs(per_class - 4) <= 1).all()
        taken += drawn.member
        assert_disjoint(pool, drawn)
    assert abs(taken - 60).max() < 4.5 * np.sqrt(60 * 0.8)
    stored = pool.to_json()
    assert stored["shape"] == [8, 8, 1]
    np.testing.assert_array_equal(
        dataset.x[stored["recording"]].reshape(pool.windows.x.shape), pool.windows.x
    )


def test_a_study_of_examples_is_planned_and_told() -> None:
    from tinymia.study import describe
    from tinymia.study.people import plan
    from tinymia.study.public import public_of
    from tinymia.study.settings import StudySettings

    bundle = picture_bundle([8, 8, 1])
    settings = StudySettings(members=40, repetitions=3)
    dataset = replace(pictures(people=5), notes=("They name no people",))
    people = plan(settings, dataset, ["p0", "p3"], bundle)
    assert [person.windows.shape for person in people] == [(120, 8, 8, 1)] * 2
    split = describe.split(settings, people)
    assert (split.block, split.gap_samples, split.nearest_samples) == (1, 0, None)
    assert "none is in both, by content" in split.note
    told = describe.notes(bundle, dataset, people)
    assert told[0] == "They name no people."
    assert "could not be checked" in told[-1]
    public = public_of(dataset, bundle, ["p0", "p3"])
    assert public.windows.shape == (360, 8, 8, 1)
    assert public.block_length == 1
    assert public_of(dataset, bundle, dataset.people).windows.shape == (0, 8, 8, 1)
    # Of many people there are a few examples each, within the store's size.
    crowd = replace(dataset, person=np.array([f"q{i:03d}" for i in np.arange(600) % 200]))
    assert 300 <= len(public_of(crowd, bundle, ["q000"])) <= 500
    with pytest.raises(DataError, match="beyond"):
        plan(settings, replace(dataset, x=dataset.x * 15), ["p0"], bundle)


def test_groups_are_members_together() -> None:
    dataset = pictures(group=5)
    pool = dataset.blocks("p0")
    assert (pool.block_length, pool.blocks) == (5, 40)
    drawn = draw(pool, 1, 0, 50)
    of = dataset.group[pool.windows.recording]
    assert not set(of[drawn.member]) & set(of[drawn.nonmember])
    with pytest.raises(DataError, match="multiple of the block length 5"):
        draw(pool, 1, 0, 51)


def test_groups_of_other_sizes_are_cut_and_counted() -> None:
    dataset = pictures(100, people=1)
    sizes = [10] * 6 + [12] * 3 + [4]
    uneven = replace(dataset, group=np.repeat(np.arange(10), sizes))
    pool = uneven.blocks("p0")
    assert (pool.block_length, pool.blocks) == (10, 9)
    assert "10 of 100 examples of p0 were left out" in pool.notes[0]


def test_a_store_of_few_slots_gets_fewer_examples() -> None:
    pool = pictures().pool("p0", picture_meta([8, 8]), max_slots=50)
    assert (len(pool), pool.blocks) == (50, 50)
    with pytest.raises(DataError, match="does not fit"):
        pictures(group=5).pool("p0", picture_meta([8, 8]), max_slots=4)


def test_examples_for_another_model() -> None:
    dataset = pictures()
    with pytest.raises(DataError, match=r"takes \(n, 9, 9\)"):
        dataset.check_model(picture_meta([9, 9]))
    with pytest.raises(DataError, match="classes"):
        dataset.check_model(picture_meta([8, 8]) | {"labels": ["a", "b"]})
    with pytest.raises(DataError, match="recordings of 6 channels"):
        data.load_watch().check_model(picture_meta([8, 8]))
    # Classes in another order are brought into the model's.
    turned = picture_meta([8, 8]) | {"labels": [str(9 - i) for i in range(10)]}
    assert dataset.pool("p0", turned).windows.y.tolist() == [
        9 - y for y in dataset.pool("p0", picture_meta([8, 8])).windows.y
    ]


def test_people_are_dealt_where_there_are_none() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.random((1797, 8, 8)), np.arange(1797) % 10
    x[900:920] = x[:20]
    person, group, note = dealt(x, y)
    people, sizes = np.unique(person, return_counts=True)
    assert people.tolist() == [f"draw-{i:02d}" for i in range(8)]
    assert sizes.max() <= 230
    for one in people:
        assert np.abs(np.bincount(y[person == one]) - sizes.mean() / 10).max() < 5
    assert (person[900:920] == person[:20]).all()
    assert len(np.unique(group)) == 1797
    assert "name no people" in note
    assert (dealt(x, y)[0] == person).all()
    together = dealt(x, y, np.arange(1797) // 3)
    for block in range(0, 1797, 3):
        assert len(set(together[0][block : block + 3])) == 1
    assert len(np.unique(dealt(np.arange(70_000.0)[:, None], np.arange(70_000) % 10)[0])) == 140


def test_data_shows_examples_and_their_split(tmp_path: Path) -> None:
    from tinymia.cli.data import command

    picture_bundle([8, 8, 1]).save(tmp_path / "p.bundle")
    runner = CliRunner()
    said = runner.invoke(command, ["digits", "--person", "draw-03", "--members", "50"])
    assert said.exit_code == 0
    assert "225 groups of 1; no content is on both sides" in said.output
    said = runner.invoke(
        command, ["digits", "--person", "draw-03", "--bundle", str(tmp_path / "p.bundle")]
    )
    assert said.exit_code == 0
    assert "name no people" in runner.invoke(command, ["digits"]).output
    assert "uci-har" in runner.invoke(command, ["--sources"]).output
    made = runner.invoke(command, ["--template", str(tmp_path / "mine")])
    assert "manifest.csv" in made.output
    assert "windows of 50" in runner.invoke(command, [str(tmp_path / "mine")]).output


def test_labels_with_commas_are_quoted(tmp_path: Path) -> None:
    from tinymia.cli.query import command

    base = Bundle.load(BUNDLE)
    names = ['a,"b"', *base.labels[1:]]
    with_meta(base, labels=names).save(tmp_path / "odd.bundle")
    np.save(tmp_path / "w.npy", data.load_watch().blocks("p07").windows.x[:30])
    said = CliRunner().invoke(
        command,
        [
            f"--bundle={tmp_path / 'odd.bundle'}",
            f"--windows={tmp_path / 'w.npy'}",
            "--target=twin:",
        ],
    )
    assert said.exit_code == 0, said.output
    assert said.stdout.splitlines()[0].startswith('window,answer,"a,""b""",ABD')
