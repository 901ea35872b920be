"""The same ResNet-20 in Keras and in torch: the same images, broken with as many queries.

The two give the same probabilities but for float32's rounding, which differs from framework to framework. So two runs
part ways wherever a last bit decides, and what must agree are the images that are broken and the mean of the queries:
to 2 %.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import dfa
from harness.arguments import make_parser, positive
from harness.inputs import load_images, load_model
from harness.printing import percent, print_table, verdict
from harness.results import write_results

_BAR = 0.02
GOALS = {"untargeted": None, "targeted (4th)": 4}


def oracles(data: Any) -> dict[str, dfa.Oracle]:
    """Return ResNet-20 through Keras, and through torch with its statistics as a user gives them."""
    from systems.torch_models import bare_resnet20

    module, mean, std = bare_resnet20(data)
    return {
        "keras": dfa.as_oracle(load_model(data, "cifar_resnet20.keras")),
        "torch": dfa.as_oracle(module, mean=mean, std=std),
    }


def compare(asked: dict[str, dfa.Oracle], images: Any, rank: int | None, **settings: Any) -> dict[str, Any]:
    """Run both on the same images, and hold what they found against each other."""
    targets = None if rank is None else dfa.rank(rank)
    results = {
        name: dfa.run(oracle, images, targets=targets, progress=False, **settings) for name, oracle in asked.items()
    }
    queries = {
        name: np.array([record.queries if record.verified else settings["max_queries"] for record in result.records])
        for name, result in results.items()
    }
    means = {name: float(counts.mean()) for name, counts in queries.items()}
    broken = {name: np.array([record.verified for record in result.records]) for name, result in results.items()}
    return {
        "images": len(images),
        **{f"{name}_TSR": float(found.mean()) for name, found in broken.items()},
        **{f"{name}_queries": mean for name, mean in means.items()},
        "difference": means["torch"] / means["keras"] - 1,
        "broken_by_one_alone": int((broken["keras"] != broken["torch"]).sum()),
        "same_count": float((queries["keras"] == queries["torch"]).mean()),
    }


def main() -> None:
    """Compare both goals, seed by seed."""
    parser = make_parser("frameworks", __doc__)
    parser.add_argument("--images", type=positive, default=500)
    parser.add_argument("--epsilon", type=positive, default=8, help="grey levels")
    parser.add_argument("--budget", type=positive, default=10_000, help="queries per image")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    images = load_images(arguments.data, "cifar10_correct500.npz").images[: arguments.images]
    asked = oracles(arguments.data)
    rows = [
        {"goal": goal, "seed": seed}
        | compare(asked, images, rank, epsilon=arguments.epsilon, max_queries=arguments.budget, seed=seed)
        for goal, rank in GOALS.items()
        for seed in arguments.seeds
    ]
    print(__doc__)
    print_table(
        ["ResNet-20", "seed", "images", "TSR keras", "torch", "queries keras", "torch", "differ by", "same count"],
        (
            [
                row["goal"],
                row["seed"],
                row["images"],
                percent(row["keras_TSR"]),
                percent(row["torch_TSR"]),
                f"{row['keras_queries']:,.2f}",
                f"{row['torch_queries']:,.2f}",
                percent(row["difference"], digits=2),
                percent(row["same_count"]),
            ]
            for row in rows
        ),
    )
    for goal in GOALS:
        some = [row for row in rows if row["goal"] == goal]
        differ = sum(row["torch_queries"] for row in some) / sum(row["keras_queries"] for row in some) - 1
        alone = sum(row["broken_by_one_alone"] for row in some)
        is_met = abs(differ) < _BAR and not alone
        print(
            f"bar: {goal}: means within {_BAR:.0%}: {differ:+.2%}, images that one alone broke: {alone}, "
            f"{verdict(is_met)}"
        )
    write_results(arguments.out, arguments, rows)


if __name__ == "__main__":
    main()
