# Every target does its own set-up: Python 3.11 or later, make and a package index are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
INSTALLED := $(VENV)/.installed

.PHONY: setup quickstart smoke format lint types test check benchmark benchmark-gpu clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "rayoff needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev,mujoco]"
	@touch $@

quickstart: $(INSTALLED)
	$(BIN)/rayoff run quickstart

smoke: $(INSTALLED)
	$(BIN)/rayoff run quickstart --smoke

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/pyright

test: $(INSTALLED)
	$(BIN)/pytest -m "not gpu and not network" -n 2 --dist loadfile

check: lint types test

# d3rlpy pins another Gymnasium, so the peers have an environment of their own.
$(PEERS)/.installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --requirement $<
	@touch $@

benchmark: $(INSTALLED) $(PEERS)/.installed
	$(BIN)/python benchmarks/throughput.py --peer-python $(PEERS)/bin/python
	$(BIN)/python benchmarks/seem_cost.py

benchmark-gpu: $(INSTALLED)
	$(BIN)/python benchmarks/gpu.py

clean:
	rm -rf $(VENV) $(PEERS)
