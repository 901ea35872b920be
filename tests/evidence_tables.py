"""The rows of the evidence's main tables, made of `benchmarks/results`: `python tests/evidence_tables.py` prints them.

`tests/test_evidence.py` holds the pages of `docs/evidence` to these rows, so a page cannot say what no file says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from statistics import median as median_of
from typing import Any

import dfa

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"

_SETTINGS = {
    "lenet1-eps64": "LeNet-1, 64",
    "lenet1-eps64-targeted": "LeNet-1, 64, towards the 4th class",
    "resnet20-eps8": "ResNet-20, 8",
    "resnet20-eps4": "ResNet-20, 4",
    "resnet20-eps8-targeted": "ResNet-20, 8, towards the 4th class",
    "mobilenetv1-eps4": "MobileNetV1-160, 4",
    "mobilenetv1-eps10-targeted": "MobileNetV1-160, 10, towards the 11th class",
    "squeezenet-eps4": "SqueezeNet 1.1, 4",
    "squeezenet-eps10-targeted": "SqueezeNet 1.1, 10, towards the 11th class",
    "mobilenetv2-eps4": "MobileNetV2-224, 4",
    "mobilenetv2-eps10-targeted": "MobileNetV2-224, 10, towards the 11th class",
    "mnist-robust-eps76": "`mnist_robust`, 76",
}
_RIVALS = {
    "dfa": "dfa",
    "dfa-alone": "dfa, independent images",
    "signhunter": "SignHunter",
    "square-0.1-entropy": "Square, p = 0.1, entropy",
    "parsimonious": "Parsimonious",
    "art-square": "Square as ART has it",
    "bandits": "Bandits",
    "nes": "NES",
}


def results(name: str) -> dict[str, Any]:
    """Return what a file of `benchmarks/results` holds."""
    held: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return held


def summary(folder: str, setting: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a setting of `queries.py`, by attack, in the order of their means."""
    return {row["attack"]: row for row in results(f"{folder}/{setting}")["summary"]}


def number(value: float) -> str:
    """Return queries as the tables write them."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def median(value: float) -> str:
    """Return a median: halves are kept."""
    return f"{value:,.1f}".removesuffix(".0")


def share(value: float) -> str:
    """Return a percentage."""
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def queries_of(row: dict[str, Any]) -> str:
    """Return mean and median."""
    return f"{number(row['mean'])} ({median(row['median'])})"


def _best_square(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return next(row for name, row in rows.items() if name.startswith("square-"))


def beside_square() -> Iterator[str]:
    """Yield today's default beside Square, on images that nothing was chosen on."""
    for setting, name in _SETTINGS.items():
        rows = summary("queries-default", setting)
        if len(rows) < 2:
            continue
        dfa, alone, square = rows["dfa"], rows["dfa-alone"], _best_square(rows)
        _, p, loss = square["attack"].split("-")
        seeds = ", ".join(str(len(each["seeds"])) for each in (dfa, alone, square))
        cells = [name, str(dfa["images"]), seeds, queries_of(dfa), queries_of(alone)]
        yield f"| {' | '.join(cells)} | {queries_of(square)}, {p}, {loss} | {_ratio(dfa)} | {_ratio(alone)} |"


def readme() -> Iterator[str]:
    """Yield the README's table: the same, without seeds and Square's setting; of another kind of model in italics."""
    for row in beside_square():
        name, images, _, dfa, alone, square, ratio, _ = (cell.strip() for cell in row.strip("|").split("|"))
        shown = f"*{name}*" if name.startswith(("SqueezeNet", "MobileNetV2")) else name
        yield f"| {' | '.join([shown, images, dfa, alone, square.partition(',')[0], ratio])} |"


def _ratio(row: dict[str, Any]) -> str:
    return f"{row['ratio_to_best_square']:.2f}"


def before_and_now() -> Iterator[str]:
    """Yield the default before starts were forecast, and today's."""
    for setting, name in _SETTINGS.items():
        before = summary("queries-default-before", setting)["dfa"]
        now = summary("queries-default", setting)["dfa"]
        cells = [name, str(now["images"]), str(len(now["seeds"])), queries_of(before), queries_of(now)]
        yield f"| {' | '.join(cells)} | {now['mean'] / before['mean']:.2f} |"


