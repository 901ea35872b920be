"""The comparison of queries: dfa's count held against another, the cells, their tables, and a run that is cut."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import dfa
import queries
from comparison.attacks import (
    ATTACKS,
    LOSSES,
    OBJECTIVES,
    Outcome,
    _check_counts,
    dfa_attack,
    promising,
    search_attack,
    sparse_rs,
    square_attack,
    through_dfa,
)
from comparison.cells import Cell, Key, Loaded, load, parameters_of, places_of
from comparison.display import draw, print_tables
from comparison.files import read_cells, write_cell
from comparison.rows import geometric_means, rows_of
from comparison.settings import SETTINGS
from harness.arguments import matching
from harness.inputs import load_images
from harness.promises import Ball, FewPixels
from problems import CLASSIFIER, EPSILON, problem_of
from rivals.counting import Problem, log_margin
from rivals.parsimonious import parsimonious
from rivals.sparse_rs import sparse_rs_pixels
from rivals.square import square


def test_dfa_is_counted_as_it_counts():
    problem = problem_of(budget=300)
    outcome = dfa_attack().run(dfa.as_oracle(CLASSIFIER), problem, 0, 256)
    result = dfa.run(CLASSIFIER, problem.images, epsilon=EPSILON, max_queries=300, progress=False)
    assert outcome.queries == [record.queries if record.verified else None for record in result.records]
    assert outcome.sent == sum(record.queries_sent for record in result.records)


def test_a_count_that_differs_from_dfas_own_is_an_error():
    problem = problem_of(budget=300)
    oracle = dfa.as_oracle(CLASSIFIER)
    result = dfa.run(oracle, problem.images, epsilon=EPSILON, max_queries=300, progress=False)
    profile = result.profile
    seen = profile.rows_sent + profile.clean + profile.verification
    _check_counts(result, problem, oracle, seen, 256)
    with pytest.raises(RuntimeError, match="the images that its oracle saw"):
        _check_counts(result, problem, oracle, seen + 1, 256)
    tighter = Problem(problem.images, problem.goals, False, Ball(EPSILON - 1), 300)
    with pytest.raises(RuntimeError, match="its successes, judged here"):
        _check_counts(result, tighter, oracle, seen, 256)


def cell(attack, seed, hits, setting="lenet1-eps64"):
    return Cell(Key(setting, attack, seed), {"budget": 1_000}, "2026-11-26", Outcome(hits, 0, 2.0, 1.0, 1, 0))


def test_failures_count_as_the_budget_and_the_best_square_is_the_measure():
    cells = [
        cell("square-0.1-margin", 0, [10, 20]),
        cell("square-0.1-margin", 1, [100, 200]),
        cell("square-0.3-margin", 0, [9, None]),
        cell("dfa", 0, [5, None]),
        cell("dfa", 0, [7, 7], setting="resnet20-eps8"),
    ]
    rows = {row.attack: row for row in rows_of(cells, "lenet1-eps64")}
    assert rows["dfa"].mean == (5 + 1_000) / 2
    assert rows["dfa"].success_within(10) == 0.5
    assert rows["dfa"].success_within(1_000) == 0.5
    # The seeds that both have.
    assert rows["dfa"].ratio == pytest.approx(502.5 / 15)
    assert rows["square-0.1-margin"].ratio == 1
    assert rows["square-0.3-margin"].ratio == pytest.approx(504.5 / 15)
    means = geometric_means({"a": list(rows.values()), "b": []})
    assert means["dfa"] == (pytest.approx(33.5), 1)


def test_a_row_is_over_the_seeds_that_were_measured_alike():
    older = [replace(cell("dfa", seed, [5] * 3), date="2026-11-25") for seed in (0, 1, 2)]
    newer = [replace(cell("dfa", seed, [8] * 2), parameters={"budget": 1_000, "images": 2}) for seed in (1, 3)]
    (row,) = rows_of([older[0], older[2], *newer], "lenet1-eps64")
    assert (row.seeds, row.mean, row.queries.shape) == ([1, 3], 8, (2, 2))


def test_what_was_found_later_is_a_failure_within_fewer_queries():
    cells = [cell("dfa", 0, [5, 600, None]), cell("square-0.1-margin", 0, [10, 500, 501])]
    rows = {row.attack: row for row in rows_of(cells, "lenet1-eps64", 500)}
    assert rows["dfa"].queries.tolist() == [[5, 500, 500]]
    assert rows["dfa"].is_success.tolist() == [[True, False, False]]
    assert rows["square-0.1-margin"].is_success.tolist() == [[True, True, False]]
    assert rows["dfa"].ratio == pytest.approx(1005 / 1010)
    (row,) = rows_of(cells[:1], "lenet1-eps64", 5_000)
    assert row.budget == 1_000


def test_images_for_choosing_and_for_reporting_are_apart():
    for setting in SETTINGS.values():
        assert setting.number <= setting.reporting.start
    arguments = argparse.Namespace(reporting=True, skip=0, images=None, budget=None)
    setting, attack = SETTINGS["resnet20-pixels5"], ATTACKS["dfa"]
    told = parameters_of(setting, attack, arguments)
    assert {"skipped": 200, "images": 50, "pixels": 5, "budget": 2_000}.items() <= told.items()
    arguments.images = 20
    assert places_of(setting, arguments) == range(200, 220)
    arguments.reporting = False
    assert places_of(setting, arguments) == range(20)


@pytest.mark.parametrize(
    ("setting", "rivals"),
    [
        ("lenet1-eps64", {"square", "art-square", "signhunter", "parsimonious", "nes", "bandits"}),
        ("lenet1-eps64-targeted", {"square", "signhunter", "parsimonious", "nes", "bandits"}),
        ("lenet1-eps64-labels", {"rays", "hop-skip-jump"}),
        ("lenet1-pixels10", {"sparse-rs-pixels"}),
        ("lenet1-patch6", {"sparse-rs-patch"}),
        ("lenet1-frame2", {"sparse-rs-frame"}),
    ],
)
def test_a_setting_has_the_rivals_that_can_do_it(setting, rivals):
    names = [name for name, attack in ATTACKS.items() if attack.takes(SETTINGS[setting])]
    assert "dfa" in names
    assert {"square" if name.startswith("square-") else name for name in names if not name.startswith("dfa")} == rivals


def test_labels_and_few_pixels_are_part_of_what_is_attacked(data):
    pytest.importorskip("tensorflow")
    arguments = argparse.Namespace(data=data, images=4, skip=0, reporting=False, budget=30)
    loaded = load(SETTINGS["lenet1-eps64-labels"], arguments)
    assert np.asarray(loaded.oracle.scores(loaded.problem.images)).shape == (4,)
    for name, setting in (("dfa", "lenet1-eps64-labels"), ("rays", "lenet1-eps64-labels"), ("dfa", "lenet1-pixels10")):
        oracle, problem = load(SETTINGS[setting], arguments)
        outcome = ATTACKS[name].run(oracle, problem, 0, 64)
        assert len(outcome.queries) == 4
        assert outcome.sent <= 120


def test_the_schedule_of_sparse_rs_ends_with_the_budget():
    told = []

    def make(image, number, rng, *, steps):
        told.append((number, steps))
        return sparse_rs_pixels(image, number, rng, steps=steps)

    problem = replace(problem_of(2, budget=70), promise=FewPixels(3))
    sparse_rs(make, log_margin, promising(FewPixels)).run(dfa.as_oracle(CLASSIFIER), problem, 0, 256)
    assert told == [(3, 70)] * 2


@pytest.fixture
def small_harness(tmp_path, monkeypatch):
    """A harness whose one setting is an easy classifier; returns a way to call it, and the attacks that ran."""
    ran = []

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["queries.py", "--out", str(tmp_path), *arguments])
        queries.main()
        return read_cells(tmp_path, "resnet20-eps8")

    def measure(loaded, key, arguments):
        ran.append((key.attack, key.seed))
        return original(loaded, key, arguments)

    original = queries.measure
    loaded = Loaded(dfa.as_oracle(CLASSIFIER), problem_of(budget=300))
    monkeypatch.setattr(queries, "measure", measure)
    monkeypatch.setattr(queries, "load", lambda setting, arguments: loaded)
    monkeypatch.setattr(queries, "draw", lambda tables, folder: None)
    return run, ran


def test_a_cell_is_measured_once_and_again_when_its_parameters_change(small_harness, monkeypatch):
    run, ran = small_harness
    arguments = ["--only", "resnet20-eps8", "--attacks", "square-0.1-*", "dfa", "--seeds", "0"]
    first = run(*arguments)
    assert [entry[0] for entry in ran] == ["dfa", *(f"square-0.1-{loss}" for loss in LOSSES)]
    assert run(*arguments) == first
    assert len(ran) == 4
    assert len(run(*arguments[:-1], "1")) == 8
    assert len(ran) == 8
    run("--summarise")
    run("--summarise", "--within", "100")
    assert len(ran) == 8
    run(*arguments, "--redo")
    assert len(ran) == 12
    another = replace(ATTACKS["dfa"], configuration=lambda setting: "another")
    monkeypatch.setitem(ATTACKS, "dfa", another)
    run(*arguments)
    assert len(ran) == 13


@pytest.mark.parametrize("others", [["--images", "5"], ["--skip", "2"], ["--budget", "300"], ["--reporting"]])
def test_one_table_is_of_the_same_images_and_budget(small_harness, others):
    run, ran = small_harness
    arguments = ["--only", "resnet20-eps8", "--attacks", "dfa", "--seeds", "0"]
    held = run(*arguments)
    message = r"cells of resnet20-eps8 in .* must be of the same images and budget.*--out, or remove resnet20-eps8\.csv"
    for seed in "01":
        with pytest.raises(SystemExit, match=message):
            run(*arguments[:-1], seed, *others)
    assert run(*arguments) == held
    assert len(ran) == 1


def test_cells_of_different_images_are_not_summarised_together(small_harness, tmp_path):
    run, _ = small_harness
    cells = [cell(name, 0, [5], setting="resnet20-eps8") for name in ("dfa", "nes")]
    asked = {"skipped": 0, "images": 1, "budget": 1_000}
    for each, skipped in zip(cells, (0, 200), strict=True):
        write_cell(tmp_path, argparse.Namespace(), replace(each, parameters=asked | {"skipped": skipped}))
    with pytest.raises(SystemExit, match=r"got 1 images after 0 skipped, 1,000 queries each; 1 images after 200"):
        run("--summarise")


def test_a_table_names_its_images_and_ends_with_success_at_the_budget(capsys):
    measured = replace(cell("dfa", 0, [5, 600]), parameters={"skipped": 200, "images": 2, "budget": 700})
    print_tables({"lenet1-eps64": rows_of([measured], "lenet1-eps64")})
    title, head, row = capsys.readouterr().out.splitlines()[:3]
    assert title == "lenet1-eps64: 2 images after 200 skipped, 700 queries each"
    assert head.split()[:8] == ["lenet1-eps64", "<=", "10", "<=", "100", "<=", "700", "mean"]
    assert row.split()[1:7] == ["50.0", "%", "50.0", "%", "100.0", "%"]
    print_tables({"lenet1-eps64": rows_of([measured], "lenet1-eps64", 300)})
    title, head, row = capsys.readouterr().out.splitlines()[:3]
    assert title.endswith("700 queries each, of which the first 300 count")
    assert row.split()[5:7] == ["50.0", "%"]


def test_images_for_reporting_go_to_a_folder_of_their_own(small_harness, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for others, folder in (
        (["--reporting"], "queries-reporting"),
        ([], "queries"),
        (["--reporting", "--out", "runs/benchmarks/mine"], "mine"),
    ):
        arguments = ["--only", "resnet20-eps8", "--attacks", "dfa", "--seeds", "0", *others]
        monkeypatch.setattr(sys, "argv", ["queries.py", *arguments])
        queries.main()
        (held,) = read_cells(tmp_path / "runs" / "benchmarks" / folder, "resnet20-eps8").values()
        assert held.parameters["skipped"] == (200 if "--reporting" in others else 0)


def test_attacks_that_run_in_none_of_the_settings_are_told(small_harness):
    run, ran = small_harness
    with pytest.raises(
        SystemExit, match=r"lenet1-pixels10 must be attacked by one of dfa, .*; rays does not run there"
    ):
        run("--only", "lenet1-pixels10", "--attacks", "rays")
    assert not ran


def test_a_run_that_is_cut_goes_on_after_its_last_cell(small_harness, monkeypatch, tmp_path):
    run, ran = small_harness
    measure = queries.measure
    arguments = ["--only", "resnet20-eps8", "--attacks", "square-0.1-*", "--seeds", "0"]

    def interrupted(*arguments):
        if len(ran) == 2:
            raise KeyboardInterrupt
        return measure(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(queries, "measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(*arguments)
    held = read_cells(tmp_path, "resnet20-eps8")
    assert [(key.attack, key.seed) for key in held] == ran
    cells = run(*arguments)
    assert len(ran) == len(set(ran)) == len(cells) == 3
    assert {key: cells[key] for key in held} == held


def test_a_cell_is_recognised_by_another_process():
    # A function's repr holds its address.
    setting = SETTINGS["lenet1-eps64"]
    assert [name for name, attack in ATTACKS.items() if " at 0x" in attack.configuration(setting)] == []
    assert "window_share" in ATTACKS["dfa"].configuration(setting)


def test_an_unknown_name_is_refused():
    with pytest.raises(SystemExit, match=r"'sqare' matches none of: .*square-0.05-margin"):
        matching(["sqare"], ATTACKS)


def test_a_folder_without_results_is_told(small_harness):
    run, _ = small_harness
    with pytest.raises(SystemExit, match="holds no results yet"):
        run("--summarise")


def test_the_results_go_to_a_folder(small_harness, tmp_path, capsys):
    run, ran = small_harness
    for path in (tmp_path / "queries.json", Path(__file__)):
        with pytest.raises(SystemExit):
            run("--only", "resnet20-eps8", "--attacks", "dfa", "--seeds", "0", "--out", str(path))
        assert f"must name a folder, got {path}" in capsys.readouterr().err
    assert not ran


@pytest.mark.parametrize(("option", "number", "least"), [("--images", 0, 1), ("--budget", 0, 1), ("--skip", -1, 0)])
def test_a_number_that_is_too_small_is_refused(small_harness, capsys, option, number, least):
    run, _ = small_harness
    with pytest.raises(SystemExit):
        run(f"{option}={number}")
    assert f"must be {least} or more, got {number}" in capsys.readouterr().err


def test_pictures_show_every_setting_that_was_measured(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    cells = [cell("dfa", 0, [5, None]), cell("square-0.1-margin", 0, [None, None])]
    tables = {setting: rows_of(cells, setting) for setting in SETTINGS}
    draw(tables, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lenet1-eps64.png"]


def test_the_harness_loads_correctly_classified_images_and_the_targets_that_dfa_takes(data):
    pytest.importorskip("tensorflow")
    arguments = argparse.Namespace(data=data, images=300, skip=0, reporting=False, budget=100)
    setting = SETTINGS["lenet1-eps64-targeted"]
    oracle, problem = load(setting, arguments)
    images, labels = load_images(data, setting.images)
    result = dfa.run(oracle, images[:330], targets=dfa.rank(4), epsilon=64, max_queries=2, progress=False)
    right = [record for record in result.records if record.class_before == labels[record.index]][:300]
    assert right[-1].index > 299
    np.testing.assert_array_equal(problem.images, images[[record.index for record in right]])
    assert problem.goals.tolist() == [record.target for record in right]


@pytest.mark.parametrize("name", ["lenet1-eps64", "lenet1-eps64-targeted"])
def test_images_that_the_default_was_chosen_on_can_be_left_out(data, name):
    pytest.importorskip("tensorflow")
    setting = SETTINGS[name]
    everything = load(setting, argparse.Namespace(data=data, images=30, skip=0, reporting=False, budget=100)).problem
    rest = load(setting, argparse.Namespace(data=data, images=20, skip=10, reporting=False, budget=100)).problem
    np.testing.assert_array_equal(rest.images, everything.images[10:])
    assert rest.goals.tolist() == everything.goals[10:].tolist()
    with pytest.raises(SystemExit, match=r"classifies no more than 2000 images correctly; --skip fewer"):
        load(setting, argparse.Namespace(data=data, images=1, skip=2_000, reporting=False, budget=100))


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_square_through_dfa_is_square_by_the_counter(name, rank):
    problem = problem_of(12, rank=rank, budget=60)
    make = partial(square, share=0.3)
    through, by_the_counter = square_attack(0.3, name), search_attack(make, LOSSES[name])
    setting = SETTINGS["lenet1-eps64"]
    assert through.configuration(setting) == by_the_counter.configuration(setting)
    for seed in (0, 1):
        outcomes = [each.run(dfa.as_oracle(CLASSIFIER), problem, seed, 16) for each in (through, by_the_counter)]
        assert outcomes[0].queries == outcomes[1].queries
        assert outcomes[0].sent == outcomes[1].sent


def test_so_is_a_rival_that_asks_many_at_a_time():
    problem = problem_of(6, budget=150)
    through = through_dfa(parsimonious, dfa.objectives.LOG, log_margin)
    outcomes = [
        each.run(dfa.as_oracle(CLASSIFIER), problem, 0, 16)
        for each in (through, search_attack(parsimonious, log_margin))
    ]
    assert outcomes[0][:2] == outcomes[1][:2]
    assert len(set(outcomes[0].queries)) > 3
