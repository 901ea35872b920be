"""`dfa.suite`: its figures, its cells as runs, going on, and which reports may be held against each other."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

import dfa
from dfa.results.rates import clopper_pearson
from oracles import LinearClassifier, brightness
from own_optimizers import Steps
from small_problem import CLASSES, CLASSIFIER, IMAGES, SHAPE

LABELS = CLASSES.copy()
LABELS[0] = (LABELS[0] + 1) % 10
FEW, OF_FEW = IMAGES[:6], LABELS[:6]
QUICK = {"max_queries": 30, "seeds": (1,), "epsilons": (6,), "progress": False}


class Counted:
    """A classifier that counts the images that it is sent."""

    def __init__(self, classifier=CLASSIFIER):
        self.classifier = classifier
        self.number = 0

    def __call__(self, images):
        self.number += len(images)
        return self.classifier(images)


@pytest.fixture(scope="module")
def report():
    return dfa.suite(CLASSIFIER, IMAGES, LABELS, optimizers={"steps": Steps()}, **QUICK | {"epsilons": (4, 8)})


def test_an_image_counts_once_by_most_seeds_and_failures_cost_the_budget():
    queries = ((5, 0, 9, None, 40), (7, 0, 0, None, None), (0, 3, 0, None, 40))
    cell = dfa.SuiteCell(8, None, "x", 100, queries, (0, 0, 0), (1, 2, 3))
    # The last two were not attacked with every seed; only the first was broken with two of three.
    assert cell.is_attacked.tolist() == [True, True, True, False, False]
    assert cell.is_broken().tolist() == [True, False, False, False, False]
    assert cell.is_broken(6).tolist() == [False] * 5
    assert (cell.success, cell.success_interval) == (1 / 3, clopper_pearson(1, 3))
    assert cell.success_within == {10: 1 / 3, 100: 1 / 3}
    costs = [5, 100, 9, 7, 100, 100, 100, 3, 100]
    assert (cell.queries_mean, cell.queries_median) == (np.mean(costs), 100)
    nothing = dataclasses.replace(cell, queries=((None,),) * 3)
    assert math.isnan(nothing.success)
    assert nothing.figures()["queries_mean"] is None


def test_two_cells_are_held_against_each_other_image_by_image():
    first = dfa.SuiteCell(8, None, "x", 100, ((10, 10, 10, 10, 10, 10, 0, None),), (0,), (0,))
    second = dfa.SuiteCell(8, None, "x", 100, ((0, 0, 0, 0, 0, 0, 5, 5),), (0,), (0,))
    pair = dfa.SuitePair.of(first, second)
    assert (pair.only_first, pair.only_second) == (6, 1)
    assert pair.p_success == pair.p_queries == pytest.approx(2 * (1 + 7) / 2**7)
    assert pair.ratio == 605 / 160
    assert "x (second) needs 3.78 times the queries of x (first), p = 0.12; success 25.0 % after 85.7 %" in str(pair)


def test_each_cell_is_what_a_run_of_its_settings_finds(report):
    assert [(each.epsilon, each.target) for each in report.cells[::3]] == [(4, None), (8, None), (8, 4)]
    assert [each.optimizer for each in report.cells[:3]] == ["dfa", "dfa, independent images", "steps"]
    for name, optimizer in (("dfa", None), ("dfa, independent images", dfa.Racos(archive=False)), ("steps", Steps())):
        run = dfa.run(
            CLASSIFIER,
            IMAGES,
            LABELS,
            epsilon=8,
            targets=dfa.rank(4),
            optimizer=optimizer,
            seed=1,
            max_queries=30,
            progress=False,
        )
        cell = report.cell(8, name, target=4)
        expected = [None if each.status is dfa.Status.SKIPPED else each.queries * each.verified for each in run.records]
        assert list(cell.queries[0]) == expected
        assert cell.queries_sent == (run.summary().queries_sent,)
        assert cell.calls == (run.profile.batches,)
    assert cell.queries[0][0] is None
    assert (report.wrong, report.classes, report.labels) == (1, tuple(CLASSES), tuple(LABELS))
    assert not report.is_standard


def test_the_table_has_a_row_for_each_cell_and_no_name_breaks_it(report):
    renamed = [dataclasses.replace(each, optimizer="a|b\n<i>") for each in report.cells[2::3]]
    table = dataclasses.replace(report, optimizers={"dfa": {}, "a|b\n<i>": {}}, cells=(report.cells[0], *renamed[:1]))
    head, _, *rows = table.table().splitlines()
    assert head.startswith("dfa-suite 1 with settings of its own, LinearClassifier, 24 images of 6x6x3 (sha256:")
    assert "1 wrong before the attack" in head
    assert len(rows) == 4
    assert "| a\\|b &lt;i> |" in rows[-1]
    assert len({row.replace("\\|", "").count("|") for row in rows}) == 1


def test_a_suite_goes_on_where_it_stopped_and_asks_nothing_twice(tmp_path):
    whole = dfa.suite(Counted(), FEW, OF_FEW, optimizers={"steps": Steps()}, **QUICK)

    def stop(cell):
        if cell.optimizer == "steps":
            raise RuntimeError("enough")

    asked = Counted()
    words = {"optimizers": {"steps": Steps()}, "out": tmp_path, **QUICK}
    with pytest.raises(RuntimeError, match="enough"):
        dfa.suite(asked, FEW, OF_FEW, **words | {"progress": stop})
    with pytest.raises(dfa.StoreError, match="set resume"):
        dfa.suite(asked, FEW, OF_FEW, **words)
    first = asked.number
    went_on = dfa.suite(asked, FEW, OF_FEW, resume=True, **words)
    assert went_on == whole == dfa.SuiteReport.load(tmp_path) == dfa.SuiteReport.load(tmp_path / "suite.json")
    assert (tmp_path / "suite.md").read_text() == whole.table()
    in_vain = Counted()
    dfa.suite(in_vain, FEW, OF_FEW, resume=True, **words)
    # The suite looks at all images, and each of the 6 runs at some of them.
    assert in_vain.number <= 7 * len(FEW) < asked.number - first
    with pytest.raises(dfa.StoreError, match="answers otherwise"):
        dfa.suite(LinearClassifier(SHAPE, seed=7), FEW, OF_FEW, resume=True, **words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epsilons": (4,)}, r"epsilons was \[4, 8\], and is \[4\]"),
        ({"seeds": (2,)}, r"seeds was \[0\], and is \[2\]"),
        ({"max_queries": 9}, "max_queries was 20, and is 9"),
    ],
)
def test_a_suite_that_was_begun_otherwise_is_not_replaced_by_going_on_with_it(tmp_path, settings, words):
    begun = {"epsilons": (4, 8), "seeds": (0,), "max_queries": 20, "progress": False, "out": tmp_path}
    dfa.suite(Counted(), FEW, OF_FEW, **begun)
    before = (tmp_path / "suite.json").read_bytes()
    asked = Counted()
    with pytest.raises(dfa.StoreError, match=f"must be resumed as it was begun, and this differs: {words}"):
        dfa.suite(asked, FEW, OF_FEW, resume=True, **begun | settings)
    assert asked.number == 0
    assert (tmp_path / "suite.json").read_bytes() == before


def test_a_suite_is_not_written_over_a_report_that_lies_there(report, tmp_path):
    report.save(tmp_path)
    for resume, words in ((False, "set resume"), (True, "begun.json must say what the suite there was begun with")):
        with pytest.raises(dfa.StoreError, match=words):
            dfa.suite(Counted(), FEW, OF_FEW, out=tmp_path, resume=resume, **QUICK)


def test_no_report_is_saved_over_a_suite_that_is_going_on(report, tmp_path):
    refused = []

    def disturb(cell):
        for act in (
            lambda: report.save(tmp_path),
            lambda: dfa.suite(Counted(), FEW, OF_FEW, out=tmp_path, resume=True, **QUICK),
        ):
            with pytest.raises(dfa.StoreError, match="must belong to one process at a time") as caught:
                act()
            refused.append(caught)

    found = dfa.suite(Counted(), FEW, OF_FEW, out=tmp_path, **QUICK | {"progress": disturb})
    assert len(refused) == 2 * len(found.cells)
    assert dfa.SuiteReport.load(tmp_path) == found
    report.save(tmp_path)
    assert dfa.SuiteReport.load(tmp_path) == report


def test_a_suite_that_fails_at_once_leaves_nothing(tmp_path):
    def fails(images):
        raise RuntimeError("down")

    with pytest.raises(dfa.OracleError):
        dfa.suite(fails, FEW, OF_FEW, out=tmp_path / "new", **QUICK)
    assert not (tmp_path / "new").exists()


def test_a_model_that_answers_otherwise_in_a_run_is_refused():
    calls = []

    def moody(images):
        calls.append(len(images))
        return np.roll(CLASSIFIER(images), len(calls) > 1, axis=1)

    with pytest.raises(dfa.InvalidInputError, match="answers the same again: image 0 was of class"):
        dfa.suite(moody, FEW, **QUICK)


def test_reports_of_other_images_models_and_settings_are_refused_by_name(report):
    def other(**values):
        return dataclasses.replace(report, **values)

    flipped = (report.probabilities[0] + 0.2, *report.probabilities[1:])
    for name, changed in {
        "versions of the suite": other(suite="dfa-suite 2"),
        "seeds": other(seeds=(2,)),
        "budgets": other(max_queries=31),
        "epsilons": other(epsilons=(8,)),
        "images, and images_digest": other(images_digest="sha256:0"),
        "labels": other(labels=tuple(CLASSES)),
        "model, and 1 of 24 images": other(probabilities=flipped),
    }.items():
        with pytest.raises(dfa.InvalidInputError, match=f"of the same {name}"):
            report.compare(changed)
    last_bits = other(probabilities=tuple(each + 1e-6 for each in report.probabilities), versions={})
    assert [pair.ratio for pair in report.compare(last_bits)] == [1.0] * 9


def test_what_is_no_report_and_no_path_is_refused_in_words(report):
    with pytest.raises(dfa.InvalidInputError, match=r"other must be a report, .* got 3"):
        report.compare(3)
    for act, name in ((dfa.SuiteReport.load, "path"), (report.save, "folder")):
        with pytest.raises(dfa.InvalidInputError, match=f"{name} must be a path"):
            act(3)


def test_optimizers_that_one_report_has_alone_meet_those_of_the_other(report):
    def renamed(name):
        cells = [dataclasses.replace(each, optimizer=each.optimizer.replace("steps", name)) for each in report.cells]
        return dataclasses.replace(report, cells=tuple(cells), optimizers={"dfa": 0, cells[1].optimizer: 0, name: 0})

    pairs = renamed("one").compare(renamed("other"))
    assert [(each.first.optimizer, each.second.optimizer) for each in pairs[2::3]] == [("one", "other")] * 3
    assert len(pairs) == 9


def test_a_suite_warns_once():
    with pytest.warns(dfa.MostSkippedWarning) as warned:
        report = dfa.suite(CLASSIFIER, FEW, (OF_FEW + 1) % 10, **QUICK)
    assert len(warned) == 1
    assert (report.cells[0].attacked, report.wrong) == (0, 6)
    assert "| dfa | 0 | - | - to - |" in report.table()


def test_the_digest_of_the_images_is_of_their_order_and_not_of_batches():
    digests = [
        dfa.suite(CLASSIFIER, images, batch_size=size, **QUICK).images_digest
        for images, size in ((FEW, 4), (FEW, 256), (FEW[::-1], 256))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_two_classes_have_no_fourth():
    report = dfa.suite(brightness, np.full((2, 4, 4, 1), 126, np.uint8), **QUICK)
    assert {each.target for each in report.cells} == {None}
    assert report.note.startswith("No target: the model's answers rank 2 of its classes")
    assert report.note in report.table()


def test_an_optimizer_says_which_objective_it_is_told_of():
    class Paper(Steps):
        objective = "paper"

    report = dfa.suite(CLASSIFIER, FEW, optimizers={"a": Paper(), "b": Steps()}, **QUICK)
    assert [report.optimizers[name]["objective"] for name in ("a", "b")] == ["paper", "odds"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"optimizers": [Steps()]}, "by their names"),
        ({"optimizers": {"dfa": Steps()}}, "name it otherwise"),
        ({"optimizers": {"x": Steps}}, "pass an instance"),
        ({"seeds": (0, 1)}, "odd number"),
        ({"epsilons": (4, 4)}, "different integers"),
        ({"epsilons": (0,)}, "each of epsilons"),
        ({"resume": True}, "pass out="),
    ],
)
def test_wrong_arguments_are_refused_before_the_model_is_asked(words, said):
    asked = Counted()
    with pytest.raises(dfa.InvalidInputError, match=said):
        dfa.suite(asked, FEW, **QUICK | words)
    assert asked.number == 0


def test_what_is_no_report_is_not_read(report, tmp_path):
    document = json.loads(report.save(tmp_path).read_text())
    document["cells"][0]["queries"][0][0] = 31
    for text, said in (
        ("[]", "must be an object"),
        ("{}", "format must be 1"),
        (json.dumps(document | {"cells": [{}]}), "an object with"),
        (json.dumps(document), r"queries must be 0\.\.30"),
        (json.dumps(document | {"labels": []}), "one per image"),
    ):
        (tmp_path / "suite.json").write_text(text)
        with pytest.raises(dfa.StoreError, match=said):
            dfa.SuiteReport.load(tmp_path)
    with pytest.raises(dfa.StoreError, match="cannot be read"):
        dfa.SuiteReport.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda document: document.update(cells=[]),
            "the cell of epsilon 4, target None and optimizer 'dfa' is missing",
        ),
        (lambda document: document["cells"].pop(), "is missing"),
        (lambda document: document["cells"].append(document["cells"][0]), "optimizer 'dfa' is double"),
        (lambda document: document["cells"][0].update(epsilon=5), "the cell of epsilon 5, .* that it has not"),
        (lambda document: document["cells"][-1].update(epsilon=4), "the cell of epsilon 4, .* that it has not"),
        (lambda document: document["cells"][-1].update(target=-1), "a rank from 2 on, or null, got -1"),
        (lambda document: document.update(max_queries=0), "max_queries must be 1 or more, got 0"),
        (lambda document: document.update(batch_size=0), "batch_size must be 1 or more, got 0"),
        (
            lambda document: document.update(epsilons=[4, 4]),
            r"epsilons must be different integers in 1\.\.255, got 4, 4",
        ),
        (lambda document: document.update(epsilons=[0, 4]), "epsilons must be different"),
        (lambda document: document.update(seeds=[-1]), "seeds must be different"),
        (lambda document: document.update(seeds=[1, 2]), "an odd number of seeds"),
        (lambda document: document.update(optimizers={}), "optimizers"),
        (lambda document: document["cells"][0].update(calls=[-1]), "-1 calls"),
        (lambda document: document["cells"][0].update(queries_sent=[0]), "got 0 queries"),
        (lambda document: document["cells"][0].update(queries_sent=[10**9]), "got 1000000000 queries"),
    ],
)
def test_a_report_that_contradicts_itself_is_not_read(report, tmp_path, damage, words):
    document = json.loads(report.save(tmp_path).read_text())
    damage(document)
    (tmp_path / "suite.json").write_text(json.dumps(document))
    with pytest.raises(dfa.StoreError, match=words):
        dfa.SuiteReport.load(tmp_path)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"seeds": (0, 1, 2)}, "seeds is 1 in the first and 0, 1, 2 in the second"),
        ({"epsilons": (4, 6, 8)}, "epsilons is 4, 8 in the first and 4, 6, 8 in the second"),
        ({"shape": (6, 6, 1)}, "shape is 6, 6, 3 in the first and 6, 6, 1 in the second"),
        ({"labels": (*LABELS[:-1].tolist(), None)}, "the label of image 23 is . in the first and None in the second"),
    ],
)
def test_what_two_reports_differ_in_is_told_as_it_is(report, others, words):
    with pytest.raises(dfa.InvalidInputError, match=words):
        report.compare(dataclasses.replace(report, **others))


OPTIMIZER = """
import numpy as np

