"""Adversarial images by querying alone: a derivative-free attack that searches 8-bit integers.

>>> import numpy as np
>>> import dfa
>>> def brightness(images):  # a toy oracle: class 1 where the image is bright
...     bright = images.mean(axis=(1, 2, 3)) / 255
...     return np.stack([1 - bright, bright], axis=1)
>>> images = np.full((4, 8, 8, 1), 125, dtype=np.uint8)
>>> result = dfa.run(brightness, images, epsilon=10, progress=False)
>>> result.summary().TSR
1.0
"""

from __future__ import annotations

from dfa.cores import threads_that_sleep
from dfa.extras import how_to_install

try:
    with threads_that_sleep():
        from dfa import _core
except ImportError as error:
    raise ImportError(
        f"dfa's compiled core is missing: install the package with `{how_to_install()}`, and do not import it from the "
        f"source tree (dfa was found at {__path__[0]!r})"
    ) from error

from dfa import data, testing
from dfa.api import run
from dfa.assertions import assert_robust
from dfa.auditing import (
    Affine,
    AuditRecord,
    AuditReport,
    AuditSummary,
    Codec,
    Normalizer,
    RepairReport,
    Rounding,
    VectorOracle,
    audit,
    audit_attack,
    repair,
)
from dfa.critical import CriticalRecord, Frontier, FrontierPoint, frontier
from dfa.errors import (
    BudgetExceededError,
    ChanceAccuracyWarning,
    ContractError,
    DfaError,
    DoubtfulDataWarning,
    DriftError,
    Interrupted,
    InvalidInputError,
    MissingDependencyError,
    MostSkippedWarning,
    NotRobustError,
    ObjectiveError,
    OptimizerError,
    OracleError,
    PartialAnswer,
    PriorError,
    RandomAnswersWarning,
    RefutedFilesWarning,
    SpaceError,
    StoreError,
    WorkerLost,
)
from dfa.oracle import (
    FromEnvironment,
    HttpOracle,
    JaxOracle,
    OipOracle,
    OneByOne,
    OnnxOracle,
    Oracle,
    SklearnOracle,
    TfliteOracle,
    TorchOracle,
    as_oracle,
    from_timm,
    from_torchvision,
    from_transformers,
    label_only,
    pipelines,
    top_1,
    top_k,
)
from dfa.oracle.pipelines import Pipeline
from dfa.oracle.workers.factory import factory
from dfa.oracle.workers.local import LocalWorkers
from dfa.oracle.workers.ray import RayWorkers
from dfa.results.profile import Profile
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.results.summary import Summary
from dfa.runs.merging import merge
from dfa.runs.replay import ReplayOracle
from dfa.runs.storage import Storage
from dfa.runs.verification import Finding, Verification
from dfa.runs.verify import verify
from dfa.search import objectives
from dfa.search.confirmation import Confirmation
from dfa.search.goals import Rank, rank
from dfa.search.objectives import Objective
from dfa.search.protocol import Optimizer, Search, Task
from dfa.search.racos import Racos
from dfa.space import (
    Custom,
    Frame,
    Lighting,
    LinfBall,
    Patch,
    Pixels,
    Rectangle,
    Shift,
    Space,
    Tiled,
    TinyRectangles,
)
from dfa.suites import suite
from dfa.verdicts.comparison import Comparison, compare
from dfa.verdicts.judgement import Outcome, Verdict
from dfa.verdicts.statistics import sample_size
from dfa.verdicts.suite_cells import SuiteCell, SuitePair
from dfa.verdicts.suite_report import SuiteReport
from dfa.views.report import write_report

__version__ = _core.__version__

__all__ = [
    "Affine",
    "AuditRecord",
    "AuditReport",
    "AuditSummary",
    "BudgetExceededError",
    "ChanceAccuracyWarning",
    "Codec",
    "Comparison",
    "Confirmation",
    "ContractError",
    "CriticalRecord",
    "Custom",
    "DfaError",
    "DoubtfulDataWarning",
    "DriftError",
    "Finding",
    "Frame",
    "FromEnvironment",
    "Frontier",
    "FrontierPoint",
    "HttpOracle",
    "Interrupted",
    "InvalidInputError",
    "JaxOracle",
    "Lighting",
    "LinfBall",
    "LocalWorkers",
    "MissingDependencyError",
    "MostSkippedWarning",
    "Normalizer",
    "NotRobustError",
    "Objective",
    "ObjectiveError",
    "OipOracle",
    "OneByOne",
    "OnnxOracle",
    "Optimizer",
    "OptimizerError",
    "Oracle",
    "OracleError",
    "Outcome",
    "PartialAnswer",
    "Patch",
    "Pipeline",
    "Pixels",
    "PriorError",
    "Profile",
    "Racos",
    "RandomAnswersWarning",
    "Rank",
    "RayWorkers",
    "Record",
    "Rectangle",
    "RefutedFilesWarning",
    "RepairReport",
    "ReplayOracle",
    "Result",
    "Rounding",
    "Search",
    "Shift",
    "SklearnOracle",
    "Space",
    "SpaceError",
    "Status",
    "Storage",
    "StoreError",
    "SuiteCell",
    "SuitePair",
    "SuiteReport",
    "Summary",
    "Task",
    "TfliteOracle",
    "Tiled",
    "TinyRectangles",
    "TorchOracle",
    "VectorOracle",
    "Verdict",
    "Verification",
    "WorkerLost",
    "as_oracle",
    "assert_robust",
    "audit",
    "audit_attack",
    "compare",
    "data",
    "factory",
    "from_timm",
    "from_torchvision",
    "from_transformers",
    "frontier",
    "label_only",
    "merge",
    "objectives",
    "pipelines",
    "rank",
    "repair",
    "run",
    "sample_size",
    "suite",
    "testing",
    "top_1",
    "top_k",
    "verify",
    "write_report",
]
