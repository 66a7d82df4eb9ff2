"""Rounds of NVIDIA FLARE 2.9 with homomorphic encryption: its server and five clients on loopback.

Runs under NVFlare's own interpreter (`make bench-peers`), imports nothing of AFML and prints one JSON line:

    python benchmarks/nvflare29/measure.py PARAMETERS [--plain]

The deployment is NVFlare's own "proof of concept" provisioning with its HE option (its default CKKS parameters),
mutual TLS, its ScatterAndGather workflow, HE encryptor, decryptor and aggregator; the model is one flat float32
tensor, which is the form it handles fastest. A client's update is a fixed vector. Timed is the interval between
"Round n started" lines of the server: global model down, decryption, encryption, update up, aggregation. The first
interval, whose global model is not encrypted, is left out; storing the global model is switched off.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

CLIENTS, ROUNDS, PATIENCE_S = 5, 5, 1200
ADMIN = "admin@nvidia.com"
_HE = "nvflare.app_opt.he"
_STARTED = re.compile(r"^(\S+ \S+) - .*Round (\d+) started", re.MULTILINE)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parameters", type=int)
    parser.add_argument("--plain", action="store_true", help="the same without encryption")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nvflare-", ignore_cleanup_errors=True) as folder:
        seconds = measure(Path(folder), arguments.parameters, plain=arguments.plain)
    print(json.dumps({"seconds": seconds}))


def measure(root: Path, parameters: int, *, plain: bool) -> list[float]:
    """Seconds of each round after the first."""
    os.environ |= {"HOME": str(root), "NVFLARE_POC_WORKSPACE": str(root / "poc"), "OMP_NUM_THREADS": "1"}
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    prepare = ["nvflare", "poc", "prepare", "-n", str(CLIENTS), "--force", *([] if plain else ["-he"])]
    subprocess.run(prepare, check=True, capture_output=True)
    site = root / "poc" / "example_project" / "prod_00"
    parties = ["server", *(f"site-{n}" for n in range(1, CLIENTS + 1))]
    for party in parties:
        _allow_own_code(site / party / "local")
    job = _write_job(root / "job", parameters, plain=plain)
    running = []
    try:
        for party in parties:
            with (root / f"{party}.log").open("wb") as log:
                command = [str(site / party / "startup" / "sub_start.sh"), "--once"]
                running.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
            if party == "server":
                time.sleep(5)
        _submit(site, job)
        return _intervals(_wait(root / "server.log"))
    finally:
        _end(running)


def _end(running: list[subprocess.Popen[bytes]]) -> None:
    """End the deployment and the job processes that its parties started in sessions of their own."""
    everybody = []
    for process in running:
        with contextlib.suppress(psutil.NoSuchProcess):
            party = psutil.Process(process.pid)
            everybody += [party, *party.children(recursive=True)]
    for one in everybody:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    for process in running:
        process.wait()
    psutil.wait_procs(everybody, timeout=10)


def _allow_own_code(local: Path) -> None:
    """Let the deployment load the two classes of `nvflare_job`."""
    resources = local / "resources.json"
    if not resources.exists():
        shutil.copy(local / "resources.json.default", resources)
    settings = json.loads(resources.read_text())
    settings["class_list_enforcement_mode"] = "off"
    resources.write_text(json.dumps(settings))


def _write_job(job: Path, parameters: int, *, plain: bool) -> Path:
    config, custom = job / "app" / "config", job / "app" / "custom"
    config.mkdir(parents=True)
    custom.mkdir()
    shutil.copy(Path(__file__).with_name("nvflare_job.py"), custom)

    def part(path: str, name: str | None = None, **arguments: object) -> dict[str, Any]:
        return {"path": path, "args": arguments} | ({"id": name} if name else {})

    common = "nvflare.app_common"
    aggregator = (
        f"{common}.aggregators.intime_accumulate_model_aggregator.InTimeAccumulateWeightedAggregator"
        if plain
        else f"{_HE}.intime_accumulate_model_aggregator.HEInTimeAccumulateWeightedAggregator"
    )
    generator = (
        f"{common}.shareablegenerators.full_model_shareable_generator.FullModelShareableGenerator"
        if plain
        else f"{_HE}.model_shareable_generator.HEModelShareableGenerator"
    )
    server = {
        "format_version": 2,
        "components": [
            part("nvflare_job.ZeroModel", "persistor", parameters=parameters),
            part(generator, "shareable_generator"),
            part(aggregator, "aggregator", expected_data_kind="WEIGHT_DIFF", weigh_by_local_iter=plain),
        ],
        "workflows": [
            part(
                f"{common}.workflows.scatter_and_gather.ScatterAndGather", "workflow", min_clients=CLIENTS,
                num_rounds=ROUNDS, wait_time_after_min_received=0, train_timeout=0, persist_every_n_rounds=0,
                aggregator_id="aggregator", persistor_id="persistor", shareable_generator_id="shareable_generator",
            )
        ],
    }  # fmt: skip
    filters = {} if plain else {
        "task_result_filters": [{"tasks": ["train"], "filters": [part(f"{_HE}.model_encryptor.HEModelEncryptor")]}],
        "task_data_filters": [{"tasks": ["train"], "filters": [part(f"{_HE}.model_decryptor.HEModelDecryptor")]}],
    }  # fmt: skip
    client = {
        "format_version": 2,
        "executors": [{"tasks": ["train"], "executor": part("nvflare_job.FixedUpdate", parameters=parameters)}],
    } | filters
    (config / "config_fed_server.json").write_text(json.dumps(server))
    (config / "config_fed_client.json").write_text(json.dumps(client))
    meta = {"name": "rounds", "deploy_map": {"app": ["@ALL"]}, "min_clients": CLIENTS, "resource_spec": {}}
    (job / "meta.json").write_text(json.dumps(meta))
    return job


def _submit(site: Path, job: Path) -> None:
    from nvflare.fuel.flare_api.flare_api import new_secure_session

    session = _login(site, new_secure_session)
    try:
        session.submit_job(str(job))
    finally:
        session.close()


def _wait(log: Path) -> str:
    """The server's log once the job has ended; its admin connection gives up under load, its log does not."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace")
        if "Server runner finished" in text or "END_RUN fired" in text:
            return text
        time.sleep(1)
    raise RuntimeError(f"NVFlare's job did not end in {PATIENCE_S} s\n{log.read_text(errors='replace')[-2000:]}")


def _intervals(log: str) -> list[float]:
    starts = {int(number): dt.datetime.strptime(when, "%Y-%m-%d %H:%M:%S,%f") for when, number in _STARTED.findall(log)}
    if len(starts) < ROUNDS:
        raise RuntimeError(f"NVFlare's job ended after {len(starts)} of {ROUNDS} rounds\n{log[-2000:]}")
    return [(starts[n + 1] - starts[n]).total_seconds() for n in range(1, ROUNDS - 1)]


def _login(site: Path, connect: Any) -> Any:
    deadline = time.monotonic() + 120
    while True:
        try:
            session = connect(ADMIN, str(site / ADMIN))
            clients = session.get_system_info().client_info
            if len(clients) == CLIENTS:
                return session
            session.close()
        except Exception as error:  # noqa: BLE001 - whatever its API raises while it starts
            if time.monotonic() > deadline:
                raise RuntimeError(f"NVFlare's deployment did not start: {error}") from None
        if time.monotonic() > deadline:
            raise RuntimeError("NVFlare's clients did not connect")
        time.sleep(2)


if __name__ == "__main__":
    main()
