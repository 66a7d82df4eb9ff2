"""Speed and size figures. `python -m benchmarks [section ...]` merges sections into build/bench.json."""
