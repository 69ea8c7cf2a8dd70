# Newsstand's verbs. Each sets up what it needs (.venv, and a server where one is used), and is quick the next time.

PYTHON := .venv/bin/python
STORAGE := $(addprefix tests/contract/test_storage_,$(addsuffix .py,items leases nodes parsed postgresql search sessions writer)) \
	tests/contract/test_several_workers.py tests/contract/test_workers_backlog.py tests/contract/test_workers_races.py
SOURCES := src tests examples scripts docs $(wildcard benchmarks)

# The tests wait more than they work: three processes keep two cores busy. A file's tests stay in one process, which
# starts the servers that they ask for. In the order of the folders, so that what is left at the end is short.
PYTEST := $(PYTHON) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# Where nothing that was compiled is written down, each of the programs that tests start compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test oldest postgresql pgbouncer serializable matrix converge mutants programs soak check docs bench format requirements clean setup
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup  ## a throw-away server, real nodes, the whole story in a minute (ARGS="--help" for its options)
	@sh scripts/servers.sh prosody
	@.venv/bin/newsstand demo $(ARGS)

test: setup  ## every test, those with a real server too (ARGS="-k word" chooses, ARGS="-n0" keeps to one process)
	@sh scripts/servers.sh all || { test -z "$$CI" && echo "Tests that need a server are skipped." >&2; }
	@test -z "$$CI" || sh scripts/setup.sh .venv-docs requirements/docs.txt
	$(PYTEST) $(ARGS)
	$(if $(ARGS),,@$(MAKE) --no-print-directory -j3 --output-sync=target oldest postgresql)

oldest: setup  ## the tests of the trigger and of the storage with the oldest slixmpp and SQLAlchemy that are supported
	@sh scripts/setup.sh .venv-oldest requirements/oldest.txt
	.venv-oldest/bin/python -m pytest -q tests/integration/test_trigger*.py tests/integration/test_following.py \
		$(addprefix tests/contract/test_storage_,$(addsuffix .py,items postgresql sessions))

postgresql: pgbouncer serializable  ## the contract of the storage behind PgBouncer, and at SERIALIZABLE

pgbouncer serializable: setup
	NEWSSTAND_TEST_POSTGRESQL=$@ $(PYTHON) -m pytest -q $(STORAGE) -k postgresql

matrix: setup  ## the tests that depend on versions, with each Python that is found here (docs/matrix.md)
	@sh scripts/servers.sh all
	@$(PYTHON) -m tests.matrix

converge: setup  ## random schedules of writes and faults (SCHEDULES=n SEED=s SERVER=name REPLAY=file)
	@test "$(SERVER)" = "" || test "$(SERVER)" = fake || sh scripts/servers.sh all
	@$(PYTHON) -m tests.converge $(if $(SERVER),--server $(SERVER)) $(if $(SCHEDULES),--schedules $(SCHEDULES)) \
		$(if $(SEED),--seed $(SEED)) $(if $(REPLAY),--replay $(REPLAY)) $(ARGS)

mutants: setup  ## planted faults, each of which the convergence machine must find (ARGS="-k word" chooses)
	@$(PYTHON) -m tests.mutants $(ARGS)

# Each has an environment of its own, with what it needs pinned by hash. slidge wants a newer Python than the others.
PROGRAMS := omemo slixfeed rivista poezio slidge
NEWER := $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.1[34]*/bin/python)
programs: setup  ## real programs from PyPI, without and with Newsstand: what they send (docs/programs.md; ARGS="poezio")
	@sh scripts/servers.sh prosody
	@for program in $(filter-out slidge,$(PROGRAMS)); do \
		sh scripts/setup.sh .venv-programs/$$program requirements/programs/$$program.txt || exit 1; done
	@PYTHON="python3.13 python3.14 $(NEWER)" sh scripts/setup.sh .venv-programs/slidge requirements/programs/slidge.txt || \
		echo "slidge is not measured: it needs Python 3.13 (PYENV_ROOT= may say where one is)." >&2
	@$(PYTHON) -m tests.programs $(ARGS)

soak: setup  ## what takes longer: eight processes that start at once, eight workers and 1,000 nodes (docs/soak.md)
	NEWSSTAND_ROUNDS=$(or $(ROUNDS),50) $(PYTHON) -m pytest -q -rP tests/migration/test_starts.py -k at_once
	NEWSSTAND_WORKERS=8 NEWSSTAND_NODES=1000 NEWSSTAND_LEASE=15 $(PYTHON) -m pytest -q -rP tests/integration/test_workers.py

check: setup  ## what to run before a commit: style, types, imports, unit tests, packages; about a minute
	$(PYTHON) -m ruff check $(SOURCES)
	$(PYTHON) -m ruff format --check $(SOURCES)
	$(PYTHON) -m mypy
	.venv/bin/lint-imports --no-cache
	$(PYTHON) -m pytest -q tests/unit tests/docs/test_packages.py

docs: setup  ## the handbook, as a site in build/docs
	@.venv/bin/python -m scripts.reference_pages
	@sh scripts/setup.sh .venv-docs requirements/docs.txt
	.venv-docs/bin/python -m sphinx -q -W --keep-going -c docs -d build/doctrees . build/docs

bench: setup  ## the benchmarks (ARGS="--help" for their options)
	@sh scripts/servers.sh all
	@$(PYTHON) -m benchmarks $(ARGS)

format: setup  ## puts the code in order
	$(PYTHON) -m ruff check --fix-only --quiet $(SOURCES)
	$(PYTHON) -m ruff format --quiet $(SOURCES)

COMPILE := .venv/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--custom-compile-command "make requirements"
COMPILE_PROGRAM = $(COMPILE) $(ARGS) -c requirements/dev.txt pyproject.toml requirements/programs/build.in
requirements: setup  ## compiles the pinned requirements (ARGS=--upgrade for newer ones)
	$(COMPILE) $(ARGS) pyproject.toml -o requirements/run.txt
	$(COMPILE) $(ARGS) -c requirements/run.txt pyproject.toml requirements/dev.in -o requirements/dev.txt
	$(COMPILE) $(ARGS) -c requirements/oldest.in pyproject.toml requirements/dev.in -o requirements/oldest.txt
	$(COMPILE) $(ARGS) -c requirements/run.txt pyproject.toml requirements/docs.in -o requirements/docs.txt
	for program in $(filter-out slidge,$(PROGRAMS)); do $(COMPILE_PROGRAM) requirements/programs/$$program.in \
		-o requirements/programs/$$program.txt || exit 1; done
	$(COMPILE_PROGRAM:3.11=3.13) requirements/programs/slidge.in -o requirements/programs/slidge.txt

clean:  ## removes all that the other verbs made
	rm -rf .venv .venv-docs .venv-oldest .venv-matrix .venv-programs .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@sh scripts/setup.sh
