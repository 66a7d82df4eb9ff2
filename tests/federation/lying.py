"""Run `afml node` so that the check value that it sends in one round is not its update's.

python -m tests.federation.lying ROUND -- node arguments...
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from afml.cli.main import main
from crypto.public.signing import AnyBinding
from crypto.secret.sumcheck import LinearCheck


def lie(round_number: int) -> None:
    """Move the last digit of that round's check value by one."""
    attach = LinearCheck.attach

    def lying(self: LinearCheck, fields: NDArray[np.int64], binding: AnyBinding) -> NDArray[np.int64]:
        attached = attach(self, fields, binding)
        if binding.round == round_number:
            attached[-1] += 1 if attached[-1] < 0 else -1
        return attached

    LinearCheck.attach = lying  # type: ignore[method-assign]


if __name__ == "__main__":
    round_number, separator, *arguments = sys.argv[1:]
    assert separator == "--"
    lie(int(round_number))
    sys.argv = ["afml", *arguments]
    main()
