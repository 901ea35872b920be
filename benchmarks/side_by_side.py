"""dfa beside the black-box attacks of torchattacks, Foolbox and ART, as their users call them, on one torch module.

All attack ResNet-20, its normalisation inside, untargeted, within 8 grey levels, with 5,000 queries an image, on the
images that no part of dfa's default was chosen on. A hook on the module counts the rows that it is sent, whatever they
were sent for: of dfa also its clean predictions, its confirmations, its first look at the module, and, where batches
have one size, what fills them; what dfa itself reports is given beside. A success is an image that the module gets
wrong and that is within epsilon: once as the tool returned it, in floats, and once after it was written to an 8-bit PNG
and read again. dfa runs three times before every attack, so that walls are held against each other in turns.

Where a tool takes steps and no budget, it is given as many steps as the budget holds; SPSA's is 19 times 2 x 128
queries, HopSkipJump's 15 steps of 100, 141, 173, ... queries. Everything else is the tool's default, and all images go
in one batch. What is not measured again stays in the JSON.

Left out: attacks that minimise another distance, which no epsilon of grey levels bounds (Foolbox's BoundaryAttack,
Pointwise, salt and pepper, spatial and contrast attacks; ART's Boundary, ZOO, SignOPT, GeoDA in its default, SimBA with
a DCT; torchattacks' Pixle and OnePixel); Foolbox's GenAttack, which has no untargeted form; its single noise draws,
which the repeated one contains.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

import dfa
from harness.arguments import make_parser, matching, not_negative, positive
from harness.arrays import Classes, Images
from harness.inputs import load_images, require_file
from harness.printing import percent, print_table
from harness.results import read_results, write_results

_CLASSES = 10
_SLACK = 1e-6
"""How far beyond epsilon a float vector of 0..1 may be: what rounding makes of x + eps - x."""


@dataclass(frozen=True)
class Subject:
    """What every attack is given.

    Attributes:
        module: Of torch: vectors (n, C, H, W) in 0..1 to logits.
        images: uint8, (N, H, W, C), which the module classifies correctly.
        labels: int64, (N,).
        epsilon: Grey levels.
        budget: Queries of an image.
    """

    module: Any
    images: Images
    labels: Classes
    epsilon: int
    budget: int

    @property
    def x(self) -> Any:
        """Return the images as torch users hold them: float32 tensors, (N, C, H, W), in 0..1."""
        return as_tensor(self.images)

    @property
    def y(self) -> Any:
        """Return the labels as a tensor."""
        return _library("torch").tensor(self.labels)

    @property
    def eps(self) -> float:
        """Return epsilon in 0..1."""
        return self.epsilon / 255


class Reported(NamedTuple):
    """Vectors, and how many queries the tool says that it sent, clean predictions and confirmations left out."""

    vectors: Any
    queries: int


Attack = Callable[[Subject], Any]
"""From a subject to vectors, (N, C, H, W) in 0..1, a tensor or an array; or to these with a count, `Reported`."""


def dfa_attack(*, static_batch: bool) -> Attack:
    """Return `dfa.run`: with batches of one size, which it fills up, or with batches as they come."""

    def attack(subject: Subject) -> Any:
        result = dfa.run(
            dfa.as_oracle(subject.module, static_batch=static_batch),
            subject.images,
            labels=subject.labels,
            epsilon=subject.epsilon,
            max_queries=subject.budget,
            progress=False,
        )
        broken = [image if image is not None else subject.images[place] for place, image in enumerate(result.images)]
        return Reported(as_tensor(np.stack(broken)), result.profile.rows_sent)

    return attack


def square_of_torchattacks(subject: Subject) -> Any:
    """Return what torchattacks' Square makes of the images."""
    made = _library("torchattacks").Square(subject.module, eps=subject.eps, n_queries=subject.budget)
    return made(subject.x, subject.y)


def spsa_of_torchattacks(subject: Subject) -> Any:
    """Return what torchattacks' SPSA makes of the images."""
    samples = 128
    steps = subject.budget // (2 * samples)
    made = _library("torchattacks").SPSA(subject.module, eps=subject.eps, nb_iter=steps, nb_sample=samples)
    return made(subject.x, subject.y)


