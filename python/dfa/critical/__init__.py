"""How far is it safe? The smallest change at which each image was broken."""

from dfa.critical.found import Frontier, FrontierPoint
from dfa.critical.record import CriticalRecord
from dfa.critical.rounds import frontier

__all__ = ["CriticalRecord", "Frontier", "FrontierPoint", "frontier"]
