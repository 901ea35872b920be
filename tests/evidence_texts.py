"""Rows that pages share with `benchmarks/TABLES.md`, and sentences that hold figures of `benchmarks/results`.

`benchmarks/tables.py --print` wrote TABLES.md from the rows in `benchmarks/results/tables`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median
from typing import Any

from evidence_tables import RESULTS, number, results, share, summary

ROOT = Path(__file__).parents[1]
_TABLES = ROOT / "benchmarks" / "TABLES.md"
_NONE = "-"
_INTERVAL = re.compile(r" \(\d+ to \d+\)")


def papers_table(title: str) -> dict[tuple[str, str], list[str]]:
    """Return images, our rates within epsilon and the paper's of a table of TABLES.md, by the attack and the model.

    The rates are without the intervals that are printed beside ours, and without those at any distance.
    """
    headers, _, *rows = _printed(title)
    places = [headers.index(name) + after for name in ("images", "paper's SR") for after in range(4)][:-1]
    return {(row[0], row[1]): [_INTERVAL.sub("", row[place]).replace(".0 %", " %") for place in places] for row in rows}


def _printed(title: str) -> list[list[str]]:
    """Return the cells of a table of TABLES.md, its two lines of header first."""
    section = _TABLES.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:2] == "| "
    ]


def repaired() -> Iterator[str]:
    """Yield what `dfa.repair` made of each attack's vectors that rounding lost."""
    _, _, *rows = _printed("What `dfa.repair` makes of what rounding lost")
    for system, model, table, lost, mended, queries, *distances in rows:
        goal = ", targeted" if table in ("7", "9") else ""
        before_linf, after_linf, before_l2, after_l2 = distances
        linf, l2 = f"{before_linf} to {after_linf}", f"{before_l2} to {after_l2}"
        if model != "demo's LeNet-1":
            yield f"| {system}{goal} | {model} | {lost} | {mended} | {queries} | {linf} | {l2} |"


def _told(cells: list[str]) -> str:
    """Return SR, TSR and GAP as pages write them."""
    return _NONE if cells[0] == _NONE else ", ".join(cells)


def table_4() -> Iterator[str]:
    """Yield the attacks of the paper's Table 4 on both models."""
    table = papers_table("Table 4")
    for attack in dict.fromkeys(attack for attack, _ in table):
        ours = [table.get((attack, model), [_NONE] * 7) for model in ("LeNet-1", "ResNet-20")]
        if attack.startswith("DFA") or all(cells[0] == _NONE for cells in ours):
            continue
        found = [_NONE if cells[0] == _NONE else f"{cells[0]}: {_told(cells[1:4])}" for cells in ours]
        yield f"| {attack} | {' | '.join(found)} | {_told(ours[0][4:7])} |"


def written_small() -> Iterator[str]:
    """Yield the rows of Table 4 whose tools are written small from their papers, each on its own network."""
    tools = ("Planet", "ReluVal", "DeepPoly", "DLV", "SafeCV", "DeepGo", "DeepConcolic")
    rows = papers_table("Table 4").items()
    for tool in tools:
        for (system, model), cells in rows:
            if system.partition(",")[0] == tool:
                yield f"| {system} | {model} | {' | '.join(cells[:4])} | {_told(cells[4:7])} |"


def tables_6_to_9(model: str) -> Iterator[str]:
    """Yield the attacks of the paper's Tables 6 to 9 on one model."""
    for place in range(6, 10):
        for (attack, its), cells in papers_table(f"Table {place}").items():
            if its == model:
                yield f"| {place} | {attack} | {' | '.join(cells[:4])} | {_told(cells[4:7])} |"