def earlier(folder: str, *settings: str) -> Iterator[str]:
    """Yield the earlier default, with and without an archive, beside the best Square."""
    for setting in settings or _SETTINGS:
        if folder == "queries" and not settings and setting.startswith("squeezenet"):
            continue
        rows = summary(folder, setting)
        square = _best_square(rows)
        _, p, loss = square["attack"].split("-")
        dfa, alone = rows["dfa"], rows["dfa-alone"]
        ratio = f"{dfa['ratio_to_best_square']:.2f}"
        cells = [_SETTINGS[setting], f"{dfa['images']:,}", queries_of(dfa), queries_of(alone)]
        yield f"| {' | '.join(cells)} | {queries_of(square)}, {p}, {loss} | {ratio} |"


def rivals() -> Iterator[str]:
    """Yield every rival on LeNet-1; a dash is not run."""
    untargeted, targeted = summary("queries", "lenet1-eps64"), summary("queries", "lenet1-eps64-targeted")
    for attack, name in _RIVALS.items():
        cells = []
        for rows in (untargeted, targeted):
            row = rows.get(attack)
            cells += [queries_of(row), share(row["success"]["10000"])] if row else ["-", "-"]
        yield f"| {name} | {len(untargeted[attack]['seeds'])} | {' | '.join(cells)} |"


def labels() -> Iterator[str]:
    """Yield dfa and RayS by labels alone."""
    for model, setting in (
        ("LeNet-1, 64", "lenet1-eps64-labels"),
        ("ResNet-20, 8", "resnet20-eps8-labels"),
        ("MobileNetV1-160, 4", "mobilenetv1-eps4-labels"),
        ("MobileNetV1-160, 10", "mobilenetv1-eps10-labels"),
    ):
        rows = summary("queries-reporting", setting)
        cells = [f"{queries_of(row)}, {share(row['success']['2000'])}" for row in (rows["dfa"], rows["rays"])]
        ratio = f"{rows['dfa']['mean'] / rows['rays']['mean']:.2f}"
        yield f"| {model} | {rows['dfa']['images']} | {cells[0]} | {cells[1]} | {ratio} |"


def few_pixels() -> Iterator[str]:
    """Yield dfa and Sparse-RS where few pixels, a patch or a frame may change."""
    for model, images, settings in (("ResNet-20", 50, "resnet20"), ("LeNet-1", 100, "lenet1")):
        for path in sorted(
            (RESULTS / "queries-reporting").glob(f"{settings}-*.json"),
            key=lambda path: (not path.stem.partition("-")[2].startswith("pixels"), len(path.stem), path.stem),
        ):
            rows = summary("queries-reporting", path.stem)
            rival = next((row for name, row in rows.items() if name.startswith("sparse-rs")), None)
            if rival is None:
                continue
            space = path.stem.partition("-")[2]
            kind, size = space.rstrip("0123456789").capitalize(), space.lstrip("abcdefghijklmnopqrstuvwxyz")
            assert rows["dfa"]["images"] == images, path
            cells = [f"{share(row['success']['2000'])}, {queries_of(row)}" for row in (rows["dfa"], rival)]
            ratio = f"{rows['dfa']['mean'] / rival['mean']:.2f}"
            yield f"| {model}, `{kind}({size})` | {images} | {cells[0]} | {cells[1]} | {ratio} |"


def shown() -> Iterator[str]:
    """Yield success and queries by what the oracle shows."""
    rows = results("information")["results"]
    rows += [
        row for row in results("information-mobilenetv1-targeted")["results"] if row["level"] in ("top_1", "label")
    ]
    for setting in ("lenet1-eps64", "mobilenetv1-eps4", "lenet1-eps64-targeted", "mobilenetv1-eps10-targeted"):
        for level in ("probabilities", "logits", "top_5", "top_1", "label"):
            row = next(row for row in rows if (row["setting"], row["level"]) == (setting, level))
            found = " | ".join(share(row["within"][mark]) for mark in ("10", "100", "1000"))
            cells = [_SETTINGS[setting], level, str(row["images"]), f"{row['budget']:,}", share(row["success"])]
            yield f"| {' | '.join(cells)} | {queries_of(row)} | {found} |"


