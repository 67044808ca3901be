"""What attacks there are, who runs them, and which stands for whom under which answers."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import tinymia.attacks
from fakelab import make_run
from tinymia.attacks import Adversary, Attack
from tinymia.attacks.base import AttackInfo
from tinymia.attacks.registry import all_attacks, attacks_for, get_attack, headline_of
from tinymia.attacks.thresholds import Threshold
from tinymia.errors import StudyError
from tinymia.evidence import Knowledge, OutputPolicy, Reveals
from tinymia.study.code import parts_of

PROBABILITIES = [OutputPolicy.FULL, OutputPolicy.ROUNDED, OutputPolicy.TOP1]


def test_every_attack_says_what_it_is() -> None:
    attacks = all_attacks()
    assert all(isinstance(attack, Attack) for attack in attacks)
    for attack in attacks:
        info = attack.info
        assert info.title, info.name
        assert info.reference, info.name
        assert info.name == info.name.lower(), info.name
    assert len({attack.info.title for attack in attacks}) == len(attacks)


def test_knowledge_fits_the_adversary() -> None:
    for attack in all_attacks():
        info = attack.info
        if info.adversary is Adversary.NO_SHADOWS:
            assert info.knowledge is None, info.name
        if info.knowledge is Knowledge.OTHER_PEOPLE:
            assert info.adversary is Adversary.OTHER_PEOPLE, info.name


@pytest.mark.parametrize(
    ("adversary", "probabilities", "label"),
    [
        (Adversary.NO_SHADOWS, "calibrated-loss", "label-change"),
        (Adversary.OTHER_PEOPLE, "rmia-offline-others", "lira-offline-labels-others"),
        (Adversary.CANDIDATES, "lira-online", "lira-online-labels"),
    ],
)
def test_headlines_are_fixed_beforehand(
    adversary: Adversary, probabilities: str, label: str
) -> None:
    for policy in PROBABILITIES:
        found = headline_of(adversary, policy)
        assert found is not None
        assert found.info.name == probabilities
    found = headline_of(adversary, OutputPolicy.LABEL)
    assert found is not None
    assert found.info.name == label


def test_label_only_is_not_no_attack() -> None:
    names = {attack.info.name for attack in attacks_for(make_run(OutputPolicy.LABEL))}
    assert {"gap", "label-change", "lira-online-labels", "lira-offline-labels"} <= names
    assert "lira-online" not in names


def test_a_run_gets_the_attacks_that_its_answers_and_views_allow() -> None:
    full = {attack.info.name for attack in attacks_for(make_run())}
    top = {attack.info.name for attack in attacks_for(make_run(OutputPolicy.TOP1))}
    assert full - top >= {"entropy", "entropy-per-class"}
    assert "lira-online-views" not in full
    assert "lira-online-views" in {a.info.name for a in attacks_for(make_run(), views=2)}


@pytest.mark.parametrize("knowledge", [Knowledge.HALF, Knowledge.MISMATCHED, Knowledge.UNDEFENDED])
def test_lira_and_rmia_run_with_less_knowledge(knowledge: Knowledge) -> None:
    for name in ("lira-online", "rmia-offline"):
        info = get_attack(f"{name}-{knowledge.value}").info
        assert info.knowledge is knowledge
        assert info.adversary is Adversary.CANDIDATES
        assert not info.headline


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(StudyError, match=r"There is no attack 'lira-onlin'.*'lira-online'"):
        get_attack("lira-onlin")
    with pytest.raises(StudyError, match=r"Known: .*lira-online"):
        get_attack("zzz")


def test_runs_under_compares_with_what_is_revealed() -> None:
    info = AttackInfo("a", "A", "nobody", Adversary.NO_SHADOWS, needs=Reveals.TOP_PROBABILITY)
    assert info.runs_under(OutputPolicy.TOP1)
    assert not info.runs_under(OutputPolicy.LABEL)
    assert replace(info, needs=Reveals.LABEL).runs_under(OutputPolicy.LABEL)
    assert isinstance(Threshold(info, lambda target, answer: target.answers[:, 0, 0]), Attack)


def test_an_attacks_code_is_what_it_imports_of_its_package() -> None:
    """So that another attack's change runs nothing again, and one of its own parts does."""
    all_attacks()  # imports them
    assert parts("tinymia.attacks.loss") >= {"tinymia.attacks.loss", "tinymia.attacks.signals"}
    assert "tinymia.attacks.model_decoder" not in parts("tinymia.attacks.loss")
    assert "tinymia.attacks.ridge" in parts("tinymia.attacks.stolen")
    for path in Path(str(tinymia.attacks.__file__)).parent.glob("*.py"):
        if path.stem not in ("__init__", "registry"):  # ways to import that are not looked for
            assert not re.search(r"^\s*(import|from) tinymia\.attacks( |\.\w+$)", path.read_text())


def parts(module: str) -> set[str]:
    return set(parts_of(module, "tinymia.attacks"))
