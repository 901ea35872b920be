"""The discretization audit: what is left of an attack's vectors once they are 8-bit images, and how to mend it."""

from __future__ import annotations

from dfa.auditing.attacks import audit_attack
from dfa.auditing.audit import audit
from dfa.auditing.audit_report import AuditRecord, AuditReport
from dfa.auditing.audit_summary import AuditSummary, bars
from dfa.auditing.normalizers import Affine, Normalizer
from dfa.auditing.repair import repair
from dfa.auditing.repair_report import RepairRecord, RepairReport, RepairStatus, RepairSummary
from dfa.auditing.roundings import Rounding
from dfa.auditing.vector_oracle import VectorOracle
from dfa.oracle.codecs import Codec
from dfa.results.rates import wilson

__all__ = [
    "Affine",
    "AuditRecord",
    "AuditReport",
    "AuditSummary",
    "Codec",
    "Normalizer",
    "RepairRecord",
    "RepairReport",
    "RepairStatus",
    "RepairSummary",
    "Rounding",
    "VectorOracle",
    "audit",
    "audit_attack",
    "bars",
    "repair",
    "wilson",
]
