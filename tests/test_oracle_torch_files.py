"""Torch programs from files: TorchScript and torch.export; never a pickle."""

from __future__ import annotations

import warnings
import zipfile

import numpy as np
import pytest

import dfa
from dfa.errors import InvalidInputError, OracleError
from dfa.oracle import as_oracle
from oracles import random_images

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch_networks import small_network  # noqa: E402 -- once torch is known to be there

IMAGES = random_images(9, (12, 12, 3))
EXAMPLE = torch.zeros(4, 3, 12, 12)


def exported(network, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(network, (EXAMPLE,), **settings)


def any_rows():
    return {"dynamic_shapes": ({0: torch.export.Dim("rows", min=1, max=4096)},)}


def saved_script(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(small_network()), path)


def saved_program(path):
    torch.export.save(exported(small_network(), **any_rows()), path)


@pytest.mark.parametrize(("name", "save"), [("a.pt", saved_script), ("a.ts", saved_script), ("a.pt2", saved_program)])
def test_a_saved_program_answers_as_its_module(tmp_path, name, save):
    save(path := tmp_path / name)
    oracle = as_oracle(str(path))
    assert oracle.scores(IMAGES) == pytest.approx(as_oracle(small_network()).scores(IMAGES), abs=1e-5)
    assert oracle.name == name
    assert oracle.fingerprint() == as_oracle(path).fingerprint()
    result = dfa.run(path, IMAGES, epsilon=30, max_queries=50, progress=False)
    assert result.summary().attacked == 9


def test_a_program_of_one_number_of_rows_is_asked_with_that_number(tmp_path):
    torch.export.save(exported(small_network()), path := tmp_path / "a.pt2")
    oracle = as_oracle(path, mean=0, std=1)
    assert oracle.describe()["static_batch"] == 4
    assert np.array_equal(oracle.scores(IMAGES)[:4], oracle.scores(IMAGES[:4]))


def test_an_exported_program_goes_in_without_a_file():
    oracle = as_oracle(exported(small_network(), **any_rows()))
    assert oracle.scores(IMAGES) == pytest.approx(as_oracle(small_network()).scores(IMAGES), abs=1e-5)


def test_a_frozen_program_answers_as_its_module(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.freeze(torch.jit.script(small_network())), path := tmp_path / "a.pt")
        optimized = torch.jit.optimize_for_inference(torch.jit.script(small_network()))
    # The optimised pool needs sides that it divides.
    images = random_images(9, (13, 13, 3))
    with pytest.raises(InvalidInputError, match=r"(?s)not divisible by the output size.*; resize the images"):
        as_oracle(optimized).prepare((12, 12, 3), 8)
    for program in (path, optimized):
        oracle = as_oracle(program)
        assert oracle.scores(images) == pytest.approx(as_oracle(small_network()).scores(images), abs=1e-5)
        assert oracle.fingerprint() == as_oracle(program).fingerprint() is not None


def test_a_program_for_some_numbers_of_rows_says_so():
    bounded = exported(small_network(), dynamic_shapes=({0: torch.export.Dim("rows", min=2, max=16)},))
    with pytest.raises(InvalidInputError, match=r"for batches of 2 to 16 rows; pass static_batch=16$"):
        as_oracle(bounded).prepare((12, 12, 3), 64)
    assert as_oracle(bounded, static_batch=16).scores(IMAGES) == pytest.approx(
        as_oracle(small_network()).scores(IMAGES), abs=1e-5
    )
    many = exported(small_network(), dynamic_shapes=({0: torch.export.Dim("rows", min=3)},))
    with pytest.raises(InvalidInputError, match=r"for batches of 3 or more rows; pass static_batch=3$"):
        as_oracle(many, static_batch=2).prepare((12, 12, 3), 64)
    with pytest.raises(InvalidInputError, match=r"for batches of 4 rows; pass static_batch=4$"):
        as_oracle(exported(small_network()), static_batch=9).prepare((12, 12, 3), 64)


def test_a_program_that_takes_its_images_by_name_must_be_wrapped():
    class ByName(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = small_network()

        def forward(self, *, pixel_values):
            return self.inner(pixel_values)

    program = torch.export.export(ByName().eval(), (), {"pixel_values": EXAMPLE})
    with pytest.raises(
        InvalidInputError, match=r"pixel_values.*; its forward must take one such tensor; pass a torch.nn.Module"
    ):
        as_oracle(program).prepare((12, 12, 3), 8)


def test_a_script_in_training_mode_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(small_network().train()), path := tmp_path / "a.pt")
    with pytest.raises(InvalidInputError, match="training mode"):
        as_oracle(path)


def test_a_pickle_is_refused_unread(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    for name, saved in (("state.pth", small_network().state_dict()), ("model.pt", Trap()), ("old.ckpt", Trap())):
        torch.save(saved, tmp_path / name, _use_new_zipfile_serialization=name != "old.ckpt")
        with pytest.raises(
            InvalidInputError, match=r"is a pickle.*may run any code.*torch.export.save.*module:attribute"
        ):
            as_oracle(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_parameters_alone_and_damaged_files_are_refused(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(InvalidInputError, match="holds parameters without the model"):
        as_oracle(tmp_path / "a.safetensors")
    saved_script(path := tmp_path / "a.pt")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part.replace(b"def forward", b"fed forward"))
    with pytest.raises(InvalidInputError, match="torch cannot load"):
        as_oracle(path)
    with pytest.raises(InvalidInputError, match=r"missing.pt"):
        as_oracle(tmp_path / "missing.pt")


def test_what_fails_while_it_is_asked_is_the_oracles_fault(tmp_path):
    class Failing(torch.nn.Module):
        def forward(self, batch):
            if bool(batch[0].mean() < 0.2):  # noise is not
                raise ValueError("too dark")
            return batch.flatten(1)[:, :2]

    with pytest.raises(OracleError, match="too dark"):
        dfa.run(Failing().eval(), np.full((70, 6, 6, 3), 3, dtype=np.uint8), progress=False)
