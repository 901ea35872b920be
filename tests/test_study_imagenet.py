"""The paper's rows on ImageNet: what stands for its networks is what is in their files, and a cut row goes on."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")
MODELS = {"MobileNetV2-224": "ResNet50", "SqueezeNet 1.1": "InceptionV3"}


class _Tiny(torch.nn.Module):
    """16 classes, of which the likeliest changes within few grey levels."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(192, 16)
        torch.nn.init.normal_(self.linear.weight, generator=torch.Generator().manual_seed(0))
        torch.nn.init.zeros_(self.linear.bias)
        self.asked, self.last = 0, None

    def forward(self, x):
        from systems.rows import OutOfTimeError

        self.asked += len(x)
        if self.last is not None and self.asked > self.last:
            raise OutOfTimeError
        return self.linear(x.flatten(1) - 0.5)


def _tiny_subject(name, number):
    from systems.context import Subject

    images = np.random.default_rng(0).integers(70, 187, (number + 2, 8, 8, 3), dtype=np.uint8)
    module = _Tiny().eval()
    labels = module(torch.tensor(images).permute(0, 3, 1, 2) / 255).argmax(1).numpy()
    return Subject.of(name, module, module, images, labels, 10, number)


@pytest.fixture
def context(tmp_path):
    """A context whose two networks are tiny, and the images four."""
    from systems.context import Context

    made = Context(tmp_path, 1, 1, folder=tmp_path, num_imagenet=4)
    for name, which in zip(MODELS, ("mobilenet", "squeezenet"), strict=True):
        made.__dict__[which] = _tiny_subject(name, 4)
    return made


def _row(system, model, table="8"):
    from systems.catalogue import ROWS

    (row,) = (row for row in ROWS if (row.table, row.system, row.model) == (table, system, model))
    return row


@pytest.mark.parametrize("name", MODELS)
def test_the_torch_module_is_the_file(data, name):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from systems.imagenet_models import imagenet_model

    module, oracle = imagenet_model(data, name)
    with np.load(data / "imagenet100_224.npz") as arrays:
        images = arrays["images"][:2]
    wanted = np.asarray(oracle.scores(images))
    x = torch.tensor(images).permute(0, 3, 1, 2) / 255
    for vectors in (x, x.clone().requires_grad_()):
        found = module(vectors)
        assert found.requires_grad == vectors.requires_grad
        assert np.abs(found.detach().softmax(1).numpy() - wanted).max() < 1e-4
    # The slope is that of what is answered without gradients.
    step = 2e-5 * torch.autograd.grad(found[0, 0], vectors)[0].sign()
    slope = torch.autograd.grad(module(vectors)[0, 0], vectors)[0].abs().sum()
    apart = module(x + step)[0, 0] - module(x - step)[0, 0]
    assert float(apart / (4e-5 * slope)) == pytest.approx(1, abs=0.1)


def test_a_file_that_is_not_known_here_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from systems.imagenet_models import OnnxGraph

    tensor = onnx.helper.make_tensor_value_info
    values = [tensor(name, onnx.TensorProto.FLOAT, ["N", 3]) for name in ("x", "z")]
    for operators, message in ((("Softmax", "Relu"), "ends in Relu"), (("Erf", "Softmax"), "the operator Erf")):
        names = ("x", "y", "z")
        nodes = [onnx.helper.make_node(each, [names[i]], [names[i + 1]]) for i, each in enumerate(operators)]
        graph = onnx.helper.make_graph(nodes, "graph", values[:1], values[1:])
        onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
        with pytest.raises(ValueError, match=message):
            OnnxGraph(tmp_path / "model.onnx")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("system", ["FGSM", "SModel+FGSM"])
def test_rows_name_the_model_that_theirs_stands_for(context, model, system):
    row = _row(system, model, "6" if system == "FGSM" else "8")
    result = row.run(context)
    assert row.paper["model"] == MODELS[model]
    assert result["note"].startswith("one step of epsilon")
    assert result["note"].endswith(f", in the place of {MODELS[model]}; 4 of 20 images")
    (other,) = set(MODELS) - {model}
    assert (f"through {other}" in result["note"]) == (system == "SModel+FGSM")


def test_a_cut_row_goes_on_and_gives_the_same_figures(context, tmp_path):
    from systems.measuring import is_unfinished, measure
    from systems.parts import in_parts
    from systems.rows import Row
    from systems.within_epsilon import nes_pgd

    seen, slow = [], [2]

    def attack(context, part):
        seen.append(int(part.labels[0]))
        if len(seen) in slow:
            time.sleep(9)
        return nes_pgd(part, max_queries=400)

    def row(key):
        return Row("8", "X", "Y", in_parts(key, "mobilenet", attack), in_parts=True)

    cut = measure(row("cut"), context, 2)
    assert (cut["images"], cut["reason"], len(seen)) == (1, "", 2)
    assert cut["note"].endswith("1 of 20 images")
    assert is_unfinished(cut, row("cut"), 2, 4)
    rest = measure(row("cut"), context, 60)
    assert seen[1:] == context.mobilenet.labels[[1, 1, 2, 3]].tolist()
    whole = measure(row("whole"), context, 60)
    assert not is_unfinished(whole, row("whole"), 60, 4)
    for name in ("images", "SR", "TSR", "GAP", "queries", "at_any_distance", "note"):
        assert rest[name] == whole[name]
    assert whole["images"] == 4
    # Time that ends before any image does leaves nothing to report, but the row is run again.
    slow.append(len(seen) + 1)
    nothing = measure(row("nothing"), context, 0.2)
    assert nothing["reason"].startswith("stopped after")
    assert is_unfinished(nothing, row("nothing"), 0.2, 4)


