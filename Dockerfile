# syntax=docker/dockerfile:1
# The service alone; it expects `database.url`, since the image carries no PostgreSQL for an embedded one.
#
#   docker build --build-arg BELLHOP_REVISION="$(git rev-parse --short HEAD)" -t bellhop .
#   docker run --read-only --stop-timeout 30 -v ./config:/etc/bellhop:ro -v spool:/var/lib/bellhop -p 8080:8080 bellhop
#
# The folder holds bellhop.toml and what it names: rule files and secrets, readable for uid 10001. Relative paths count
# from the folder. `make packaging` builds this file and tries what comes out.

FROM rust:1.95-slim-bookworm AS build
# Names for debuggers would be a good part of the image, and a panic tells its place without them.
ENV CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=symbols
WORKDIR /build
# What Bellhop is made of, in a layer of its own: it is built again when Cargo.lock changes, and not after every edit.
# An empty program stands in for ours; it goes again, since cargo compares times and would take it for the real one.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/it \
    && touch src/lib.rs tests/it/main.rs \
    && echo 'fn main() {}' >src/main.rs \
    && cargo build --release --locked \
    && cargo clean --release --locked -p bellhop \
    && rm -rf src tests
COPY . .
# Needs no database: the queries are checked against .sqlx (.cargo/config.toml says so).
# The revision is shown in the metric bellhop_build_info.
ARG BELLHOP_REVISION=unknown
RUN BELLHOP_REVISION="$BELLHOP_REVISION" cargo build --release --locked

# Everything that the program needs of a system, at its place: the libraries it names, certificates, where names are looked
# up (without a word on it /etc/hosts would come last), and a folder of its own. Scanners find the versions of the packages
# where they look for them in images without a package manager.
RUN mkdir -p /state /image/usr/local/bin /image/etc/ssl/certs /image/var/lib/dpkg/status.d \
    && cp target/release/bellhop /image/usr/local/bin/ \
    && ldd target/release/bellhop >/tmp/named \
    && grep -o '/[^ ]*' /tmp/named >/tmp/libraries \
    && xargs --arg-file=/tmp/libraries cp --dereference --parents --target-directory=/image \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && echo 'hosts: files dns' >/image/etc/nsswitch.conf \
    && cp --dereference /etc/os-release /image/etc/ \
    && for package in libc6 libgcc-s1 ca-certificates; do \
         dpkg-query --status "$package" >"/image/var/lib/dpkg/status.d/$package" || exit 1; done

FROM scratch
ARG BELLHOP_REVISION=unknown
LABEL org.opencontainers.image.title="Bellhop" \
      org.opencontainers.image.description="The back end of an Altegio or YCLIENTS marketplace application" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="$BELLHOP_REVISION"
COPY --from=build /image /
COPY --from=build --chown=10001:10001 /state /var/lib/bellhop
# A number, so that a cluster can see that it is not root; there is no list of users.
USER 10001:10001
WORKDIR /var/lib/bellhop
# `docker exec` finds the commands.
ENV PATH=/usr/local/bin
ENV BELLHOP_CONFIG=/etc/bellhop/bellhop.toml
# Deliveries wait here while the database is away. Mount a volume, or they go with the container.
ENV BELLHOP_SPOOL__DIR=/var/lib/bellhop/spool
# The public door, and the operator's. The latter listens inside the container only, until operator.listen is
# 0.0.0.0:9090, which needs operator.token.
EXPOSE 8080 9090
# Bellhop drains for up to server.shutdown_grace (20s). Docker kills after 10 s unless it is told to wait longer.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/usr/local/bin/bellhop", "health"]
ENTRYPOINT ["/usr/local/bin/bellhop"]
CMD ["serve"]
