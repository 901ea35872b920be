"""The settings in which attacks are compared."""

from __future__ import annotations

from functools import partial

from harness.settings import Setting

_LENET = partial(Setting, model="lenet1.keras", images="mnist_test2000.npz")
_ROBUST = partial(Setting, model="mnist_robust.keras", images="mnist_test2000.npz")
_RESNET = partial(Setting, model="cifar_resnet20.keras", images="cifar10_correct500.npz")
_V1 = partial(Setting, model="mobilenet_v1_160.keras", images="imagenet100_160.npz")
_V2 = partial(Setting, model="mobilenet_v2_224.keras", images="imagenet100_224.npz")
_SQUEEZE = partial(Setting, model="squeezenet11.onnx", images="imagenet100_224.npz")
SETTINGS = {
    "lenet1-eps64": _LENET(epsilon=64, rank=None, number=200),
    "lenet1-eps64-targeted": _LENET(epsilon=64, rank=4, number=200),
    "mnist-robust-eps76": _ROBUST(epsilon=76, rank=None, number=200),
    "resnet20-eps8": _RESNET(epsilon=8, rank=None, number=200),
    "resnet20-eps4": _RESNET(epsilon=4, rank=None, number=200),
    "resnet20-eps8-targeted": _RESNET(epsilon=8, rank=4, number=200),
    "mobilenetv1-eps10-targeted": _V1(epsilon=10, rank=11, number=100, batch_size=64),
    "mobilenetv1-eps4": _V1(epsilon=4, rank=None, number=100, batch_size=64),
    "mobilenetv2-eps4": _V2(epsilon=4, rank=None, number=50, batch_size=64),
    "mobilenetv2-eps10-targeted": _V2(epsilon=10, rank=11, number=50, batch_size=64),
    "squeezenet-eps4": _SQUEEZE(epsilon=4, rank=None, number=50, batch_size=64),
    "squeezenet-eps10-targeted": _SQUEEZE(epsilon=10, rank=11, number=50, batch_size=64),
}
