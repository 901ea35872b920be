"""The paper's tables: attacks written for them find what can be found, and rows are held to those that were printed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def linear():
    """A linear model, vectors inside the box that it is sure of by some, and their classes."""
    weights = torch.randn(3, 12, generator=torch.Generator().manual_seed(0))
    x = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(1)) * 0.4 + 0.3

    def model(vectors):
        return vectors.flatten(1) @ weights.T

    return model, weights, x, model(x).argmax(1)


def _nearest(linear, order):
    """Return the distance of each vector to the nearest other class of a linear model, in the norm dual to `order`."""
    model, weights, x, y = linear
    logits = model(x)
    gaps = logits.gather(1, y[:, None]) - logits
    norms = torch.linalg.vector_norm(weights[y][:, None] - weights[None], ord=order, dim=2)
    return torch.where(norms > 0, gaps / norms, torch.inf).amin(1)


@pytest.mark.parametrize("targeted", [False, True])
def test_zoo_ends_near_the_nearest_adversarial_vector(linear, targeted):
    from systems.zoo import Schedule, zoo

    model, weights, x, y = linear
    goals = y if not targeted else model(x).argsort(dim=1)[:, 1]
    schedule = Schedule(searches=6, iterations=200, constant=1.0)
    vectors, queries = zoo(model, x, goals, targeted=targeted, schedule=schedule, coordinates=6)
    assert ((model(vectors).argmax(1) == goals) == targeted).all()
    gaps = (model(x).gather(1, y[:, None]) - model(x)).gather(1, goals[:, None])[:, 0]
    wanted = gaps / (weights[y] - weights[goals]).norm(dim=1) if targeted else _nearest(linear, 2)
    distance = (vectors - x).flatten(1).norm(dim=1)
    assert (distance > 0.999 * wanted).all()
    assert (distance < 1.1 * wanted).all()
    assert (queries <= 6 * 200 * 13).all()


def test_zoo_asks_no_more_than_it_may_and_counts_what_it_asks(linear):
    from systems.zoo import Schedule, zoo

    model, _, x, y = linear
    asked = []

    def counted(vectors):
        asked.append(len(vectors))
        return model(vectors)

    _, queries = zoo(counted, x, y, schedule=Schedule(max_queries=100), coordinates=6)
    assert queries.tolist() == [91] * len(x)
    assert sum(asked) == 91 * len(x)
    asked.clear()
    vectors, queries = zoo(counted, x, y, schedule=Schedule(constant=10.0, first_success=True), coordinates=6)
    assert sum(asked) == int(queries.sum())
    assert (model(vectors).argmax(1) != y).all()
    # Content with the first one, it does not look for a nearer one.
    assert ((vectors - x).flatten(1).norm(dim=1) > _nearest(linear, 2)).all()
    assert queries.max() < 13 * 100


def test_what_is_asked_and_found_stays_in_the_box(linear):
    from systems.carlini_linf import carlini_wagner_linf
    from systems.zoo import Schedule, zoo

    model, _, x, _ = linear
    corners = (x > 0.5).float()
    y = model(corners).argmax(1)
    schedule = Schedule(searches=2, iterations=40, constant=10.0)
    found = zoo(model, corners, y, schedule=schedule, coordinates=6, rate=0.2)[0]
    for vectors in (found, carlini_wagner_linf(model, corners, y, steps=20, constant=0.1, rate=0.2)):
        assert (model(vectors).argmax(1) != y).any()
        assert vectors.min() == 0
        assert vectors.max() == 1


def test_cw_linf_ends_near_the_nearest_adversarial_vector(linear):
    from systems.carlini_linf import carlini_wagner_linf

    model, _, x, y = linear
    vectors = carlini_wagner_linf(model, x, y, steps=50, constant=0.1)
    assert (model(vectors).argmax(1) != y).all()
    distance, wanted = (vectors - x).abs().amax((1, 2, 3)), _nearest(linear, 1)
    assert (distance > 0.999 * wanted).all()
    # tau falls by a tenth at a time.
    assert (distance < 1.2 * wanted).all()
    goals = model(x).argsort(dim=1)[:, 0]
    vectors = carlini_wagner_linf(model, x, goals, targeted=True, steps=50, constant=0.1)
    assert (model(vectors).argmax(1) == goals).all()
    # Where no constant succeeds, the clean vector stays.
    assert torch.equal(carlini_wagner_linf(lambda v: model(v) * 0 + model(x).mean(), x, y, steps=1), x)


@pytest.mark.parametrize("name", ["zoo", "linf"])
def test_what_is_found_for_an_image_does_not_depend_on_the_others(linear, name):
    from systems.carlini_linf import carlini_wagner_linf
    from systems.zoo import Schedule, zoo

    model, _, x, y = linear

    def attack(rows):
        if name == "zoo":
            return zoo(model, x[rows], y[rows], schedule=Schedule(searches=3, iterations=30), coordinates=6)[0]
        return carlini_wagner_linf(model, x[rows], y[rows], steps=20, constant=0.1)

    together = attack([0, 1, 2, 3])
    assert torch.allclose(attack([2, 0]), together[[2, 0]], atol=1e-5)
    assert torch.allclose(attack([3]), together[[3]], atol=1e-5)
    assert not torch.equal(together[2], x[2])


class _Sure(torch.nn.Module):
    """A model so sure of the first class that a cross-entropy in float32 is 0 all around."""

    def forward(self, x):
        return torch.stack([30 + x.flatten(1).mean(1), 30 - 40 * (x.flatten(1).mean(1) - 0.3)], dim=1)


def test_black_boxes_move_where_a_model_is_sure_of_its_class():
    from systems import attacks

    model, x, y = _Sure(), torch.full((2, 1, 8, 8), 0.9), torch.zeros(2, dtype=torch.int64)
    assert not torch.nn.functional.cross_entropy(model(x), y)
    for attack, settings in ((attacks.nes_pgd, {}), (attacks.bandits, {"tiles": 4})):
        state = attack(model, x, y, epsilon=0.8, max_queries=5_000, **settings)
        assert state.done.all()


def test_lenet1_is_a_convolution_a_pooling_and_so_on():
    from systems.torch_models import LeNet1

    rng = np.random.default_rng(0)
    shapes = [(5, 5, 1, 4), (4,), (5, 5, 4, 12), (12,), (588, 10), (10,)]
    module = LeNet1([rng.normal(size=shape).astype(np.float32) for shape in shapes])
    x = torch.tensor(rng.random((3, 1, 28, 28)), dtype=torch.float32)
    wanted = x
    for layer in (module.conv1, module.conv2):
        wanted = torch.max_pool2d(torch.relu(layer(wanted)), 2)
    wanted = module.dense(wanted.flatten(1))
    assert torch.allclose(module(x), wanted, rtol=1e-4, atol=1e-3)


def _row(system, images, sr, tsr, **rest):
    gap = (sr - tsr) / sr if sr else np.nan
    told = {"table": "8", "system": system, "model": "A", "reason": "", "note": "", "remark": "", "paper": {}}
    figures = {"images": images, "SR": sr, "TSR": tsr, "GAP": gap, "ATC": 1.0, "queries": None}
    return told | figures | {"at_any_distance": {"SR": sr, "TSR": sr, "GAP": 0.0}} | rest


def test_printed_rows_are_read_again_and_held_against_fresh_ones():
    from systems.published import disagreements, read_printed
    from tables import markdown

    rows = [
        _row("X", 20, 1.0, 0.4),
        _row("Y", 100, 0.29, 0.0, table="4"),
        _row("Z", 50, 0.0, 0.0, table="repair", repair={s: _REPAIRED for s in ("default", "coordinates")}),
        _row("W", 0, 0.0, 0.0, reason="no"),
    ]
    printed = read_printed(markdown(rows))
    assert printed == {
        ("8", "X", "A"): {"images": 20, "SR": 1.0, "TSR": 0.4},
        ("4", "Y", "A"): {"images": 100, "SR": 0.29, "TSR": 0.0},
        ("repair", "Z", "A"): {"images": 50, "SR": 0.0, "TSR": 0.0},
    }
    assert list(disagreements(rows, printed)) == []
    # 8 of 20 are 22 to 61 %, so that 55 of 100 agree, and 2 of 50 do not.
    assert list(disagreements([_row("X", 100, 1.0, 0.55)], printed)) == []
    found = list(disagreements([_row("X", 50, 1.0, 0.04), _row("Y", 100, 0.6, 0.0, table="4")], printed))
    assert [each.partition(":")[0] for each in found] == ["Table 8, X (A)", "Table 8, X (A)", "Table 4, Y (A)"]
    assert found[0].endswith("TSR was 40.0 % (22 to 61) of 20, and is 4.0 % (1 to 13) of 50")
    # A rate of few images leaves room for one of many, and a row that was not printed says nothing.
    assert list(disagreements([_row("X", 4, 1.0, 0.25), _row("V", 9, 0.0, 0.0)], printed)) == []


_REPAIRED = {"closed": 1.0, "repaired": 1, "failed": 0, "queries_mean": 1.0, "queries_median": 1.0}


def test_both_readings_are_printed_with_intervals():
    from tables import markdown

    lines = list(markdown([_row("X", 50, 0.5, 0.25)]))
    header, row = (next(line for line in lines if line.startswith(start)) for start in ("| system", "| X"))
    assert header.index("GAP") < header.index("at any distance: SR") < header.index("ATC")
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[3:10] == [
        "50",
        "50.0 % (37 to 63)",
        "24.0 % (14 to 37)",
        "52.0 % (33 to 70)",
        "50.0 % (37 to 63)",
        "50.0 % (37 to 63)",
        "0.0 % (0 to 13)",
    ]


def test_a_check_ends_with_status_1_where_a_rate_is_another(tmp_path, capsys):
    from tables import _compared, markdown

    path = tmp_path / "TABLES.md"
    path.write_text("\n".join(markdown([_row("X", 100, 0.9, 0.9)])), encoding="utf-8")
    assert _compared([_row("X", 50, 0.88, 0.86)], path) == 0
    assert _compared([_row("X", 50, 0.5, 0.5)], path) == 1
    assert "SR was 90.0 %" in capsys.readouterr().out


def test_the_printed_tables_are_of_the_kept_rows(monkeypatch, capsys):
    import tables

    folder = BENCHMARKS / "results" / "tables"
    monkeypatch.setattr(sys, "argv", ["tables.py", "--print", "--out", str(folder)])
    tables.main()
    assert capsys.readouterr().out == (BENCHMARKS / "TABLES.md").read_text(encoding="utf-8")
    for path in folder.iterdir():
        assert path.stem in {row.key for row in tables.ROWS}


def test_figure_2_has_every_tool_that_has_a_gap(tmp_path):
    pytest.importorskip("matplotlib")
    from figure_2 import draw, gaps

    printed = {
        ("4", "C&W L2", "LeNet-1"): {"images": 20, "SR": 1.0, "TSR": 0.2},
        ("4", "UAP", "LeNet-1"): {"images": 20, "SR": 0.0, "TSR": 0.0},
        ("8", "Square", "LeNet-1"): {"images": 20, "SR": 1.0, "TSR": 0.2},
        ("4", "DFA, default", "LeNet-1"): {"images": 20, "SR": 1.0, "TSR": 1.0},
    }
    found = gaps(printed)
    assert found["C&W L2"]["the paper's"] == pytest.approx((90, 90, 90))
    assert found["C&W L2"]["LeNet-1"] == pytest.approx((80, 58.4, 91.9), abs=0.1)
    # Nothing was found, there is no row of Table 4, or it is dfa, which has none by construction.
    assert not {"UAP", "Square", "DFA, default"} & set(found)
    assert list(found).index("FGSM") < list(found).index("C&W L2") < list(found).index("SafeCV")
    draw(found, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