def foolbox_attack(name: str, arguments: Callable[[Subject], dict[str, Any]]) -> Attack:
    """Return an attack of Foolbox by its name there."""

    def attack(subject: Subject) -> Any:
        foolbox = _library("foolbox")
        model = foolbox.PyTorchModel(subject.module, bounds=(0, 1), device="cpu")
        made = getattr(foolbox.attacks, name)(**arguments(subject))
        return made(model, subject.x, subject.y, epsilons=subject.eps)[1]

    return attack


def art_attack(name: str, arguments: Callable[[Subject], dict[str, Any]], *, sees_softmax: bool = False) -> Attack:
    """Return an attack of ART by its name there."""

    def attack(subject: Subject) -> Any:
        torch = _library("torch")
        module = torch.nn.Sequential(subject.module, torch.nn.Softmax(dim=1)) if sees_softmax else subject.module
        shape = tuple(subject.x.shape[1:])
        classifier = _library("art.estimators.classification").PyTorchClassifier(
            module, torch.nn.CrossEntropyLoss(), shape, _CLASSES, clip_values=(0.0, 1.0), device_type="cpu"
        )
        made = getattr(_library("art.attacks.evasion"), name)(classifier, verbose=False, **arguments(subject))
        # Its HopSkipJump sends float64, which a module of float32 refuses.
        as_float32 = subject.module.register_forward_pre_hook(lambda _, given: (given[0].float(),))
        try:
            # SimBA takes labels as rows of ones and zeros only, the others these as well.
            return made.generate(subject.x.numpy(), np.eye(_CLASSES)[subject.labels])
        finally:
            as_float32.remove()

    return attack


