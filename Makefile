# `make demo` and `make test` do everything a fresh machine needs. Recipes quote paths: the folder may hold spaces.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
READY := .venv/.ready
READY_SIM := .venv/.ready-simulate

VCF ?=
PANEL ?=
NODES ?= 5
SITES ?= 1024
ROUNDS ?= 20
# A number makes the demo a simulation: the same figures each time, and noise that anybody can replay.
SEED ?=
# Of the options that trust less: sums (every node verifies every sum), noise (it is proven, not argued), overlap (who is at
# two institutions is looked for and left out at one), or all. Keys are post-quantum hybrids by default.
TRUST ?=
# 1 plays the run again with made-up people alone and attacks that: the tightest bound from below (docs/AUDIT.md, instrument 3).
AUDIT ?=
# 1: packages tell the phenotype by pseudonym, so that a recipient can reproduce their utility; k then counts it too.
TRAITS ?=
OUT ?= runs/demo
DATA ?=
RESULTS ?= results
PUBLISH ?=
# Of `make demo-biobank`: people of each of its five institutions, traits in its release, and where people are kept once they
# are simulated.
PEOPLE ?= 100000
BINARY ?= 8
QUANTITATIVE ?= 2
BIOBANK ?= build/biobank-$(PEOPLE)

export PYTHONDONTWRITEBYTECODE ?=
# No telemetry, no look-ups: matplotlib and friends stay inside the checkout.
export MPLBACKEND := Agg

.PHONY: help readme setup demo demo-biobank golden reproduce reproduce-quick reproduce-extended reproduce-small reproduce-attacks reproduce-attributes reproduce-examples test simulate soak drill fuzz check docs wheel install map wire lock bench bench-codec bench-privacy bench-memory bench-genomes bench-evaluation bench-evaluation-large bench-peers bench-paired audit-power sbom manifest clean

help:
	@echo "make demo [VCF=FILE PANEL=TSV] [NODES=5 SITES=1024 ROUNDS=20 SEED= TRUST=sums|noise|overlap|all AUDIT=1 TRAITS=1]   five institutions on this machine"
	@echo "make demo-biobank [PEOPLE=100000]   five simulated biobanks, ten traits, one release"
	@echo "make test     all tests        make check   types, style, layers, wire code    make docs   the documents as a site    make simulate [SCHEDULES=10000] [HISTORIES=2000]   faults, hostile parties   make soak   real processes killed   make drill [STORE=]   everything lost and renewed in mid-run   make fuzz   damaged files"
	@echo "make reproduce DATA=DIR   the study on real exomes   make reproduce-extended DATA=DIR   make reproduce-small DATA=DIR   make reproduce-quick   make reproduce-attacks DATA=DIR   make reproduce-attributes DATA=DIR   make reproduce-examples DATA=DIR [SEEDS=20]"
	@echo "make bench    speed figures (bench-codec, bench-privacy, bench-memory, bench-genomes, bench-evaluation; bench-evaluation-large of 500,000 people; bench-peers beside NVFlare, bench-paired OLD=DIR beside an older checkout)    make setup   only the environment   make install [PREFIX=~/.local]   afml on the path   make wheel   dist/afml-*.whl   make sbom   make manifest   make audit-power   how small a leak the audit finds"

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "setup: no python3.11 found on PATH; install it"; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else "setup: $(PYTHON) is Python %d.%d; AFML needs 3.11 (make PYTHON=python3.11 ...)" % sys.version_info[:2])'
	@echo "setup: once, some minutes; what is downloaded comes from where pip is set to look"
	@echo "setup: 1 of 4: an environment in .venv, by $(PYTHON)"
	@"$(PYTHON)" -m venv .venv
	@echo "setup: 2 of 4: torch, the largest part: nothing is to be seen for minutes"
	@"$(PY)" -m pip install -q --disable-pip-version-check "torch==2.13.0"
	@echo "setup: 3 of 4: all the rest of requirements.lock, each file held against its digest: minutes again"
	@"$(PY)" -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@echo "setup: 4 of 4: AFML itself, from this folder"
	@PYTHONWARNINGS=ignore "$(PY)" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch "$(READY)"

