# syntax=docker/dockerfile:1
# The service alone; it expects `database.url`, since the image carries no PostgreSQL for an embedded one.
#
#   docker build --build-arg BELLHOP_REVISION="$(git rev-parse --short HEAD)" -t bellhop .
#   docker run --stop-timeout 30 -v ./config:/etc/bellhop:ro -p 8080:8080 bellhop
#
# The folder holds bellhop.toml and what it names: rule files and secrets, readable for uid 10001. Relative paths count
# from the folder.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# Shown in the metric bellhop_build_info.
ARG BELLHOP_REVISION=unknown
# Needs no database: the queries are checked against .sqlx (.cargo/config.toml says so).
# The caches survive an edit, the layer does not; so the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked && cp target/release/bellhop /bellhop

FROM debian:bookworm-slim
# hadolint ignore=DL3008 # a rebuild is meant to bring newer certificates
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/bellhop --create-home bellhop
COPY --from=build /bellhop /usr/local/bin/bellhop
USER 10001
WORKDIR /var/lib/bellhop
ENV BELLHOP_CONFIG=/etc/bellhop/bellhop.toml
# Deliveries wait here while the database is away. Mount a volume, or they go with the container.
ENV BELLHOP_SPOOL__DIR=/var/lib/bellhop/spool
# The public door, and the operator's. The latter listens inside the container only, until operator.listen is
# 0.0.0.0:9090, which needs operator.token.
EXPOSE 8080 9090
# Bellhop drains for up to server.shutdown_grace (20s). Docker kills after 10 s unless it is told to wait longer.
STOPSIGNAL SIGTERM
# The image has no HTTP client; bash speaks enough of it. Change the port along with operator.listen.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/9090 && printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && read -r status <&3 && [[ $status == *' 200 '* ]]"]
ENTRYPOINT ["bellhop"]
CMD ["serve"]
