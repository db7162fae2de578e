# Everything that is done with this repository: `make` alone lists it.
# Needs Python 3.10 or newer and make; `make test` also curl, node and npm, for the reference statsd server,
# collectd, netdata, Prometheus, and Chromium, for the pages.

PYTHON ?= python3
VERSIONS := 3.10 3.11 3.12 3.13
STATSD_VERSION := 0.9.0
AXE_VERSION := 4.14.1
DDAPM_VERSION := 1.69.1
PYTEST_ARGS ?=
# What the tests on other Python versions are run by; see .ci/isolated.
ISOLATED ?=

EXPORTER := ./exporters/opentelemetry-exporter-statsd
PYPROJECTS := pyproject.toml views/pyproject.toml $(EXPORTER)/pyproject.toml
STATSD := .cache/npm/node_modules/statsd/package.json
DDAPM := .cache/ddapm/.installed
# The tests that run on every Python version there is: those of them that need a server are left out.
PORTABLE_TESTS = tests/unit tests/pyramid tests/otlp tests/statsd tests/views tests/broadcast tests/database tests/contract \
    $(EXPORTER)/tests
comma := ,
STRICT := mypy --no-error-summary

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test test-versions fleet container bench agents lint format docs dist clean statsd receivers

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# $(call install,PYTHON,DIRECTORY,EXTRAS): a virtual environment with all three distributions, editable, and everything for tests.
# `python -m pip` says whether the environment is whole: one left half-made is made anew.
define install
	@$(1) --version >/dev/null 2>&1 || { \
	    echo "No '$(1)' here. Install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(1) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "'$(1)' is $$($(1) --version), but Python 3.10 or newer is needed. Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(2)/bin/python -m pip --version >/dev/null 2>&1 || $(1) -m venv --clear $(2) || { \
	    echo "'$(1) -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing into $(2) ..."
	@$(2)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	@$(2)/bin/python -m pip install --quiet --constraint constraints.txt --build-constraint constraints.txt \
	    --editable '.[$(3)]' --editable $(EXPORTER) --editable ./views
	@touch $(2)/.installed
endef

venv: .venv/.installed  ## make .venv with everything in it

.venv/.installed: $(PYPROJECTS) constraints.txt
	$(call install,$(PYTHON),.venv,all$(comma)dev$(comma)browser$(comma)receivers$(comma)docs)

.venvs/%/.installed: $(PYPROJECTS) constraints.txt
	$(call install,python$*,.venvs/$*,all$(comma)dev)

demo: venv  ## see it work: an application, its metrics, a log line and a trace (DEMO_SECONDS=5 ends by itself)
	@.venv/bin/c2cotel demo

# What is missing leaves out the tests that need it: that is said loudly, and is an error in CI.
test: venv receivers  ## run all tests (PYTEST_ARGS="-k name" for some)
	@missing=; marks="not fleet"; \
	if command -v npm >/dev/null 2>&1 && command -v node >/dev/null 2>&1; then \
	    $(MAKE) --no-print-directory statsd || exit 1; \
	else missing=" nodejs npm"; marks="$$marks and not server and not browser"; fi; \
	command -v promtool >/dev/null 2>&1 || { missing="$$missing prometheus"; marks="$$marks and not prometheus"; }; \
	[ -x /usr/sbin/netdata ] || { missing="$$missing netdata-core"; marks="$$marks and not netdata"; }; \
	[ -x /usr/sbin/collectd ] || { missing="$$missing collectd-core"; marks="$$marks and not collectd"; }; \
	command -v chromium >/dev/null 2>&1 || { missing="$$missing chromium"; marks="$$marks and not browser"; }; \
	if [ -n "$$missing" ] && [ -n "$$CI" ]; then \
	    echo "The tests need what is missing here: apt-get install$$missing" >&2; exit 1; fi; \
	echo "All tests take about 20 minutes on two cores; PYTEST_ARGS=\"-k name\" runs some."; \
	.venv/bin/python -m compileall -q c2cotel views exporters tests; \
	.venv/bin/python -m pytest -m "$$marks" $(PYTEST_ARGS); status=$$?; \
	if [ -n "$$missing" ]; then printf '\n%s\n%s\n' \
	    '*** Tests against real servers and a real browser were LEFT OUT: something is missing here.' \
	    "*** Debian, Ubuntu: apt-get install$$missing" >&2; fi; \
	exit $$status

statsd: $(STATSD)  ## fetch npm's statsd, the reference server of the tests, and axe-core into .cache

$(STATSD): Makefile
	@rm -rf .cache/npm && mkdir -p .cache/npm
	@npm install --silent --no-save --package-lock=false --ignore-scripts --omit=optional --no-audit --no-fund \
	    --prefix .cache/npm statsd@$(STATSD_VERSION) axe-core@$(AXE_VERSION)
	@touch $@

# In an environment of its own: it needs other versions of packages that c2cotel needs, too.
receivers: $(DDAPM)  ## install Datadog's test agent, a receiver of the tests, into .cache

$(DDAPM): Makefile tests/servers/ddapm-constraints.txt
	@$(PYTHON) -m venv --clear .cache/ddapm
	@.cache/ddapm/bin/python -m pip install --quiet --disable-pip-version-check \
	    --constraint tests/servers/ddapm-constraints.txt ddapm-test-agent==$(DDAPM_VERSION)
	@touch $@

test-versions: venv  ## run the tests that need no server on every other Python version found here
	@own=$$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); missing=; \
	for version in $(VERSIONS); do \
	    if [ "$$version" = "$$own" ]; then continue; fi; \
	    if ! python$$version --version >/dev/null 2>&1; then missing="$$missing $$version"; continue; fi; \
	    echo "== Python $$version"; \
	    $(MAKE) --no-print-directory .venvs/$$version/.installed && \
	    $(ISOLATED) .venvs/$$version/bin/python -m pytest -m "not server and not collectd and not browser and not prometheus" --hypothesis-profile=few $(PYTEST_ARGS) $(PORTABLE_TESTS) || exit 1; \
	done; \
	if [ -n "$$missing" ]; then echo "Not tested, no such Python here:$$missing"; fi

# Left out of `make test`: it needs root and iproute2. Ends with 3 where network namespaces cannot be made.
fleet: venv  ## run three hosts in network namespaces, with partitions and servers that go away (FLEET_AWAY=30 seconds)
	@.venv/bin/python -m tests.fleet && .venv/bin/python -m pytest -m fleet $(PYTEST_ARGS) tests/fleet

# Ends with 3, and names the packages, where the tools are not installed.
container: venv  ## build the container's image and an application on it, and run it with as few rights as possible
	@.venv/bin/python -m tests.container

bench: venv  ## measure what a request and a timer cost
	@.venv/bin/python -m tests.bench

agents: venv  ## measure the same beside other agents, each in an environment of its own under .cache
	@.venv/bin/python -m tests.bench.agents

lint: venv  ## style, format, strict types and the import contracts
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m $(STRICT) -p c2cotel -p c2cotel_views -p opentelemetry.exporter.statsd
	.venv/bin/python -m $(STRICT) tests
	cd $(EXPORTER) && MYPYPATH=. ../../.venv/bin/python -m $(STRICT) --config-file ../../pyproject.toml tests
	.venv/bin/lint-imports

format: venv  ## put the code into its one format
	@.venv/bin/python -m ruff check --fix-only --quiet .
	@.venv/bin/python -m ruff format .

docs: venv  ## generate the reference pages and build the documentation into .cache/docs/html, warnings as errors
	@mkdir -p docs/reference
	@.venv/bin/python -m c2cotel.config.reference > docs/reference/.settings.md.new
	@test -s docs/reference/.settings.md.new && mv docs/reference/.settings.md.new docs/reference/settings.md
	@.venv/bin/python -m c2cotel.metrics.reference > docs/reference/.metrics.md.new
	@test -s docs/reference/.metrics.md.new && mv docs/reference/.metrics.md.new docs/reference/metrics.md
	@.venv/bin/python -m c2cotel_views > docs/reference/.views.md.new
	@test -s docs/reference/.views.md.new && mv docs/reference/.views.md.new docs/reference/views.md
	@if .venv/bin/python -c 'import sphinx' 2>/dev/null; then \
	    .venv/bin/python -m sphinx --builder html --fail-on-warning --quiet --doctree-dir .cache/docs/doctrees \
	        docs .cache/docs/html && echo "Built .cache/docs/html/index.html"; \
	else echo "Only the reference pages: building the documentation needs Python 3.11 or newer"; fi

dist: venv  ## build the three wheels into dist/
	@rm -rf dist
	@.venv/bin/python -m pip wheel --quiet --no-deps --build-constraint constraints.txt --wheel-dir dist . $(EXPORTER) ./views
	@ls dist

clean:  ## remove all that the other targets made
	@rm -rf .venv .venvs .cache dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
