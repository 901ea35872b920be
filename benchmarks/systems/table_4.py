"""The rows of the paper's Table 4: what rounding leaves of each tool."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

import dfa
from systems import attacks
from systems.carlini_linf import carlini_wagner_linf
from systems.certified import NAME as CERTIFIED
from systems.certified import certified
from systems.context import SPACE, Context, Result, Subject
from systems.counting import Audited, attack_and_audit, audit, figures_of
from systems.deepconcolic import measure_dense, measure_lenet1
from systems.deepgo import measure_deepgo, measure_one_image
from systems.deeppoly import measure_deeppoly
from systems.dlv import measure_dlv
from systems.libraries import art_attack, foolbox_attack, torchattacks_attack
from systems.planet import measure_planet
from systems.reluval import measure_reluval
from systems.rows import MODELS, Row, key_of, on_subject, paper_rates
from systems.safecv import measure_safecv
from systems.smallest_distance import measure_smallest
from systems.verifier import counterexamples
from systems.within_epsilon import BUDGET, bandits, nes_pgd, run_dfa


def _smallest(momentum: float) -> Any:
    def run(subject: Subject) -> Result:
        def attacked(x: Any, y: Any) -> Any:
            def of_radius(radius: Any) -> Any:
                return attacks.bim(subject.module, x, y, radius, momentum=momentum, step=0.2)

            return attacks.smallest_radius(of_radius, subject.module, x, y, 0.3)

        return attack_and_audit(subject, attacked, note="smallest radius by bisection, as Foolbox 1 did by default")

    return run


def _carlini_linf(subject: Subject) -> Result:
    is_small = subject.name != MODELS["resnet"]
    # The paper's L-infinity of 10 is where ImageNet's stand-in begins; the authors begin with 1.
    begin, steps, constant = (1.0, 200, 1e-3) if is_small else (subject.epsilon / 255, 50, 1e-2)
    return attack_and_audit(
        subject,
        lambda x, y: carlini_wagner_linf(subject.module, x, y, tau=begin, steps=steps, constant=constant),
        note=f"its paper's algorithm in torch, tau from {begin:.2g}, constants from {constant:g} of {steps} steps",
    )


def _deepxplore(context: Context) -> Result:
    subject = context.lenet
    models = [subject.module, *(context.substitute("LeNet-1", seed) for seed in (0, 1))]
    x, y = subject.tensors

    def classes_of(vectors: Any) -> Any:
        with torch.no_grad():
            return torch.stack([model(vectors).argmax(1) for model in models])

    agree = (classes_of(x) == y).all(0).numpy()
    images, labels = subject.images[agree], np.zeros(int(agree.sum()), dtype=np.int64)

    def disagree(vectors: Any) -> Any:
        classes = classes_of(torch.tensor(vectors))
        differ = (classes != classes[0]).any(0).numpy()
        return np.stack([~differ, differ], axis=1).astype(float)

    started = time.perf_counter()
    vectors = attacks.deepxplore(models, x[agree], y[agree]).numpy()
    note = "LeNet-1 and two trained on its answers, light constraint, 50 steps along the mean gradient"
    seconds = time.perf_counter() - started
    audited = audit(disagree, images, vectors, labels, normalizer=SPACE)
    return figures_of(audited, seconds, note=f"{note}; success is disagreement")


def _ours_or_witnesses(system: str, run: Callable[[Context], Result]) -> Callable[[Context], Result]:
    """Return a row's function that audits the witnesses of the authors' tool where there are some, or runs ours."""

    def of(context: Context) -> Result:
        path = None if context.witnesses is None else context.witnesses / f"{system.lower()}.npz"
        if path is None or not path.is_file():
            return run(context)
        subject = context.lenet
        report = dfa.audit(subject.keras_model, subject.images, path, subject.labels)
        return figures_of(Audited(report, {}), math.nan, note=f"witnesses of {path}")

    return of


def _deeppoly(context: Context) -> Result:
    layers: Any = context.lenet.module.layers
    return measure_deeppoly(context.lenet, layers)


def _deeppoly_certified(context: Context) -> Result:
    return measure_deeppoly(*certified(context, 100))


def _over(
    system: str, run: Any, paper: Mapping[str, Any] | None = None, remark: str = "", **numbers: int | None
) -> list[Row]:
    """Return a row of Table 4 for each model that `numbers` names, on so many of its images at most."""
    return [
        Row("4", system, MODELS[which], on_subject(which, run, number), paper or {}, remark)
        for which, number in numbers.items()
    ]


def _over_minimal(system: str, attack: str, paper: Mapping[str, Any], remark: str = "") -> list[Row]:
    """Return the rows of one of Foolbox's attacks for the smallest distance."""
    return [
        Row("4", system, model, partial(measure_smallest, which, attack), paper, remark)
        for which, model in MODELS.items()
    ]


