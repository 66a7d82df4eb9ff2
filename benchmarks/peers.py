"""The same round by NVIDIA FLARE 2.9 with homomorphic encryption, and the ratio to it: `make bench-peers`.

NVFlare pins another TenSEAL, so it lives in an environment of its own (build/peers-venv) and is never part of
`make bench` or of the tests; where it is absent this says so and measures nothing. Both systems run one after the
other on the same machine, server and five clients on loopback with mutual TLS, one flat model. Compared are whole
periods: NVFlare's from one round's start to the next one's (`nvflare29/measure.py`), AFML's from one round's end
to the next one's (`benchmarks.rounds`), which holds the ledger, the pads, the signatures and every sync to disk.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import module
from benchmarks.__main__ import OUT, merge, show
from benchmarks.rounds import MILLION, measure

ENVIRONMENT = Path("build/peers-venv")
BARS = {"round_ratio_to_nvflare": ("<=", 0.15), "module_round_ratio_to_nvflare_1m": ("<=", 0.25)}


def figures() -> dict[str, object]:
    """Seconds per round of both at 1M and 4M parameters, and their ratio."""
    found: dict[str, object] = {}
    for millions in (1, 4):
        theirs = _nvflare(millions * MILLION)
        ours = statistics.median(measure(millions * MILLION).period_s)
        found |= {
            f"nvflare_round_s_{millions}m": round(theirs, 3),
            f"round_beside_nvflare_s_{millions}m": round(ours, 3),
            f"round_ratio_to_nvflare_{millions}m": round(ours / theirs, 3),
        }
    # A network of a package of its own, training included; NVFlare's clients train nothing in the measured round.
    trained = float(str(module.figures(module.CASES["1m"])["round_s"]))
    found["module_round_ratio_to_nvflare_1m"] = round(trained / float(str(found["nvflare_round_s_1m"])), 3)
    found["round_ratio_to_nvflare"] = max(
        float(str(found[f"round_ratio_to_nvflare_{millions}m"])) for millions in (1, 4)
    )
    return found


def _nvflare(parameters: int) -> float:
    script = Path(__file__).parent / "nvflare29" / "measure.py"
    command = [str(ENVIRONMENT / "bin" / "python"), str(script), str(parameters)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"NVFlare's round of {parameters} parameters failed\n{done.stderr[-2000:]}")
    return float(statistics.median(json.loads(done.stdout.splitlines()[-1])["seconds"]))


def main() -> None:
    """Measure and merge into build/bench.json, or say that there is nothing to compare with."""
    if not (ENVIRONMENT / "bin" / "nvflare").exists():
        print(f"peers: skipped, NVFlare is not installed in {ENVIRONMENT} (make bench-peers installs it)")
        return
    print("peers ...", flush=True)
    found = figures()
    merge(OUT, "codec", found)
    show(sys.modules[__name__], found)


if __name__ == "__main__":
    main()
