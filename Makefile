# Two commands matter: `make demo` and `make test`. Both set up what they need. `make help` lists the others.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
# A process per core, each on one thread; one that has nothing left takes tests from another.
PYTEST := $(RUN) -m pytest -n auto --dist worksteal

.DEFAULT_GOAL := demo
.PHONY: help setup demo reproduce unit test test-all bench device check clean

help:
	@echo "make demo       pretrain, evaluate and report at toy size"
	@echo "make unit       the quick tests: no process, no training"
	@echo "make test       what every change must pass: format, types, import rules, tests"
	@echo "make test-all   the same and the long campaigns"
	@echo "make bench      speed, as ratios to a peer"
	@echo "make device     on a node with a GPU: is it right there, and how fast? docs/device.md"
	@echo "make reproduce  the CIFAR-10 ablation, hours; ABLATION=cifar10-branch JOBS=2: another"
	@echo "make setup      the environment alone; make clean removes it and runs/"

# Networks this small compute best on one thread, while a second process loads.
demo: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m hsa_bench.run --preset demo --workers 1 --out runs/demo

# An ablation on CIFAR-10, some hours on a CPU: docs/results/. Killed, it goes on. ABLATION=cifar10-branch starts
# HSA where MoCo v2 has learnt already. JOBS pretrainings or evaluations at a time, on a thread each.
ABLATION ?= cifar10
DATA ?= data
JOBS ?= 1
reproduce: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m hsa_bench.reproduce $(ABLATION) --data $(DATA) --workers 1 --jobs $(JOBS) \
		--out runs/$(ABLATION)

unit: $(READY)
	$(PYTEST) -m unit

test: check
	$(PYTEST) --durations=15 -m "not long"

# Ratios to a peer in the same run. Threads spin, as they do where nothing else runs.
bench: $(READY)
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[bench]"
	OMP_NUM_THREADS=$$(getconf _NPROCESSORS_ONLN) OMP_WAIT_POLICY=active $(RUN) -m pytest --benchmark-enable --benchmark-only -s tests/benchmarks

# Uses the Python and the torch of the node it runs on, and wheels that tools/offline.py packed, where WHEELS names
# their folder: docs/device.md. DEVICE=cpu TINY=1 rehearses it.
PIECE ?= all
OUT ?= runs/device
DEVICE ?= cuda
SECONDS ?= 540
MINUTES ?= 25
DEVICE_OPTIONS = --piece $(PIECE) --out "$(OUT)" --device $(DEVICE) --seconds $(SECONDS) \
	--data "$(DATA)" --minutes $(MINUTES)
device:
	PYTHONPATH="$(CURDIR)$(if $(WHEELS),:$(WHEELS))" $(PYTHON) -W default -m tools.device $(DEVICE_OPTIONS) \
		$(if $(TINY),--tiny) $(if $(FORCE),--force)

test-all: check
	$(PYTEST) --durations=15

check: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hsa_bench needs Python 3.11 or newer; set PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf runs $(VENV)
