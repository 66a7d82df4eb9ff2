"""Whether a run of so many institutions can have the quorum that its noise asks for: said before it is made."""

from __future__ import annotations

from afml.core.errors import ConfigError


def require_quorum(institutions: int, quorum: int | None, max_colluding: int, noise: str) -> None:
    """Refuse a quorum that these institutions or this noise cannot have, with a cure that they can follow.

    Args:
        institutions: Whose cards there are.
        quorum: Fewest of them in a sum; None: all.
        max_colluding: Of a sum, those that may know each other's share of the noise.
        noise: "distributed" or "local".

    Raises:
        ConfigError: Likewise.
    """
    if quorum is not None and quorum > institutions:
        problem = f"{quorum} institutions in a sum, and there are {institutions}"
        raise ConfigError(problem, where="--quorum", cure="give no more than there are, or leave it out")
    least, most = max_colluding + 2, institutions if quorum is None else quorum
    if noise != "distributed" or most >= least:
        return
    problem = f"distributed noise needs {least} institutions in a sum, two more than may collude (--max-colluding)"
    if institutions >= least:
        raise ConfigError(
            f"{problem}, not {most}", where="--quorum", cure=f"give --quorum {least} or more, or --noise local"
        )
    raise ConfigError(
        f"{problem}, and there are {institutions}",
        where="--noise",
        cure="give --noise local, with which each adds all of it itself, or take more institutions",
    )
