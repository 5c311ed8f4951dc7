# The two commands of this project are `make image` and `make test`; see README.md.
SHELL := /bin/bash
RECIPE ?= recipes/debian-13.yaml
ROUNDS ?= 3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help image test matrix bench support lint docs doctor clean

help: ## show this
	@echo "goldsmith: golden images of OpenStack guests"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

image: ## set up what is missing, then build, prove and publish an image (RECIPE=recipes/debian-13.yaml)
	@setup/prepare root
	@$(BIN)/goldsmith run $(RECIPE)

test: ## set up what is missing, then run the whole test suite
	@setup/prepare test root
	@$(BIN)/python -m pytest

matrix: ## set up what is missing, then take every guest through its scenario (an hour)
	@setup/prepare test root
	@$(BIN)/python -m pytest -m matrix

bench: ## set up what is missing, then measure everything beside its like without goldsmith; writes docs/bench.* (an hour; ROUNDS=3)
	@setup/prepare test bench root
	@$(BIN)/python tests/bench/everything.py --rounds $(ROUNDS)

support: ## write README's table of what is proven from the results of the last test and matrix
	@setup/prepare test
	@$(BIN)/python tests/support.py

lint: ## the quick part of the tests: style, types, shell scripts, arrows between packages
	@setup/prepare test
	@$(BIN)/python -m pytest tests/unit/test_house.py

docs: ## make docs/reference.md from the elements
	@setup/prepare
	@$(BIN)/python -m goldsmith.recipe.reference > docs/reference.md

doctor: ## set up what is missing, then say what this host can do
	@setup/prepare
	@$(BIN)/goldsmith doctor

clean: ## remove .venv, .venv-services and caches of tools; images/ stays
	@rm -rf .venv .venv-services build .pytest_cache .mypy_cache .ruff_cache tests/artifacts pipeline/*.egg-info
	@find pipeline tests elements -name __pycache__ -type d -prune -exec rm -rf {} +