$(READY_SIM): $(READY) requirements-simulate.lock
	@echo "setup: msprime, which simulates genomes for the demo and the tests"
	@"$(PY)" -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-simulate.lock
	@touch "$(READY_SIM)"

setup: $(READY)
	@echo "setup: .venv is ready; \`make demo\` plays a run, \`make install\` puts afml on your path"

demo: $(READY) $(if $(VCF),,$(READY_SIM))
	@"$(PY)" -m afml demo --out "$(OUT)" --nodes "$(NODES)" --sites "$(SITES)" --rounds "$(ROUNDS)" \
		$(if $(filter all sums,$(TRUST)),--verified-sums) $(if $(filter all noise,$(TRUST)),--exact-noise) \
		$(if $(filter all overlap,$(TRUST)),--overlap) $(if $(AUDIT),--declared-audit) $(if $(TRAITS),--traits) \
		$(if $(SEED),--simulation --seed "$(SEED)") $(if $(VCF),--vcf "$(VCF)") $(if $(PANEL),--panel "$(PANEL)")

$(BIOBANK)/people.tsv: | $(READY_SIM)
	"$(PY)" tools/simulate_biobank.py --out "$(BIOBANK)" --people "$(PEOPLE)"

# Five biobanks, binary and quantitative traits with covariates, one release. No networks: at this size the
# codebook's patterns come of the panel alone, and what the game costs is better spent on the risk model. Own evaluations
# of 100,000 people each and packages: PUBLISH=1, which takes much longer.
demo-biobank: export OMP_NUM_THREADS := 1
demo-biobank: $(READY) $(BIOBANK)/people.tsv
	@"$(PY)" -m afml demo --out runs/biobank --cohorts "$(BIOBANK)" --sites 2000 --phenotypes "$(BINARY)" --quantitative "$(QUANTITATIVE)" --covariates \
		--causal 20 --ple 0.2 --rounds "$(ROUNDS)" --game-rounds 0 --game-steps 0 --patterns 2500 $(if $(PUBLISH),,--no-publish)

# A seeded demo ends with the digests that tests/golden/golden.json records (on the kind of machine that it names).
golden: $(READY) $(if $(VCF),,$(READY_SIM))
	@"$(PY)" -m afml demo --out build/golden --simulation --seed 1 --fill major $(if $(VCF),--vcf "$(VCF)") $(if $(PANEL),--panel "$(PANEL)")
	"$(PY)" tools/golden.py build/golden --against "$(if $(VCF),real exomes,simulated)"

reproduce: $(READY)
	@test -n "$(DATA)" || { echo "reproduce: give DATA=FOLDER with the 1000 Genomes exomes"; exit 2; }
	@"$(PY)" -m afml reproduce --data "$(DATA)" --out "$(RESULTS)"

reproduce-extended: $(READY)
	@test -n "$(DATA)" || { echo "reproduce-extended: give DATA=FOLDER with the 1000 Genomes exomes"; exit 2; }
	@"$(PY)" -m afml reproduce --grid extended --data "$(DATA)" --out "$(RESULTS)"

# What others published about attacks, made again, and a release of the study under all of them.
reproduce-attacks: export OMP_NUM_THREADS := 2
reproduce-attacks: $(READY)
	@test -n "$(DATA)" || { echo "reproduce-attacks: give DATA=FOLDER with the 1000 Genomes exomes"; exit 2; }
	@"$(PY)" -m afml reproduce --grid attacks --data "$(DATA)" --out "$(RESULTS)"

# What releases tell of attributes, allowed and not; other uses of the same files
reproduce-attributes: export OMP_NUM_THREADS := 2
reproduce-attributes: $(READY)
	@test -n "$(DATA)" || { echo "reproduce-attributes: give DATA=FOLDER with the 1000 Genomes exomes"; exit 2; }
	@"$(PY)" -m afml reproduce --grid attributes --data "$(DATA)" --out "$(RESULTS)"

