"""Membership-inference attacks: one file an attack family, all behind one interface."""

from tinymia.attacks.base import Attack, Reveals
from tinymia.attacks.registry import HEADLINE_ORDER, all_attacks, get_attack, headline_attack

__all__ = ["HEADLINE_ORDER", "Attack", "Reveals", "all_attacks", "get_attack", "headline_attack"]
