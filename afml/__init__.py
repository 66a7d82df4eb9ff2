"""AFML: train across institutions that may not share their people's data, and account for every bit of privacy spent.

From Python: `afml.LocalConsortium`, `afml.Cohort`, `afml.prepare`, `afml.mask`, `afml.reassess`, `afml.evaluate`,
`afml.privacy.ple`. They are loaded when they are first used; `import afml` alone loads nothing (afml/__init__.pyi has
their types).
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from afml.core import tls13 as _tls13  # noqa: F401 - before anybody loads gRPC

__version__ = "0.1.0"

_OFFERED = {
    "Cohort": "afml.api.cohort",
    "LocalConsortium": "afml.api.local",
    "Trained": "afml.api.trained",
    "evaluate": "afml.api.verbs",
    "mask": "afml.api.verbs",
    "prepare": "afml.api.verbs",
    "reassess": "afml.api.verbs",
}
__all__ = [*_OFFERED, "privacy"]


def __getattr__(name: str) -> _Any:
    if name == "privacy":
        return _import_module("afml.privacy")
    if name not in _OFFERED:
        raise AttributeError(f"module 'afml' has no attribute {name!r}")
    return getattr(_import_module(_OFFERED[name]), name)
