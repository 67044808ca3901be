"""Membership-inference attacks: one file an attack family, all behind one interface."""

from tinymia.attacks.base import Adversary, Attack, AttackInfo

__all__ = ["Adversary", "Attack", "AttackInfo"]
