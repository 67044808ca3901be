"""What public documents ask of a model's privacy, and which of an audit's figures answer it.

Questions are this project's words. A clause is cited by what could be checked: a paragraph or an
identifier of the document; what was not checked is not cited.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinymia.attacks.base import Adversary

LEAK = ("membership.auc", "membership.tpr")


@dataclass(frozen=True)
class Source:
    """A document.

    Attributes:
        key: short name.
        title: with its edition.
        url: where it is.
        note: on its clauses, where they are not its own.
    """

    key: str
    title: str
    url: str
    note: str = ""


@dataclass(frozen=True)
class Asked:
    """Figures that answer a question, or a part of it.

    Attributes:
        figures: names, see :mod:`tinymia.gate.figures`; ``NAME.*``: all of a further experiment.
        adversaries: whose, where they are of attacks; empty: the strongest, fixed beforehand.
        answers: under which output policies; empty: the study's own.
        conditions: of which runs, "" the one that the evidence is for; "every": all.
    """

    figures: tuple[str, ...]
    adversaries: tuple[Adversary, ...] = ()
    answers: tuple[str, ...] = ()
    conditions: str = ""


@dataclass(frozen=True)
class Question:
    """One row.

    Attributes:
        source: key.
        clause: of it.
        text: the question.
        asked: what answers it.
        beyond: what it also asks and no figure here answers.
        needs: "claim": it is asked of a claim of differential privacy alone; "neighbours": what
            the study states, not measures, answers it.
    """

    source: str
    clause: str
    text: str
    asked: tuple[Asked, ...] = ()
    beyond: str = ""
    needs: tuple[str, ...] = ()


SOURCES = (
    Source(
        "EDPB",
        "EDPB, Opinion 28/2024 on certain data protection aspects related to the processing of"
        " personal data in the context of AI models, adopted 17 December 2024",
        "https://www.edpb.europa.eu/system/files/2024-12/edpb_opinion_202428_ai-models_en.pdf",
    ),
    Source(
        "NIST AI 100-2",
        "NIST AI 100-2 E2025, Adversarial Machine Learning: A Taxonomy and Terminology of Attacks"
        " and Mitigations, March 2025",
        "https://doi.org/10.6028/NIST.AI.100-2e2025",
    ),
    Source(
        "NIST SP 800-226",
        "NIST SP 800-226, Guidelines for Evaluating Differential Privacy Guarantees, March 2025",
        "https://doi.org/10.6028/NIST.SP.800-226",
        "Its sections are not cited: the clauses name subjects, in this project's words.",
    ),
    Source(
        "OWASP AISVS",
        "OWASP AI Security Verification Standard 1.0, chapter C11, as it stood at commit 01d32e2",
        "https://github.com/OWASP/AISVS/blob/01d32e2a2cb1dfe15f5c2287173bb51995c9a248/1.0/en/"
        "0x10-C11-Adversarial-Robustness.md",
    ),
    Source(
        "OWASP AITG",
        "OWASP AI Testing Guide, tests of models, data and applications",
        "https://github.com/OWASP/www-project-ai-testing-guide",
    ),
)

_QUERIES = (
    Adversary.NO_SHADOWS,
    Adversary.OTHER_PEOPLE,
    Adversary.CANDIDATES,
    Adversary.JOINT,
)
_BY_QUERY = (Asked(LEAK, _QUERIES),)
_SHADOW = (Asked(LEAK, (Adversary.OTHER_PEOPLE, Adversary.CANDIDATES)),)
_EVERYBODY = (Asked(LEAK, tuple(Adversary)),)

QUESTIONS = (
    Question(
        "EDPB",
        "executive summary, question 1, limb 1",
        "How likely is it that personal data of those whose data the model learnt from are"
        " extracted directly from it, with certainty or probably?",
        (
            Asked(LEAK, (Adversary.FLASH,)),
            Asked(("reconstruction.*", "gradients.*")),
        ),
        "Whether that is insignificant is not decided here. Of an extraction, these figures know"
        " who was a member, and data themselves only where reconstruction is listed.",
    ),
    Question(
        "EDPB",
        "executive summary, question 1, limb 2",
        "How likely is it that such data are obtained from queries, intentionally or not?",
        (*_BY_QUERY, Asked(("owner.auc",)), Asked(("inversion.*",))),
        "Whether that is insignificant is not decided here. What is obtained unintentionally was"
        " not asked.",
    ),
    Question(
        "EDPB",
        "paragraph 55 (i)",
        "Was it tested against membership inference, by the state of the art?",
        _EVERYBODY,
        "Whether these attacks are the state of the art is not decided here.",
    ),
    Question(
        "EDPB", "paragraph 55 (i)", "And against attribute inference?", (Asked(("attribute.*",)),)
    ),
    Question("EDPB", "paragraph 55 (ii)", "Was it tested against exfiltration?"),
    Question("EDPB", "paragraph 55 (iii)", "Was it tested for regurgitation of training data?"),
    Question(
        "EDPB",
        "paragraph 55 (iv)",
        "Was it tested against model inversion?",
        (Asked(("inversion.*",)),),
    ),
    Question(
        "EDPB",
        "paragraph 55 (v)",
        "Was it tested against reconstruction attacks?",
        (Asked(("reconstruction.*", "gradients.*")),),
    ),
    Question(
        "NIST AI 100-2",
        "NISTAML.033, membership inference",
        "Can it be told that a record was in the training set?",
        _EVERYBODY,
    ),
    Question(
        "NIST AI 100-2",
        "NISTAML.032, data reconstruction",
        "Can data of individuals be recovered from the trained model?",
        (Asked(("reconstruction.*", "inversion.*", "gradients.*")),),
    ),
    Question(
        "NIST AI 100-2",
        "NISTAML.034, property inference",
        "Can properties of the training data as a whole be learnt?",
        (Asked(("property.*",)),),
        "Whose device it is, where it is listed elsewhere here, is a property of another kind.",
    ),
    Question(
        "NIST AI 100-2",
        "NISTAML.031, model extraction",
        "Can the model be copied by asking it?",
        (Asked(("stealing.*",)),),
    ),
    Question(
        "NIST SP 800-226",
        "the guarantee: epsilon and delta",
        "Which epsilon and delta are claimed?",
        (Asked(("epsilon.claimed",), conditions="every"),),
    ),
    Question(
        "NIST SP 800-226",
        "the guarantee: unit of privacy",
        "For whom is it claimed: what may be added, removed or replaced?",
        needs=("neighbours",),
    ),
    Question(
        "NIST SP 800-226",
        "evaluating a claim",
        "Was the claim held against what the implementation shows?",
        (Asked(("epsilon.measured",)),),
        "A bound from below that stays below the claim does not prove it.",
    ),
    Question(
        "NIST SP 800-226",
        "utility",
        "What does the claim cost in accuracy?",
        (Asked(("accuracy.heldout",), conditions="every"),),
        needs=("claim",),
    ),
    Question(
        "NIST SP 800-226",
        "several releases",
        "Do epsilons of later trainings add up, and is there a budget?",
        beyond="One fine-tuning was measured.",
    ),
    Question(
        "OWASP AISVS",
        "11.3.1",
        "Are outputs calibrated or perturbed so that members are harder to tell?",
        (Asked(("membership.auc",), answers=("every",)),),
        "What a policy hides from one adversary it may not hide from another.",
    ),
    Question(
        "OWASP AISVS",
        "11.3.2",
        "Is training private by DP-SGD, with a documented epsilon?",
        (Asked(("epsilon.claimed",), conditions="every"),),
    ),
    Question(
        "OWASP AISVS",
        "11.3.3",
        "Do simulated attacks (shadow models, likelihood ratio, label only) do better than"
        " guessing?",
        (*_SHADOW, Asked(LEAK, _QUERIES, ("label",))),
        "Which figure is meaningfully better than guessing is the reader's to say.",
    ),
    Question(
        "OWASP AISVS",
        "11.4.1",
        "Are inferred sensitive attributes returned, or generalised?",
    ),
    Question(
        "OWASP AISVS",
        "11.4.2",
        "Are repeated queries throttled by what an inversion needs?",
    ),
    Question(
        "OWASP AISVS",
        "11.5.1",
        "Are queries limited by what an extraction needs?",
        (Asked(("stealing.*",)),),
        "What an extraction needs, where it is listed; limits on queries were not looked at.",
    ),
    Question(
        "OWASP AITG",
        "AITG-MOD-04, membership inference",
        "Do confidence, shadow models or perturbed queries tell members from others?",
        _BY_QUERY,
        "A figure is of the attack that stands for its adversary; report.html says what it asks.",
    ),
    Question(
        "OWASP AITG",
        "AITG-MOD-05, inversion attacks",
        "Can inputs or attributes be reconstructed from answers?",
        (Asked(("inversion.*",)),),
    ),
    Question(
        "OWASP AITG",
        "AITG-DAT-01, training data exposure",
        "Are training data exposed?",
        (Asked(LEAK, (Adversary.FLASH,)), Asked(("reconstruction.*",))),
        "Stores, logs and files around the device were not looked at.",
    ),
    Question(
        "OWASP AITG",
        "AITG-APP-09, model extraction",
        "Can the model be copied by asking it?",
        (Asked(("stealing.*",)),),
    ),
)
