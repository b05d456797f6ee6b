# An official image with more of Debian's packages, for where a registry is reached.
ARG IMAGE
# hadolint ignore=DL3006
FROM ${IMAGE}
ARG FOREIGN
ARG PACKAGES
# hadolint ignore=DL3008,SC2086
RUN if [ -n "$FOREIGN" ]; then dpkg --add-architecture "$FOREIGN"; fi \
    && apt-get update \
    && apt-get install --yes --no-install-recommends $PACKAGES \
    && rm -rf /var/lib/apt/lists/*