def _plain(attack: Callable[[Any, Any, Any], Any], note: str) -> Callable[[Subject], Result]:
    """Return a row's function of one of our small attacks, from (module, vectors, labels) to vectors."""
    return lambda subject: attack_and_audit(subject, lambda x, y: attack(subject.module, x, y), note=note)


_ALL_OF_EPSILON = (
    "Foolbox 1, which the paper used, then searched the smallest epsilon that succeeds; Foolbox 3 takes all of it, so "
    "its vectors lie deep in the other class."
)

TABLE_4 = [
    *_over(
        "FGSM",
        foolbox_attack("FGSM", epsilons=0.3, note=", 0.3"),
        paper_rates(98.61, 98.58, 0.03, "MNIST, 0.3"),
        lenet=None,
        demo=None,
    ),
    *_over("FGSM", foolbox_attack("FGSM", epsilons=8 / 255, note=", 8/255"), resnet=None),
    *_over(
        "BIM",
        foolbox_attack("LinfBasicIterativeAttack", epsilons=0.3, note=", 0.3"),
        paper_rates(100, 14, 86, "ResNet, 0.3"),
        _ALL_OF_EPSILON,
        lenet=None,
        demo=None,
    ),
    *_over(
        "BIM",
        foolbox_attack("LinfBasicIterativeAttack", epsilons=8 / 255, note=", 8/255"),
        paper_rates(100, 14, 86, "ResNet, 0.3"),
        _ALL_OF_EPSILON,
        resnet=None,
    ),
    *_over(
        "BIM, smallest epsilon",
        _smallest(0.0),
        paper_rates(100, 14, 86, "ResNet, 0.3"),
        lenet=None,
        demo=None,
        resnet=None,
    ),
    *_over("PGD", foolbox_attack("LinfPGD", epsilons=0.3, note=", 0.3"), lenet=None, demo=None),
    *_over("PGD", torchattacks_attack("PGD", note=", defaults (8/255)"), resnet=None),
    *_over(
        "MI-FGSM",
        torchattacks_attack("MIFGSM", eps=0.3, alpha=0.06, note=", 0.3 in steps of 0.06"),
        paper_rates(100, 14, 86, "ResNet, 0.3"),
        "As with BIM: today's libraries do not search the smallest epsilon.",
        lenet=None,
        demo=None,
    ),
    *_over(
        "MI-FGSM",
        torchattacks_attack("MIFGSM", note=", defaults (8/255)"),
        paper_rates(100, 14, 86, "ResNet, 0.3"),
        "As with BIM: today's libraries do not search the smallest epsilon.",
        resnet=None,
    ),
    *_over(
        "MI-FGSM, smallest epsilon",
        _smallest(1.0),
        paper_rates(100, 14, 86, "ResNet, 0.3"),
        lenet=None,
        demo=None,
        resnet=None,
    ),
    *_over_minimal("C&W L2", "C&W L2", paper_rates(100, 10, 90, "ResNet")),
    *_over(
        "C&W L-infinity",
        _carlini_linf,
        paper_rates(100, 68, 32, "ResNet, 10"),
        lenet=None,
        demo=None,
        resnet=None,
    ),
    *_over_minimal("DeepFool", "DeepFool", paper_rates(100, 1, 99, "ResNet")),
    *_over(
        "EAD",
        foolbox_attack("EADAttack", binary_search_steps=5, steps=100, note=", 5 x 100 steps"),
        lenet=None,
        demo=None,
        resnet=None,
    ),
    *_over(
        "JSMA",
        art_attack("SaliencyMapMethod", verbose=False, labels=False, batch_size=50),
        lenet=None,
        demo=None,
        resnet=None,
    ),
    *_over(
        "UAP",
        art_attack("UniversalPerturbation", eps=0.3, verbose=False, note=", eps 0.3, at most 20 rounds"),
        lenet=None,
        demo=None,
        resnet=None,
    ),
    *_over_minimal("DBA", "Boundary", paper_rates(100, 44, 56, "ResNet")),
    *_over(
        "HopSkipJump",
        foolbox_attack("HopSkipJumpAttack", note=", defaults (64 steps)"),
        lenet=None,
        demo=None,
    ),
    *_over("HopSkipJump", foolbox_attack("HopSkipJumpAttack", steps=15, note=", 15 of 64 steps"), resnet=None),
    *_over(
        "One-pixel",
        torchattacks_attack("OnePixel", pixels=9, steps=20, popsize=20, note=", 9 pixels, 20 x 20"),
        paper_rates(3, 3, 0, "LeNet-1, 9 pixels"),
        lenet=None,
        demo=None,
        resnet=None,
    ),
    *_over_minimal("ZOO", "ZOO", paper_rates(73, 3.3, 95.47, "InceptionV3")),
    *_over(
        "Square",
        torchattacks_attack("Square", eps=0.3, note=", 0.3, 5,000 queries"),
        lenet=None,
        demo=None,
    ),
    *_over("Square", torchattacks_attack("Square", note=", 8/255, 5,000 queries"), resnet=None),
    *_over(
        "BLB",
        _plain(attacks.box_lbfgs, "SciPy's L-BFGS-B, 12 constants x 50 iterations"),
        paper_rates(100, 49, 51, "ResNet"),
        lenet=None,
        demo=None,
        resnet=None,
    ),
    *_over(
        "OptMargin",
        _plain(partial(attacks.opt_margin, radius=0.3, steps=300, rate=0.2), "10 directions at 0.3, 4 x 300 steps"),
        paper_rates(100, 90, 10, "CIFAR-10"),
        lenet=None,
        demo=None,
    ),
    *_over(
        "OptMargin",
        _plain(partial(attacks.opt_margin, radius=8 / 255, steps=40), "10 directions at 8/255, 4 x 40 steps"),
        paper_rates(100, 90, 10, "CIFAR-10"),
        resnet=None,
    ),
    Row("4", "DeepXplore", "LeNet-1", _deepxplore, paper_rates(33, 7, 78.79, "3 ImageNet networks")),
    *(
        replace(row, same_as=key_of("8", "NES-PGD", row.model) if row.model != MODELS["demo"] else "")
        for row in _over(
            "NES-PGD",
            lambda subject: nes_pgd(subject, max_queries=BUDGET),
            paper_rates(100, 77, 23, "InceptionV3, 10"),
            lenet=None,
            demo=None,
            resnet=None,
        )
    ),
    *_over("Bandits", lambda subject: bandits(subject, max_queries=BUDGET), lenet=None, demo=None, resnet=None),
    *(
        replace(row, same_as=key_of("6", "DFA, default", row.model) if row.model != MODELS["demo"] else "")
        for row in _over(
            "DFA, default", lambda subject: run_dfa(subject, setting="default"), lenet=None, demo=None, resnet=None
        )
    ),
    Row(
        "4",
        "MIPVerify",
        "MILP 49-16-10",
        lambda context: counterexamples(context, integer=False, number=50),
        paper_rates(42, 0, 100, "MNIST"),
        "SciPy's HiGHS in place of the verifier.",
    ),
    Row(
        "4",
        "Planet",
        "MILP 49-16-10",
        measure_planet,
        paper_rates(100, 46, 54, "testNetworkB"),
    ),
    Row(
        "4",
        "MILP, integer pixels",
        "MILP 49-16-10",
        lambda context: counterexamples(context, integer=True, number=50),
        {},
        "The cure: the same program with whole grey levels.",
    ),
    Row(
        "4",
        "ReluVal",
        "MILP 49-16-10",
        partial(measure_reluval, levels=16),
    ),
    Row(
        "4",
        "DeepPoly",
        CERTIFIED,
        _deeppoly_certified,
        paper_rates(45, 44, 2.22, "convBigRELU"),
        "The paper seems to count the images that are not proven, of which a witness need not be found; the network is "
        "another and smaller.",
    ),
    Row(
        "4",
        "DeepPoly",
        "LeNet-1",
        _ours_or_witnesses("DeepPoly", _deeppoly),
    ),
    *(
        Row("4", system, "LeNet-1", _ours_or_witnesses(system, on_subject("lenet", run)), paper, remark)
        for system, run, paper, remark in (
            ("DLV", partial(measure_dlv, from_input=True), paper_rates(90, 90, 0, "MNIST"), ""),
            ("DLV, hidden layer", partial(measure_dlv, from_input=False), paper_rates(90, 90, 0, "MNIST"), ""),
            (
                "DeepGo",
                measure_deepgo,
                paper_rates(25.4, 25.2, 0.78, "MNIST"),
                "The paper's are 1,000 points of one image, as in the next row; here are 100 images, each with 4 "
                "pixels free, most of them proven safe.",
            ),
            ("DeepGo, points of one image", measure_one_image, paper_rates(25.4, 25.2, 0.78, "MNIST"), ""),
            ("SafeCV", measure_safecv, paper_rates(100, 100, 0, "MNIST"), ""),
            (
                "DeepConcolic",
                measure_lenet1,
                paper_rates(2, 2, 0, "MNIST"),
                "Neurons of LeNet-1's hidden layers see few pixels, and one that is turned over hardly moves the "
                "answer; the next row is of a network whose hidden layers are dense.",
            ),
        )
    ),
    Row("4", "DeepConcolic", "dense 784-64-32-10", measure_dense, paper_rates(2, 2, 0, "MNIST")),
]
