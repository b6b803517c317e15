# Everything happens in .venv, which is made on first use. Needs Python 3.11 or newer with its headers, a C++ compiler and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench clean

demo: $(READY)  ## train the seed network on JapaneseVowels
	$(BIN)/quadgate train JapaneseVowels --preset seed --seed 1

test: $(READY)  ## every test that takes less than a few minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2  # two processes of two threads each would wait for each other

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/quadgate bench

clean:
	rm -rf $(VENV) build

$(READY): pyproject.toml constraints.txt CMakeLists.txt $(wildcard cpp/*/*)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable '.[dev]'
	touch $(READY)
