"""run.json and run.sig: the coordinator signs, every party checks before it believes a word."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium import messages
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError
from afml.core.files import require_file, write_bytes
from crypto.public.signing import sign, verify


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
        raise ConfigError(f"is a run of consortium {config.consortium}", where=path, cure="use this consortium's kits")
    return config


def write_run(path: Path, run: RunConfig, key: Ed25519PrivateKey) -> None:
    """Write a run configuration and, beside it, the coordinator's signature; nothing where it cannot be signed."""
    signature = sign(key, messages.run_config(run.digest()))
    write_bytes(path, (run.model_dump_json(indent=2) + "\n").encode())
    write_bytes(path.with_suffix(".sig"), signature)
