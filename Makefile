# make demo · make test · make bench · make clean
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test bench clean

demo: $(VENV)/installed
	$(BIN)/talweg compare digits

# A process for each core, with one thread each: tests that are about threads say how many.
test: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist worksteal

bench: $(VENV)/installed-test
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/lanes.py --json benchmarks/results/lanes.json
	$(BIN)/python benchmarks/optimizers.py --json benchmarks/results/optimizers.json
	$(BIN)/python benchmarks/first_step.py --json benchmarks/results/first_step.json
	$(BIN)/python benchmarks/find_lr.py --json benchmarks/results/find_lr.json

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) build .pytest_cache .ruff_cache
