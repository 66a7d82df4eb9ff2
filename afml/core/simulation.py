"""Simulations: runs with a seed, whose noise anybody who knows it can take off again. They protect nobody."""

from __future__ import annotations

#: What a simulation is called wherever it is shown: in statements, headers, reports, pages and ledgers.
SIMULATION = "insecure: simulation"
