"""Differential privacy: mechanism events, accountants, PLE, calibration, budgets and the noise rules."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `ple` is a module, which can be called
    from afml.privacy.ple import of_rounds as ple  # noqa: F401


def __getattr__(name: str) -> object:
    """`afml.privacy.ple` is there without being imported first."""
    if name != "ple":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return import_module("afml.privacy.ple")
