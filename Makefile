# `make demo` and `make test` on a fresh clone are all the set-up there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow train-smoke lint types docs bench clean

demo: $(VENV)/installed  ## a real clip, twice as smooth, and a picture of what happened inside
	$(BIN)/python demo.py

test: $(VENV)/installed  ## a process per core; each file's tests stay together, for what they share
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile

test-slow: $(VENV)/installed-extra  ## the long tests, and those that need the optional packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or extra" -n logical --dist loadfile -rR --durations 10

train-smoke: $(VENV)/installed  ## 512 steps on made-up moving shapes, two minutes of an idle machine; fails unless they beat averaging
	$(BIN)/python -m pytest -m slow -s tests/training/test_smoke.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-extra  ## mypy on the public modules
	$(BIN)/mypy

docs: $(VENV)/installed-extra  ## the pages in site/, no warning allowed
	$(BIN)/mkdocs build --strict

bench: $(VENV)/installed local/reference_wavelets  ## speed of the network and of the wavelets, beside what they replace
	$(BIN)/python benchmark/speed.py --network --parts --sizes 448x256 1280x720
	$(BIN)/python benchmark/speed.py --wavelets --reference_wavelets local/reference_wavelets

local/reference_wavelets: $(VENV)/installed
	$(BIN)/python -m pip install --no-deps --target $@ pytorch_wavelets==1.3.0 "setuptools<81"

$(VENV)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/installed-extra: requirements-extra.txt $(VENV)/installed
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-extra.txt
	touch $@

clean:
	rm -rf $(VENV) demo_output local site
