"""What a prior saves, and what a useless one costs: the same images, seeds and budget with and without a surrogate.

Surrogates: `other`, for MobileNetV1-160 MobileNetV2-224 and the other way round, behind a differentiable resizing, and
for ResNet-20 a net of five convolutions that was trained, on 200 images that no row has, on what ResNet-20 answers of
shifted, mirrored, mixed and perturbed views of them; `random`, the surrogate of `other` with the weights that it began
its training with, or drawn anew by its layers' initializers; `noise`, signs without meaning, which a random number
generator gives anew for every image; `self`, the attacked model, as a check.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import dfa
from harness.arguments import make_parser, matching, not_negative, positive
from harness.arrays import Images
from harness.inputs import load_model
from harness.printing import print_table
from harness.promises import Ball
from harness.results import read_results, write_results
from harness.settings import Setting, Subject, load_setting

SETTINGS = {
    "resnet20-targeted": Setting(
        model="cifar_resnet20.keras", images="cifar10_correct500.npz", promise=Ball(8), rank=4, number=100
    ),
    "mobilenetv1-targeted": Setting(
        model="mobilenet_v1_160.keras",
        images="imagenet100_160.npz",
        promise=Ball(10),
        rank=11,
        number=50,
        batch_size=64,
    ),
    "mobilenetv2-targeted": Setting(
        model="mobilenet_v2_224.keras",
        images="imagenet100_224.npz",
        promise=Ball(10),
        rank=11,
        number=50,
        batch_size=64,
    ),
}
_OTHERS = {
    "mobilenetv1-targeted": "mobilenet_v2_224.keras",
    "mobilenetv2-targeted": "mobilenet_v1_160.keras",
}
PRIORS = ("none", "other", "random", "noise", "self")
_HEADERS = ("", "prior", "seed", "broken", "mean, failures at budget", "median", "at the first query", "of without")


def noise(images: Images, goals: Any) -> Any:
    """Return signs that depend on the image alone, and mean nothing."""
    signs = [np.random.default_rng(int(image.sum())).standard_normal(image.shape) for image in images]
    return np.stack(signs).astype(np.float32)


def make_prior(name: str, kind: str, subject: Subject, arguments: argparse.Namespace) -> Any:
    """Return the surrogate of a row."""
    if kind == "none":
        return None
    if kind == "noise":
        return noise
    if kind == "self":
        return subject.model
    if name not in _OTHERS:
        net = small_net()
        if kind == "other":
            train(net, name, arguments.data)
        return net.eval()
    import keras  # type: ignore[import-untyped]

    model = load_model(arguments.data, _OTHERS[name])
    if kind == "random":
        keras.utils.set_random_seed(0)
        model = keras.models.clone_model(model)
    height, width = model.input_shape[1:3]
    return keras.Sequential([keras.Input(subject.images.shape[1:]), keras.layers.Resizing(height, width), model])


def views(images: Images, number: int) -> Images:
    """Return views of images, (number, 32, 32, 3): mixed, mirrored, shifted and with blocks of noise in the ball."""
    random = np.random.default_rng(0)
    pairs = images[random.integers(len(images), size=(2, number))].astype(np.float32)
    share = random.choice([0.0, 0.0, 0.1, 0.3, 0.5], size=(number, 1, 1, 1)).astype(np.float32)
    mixed = (1 - share) * pairs[0] + share * pairs[1]
    mixed = np.where(random.random((number, 1, 1, 1)) < 0.5, mixed[:, :, ::-1], mixed)
    padded = np.pad(mixed, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    made = np.empty_like(mixed)
    for i in range(number):
        top, left = random.integers(9, size=2)
        block = int(random.choice([1, 2, 4, 8, 16]))
        signs = random.choice([-8.0, 8.0], size=(32 // block, 32 // block, 3))
        perturbation = np.repeat(np.repeat(signs, block, 0), block, 1) * random.choice([0, 1, 1])
        made[i] = padded[i, top : top + 32, left : left + 32] + perturbation
    whole: Images = np.clip(np.rint(made), 0, 255).astype(np.uint8)
    return whole


def small_net() -> Any:
    """Return a small net of torch, of ten classes, that knows nothing yet; always the same one."""
    import torch
    from torch import nn

    def block(inputs: int, outputs: int, stride: int) -> list[Any]:
        return [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]

    torch.manual_seed(0)
    layers = [*block(3, 24, 1), *block(24, 32, 2), *block(32, 48, 1), *block(48, 64, 2), *block(64, 64, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def train(net: Any, name: str, data: Path, *, number: int = 12_000, epochs: int = 4) -> None:
    """Train a net of torch on the answers of the setting's model on 200 images, always in the same order."""
    import torch
    from torch import nn

    subject = load_setting(SETTINGS[name], data, 200)
    given = views(subject.images, number)
    oracle = dfa.as_oracle(subject.model)
    answers = np.concatenate([oracle.scores(given[i : i + 256]) for i in range(0, number, 256)])
    logits = torch.tensor(np.log(answers + 1e-9), dtype=torch.float32).clamp(min=-12)
    logits = logits - logits.mean(1, keepdim=True)
    inputs = torch.tensor(given).permute(0, 3, 1, 2).contiguous()
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, epochs * (number // 128) + 1)
    for _ in range(epochs):
        order = torch.randperm(number)
        for i in range(0, number - 127, 128):
            rows = order[i : i + 128]
            told = net(inputs[rows].float() / 255)
            wanted = logits[rows]
            loss = nn.functional.kl_div(
                told.log_softmax(1), wanted.log_softmax(1), log_target=True, reduction="batchmean"
            )
            loss = loss + 0.02 * ((told - told.mean(1, keepdim=True) - wanted) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()


def measure(name: str, kind: str, subject: Subject, prior: Any, seed: int, arguments: argparse.Namespace) -> Any:
    """Run one row."""
    setting = SETTINGS[name]
    result = dfa.run(
        subject.model,
        subject.images,
        subject.labels,
        targets=subject.targets,
        space=setting.promise.space(),
        max_queries=arguments.budget,
        batch_size=setting.batch_size,
        seed=seed,
        prior=prior,
        progress=False,
    )
    queries = [record.queries if record.verified else arguments.budget for record in result.records]
    return {
        "setting": name,
        "prior": kind,
        "skipped": arguments.skip,
        "images": len(queries),
        "budget": arguments.budget,
        "seed": seed,
        "TSR": result.summary().TSR,
        "queries_mean_with_failures": float(np.mean(queries)),
        "queries": queries,
    }


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print all rows, each beside the one with its seed and no prior."""
    cells = []
    for row in rows:
        alike = ("setting", "skipped", "images", "budget", "seed")
        whole = [each for each in rows if each["prior"] == "none" and all(each[name] == row[name] for name in alike)]
        mean = row["queries_mean_with_failures"]
        cells.append(
            [
                row["setting"],
                row["prior"],
                row["seed"],
                f"{row['TSR']:.0%}",
                f"{mean:,.1f}",
                f"{np.median(row['queries']):,.0f}",
                f"{np.mean(np.array(row['queries']) == 1):.0%}",
                f"{mean / whole[0]['queries_mean_with_failures']:.2f}" if whole else "",
            ]
        )
    print_table(_HEADERS, cells)


def main() -> None:
    """Run the chosen rows beside those that the file holds, writing each down when it is finished."""
    parser = make_parser("prior", __doc__)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="SETTING", help=f"of {', '.join(SETTINGS)}")
    parser.add_argument("--priors", nargs="+", default=["none", "other", "noise"], choices=PRIORS)
    parser.add_argument("--seeds", type=not_negative, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=positive, help="per setting, instead of each setting's own number")
    parser.add_argument("--skip", type=not_negative, default=0, help="leave out so many images before those")
    parser.add_argument("--budget", type=positive, default=10_000, help="queries per image")
    arguments = parser.parse_args()
    path: Path = arguments.out
    rows: list[dict[str, Any]] = read_results(path, [])
    for name in matching(arguments.only, SETTINGS):
        subject = load_setting(SETTINGS[name], arguments.data, arguments.images, skip=arguments.skip)
        for kind in arguments.priors:
            prior = make_prior(name, kind, subject, arguments)
            for seed in arguments.seeds:
                print(f"{name}, {kind}, seed {seed} ...", file=sys.stderr, flush=True)
                rows.append(measure(name, kind, subject, prior, seed, arguments))
                write_results(path, arguments, rows)
    print_rows(rows)


if __name__ == "__main__":
    main()
