# Two images. `docker build .` scores with saved models, without TensorFlow; `docker build --target full .` trains, too.
FROM python:3.11-slim AS scoring-packages
WORKDIR /src
COPY pyproject.toml setup.py requirements.txt config.yaml README.md LICENSE ./
COPY autoencoder autoencoder
RUN python -m venv /opt/autoencoder \
    && /opt/autoencoder/bin/pip install --no-cache-dir --constraint requirements.txt ".[serve,calendar]"

FROM scoring-packages AS full-packages
RUN /opt/autoencoder/bin/pip install --no-cache-dir --constraint requirements.txt ".[serve,calendar,train,plot,yfinance]"

FROM python:3.11-slim AS base
RUN useradd --uid 10001 --create-home autoencoder && install --directory --owner=autoencoder /state
ENV PATH=/opt/autoencoder/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /state
VOLUME /state
EXPOSE 8000
# a server only: of a container that does something else it says nothing good, so switch it off there
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["autoencoder"]

FROM base AS full
COPY --from=full-packages /opt/autoencoder /opt/autoencoder
CMD ["serve", "--host", "0.0.0.0", "--out", "/state/serve", "--set", "serve.token_env=ANOMALY_TOKEN"]

FROM base AS scoring
COPY --from=scoring-packages /opt/autoencoder /opt/autoencoder
CMD ["serve", "--host", "0.0.0.0", "--out", "/state/serve", "--set", "serve.token_env=ANOMALY_TOKEN", "--model", "/model"]
