"""What the chapter on poisoning says beside its figures."""

from __future__ import annotations

from tinymia.experiments.poisoning import rounds, serum, tuned
from tinymia.experiments.poisoning.making import Attack

ATTACKS = {
    Attack.CLASS: "wrong labels, one class as another",
    Attack.RANDOM: "wrong labels, at random",
    Attack.TRIGGER: "a small trigger",
    Attack.LIKELY: "a small trigger, by one who knows of the screening",
    Attack.FLOOD: "a trigger that fills the window",
    Attack.TUNED: "a trigger made for the base model",
    Attack.KEPT: "the same, in windows that the base model doubts least with it",
    Attack.MATCHED: "the same, in windows that are made for it, too",
    Attack.LABELLED: "the same, in windows that keep their right label",
}
NOTHING = "nothing is poisoned"
CLIENT = "a small trigger in half of a client's store"
GRANTED_STORE = (
    "puts some of the windows of which the device learns: gives windows of the owner a wrong label,"
    " or a trigger and a wrong label; sees nothing. Who makes a trigger for the base model holds"
    " this model and public people's windows, and knows how much is screened and what else is"
    " stored"
)
GRANTED_COPIES = (
    "holds a window, puts copies of it with one wrong label among the windows of which the device"
    " learns, sees the answer to the window itself, and trains"
    f" {serum.SHADOWS} shadow devices with the same poison, half of them with the window"
)
GRANTED_CLIENT = (
    "is one of the clients of collaborative training, poisons half of what it learns, and may"
    " multiply its update by the number of clients"
)
NO_CLIENTS = (
    "There are too few people for federated rounds, so no malicious client was tried. Where nobody"
    " is public, triggers are made by the owners' windows, which favours the adversary."
)
METHOD = (
    "Poisoned windows take the place of others: a device learns from as many as without poison."
    " A repetition poisons at a larger share what it poisons at a smaller one, and trains with the"
    " same seed.",
    "Classes take turns as the adversary's, one a repetition, and the wrong class is drawn. Success"
    " of wrong labels: on the owner's other windows of that class; where a class has fewer windows"
    " than the share, all of them are poisoned. Of a trigger: on other windows of all other"
    " classes, with the trigger in them.",
    "The small trigger is a burst on the first channel over a fifth of a window, in an image a"
    " bright corner of a seventh of its side.",
    "What stands beside a figure as without the device is the same training without poison.",
    "The device's own screening leaves out the given share of what is stored, those windows whose"
    " labels the base model finds least likely, of a class at most three quarters. Who knows of it"
    " puts the trigger into the windows that the base model with the trigger in them doubts least.",
    "Against it a trigger is made for the base model: of the same place and amplitude the pattern"
    " with which public people's windows are most likely under the adversary's label; it goes into"
    " windows at random, or those doubted least with it. Or these change elsewhere, too, by at most"
    f" {tuned.CHANGE} codes: until the screening keeps most of them, and there so that their"
    " gradient is most like that of public windows with the trigger under that label. Or windows of"
    " the adversary's class keep their label, and change likewise. All are made against the largest"
    " screening. Such a trigger fools a model without any poison, which is no poisoning: what"
    " stands beside each figure is the same trigger shown to devices without poison, and the base"
    " model has a row.",
    "Beside it, a host screens the embeddings that the device stores, class by class as told."
    " Spectral signatures remove the windows farthest along a class's first principal direction,"
    " 1.5 times as many as are poisoned; activation clustering removes the smaller of two clusters"
    " where it holds at most 35 % of its class; nearest neighbours remove as many as spectral"
    " signatures do, of those that lie nearer to other labels than to their own. After it a device"
    " is trained without any other defence. The baseline of what a screening removes is removing as"
    " many at random.",
    f"Copies: {serum.TARGETS} windows of each owner, each in devices of its own, of which half"
    " learnt it (with the rest of its block); an AUC a repetition over all of an owner's. LiRA:"
    " two Gaussians of the true class's log-odds for each window, one variance for all.",
    f"Rounds: the audited people and others are clients, at most {rounds.MOST_CLIENTS};"
    f" {rounds.ROUNDS} rounds of {rounds.EPOCHS} epochs, and one who is not audited is malicious"
    " from the first. The baseline is the same without malice.",
)
LIMITS = (
    "The layers before the trained ones are frozen, so they cannot learn the trigger: the head can"
    " only use what they let through of it.",
    "The device's screening takes what the base model answers wrongly, poisoned or not: an owner"
    " whose own ways differ from those that it learnt teaches it less of them. Poison beyond the"
    " share stays, and so does what the base model believes: that is why poison made for that model"
    " comes through, and why it teaches less. Gradients are those at the base model; poison by"
    " steps through the whole training (Huang et al., MetaPoison, 2020) was not tried.",
    "How much windows may change beside the trigger was chosen on the audited people, which favours"
    " the adversary a little. Where the front is no chain of layers that could be trained, windows"
    " made for the base model are not changed beside the trigger.",
    "Spectral signatures and nearest neighbours are told how many windows are poisoned, which"
    " nobody would know; clustering is blind where poison is the larger part of a class. All come"
    " from networks that were trained on the poison, and here the embeddings were not.",
    "Wrong labels and triggers can be seen by whoever looks at the store.",
    "The copies' adversary chooses one window and one number of copies beforehand, and the shadow"
    " devices know the owner's other windows.",
    "In federated rounds one client attacks in every round, without hiding, and only the median is"
    " tried against it; no noise and no secure aggregation.",
)
SOURCES = (
    "Biggio, Nelson, Laskov: Support vector machines under adversarial label noise. ACML 2011.",
    "Gu, Dolan-Gavitt, Garg: BadNets: identifying vulnerabilities in the machine learning model"
    " supply chain. 2017.",
    "Brown, Mane, Roy, Abadi, Gilmer: Adversarial patch. 2017 (a pattern that fools by itself).",
    "Turner, Tsipras, Madry: Label-consistent backdoor attacks. 2019 (right labels).",
    "Geiping, Fowl, Huang, Czaja, Taylor, Moeller, Goldstein: Witches' brew: industrial scale data"
    " poisoning via gradient matching. ICLR 2021 (section 3.2).",
    "Tramer, Shokri, San Joaquin, Le, Jagielski, Hong, Carlini: Truth serum: poisoning machine"
    " learning models to reveal their secrets. CCS 2022.",
    "Shen, Sanghavi: Learning with bad training data via iterative trimmed loss minimization. ICML"
    " 2019.",
    "Tran, Li, Madry: Spectral signatures in backdoor attacks. NeurIPS 2018.",
    "Chen, Carvalho, Baracaldo, Ludwig, Edwards, Lee, Molloy, Srivastava: Detecting backdoor"
    " attacks on deep neural networks by activation clustering. SafeAI 2019.",
    "Peri, Gupta, Huang, Fowl, Zhu, Feizi, Goldstein, Dickerson: Deep k-NN defense against"
    " clean-label data poisoning attacks. ECCV Workshops 2020.",
    "Bagdasaryan, Veit, Hua, Estrin, Shmatikov: How to backdoor federated learning. AISTATS 2020.",
    "Yin, Chen, Ramchandran, Bartlett: Byzantine-robust distributed learning: towards optimal"
    " statistical rates. ICML 2018.",
)