ATTACKS: dict[str, Attack] = {
    "dfa": dfa_attack(static_batch=True),
    "dfa, batches as they come": dfa_attack(static_batch=False),
    "torchattacks Square": square_of_torchattacks,
    "torchattacks SPSA": spsa_of_torchattacks,
    "Foolbox LinfRepeatedAdditiveUniformNoise": foolbox_attack(
        "LinfRepeatedAdditiveUniformNoiseAttack", lambda subject: {"repeats": subject.budget}
    ),
    "Foolbox HopSkipJump": foolbox_attack(
        "HopSkipJumpAttack", lambda subject: {"constraint": "linf", "steps": steps_of_hopskipjump(subject.budget)}
    ),
    "ART SquareAttack": art_attack(
        "SquareAttack",
        # It asks three times a step.
        lambda subject: {"eps": subject.eps, "max_iter": subject.budget // 3, "batch_size": len(subject.images)},
    ),
    "ART HopSkipJump": art_attack(
        "HopSkipJump", lambda subject: {"norm": np.inf, "max_iter": steps_of_hopskipjump(subject.budget)}
    ),
    "ART SimBA, pixels": art_attack(
        "SimBA",
        # Each coordinate moves once at most, by epsilon.
        lambda subject: {
            "attack": "px",
            "epsilon": subject.eps,
            "max_iter": min(subject.budget // 2, subject.images[0].size),
        },
        sees_softmax=True,
    ),
}


def steps_of_hopskipjump(budget: int) -> int:
    """Return how many steps a budget holds: one has 100 times its number's root of queries, and some for bisection."""
    steps, cost = 1, 150.0
    while (cost := cost + 100 * float(np.sqrt(steps)) + 40) <= budget:
        steps += 1
    return max(1, steps - 1)


def measure(subject: Subject, attack: Attack) -> dict[str, Any]:
    """Run an attack, and judge what it returns."""
    torch = _library("torch")
    torch.manual_seed(0)
    np.random.seed(0)
    rows = 0

    def count(_module: Any, given: tuple[Any, ...], _answer: Any) -> None:
        nonlocal rows
        rows += len(given[0])

    with_hook = subject.module.register_forward_hook(count)
    started, began = time.perf_counter(), time.process_time()
    found = attack(subject)
    wall, processors = time.perf_counter() - started, time.process_time() - began
    with_hook.remove()
    vectors, queries = found if isinstance(found, Reported) else (found, None)
    number = len(subject.images)
    return {
        "images": number,
        **judged(subject, np.asarray(vectors, dtype=np.float32)),
        "rows_per_image": rows / number,
        "reported_per_image": None if queries is None else queries / number,
        "wall": wall,
        "processors": processors,
    }


def judged(subject: Subject, found: NDArray[np.float32]) -> dict[str, Any]:
    """Return the share of vectors, (N, C, H, W) in 0..1, that succeed in floats, and after an 8-bit PNG."""
    torch = _library("torch")
    x = subject.x.numpy()
    with torch.no_grad():
        answers = np.concatenate([subject.module(torch.tensor(found[i : i + 1])).numpy() for i in range(len(found))])
    distance = np.abs(found - x).reshape(len(x), -1).max(axis=1)
    in_floats = (answers.argmax(axis=1) != subject.labels) & (distance <= subject.eps + _SLACK)
    pictures = np.stack([through_png(vector) for vector in found])
    away = np.abs(pictures.astype(np.int16) - subject.images).reshape(len(x), -1).max(axis=1)
    alone = np.concatenate([logits(subject.module, picture[np.newaxis]) for picture in pictures])
    in_png = (alone.argmax(axis=1) != subject.labels) & (away <= subject.epsilon)
    return {
        "success": float(in_floats.mean()),
        "after_png": float(in_png.mean()),
        "lost": int((in_floats & ~in_png).sum()),
        "wrong_at_any_distance": float((answers.argmax(axis=1) != subject.labels).mean()),
    }


def through_png(vector: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a vector, (C, H, W) in 0..1, as the image that is read from the PNG that it was written to."""
    grey = np.rint(np.clip(vector, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    Picture.fromarray(grey).save(file, format="png")
    return np.asarray(Picture.open(file), dtype=np.uint8)


def logits(module: Any, images: Images) -> NDArray[np.float32]:
    """Return a module's answers to uint8 images, (n, H, W, C)."""
    with _library("torch").no_grad():
        answers: NDArray[np.float32] = module(as_tensor(images)).numpy()
    return answers


def as_tensor(images: Images) -> Any:
    """Return uint8 images, (n, H, W, C), as float32 tensors, (n, C, H, W), in 0..1."""
    return _library("torch").tensor(images).permute(0, 3, 1, 2).float() / 255


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SystemExit(f"this attack needs {name.partition('.')[0]}, which is not installed ({error})") from error


def main() -> None:
    """Run what was asked for, dfa before each."""
    parser = make_parser("side_by_side", __doc__)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="ATTACK", help=f"of {', '.join(ATTACKS)}")
    parser.add_argument("--images", type=positive, default=200)
    parser.add_argument("--skip", type=not_negative, default=200, help="leave out the images of dfa's default")
    parser.add_argument("--epsilon", type=positive, default=8, help="grey levels")
    parser.add_argument("--budget", type=positive, default=5_000, help="queries per image")
    arguments = parser.parse_args()
    wanted = slice(arguments.skip, arguments.skip + arguments.images)
    images, labels = load_images(arguments.data, "cifar10_correct500.npz")
    require_file(arguments.data / "models" / "cifar_resnet20.pt")
    module = _library("systems.torch_models").resnet20_module(arguments.data)
    subject = Subject(module, images[wanted], labels[wanted], arguments.epsilon, arguments.budget)
    rows: dict[str, dict[str, Any]] = {row["attack"]: row for row in read_results(arguments.out, [])}
    measure(subject, ATTACKS["dfa"])  # what is loaded and tuned once weighs on no row
    for name in matching(arguments.only, ATTACKS):
        print(f"{name} ...", file=sys.stderr, flush=True)
        beside = [measure(subject, ATTACKS["dfa"])["wall"] for _ in range(3)]
        row = {"attack": name, **measure(subject, ATTACKS[name]), "dfa_wall": median(beside)}
        rows[name] = row | {"times_wall": row["wall"] / row["dfa_wall"]}
        held = [rows[each] for each in ATTACKS if each in rows]
        write_results(arguments.out, arguments, held, libraries=_versions())
    print_table(
        ["attack", "images", "success", "after a PNG", "lost", "rows per image", "reported", "seconds", "x dfa's"],
        (
            [
                row["attack"],
                row["images"],
                percent(row["success"]),
                percent(row["after_png"]),
                row["lost"],
                f"{row['rows_per_image']:,.1f}",
                "-" if row["reported_per_image"] is None else f"{row['reported_per_image']:,.1f}",
                f"{row['wall']:,.1f}",
                f"{row['times_wall']:,.1f}",
            ]
            for row in held
        ),
    )


def _versions() -> dict[str, str]:
    names = ("adversarial-robustness-toolbox", "foolbox", "torchattacks")
    return {name: importlib.metadata.version(name) for name in names}


if __name__ == "__main__":
    main()
