.PHONY: demo test bench faults soak fuzz

# The exporter beside a real MongoDB with a LibreChat history, on http://localhost:8000.
demo:
	@demo/run.sh

# All tests, against a real mongod and the real promtool.
test:
	demo/prerequisites.sh tests
	cargo test

# What the performance claims rest on; BENCH_MESSAGES=100000 for a quick look.
bench:
	demo/prerequisites.sh bench
	cargo bench --bench history
	cargo bench --bench http

# Every fault of MongoDB five times, and what a scrape took meanwhile; some fifteen minutes.
faults:
	demo/prerequisites.sh tests
	cargo test --release --test suite faults::every -- --ignored --nocapture

# Half an hour of chats, odd documents, faults and kills.
soak:
	demo/prerequisites.sh tests
	cargo test --release --test suite soak:: -- --ignored --nocapture

# Ten minutes of bytes that nobody would write; needs `cargo install cargo-fuzz` and a C++ compiler.
fuzz:
	cargo test --test suite fuzzed::write -- --ignored
	for target in message ledger; do \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $$target fuzz/corpus/message -- \
	    -max_total_time=300 -max_len=4096 -malloc_limit_mb=64 || exit 1; \
	done
