# make demo: the whole workflow on simulated recordings, with DANet and SGN.  make test: the tests.  make all: every data set in place.
PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
GPUS ?= 1
BIN := .venv/bin
ifeq ($(GPUS),0)
$(error GPUS says how many trainings run at a time, with a GPU or without: expected 1 or more, got 0)
endif
# GPUS trainings, tests or maps at a time share the cores, up to 8 for each; without a GPU, that is how many run side by side.
SHARE = $(shell share=$$(( $(CORES) / $(GPUS) )); echo $$(( share < 1 ? 1 : share > 8 ? 8 : share )))
ALLOT = --cores $(CORES) --resources gpu=$(GPUS) --set-threads train=$(SHARE) evaluate=$(SHARE) attention_maps=$(SHARE)

.PHONY: demo all test env docs lock clean

demo: env
	$(BIN)/snakemake all $(ALLOT) --config runs=demo 'methods=[danet, sgn]'
	@echo "Report: $(CURDIR)/results/report/index.html"

all: env
	$(BIN)/snakemake all $(ALLOT)
	@echo "Report: $(CURDIR)/results/report/index.html"

test: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses auto --maxprocesses 8 --dist loadfile

# What follows from the code: the settings' schema and page, and the README's picture.
docs: env
	$(BIN)/python tools/generate.py
	$(BIN)/python tools/picture.py

env: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "danet needs Python 3.11 or later; say which: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The pinned closure of what is installed now; torch without the local part of its version.
lock:
	( echo "# What a fresh machine installs: the whole closure of pyproject.toml, made by 'make lock'."; \
	  $(BIN)/pip freeze --all --exclude-editable --exclude pip | sed 's/^\(torch==[^+]*\)+.*/\1/' ) > requirements.txt

clean:
	rm -rf .venv results logs .snakemake
