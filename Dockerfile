# A base image for Pyramid applications: c2cotel with all its extras, gunicorn, a user that is not root, a health check.
#
#     docker build --tag c2cotel .
#
# An image of an application starts FROM it, copies its code and its production.ini to /app, and installs the code.

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md ./
COPY c2cotel ./c2cotel
COPY exporters ./exporters
COPY views ./views
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --constraint constraints.txt --upgrade pip \
    && /venv/bin/pip install --no-cache-dir --constraint constraints.txt --build-constraint constraints.txt \
        '.[all]' ./exporters/opentelemetry-exporter-statsd ./views psycopg2-binary 'psycopg[binary]'

FROM python:3.13-slim
RUN useradd --create-home --uid 1000 --shell /usr/sbin/nologin app
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH
ENV PYTHONUNBUFFERED=1
# What the ini files of applications of 2018 use.
ENV LOG_TYPE=console
ENV LOG_HOST=localhost
ENV LOG_PORT=514
ENV SQL_LOG_LEVEL=WARN
ENV GUNICORN_LOG_LEVEL=WARN
ENV OTHER_LOG_LEVEL=WARN
ENV DEVELOPMENT=0
# Where the health check asks: /live of an application with C2C_BASE_PATH=/c2c. Any answer but an error will do.
ENV HEALTH_URL=http://localhost:8080/c2c/live
WORKDIR /app
# A number: Kubernetes cannot tell whether a name is root's.
USER 1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['HEALTH_URL'], timeout=2)"]
CMD ["c2cotel", "run"]
