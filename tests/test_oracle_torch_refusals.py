"""What is refused of PyTorch modules and of what is said of them, and the cures that are told."""

from __future__ import annotations

import pytest

import dfa
from dfa.errors import InvalidInputError
from dfa.oracle import as_oracle
from oracles import random_images

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402 -- once it is known to be there

from torch_networks import MEAN, STD, small_network  # noqa: E402

SHAPE = (12, 12, 3)
IMAGES = random_images(20, SHAPE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"returns": "label"}, "one score per class"),
        ({"mean": 0.5}, "mean and std go together"),
        ({"mean": "a", "std": 1}, "one finite number, or one per channel"),
        ({"mean": [[0.5, 0.5], [0.5, 0.5]], "std": 1}, "one finite number, or one per channel"),
        ({"mean": 0.5, "std": 0}, "std must be above 0"),
        ({"mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)}, "look like grey levels.*divide both by 255"),
        ({"layout": "CHW"}, "must be 'NCHW' or 'NHWC'"),
        ({"transform": 3}, "transform must be a function"),
        ({"transform": abs, "mean": 0, "std": 1}, "comes instead of mean and std"),
        ({"autocast": "float32"}, "autocast must be None, 'bfloat16' or 'float16'"),
        ({"compile": 3}, "compile must be True, False, a mode"),
        ({"compile": True, "static_batch": False}, "compile needs static_batch"),
        ({"static_batch": 0}, "static_batch must be True, False"),
        ({"compile": "nonsense"}, "torch refuses 'nonsense'"),
        ({"compile": {"nonsense": 1}}, "torch refuses {'nonsense': 1}"),
        ({"device": "gpu"}, "device must be one of torch's"),
        ({"device": "meta"}, "lies on cpu, and device='meta'"),
        ({"preprocess": abs}, "takes no preprocess.*mean= and std=, or transform="),
        ({"num_classes": 5}, "takes no num_classes.*dfa.label_only.module.* labels goes in as a function"),
    ],
)
def test_arguments_are_checked(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        as_oracle(small_network(), **settings)


def test_settings_of_a_module_are_refused_for_a_function():
    with pytest.raises(InvalidInputError, match=r"a function takes no mean, got \(0.5,\)"):
        as_oracle(lambda images: images, mean=(0.5,), std=(0.5,))


def test_mean_and_std_must_be_one_per_channel():
    with pytest.raises(InvalidInputError, match="one per channel, 1 of these images"):
        as_oracle(small_network(channels=1), mean=MEAN, std=STD).prepare((12, 12, 1), 8)


def test_what_a_module_does_not_take_is_told_before_the_first_query():
    with pytest.raises(
        InvalidInputError, match=r"batches of shape \(n, 3, 12, 12\), NCHW, and failed: .*layout='NHWC'"
    ):
        dfa.run(small_network(channels=1), IMAGES, progress=False)


class NeedsGradients(nn.Module):
    def forward(self, batch):
        with torch.enable_grad():
            noise = torch.zeros_like(batch, requires_grad=True)
            (batch + noise).sum().backward()
        return batch.flatten(1)[:, :2]


class TakesTwo(nn.Module):
    def forward(self, batch, other):
        return (batch + other).flatten(1)[:, :2]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (NeedsGradients(), r"does not require grad.*torch.inference_mode\(False\)"),
        (TakesTwo(), r"missing 1 required positional argument.*; its forward must take one such tensor"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(432, 2).double(), nn.Linear(2, 2)),
            "dtype.*; its forward must take one",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), "mat1 and mat2 shapes.*; resize the images"),
    ],
)
def test_the_cure_is_of_what_is_at_fault(module, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        as_oracle(module.eval()).prepare(SHAPE, 8)
    assert ("resize" in str(caught.value)) == ("shapes" in message)


def test_a_module_lies_on_the_first_of_its_devices_by_either_name():
    assert as_oracle(small_network(), device="cpu:0").scores(IMAGES).shape == (20, 5)
    with pytest.raises(InvalidInputError, match="lies on cpu, and device='cpu:1'"):
        as_oracle(small_network(), device="cpu:1")


def test_a_module_that_would_make_its_parameters_is_refused():
    module = nn.Sequential(nn.Flatten(), nn.LazyLinear(4)).eval()
    with pytest.raises(InvalidInputError, match=r"makes '1.weight' when it is first asked; ask it once yourself"):
        as_oracle(module)
    module(torch.zeros(1, 3, 12, 12))
    assert as_oracle(module).scores(IMAGES).shape == (20, 4)


def test_a_module_without_values_is_refused():
    with torch.device("meta"):
        module = nn.Linear(3, 2).eval()
    with pytest.raises(InvalidInputError, match="holds no values"):
        as_oracle(module)
