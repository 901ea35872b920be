"""One run of dfa, and the figures that every case tells of it."""

from __future__ import annotations

import time
from typing import Any

import dfa

Figures = dict[str, float]


def attack(oracle: dfa.Oracle, images: Any, **settings: Any) -> Figures:
    """Run dfa, and return what every case tells of it."""
    began = time.process_time()
    result = dfa.run(oracle, images, progress=False, **settings)
    processors = time.process_time() - began
    profile, summary = result.profile, result.summary()
    return {
        "images": len(images),
        "TSR": summary.TSR,
        "queries": profile.rows_sent,
        "calls": profile.batches,
        "rows_per_call": profile.rows_per_call,
        "queries_per_second": profile.queries_per_second,
        "wall": profile.wall,
        "processors": processors,
        "processor_cost": processors / profile.rows_sent,
        "all_rows": profile.rows_sent + profile.clean + profile.verification,
    }
