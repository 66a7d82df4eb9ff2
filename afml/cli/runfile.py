"""Reading run.json: every party checks the coordinator's signature before it believes a word of it."""

from __future__ import annotations

from pathlib import Path

from afml.core.errors import ConfigError
from afml.core.files import require_file
from afml.core.run import Roster, RunConfig
from crypto.public import messages
from crypto.public.signing import verify


def load_run(path: Path, roster: Roster) -> RunConfig:
    """Read a run configuration and check the coordinator's signature.

    Raises:
        InputError: A file is missing or malformed.
        IntegrityError: The coordinator on the roster did not sign it.
        ConfigError: It is another consortium's.
    """
    config = RunConfig.load(path)
    signature = require_file(path.with_suffix(".sig"), "run signature", "fetch it with run.json").read_bytes()
    verify(bytes.fromhex(roster.coordinator_key), messages.run_config(config.digest()), signature, where=path)
    if config.consortium != roster.consortium:
        raise ConfigError(
            f"is a run of consortium {config.consortium}", where=path, cure="use this consortium's kits"
        )
    return config
