"""Functions that workers are given by mistake, in a module that they can import."""

from __future__ import annotations

import worker_models


def needs_device(path, device):
    return worker_models.classify


def returns_nothing():
    pass


def imports_another():
    import dfa_has_no_such_module  # noqa: F401


def make():
    return worker_models.classify
