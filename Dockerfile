# thaw for a work pool of containers:   docker build --tag thaw --build-arg UID=$(id -u) .
# What the layers hold, from what changes least to what changes most: Python, the libraries of requirements.lock, thaw.

FROM python:3.12-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/thaw/bin:$PATH
RUN python -m venv /thaw
WORKDIR /build
COPY requirements.lock ./
# As `make setup` does it: first what builds packages, then exactly what the lock lists, each file with its hash.
RUN awk '/^[a-z0-9]/ {build = /^(packaging|setuptools|wheel)==/} build' requirements.lock > build-tools.txt \
    && pip install --require-hashes --no-deps --use-pep517 -r build-tools.txt \
    && pip install --require-hashes --no-deps --no-build-isolation --use-pep517 -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY pipeline_config pipeline_config
COPY tasks tasks
COPY flows flows
COPY thaw thaw
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels .

FROM python:3.12-slim
ARG UID=1000
RUN useradd --uid "$UID" --create-home thaw && install --directory --owner thaw /data
COPY --from=build /thaw /thaw
COPY --from=build /build/wheels wheels
RUN /thaw/bin/pip install --no-cache-dir --no-deps wheels/*.whl && rm -r wheels
ENV PATH=/thaw/bin:$PATH THAW_HOME=/data
USER thaw
WORKDIR /data
VOLUME /data
CMD ["thaw", "doctor"]
