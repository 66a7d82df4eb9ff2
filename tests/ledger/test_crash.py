"""Kill the process at every line between deciding to spend and having sent: never an unpaid byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# One interpreter start; each trial is a fork that kills itself (SIGKILL) at the k-th traced line.
SCRIPT = """
import os, signal, sys, json
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from afml.consortium.attempt import Attempt
from afml.ledger import store, log, people, plans, schema, receipt
from tests.ledger.helpers import config, spend, open_ledger
from afml.ledger.verify import verify

root = Path(sys.argv[1])
watched = {module.__file__ for module in (store, log, people, plans, schema, receipt)}

def trial(k, folder, key):
    seen = 0
    def lines(frame, event, arg):
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == k:
                os.kill(os.getpid(), signal.SIGKILL)
        return lines
    def calls(frame, event, arg):
        return lines if frame.f_code.co_filename in watched else None
    sys.settrace(calls)
    with open_ledger(folder, key=key) as ledger:
        for round in (1, 2):
            paid = spend(ledger, config(), round)
            with open(folder / "sent", "a") as wire:     # the first byte leaves only with a receipt
                paid.require("run-1", Attempt(round, 1))
                wire.write(f"{round}\\n")
    sys.settrace(None)
    os._exit(0)

key = Ed25519PrivateKey.generate()
k, killed = 0, 0
while True:
    k += 1
    folder = root / str(k)
    folder.mkdir()
    child = os.fork()
    if child == 0:
        try:
            trial(k, folder, key)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, status
        break
    killed += 1
    sent = (folder / "sent").read_text().split() if (folder / "sent").exists() else []
    with open_ledger(folder, key=key) as ledger:          # opens after any crash
        spent = [str(entry.body["round"]) for entry in ledger.entries() if entry.kind == "spend"]
        assert spent[: len(sent)] == sent, (k, spent, sent)   # never under-counts
        assert len(spent) - len(sent) <= 1, (k, spent, sent)  # over-counts by the one in flight at most
        for round in (1, 2):                                  # and the run goes on from here
            if ledger.receipt("run-1", Attempt(round, 1)) is None:
                spend(ledger, config(), round)
    if k % 100 == 0:                                          # the whole verifier is slow, and sees the same
        assert verify(folder, key=key.public_key().public_bytes_raw()).ok, k
print(killed)
"""


def test_kill_at_every_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100  # lines of the path that were cut at
