"""Errors on their way to Sentry, with the request and the trace that they belong to.

`SENTRY_URL` turns it on: records of `SENTRY_LEVEL` and above, and exceptions of Pyramid applications that end in a
status of 500 and above, whoever answers them. In a script::

    with sentry.capture_exceptions():
        main()
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from pyramid.threadlocal import get_current_request

from c2cotel import redaction, state
from c2cotel.config.settings import SentrySettings
from c2cotel.delivery.guard import Guard
from c2cotel.errors import SettingsError
from c2cotel.logs.record import message_of, request_fields
from c2cotel.otel.sdk_private import is_suppressed
from c2cotel.runtime.request_scope import defer
from c2cotel.runtime.telemetry import Telemetry

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

_TWEEN = f"{__name__}.tween_factory"
_GUARD = Guard(logging.getLogger(__name__), "An error could not be sent to Sentry")
_FIRST_ERROR = 500
_FLUSH_SECONDS = 2.0
_LOGGERS_OF_ERRORS = ("c2cotel_views.errors", "c2cwsgiutils.errors")
"""Logger of what the tween has sent already, and its name under `c2cotel.compat`."""


class _Sentry:
    """Whether this process sends to Sentry."""

    def __init__(self) -> None:
        self.on = False

    def reset(self) -> None:
        """Send nothing, as before `setup`."""
        self.on = False


@contextmanager
def capture_exceptions() -> Iterator[None]:
    """Send what is raised inside to Sentry, if it is on, and let it go on."""
    try:
        yield
    except Exception as error:
        _capture(error)
        raise


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Start sending; returns what sends the rest and ends it.

    Raises:
        SettingsError: a setting cannot be used, or sentry-sdk is not installed.
    """
    settings = telemetry.settings.section(SentrySettings)
    if settings.url is None:
        return _nothing
    try:
        import sentry_sdk  # noqa: PLC0415  # an extra
        from sentry_sdk.integrations.atexit import AtexitIntegration  # noqa: PLC0415
        from sentry_sdk.integrations.logging import LoggingIntegration  # noqa: PLC0415
        from sentry_sdk.integrations.stdlib import StdlibIntegration  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"SENTRY_URL is set, but sentry-sdk is not installed: expected pip install 'c2cotel[sentry]' ({error})"
        ) from error
    try:
        sentry_sdk.init(
            dsn=settings.url,
            release=_release(settings),
            environment=settings.environment,
            ignore_errors=list(settings.ignore_exceptions),
            traces_sample_rate=settings.traces_sample_rate,
            before_send=_Filter(settings),
            # What is instrumented, we instrument; nothing of Sentry's goes into the headers of outgoing calls.
            auto_enabling_integrations=False,
            disabled_integrations=[StdlibIntegration()],
            integrations=[
                LoggingIntegration(level=logging.INFO, event_level=settings.level),
                AtexitIntegration(callback=_quietly),
            ],
        )
    except ValueError:  # Sentry's BadDsn, or urllib's of a port that is none
        raise SettingsError(
            "SENTRY_URL: expected the DSN of a Sentry project, such as https://key@sentry.example.com/1"
        ) from None
    client = sentry_sdk.get_client()
    for name, value in settings.tags.items():
        sentry_sdk.get_global_scope().set_tag(name, value)
    state.of(_Sentry).on = True
    telemetry.error_observers.append(_capture)

    def undo() -> None:
        state.of(_Sentry).on = False
        client.close(timeout=_FLUSH_SECONDS)
        scope = sentry_sdk.get_global_scope()
        for name in settings.tags:
            scope.remove_tag(name)
        if scope.client is client:
            scope.set_client(None)

    return undo


def include(config: Any) -> None:
    """Watch the requests of an application, outside of all its tweens, each in a scope of Sentry's own."""
    from pyramid.config import PHASE3_CONFIG  # noqa: PLC0415  # scripts need no Pyramid
    from pyramid.interfaces import IExecutionPolicy, ITweens  # noqa: PLC0415
    from pyramid.router import default_execution_policy  # noqa: PLC0415
    from pyramid.tweens import INGRESS  # noqa: PLC0415

    def last() -> None:
        registry = config.registry
        registry.getUtility(ITweens).add_implicit(_TWEEN, tween_factory, under=INGRESS)
        policy = registry.queryUtility(IExecutionPolicy) or default_execution_policy
        registry.registerUtility(_isolated(policy), IExecutionPolicy)

    config.action(__name__, last, order=PHASE3_CONFIG + 75)


def _isolated(policy: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An execution policy in which what one request sets in Sentry's scope, such as a user, ends with it."""
    from sentry_sdk import isolation_scope  # noqa: PLC0415  # an extra

    def execute(environ: Any, router: Any) -> Any:
        with isolation_scope():
            return policy(environ, router)

    return execute


def tween_factory(handler: Callable[[Any], Any], _: Any) -> Callable[[Any], Any]:
    """Sends exceptions that nobody answers, and those answered with a status of 500 and above."""

    def tween(request: Any) -> Any:
        try:
            response = handler(request)
        except Exception as error:
            with _GUARD:
                defer(request, partial(_capture, error))
            raise
        with _GUARD:
            raised = getattr(request, "exception", None)
            if raised is not None and response.status_int >= _FIRST_ERROR:
                defer(request, partial(_capture, raised))
        return response

    return tween


class _Filter:
    """What becomes of an event before it leaves: nothing, or it with its request and trace, secrets hidden.

    Args:
        settings: of Sentry.
    """

    def __init__(self, settings: SentrySettings) -> None:
        self._excluded = (*settings.excludes, *_LOGGERS_OF_ERRORS)

    def __call__(self, event: Event, hint: Hint) -> Event | None:
        """The event that leaves; what cannot be cleaned stays here, and a line says so."""
        with _GUARD:
            return self._cleaned(event, hint)
        return None

    def _cleaned(self, event: Event, hint: Hint) -> Event | None:
        logger = event.get("logger") or ""
        if is_suppressed() or any(logger == name or logger.startswith(f"{name}.") for name in self._excluded):
            return None
        changed: Any = event
        record: Any = hint.get("log_record")
        if record is not None and "logentry" in changed:  # a parameter alone does not say that it is a secret
            changed["logentry"] = {"message": str(record.msg), "formatted": message_of(record)}
        request = get_current_request()
        fields = request_fields()
        if "request_id" in fields:
            changed.setdefault("tags", {})["request_id"] = fields["request_id"]
        if request is not None and fields:
            changed["request"] = {
                "method": fields.get("method"),
                "url": f"{request.host_url}{fields.get('path', '')}",
                "query_string": redaction.query(request.query_string),
            }
            if "matched_route" in fields:
                changed["transaction"] = fields["matched_route"]
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
            changed.setdefault("contexts", {})["trace"] = {"type": "trace", **ids}
            changed.setdefault("tags", {})["trace_id"] = ids["trace_id"]
        hidden: Event = redaction.value(changed)
        return hidden


def _capture(error: BaseException) -> None:
    if not state.of(_Sentry).on:
        return
    import sentry_sdk  # noqa: PLC0415  # an extra

    with _GUARD:
        sentry_sdk.capture_exception(error)


def _release(settings: SentrySettings) -> str | None:
    client = settings.client_release
    return client if client and client != "latest" else settings.git_hash


def _quietly(pending: int, timeout: float) -> None:
    """In the place of Sentry's own lines on the standard error when a process ends."""


def _nothing() -> None:
    return None
