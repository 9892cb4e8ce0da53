# The images of the six services and the simulator: distroless, user 65532, one program each.
#
#   docker build --build-arg SERVICE=order .                           from source
#   docker build --build-arg SERVICE=order --target prebuilt FOLDER    from FOLDER/bin and FOLDER/sbom, see `devstack images`
#
# What `prebuilt` does not need stands behind it: the classic builder builds all that comes before a target.

FROM gcr.io/distroless/cc-debian12:nonroot AS base
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="cloudretail/${SERVICE}" \
    org.opencontainers.image.description="The ${SERVICE} of CloudRetail" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s --retries=3 CMD ["/usr/local/bin/service", "health"]
# A link to the program: an entry point knows no variables.
ENTRYPOINT ["/usr/local/bin/service"]

FROM base AS prebuilt
COPY bin /usr/local/bin
COPY sbom /usr/share/sbom

FROM rust:1.95-bookworm AS toolchain
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/* \
    && cargo install --locked cargo-chef@0.1.78 cargo-sbom@0.10.0
WORKDIR /src

FROM toolchain AS recipe
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM toolchain AS build
COPY --from=recipe /src/recipe.json recipe.json
# A layer of its own: it stays until a dependency changes.
RUN cargo chef cook --locked --release --workspace --bins --recipe-path recipe.json
COPY . .
ARG REVISION=unknown
RUN CLOUDRETAIL_COMMIT="${REVISION}" cargo build --locked --release --workspace --bins
ARG SERVICE
RUN mkdir -p /out/bin /out/sbom \
    && cp "target/release/${SERVICE}" /out/bin/ \
    && ln -s "${SERVICE}" /out/bin/service \
    && cargo sbom --cargo-package "${SERVICE}" --output-format cyclone_dx_json_1_6 >"/out/sbom/${SERVICE}.cdx.json"

FROM base
COPY --from=build /out/bin /usr/local/bin
COPY --from=build /out/sbom /usr/share/sbom
