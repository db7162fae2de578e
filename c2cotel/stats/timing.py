"""Timers: of a block, of a function of any kind, and those that are stopped by hand."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from time import perf_counter
from types import TracebackType
from typing import Any, TypeVar

from c2cotel import state
from c2cotel.stats.backend import GUARD, Backend, Door, Key, Tags
from c2cotel.tracing.child import child

_logger = logging.getLogger("c2cotel.stats")

Function = TypeVar("Function", bound=Callable[..., Any])

_door = state.of(Door)


class Timing:
    """Times a block, or each call of the function that it decorates.

    What measures is looked up when the block begins: a function that was decorated before `c2cotel.setup` is measured
    after it. Nothing that is done here can raise.

    Args:
        key: Parts of the name.
        tags: Sent with it.
        outcome: Whether failures are recorded too, apart from successes.
    """

    __slots__ = ("_backend", "_outcome", "_span", "_start", "key", "tags")

    def __init__(self, key: Key, tags: Tags, *, outcome: bool) -> None:
        self.key = key
        self.tags = tags
        self._outcome = outcome
        self._backend: Backend | None = None
        self._span: child | None = None

    def __enter__(self) -> None:
        backend = self._backend = _door.backend
        if backend is not None:
            if backend.tracer is not None:
                try:
                    self._span = backend.child(self.key, self.tags)
                except Exception as error:  # noqa: BLE001  # a key or tag may be any object
                    GUARD.about(error)
            self._start = backend.clock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        backend = self._backend
        if backend is not None:
            self.record(backend, backend.clock() - self._start, kind)
            if (span := self._span) is not None:
                self._span = None
                try:
                    span.__exit__(kind, error, traceback)
                except Exception as trouble:  # noqa: BLE001  # such as an error whose text cannot be made
                    GUARD.about(trouble)

    def __call__(self, function: Function) -> Function:
        """Decorate a function, coroutine function, generator function or asynchronous generator function."""
        wrap: Callable[[Timing, Any], Any] = _around_call
        if inspect.iscoroutinefunction(function):
            wrap = _around_coroutine
        elif inspect.isgeneratorfunction(function):
            wrap = _around_generator
        elif inspect.isasyncgenfunction(function):
            wrap = _around_async_generator
        decorated: Any = functools.wraps(function)(wrap(self, function))
        return decorated  # type: ignore[no-any-return]  # it is called as the function was

    def again(self) -> Timing:
        """One of the same kind: a decorated function may run in many threads at once."""
        return Timing(self.key, self.tags, outcome=self._outcome)

    def record(self, backend: Backend, duration: float, kind: type[BaseException] | None) -> None:
        """Record one time, unless `close` came in between.

        Args:
            backend: The one of the start.
            duration: Seconds.
            kind: Type of what was raised; None without.
        """
        if backend is not _door.backend:  # closed meanwhile
            return
        try:
            if self._outcome:
                if kind is None or issubclass(kind, (Exception, GeneratorExit)):
                    success = kind is None or issubclass(kind, GeneratorExit)
                    backend.timed_outcome(self.key, self.tags, duration, success=success)
            elif kind is None or issubclass(kind, GeneratorExit):
                backend.timed(self.key, self.tags, duration)
        except Exception as error:  # noqa: BLE001  # a key or tag may be any object
            GUARD.about(error)


class Timer:
    """A running timer.

    Args:
        key: Parts of the name; may be given to `stop` instead.
        tags: Sent with it; may be given to `stop` instead.
    """

    __slots__ = ("_clock", "_key", "_start", "_tags")

    def __init__(self, key: Key | None, tags: Tags) -> None:
        backend = _door.backend
        self._key = key
        self._tags = tags
        self._clock = perf_counter if backend is None else backend.clock
        self._start = self._clock()

    def stop(self, key_final: Key | None = None, tags_final: Tags = None) -> float:
        """Record, under the key given here if one is.

        Args:
            key_final: Takes the place of the key that the timer was started with.
            tags_final: Takes the place of its tags.

        Returns:
            Seconds since the start, measured or not.
        """
        duration = self._clock() - self._start
        backend = _door.backend
        if backend is None:
            return duration
        key = self._key if key_final is None else key_final
        if key is None:
            _logger.error("A timer was stopped without a key, neither in timer() nor in stop(): not recorded")
            return duration
        try:
            backend.timed(key, self._tags if tags_final is None else tags_final, duration)
        except Exception as error:  # noqa: BLE001  # a key or tag may be any object
            GUARD.about(error)
        return duration


class _Steps:
    """The time that a generator runs, step by step; the time of its consumer does not count.

    A span that begins with it is current during its steps only.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing.again()
        self._backend = _door.backend
        self._span: Any = None
        self._ran = 0.0
        if self._backend is not None:
            with GUARD:
                self._span = self._backend.child(timing.key, timing.tags)
            if self._span is not None:
                self._span.suspend()

    @contextmanager
    def step(self) -> Iterator[None]:
        """One step."""
        backend, span = self._backend, self._span
        if backend is None:
            yield
            return
        start = backend.clock()
        if span is not None:
            span.resume()
        try:
            yield
        finally:
            if span is not None:
                span.suspend()
            self._ran += backend.clock() - start

    def end(self, error: BaseException | None) -> None:
        """Record the whole."""
        if self._backend is not None:
            kind = None if error is None else type(error)
            self._timing.record(self._backend, self._ran, kind)
            if self._span is not None:
                with GUARD:
                    self._span.finish(error)


def _around_call(timing: Timing, function: Any) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        with timing.again():
            return function(*args, **kwargs)

    return timed


def _around_coroutine(timing: Timing, function: Any) -> Callable[..., Any]:
    async def timed(*args: Any, **kwargs: Any) -> Any:
        with timing.again():
            return await function(*args, **kwargs)

    return timed


def _around_generator(timing: Timing, function: Any) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = _Steps(timing)
        generator = function(*args, **kwargs)
        resume, value = generator.send, None
        try:
            while True:
                try:
                    with steps.step():
                        item = resume(value)
                except StopIteration as stop:
                    steps.end(None)
                    return stop.value
                try:
                    value = yield item
                    resume = generator.send
                except GeneratorExit:
                    with steps.step():
                        generator.close()
                    raise
                except BaseException as error:  # noqa: BLE001  # thrown in by the consumer: the generator's to handle
                    resume, value = generator.throw, error
        except BaseException as error:
            steps.end(error)
            raise

    return timed


def _around_async_generator(timing: Timing, function: Any) -> Callable[..., Any]:
    async def timed(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        steps = _Steps(timing)
        generator = function(*args, **kwargs)
        resume, value = generator.asend, None
        try:
            while True:
                try:
                    with steps.step():
                        item = await resume(value)
                except StopAsyncIteration:
                    steps.end(None)
                    return
                try:
                    value = yield item
                    resume = generator.asend
                except GeneratorExit:
                    with steps.step():
                        await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  # thrown in by the consumer: the generator's to handle
                    resume, value = generator.athrow, error
        except BaseException as error:
            steps.end(error)
            raise

    return timed
