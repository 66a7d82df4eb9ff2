"""Where a report comes from: which run, who asked how, and with which software."""

from __future__ import annotations

import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from afml import __version__
from afml.consortium.run import RunConfig
from afml.evaluation.ran import AboutSection
from afml.masking.model import TrainedModel

_PACKAGES = ("torch", "opacus", "tenseal", "grpcio", "numpy", "cyvcf2", "dp-accounting", "scikit-learn")


def about(config: RunConfig, model: TrainedModel, institution: str | None) -> AboutSection:
    """Of one run, today; of an institution alone by the name of its ledger."""
    return AboutSection(
        consortium=config.consortium,
        run=config.run,
        made=datetime.now(UTC).date().isoformat(),
        command=command(sys.argv),
        configuration=config.digest().hex(),
        model=model.digest(),
        institution=institution,
    )


def command(words: list[str]) -> str:
    """The command as it was typed, of paths the last part alone: where an institution keeps its files is its own."""
    if Path(words[0]).name not in ("afml", "__main__.py"):
        return "from Python"
    return shlex.join(["afml", *(Path(word).name or word for word in words[1:])])


def versions() -> dict[str, str]:
    """Of AFML, of what it stands on, and of the machine."""
    found = {name: version(name) for name in _PACKAGES}
    return {"afml": __version__, "python": platform.python_version(), "platform": platform.platform(), **found}
