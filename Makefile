# One command per wish; each makes what it needs from a Python from 3.11 to 3.13 alone, and a second call finds it made.
#   PYTHON=python3.13   another interpreter        TESTS=tests/domain   some of the tests
#   WORKERS=4           test processes             ARGS="-x -k window"  more arguments for the command
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
WORKERS ?= 2
TESTS ?= tests
ARGS ?=
# .venv holds the sources as they stand and all tools: one environment for running and developing, because the tools
# are small beside Airflow. .venv-test holds the built wheel instead, so that packaging errors show as failing tests.
VENV ?= .venv
TEST_VENV ?= .venv-test
# The tools that check packages, secrets and workflows: apart, because one of their libraries (rfc3987-syntax) makes each start of
# Airflow more than a second longer where it is installed.
CHECKS_VENV ?= .venv-checks

MINOR := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 11) else "old")' 2>/dev/null)
LIBRARIES := pyproject.toml scripts/environment.py $(wildcard constraints/*.txt)
# Folders are in the list too: a removed file changes its folder's time.
SOURCES := $(shell find plugins/ddb_export -name __pycache__ -prune -o -print) README.md LICENSE
TYPED := $(wildcard plugins/ddb_export local_aws benchmarks scripts demo dags/*.py tests)
ENVIRONMENT := $(PYTHON) scripts/environment.py
PYTEST := $(TEST_VENV)/bin/python -m pytest -p scripts.strict_outcomes -n $(WORKERS) --dist loadfile

.PHONY: help venv test test-slow lint lint-ruff lint-types lint-layers format demo ui aws bench soak test-scheduler test-upgrade celery-check compose-config engine-check readers screenshots kill wheel guards scenarios examples runbook constraints packages sbom audit secrets workflows docs links test-versions clean python

help: ## Show this list.
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

venv: $(VENV)/.ready-$(MINOR) ## Make .venv with the provider and all tools (.venv/bin/ddb-export).

test: $(TEST_VENV)/.wheel-$(MINOR) ## Run the tests, without the slow ones, against the built wheel.
	@$(PYTEST) -m "not slow" $(ARGS) $(TESTS)

test-slow: $(TEST_VENV)/.wheel-$(MINOR) ## Run the slow tests against the built wheel.
	@$(PYTEST) -m slow $(ARGS) $(TESTS) || [ $$? -eq 5 ] # 5: none of these tests is slow

lint: lint-ruff lint-types lint-layers ## Check format, style, types and layers, as pre-commit does.

lint-ruff: venv
	@$(VENV)/bin/ruff format --check --quiet --output-format concise || { echo "error: not formatted. Remedy: make format" >&2; exit 1; }
	@$(VENV)/bin/ruff check --quiet --output-format concise
	@echo "ruff: ok"

lint-types: venv
	@$(VENV)/bin/mypy --no-error-summary $(TYPED)
	@echo "mypy: ok"

lint-layers: venv
	@mkdir -p build
	@PYTHONPATH=plugins $(VENV)/bin/lint-imports --no-logo --cache-dir build/import-linter >build/layers.log || { cat build/layers.log; exit 1; }
	@echo "import-linter: ok"

format: venv ## Format the sources and correct what ruff can.
	@$(VENV)/bin/ruff format --quiet
	@$(VENV)/bin/ruff check --fix --quiet

demo: venv ## Run real flights through DynamoDB, Airflow and Athena on this machine.
	@$(VENV)/bin/python -m demo $(ARGS)

ui: venv ## Leave Airflow and the local AWS up, with days of flights to click through, until Ctrl-C (ARGS="--days 3 --port 8081").
	@exec $(VENV)/bin/python -m demo.ui $(ARGS)

aws: python ## Start the local AWS (ARGS="--port 4566").
	@exec $(PYTHON) -m local_aws $(ARGS)

bench: venv ## Measure conversion, memory, parsing, planning and waiting; one table at the end (ARGS=planning for one, --quick for small sizes).
	@$(VENV)/bin/python -m benchmarks $(ARGS)

test-scheduler: venv ## Test backfills, clearing and deaths on a real Airflow with PostgreSQL (10 to 20 minutes).
	@$(VENV)/bin/python -m tests.scheduler $(ARGS)

test-upgrade: venv ## Upgrade the wheel of the commit before under a real Airflow with deferred tasks (10 minutes; ARGS="--from REV").
	@$(VENV)/bin/python -m tests.upgrade $(ARGS)

celery-check: venv ## Run docker-compose.yaml's services by hand, on two Celery workers (10 minutes; ARGS=scale: 50 tables).
	@$(VENV)/bin/python -m tests.celery $(ARGS)

compose-config: venv ## Hold docker-compose.yaml, and what celery-check reads in it, against the real Docker Compose (no engine; Docker or Go).
	@PYTHONPATH=. $(VENV)/bin/python scripts/compose_config.py $(ARGS)

engine-check: venv ## Run docker-compose.yaml in the engine that docker talks to (15 minutes; ARGS=--stand-ins where no registry is in reach).
	@$(VENV)/bin/python -m tests.engine $(ARGS)

readers: venv ## Read a lake with DuckDB, pyarrow, PySpark and a real Trino (5 minutes; needs Java and Maven).
	@$(VENV)/bin/python -m tests.readers $(ARGS)

screenshots: venv ## Take the pictures of docs/images anew (needs PostgreSQL and Chromium).
	@PYTHONPATH=. $(VENV)/bin/python scripts/screenshots.py $(ARGS)

kill: venv ## Kill processes at every AWS call of the pipeline (ARGS="--kind alone").
	@$(VENV)/bin/python -m tests.kill $(ARGS)

soak: venv ## Play random histories against the model of AWS (MINUTES=30 SEED=1).
	@$(VENV)/bin/python -m tests.model --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED)) $(ARGS)

wheel: $(TEST_VENV)/.wheel-$(MINOR) ## Build the wheel into build/dist.
	@ls build/dist/*.whl

guards: venv ## Disable one guard at a time; each must make a test go red (ARGS="token" for some).
	@$(VENV)/bin/python scripts/guards.py --workers $(WORKERS) $(ARGS)

packages: $(CHECKS_VENV)/.checks-$(MINOR) ## Build wheel and sdist into build/packages, twice alike, and check them.
	@$(CHECKS_VENV)/bin/python scripts/packages.py $(ARGS)

sbom: packages ## Write the CycloneDX SBOM of the locked environment into build/packages.
	@PYTHONPATH=. $(CHECKS_VENV)/bin/python scripts/sbom.py $(ARGS)

audit: $(CHECKS_VENV)/.checks-$(MINOR) ## Ask PyPI for known vulnerabilities of what constraints/ pins.
	@$(CHECKS_VENV)/bin/python scripts/audit.py $(ARGS)

secrets: $(CHECKS_VENV)/.checks-$(MINOR) ## Look for keys and passwords in what git would commit.
	@$(CHECKS_VENV)/bin/python scripts/secret_scan.py $(ARGS)

workflows: $(CHECKS_VENV)/.checks-$(MINOR) ## Check .github/ by its schemas and for what is dangerous.
	@$(CHECKS_VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(CHECKS_VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(CHECKS_VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	@$(CHECKS_VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(CHECKS_VENV)/bin/zizmor --offline --quiet --persona pedantic .github
	@echo "workflows: ok"

docs: $(VENV)/.docs-$(MINOR) ## Build the pages into build/docs; a warning is an error.
	@$(VENV)/bin/sphinx-build --builder html --fail-on-warning --keep-going --quiet --jobs auto --doctree-dir build/docs-cache --conf-dir docs $(ARGS) . build/docs
	@echo "docs: build/docs/index.html"

links: $(VENV)/.docs-$(MINOR) ## Ask other sites for every page that ours link to (needs the internet).
	@$(VENV)/bin/sphinx-build --builder linkcheck --quiet --doctree-dir build/docs-cache --conf-dir docs $(ARGS) . build/links
	@echo "links: ok"

test-versions: venv ## Test with the lowest and newest Airflow that is supported (ARGS="3.3.1" for another).
	@PYTHONPATH=. $(VENV)/bin/python scripts/versions.py $(ARGS)

scenarios: python ## Write docs/failures.md from the tests' markers.
	@$(PYTHON) scripts/scenarios.py

examples: venv ## Write the tables of docs/items-to-columns.md anew.
	@PYTHONPATH=. $(VENV)/bin/python scripts/examples.py

runbook: venv ## Write the tables of docs/runbook.md from the code.
	@PYTHONPATH=. $(VENV)/bin/python scripts/runbook.py

constraints: ## Write constraints/ anew with the newest versions (needs uv).
	@scripts/lock.sh $(ARGS)

clean: ## Remove what was made, environments too.
	@rm -rf build $(VENV) $(TEST_VENV) $(CHECKS_VENV) local_aws/.venv .hypothesis .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@case "$(MINOR)" in \
	  "") echo "error: $(PYTHON): does not run. Remedy: install Python 3.11 to 3.13, or name one: make PYTHON=/path/to/python3" >&2; exit 1;; \
	  old) echo "error: $(PYTHON): is older than 3.11. Remedy: name one from 3.11 to 3.13: make PYTHON=/path/to/python3" >&2; exit 1;; \
	esac

$(VENV)/.ready-$(MINOR): $(LIBRARIES) | python
	@$(ENVIRONMENT) $(VENV) --libraries --provider editable
	@touch $@

$(VENV)/.docs-$(MINOR): $(VENV)/.ready-$(MINOR)
	@$(ENVIRONMENT) $(VENV) --extra docs
	@touch $@

$(CHECKS_VENV)/.checks-$(MINOR): $(LIBRARIES) | python
	@$(ENVIRONMENT) $(CHECKS_VENV) --extra checks
	@touch $@

$(TEST_VENV)/.ready-$(MINOR): $(LIBRARIES) | python
	@$(ENVIRONMENT) $(TEST_VENV) --libraries
	@touch $@

$(TEST_VENV)/.wheel-$(MINOR): $(TEST_VENV)/.ready-$(MINOR) $(SOURCES)
	@$(ENVIRONMENT) $(TEST_VENV) --provider wheel
	@touch $@
