# The one task runner. Needs make and Python 3.11 or newer with pip; `make lock` also needs uv.
# pip's own settings (index, proxy, certificates) are taken from the environment as they are.

# What is deleted here is called by its name: in another folder that would be somebody else's.
ifneq ($(realpath $(CURDIR)),$(realpath $(dir $(firstword $(MAKEFILE_LIST)))))
$(error run make in the folder of this Makefile: make -C $(dir $(firstword $(MAKEFILE_LIST))))
endif

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODELS := $(CURDIR)/$(VENV)/models

# A folder of the caller's that holds a pipeline/ or filters/ must not be imported instead.
export PYTHONSAFEPATH := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PHLOEM_MODELS ?= $(MODELS)

.DEFAULT_GOAL := help
.PHONY: help quickstart test spark spark-env dataflow dataflow-env torch torch-env check lint style format types imports docs-check vetoes lock docs bench \
	wheel nightly clean venv venv-dev models

help: ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 18

quickstart: venv models ## set up, run the recipe `quickstart`, say where report and release lie
	$(BIN)/phloem run quickstart $(ARGS)

# A file's tests stay in one process, which makes what they share once.
ALL_CORES := -n auto --maxprocesses 8 --dist loadfile

test: venv-dev models ## set up and run the tests, on all cores
	$(BIN)/python -m pytest $(ALL_CORES) -m "not nightly and not spark" $(ARGS)

# Spark is no dependency: it and its job server belong to the cluster, which the tests start here.
SPARK := .spark
ON_SPARK = PHLOEM_SPARK_HOME=$$($(SPARK)/env/bin/python -c 'import pyspark; print(*pyspark.__path__)') \
	PHLOEM_JOB_SERVER_JAR=$(abspath $(SPARK))/phloem-job-server.jar
spark: venv-dev models spark-env ## set up a Spark cluster (needs Java 17 and Maven), and test on it
	$(ON_SPARK) $(BIN)/python -m pytest -m "spark and not nightly" $(ARGS)

spark-env:
	@test -x $(SPARK)/env/bin/spark-submit || { $(PYTHON) -m venv $(SPARK)/env && \
		$(SPARK)/env/bin/python -m pip --quiet install --progress-bar off pyspark==3.5.9; }
	@test -f $(SPARK)/phloem-job-server.jar || \
		mvn -q -B package -f pipeline/engines/spark/pom.xml -Dto=$(abspath $(SPARK))

# Remove an environment, and no other folder that VARIABLE=… may name.
REMOVE = { [ ! -e "$(1)" ] || [ -e "$(1)/pyvenv.cfg" ] || { echo "$(1) is no environment, and is left alone" >&2; exit 1; }; rm -rf "$(1)"; }

# Beam's client for Google Cloud brings as many packages again, one of them without a wheel.
DATAFLOW := .dataflow
dataflow: models dataflow-env ## set up Beam's client for Google Cloud, and test the dry run for Dataflow
	$(DATAFLOW)/bin/python -m pytest tests/pipeline/engines/test_dataflow.py $(ARGS)

dataflow-env:
	@cmp -s requirements-dataflow.lock $(DATAFLOW)/requirements-dataflow.lock || { \
		$(call REMOVE,$(DATAFLOW)) && $(PYTHON) -m venv $(DATAFLOW) && \
		$(DATAFLOW)/bin/$(PIP_INSTALL) $(WHEELS) -r requirements-dev.lock && \
		$(DATAFLOW)/bin/$(PIP_INSTALL) $(WHEELS) --no-binary google-apitools \
			--no-build-isolation -r requirements-dataflow.lock && \
		$(DATAFLOW)/bin/$(PIP_INSTALL) --no-deps --no-build-isolation --editable . && \
		cp requirements-dataflow.lock $(DATAFLOW)/; }

# The index's PyTorch for Linux is one for CUDA: without NVIDIA's libraries it cannot be imported, and
# with them it runs on a processor as well. That is 3 GB to fetch and 6 GB on the disk, so neither
# `make test` nor .ci/run does it. A build for processors alone lies on an index of PyTorch's own.
TORCH := .torch
torch: torch-env ## set up PyTorch (3 GB), and test the loader under it, on the processor
	$(TORCH)/bin/python -m pytest tests/catalog/test_torch.py \
		"tests/test_face.py::test_example_of_each_name_gives_what_it_says[as_torch]" $(ARGS)

torch-env:
	@cmp -s requirements-torch.lock $(TORCH)/requirements-torch.lock || { \
		$(call REMOVE,$(TORCH)) && $(PYTHON) -m venv $(TORCH) && \
		$(TORCH)/bin/$(PIP_INSTALL) $(WHEELS) -r requirements-dev.lock && \
		$(TORCH)/bin/$(PIP_INSTALL) $(WHEELS) -r requirements-torch.lock && \
		$(TORCH)/bin/$(PIP_INSTALL) --no-deps --no-build-isolation --editable . && \
		cp requirements-torch.lock $(TORCH)/; }

