# The exporter alone: no shell, no package manager, a user that is a number.

FROM rust:1.95-slim-bookworm AS build
# TLS with MongoDB is OpenSSL's; the last image has its libraries and the authorities.
RUN apt-get update -q \
    && apt-get install -y --no-install-recommends libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Dependencies are built before the sources are there, so that a change of the sources does not build them
# again.
COPY Cargo.toml Cargo.lock build.rs askama.toml ./
RUN mkdir -p src tests/suite benches/history benches/http \
    && touch src/lib.rs tests/suite/main.rs benches/history/main.rs benches/http/main.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked
COPY src src
COPY migrations-notes migrations-notes
ARG REVISION
RUN touch src/lib.rs src/main.rs \
    && USAGE_EXPORTER_REVISION="$REVISION" cargo build --release --locked \
    && mkdir -p /state

FROM gcr.io/distroless/cc-debian12
ARG REVISION
LABEL org.opencontainers.image.title="usage-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the usage of LibreChat" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /build/target/release/usage-exporter /usr/local/bin/usage-exporter
COPY --from=build --chown=65532:65532 /state /var/lib/usage-exporter
# The only folder that can be written; `usage-exporter history` needs one for a temporary file.
ENV STATE_FILE=/var/lib/usage-exporter/state TMPDIR=/var/lib/usage-exporter
VOLUME /var/lib/usage-exporter
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["/usr/local/bin/usage-exporter", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/usage-exporter"]
