# Set-up and the commands of every day. Needs python3 (3.11 or later) and make, nothing else.
#   make train                               the laptop experiment, about 10 minutes
#   make train ARGS="task=... algo=..."      anything else
#   make test, make check, make clean
#   make docs                                the documentation site, into build/site
#   make stress                              writes docs/reliability.md, about 30 minutes
#   make gpu                                 the first hour on a GPU, in steps that resume
#   make gpu STEP=bench_sim MINUTES=9        one step; STEP=list lists them; DEVICE=cpu rehearses
#   TORCH=2.12.0, PYTHON=python3.12          another torch or Python

PYTHON ?= python3
TORCH ?= 2.13.0
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/torch-$(TORCH).stamp

.PHONY: setup train test check docs gpu stress clean
.DEFAULT_GOAL := setup
# Every test process would compile all files anew.
unexport PYTHONDONTWRITEBYTECODE

setup: $(STAMP)

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: PYTHON=$(PYTHON): not found; install Python 3.11 or later, or set PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: PYTHON=$(PYTHON): $$($(PYTHON) --version) is too old for MuJoCo; use 3.11 or later: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: PYTHON=$(PYTHON): it lacks venv; install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 2; }
	@rm -f $(VENV)/torch-*.stamp
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==$(TORCH)" -e ".[mujoco,warp,gymnasium,rl-games,video,export,viewer,joblib,slurm,tune,dev]"
	@touch $@

train: $(STAMP)
	$(BIN)/python train.py $(if $(strip $(ARGS)),$(ARGS),experiment=laptop)

test: $(STAMP)
	$(BIN)/python -m pytest -n auto $(ARGS)

# The extra `docs`, installed at the first call of those who need it.
$(VENV)/docs.stamp: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	@touch $@

check: $(VENV)/docs.stamp
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m pyright

docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet -f docs/website/mkdocs.yml
	@echo "wrote build/site/index.html"

stress: $(STAMP)
	$(BIN)/python -m tests.stress $(ARGS)

gpu: $(STAMP)
	$(BIN)/python -m epo gpu $(if $(STEP),step=$(STEP)) $(if $(DEVICE),device=$(DEVICE)) $(if $(MINUTES),minutes=$(MINUTES)) $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