check: lint models ## style, types, import rules, generated docs and the tests that need no Beam
	$(BIN)/python -m pytest -q $(ALL_CORES) -m "not nightly and not beam" $(ARGS)

lint: style format types imports docs-check vetoes ## what `check` does before the tests

style: venv-dev
	$(BIN)/ruff check --output-format concise .

format: venv-dev
	$(BIN)/ruff format --check .

types: venv-dev
	$(BIN)/mypy

imports: venv-dev
	$(BIN)/lint-imports --no-logo

vetoes: venv-dev
	$(BIN)/phloem thresholds lint

docs-check: venv-dev
	$(BIN)/python -m phloem.pipeline.docs --check

docs: venv-dev ## write the generated parts of the pages anew
	$(BIN)/python -m phloem.pipeline.docs

bench: venv ## measure every op and the whole run: make bench DATA=folder of jsonl.gz files
	$(BIN)/phloem bench --data "$(DATA)" $(ARGS)

# Out of an empty folder: what an older build left there would go into the wheel too.
wheel: venv ## build the wheel, which installs anywhere: pip install 'dist/phloem-….whl[s3]'
	@rm -rf build dist
	@$(BIN)/python -m pip --quiet wheel --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

nightly: venv-dev models spark-env dataflow-env torch-env ## run the long tests and write docs/nightly.md; ARGS=soak: one part
	$(ON_SPARK) $(BIN)/python tests/nightly.py $(ARGS)

clean: ## remove the environment and all caches; data of runs stays
	@[ ! -e "$(VENV)" ] || [ -e "$(MADE)" ] || { echo "$(VENV) was not made by make, and is left alone" >&2; exit 1; }
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Lock files --------------------------------------------------------------------------------------
# Names, versions and hashes for every platform, and no address: each machine asks its own index.
# `make lock UPGRADE=--upgrade` moves all pins.
COMPILE := env -u PIP_FIND_LINKS -u UV_FIND_LINKS UV_CUSTOM_COMPILE_COMMAND='make lock' \
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links $(UPGRADE) pyproject.toml -
BUILD := printf 'setuptools>=77\n' # what builds the project itself is locked too

lock: ## resolve the lock files anew (needs uv)
	$(BUILD) | $(COMPILE) --output-file requirements.lock >/dev/null
	$(BUILD) | $(COMPILE) --constraint requirements.lock --group dev --output-file requirements-dev.lock >/dev/null
	for extra in torch ner dataflow s3 telemetry; do \
		$(BUILD) | $(COMPILE) --constraint requirements.lock --extra $$extra \
			--output-file requirements-$$extra.lock >/dev/null || exit 1; \
	done

# The environment ---------------------------------------------------------------------------------
# It keeps copies of the lock and of pyproject.toml that it was made from, and is made again when
# they differ. The development lock holds all pins of the other, so it may be laid on top.
PIP_INSTALL := python -m pip --quiet install --progress-bar off
PIP := $(BIN)/$(PIP_INSTALL)
WHEELS := --require-hashes --only-binary :all: # no package's build code runs
MADE := $(VENV)/made-by-make

define CHECK_PYTHON
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Phloem needs Python 3.11 or newer, but '$(PYTHON)' is" \
		"$$($(PYTHON) --version 2>/dev/null || echo missing);" \
		"name another one: make PYTHON=python3.12 ..." >&2; exit 1; }; \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "'$(PYTHON)' lacks the module venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	exit 1; }; \
[ ! -e $(VENV) ] || [ -e $(MADE) ] || { \
	echo "$(VENV) was not made by make, and is left alone: move it, or make VENV=.venv-2 ..." >&2; \
	exit 1; }
endef

venv:
	@if ! $(BIN)/python -c '' 2>/dev/null || ! cmp -s requirements.lock $(VENV)/requirements.lock; then \
		$(CHECK_PYTHON); \
		echo "Setting up $(VENV): $$(grep -c '==' requirements.lock) packages, a minute or two" && \
		rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && touch $(MADE) && \
		$(PIP) $(WHEELS) -r requirements.lock && \
		cp requirements.lock $(VENV)/requirements.lock; \
	fi
	@if ! cmp -s pyproject.toml $(VENV)/pyproject.toml; then \
		$(PIP) --no-deps --no-build-isolation --editable . && \
		cp pyproject.toml $(VENV)/pyproject.toml; \
	fi

venv-dev: venv
	@if ! cmp -s requirements-dev.lock $(VENV)/requirements-dev.lock; then \
		echo "Adding what tests and checks need" && \
		$(PIP) $(WHEELS) -r requirements-dev.lock && \
		cp requirements-dev.lock $(VENV)/requirements-dev.lock; \
	fi

# Fetching waits for the index, compiling for the processor: one beside the other.
models: venv
	@$(BIN)/python -m phloem.pipeline.engines.warm & compiling=$$!; \
	$(BIN)/python -m phloem.pipeline.registry.models $(PHLOEM_MODELS) && wait $$compiling
