# What a developer types. `make` alone lists it.

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests demo dashboards test faults simulate fuzz api-fuzz upgrade packaging reference check fmt lint doc sqlx sqlx-check

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

setup: ## install what is missing (PostgreSQL's binaries); silent when nothing is
	@scripts/setup.sh

setup-tests: ## the same, and what only tests use (Prometheus, Chromium)
	@scripts/setup.sh tests

demo: setup ## Bellhop, its database and a sandbox marketplace on this machine; options in ARGS="…"
	@cargo run --locked -- demo $(ARGS)

test: setup-tests ## every test, beside a private PostgreSQL (installs Chromium and Prometheus); a filter in ARGS="…"
	@scripts/test-database.sh cargo test --locked $(ARGS)

dashboards: setup-tests ## draw grafana/dashboards anew from grafana/source
	@DRAW_DASHBOARDS=1 scripts/test-database.sh cargo test --locked --quiet --test it -- every_dashboard_is_what_its_source_says

faults: setup-tests ## the fault suite, for minutes; options in ARGS="--minutes 10 --seed N --rounds N"
	@scripts/faults.sh $(ARGS)

simulate: setup ## a year of 1000 locations without a third of the callbacks; ARGS="--locations N --days N --step N --seed N"
	@scripts/simulate.sh $(ARGS)

packaging: ## image, compose file, manifests and units by the tools they are made for; PART="image"
	@scripts/packaging.sh $(PART)

upgrade: setup ## the version before and this one side by side under load; minutes
	@scripts/upgrade-test.sh

fuzz: ## changed deliveries, redirects and answers, others each time; MINUTES=5
	@end=$$(($$(date +%s) + 60 * $${MINUTES:-5})); while [ $$(date +%s) -lt $$end ]; do \
	  PROPTEST_CASES=$${CASES:-20000} cargo test --locked --lib -- fuzz:: any_answer || exit 1; done

api-fuzz: setup ## the API against schemathesis (needs Python), for minutes; ARGS="--minutes N --seed N --examples N"
	@scripts/api-fuzz.sh $(ARGS)

reference: ## write docs/reference and the table of docs/api.md anew, after configuration, vocabulary of rules or API changed
	@REFERENCE=write cargo test --locked --test it -- docs::

check: fmt lint doc sqlx-check ## format, lints, documentation, query cache

fmt:
	@cargo fmt --check

lint:
	@cargo clippy --locked --all-targets -- -D warnings

doc:
	@RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

sqlx: setup ## refresh .sqlx after a query or a migration changed
	@scripts/sqlx-cache.sh

sqlx-check: setup
	@scripts/sqlx-cache.sh --check
