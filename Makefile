# Jetway. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
UV := .jetway/venvs/uv/bin/uv

# Where a shell sets it, every process would compile all modules anew, and pytest all asserts: a minute of `make test`.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo up down logs ui env unenv test test-all unit thorough integration loading load load-mixed chaos test-examples test-browser test-upgrade coverage mutants bench-cold-start \
  lint format types check audit dist sbom mwaa-packages airflow-lists module-table module-contents openapi decisions conformance walks architecture prefixes signals plugins build deploy adopt deploy-environment bench-workers bench-gate bench-plugins fuzz lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{gsub(/[$$][$$]/, "$$", $$2); printf "  %-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv from the hash-pinned lists (everything else does it when needed)

$(STAMP): export PYTHON := $(PYTHON)
$(STAMP): requirements/dev.txt requirements/uv.txt pyproject.toml
	@"$$PYTHON" tools/venvs.py

# ---------------------------------------------------------------------------------------------- local stack
demo: $(STAMP) ## Show the main job on the local stack; EXAMPLE=ml_pipeline shows that example (docs/examples.md)
	@$(BIN)/python -m $(if $(EXAMPLE),tools.examples $(EXAMPLE),tools.stack demo)

up: $(STAMP) ## Start the local stack (MiniStack, Airflow, MWAA gateway), deploy Jetway to it, put hello_jetway live
	@$(BIN)/python -m tools.stack up

ui: $(STAMP) ## Open the status page and Swagger UI of the local stack in a browser
	@$(BIN)/python -m tools.stack.ui

down: $(STAMP) ## Stop the local stack; this deletes its buckets, triggers, events, DAGs and runs
	@$(BIN)/python -m tools.stack down

logs: $(STAMP) ## Show the last lines of every log of the local stack
	@$(BIN)/python -m tools.stack logs

# Not by prerequisites: whatever fails, eval must fail too, and what it gets to read starts nothing.
env: ## Print the exports for `jetway`, aws, boto3 and the snippets of the docs: eval "$$(make -s env)"
	@{ $(MAKE) --silent $(STAMP) >&2 && $(BIN)/python -m tools.stack env; } || { echo false; exit 1; }

unenv: $(STAMP) ## Print the commands that unset them: eval "$$(make -s unenv)"
	@$(BIN)/python -m tools.stack unenv

# ---------------------------------------------------------------------------------------------- tests
# `unit` and `thorough` in one run, which imports everything once.
test: check ## Run what CI runs: static checks, unit tests, the main paths on the local stack
	$(BIN)/pytest -q -n auto -m "not slow" tests/unit
	@$(MAKE) --no-print-directory integration

test-all: check ## Run every test, the slow ones included (about an hour on two cores)
	$(BIN)/pytest -q -n auto tests/unit
	$(BIN)/pytest -q -n 2 tests/integration
	$(BIN)/pytest -q tests/make
	@$(MAKE) test-browser

unit: $(STAMP) ## Run the unit tests (no network, no Airflow)
	$(BIN)/pytest -q -n auto -m "not slow and not thorough" tests/unit

thorough: $(STAMP) ## Run the unit tests that drive AWS in process through many steps
	$(BIN)/pytest -q -n auto -m "thorough and not slow" tests/unit

integration: $(STAMP) ## Deploy to two local stacks of their own, one for each transport, and test on real Airflow
	$(BIN)/pytest -q --durations=15 -n 3 -m "not slow and not loading" tests/integration
	$(BIN)/python -m tools.checks.decisions --check

loading: $(STAMP) ## Check hundreds of files with a real Airflow (AIRFLOW_VERSION), without the stack (five minutes)
	$(BIN)/pytest -q -n 2 -m "loading and not slow" tests/integration

fuzz: $(STAMP) ## 2,000 artifacts of every kind from hypothesis, 500 from atheris: nothing must crash or stall
	@$(BIN)/python -m tools.checks.fuzz

load: $(STAMP) ## 1,000 events delivered three times in bad weather: what is lost or doubled (half an hour)
	$(BIN)/python -m tools.bench.load --sample-events 200

load-mixed: $(STAMP) ## 1,000 events of all kinds, delivered twice, while the gateway and functions are killed (half an hour each for REST and CLI)
	$(BIN)/python -m tools.bench.load --ways mixed --kills --transport rest
	$(BIN)/python -m tools.bench.load --ways mixed --kills --transport cli

chaos: $(STAMP) ## Three rounds of 60 DAG files, good and bad, while functions are killed: what is live, and what was published (three quarters of an hour)
	$(BIN)/python -m tools.bench.chaos

test-examples: $(STAMP) ## Run every example of dags/ to success on a local stack of its own
	$(BIN)/pytest -q tests/integration/test_examples.py tests/integration/test_run_from_everywhere.py

test-browser: $(STAMP) ## Test pages and API in a real browser and by schemathesis, on a local stack of its own (needs Chromium)
	@$(BIN)/python tools/venvs.py browser
	.jetway/venvs/browser/bin/pytest -q -p no:schemathesis tests/browser
	.jetway/venvs/browser/bin/pytest -q tests/schema

test-upgrade: $(STAMP) ## Deploy the version before, this one over it, and back, with work left everywhere: nothing is lost or doubled (half an hour)
	$(BIN)/pytest -q -x tests/upgrade

coverage: $(STAMP) ## Measure which lines and branches of functions/ and layers/ the tests reach; fails below 95 %, or 85 % of a file
	@$(BIN)/python -m tools.checks.coverage

mutants: $(STAMP) ## Plant 400 faults where a survivor loses data; fails when tests find less than 90 % (an hour on two cores)
	@PYTHONPATH=. "$$($(BIN)/python -c 'from tools import venvs; print(venvs.ensure("mutants"))')" -m tools.checks.mutants

# ---------------------------------------------------------------------------------------------- benchmarks
bench-workers: $(STAMP) ## Replay loads through MWAA's autoscaling, with and without scale_workers, and draw them
	@PYTHONPATH=.:layers/jetway "$$($(BIN)/python -c 'from tools import venvs; print(venvs.ensure("bench"))')" \
	  -m tools.bench.workers --plot docs/pictures

bench-cold-start: $(STAMP) ## Measure cold and warm starts of the HTTP API's function
	@$(BIN)/python -m tools.bench.cold_start

bench-plugins: $(STAMP) ## Check a plugins.zip of 10 MiB and one of 1 GB, and measure the memory
	@$(BIN)/python -m tools.bench.plugins

bench-gate: $(STAMP) ## Compare the gate with the real DagBag: files of others, good files of each kind, mutants, requirements (an hour and more)
	@$(BIN)/python -m tools.bench.gate --output docs/gate-agreement.md

# ---------------------------------------------------------------------------------------------- checks
check: lint types ## Run all static checks

# import-linter finds packages as Python does, so it is told where their folders are.
lint: $(STAMP) ## ruff, import-linter, cfn-lint, zizmor, prose; cfn-lint and parliament on the transformed templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=layers/jetway:layers/loader:cli:plugins $(BIN)/lint-imports --no-logo --cache-dir .jetway/import-linter
	$(BIN)/cfn-lint template.yaml environment.yaml
	$(BIN)/zizmor --offline --quiet --persona auditor --format plain .github action.yml
	$(BIN)/python -m tools.checks.lint_stacks
	$(BIN)/python -m tools.checks.prose

audit: lint ## checkov, bandit, zizmor, detect-secrets and pip-audit; each finding is fixed or explained (two minutes)
	@$(BIN)/python -m tools.checks.audit $(AUDIT)

dist: $(STAMP) ## Build what a release has: the command line's wheel, what it installs, what is shipped (build/dist)
	@rm -rf build/dist
	@SOURCE_DATE_EPOCH=0 $(UV) build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir build/dist
	@cp requirements/cli.txt build/dist/
	@$(BIN)/python -m tools.checks.sbom build/dist

sbom: $(STAMP) ## Write what is shipped, package by package, as CycloneDX (build/sbom)
	@$(BIN)/python -m tools.checks.sbom

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

mwaa-packages: $(STAMP) ## Write what each Airflow version on MWAA ships, from AWS's published images (IMAGES=their checkout)
	$(BIN)/python -m tools.generate.mwaa_packages $(if $(IMAGES),"$$IMAGES")

airflow-lists: $(STAMP) ## Compile requirements/airflow-*.txt: all that MWAA's images have, at their pins
	$(BIN)/python -m tools.generate.airflow_lists

module-contents: $(STAMP) ## Write which modules and names of providers Jetway has stand-ins for, from their wheels
	$(BIN)/python -m tools.generate.module_contents

module-table: $(STAMP) ## Write which modules the distributions of MWAA's images bring, from the Airflows of the local stack
	$(BIN)/python -m tools.generate.module_table

openapi: $(STAMP) ## Write docs/openapi.json from the code of the HTTP API
	PYTHONPATH=layers/jetway $(BIN)/python -m tools.generate.openapi

decisions: $(STAMP) ## Compare the roles' permissions with what the last `make integration` used; write doctor's list
	@$(BIN)/python -m tools.checks.decisions

walks: $(STAMP) ## Count how often a piece of work goes back and forth between the modules of the library
	@WALKS=1 $(BIN)/pytest -q -s -p no:xdist tests/unit/test_walks.py | grep returns

architecture: $(STAMP) ## Write the picture of docs/architecture.md from the code
	PYTHONPATH=layers/jetway $(BIN)/python -m tools.generate.architecture

prefixes: $(STAMP) ## Write the table of docs/security.md, who can write to which prefix of the drop bucket, from the template
	PYTHONPATH=layers/jetway $(BIN)/python -m tools.generate.prefixes

signals: $(STAMP) ## Write docs/signals.md, what every place shows in every state, from the table that its tests obey
	$(BIN)/python -m tests.unit.signals

format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# ---------------------------------------------------------------------------------------------- AWS
plugins: $(STAMP) ## Create build/plugins.zip from plugins/; you can drop it as it is
	@$(BIN)/python -m tools.generate.plugins_zip

PROFILE ?= default

build: $(STAMP) ## sam build
	@PYTHON="$$($(BIN)/python -c 'from tools import venvs; print(venvs.python_with_pip())')" \
	  "$$($(BIN)/python -c 'from tools import venvs; print(venvs.ensure("sam").with_name("sam"))')" build $(if $(ARCHITECTURE),--no-cached)

deploy: $(STAMP) ## Deploy Jetway to AWS; ENVIRONMENT=NAME to that MWAA environment, PROFILE=prod by that profile (docs/environments.md)
	@$(BIN)/python -m tools.aws.aws_deploy jetway $(PROFILE) $(ENVIRONMENT)

adopt: $(STAMP) ## Create the stack again over the bucket, tables and key of a deleted one; then make deploy (docs/environments.md)
	@$(BIN)/python -m tools.aws.adopt $(PROFILE) $(LEFT)

conformance: $(STAMP) ## Ask AWS what only AWS can settle, and write the answers down (docs/conformance.md); cleans up after itself
	@$(BIN)/python -m tools.aws.conformance $(CONFORMANCE)

deploy-environment: $(STAMP) ## Create an MWAA environment in AWS; about half an hour; PROFILE as above
	@$(BIN)/python -m tools.aws.aws_deploy environment $(PROFILE)

# ---------------------------------------------------------------------------------------------- upkeep
COMPILE = $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11

lock: $(STAMP) ## Compile requirements/*.in to hash-pinned lists
	$(COMPILE) requirements/runtime.in -o layers/jetway/requirements.txt
	$(COMPILE) requirements/runtime.in requirements/cli.in requirements/build.in -c layers/jetway/requirements.txt -o requirements/cli.txt
	for list in uv ruff audit dev coverage mutants sam ministack bench browser lambda fuzz awscli airflow-client; do $(COMPILE) requirements/$$list.in -o requirements/$$list.txt || exit 1; done

clean: down ## Stop everything and remove all that is not in git
	rm -rf .jetway .venv .aws-sam build .pytest_cache .mypy_cache .ruff_cache .hypothesis
