"""Starts a service as `tests.apps.operated` makes it, and asks it what its operator would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import redis

from tests.servers.client import get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until

APPLICATION = "tests.apps.operated:application()"


def start(gunicorn: Callable[..., Gunicorn], env: dict[str, str], workers: int = 2, **options: Any) -> Gunicorn:
    """Start a service whose processes all listen."""
    server = gunicorn(APPLICATION, env=env, workers=workers, **options)
    with redis.Redis.from_url(env["C2C_REDIS_URL"]) as client:
        wait_until(
            lambda: any(
                count >= workers for _, count in client.pubsub_numsub(env["C2C_BROADCAST_PREFIX"] + "messages")
            ),
            "all workers listen",
        )
    levels(server, workers)  # and have their views: a process listens before it has read all of the application
    return server


def ask(server: Gunicorn, path: str, **params: Any) -> Any:
    """The JSON of a view, the secret given."""
    answer = get(f"{server.url}/c2c{path}?{urlencode({'secret': 'secret', **params})}")
    assert answer is not None
    return answer.json()


def levels(server: Gunicorn, workers: int = 2) -> dict[int, int]:
    """The level of the logger `app` in each worker."""
    found: dict[int, int] = {}

    def all_asked() -> bool:
        answer = get(f"{server.url}/who")
        if answer is not None:
            found[answer.json()["pid"]] = answer.json()["level"]
        return len(found) >= workers

    wait_until(all_asked, "each worker has answered")
    return found
