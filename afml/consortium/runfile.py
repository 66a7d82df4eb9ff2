"""run.json and run.sig: the coordinator signs, every party checks before it believes a word."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium import messages
from afml.consortium.history import History
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError
from afml.core.files import require_file, write_bytes
from crypto.public.signing import sign, verify


def load_run(path: Path, history: History) -> RunConfig:
    """Read a run configuration and check the coordinator's signature.

    Args:
        path: The file.
        history: Of the roster; the run's own version of it must be there.

    Raises:
        InputError: A file is missing or malformed, or the run is of a version of the roster that is not known here.
        IntegrityError: The coordinator on the roster did not sign it.
        ConfigError: It is another consortium's.
    """
    config, roster = RunConfig.load(path), history.present
    signature = require_file(path.with_suffix(".sig"), "run signature", "fetch it with run.json").read_bytes()
    verify(bytes.fromhex(roster.coordinator_key), messages.run_config(config.digest()), signature, where=path)
    if config.consortium != roster.consortium:
        raise ConfigError(f"is a run of consortium {config.consortium}", where=path, cure="use this consortium's kits")
    history.of(config.roster, path)
    return config


def write_run(path: Path, run: RunConfig, key: Ed25519PrivateKey) -> None:
    """Write a run configuration and, beside it, the coordinator's signature; nothing where it cannot be signed."""
    signature = sign(key, messages.run_config(run.digest()))
    write_bytes(path, (run.model_dump_json(indent=2) + "\n").encode())
    write_bytes(path.with_suffix(".sig"), signature)