def repaired_by_stage() -> Iterator[str]:
    """Yield what `dfa.repair` closed of the gaps of three attacks, by its default stages and one value at a time."""
    theirs = {"C&W L2": "90 %", "DeepFool": "99 %", "Boundary": "56 %"}
    for attack, gap in theirs.items():
        for model in ("LeNet-1", "ResNet-20"):
            name = f"repair-{attack} {model}".lower().replace("&", "-").replace(" ", "-")
            row = results(f"tables/{name}")["results"]
            default, single = (row["repair"][stages] for stages in ("default", "coordinates"))
            rates = " | ".join(share(row[rate]) for rate in ("SR", "TSR", "GAP"))
            closed = f"{default['repaired']} of {default['repaired'] + default['failed']}"
            queries = f"{default['queries_mean']:.1f} | {single['queries_mean']:.0f}"
            yield f"| {attack} | {model} | {row['images']} | {rates} | {gap} | {closed} | {queries} |"


def anywhere() -> Iterator[str]:
    """Yield what minimises L2 at any distance, of the paper's Tables 8 and 9."""
    for place in (8, 9):
        headers, _, *rows = _printed(f"Table {place}")
        first, paper = headers.index("at any distance: SR"), headers.index("paper's SR")
        for row in rows:
            ours = [_INTERVAL.sub("", cell).replace(".0 %", " %") for cell in (row[2], *row[first : first + 3])]
            theirs = [cell.replace(".0 %", " %") for cell in row[paper : paper + 3]]
            if row[0] in ("DBA", "ZOO") and ours[0] != _NONE:
                yield f"| {place} | {row[0]} | {row[1]} | {' | '.join(ours)} | {_told(theirs)} |"


def tools_that_lost() -> str:
    """Return the sentence on how many of the paper's tools rounding takes something from, and more than half."""
    worst: dict[str, float] = {}
    for (system, _), (_, _, _, gap, *theirs) in papers_table("Table 4").items():
        tool = system.partition(",")[0]
        if theirs[0] != _NONE or tool in worst:
            worst[tool] = max(worst.get(tool, 0.0), 0.0 if gap == _NONE else float(gap.removesuffix(" %")))
    assert len(worst) == 20
    lost, half = (sum(gap > least for gap in worst.values()) for least in (0, 50))
    return f"All were measured again: {lost} lost something on some network, {half} more than half."


