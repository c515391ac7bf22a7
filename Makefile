# Every target sets up what it needs: `make demo` and `make test` are all that a newcomer types.
PYTHON := .venv/bin/python
WORKERS ?= auto

.PHONY: help setup demo test lint bench docs

help:
	@echo 'make demo    build nine images for two platforms, push, verify and run them'
	@echo 'make test    all tests, with real engines where they can be had (root on Debian)'
	@echo 'make lint    format, lint and types'
	@echo 'make bench   what was promised about speed, measured'
	@echo 'make docs    the documentation, into docs/_build/html'
	@echo 'make setup   only the environment, .venv'

setup: .venv/.complete

.venv/.complete: pyproject.toml .ci/setup
	@.ci/setup

demo: setup
	@$(PYTHON) -m tests.lab.demo

# The tests of a file stay together: what they start, they start once.
test: setup
	@$(PYTHON) -m pytest --numprocesses=$(WORKERS) --dist=loadfile $(ARGS)

lint: setup
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check --quiet .
	@$(PYTHON) -m mypy
	@sh -n .ci/setup && bash -n .ci/run

bench: setup
	@$(PYTHON) -m bench $(ARGS)

docs: setup
	@$(PYTHON) docs/generate.py
	@$(PYTHON) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo 'docs/_build/html/index.html'
