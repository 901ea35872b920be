"""Models of timm, torchvision, transformers and RobustBench's kind, of the real packages with small random weights."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from dfa.errors import InvalidInputError
from oracles import random_images

torch = pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture(scope="module")
def timm(torchvision):
    # It imports torchvision.
    return pytest.importorskip("timm", reason="timm is not installed")


@pytest.fixture(scope="module")
def transformers(torchvision):
    return pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.fixture(scope="module")
def timm_model(timm):
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=7).eval()


def test_a_timm_model_is_normalised_by_its_data_config(timm, timm_model):
    oracle = dfa.from_timm(timm_model)
    config = timm.data.resolve_model_data_config(timm_model)
    images = random_images(3, (*config["input_size"][1:], 3))
    mean, std = (torch.tensor(config[name]).reshape(3, 1, 1) for name in ("mean", "std"))
    assert not torch.equal(std, torch.ones(3, 1, 1))
    with torch.inference_mode():
        expected = timm_model((torch.tensor(images).permute(0, 3, 1, 2) / 255 - mean) / std)
    assert oracle.scores(images) == pytest.approx(expected.numpy(), abs=1e-4)
    assert oracle.describe()["name"] == "test_resnet"


def test_a_timm_model_takes_the_sizes_that_it_takes(timm, timm_model):
    assert dfa.from_timm(timm_model).scores(random_images(2, (32, 48, 3))).shape == (2, 7)
    fixed, free = (timm.create_model("test_vit", dynamic_img_size=free).eval() for free in (False, True))
    assert fixed.pretrained_cfg["fixed_input_size"] is free.pretrained_cfg["fixed_input_size"] is True
    assert dfa.from_timm(free).scores(random_images(2, (32, 48, 3))).shape == (2, 1000)
    with pytest.raises(InvalidInputError, match=r"Input height \(32\) doesn't match model \(160\).*resize the images"):
        dfa.run(dfa.from_timm(fixed), random_images(2, (32, 32, 3)), progress=False)


def test_a_compiled_timm_model_has_the_config_of_what_is_compiled(timm_model):
    compiled = dfa.from_timm(torch.compile(timm_model, backend="eager"))
    plain = dfa.from_timm(timm_model)
    images = random_images(2, (64, 64, 3))
    assert compiled.scores(images) == pytest.approx(plain.scores(images), abs=1e-5)
    assert compiled.describe() == plain.describe()


def test_a_timm_model_for_grey_images_is_normalised_by_the_means(timm):
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=7, in_chans=1).eval()
    images = random_images(2, (64, 64, 1))
    config = timm.data.resolve_model_data_config(model)
    mean, std = (float(np.mean(config[name])) for name in ("mean", "std"))
    with torch.inference_mode():
        expected = model((torch.tensor(images).permute(0, 3, 1, 2) / 255 - mean) / std)
    assert dfa.from_timm(model).scores(images) == pytest.approx(expected.numpy(), abs=1e-4)


def test_a_run_on_a_timm_model(timm_model):
    oracle = dfa.from_timm(timm_model, static_batch=2)
    result = dfa.run(oracle, random_images(3, (160, 160, 3)), epsilon=10, max_queries=20, progress=False)
    assert result.summary().attacked == 3
    assert oracle.describe()["static_batch"] == 2


def test_what_is_no_timm_model_is_refused():
    with pytest.raises(InvalidInputError, match=r"from_timm needs a model of timm.create_model"):
        dfa.from_timm(torch.nn.Flatten().eval())


def test_a_torchvision_model_stands_behind_the_transforms_of_its_weights(torchvision):
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    torch.manual_seed(0)
    model = torchvision.models.squeezenet1_1().eval()
    oracle = dfa.from_torchvision(model, weights)
    images = random_images(3, (40, 50, 3))
    with torch.inference_mode():
        expected = model(weights.transforms()(torch.tensor(images).permute(0, 3, 1, 2)))
    assert oracle.scores(images) == pytest.approx(expected.numpy(), abs=1e-4)
    told = oracle.describe()
    assert "crop_size=[224]" in told["transform"]
    assert "SqueezeNet1_1_Weights" in told["name"]


def test_class_names_of_the_weights_reach_targets_and_records(torchvision):
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    model = torchvision.models.squeezenet1_1().eval()
    oracle = dfa.from_torchvision(model, weights)
    assert oracle.class_names[:2] == ("tench", "goldfish")
    images = random_images(1, (64, 64, 3))
    result = dfa.run(oracle, images, targets=["goldfish"], max_queries=10, progress=False)
    assert result.records[0].target == 1
    assert dfa.run(oracle, images, class_names=[str(n) for n in range(1000)], max_queries=10, progress=False)
    pipeline = dfa.Pipeline([dfa.pipelines.BitDepth(4)], oracle)
    assert pipeline.class_names == dfa.top_1(oracle, num_classes=1000).class_names == oracle.class_names


@pytest.mark.parametrize("build", ["squeezenet1_1", "mobilenet_v3_small"])
def test_a_head_of_another_number_of_classes_has_no_names(torchvision, build):
    weights = torchvision.models.get_model_weights(build).DEFAULT
    oracle = dfa.from_torchvision(getattr(torchvision.models, build)(num_classes=4).eval(), weights)
    assert oracle.class_names is None
    assert dfa.run(oracle, random_images(1, (64, 64, 3)), max_queries=5, progress=False).summary().attacked == 1
    assert len(dfa.from_torchvision(getattr(torchvision.models, build)().eval(), weights).class_names) == 1000


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_torchvision_model_of_another_precision_is_given_its_own_numbers(torchvision, dtype):
    model = torchvision.models.squeezenet1_1(num_classes=4).to(dtype).eval()
    oracle = dfa.from_torchvision(model, torchvision.models.SqueezeNet1_1_Weights.DEFAULT)
    assert oracle.scores(random_images(2, (64, 64, 3))).shape == (2, 4)


def test_weights_of_ones_own_are_told_without_addresses():
    class Weights:
        def transforms(self):
            return abs

    assert "0x" not in dfa.from_torchvision(torch.nn.Flatten().eval(), Weights()).name


def test_a_compose_of_functions_is_told_without_addresses(torchvision):
    transform = torchvision.transforms.Compose([lambda batch: batch / 255])
    told = dfa.as_oracle(torch.nn.Flatten().eval(), transform=transform).describe()["transform"]
    assert told.startswith("Compose( <function ")
    assert "0x" not in told


def test_what_are_no_weights_is_refused(torchvision):
    with pytest.raises(InvalidInputError, match="needs the weights that the model was made with"):
        dfa.from_torchvision(torchvision.models.squeezenet1_1().eval(), "DEFAULT")


def vit(transformers, **settings):
    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.ViTConfig(image_size=32, patch_size=8, **(small | settings))
    return transformers.ViTForImageClassification(config).eval()


def test_a_model_of_transformers_stands_behind_its_processor(transformers):
    model = vit(transformers, id2label={0: "cat", 1: "dog", 2: "fox"})
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    oracle = dfa.from_transformers(model, processor)
    images = random_images(5, (40, 48, 3))
    with torch.inference_mode():
        given = processor(list(images), return_tensors="pt", input_data_format="channels_last")
        expected = model(**given).logits.numpy()
    assert oracle.scores(images) == pytest.approx(expected, abs=1e-4)
    assert oracle.class_names == ("cat", "dog", "fox")
    assert "ViTImageProcessor" in oracle.describe()["transform"]
    assert dfa.run(oracle, images, epsilon=20, max_queries=20, progress=False).summary().attacked == 5


def test_a_model_of_transformers_with_another_head_has_no_names(transformers):
    model = vit(transformers, id2label={0: "cat", 1: "dog", 2: "fox"})
    model.classifier = torch.nn.Linear(32, 2).eval()
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    assert dfa.from_transformers(model, processor).class_names is None


def test_a_processor_that_works_in_pil_does_as_well(transformers):
    processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    oracle = dfa.from_transformers(vit(transformers, num_labels=4), processor)
    images = random_images(3, (40, 48, 3))
    given = processor(list(images), return_tensors="pt", input_data_format="channels_last")
    with torch.inference_mode():
        expected = vit(transformers, num_labels=4)(**given).logits.numpy()
    assert oracle.scores(images) == pytest.approx(expected, abs=1e-4)
    assert oracle.class_names is None


def test_what_is_no_processor_is_refused(transformers):
    with pytest.raises(InvalidInputError, match="needs the model's image processor"):
        dfa.from_transformers(vit(transformers), abs)


def test_a_model_as_robustbench_has_them_needs_no_settings():
    """Takes images in 0..1, normalises them itself, and gives logits."""

    class Normalising(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.full((3, 1, 1), 0.5))
            self.inner = torch.nn.Linear(3 * 8 * 8, 10)

        def forward(self, batch):
            assert 0 <= batch.min() <= batch.max() <= 1
            return self.inner((batch - self.mean).flatten(1))

    result = dfa.run(Normalising().eval(), random_images(6, (8, 8, 3)), epsilon=40, max_queries=60, progress=False)
    assert result.summary().attacked == 6
    assert np.isfinite(result.summary().SR)
