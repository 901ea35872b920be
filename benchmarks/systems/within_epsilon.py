"""The attacks of Tables 6 to 10, each within a subject's epsilon."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import dfa
from dfa.search.objectives import PAPER
from dfa.search.racos import PAPER_SHARE
from systems import attacks
from systems.context import Result, Subject
from systems.counting import attack_and_audit, audit_of, figures_of
from systems.rows import IMAGENET, MODELS, CannotRunError

BUDGET = 10_000
"""Queries of every black box that counts them, but for the paper's setting of DFA."""

_PAPER_ITERATIONS = 10_000

_COORDINATES = dict.fromkeys(IMAGENET.values(), 600)
"""What the paper's setting has where its share is not taken: 600 of an ImageNet picture, whatever its size."""

_RESENT = 1_024
"""The most queries that a run which goes on sends again, seconds of an ImageNet model; four batches are the fewest."""

_TRANSFERS = (0.0, 5.0, 10.0, 20.0, 40.0)
"""Confidences of C&W through a substitute, in logits."""


def nes_pgd(subject: Subject, *, rank: int | None = None, max_queries: int) -> Result:
    """Attack by NES gradients, untargeted or towards the class of a rank."""
    x, _ = subject.tensors
    targets = None if rank is None else subject.targets(rank)
    goals = torch.tensor(subject.labels if targets is None else targets)
    started = time.perf_counter()
    state = attacks.nes_pgd(
        subject.module, x, goals, epsilon=_within(subject), targeted=rank is not None, max_queries=max_queries
    )
    return _of_counted(subject, state, time.perf_counter() - started, targets, max_queries)


def bandits(subject: Subject, *, max_queries: int) -> Result:
    """Attack by Bandits, untargeted."""
    x, y = subject.tensors
    started = time.perf_counter()
    state = attacks.bandits(subject.module, x, y, epsilon=_within(subject), max_queries=max_queries)
    return _of_counted(subject, state, time.perf_counter() - started, None, max_queries)


def carlini_wagner(subject: Subject, *, rank: int | None = None, model: Any = None) -> Result:
    """Attack by C&W inside the ball, through the subject's own gradients or those of a substitute."""
    searches, steps = (9, 300) if subject.name == MODELS["lenet"] else (6, 60)
    confidences: tuple[float, ...] = (0.0,)
    if model is not None:
        # What ends at the substitute's boundary seldom crosses another's, so the most confident is taken.
        searches, steps, confidences = searches // 2, steps // 2, _TRANSFERS
    targets = None if rank is None else subject.targets(rank)

    def attacked(x: Any, y: Any) -> Any:
        vectors = x
        for confidence in confidences:
            found = attacks.carlini_wagner(
                subject.module if model is None else model,
                x,
                y,
                targeted=rank is not None,
                epsilon=_within(subject),
                searches=searches,
                steps=steps,
                confidence=confidence,
            )
            has_moved = (found != x).flatten(1).any(1).reshape(-1, 1, 1, 1)
            vectors = torch.where(has_moved, found, vectors)
        return vectors

    of = (
        ""
        if len(confidences) == 1
        else f", the largest confidence reached of {', '.join(map('{:g}'.format, _TRANSFERS))}"
    )
    note = f"C&W L2 inside the L-infinity ball, {searches} x {steps} steps{of}"
    return attack_and_audit(subject, attacked, epsilon=subject.epsilon, targets=targets, note=note)


def fgsm(subject: Subject, *, rank: int | None = None, model: Any = None) -> Result:
    """Attack by one step along the sign of the gradient, the subject's own or that of a substitute."""
    targets = None if rank is None else subject.targets(rank)
    attacked = subject.module if model is None else model

    def run(x: Any, y: Any) -> Any:
        x.requires_grad_()
        loss = torch.nn.functional.cross_entropy(attacked(x), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        direction = gradient.sign() if targets is None else -gradient.sign()
        return (x.detach() + _within(subject) * direction).clamp(0, 1)

    return attack_and_audit(subject, run, epsilon=subject.epsilon, targets=targets, note="one step of epsilon")


def run_dfa(subject: Subject, *, rank: int | None = None, setting: str, store: Path | None = None) -> Result:
    """Attack by `dfa.run`.

    Args:
        subject: What to attack.
        rank: Of the target's likelihood, if targeted.
        setting: "default", "paper", or "printed": the paper's with the degree that it prints, also towards targets,
            where its authors ran another.
        store: Folder that keeps the run, and from which it goes on if it is cut.
    """
    optimizer, max_queries, note = None, BUDGET, f"at most {BUDGET:,} queries"
    if setting != "default":
        optimizer = dfa.Racos.paper(targeted=rank is not None, coordinates=_COORDINATES.get(subject.name, PAPER_SHARE))
        if setting == "printed":
            optimizer = replace(optimizer, objective=PAPER)
        if subject.name == MODELS["lenet"]:  # which would take hours for the others
            # The paper's T, as queries: the first population, and so many times s candidates.
            max_queries = (1 + _PAPER_ITERATIONS) * optimizer.samples + optimizer.positives
            note = f"the paper's T = {_PAPER_ITERATIONS:,} iterations, which are at most {max_queries:,} queries"
    result = dfa.run(
        subject.keras_model,
        subject.images,
        subject.labels,
        targets=None if rank is None else dfa.rank(rank),
        epsilon=subject.epsilon,
        optimizer=optimizer,
        max_queries=max_queries,
        progress=False,
        store=None if store is None else dfa.Storage(store, resume=True, interval=_RESENT),
    )
    summary = result.summary()
    if not summary.attacked:
        raise CannotRunError("no image is classified as it is labelled")
    return {
        "images": summary.attacked,
        "SR": summary.SR,
        "TSR": summary.TSR,
        "GAP": summary.GAP,
        "ATC": summary.ATC,
        "queries": summary.queries_mean,
        "summary": asdict(summary),
        "note": note,
    }


def _of_counted(subject: Subject, state: attacks.AttackState, seconds: float, targets: Any, max_queries: int) -> Result:
    audited = audit_of(subject, state.vectors.numpy(), targets=targets)
    queries = state.mean(audited.report.adversarial_vector)
    return figures_of(
        audited, seconds, epsilon=subject.epsilon, queries=queries, note=f"at most {max_queries:,} queries"
    )


def _within(subject: Subject) -> float:
    return subject.epsilon / 255