def calls() -> Iterator[list[str]]:
    """Yield setting, images, and mean calls of one candidate at a time, of the default, and of independent images."""
    for folder, setting, name in (
        ("queries-1000", "lenet1-eps64", "LeNet-1, 64"),
        ("queries-1000", "lenet1-eps64-targeted", "LeNet-1, 64, targeted (4th)"),
        ("queries", "resnet20-eps4", "ResNet-20, 4"),
        ("queries", "resnet20-eps8-targeted", "ResNet-20, 8, targeted (4th)"),
        ("queries", "mobilenetv1-eps10-targeted", "MobileNetV1-160, 10, targeted (11th)"),
        ("queries", "mobilenetv2-eps10-targeted", "MobileNetV2-224, 10, targeted (11th)"),
        ("queries", "mnist-robust-eps76", "`mnist_robust`, 76"),
    ):
        with (RESULTS / folder / f"{setting}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        images = str(summary(folder, setting)["dfa"]["images"])
        found = []
        for attack in ("dfa-sequential", "dfa", "dfa-alone"):
            of = [int(row["calls"]) for row in rows if row["attack"] == attack]
            found.append(f"{fmean(of):,.0f}" if len(of) == 3 else "")
        yield [name, f"{int(images):,}", *found]


def sentences() -> Iterator[tuple[str, str]]:
    """Yield pages, and what is written there of figures that a file has."""
    yield "evidence/study", tools_that_lost()
    audit = results("audit")["results"]
    total = audit["total"]
    yield "evidence/audit", f"The audit took {total['audit']:.1f} s where the bare oracle takes {total['bare']:.1f} s"
    yield "evidence/audit", f"{audit['ratio']:.2f} times on the wall, {audit['ratio_processors']:.2f} in processor time"

    memory = {row["setting"]: row["above_imports"] / 1e9 for row in results("memory")["results"]}
    yield (
        "evidence/speed",
        f"{memory['paper']:.2f} GB in the paper's setting and {memory['default']:.2f} GB in the default",
    )
    report = results("report")["results"]
    opening, page = median(report["opening"]), median(report["report"])
    yield (
        "evidence/speed",
        f"open in {opening:.2f} s; the page takes {page:.1f} s and has {report['bytes'] / 1e6:.1f} MB",
    )

    host = {row["case"]: row["turns"] for row in results("devices-host")["results"]}
    free = [host[f"free {shape}"] for shape in ("160x160x3", "224x224x3", "299x299x3", "28x28x1")]
    costs = [1e6 * _middle(turns, "cost") for turns in free]
    first, second, third = (f"{cost:.1f}" for cost in costs[:3])
    told = (
        f"{first} microseconds at 160x160x3, {second} at 224x224x3, {third} at 299x299x3 and {costs[3]:.2f} at 28x28x1"
    )
    yield "evidence/speed", f"a query of the default takes {told}"
    cores = [f"{_middle(turns, 'times_core'):.2f}" for turns in free[:3]]
    yield (
        "evidence/speed",
        f"{', '.join(cores)} and {_middle(free[3], 'times_core'):.1f} times what the core alone takes",
    )
    tiny = [1e6 * _middle(host[f"tiny {images}"], "cost") for images in ("5,000", "20,000", "100,000")]
    yield (
        "evidence/speed",
        f"{tiny[0]:.1f} microseconds a query for 5,000 images, {tiny[1]:.1f} for 20,000, {tiny[2]:.1f}",
    )

    (square,), (art,) = (results(f"devices-{name}")["results"][0]["turns"] for name in ("square", "art"))
    told = f"{square['now']['times_wall']:.0f} times dfa's wall time in torchattacks"
    yield "evidence/speed", f"Square Attack on ResNet-20 in torch took {told}"
    yield "evidence/speed", f"sent {square['now']['times_rows']:.0f} times the images"
    times = [f"{art['now'][each]:.0f}" for each in ("times_wall", "times_rows")]
    yield "evidence/speed", f"in ART, at 8 grey levels, {' and '.join(times)} times"

    one_pixel = [row for row in results("one-pixel-resnet20-held-out")["results"]["one_pixel"] if "images" in row]
    yield "evidence/few-pixels", f"ART broke 7 with {one_pixel[0]['queries_mean']:,.0f} queries each on average"
    ours = [f"{row['queries_mean']:,.0f}" for row in results("one-pixel-resnet20-held-out-dfa")["results"]["one_pixel"]]
    yield "evidence/few-pixels", f"with {ours[0]}, {ours[1]} and {ours[2]} queries each"
    pixel = summary("queries-reporting", "resnet20-pixels1")["dfa"]
    yield "evidence/few-pixels", f"a budget of 2,000, three seeds: {share(pixel['success']['2000'])}"

    jump = {row["attack"]: row for row in results("labels-hop-skip-jump")["summary"]}
    theirs = jump["hop-skip-jump"]
    told = f"broke {share(theirs['success']['2000'])} with a mean of {number(theirs['mean'])} queries"
    yield "evidence/information", told
    yield "evidence/information", f"dfa broke all 20 with a mean of {jump['dfa']['mean']:.1f}"
    labels = summary("queries-reporting", "resnet20-eps4-labels")["dfa"]
    rays = results("labels-resnet20-eps4-rays")["summary"][0]
    told = f"broke {share(labels['success']['2000'])} (mean {number(labels['mean'])}, failures at 2,000)"
    yield "evidence/information", f"{told}; RayS broke {share(rays['success']['2000'])} within 2,000"

    rest = results("rest-mnist-robust")["results"]
    sent = {after: [row for row in rest if row["give_up_after"] == after] for after in (1_000, None)}
    first, second, third = (f"{row['sent_per_image']:,.0f}" for row in sent[1_000])
    yield "guides/defenders", f"sent {first}, {second} and {third} queries an image with three seeds"
    first, second, third = (f"{row['sent_per_image']:,.0f}" for row in sent[None])
    yield "guides/defenders", f"the whole budget of 10,000 sent {first}, {second} and {third}"
    first, second, third = (str(round(row["SR"] * row["images"])) for row in sent[1_000])
    yield "guides/defenders", f"broke the same {first}, {second} and {third} images"

    for file, page, template in (
        ("prior-resnet20", "guides/priors", "takes {other:.2f} times the queries of a run without it"),
        ("prior-mobilenetv1", "guides/priors", "two seeds: {other:.2f} of the queries"),
    ):
        yield page, template.format(**_of_priors(file))
    cost = {name: round(100 * ratio - 100) for name, ratio in _of_priors("prior-resnet20").items()}
    yield "guides/priors", f"Random weights cost {cost['random']} %, signs without meaning {cost['noise']} %"

    frameworks = results("frameworks-resnet20")["results"]
    if all(row["difference"] == 0 and row["same_count"] == 1 for row in frameworks):
        told = f"breaks the same {frameworks[0]['images']} images by the same number of queries, image by image"
        yield "evidence/queries", told
    yield from _of_the_papers_code()
    yield from _headlines()


def _of_the_papers_code() -> Iterator[tuple[str, str]]:
    """Yield the rows of what the published code does otherwise, but for that of a prototype."""
    printed = next(
        row
        for row in results("paper-lenet1-targeted")["results"]
        if (row["optimizer"], row["seed"]) == ("paper-code", 0)
    )
    otherwise = {row["optimizer"]: row for row in results("paper-lenet1-targeted-code")["results"]}
    for row, names in (
        (printed, "all as printed but the degree | |"),
        (otherwise["paper-code-150"], "keeps the best s + k of 150 starts | s + k starts |"),
        (otherwise["paper-code-newer"], "newer wins a tie | older (line 21 does not say) |"),
        (otherwise["paper-code-s3"], "s = 3 by default, targeted too | s = 10 |"),
    ):
        found = row["summary"]
        queries = f"{found['queries_mean']:,.0f} ({found['queries_median']:,.0f})"
        yield "evidence/paper", f"| {names} {queries} | {share(found['TSR'])} |"


def _headlines() -> Iterator[tuple[str, str]]:
    """Yield figures of the first page that its tables have too."""
    robust = summary("queries", "mnist-robust-eps76")
    means = [f"{robust[attack]['mean']:,.0f}" for attack in ("dfa", "square-0.3-margin")]
    yield "evidence/index", f"no attack is ahead: {means[0]} against {means[1]}"
    rows = [row for row in results("devices")["results"] if row["case"].endswith(" 10,000")]
    full = sorted(f"{_middle(row['turns'], 'utilisation'):.2f}" for row in rows)
    yield "evidence/index", f"| {full[0]} to {full[-1]} of the device's time; **the bar of 0.85 is missed**"
    core = next(row for row in results("core")["results"] if row["case"].startswith("299x299x3, |Y| = 200"))
    yield "evidence/index", f"| {core['utilisation']:.2f} at 299x299x3; **the bar of 0.8 is missed**"
    ratios = [row["dfa"]["mean"] / row["rays"]["mean"] for row in map(_of_labels, _LABELS)]
    yield "evidence/index", f"| {min(ratios):.2f} to {max(ratios):.2f} of RayS's queries, untargeted |"
    files = ("prior-mobilenetv2", "prior-mobilenetv1", "prior-resnet20")
    found = [f"{_of_priors(file)['other']:.2f}" for file in files]
    yield "evidence/index", f"| {found[0]}, {found[1]} and {found[2]} of the queries without"


_LABELS = ("lenet1-eps64", "resnet20-eps8", "mobilenetv1-eps4", "mobilenetv1-eps10")


def _of_labels(setting: str) -> dict[str, dict[str, Any]]:
    return summary("queries-reporting", f"{setting}-labels")


def _middle(turns: list[dict[str, Any]], figure: str) -> float:
    return median(turn["now"][figure] for turn in turns)


def _of_priors(file: str) -> dict[str, float]:
    """Return mean queries with each prior over those without."""
    rows = results(file)["results"]
    means = {
        prior: fmean(row["queries_mean_with_failures"] for row in rows if row["prior"] == prior)
        for prior in {row["prior"] for row in rows}
    }
    return {prior: mean / means["none"] for prior, mean in means.items()}
