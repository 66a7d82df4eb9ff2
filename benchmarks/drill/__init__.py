"""The drill: a consortium loses every kind of machine and changes everything about itself, in the middle of a run.

    python -m benchmarks.drill [--rounds 500] [--out FOLDER]         # `make drill`

Every party is a process of its own on this machine and every step a command of docs/OPERATIONS.md; what is printed is
what was done and what was seen. Any surprise ends it with one line and exit code 1.
"""
