# syntax=docker/dockerfile:1
# The service alone; it expects `database.url`, since the image carries no PostgreSQL for an embedded one.
#
#   docker build -t bellhop .
#   docker run -v ./bellhop.toml:/etc/bellhop/bellhop.toml:ro -p 8080:8080 bellhop

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The caches survive an edit, the layer does not; so the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked && cp target/release/bellhop /bellhop

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/bellhop --create-home bellhop
COPY --from=build /bellhop /usr/local/bin/bellhop
USER 10001
WORKDIR /var/lib/bellhop
ENV BELLHOP_CONFIG=/etc/bellhop/bellhop.toml
# The public door, and the operator's, which stays inside unless it is given a token and an address.
EXPOSE 8080 9090
# Stays below the orchestrator's patience; `server.shutdown_grace` is the inner limit.
STOPSIGNAL SIGTERM
# The image has no HTTP client; bash speaks enough of it. Change the port along with operator.listen.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/9090 && printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && read -r status <&3 && [[ $status == *' 200 '* ]]"]
ENTRYPOINT ["bellhop"]
CMD ["serve"]
