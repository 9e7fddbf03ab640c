# make demo: from a clean machine to a verdict.   make test: every test that this machine can run.
# make venv, make lint: their parts.   make test-slow: the matrices.   make bench: the figures.   make clean: no .venv.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: venv demo test test-slow fuzz lint bench clean packages

VENV := .venv
BIN := $(VENV)/bin
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export LC_ALL := C.UTF-8

venv: $(VENV)/.made

$(VENV)/.made: pyproject.toml constraints.txt | packages
	@echo "venv      installing Python packages into $(VENV), about 30 s"
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# Debian packages that the Makefile itself needs; the lab names and installs its own.
packages:
	@for p in python3 ssh; do command -v $$p >/dev/null || missing=1; done; \
	python3 -c 'import venv, ensurepip' 2>/dev/null || missing=1; \
	if [ -n "$${missing:-}" ]; then \
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "make: install python3, python3-venv and openssh-client first (or run this as root on Debian)" >&2; exit 3; fi; \
	  echo "packages  installing python3-venv and openssh-client"; \
	  said=$$(apt-get update -q 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
	    python3 python3-venv openssh-client 2>&1) || { tail -n 5 <<<"$$said" >&2; exit 3; }; \
	fi

demo: venv
	@$(BIN)/callmaybe demo

lint: venv
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/yamllint --strict .
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint -q

test: lint
	@tests/install-packages
	@$(BIN)/python tests/run.py

# What takes longer: a million random histories; a hundred drawn grudges, a hundred killed controllers; all databases, other
# releases and sizes of the lab, and twenty times up and down.
test-slow: venv
	@tests/install-packages
	@CALLMAYBE_RANDOM_HISTORIES=1000000 $(BIN)/pytest --timeout 3600 tests/unit/test_linear.py
	@CALLMAYBE_GRUDGES=100 $(BIN)/pytest tests/packet/test_cuts.py -k drawn
	@CALLMAYBE_KILL_ROUNDS=100 $(BIN)/pytest tests/lab/test_controller_killed.py
	@CALLMAYBE_DATABASES=all $(BIN)/pytest tests/lab/test_roles.py
	@CALLMAYBE_SLOW=1 CALLMAYBE_LAB_ROUNDS=20 $(BIN)/pytest tests/lab/test_lab.py tests/lab/test_lab_leaves_nothing.py \
	  tests/lab/test_releases.py

# Readers against bytes that nobody thought of; FUZZ_S seconds.
FUZZ_S := 120
fuzz: venv
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	  { echo "make: atheris has no wheel for this Python or machine, so the readers cannot be fuzzed here" >&2; exit 3; }
	@$(BIN)/python tests/fuzz/fuzz_read.py -max_total_time=$(FUZZ_S)

bench: venv
	@$(BIN)/python bench/bench_recorder.py
	@$(BIN)/python bench/bench_read.py
	@$(BIN)/python bench/bench_linear.py
	@$(BIN)/python bench/bench_rules.py
	@$(BIN)/python bench/bench_shaper.py
	@$(BIN)/python bench/bench_windows.py
	@$(BIN)/python bench/bench_lab.py
	@trap '$(BIN)/callmaybe lab down' EXIT; $(BIN)/callmaybe lab up; $(BIN)/python bench/bench_faults.py --windows 100; \
	  $(BIN)/python bench/bench_databases.py

clean:
	@rm -rf $(VENV)
