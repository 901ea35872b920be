"""The settings in which attacks are compared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from harness.promises import Ball, FewPixels, OnePatch, OuterFrame
from harness.settings import Setting


@dataclass(frozen=True, kw_only=True)
class ComparedSetting(Setting):
    """A setting of which some images are for choosing, and others for reporting.

    Everything that dfa does by default was chosen on the first `number` images that the model classifies correctly.

    Attributes:
        reporting: Those of the correctly classified images that nothing was chosen on.
        num_classes: K.
        shows_labels: The oracle shows labels alone.
        budget: Queries per image.
    """

    reporting: range
    num_classes: int = 10
    shows_labels: bool = False
    budget: int = 10_000


_SMALL = partial(ComparedSetting, number=200, reporting=range(200, 400), rank=None)
_LARGE = partial(ComparedSetting, number=50, reporting=range(50, 100), batch_size=64, num_classes=1_000, rank=None)
_LENET = partial(_SMALL, model="lenet1.keras", images="mnist_test2000.npz")
_ROBUST = partial(_SMALL, model="mnist_robust.keras", images="mnist_test2000.npz")
_RESNET = partial(_SMALL, model="cifar_resnet20.keras", images="cifar10_correct500.npz")
_V1 = partial(_LARGE, model="mobilenet_v1_160.keras", images="imagenet100_160.npz")
_V2 = partial(_LARGE, model="mobilenet_v2_224.keras", images="imagenet100_224.npz")
# It is right on 48 of the first 50 images, and on 39 of the others.
_SQUEEZE = partial(_LARGE, model="squeezenet11.onnx", images="imagenet100_224.npz", number=48, reporting=range(48, 87))
_LENET_FEW = partial(_LENET, number=100, reporting=range(200, 300), budget=2_000)
_RESNET_FEW = partial(_RESNET, number=50, reporting=range(200, 250), budget=2_000)
SETTINGS = {
    "lenet1-eps64": _LENET(promise=Ball(64)),
    "lenet1-eps64-targeted": _LENET(promise=Ball(64), rank=4),
    "mnist-robust-eps76": _ROBUST(promise=Ball(76)),
    "resnet20-eps8": _RESNET(promise=Ball(8)),
    "resnet20-eps4": _RESNET(promise=Ball(4)),
    "resnet20-eps8-targeted": _RESNET(promise=Ball(8), rank=4),
    "mobilenetv1-eps10-targeted": _V1(promise=Ball(10), rank=11),
    "mobilenetv1-eps4": _V1(promise=Ball(4)),
    "mobilenetv2-eps4": _V2(promise=Ball(4)),
    "mobilenetv2-eps10-targeted": _V2(promise=Ball(10), rank=11),
    "squeezenet-eps4": _SQUEEZE(promise=Ball(4)),
    "squeezenet-eps10-targeted": _SQUEEZE(promise=Ball(10), rank=11),
    **{f"resnet20-pixels{number}": _RESNET_FEW(promise=FewPixels(number)) for number in (1, 5, 10, 20)},
    **{f"lenet1-pixels{number}": _LENET_FEW(promise=FewPixels(number)) for number in (10, 20)},
    "resnet20-patch5": _RESNET_FEW(promise=OnePatch(5)),
    "lenet1-patch6": _LENET_FEW(promise=OnePatch(6)),
    "resnet20-frame1": _RESNET_FEW(promise=OuterFrame(1)),
    "lenet1-frame2": _LENET_FEW(promise=OuterFrame(2)),
    "resnet20-eps8-labels": _RESNET(promise=Ball(8), shows_labels=True),
    "resnet20-eps4-labels": _RESNET(promise=Ball(4), shows_labels=True),
    "lenet1-eps64-labels": _LENET(promise=Ball(64), shows_labels=True),
    "mobilenetv1-eps4-labels": _V1(promise=Ball(4), shows_labels=True),
    "mobilenetv1-eps10-labels": _V1(promise=Ball(10), shows_labels=True),
}
