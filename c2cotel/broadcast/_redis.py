"""Broadcast over Redis pub/sub: every process with the same prefix hears every message.

All of a service share one channel for messages, and each process has one of its own for the answers it waits for, both
subscribed as long as it runs: an answer cannot come before its subscription is confirmed. The process that asks acts
itself, and at once: it needs no Redis for that.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from opentelemetry import context, propagate

from c2cotel.broadcast._client import Store
from c2cotel.broadcast._listener import Listener, Outage
from c2cotel.broadcast._port import Handlers
from c2cotel.delivery.forks import forks
from c2cotel.delivery.once import Once

_logger = logging.getLogger(__package__)

_PATIENCE, _WHILE_AWAY = 2.0, 0.5
"""Seconds that a broadcast waits for its process to be subscribed, and when Redis is known to be away."""
_LOST, _OURSELVES = object(), object()


class RedisBroadcast:
    """Carries messages to every process, and their answers back.

    Args:
        handlers: of this process.
        store: its client publishes.
        listening: the client of the thread that listens.
    """

    def __init__(self, handlers: Handlers, store: Store, listening: Any) -> None:
        self.store = store
        self._handlers = handlers
        self._listening = listening
        self._messages = store.key("messages")
        self._serving = False
        self._begin()

    def start(self) -> None:
        """Begin to listen."""
        forks.watch(self)
        self._listener.start()

    def broadcast(
        self, channel: str, params: Mapping[str, Any], *, expect_answers: bool, timeout: float
    ) -> list[Any] | None:
        """See `Adapter`."""
        deadline = time.monotonic() + timeout
        self._listener.start()
        listening = self._listener.wait_subscribed(min(timeout, _WHILE_AWAY if self._outage.lasts else _PATIENCE))
        message_id, replies = uuid4().hex, SimpleQueue[Any]()
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        message = {
            "id": message_id,
            "from": self._answer_channel,
            "channel": channel,
            "params": params,
            "answers": expect_answers,
            "trace": carrier,
        }
        self._waiting[message_id] = replies
        try:
            reached = self._publish(self._messages, message)
            ours = self._handlers.answers(channel, params)
            if not expect_answers:
                return None
            return ours + _collect(replies, reached, deadline, listening=listening)
        finally:
            del self._waiting[message_id]

    def serve(self) -> None:
        """See `Adapter`."""
        if not self._serving:
            self._serving = True
            self._listener.start()

    def close(self) -> None:
        """See `Adapter`."""
        forks.ignore(self)
        self._listener.stop()
        self._listening.close()
        self.store.client.close()

    def before_fork(self) -> None:
        """A process that forks before it has served anything makes others work: it is no part of the service."""
        if not self._serving:
            self._listener.stop()

    def after_fork(self) -> None:
        """A worker listens from its start; what a worker itself forks does when it serves or broadcasts."""
        made_to_serve = not self._serving
        self._serving = False
        self._begin()
        if made_to_serve:
            self._listener.start()

    def _begin(self) -> None:
        self._answer_channel = self.store.key(f"answers_{uuid4().hex}")
        self._waiting: dict[str, SimpleQueue[Any]] = {}
        self._lines = _Lines(self._answer)
        self._outage = Outage()
        self._complaints = Once()
        channels = (self._messages, self._answer_channel)
        self._listener = Listener(self._listening, channels, self._hear, self._lose, self._outage)

    def _publish(self, channel: str, message: Mapping[str, Any]) -> int:
        """Send; returns how many processes are reached, 0 when Redis is away."""
        try:
            reached: Any = self.store.client.publish(channel, json.dumps(message))
        except Exception as error:  # noqa: BLE001  # a broadcast never breaks what it is made for
            self._outage.begins(error)
            return 0
        self._outage.ends()
        return int(reached)

    def _lose(self) -> None:
        for replies in list(self._waiting.values()):
            replies.put(_LOST)

    def _hear(self, channel: str, content: bytes) -> None:
        try:
            message = json.loads(content)
            if channel == self._answer_channel:
                replies = self._waiting.get(message["id"])
                if replies is not None:
                    replies.put(list(message["answers"]))
            elif message["from"] != self._answer_channel:
                _check(message, self.store.prefix)
                self._lines.put(message["channel"], message)
            elif (replies := self._waiting.get(message["id"])) is not None:
                replies.put(_OURSELVES)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if self._complaints.first("message"):
                _logger.warning("A message on %s is none of ours and ignored (logged once): %r", channel, error)

    def _answer(self, message: dict[str, Any]) -> None:
        token = context.attach(propagate.extract(message["trace"]))
        try:
            answers = self._handlers.answers(message["channel"], message["params"])
            if message["answers"]:
                self._publish(message["from"], {"id": message["id"], "answers": answers})
        finally:
            context.detach(token)


class _Lines:
    """The messages of each channel, worked off in their order by a thread that is there while there are any.

    Not by the listener's thread: a handler that hangs delays the messages of its own channel only.

    Args:
        work: takes one message.
    """

    def __init__(self, work: Callable[[dict[str, Any]], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._left: dict[str, deque[dict[str, Any]]] = {}

    def put(self, channel: str, message: dict[str, Any]) -> None:
        """Add one at the end of its line."""
        with self._lock:
            busy = channel in self._left
            self._left.setdefault(channel, deque()).append(message)
        if not busy:
            threading.Thread(
                target=self._run, args=(channel,), name=f"c2cotel broadcast {channel}", daemon=True
            ).start()

    def _run(self, channel: str) -> None:
        while True:
            with self._lock:
                if not self._left[channel]:
                    del self._left[channel]
                    return
                message = self._left[channel].popleft()
            self._work(message)


def _collect(replies: SimpleQueue[Any], reached: int, deadline: float, *, listening: bool) -> list[Any]:
    """The answers of the others, None for each that was reached and gives none in time."""
    answers: list[Any] = []
    if listening:
        # This process is one of those reached, and its answer is known; its own message tells that it was counted.
        waiting, ourselves = reached, False
        while waiting > 0:
            try:
                reply = replies.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            if reply is _LOST:
                break
            waiting -= 1
            if reply is _OURSELVES:
                ourselves = True
            else:
                answers += reply
        reached = waiting if ourselves or not waiting else waiting - 1
    return answers + [None] * reached


def _check(message: Any, prefix: str) -> None:
    """Refuse what another kind of program has sent.

    Raises:
        TypeError, KeyError: it is no message of ours.
    """
    texts = message["id"], message["from"], message["channel"]
    if not (
        all(isinstance(text, str) for text in texts)
        and message["from"].startswith(prefix)
        and isinstance(message["params"], dict)
        and isinstance(message["trace"], dict)
        and isinstance(message["answers"], bool)
    ):
        raise TypeError("not of the form that c2cotel sends")
