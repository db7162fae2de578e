"""Broadcast over Redis pub/sub: every process with the same prefix hears every message.

All of a service share one channel for messages, and each process has one of its own for the answers it waits for, both
subscribed as long as it runs: an answer cannot come before its subscription is confirmed. The process that asks acts
itself, and at once: it needs no Redis for that.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from opentelemetry import context, propagate

from c2cotel.broadcast._client import Store
from c2cotel.broadcast._listener import Listener, Outage
from c2cotel.broadcast._port import Handlers, Replies
from c2cotel.delivery.forks import forks
from c2cotel.delivery.guard import Guard
from c2cotel.delivery.lines import Lines
from c2cotel.delivery.once import Once

_logger = logging.getLogger(__package__)

_PATIENCE, _WHILE_AWAY = 2.0, 0.5
"""Seconds that a broadcast waits for its process to be subscribed, and when Redis is known to be away."""
_LOST, _OURSELVES = object(), object()
_UNKNOWN = "a process of some host"
_NOBODY = ""
"""The line of messages on channels that nobody here serves."""


class RedisBroadcast:
    """Carries messages to every process, and their answers back.

    Args:
        handlers: of this process.
        store: its client publishes.
        listening: the client of the thread that listens.
        when_subscribed: called each time that this process begins to hear the others.
    """

    def __init__(
        self, handlers: Handlers, store: Store, listening: Any, when_subscribed: list[Callable[[], object]]
    ) -> None:
        self.store = store
        self._handlers = handlers
        self._listening = listening
        self._when_subscribed = when_subscribed
        self._messages = store.key("messages")
        self._serving = False
        self._begin()

    def start(self) -> None:
        """Begin to listen."""
        forks.watch(self)
        self._listener.start()

    def broadcast(self, channel: str, params: Mapping[str, Any], *, expect_answers: bool, timeout: float) -> Replies:
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
            sending = _Sending(self._publish, self._messages, message)
            ours = self._handlers.answers(channel, params)
            reached = sending.wait(min(deadline - time.monotonic(), _PATIENCE) if expect_answers else _WHILE_AWAY)
            if not expect_answers:
                return Replies(ours)
            others = _collect(replies, reached, deadline, listening=listening)
            return Replies(ours + others, [_UNKNOWN] * others.count(None))
        finally:
            del self._waiting[message_id]

    def hears_others(self) -> bool:
        """See `Adapter`."""
        return self._listener.subscribed

    def listen(self) -> None:
        """Nothing to do: it listens from its start."""

    def serve(self) -> None:
        """See `Adapter`."""
        if not self._serving:
            self._serving = True
            self._listener.start()

    def close(self) -> None:
        """See `Adapter`."""
        forks.ignore(self)
        self._outage.close()
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
        self._lines = Lines("broadcast", self._answer)
        self._outage = Outage()
        self._complaints = Once()
        self._guard = Guard(_logger, "The trace of a broadcast cannot be read")
        channels = (self._messages, self._answer_channel)
        self._listener = Listener(
            self._listening, channels, self._hear, self._lose, self._outage, self._when_subscribed
        )

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
                    replies.put(_checked_answers(message["answers"]))
            elif message["from"] != self._answer_channel:
                _check(message, self.store.prefix)
                if message["channel"] in self._handlers:
                    self._lines.put(message["channel"], message)
                elif message["answers"]:
                    self._lines.put(_NOBODY, message)
            elif (replies := self._waiting.get(message["id"])) is not None:
                replies.put(_OURSELVES)
        except Exception as error:  # noqa: BLE001  # anybody may send anything: RecursionError as well
            if self._complaints.first("message"):
                _logger.warning("A message on %s is none of ours and ignored (logged once): %r", channel, error)

    def _answer(self, message: dict[str, Any]) -> None:
        token = None
        with self._guard:
            token = context.attach(propagate.extract(message["trace"]))
        try:
            answers = self._handlers.answers(message["channel"], message["params"])
            if message["answers"]:
                self._publish(message["from"], {"id": message["id"], "answers": answers})
        finally:
            if token is not None:
                context.detach(token)


class _Sending:
    """A message on its way to Redis, sent by a thread of its own: a resolver that hangs must not hold the caller.

    Args:
        publish: Sends; returns how many processes are reached.
        arguments: Arguments of `publish`.
    """

    def __init__(self, publish: Callable[..., int], *arguments: Any) -> None:
        self._publish = publish
        self._arguments = arguments
        self._done = threading.Event()
        self._reached = 0
        try:
            # In the caller's context: what is sent belongs to its trace.
            send = contextvars.copy_context().run
            threading.Thread(target=send, args=(self._send,), name="c2cotel broadcast sender", daemon=True).start()
        except RuntimeError:  # no more threads
            self._send()

    def wait(self, timeout: float) -> int:
        """How many processes are reached; 0 if that is not known within `timeout` seconds."""
        self._done.wait(max(0.0, timeout))
        return self._reached

    def _send(self) -> None:
        try:
            self._reached = self._publish(*self._arguments)
        finally:
            self._done.set()


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


def _checked_answers(answers: Any) -> list[Any]:
    """Refuse answers of another form.

    Raises:
        TypeError: they are no list.
    """
    if not isinstance(answers, list):
        raise TypeError("answers: expected a list")
    return answers
