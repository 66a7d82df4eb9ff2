"""What a report says of the command that made it."""

from __future__ import annotations

from afml.trial.provenance import command


def test_a_command_is_told_without_the_folders_that_files_lie_in() -> None:
    words = [
        "/opt/x/bin/afml",
        "evaluate",
        "--own",
        "/home/somebody/secret place/work",
        "--out",
        "report",
        "--seed",
        "1",
    ]
    assert command(words) == "afml evaluate --own work --out report --seed 1"
    assert command(["/a/afml/__main__.py", "demo", "--out", "runs/a b"]) == "afml demo --out 'a b'"


def test_what_python_called_is_no_command() -> None:
    assert command(["pytest", "-q"]) == "from Python"