def test_tables_go_on_with_a_cut_row_and_begin_again_where_asked(context, tmp_path, monkeypatch):
    import tables
    from systems.context import Context
    from systems.parts import in_parts
    from systems.rows import Row
    from systems.within_epsilon import fgsm

    seen = []

    def attack(context, part):
        seen.append(int(part.labels[0]))
        return fgsm(part)

    def ran(images, *options):
        made = Context(tmp_path, 1, 1)
        made.__dict__["mobilenet"] = context.mobilenet.first(images)
        monkeypatch.setattr(tables, "Context", lambda *_: made)
        arguments = ["--out", str(tmp_path), "--imagenet-images", str(images), *options]
        monkeypatch.setattr(sys, "argv", ["tables.py", *arguments])
        seen.clear()
        tables.main()
        return len(seen)

    row = Row("8", "X", "Y", lambda context: in_parts(row.key, "mobilenet", attack)(context), in_parts=True)
    monkeypatch.setattr(tables, "ROWS", [row])
    assert ran(2) == 2
    assert ran(2) == 0
    assert ran(4) == 2
    assert ran(4, "--again") == 4
    assert ran(4) == 0


def test_rates_of_parts_are_those_of_all_images():
    from systems.parts import joined

    def part(images, sr, tsr, atc, queries):
        anywhere = {"SR": 1.0, "TSR": tsr, "GAP": 1 - tsr}
        gap = (sr - tsr) / sr if sr else np.nan
        figures = {"images": images, "SR": sr, "TSR": tsr, "GAP": gap, "ATC": atc, "queries": queries, "note": "N"}
        return figures | {"at_any_distance": anywhere}

    found = joined([part(3, 2 / 3, 1 / 3, 6.0, 30), part(1, 0.0, 0.0, 8.0, np.nan), part(1, 1.0, 1.0, 1.0, 90)])
    assert (found["images"], found["SR"], found["TSR"], found["GAP"]) == (5, 3 / 5, 2 / 5, 1 / 3)
    assert found["at_any_distance"] == {"SR": 1.0, "TSR": 2 / 5, "GAP": 3 / 5}
    # 12 s of the first two successes, 8 s of a failure, and 1 s.
    assert (found["ATC"], found["queries"], found["note"]) == (7.0, 50, "N; 5 of 20 images")
    assert joined([part(20, 1.0, 1.0, 1.0, None)])["note"] == "N"
    assert joined([part(20, 1.0, 1.0, 1.0, None)])["queries"] is None


def test_a_cut_run_of_the_default_goes_on_with_the_query_it_had(context, tmp_path):
    from systems.rows import is_out_of_time

    context.__dict__["mobilenet"] = _tiny_subject("MobileNetV2-224", 30)
    row, module = _row("DFA, default", "MobileNetV2-224", "7"), context.mobilenet.module
    context.folder = tmp_path / "whole"
    module.asked = 0
    whole = row.run(context)
    needed = module.asked
    context.folder = tmp_path / "cut"
    module.asked, module.last = 0, needed * 3 // 4
    with pytest.raises(KeyboardInterrupt) as caught:
        row.run(context)
    assert is_out_of_time(caught.value)
    module.asked, module.last = 0, None
    rest = row.run(context)
    assert module.asked < needed
    for name in ("images", "SR", "TSR", "queries"):
        assert rest[name] == whole[name]
    assert whole["SR"] == 1


def test_the_papers_setting_towards_a_target_has_both_degrees(context, monkeypatch):
    import dfa

    ran = []
    run = dfa.run

    def short(*args, **rest):
        ran.append(rest["optimizer"])
        return run(*args, **(rest | {"max_queries": 12}))

    monkeypatch.setattr(dfa, "run", short)
    for system in ("DFA, paper's setting", "DFA, paper's setting as printed"):
        assert _row(system, "SqueezeNet 1.1", "7").run(context)["images"] == 4
    assert {each.coordinates for each in ran} == {600}
    assert {each.samples for each in ran} == {10}
    assert [each.objective.name for each in ran] == ["paper-code"] * 4 + ["paper"] * 4


def test_zoo_on_tiles_changes_tiles_and_counts_what_it_asks():
    from systems.zoo import Schedule, zoo_on_tiles

    x = torch.full((2, 3, 8, 8), 0.5)
    asked = []

    def model(vectors):
        asked.append(len(vectors))
        return torch.stack([vectors.flatten(1).sum(1) - 97, torch.zeros(len(vectors))], dim=1)

    y = model(x).argmax(1)
    asked.clear()
    schedule = Schedule(searches=1, constant=10.0, first_success=True, max_queries=900)
    vectors, queries = zoo_on_tiles(model, x, y, tiles=2, schedule=schedule)
    assert y.tolist() == [1, 1]
    assert (model(vectors).argmax(1) == 0).all()
    assert sum(asked) == int(queries.sum()) + 2
    assert torch.equal(zoo_on_tiles(model, x, y, tiles=2, schedule=Schedule(max_queries=0))[0], x)
    change = (vectors - x)[..., 0, 0]
    assert torch.allclose((vectors - x)[..., :2, :2], change[..., None, None].expand(2, 3, 2, 2), atol=1e-6)


def test_an_attack_that_starts_from_the_target_gets_a_start_where_no_picture_is_of_it(context):
    subject = context.mobilenet.first(2)
    logits = subject.module(torch.tensor(subject.pool).permute(0, 3, 1, 2) / 255)
    (missing, *_) = set(range(16)) - set(logits.argmax(1).tolist())
    there = int(logits[2].argmax())
    starts = subject.starts(np.array([missing, there]))
    assert subject.module(starts).argmax(1).tolist() == [missing, there]
    clean, _ = subject.tensors
    assert (starts - clean).abs().amax((1, 2, 3)).min() > 0.2
