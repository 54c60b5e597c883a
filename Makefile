# On a bare machine with Python 3.11 or later and make:
#   make train   installs, trains a LeNet on the embedded digits, evaluates it
#   make test    runs the tests that are quick; make test-all runs all
#   make docs    builds the site of the documents, with the reference of all names
#
# PYTHON is the newest Python here that runs and can make environments. Each name is tried by
# running it: a name on the PATH may belong to a version manager that only prints an error.
CAN_INSTALL := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
  $$name -c "$(CAN_INSTALL)" >/dev/null 2>&1 && echo $$name && break; done)
VENV   := .venv
BIN    := $(VENV)/bin
RUNS   ?= runs

.PHONY: install train announce-train test test-all test-newest check docs bench aot clean

install: $(VENV)/.installed

# CONSTRAINTS holds the tested versions; empty means the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK = 1
INSTALL = $(BIN)/python -m pip install --quiet $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: jslim needs Python 3.11 or later with its modules venv \
	and ensurepip, and none was found; install one, or give it: make $(MAKECMDGOALS) PYTHON=PATH"; \
	exit 2; } >&2
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[dev]'
	touch $@

$(VENV)/.installed-docs $(VENV)/.installed-full: $(VENV)/.installed-%: $(VENV)/.installed
	$(INSTALL) '.[$*]'
	touch $@

# Made in this order: the first one says what the next ones take their time for.
train: announce-train install
	$(BIN)/python train.py --dataset_name=digits --model_name=lenet \
	  --train_dir=$(RUNS)/digits --train_image_size=8 --batch_size=32 \
	  --max_number_of_steps=1500 --optimizer=momentum --learning_rate=0.02 \
	  --learning_rate_decay_type=polynomial --num_epochs_per_decay=33 \
	  --weight_decay=0.0005 --log_every_n_steps=50 --eval_every=500

announce-train:
	@echo "make train: installs jslim into $(VENV), which takes some minutes the first time;"
	@echo "then trains a LeNet on the digits that come with it, in about a minute."

test: install
	$(BIN)/python -m pytest -m "not long"

test-all: $(VENV)/.installed-full
	$(BIN)/python -m pytest

# The quick tests with the newest versions that pyproject.toml allows, on each Python found.
test-newest:
	@for name in python3.11 python3.12 python3.13; do \
	  $$name -c "$(CAN_INSTALL)" >/dev/null 2>&1 || { echo "no $$name here"; continue; }; \
	  $(MAKE) test PYTHON=$$name VENV=$(VENV)-newest-$$name CONSTRAINTS= || exit; \
	done

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/links.py

# The site; a warning is an error (but with --quiet, which hides it). Material tells of its successor unless the variable is set.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict \
	  --config-file docs/site/mkdocs.yml
	@echo "built build/site/index.html"

bench: install
	$(BIN)/python -m benchmarks

# What the compilers of TPUs and GPUs make of a step, beside Flax's; half an hour on two cores.
$(VENV)-aot/.installed: pyproject.toml constraints.txt requirements-aot.txt
	test -x $(VENV)-aot/bin/python || $(PYTHON) -m venv $(VENV)-aot
	$(VENV)-aot/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --requirement requirements-aot.txt --editable .
	touch $@

aot: $(VENV)-aot/.installed
	$(VENV)-aot/bin/python -m benchmarks.aot --bars

clean:
	rm -rf $(VENV) $(VENV)-* $(RUNS) build dist .pytest_cache .ruff_cache .mypy_cache