# Reckoned from single runs: half an hour of two cores, FULL=1 (all 98 cells) over an hour. What is made stays:
# LIMIT=N looks at the first N cells alone.
LIMIT ?=
FULL ?=
reproduce-small: export OMP_NUM_THREADS := 1
reproduce-small: $(READY)
	@"$(PY)" -m afml reproduce --grid $(if $(FULL),small-full,small) --out "$(RESULTS)" $(if $(DATA),--data "$(DATA)") $(if $(LIMIT),--limit "$(LIMIT)")

# Fresh every time: a check that finds yesterday's result checks nothing.
reproduce-quick: $(READY)
	@rm -rf build/quick
	@"$(PY)" -m afml reproduce --grid quick --out build/quick $(if $(DATA),--data "$(DATA)")

# The four examples beside pooled Opacus and noise at every institution, then frequencies and scans; what was measured of
# the examples before is kept in build/examples.
SEEDS ?= 20
reproduce-examples: export OMP_NUM_THREADS := 1
reproduce-examples: $(READY)
	@test -n "$(DATA)" || { echo "reproduce-examples: give DATA=FOLDER with the 1000 Genomes exomes"; exit 2; }
	@"$(PY)" -W ignore -m benchmarks.examples --data "$(DATA)" --seeds "$(SEEDS)" --out "$(RESULTS)/examples.json"
	@"$(PY)" -W ignore -m benchmarks.frequencies --data "$(DATA)" --out "$(RESULTS)/examples.json"
	@"$(PY)" -W ignore -m benchmarks.scans --data "$(DATA)" --out "$(RESULTS)/examples.json"

# Two workers on two cores: numerical libraries that start a thread a core would only wait for each other.
test: export OMP_NUM_THREADS := 1
test: export OPENBLAS_NUM_THREADS := 1
test: $(READY) $(READY_SIM)
	"$(PY)" -m pytest -n 2 --dist loadfile --no-loadscope-reorder  # in the order of tests/conftest.py: the longest first

# Whole runs under faults of every kind (docs/design/simulation.md), and histories of a hostile coordinator, aggregator and
# institution against honest ones; `make test` plays 12 and 100.
SCHEDULES ?= 10000
HISTORIES ?= 2000
simulate: export AFML_SCHEDULES := $(SCHEDULES)
simulate: export AFML_HISTORIES := $(HISTORIES)
simulate: export OMP_NUM_THREADS := 1
simulate: $(READY)
	"$(PY)" -m pytest tests/simulate -k no_schedule -q --timeout=0 -n 2
	"$(PY)" -m pytest tests/hostile -k no_history -q --timeout=0

# Real processes through 2,000 rounds while they are killed, stopped and frozen: about twenty minutes; `make test` takes six.
SOAK_ROUNDS ?= 2000
soak: export AFML_SOAK_ROUNDS := $(SOAK_ROUNDS)
soak: $(READY)
	"$(PY)" -m pytest tests/federation/test_soak.py -q --timeout=0

# The drill of docs/OPERATIONS.md: every machine lost in turn, everything renewed, in the middle of a run; `make test` takes
# 150 rounds. STORE=postgresql://USER@HOST/DATABASE: two aggregators, of which one takes over.
DRILL_ROUNDS ?= 500
STORE ?=
drill: $(READY)
	@"$(PY)" -m benchmarks.drill --rounds "$(DRILL_ROUNDS)" $(if $(STORE),--store "$(STORE)")

# 1,000 damaged files against a slow reader; `make test` takes every sixth.
fuzz: export AFML_FUZZ := all
fuzz: $(READY)
	"$(PY)" -m pytest tests/genomics/fuzz -q --timeout=0

check: $(READY)
	"$(PY)" -m ruff check .
	"$(PY)" -m ruff format --check .
	"$(PY)" -m mypy
	"$(PY)" -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	"$(PY)" tools/wire.py --check
	"$(PY)" tools/map.py --check

readme: $(READY)
	"$(PY)" tools/results_table.py
	"$(PY)" tools/examples_table.py