def papers_setting() -> Iterator[str]:
    """Yield the paper's setting and the default; mean and median over successes."""
    for name, file in (
        ("LeNet-1, 64, untargeted", "lenet1-untargeted"),
        ("LeNet-1, 64, towards the 4th class", "lenet1-targeted"),
        ("ResNet-20, 8, untargeted", "resnet20-untargeted"),
        ("ResNet-20, 8, towards the 4th class", "resnet20-targeted"),
        ("MobileNetV1-160, 10, untargeted", "mobilenetv1-untargeted"),
        ("MobileNetV1-160, 10, towards the 11th class", "mobilenetv1-targeted"),
    ):
        rows = {row["optimizer"]: row["summary"] for row in reversed(results(f"paper-{file}")["results"])}
        cells = []
        for optimizer in ("paper-code", "paper-printed", "default"):
            row = rows.get(optimizer)
            cells.append(
                f"{share(row['TSR'])}, {number(row['queries_mean'])} ({median(row['queries_median'])})" if row else "-"
            )
        default = rows["default"]
        yield f"| {name} | {default['attacked']} | {default['max_queries']:,} | {' | '.join(cells)} |"


def at_rest() -> Iterator[str]:
    """Yield what `give_up_after` costs and saves."""
    for row in results("rest-mnist-robust")["results"]:
        after = "never" if row["give_up_after"] is None else f"{row['give_up_after']:,}"
        cells = [str(row["seed"]), after, str(round(row["SR"] * row["images"])), str(row["at_rest"])]
        yield f"| {' | '.join(cells)} | {number(row['sent_per_image'])} |"


def priors() -> Iterator[str]:
    """Yield mean queries with each prior over those without."""
    for file, name in (
        ("prior-resnet20", "ResNet-20, 8, 4th"),
        ("prior-mobilenetv1", "MobileNetV1-160, 10, 11th"),
        ("prior-mobilenetv2", "MobileNetV2-224, 10, 11th"),
    ):
        rows = results(file)["results"]
        without = [row["queries_mean_with_failures"] for row in rows if row["prior"] == "none"]
        for prior in ("other", "random", "noise"):
            found = [row["queries_mean_with_failures"] for row in rows if row["prior"] == prior]
            if found:
                with_, plain = fmean(found), fmean(without)
                cells = [name, str(rows[0]["images"]), str(len(found)), prior, number(with_), number(plain)]
                yield f"| {' | '.join(cells)} | {with_ / plain:.2f} |"


def side_by_side() -> Iterator[str]:
    """Yield other libraries' attacks as their users call them."""
    for row in results("side-by-side")["results"]:
        cells = [row["attack"], str(row["images"]), share(row["success"]), share(row["after_png"])]
        yield f"| {' | '.join(cells)} | {number(row['rows_per_image'])} | {number(row['times_wall'])} |"


def core() -> Iterator[str]:
    """Yield candidates per second of the core."""
    for row in results("core")["results"]:
        speed = row["candidates_per_second"]["core, 1 thread"]
        shares = f"{row['utilisation']:.2f} | {row['utilisation_of_ask']:.2f} | {row['speedup']:.2f}"
        yield f"| {row['case'].replace('|Y|', 'values')} | {float(f'{speed:.3g}'):,.0f}/s | {shares} |"


def devices() -> Iterator[str]:
    """Yield how full batches are on a simulated device, and the build before in turns with this one."""
    for file, case, name in (
        ("devices-lenet1", "LeNet-1 untargeted 1,000", "LeNet-1, untargeted"),
        ("devices-lenet1", "LeNet-1 targeted 1,000", "LeNet-1, targeted (4th)"),
        ("devices-lenet1-10000", "LeNet-1 targeted 10,000", "LeNet-1, targeted (4th) ¹"),
        ("devices", "device untargeted 1,000", "linear, untargeted"),
        ("devices", "device untargeted 10,000", "linear, untargeted"),
        ("devices", "device targeted 1,000", "linear, targeted (5th)"),
        ("devices", "device targeted 10,000", "linear, targeted (5th)"),
    ):
        (turns,) = (row["turns"] for row in results(file)["results"] if row["case"] == case)
        now = {figure: median_of(turn["now"][figure] for turn in turns) for figure in turns[0]["now"]}
        counts = [f"{now[each]:,.0f}" for each in ("images", "queries", "calls", "rows_per_call")]
        shares = [f"{now[each]:.2f}" for each in ("utilisation", "utilisation_of_all")]
        beside = ["", ""]
        if "beside" in turns[0]:
            wall, calls = (
                median_of(turn["beside"][each] / turn["now"][each] for turn in turns) for each in ("wall", "calls")
            )
            beside = [f"{wall:.1f}", f"x {calls:.1f}" if calls < 10 else f"x {calls:.0f}"]
        yield f"| {' | '.join([name, *counts, *shares])} | {' | '.join(beside)} |".replace("|  |  |", "| | |")