class Corners:
    def begin(self, task):
        while True:
            yield np.where(task.rng.random((4, *task.original.shape)) < 0.5, task.low, task.high)

class Needy:
    def __init__(self, size):
        pass
"""


def test_the_command_writes_a_table_and_compares_two_of_them(tmp_path, monkeypatch, capsys):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from command_line import dfa_says, go_to_workplace

    folder = go_to_workplace(tmp_path, monkeypatch)
    (folder / "mine.py").write_text(OPTIMIZER)
    words = ("suite", "model.py:classify", "photos", "--epsilons", 6, "--seeds", 1, "--max-queries", 30)
    status, out, err = dfa_says(capsys, *words, "--out", "a", "--optimizer", "mine.py:Corners")
    assert status == 0, err
    assert "| epsilon 6, untargeted | mine.py:Corners | 10 |" in out
    assert "epsilon 6, untargeted, mine.py:Corners: " in err
    assert dfa_says(capsys, *words, "--out", "a")[0] == 4
    status, out, _ = dfa_says(capsys, *words, "--out", "a", "--resume", "--json")
    assert (status, json.loads(out)["suite"]) == (0, "dfa-suite 1")
    status, out, _ = dfa_says(capsys, "suite", "--compare", "a", "a/suite.json", "--json")
    assert (status, [pair["ratio"] for pair in json.loads(out)["pairs"]]) == (0, [1.0] * 4)
    assert "1.00" in dfa_says(capsys, "suite", "--compare", "a", "a")[1]
    np.save("wrong.npy", (np.arange(10) == 0) + 1)
    status, _, err = dfa_says(capsys, *words, "--out", "c", "--labels", "wrong.npy")
    assert (status, "images were attacked" in err) == (5, True), err
    for wrong, said in (
        (("suite", "model.py:classify"), "needs MODEL, IMAGES and --out"),
        (("suite", "x", "--compare", "a", "a"), "runs nothing"),
        ((*words, "--out", "b", "--optimizer", "mine.py:Needy"), "needs no arguments"),
    ):
        status, _, err = dfa_says(capsys, *wrong)
        assert (status, said in err) == (2, True), err