# 200 audits of right noise and of noise 15 % short, with fixed seeds: some twenty minutes of a core.
audit-power: export OMP_NUM_THREADS := 1
audit-power: $(READY)
	@"$(PY)" -W ignore -m benchmarks.audit_power --out "$(RESULTS)/audit.json"

# One file to install anywhere: the same source gives the same bytes.
wheel: $(READY)
	@"$(PY)" tools/wheel.py

# `afml` on the path of the account that types this, from this checkout.
PREFIX ?= $(HOME)/.local
install: $(READY)
	@mkdir -p "$(PREFIX)/bin"
	@if [ -e "$(PREFIX)/bin/afml" ] && [ "$$(readlink "$(PREFIX)/bin/afml")" != "$(CURDIR)/.venv/bin/afml" ]; then \
		echo "install: $(PREFIX)/bin/afml is there and not of this checkout; remove it, or give PREFIX=FOLDER"; exit 2; fi
	@ln -sf "$(CURDIR)/.venv/bin/afml" "$(PREFIX)/bin/afml"
	@echo "install: $(PREFIX)/bin/afml"
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo "install: that folder is not on your path: export PATH=\"$(PREFIX)/bin:\$$PATH\"";; esac

# The documents as a site in build/site, its reference made from the code. A warning is an error.
docs: $(READY)
	"$(PY)" tools/reference.py
	"$(PY)" -m sphinx -q -W --keep-going -b html -c docs/site -d build/site-doctrees . build/site
	@echo "docs: build/site/docs/index.html"

# The map in docs/ARCHITECTURE.md is the tree on disk.
map: $(READY)
	"$(PY)" tools/map.py

wire: $(READY)
	"$(PY)" tools/wire.py

lock: $(READY)
	"$(PY)" tools/lock.py

# What a release carries for those who ask what ran (docs/SUPPLY_CHAIN.md).
sbom: $(READY) $(READY_SIM)
	@"$(PY)" tools/sbom.py

manifest: $(READY)
	@"$(PY)" tools/manifest.py

bench: $(READY)
	"$(PY)" -m benchmarks

bench-codec bench-privacy bench-memory bench-genomes bench-evaluation: bench-%: $(READY)
	"$(PY)" -m benchmarks $*

# A release of 5 x 100,000 people, of whom 2,000 sites are known: twenty minutes and 12 GB, outside `make bench`.
bench-evaluation-large: export PEOPLE := 100000
bench-evaluation-large: export SITES := 2000
bench-evaluation-large: export PATTERNS := 2500
bench-evaluation-large: export BINARY := 8
bench-evaluation-large: export QUANTITATIVE := 2
bench-evaluation-large: export PANEL := 2000
bench-evaluation-large: $(READY)
	"$(PY)" -m benchmarks evaluation

# NVFlare pins another TenSEAL: an environment of its own, outside `make bench` and CI.
PEERS := build/peers-venv
$(PEERS)/.ready-nvflare-2.9.0: $(READY)
	"$(PYTHON)" -m venv "$(PEERS)"
	"$(PEERS)/bin/pip" install -q --disable-pip-version-check "nvflare[HE]==2.9.0" "tenseal==0.3.15" "numpy==2.4.6"
	@touch "$@"

bench-peers: $(PEERS)/.ready-nvflare-2.9.0
	"$(PY)" -m benchmarks.peers

# On a quiet machine: two checkouts in turns, about a minute a pair (benchmarks/paired.py).
OLD ?=
PAIRS ?= 20
bench-paired: $(READY)
	@test -n "$(OLD)" || { echo "bench-paired: give OLD=FOLDER, a checkout of another commit"; exit 2; }
	@"$(PY)" -m benchmarks.paired "$(OLD)" . --pairs "$(PAIRS)"

# Never a ledger: what people have spent is not made again. runs/ is left as it is, and what under build/ holds one too.
clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache
	@for made in build/*; do \
		if [ -e "$$made" ] && find "$$made" -type d -name ledger | grep -q .; then echo "clean: kept $$made, which holds a ledger"; \
		else rm -rf "$$made"; fi; done
	@if [ -d runs ]; then echo "clean: kept runs/, which holds ledgers"; fi
