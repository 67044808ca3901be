"""What the chapter on poisoning says beside its figures."""

from __future__ import annotations

from tinymia.experiments.poisoning import rounds, serum
from tinymia.experiments.poisoning.making import Attack

ATTACKS = {
    Attack.CLASS: "wrong labels, one class as another",
    Attack.RANDOM: "wrong labels, at random",
    Attack.TRIGGER: "a small trigger",
    Attack.LIKELY: "a small trigger, by one who knows of the screening",
    Attack.FLOOD: "a trigger that fills the window",
}
NOTHING = "nothing is poisoned"
CLIENT = "a small trigger in half of a client's store"
GRANTED_STORE = (
    "puts some of the windows of which the device learns: gives windows of the owner a wrong label,"
    " or a trigger and a wrong label; sees nothing"
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
NO_CLIENTS = "There are too few people for federated rounds, so no malicious client was tried."
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
    " only use what they let through of it. Another pattern may pass better or worse; none was"
    " optimised.",
    "The device's screening takes what the base model answers wrongly, poisoned or not: an owner"
    " whose own ways differ from those that it learnt teaches it less of them. Poison beyond the"
    " share stays, and so does what the base model believes; poison that is made against it"
    " otherwise than by choosing windows was not tried.",
    "Spectral signatures and nearest neighbours are told how many windows are poisoned, which"
    " nobody would know; clustering is blind where poison is the larger part of a class. All come"
    " from networks that were trained on the poison, and here the embeddings were not.",
    "Wrong labels and dirty triggers can be seen by whoever looks at the store; windows that keep"
    " their right label (clean-label poisoning) were not tried.",
    "The copies' adversary chooses one window and one number of copies beforehand, and the shadow"
    " devices know the owner's other windows.",
    "In federated rounds one client attacks in every round, without hiding, and only the median is"
    " tried against it; no noise and no secure aggregation.",
)
SOURCES = (
    "Biggio, Nelson, Laskov: Support vector machines under adversarial label noise. ACML 2011.",
    "Gu, Dolan-Gavitt, Garg: BadNets: identifying vulnerabilities in the machine learning model"
    " supply chain. 2017.",
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
