# `make demo` and `make test` are all a newcomer needs. Both set .venv up first; stamps make that free when nothing
# changed. pip's own settings (an index for the CPU build of torch, a proxy) apply.

VENV := .venv
BIN := $(VENV)/bin
# The first interpreter of a supported version; override with `make PYTHON=…`.
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$python && break; done)
DEMO_ARGS ?=
TEST_ARGS ?=

.PHONY: demo test test-cluster test-long lint docs package lock audit sbom
.DELETE_ON_ERROR:

demo: $(VENV)/.core-stamp  ## Train the embedded model and show that it got better.
	$(BIN)/rethinker train recipes/tiny.yaml $(DEMO_ARGS)

test: $(VENV)/.test-stamp  ## Everything that is quick.
	$(BIN)/python -m pytest $(TEST_ARGS)

test-cluster: $(VENV)/.test-stamp  ## Real clusters whose processes are really killed.
	$(BIN)/python -m pytest -m cluster $(TEST_ARGS)

test-long: $(VENV)/.test-stamp  ## What takes minutes.
	$(BIN)/python -m pytest -m long $(TEST_ARGS)

lint: $(VENV)/.test-stamp  ## Style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs-stamp  ## The site, in site/; anything that does not resolve is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

package: $(VENV)/.test-stamp sbom  ## A wheel and an sdist in dist/, each installed into an empty environment and used there, with their SBOM.
	$(BIN)/python -m scripts.check_package

lock: $(VENV)/.core-stamp $(VENV)/.tools-stamp  ## locks/ anew, after a change of constraints.txt or pyproject.toml.
	PATH="$(CURDIR)/$(VENV)/tools/bin:$$PATH" $(BIN)/python -m scripts.lock

audit: $(VENV)/.tools-stamp  ## Known vulnerabilities of what the locks hold; asks an advisory service. One not asked about fails.
	@for lock in core torch docs test build trackio tools latex2sympy megabench; do \
		echo "locks/$$lock.txt" && $(VENV)/tools/bin/pip-audit --strict --disable-pip --require-hashes -r locks/$$lock.txt || exit 1; done

sbom: $(VENV)/.tools-stamp  ## dist/rethinker.cdx.json: what `pip install rethinker` brings, at the tested versions (CycloneDX).
	@mkdir -p dist
	cat locks/torch.txt locks/core.txt | $(VENV)/tools/bin/cyclonedx-py requirements - --pyproject pyproject.toml --output-reproducible --validate -o dist/rethinker.cdx.json

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or 3.12 found; install one or pass PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/.core-stamp: pyproject.toml constraints.txt locks/build.txt locks/torch.txt locks/torch-cpu.txt locks/core.txt scripts/install_locked.py src/rethinker/mend_torchvision.py | $(BIN)/python
	$(BIN)/python scripts/install_locked.py core
	$(BIN)/python -m rethinker.mend_torchvision
	@touch $@

$(VENV)/.docs-stamp: $(VENV)/.core-stamp locks/docs.txt
	$(BIN)/python scripts/install_locked.py docs
	@touch $@

$(VENV)/.test-stamp: $(VENV)/.core-stamp locks/test.txt locks/trackio.txt locks/latex2sympy.txt locks/megabench.txt scripts/drop_broken_wheels.py scripts/make_scorers.py src/rethinker/evaluation/scorers.py
	$(BIN)/python scripts/install_locked.py test
	$(BIN)/python scripts/drop_broken_wheels.py
	$(BIN)/python scripts/make_scorers.py
	$(PIP) --no-deps --require-hashes --upgrade --target $(VENV)/trackio -r locks/trackio.txt
	@touch $@

$(VENV)/.tools-stamp: locks/tools.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/tools
	$(VENV)/tools/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r locks/tools.txt
	@touch $@
