"""Run an `afml` command with other limits than the product's: nobody waits a minute in a test.

python -m tests.federation.shortened NAME=SECONDS... -- afml arguments...
"""

from __future__ import annotations

import sys

from afml.cli.main import main
from afml.consortium import limits

if __name__ == "__main__":
    place = sys.argv.index("--")
    for one in sys.argv[1:place]:
        name, _, value = one.partition("=")
        assert hasattr(limits, name), name
        setattr(limits, name, int(value))
    sys.argv = ["afml", *sys.argv[place + 1 :]]
    main()
