"""The thread that hears what Redis carries to this process."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from c2cotel import redaction

_logger = logging.getLogger(__package__)

_POLL = 1.0
_SILENCE = 30.0
"""Seconds after which the server is asked whether it is there: a cut line says nothing."""
_SUBSCRIBING = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_ENDING = 0.5
_REASON = 300
"""Characters of an error that are logged: redis-py puts the whole description of its client into some."""


class Outage:
    """Tells once that Redis is away and once that it is back.

    Attributes:
        lasts: whether it is away.
    """

    def __init__(self) -> None:
        self.lasts = False
        # Held while it is logged, too: the lines of two threads must come in the order of what they tell.
        # It can be entered again: what logs may broadcast.
        self._lock = threading.RLock()
        self._closed = False

    def close(self) -> None:
        """Tell nothing more: what is still on its way concerns nobody."""
        self._closed = True

    def begins(self, error: BaseException) -> None:
        """Something failed."""
        with self._lock:
            if not self.lasts and not self._closed:
                self.lasts = True
                reason = redaction.cut(f"{type(error).__name__}: {error}", _REASON)
                _logger.warning(
                    "Redis is away, broadcasts reach this process only until it is back: %s (logged once)", reason
                )

    def ends(self) -> None:
        """It works."""
        with self._lock:
            if self.lasts and not self._closed:
                self.lasts = False
                _logger.info("Redis is back, broadcasts reach every process again")


class Listener:
    """Subscribes to channels, and again whenever the connection was lost, until it is stopped.

    Args:
        client: of Redis.
        channels: what is listened to.
        hear: called by the thread with channel and content of each message; must be quick.
        lose: called by the thread when a connection that was subscribed is lost.
        outage: is told when Redis is away and when it is back.
        when_subscribed: called, by a thread of its own, each time that the subscription is confirmed.
    """

    def __init__(
        self,
        client: Any,
        channels: tuple[str, ...],
        hear: Callable[[str, bytes], None],
        lose: Callable[[], None],
        outage: Outage,
        when_subscribed: Sequence[Callable[[], object]] = (),
    ) -> None:
        self._client = client
        self._channels = channels
        self._hear = hear
        self._lose = lose
        self._outage = outage
        self._when_subscribed = when_subscribed
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pubsub: Any = None
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._subscribed = threading.Event()

    def start(self) -> None:
        """Begin to listen, or go on."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._stopping = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stopping,), name="c2cotel broadcast", daemon=True
                )
                self._thread.start()

    @property
    def subscribed(self) -> bool:
        """Whether the server has confirmed the subscription."""
        return self._subscribed.is_set()

    def wait_subscribed(self, timeout: float) -> bool:
        """Wait, `timeout` seconds at most, until the server has confirmed; returns whether it has."""
        if not self._subscribed.is_set():
            self._hurry.set()
        return self._subscribed.wait(max(0.0, timeout))

    def stop(self) -> None:
        """End the thread; waits for that as long as it is quick."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        self._hurry.set()
        if (pubsub := self._pubsub) is not None and self._subscribed.is_set():
            try:
                pubsub.unsubscribe()  # the server's answer wakes the thread
            except Exception as error:  # noqa: BLE001  # it is ending anyway, and sees the flag within a second
                _logger.debug("Could not unsubscribe: %s", error)
        if thread is not threading.current_thread():
            thread.join(_ENDING)

    def _run(self, stopping: threading.Event) -> None:
        pause = _FIRST_PAUSE
        while not stopping.is_set():
            try:
                with self._client.pubsub() as self._pubsub:
                    self._listen(self._pubsub, stopping)
            except Exception as error:  # noqa: BLE001  # whatever it is, the thread goes on
                if not stopping.is_set():
                    self._outage.begins(error)
            finally:
                self._pubsub = None
            if self._subscribed.is_set():
                self._subscribed.clear()
                self._lose()
                pause = _FIRST_PAUSE
            if not stopping.is_set():
                # Not all processes at once; and at once if somebody waits.
                self._hurry.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311  # no secret
                self._hurry.clear()
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _listen(self, pubsub: Any, stopping: threading.Event) -> None:
        pubsub.subscribe(*self._channels)
        missing = set(self._channels)
        heard, asked = time.monotonic(), False
        while not stopping.is_set():
            message = pubsub.get_message(timeout=_POLL)
            now = time.monotonic()
            if message is None:
                asked = self._ask(pubsub, now - heard, asked=asked, subscribed=not missing)
                continue
            heard, asked = now, False
            channel = _text(message["channel"])
            if message["type"] == "subscribe":
                missing.discard(channel)
                if not missing:
                    self._outage.ends()
                    self._subscribed.set()
                    self._announce()
            elif message["type"] == "message":
                self._hear(channel, message["data"])

    def _announce(self) -> None:
        if self._when_subscribed:
            threading.Thread(target=self._call_each, name="c2cotel broadcast resumed", daemon=True).start()

    def _call_each(self) -> None:
        for act in list(self._when_subscribed):
            try:
                act()
            except Exception:
                _logger.exception("Something could not be read again after the connection to Redis was lost")

    def _ask(self, pubsub: Any, silence: float, *, asked: bool, subscribed: bool) -> bool:
        """Ask a silent server whether it is there; returns whether it was asked.

        Raises:
            TimeoutError: it has not answered.
        """
        if (asked and silence > 2 * _SILENCE) or (not subscribed and silence > _SUBSCRIBING):
            raise TimeoutError(f"no answer for {silence:.0f} s")
        if not asked and silence > _SILENCE:
            pubsub.ping()
            return True
        return asked


def _text(channel: bytes | str | None) -> str:
    return channel.decode("utf-8", "replace") if isinstance(channel, bytes) else str(channel)
