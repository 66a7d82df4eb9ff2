"""`python -m afml.cli.within PARENT ...`: a command of ours that does not outlive the process that started it."""

from __future__ import annotations

import os
import sys

from afml.cli.main import main
from afml.core.children import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    parent = int(sys.argv.pop(1))
    if os.getppid() != parent:  # it had gone before the kernel was told
        sys.exit(1)
    main()
