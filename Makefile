# dev.py does the work; it also runs without make.
PYTHON ?= python3
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run dev shell routes test test-slow test-pgbouncer fuzz chaos new check openapi api-diff lock upgrade rehearse-upgrade up down backup restore clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Serve on SQLite with demo data; BIND=host:port sets the address (127.0.0.1:8000)
	@$(PYTHON) dev.py run

dev: ## Serve as `run` does, with reload and debugger
	@$(PYTHON) dev.py dev

shell: ## Open a Python shell with the application, `db` and the models
	@$(PYTHON) dev.py shell

routes: ## List every route with its access rule, rate limit and response
	@$(PYTHON) dev.py routes

test: ## Run the tests that are not slow, with coverage; ARGS="-k name" replaces both
	@$(PYTHON) dev.py test $(ARGS)

test-slow: ## Run the slow tests
	@$(PYTHON) dev.py test-slow $(ARGS)

test-pgbouncer: ## Run the tests on PostgreSQL through a PgBouncer in transaction mode
	@TEST_PGBOUNCER=1 $(PYTHON) dev.py test -q $(ARGS)

.PHONY: new
new: ## Make your own service beside this one, without the samples: NAME=shop-api
	@$(PYTHON) dev.py new "$(NAME)"

fuzz: ## Run Schemathesis against the service; ARGS="--examples N --seed S" limits the cases
	@$(PYTHON) dev.py fuzz $(ARGS)

# begin products tasks
.PHONY: bench bench-check bench-profile bench-scale

bench: ## Compare the service with other frameworks (needs wrk); ARGS=--quick takes minutes
	@$(PYTHON) dev.py bench $(ARGS)

bench-check: ## Fail when a request costs 15 % more CPU than in the last release
	@$(PYTHON) dev.py bench-check $(ARGS)

bench-profile: ## Show where a request spends its CPU; ARGS=by-id, page-20, create, ...
	@$(PYTHON) dev.py bench-profile $(ARGS)

bench-scale: ## Measure pages of 10^7 rows, memory, workers, start; ARGS="pages start" selects some
	@$(PYTHON) dev.py bench-scale $(ARGS)
# end products tasks

chaos: ## Inject faults into the service under load; ARGS="hup redis_killed" selects some
	@$(PYTHON) dev.py chaos $(ARGS)

check: ## Check style, types, imports, size, locks, migrations, OpenAPI; ARGS="mypy locks" selects some
	@$(PYTHON) dev.py check $(ARGS)

.PHONY: format
format: ## Sort imports, remove unused ones and format; ARGS="FILE FILE", without them all
	@$(PYTHON) dev.py format $(ARGS)

openapi: ## Write openapi.json from the routes
	@$(PYTHON) dev.py openapi

api-diff: ## Fail on a breaking change of the API since the last release without a new major version
	@$(PYTHON) dev.py api-diff

lock: ## Regenerate the locks from pyproject.toml (needs uv); ARGS=--upgrade takes newer versions
	@$(PYTHON) dev.py lock $(ARGS)

upgrade: ## Merge a release of upstream: the newest, or TO=1.2.0; CHECK=1 only says whether there is one
	@$(PYTHON) dev.py upgrade $(if $(CHECK),--check) $(if $(TO),--to $(TO)) $(ARGS)

rehearse-upgrade: ## Upgrade altered clones of each release to HEAD; ARGS="1.0.0 --tests tests/users" selects some
	@$(PYTHON) dev.py rehearse-upgrade $(ARGS)

up: ## Start the stack: nginx, the service, PostgreSQL, Redis; writes .env if it is missing
	@$(PYTHON) dev.py env
	docker compose up -d --build --wait

down: ## Stop the stack and keep its data
	docker compose down

backup: ## Write the data of the running stack to a file in backups/
	@$(PYTHON) dev.py backup

restore: ## Replace the data of the running stack by a backup: FILE=backups/app-….dump
	@$(PYTHON) dev.py restore "$(FILE)"

.PHONY: stack-test
stack-test: ## Start a stack of its own, test it through nginx, remove it
	@PYTHON=$(PYTHON) tests/stack/run.sh

clean: ## Remove the environment and the files of the tools; data and .env are kept
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache htmlcov .coverage .coverage.* artifacts tools/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