def spaces() -> Iterator[str]:
    """Yield other spaces with the region and without; bold is the space's default."""
    found: dict[tuple[str, str, str], str] = {}
    for file in ("spaces-lenet1", "spaces-lenet1-tiny", "spaces-resnet20", "spaces-resnet20-pixel-tiny"):
        for row in results(file)["results"]["spaces"]:
            # The later file is of the space as it is now.
            told = f"{row['TSR'] * 100:.1f} %".replace("100.0 %", "100 %")
            told = "0 %" if row["TSR"] == 0 else f"{told}, {row['queries_mean_with_failures']:.1f}"
            found[row["model"], row["space"], row["changes"]["region"]] = told
    for name, of_lenet, of_resnet, default in (
        ("`Pixels(1)`", "Pixels(1)", "Pixels(1)", "ordered"),
        ("`Rectangle(8, 8)`", "Rectangle(8, 8)", "Rectangle(8, 8)", "ordered"),
        ("`TinyRectangles(20, 2)`", "TinyRectangles(20, 2)", "TinyRectangles(20, 2)", "none"),
        ("`Lighting(128, 48)`, on ResNet-20 `(64, 32)`", "Lighting(128, 48)", "Lighting(64, 32)", "none"),
        (
            "`Tiled(LinfBall(64), 4)`, on ResNet-20 `LinfBall(8)`",
            "Tiled(LinfBall(64), 4)",
            "Tiled(LinfBall(8), 4)",
            "none",
        ),
        ("`Shift(4, 4)`", "Shift(4, 4)", "Shift(4, 4)", "ordered"),
    ):
        cells = [
            f"**{found[model, space, region]}**" if region == default else found[model, space, region]
            for model, space in (("lenet1", of_lenet), ("cifar_resnet20", of_resnet))
            for region in ("ordered", "none")
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def journal() -> Iterator[str]:
    """Yield what a run's folder costs."""
    for file in ("journal-lenet1", "journal-mobilenet160"):
        for name, row in results(file)["results"].items():
            found = row["median"]
            ratios = row["ratios"]
            cells = [name, f"{found['queries']:,.0f}", f"{found['found']:,.0f}", share(ratios["journal_share"])]
            yield f"| {' | '.join(cells)} | {ratios['attack']:.2f} | {ratios['stored_over_saved']:.2f} |"


def critical() -> Iterator[str]:
    """Yield critical epsilons by `dfa.frontier` and by separate runs."""
    names = {"lenet1": "LeNet-1", "resnet20": "ResNet-20", "mobilenetv1": "MobileNetV1-160"}
    for row in results("frontier")["results"]:
        budget = f"{row['times'] * row['max_queries']:,}"
        cells = [f"{names[row['setting']]}, {row['largest']}", str(row["images"]), budget, f"{row['critical']:.2f}"]
        cells += [f"{row['critical_separate']:.2f}", f"{row['ratio']:.2f}", str(row["most_above"])]
        sent = f"{number(row['queries'])} | {number(row['queries_separate'])} | {row['ratio_of_queries']:.2f}"
        yield f"| {' | '.join(cells)} | {sent} |"


def services() -> Iterator[str]:
    """Yield how much of what a service allows is used."""
    for row in results("services")["results"]:
        allowed = "64 at a time" if row["allowed"].startswith("64") else row["allowed"]
        speed = f"{row['per second']:,.0f}" if row["per second"] >= 100 else f"{row['per second']:.1f}"
        cells = [allowed, str(row["images"]), "yes" if row["images learn"] else "no", f"{row['requests']:,}", speed]
        yield f"| {' | '.join(cells)} | {row['of what is allowed']:.2f} | {row['rejected']} |"


def throughput() -> Iterator[str]:
    """Yield attack queries per second over images per second of the bare oracle."""
    for file in ("lenet1", "mobilenetv1", "h100-lenet1", "h100-mobilenetv1"):
        for row in results(f"throughput-{file}")["results"]:
            name = row["case"] + (", H100" if file.startswith("h100") else "")
            speeds = [f"{float(f'{row[each]:.3g}'):,.0f}/s" for each in ("bare", "attack")]
            yield f"| {name} | {row['batch_size']} | {' | '.join(speeds)} | {row['utilisation']:.2f} |"


def adapters() -> Iterator[str]:
    """Yield torch and ONNX beside the bare model, in the run's batches and in those that the adapter asks in."""
    for file in ("torch", "onnx"):
        for row in results(f"throughput-{file}")["results"]:
            found = row["models"]
            shares = [
                f"{found[each]:.2f}"
                for each in ("over_model", "all_over_model", "over_model_static", "all_over_model_static")
            ]
            yield f"| {row['case']} | {row['batch_size']} | {found['model']:,.0f}/s | {' | '.join(shares)} |"


def workers() -> Iterator[str]:
    """Yield one run on devices of processes, by epsilon and number of workers: medians of the turns."""
    for file in ("workers", "workers-hard"):
        found = results(file)["results"]
        for number in dict.fromkeys(row["workers"] for row in found):
            those = [row for row in found if row["workers"] == number]
            ones = [row["wall"] for row in found if row["workers"] == 1]
            wall = median_of(row["wall"] for row in those)
            cells = [f"{those[0]['queries'] / those[0]['images']:.0f}", str(number) if number else "none"]
            cells += [f"{median_of(row['rows per call'] for row in those):.0f}", f"{wall:.1f}"]
            ratios = [one / row["wall"] / number for one, row in zip(ones, those, strict=True)] if number else []
            yield f"| {' | '.join(cells)} | {f'{median_of(ratios):.2f}' if ratios else ''} |"


def schedule() -> Iterator[str]:
    """Yield how well a run fills many workers, as far as the order of the images goes, and with the driver's time."""
    for file in ("schedule", "schedule-hard"):
        found = results(file)["results"]
        for row in found:
            if row["driver"] == "0,0":
                (timed,) = (
                    other["efficiency"]
                    for other in found
                    if other["driver"] != "0,0"
                    and (other["images"], other["workers"]) == (row["images"], row["workers"])
                )
                cells = [f"{row['images']:,}", f"{row['queries per image']:.0f}", str(row["workers"])]
                cells += [f"{row['rows per call']:.0f}", f"{row['efficiency']:.2f}", f"{timed:.2f}"]
                yield f"| {' | '.join(cells)} |"


def suite() -> Iterator[str]:
    """Yield the standard suite on ResNet-20, of its table what tells most."""
    report = dfa.SuiteReport.load(RESULTS / "suite-resnet20.json")
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in report.table().splitlines() if "|" in line
    ]
    wanted = ["setting", "optimizer", "success", "95 % interval", "within 100", "queries, mean", "median"]
    for row in rows:
        cells = dict(zip(head, row, strict=True))
        yield f"| {' | '.join(cells[name] for name in [*wanted, head[-2]])} |".replace("|  |", "| |")


TABLES = {
    "../guides/suite": (suite,),
    "queries": (
        beside_square,
        before_and_now,
        lambda: earlier("queries"),
        lambda: earlier(
            "queries-held-out", "lenet1-eps64", "lenet1-eps64-targeted", "resnet20-eps4", "resnet20-eps8-targeted"
        ),
        lambda: earlier("queries", "squeezenet-eps4", "squeezenet-eps10-targeted"),
        rivals,
        side_by_side,
        critical,
    ),
    "information": (shown, labels),
    "few-pixels": (few_pixels, spaces),
    "prior-and-rest": (priors, at_rest),
    "paper": (papers_setting,),
    "speed": (core, devices, throughput, adapters, journal, workers, schedule, services),
}


if __name__ == "__main__":
    print("README")
    print("\n".join(readme()), end="\n\n")
    for page, makers in TABLES.items():
        for place, make in enumerate(makers):
            print(f"{page}, table {place}")
            print("\n".join(make()), end="\n\n")
