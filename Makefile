# Everything a person types. Each target makes what it needs, the virtual
# environment included.
.DEFAULT_GOAL := help
.PHONY: help up down run logs images base test lab lint types arch docs lock clean

BIN := .venv/bin
READY := .venv/ready

help: ## Print this
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

up: $(READY) ## Run the pair in containers and print the verdict; the server stays
	@deploy/up

down: ## Remove what `make up` made, but for the images
	@deploy/down

run: $(READY) ## Run the pair as two processes on loopback, without containers
	@deploy/pair

logs: ## Print the server's log, and follow it
	@deploy/compose logs -f --no-color server

images: ## Build both images
	@deploy/images

base: ## Make the base image from Debian packages, as root, once
	@deploy/base-image/make netduet-base:trixie

test: $(READY) ## Run every test; container tests need an engine, and never skip
	@$(BIN)/python -m pytest -n 5 --dist loadfile tests/unit tests/integration tests/manifests
	@$(BIN)/python -m pytest -n 3 --dist loadfile tests/containers
	@$(BIN)/python -m pytest tests/lab

lab: $(READY) ## Judge netduet on networks broken on purpose, write docs/lab.md
	@$(BIN)/python -m tests.lab

lint: $(READY) ## Judge style and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY) ## Judge types
	@$(BIN)/mypy

arch: $(READY) ## Judge that layers point one way
	@$(BIN)/lint-imports --no-cache

docs: $(READY) ## Write again all that is generated from declarations
	@$(BIN)/python docs/generate.py

lock: $(READY) ## Pin the newest dependencies that are a week old, with hashes
	@deploy/lock

clean: ## Remove what the other targets made here, images apart
	@rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): requirements/dev.txt requirements/kubectl.txt pyproject.toml
	@deploy/venv
