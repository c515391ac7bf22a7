ARG PYTHON=3.13
ARG DOCKER=28

FROM python:${PYTHON}-slim AS wheels
ARG TARGETARCH
# The package `dockerfile` has a wheel for amd64 alone: elsewhere its Go source is compiled.
RUN if [ "$TARGETARCH" != amd64 ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends gcc golang libc6-dev; \
    fi
COPY . /src
RUN pip wheel --no-cache-dir --wheel-dir=/wheels /src

FROM docker:${DOCKER}-cli AS docker

FROM python:${PYTHON}-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git \
 && rm -rf /var/lib/apt/lists/* \
 && git config --system safe.directory /work
COPY --from=docker /usr/local/bin/docker /usr/local/bin/docker
COPY --from=docker /usr/local/libexec/docker/cli-plugins/docker-buildx /usr/local/libexec/docker/cli-plugins/docker-buildx
RUN --mount=from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels orchestrate-builds
WORKDIR /work
ENTRYPOINT ["orchestrate"]
