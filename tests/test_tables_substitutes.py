"""The paper's tables: substitutes answer as their teachers do."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")


class _Halves(torch.nn.Module):
    """A model that tells which half of an image is brighter."""

    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def forward(self, x):
        first, second = x.chunk(2, dim=self.axis)
        logits = torch.full((len(x), 10), -20.0)
        logits[:, 0], logits[:, 1] = (20 * half.mean((1, 2, 3)) for half in (first, second))
        return logits


def _images(number, channels, side, seed):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(number, channels, 2, 2, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="nearest")


@pytest.mark.parametrize("name", ["lenet", "resnet"])
def test_a_substitute_answers_as_its_teacher(name):
    from systems.substitutes import imitation_of_lenet1, imitation_of_resnet20

    if name == "lenet":
        # The teacher is asked once: more images than classes have corners.
        imitate, known, fresh = imitation_of_lenet1, _images(256, 1, 28, 0), _images(200, 1, 28, 1)
        settings, teacher = {"rounds": 6}, _Halves(3)
    else:
        # Mirrored images have the same upper half.
        imitate, known, fresh = imitation_of_resnet20, _images(40, 3, 32, 0), _images(200, 3, 32, 1)
        settings, teacher = {"steps": 30, "batch": 32}, _Halves(2)
    substitute = imitate(teacher, known, **settings)
    agree = (substitute(fresh).argmax(1) == teacher(fresh).argmax(1)).float().mean()
    assert agree > 0.85
    assert not any(each.requires_grad for each in substitute.parameters())
    again = imitate(teacher, known, **settings)
    assert torch.equal(again(fresh), substitute(fresh))


def test_variants_are_new_and_every_second_is_no_blend():
    from systems.substitutes import _variants

    x = torch.stack([torch.full((3, 32, 32), value) for value in (0.25, 0.75)])
    variants = _variants(x, 64, torch.Generator().manual_seed(0))
    values = variants.flatten(1)
    assert torch.allclose(values.amin(1), values.amax(1))
    plain = ((values[:, 0] - 0.25).abs() < 1e-6) | ((values[:, 0] - 0.75).abs() < 1e-6)
    assert plain[::2].all()
    assert not plain[1::2].all()
    ramp = torch.arange(32.0).expand(1, 3, 32, 32) / 31
    moved = _variants(ramp, 64, torch.Generator().manual_seed(0))[::2, 0, 0]
    # Mirrored ones fall, and none lies where it lay.
    assert {bool(row[20] > row[10]) for row in moved} == {True, False}
    assert len({round(float(row[15]), 4) for row in moved}) > 6
