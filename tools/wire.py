"""Generate afml/wire from proto/: `make wire`. With --check, fail when the committed code is stale."""

from __future__ import annotations

import filecmp
import importlib.resources
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIRE = ROOT / "afml" / "wire"
BIN = Path(sys.executable).parent


def generate(out: Path) -> None:
    """Write the generated modules into `out`, importable as afml.wire.*."""
    with tempfile.TemporaryDirectory() as folder:
        # protoc names modules by path, so the sources are staged under the package they belong to.
        staged = Path(folder) / "afml" / "wire"
        staged.mkdir(parents=True)
        for source in sorted((ROOT / "proto" / "afml" / "v1").glob("*.proto")):
            (staged / source.name).write_bytes(source.read_bytes())
        built = Path(folder) / "out"
        built.mkdir()
        include = str(importlib.resources.files("grpc_tools") / "_proto")
        subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                f"-I{folder}",
                f"-I{include}",
                f"--plugin=protoc-gen-mypy={BIN / 'protoc-gen-mypy'}",
                f"--python_out={built}",
                f"--grpc_python_out={built}",
                f"--mypy_out={built}",
                *(str(p) for p in sorted(staged.glob("*.proto"))),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        out.mkdir(parents=True, exist_ok=True)
        for file in sorted((built / "afml" / "wire").iterdir()):
            (out / file.name).write_bytes(file.read_bytes())


def main() -> None:
    if "--check" not in sys.argv:
        generate(WIRE)
        return
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        names = sorted(p.name for p in fresh.iterdir())
        stale = [n for n in names if not (WIRE / n).exists() or not filecmp.cmp(fresh / n, WIRE / n, shallow=False)]
        extra = [p.name for p in WIRE.glob("*_pb2*") if p.name not in names]
        if stale or extra:
            sys.exit(f"wire: {', '.join(stale + extra)} out of date with proto/; run `make wire` and commit")
    print("wire: generated code is current")


if __name__ == "__main__":
    main()
