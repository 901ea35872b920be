"""The benchmark of full batches: what its figures are made of, and that every column of its tables is measured."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import devices
import dfa
from fullness import cases, turns
from fullness import device as device_module
from fullness.device import SimulatedDevice, Timing
from fullness.models import LinearModel, digits
from oracles import random_images

FIGURES = {kind: {figure for _, figure, _ in columns} for kind, columns in devices._COLUMNS.items()}


# ------------------------------------------------------------------------------------------------------- the device


def test_full_batches_share_what_a_call_takes():
    timing = Timing(per_call=3.0, per_row=0.5)
    assert timing.seconds(4) == 5.0
    assert timing.ideal(4, batch_size=4) == 5.0
    assert timing.ideal(8, batch_size=4) == 10.0
    assert timing.ideal(2, batch_size=4) == 2.5


def test_a_call_ends_when_its_time_is_over_and_leaves_the_processor_to_others(monkeypatch):
    clock = SimpleNamespace(now=100.0, slept=[])

    def sleep(seconds):
        clock.slept.append(seconds)
        clock.now += max(seconds, 1e-5)

    def model(images):
        clock.now += 0.02
        return images[:, 0, 0] / 255

    monkeypatch.setattr(device_module, "time", SimpleNamespace(perf_counter=lambda: clock.now, sleep=sleep))
    device = SimulatedDevice(model, Timing(per_call=0.05, per_row=0.01))
    images = random_images(5, (2, 2, 1))
    np.testing.assert_array_equal(device(images), images[:, 0, 0] / 255)
    # The model's own time is part of the call's.
    assert clock.now == pytest.approx(100.1, abs=2e-5)
    assert clock.now >= 100.1
    assert clock.slept[0] == pytest.approx(0.08, abs=1e-3)
    device(images[:1])
    assert device.due == pytest.approx(0.16)
    assert device.taken == pytest.approx(clock.now - 100)


def test_utilisation_is_of_the_wall_time():
    device = SimpleNamespace(timing=Timing(per_call=1.0, per_row=1.0), due=16.0, taken=20.0)
    figures = cases.device_figures({"queries": 8, "all_rows": 12, "wall": 20.0}, device, batch_size=4)
    # A full batch of 4 takes 5 s.
    assert figures == {
        "utilisation": 0.5,
        "utilisation_of_all": 0.75,
        "at_best": 0.9375,
        "lateness": 1.25,
        "cost": 20.0,
    }


# ------------------------------------------------------------------------------------------------------- the models


def test_a_row_is_answered_alike_in_every_batch():
    images = random_images(64, (28, 28, 1))
    model = LinearModel.drawn(28 * 28, 10)
    alone = np.concatenate([model(image[None]) for image in images])
    for size in (3, 17, 64):
        parts = [model(images[start : start + size]) for start in range(0, 64, size)]
        np.testing.assert_array_equal(np.concatenate(parts), alone)
    # In any order of the pixels, which is how libraries come to different sums.
    backwards = LinearModel(np.zeros((784, 10)), np.zeros(10))
    backwards._weights, backwards._biases = model._weights[::-1], model._biases
    np.testing.assert_array_equal(backwards(images[:, ::-1, ::-1]), alone)


def test_the_model_of_digits_knows_them_moved_or_not(data):
    model, images = digits(data, 4_000)
    with np.load(data / "mnist_test2000.npz") as file:
        labels = file["labels"]
    assert (model(images[:2_000]).argmax(axis=1) == labels).mean() > 0.85
    np.testing.assert_array_equal(images[2_000:, :, 1:], images[:2_000, :, :-1])
    with pytest.raises(ValueError, match="there are 10000 images"):
        digits(data, 10_001)


# -------------------------------------------------------------------------------------------------------- the cases


def test_every_column_of_a_device_is_measured(data):
    figures = cases.on_device(data, number=12, epsilon=64)
    assert figures.keys() >= FIGURES["device"] | {"cost"}
    assert 0 < figures["utilisation"] < figures["utilisation_of_all"] < 1
    assert figures["TSR"] > 0.5


def test_every_column_of_tiny_images_is_measured(data):
    figures = cases.on_tiny_images(data, number=40)
    assert figures.keys() >= FIGURES["tiny"]
    assert figures["cost"] == figures["wall"] / figures["queries"]


def test_every_column_of_a_free_oracle_is_measured(data, monkeypatch):
    monkeypatch.setattr(cases.core, "time_core", lambda *_, clock, **__: SimpleNamespace(step=2.0))
    figures = cases.on_free_oracle(data, shape=(6, 6, 1), batch_size=8)
    assert figures.keys() >= FIGURES["free"]
    assert figures["queries"] == 16 * 400
    assert figures["times_core"] == figures["cost"] / 2
    assert figures["times_core_processors"] == figures["processor_cost"] / 2


@pytest.mark.parametrize(("compare", "library"), [("against_torchattacks", "torchattacks"), ("against_art", "art")])
def test_every_column_of_a_rival_is_measured(data, monkeypatch, compare, library):
    pytest.importorskip("torch")
    pytest.importorskip(library)
    from fullness import squares

    for name, number in {"_NUMBER": 3, "_BUDGET": 12, "_STEPS_OF_ART": 4}.items():
        monkeypatch.setattr(squares, name, number)
    figures = getattr(squares, compare)(data)
    assert figures.keys() >= FIGURES["square"] | {"cost"}
    # Clean predictions and confirmations are charged, too.
    assert figures["rows"] == figures["queries"] + 3 + round(3 * figures["TSR"])
    assert 3 <= figures["rival_rows"] <= 3 * 20
    assert figures["times_rows"] == figures["rival_rows"] / figures["rows"]
    assert figures["times_wall"] == figures["rival_wall"] / figures["wall"]


# -------------------------------------------------------------------------------------------------------- the turns


def test_builds_take_turns_and_each_begins_every_other_one(monkeypatch, tmp_path):
    order = []
    monkeypatch.setattr(turns, "run_one", lambda name, data, folder: order.append(folder) or {"wall": len(order)})
    measured = turns.take_turns("case", tmp_path, repeats=2, beside=tmp_path)
    assert order == [None, tmp_path, tmp_path, None]
    assert measured == [{"now": {"wall": 1}, "beside": {"wall": 2}}, {"beside": {"wall": 3}, "now": {"wall": 4}}]
    assert turns.take_turns("case", tmp_path, repeats=1) == [{"now": {"wall": 5}}]


def test_ratios_are_of_one_turn():
    measured = [{"now": {"wall": a}, "beside": {"wall": b}} for a, b in ((1.0, 3.0), (10.0, 20.0), (2.0, 2.0))]
    assert turns.times(measured, "wall") == 2.0
    assert turns.middle(measured, "wall") == 2.0
    assert turns.middle(measured, "wall", turns.BESIDE) == 3.0


def test_a_run_with_another_package_than_that_of_the_folder_is_refused(tmp_path, capfd):
    with pytest.raises(SystemExit, match="failed with exit status 1"):
        turns.run_one("tiny 5,000", tmp_path, tmp_path)
    assert f"{tmp_path} must hold the package dfa" in capfd.readouterr().err


def test_a_run_tells_its_figures(tmp_path):
    (tmp_path / "dfa").symlink_to(Path(dfa.__file__).parent)
    figures = turns.run_one("tiny 5,000", tmp_path, tmp_path)
    assert figures["images"] == 5_000
    assert figures.keys() >= FIGURES["tiny"]


# ------------------------------------------------------------------------------------------------------- the tables


def test_the_tables_show_what_was_measured(monkeypatch, tmp_path, capsys):
    def measured(name, data, *, repeats, beside):
        assert (repeats, beside) == (2, tmp_path)
        number = float(name.split()[-1].replace(",", "")) if name.startswith("tiny") else 1.0
        now = defaultdict(lambda: 0.25, cost=1e-6 * number, processor_cost=2e-6 * number)
        return [{"now": now, "beside": defaultdict(lambda: 0.75, cost=5e-6 * number)}] * repeats

    monkeypatch.setattr(devices, "take_turns", measured)
    out = tmp_path / "out.json"
    words = ["--only", "tiny", "ART", "--repeats", "2", "--beside", str(tmp_path), "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["devices.py", *words])
    devices.main()
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split("  ")[0]: line.split() for line in lines if line.startswith(("tiny ", "square "))}
    assert rows.keys() >= {"tiny 5,000", "tiny 100,000", "square ART"}
    assert not any(line.startswith(("device ", "free ")) for line in lines)
    # The other's time and processor time, its queries, its calls.
    assert rows["square ART"][-4:] == ["5.00", "3.00", "3.00", "3.00"]
    growths = [line.split() for line in lines[lines.index("") :] if line.startswith("tiny 100,000")]
    assert growths[-1][-2:] == ["20.00", "20.00"]
    document = json.loads(out.read_text())
    assert [each["case"] for each in document["results"]] == [
        *(f"tiny {n}" for n in ("5,000", "20,000", "100,000")),
        "square ART",
    ]
    assert document["results"][0]["turns"][0]["now"]["cost"] == 0.005
