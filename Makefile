# Every target creates what it needs, including the virtual environment.
.DEFAULT_GOAL := help
.PHONY: help up down run certs logs images base test lab chaos fuzz soak lint types arch docs lock clean

BIN := .venv/bin
READY := .venv/ready

help: ## Print this help
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

up: ## Run the pair in containers and print the verdict; the server stays
	@deploy/up

down: ## Remove what `make up` created, except the images
	@deploy/down

run: $(READY) ## Run the pair as two processes on loopback, without containers
	@deploy/pair

certs: $(READY) ## Make a throw-away authority and certificates, to try TLS
	@$(BIN)/python deploy/certs build/certs $(NAMES)

logs: ## Follow the server's log
	@deploy/compose logs -f --no-color server

images: ## Build both images
	@deploy/images

base: ## Build the base image from Debian packages (once, as root)
	@deploy/base-image/make netduet-base:trixie

test: $(READY) ## Run all tests; container tests need an engine and never skip
	@$(BIN)/python -m pytest -n 5 --dist loadfile tests/unit tests/integration tests/manifests
	@$(BIN)/python -m pytest -n 3 --dist loadfile tests/containers
	@$(BIN)/python -m pytest tests/lab

lab: $(READY) ## Test netduet on deliberately broken networks; write docs/lab.md
	@$(BIN)/python -m tests.lab

chaos: $(READY) ## Attack and disturb real processes; write docs/reliability.md
	@$(BIN)/python -m tests.chaos

fuzz: $(READY) ## Feed random input to every parser: MINUTES=10
	@$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),1)

soak: $(READY) ## Good and hostile load, for memory leaks: MINUTES=60
	@$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),10)

lint: $(READY) ## Check style and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY) ## Check types
	@$(BIN)/mypy

arch: $(READY) ## Check that imports follow the layers
	@$(BIN)/lint-imports --no-cache

docs: $(READY) ## Regenerate everything that is generated from declarations
	@$(BIN)/python docs/generate.py

lock: $(READY) ## Pin the newest dependencies that are at least a week old, with hashes
	@deploy/lock

clean: ## Remove what the other targets created here, except images
	@rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): requirements/dev.txt requirements/kubectl.txt pyproject.toml
	@deploy/venv
