# Each target is one line: dev.py does the work, and runs without make as well.
PYTHON ?= python3
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test test-pgbouncer fuzz chaos bench bench-check bench-profile bench-scale check openapi api-diff lock up down backup restore stack-test clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Serve on SQLite with demo data; BIND=host:port moves it (127.0.0.1:8000)
	@$(PYTHON) dev.py run

test: ## Run the tests; ARGS="-k name" goes to pytest
	@$(PYTHON) dev.py test $(ARGS)

test-pgbouncer: ## Run the tests on PostgreSQL through a PgBouncer in transaction mode
	@TEST_PGBOUNCER=1 $(PYTHON) dev.py test -q $(ARGS)

fuzz: ## Run Schemathesis against the service, for minutes; ARGS="--examples N --seed S" bounds it
	@$(PYTHON) dev.py fuzz $(ARGS)

bench: ## Measure the service beside others (needs wrk); ARGS=--quick takes minutes
	@$(PYTHON) dev.py bench $(ARGS)

bench-check: ## Fail when a request costs 15 % more CPU than bench/baseline.json
	@$(PYTHON) dev.py bench-check $(ARGS)

bench-profile: ## Show where a request spends its CPU: ARGS=by-id, page-20, create, ...
	@$(PYTHON) dev.py bench-profile $(ARGS)

bench-scale: ## Measure pages of 10^7 rows, memory, workers, start-up; ARGS="pages start" names some
	@$(PYTHON) dev.py bench-scale $(ARGS)

chaos: ## Do faults to the service under load, in minutes; ARGS="hup redis_killed" names some
	@$(PYTHON) dev.py chaos $(ARGS)

check: ## Check style, types, imports, size, locks, migrations and the OpenAPI document
	@$(PYTHON) dev.py check

openapi: ## Write openapi.json anew from the routes
	@$(PYTHON) dev.py openapi

api-diff: ## Fail on a break of the API since the last tag, unless its major version moved
	@$(PYTHON) dev.py api-diff

lock: ## Make the locks anew from pyproject.toml (needs uv); ARGS=--upgrade lifts the versions
	@$(PYTHON) dev.py lock $(ARGS)

up: ## Start the stack: nginx, the service, PostgreSQL, Redis; writes .env when missing
	@$(PYTHON) dev.py env
	docker compose up -d --build --wait

down: ## Stop the stack and keep its data
	docker compose down

backup: ## Write the stack's data into a file in backups/, while it serves
	@$(PYTHON) dev.py backup

restore: ## Put a backup in the place of the running stack's data: FILE=backups/app-….dump
	@$(PYTHON) dev.py restore "$(FILE)"

stack-test: ## Bring a stack up, test it through nginx, take it down
	@PYTHON=$(PYTHON) tests/stack/run.sh

clean: ## Remove the environment and what the tools made; data and .env stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache htmlcov .coverage .coverage.* artifacts tools/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
