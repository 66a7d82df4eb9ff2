"""What the tests of tasks that release vectors ask of real processes alike."""

from __future__ import annotations

from afml.trial.processes import free_port
from tests.federation.parties import Consortium
from tests.processes import afml


def refused_by_policy(consortium: Consortium, name: str) -> str:
    """The one line in which node 1 refuses a run of a task that its policy does not name; nothing is spent."""
    policy = consortium.kit(1) / "policy.toml"
    before = policy.read_text()
    policy.write_text(before.replace('tasks = ["any"]', 'tasks = ["masking"]'))
    assert policy.read_text() != before
    try:
        done = afml(
            "node", "--kit", consortium.kit(1), "--work", consortium.work(1), "--run", consortium.run_file(name),
            "--aggregator", f"127.0.0.1:{free_port()}", "--simulation",
        )  # fmt: skip
    finally:
        policy.write_text(before)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert not consortium.spends(1, name)
    return str(line)
