"""Torch programs from files: TorchScript and `torch.export`, which hold a model's code as data; never a pickle."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any, Final

from dfa.errors import InvalidInputError, told
from dfa.files import check_file
from dfa.oracle.adapters.torch_modules import import_torch

SUFFIXES: Final = (".pt", ".pth", ".ts", ".pt2", ".ckpt", ".bin", ".safetensors")
"""Of files that torch users have; what is in one is told from its content."""

_CURE: Final = (
    "save the model as a program, torch.export.save(torch.export.export(model, (images,)), 'model.pt2') or "
    "torch.jit.save(torch.jit.script(model), 'model.pt'); or make it in a module of yours, and give module:attribute"
)


def load_program(path: Path) -> Any:
    """Return the module that a file holds as a program, in the mode that it was saved in.

    A program is to be trusted as one: torch fences in neither kind.

    Args:
        path: A TorchScript or a `torch.export` file.

    Raises:
        InvalidInputError: It holds a pickle, or parameters without a model, or cannot be loaded.
        MissingDependencyError: torch is not installed.
    """
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        names = []
    is_script = any(name.startswith("code/") for name in names) and "constants.pkl" in names
    is_export = "archive_format" in names or "serialized_exported_program.json" in names
    if path.suffix == ".safetensors" or not (is_script or is_export):
        why = (
            "holds parameters without the model that they are of"
            if path.suffix == ".safetensors"
            else "is a pickle, or no file of torch's: a pickle may run any code when it is read, and often holds "
            "parameters without the model that they are of"
        )
        raise InvalidInputError(f"{str(path)!r} must be a TorchScript or a torch.export file, and {why}; {_CURE}")
    torch = import_torch()
    try:
        with warnings.catch_warnings():
            # That TorchScript is old; who has such a file knows.
            warnings.simplefilter("ignore")
            if is_script:
                return torch.jit.load(str(path), map_location="cpu")
            program = torch.export.load(str(path))
    except Exception as error:  # torch raises many kinds
        raise InvalidInputError(f"torch cannot load {str(path)!r}: {told(error)}") from error
    return module_of(program)


def module_of(program: Any) -> Any:
    """Return the module of a `torch.export.ExportedProgram`, marked as one that has no mode but that of its export."""
    module = program.module()
    for part in module.modules():
        part.training = False
    return module
