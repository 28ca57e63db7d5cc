# Each target sets up .venv when it has to; see scripts/setup.
.PHONY: demo test check fix vectors bench costs sizes soak torture sim fuzz bend sabotage mutants edits lock clean

demo: ## the story of one report, on real daemons
	sh scripts/demo

test: ## every test, live ones too
	sh scripts/test

check: ## format, lint, types, imports, tests without brokers
	sh scripts/check

fix: ## let ruff repair what it can
	sh scripts/setup dev
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

vectors: ## write tests/vectors anew; a difference is a change of the wire
	sh scripts/setup dev
	.venv/bin/python -m tests.vectors.generate
	git diff --exit-code -- tests/vectors

bench: ## speed and memory beside the ideal loop and a script
	sh scripts/setup dev
	.venv/bin/python -m benchmarks

costs: ## where the time of a message goes: threads, functions, statements of the store
	sh scripts/setup dev
	.venv/bin/python -m benchmarks.costs

sizes: MESSAGES = 100000
sizes: ## restart, memory and drain with many messages in the store: make sizes MESSAGES=1000000
	sh scripts/tools
	sh scripts/setup dev
	.venv/bin/python -m benchmarks.sizes --messages $(MESSAGES)

MINUTES = 60
CLIENTS = 20
soak: ## junk from strangers beside real traffic; memory must stay flat: make soak MINUTES=60 CLIENTS=20
	sh scripts/tools
	sh scripts/setup dev
	PATH="$$PATH:/usr/sbin" .venv/bin/python -m tests.live.soak --minutes $(MINUTES) --clients $(CLIENTS)

KILLS = 10000
CUTS = 1000
POINTS = -1
torture: ## kill -9, power cuts, every system call as a crash point; goes on where it stopped: make torture MINUTES=60
	sh scripts/tools
	sh scripts/setup dev
	PATH="$$PATH:/usr/sbin:/sbin" .venv/bin/python -m tests.torture --kills $(KILLS) --cuts $(CUTS) \
		--points $(POINTS) --minutes $(MINUTES)

SEEDS = 60
MESSAGES = 40
HOURS = 0
MODE = both
JOBS = 2
sim: ## seeds of the simulator, each a storm of its own: make sim SEEDS=1000 HOURS=24 MODE=safety JOBS=2
	sh scripts/setup dev
	.venv/bin/python -m tests.sim --seeds $(SEEDS) --messages $(MESSAGES) --hours $(HOURS) --mode $(MODE) --jobs $(JOBS)

SECONDS = 60
TARGET =
fuzz: ## every decoder and the intake against bytes of any kind: make fuzz SECONDS=3600 TARGET=door
	sh scripts/setup fuzz
	.venv/bin/python -m tests.fuzz --seconds $(SECONDS) --jobs $(JOBS) $(TARGET)

BENT = 1000000
bend: ## envelopes with bytes flipped, moved, cut and mixed: none may be accepted
	sh scripts/setup dev
	.venv/bin/python -m tests.fuzz.bend --count $(BENT)

sabotage: ## seeded faults, one at a time in a copy: a test must notice each
	sh scripts/setup dev
	.venv/bin/python -m tests.sabotage --jobs $(JOBS)

MODULE =
mutants: ## small faults everywhere in protocol/, keys/verify.py and the store: make mutants MODULE=protocol/outbox.py
	sh scripts/setup mutants
	.venv/bin/python -m tests.mutants --jobs $(JOBS) $(MODULE)

EDITS = 100000
edits: ## change, cut and swap lines of audit logs; every edit must be found: make edits EDITS=100000
	sh scripts/setup dev
	.venv/bin/python -m tests.relay.audit.edits $(EDITS)

lock: ## requirements/*.txt from *.in; `sh scripts/lock --upgrade` takes newer versions
	sh scripts/lock

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache fuzz-found
