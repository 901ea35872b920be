"""The fingerprint of a torch module: it changes with every number that the module keeps, and with nothing else."""

from __future__ import annotations

import warnings

import pytest

import dfa
from dfa.oracle import as_oracle
from oracles import random_images

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402 -- once it is known to be there
from torch.ao.quantization import quantize_fx  # noqa: E402
from torch.testing._internal.two_tensor import TwoTensor  # noqa: E402

from torch_networks import small_network  # noqa: E402


def test_the_fingerprint_names_parameters_and_buffers():
    assert as_oracle(small_network()).fingerprint() == as_oracle(small_network()).fingerprint()
    others = [small_network(seed=1), small_network(), small_network().double()]
    others[1][1].running_mean[0] += 1
    assert len({as_oracle(each).fingerprint() for each in [small_network(), *others]}) == 4
    assert as_oracle(nn.Sequential(nn.Flatten()).eval()).fingerprint() is None


def test_the_fingerprint_knows_buffers_that_files_do_not_keep():
    modules = [small_network(), small_network()]
    for number, module in enumerate(modules):
        module.register_buffer("mean", torch.tensor(float(number)), persistent=False)
    assert len({as_oracle(module).fingerprint() for module in modules}) == 2


def linear(flip):
    torch.manual_seed(0)
    layer = nn.Linear(192, 10)
    if flip:
        # The scales of the weights stay as they are.
        layer.weight.data = layer.weight.data.flip(0)
    return layer


def dynamic(flip):
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Flatten(), linear(flip)).eval(), {nn.Linear}).eval()


def static(flip):
    parts = [torch.ao.quantization.QuantStub(), nn.Flatten(), linear(flip), torch.ao.quantization.DeQuantStub()]
    module = nn.Sequential(*parts).eval()
    module.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    prepared = torch.ao.quantization.prepare(module)
    prepared(torch.linspace(0, 1, 4 * 192).reshape(4, 3, 8, 8))
    return torch.ao.quantization.convert(prepared).eval()


def traced(flip):
    module = nn.Sequential(nn.Flatten(), linear(flip)).eval()
    mapping = torch.ao.quantization.get_default_qconfig_mapping("x86")
    example = torch.linspace(0, 1, 4 * 192).reshape(4, 3, 8, 8)
    prepared = quantize_fx.prepare_fx(module, mapping, (example,))
    prepared(example)
    return quantize_fx.convert_fx(prepared).eval()


def with_buffer(buffer):
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 10)).eval()
    nn.init.ones_(module[1].weight)
    nn.init.ones_(module[1].bias)
    module.register_buffer("kept", buffer)
    return module


def sparse(layout):
    def make(flip):
        return with_buffer(torch.tensor([[0.0, 1.0], [2.0 + flip, 0.0]]).to_sparse(**layout))

    return make


def zero_point(flip):
    return with_buffer(torch._make_per_tensor_quantized_tensor(torch.ones(3, dtype=torch.int8), 0.5, int(flip)))


def scale(flip):
    return with_buffer(torch._make_per_tensor_quantized_tensor(torch.ones(3, dtype=torch.int8), 0.5 + flip, 0))


def channel_scale(flip):
    scales, zeros = torch.tensor([0.5, 0.5 + flip]), torch.zeros(2, dtype=torch.int64)
    return with_buffer(torch._make_per_channel_quantized_tensor(torch.ones(2, 3, dtype=torch.int8), scales, zeros, 0))


def scripted(flip):
    return torch.jit.script(nn.Sequential(nn.Flatten(), linear(flip)).eval())


def frozen(flip):
    return torch.jit.freeze(scripted(flip))


def optimized(flip):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    module[0].bias.data += flip
    return torch.jit.optimize_for_inference(torch.jit.script(module))


def fingerprint(module):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return as_oracle(module).fingerprint()


MAKERS = [
    dynamic,
    static,
    traced,
    sparse({}),
    sparse({"layout": torch.sparse_csr}),
    sparse({"layout": torch.sparse_bsc, "blocksize": (1, 1)}),
    zero_point,
    scale,
    channel_scale,
    scripted,
    frozen,
    optimized,
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("make", MAKERS)
def test_every_number_that_is_kept_counts(make):
    names = [fingerprint(make(flip)) for flip in (False, False, True)]
    assert None not in names
    assert names[0] == names[1] != names[2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_cannot_be_read_has_no_fingerprint():
    # Part of it could be read.
    mixed = torch.jit.script(nn.Sequential(nn.Conv2d(3, 3, 1), dynamic(False)).eval())
    assert fingerprint(mixed) is None
    assert fingerprint(torch.jit.freeze(mixed)) is None
    assert fingerprint(with_buffer(TwoTensor(torch.ones(2), torch.ones(2)))) is None

    class Extra(nn.Linear):
        def get_extra_state(self):
            return object()

    assert fingerprint(Extra(3, 2).eval()) is None


def test_wrappers_do_not_count():
    module = small_network()
    inside = small_network()
    inside[8] = torch.compile(inside[8], backend="eager")
    named = fingerprint(module)
    for wrapped in (
        torch.compile(module, backend="eager"),
        nn.DataParallel(module).eval(),
        torch.compile(nn.DataParallel(module).eval(), backend="eager"),
        inside,
    ):
        assert fingerprint(wrapped) == named


def test_what_a_transform_keeps_belongs_to_the_model():
    class Shifted(nn.Module):
        def __init__(self, by):
            super().__init__()
            self.register_buffer("by", torch.tensor(by))

        def forward(self, batch):
            return batch / 255 + self.by

    names = [as_oracle(small_network(), transform=Shifted(by)).fingerprint() for by in (0.0, 0.0, 0.02)]
    assert names[0] == names[1] != names[2]
    assert as_oracle(small_network(), transform=lambda batch: batch / 255).fingerprint() == fingerprint(small_network())


def test_a_run_on_a_module_with_sparse_buffers_is_stored(tmp_path):
    module = sparse({})(False)
    settings = {"epsilon": 8, "max_queries": 20, "progress": False}
    dfa.run(module, random_images(2, (8, 8, 3)), store=tmp_path / "run", **settings)
    assert dfa.run(module, random_images(2, (8, 8, 3)), store=tmp_path / "run", resume=True, **settings)
