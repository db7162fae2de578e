"""Secrets leave neither in spans nor in log lines."""

from __future__ import annotations

from time import process_time

import pytest

from c2cotel import redaction


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        ("", ""),
        ("a=1&b=2", "a=1&b=2"),
        ("secret=s3cr3t", "secret=REDACTED"),
        ("a=1&SECRET=x&b=%20", "a=1&SECRET=REDACTED&b=%20"),
        ("sec%72et=x", "sec%72et=REDACTED"),
        ("secret", "secret"),
        ("password=a=b", "password=REDACTED"),
        ("secrets=x", "secrets=x"),
        ("client_secret=x&design=y", "client_secret=REDACTED&design=y"),
    ],
)
def test_secret_parameters_of_a_query_are_hidden(held: str, shown: str) -> None:
    assert redaction.query(held) == shown


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        ("postgresql://u:p%40ss@h/db failed", "postgresql://u:REDACTED@h/db failed"),
        ("postgresql+psycopg2://u:a/b?c#d@h/db lost", "postgresql+psycopg2://u:REDACTED@h/db lost"),
        ("redis://:pw@h:6379/0", "redis://:REDACTED@h:6379/0"),
        ("https://key@sentry.example/1", "https://key@sentry.example/1"),
        (f"https://{'9aF0' * 8}@sentry.example/1", "https://REDACTED@sentry.example/1"),
        (f"https://{'9aF0' * 8}:{'01' * 16}@sentry.example/1", "https://REDACTED:REDACTED@sentry.example/1"),
        (f"https://{'9aF0' * 8}/1", f"https://{'9aF0' * 8}/1"),
        ("GET /x?secret=abc&y=1", "GET /x?secret=REDACTED&y=1"),
        ("http://host:8080/path@x", "http://host:8080/path@x"),
        ("nothing here", "nothing here"),
        ("host=h password='hun ter2' user=u", "host=h password=REDACTED user=u"),
        ('PGPASSWORD="hunter2" psql', "PGPASSWORD=REDACTED psql"),
        ("{'password': 'hunter2', 'a': 1}", "{'password': REDACTED, 'a': 1}"),
        (r'"{\"secret\": \"hunter2\", \"a\": 1}"', r'"{\"secret\": REDACTED, \"a\": 1}"'),
        (r"'it\'s {\"pwd\":\"hunter2\"}'", r"'it\'s {\"pwd\":REDACTED}'"),
        ("client_secret=hunter2&refresh_token=x,y", "client_secret=REDACTED&refresh_token=REDACTED"),
        ("[SQL: X]\n[parameters: ('1', 'hunter2')]\n(more)", "[SQL: X]\n[parameters: REDACTED]\n(more)"),
        ("Command # 2 (LPUSH k hunter2) of pipeline", "Command # 2 (LPUSH …) of pipeline"),
    ],
)
def test_passwords_and_secrets_in_free_text_are_hidden(held: str, shown: str) -> None:
    assert redaction.anywhere(held) == shown


@pytest.mark.parametrize(
    "hostile",
    [
        "secret" * 20_000,
        "a.secret" * 12_000,
        "x://y:" * 16_000,
        "://" + "a" * 100_000,
        "secret='" * 12_000,
        'secret\\"=\\"' * 9_000,
        "secret" + "\\" * 90_000,
        "secret=" + "\\" * 90_000,
        "secret " * 14_000,
        "[parameters: " * 8_000,
        "Command # 1 (A " * 7_000,
    ],
    ids=lambda text: text[:12],
)
def test_no_text_of_100_kb_takes_long(hostile: str) -> None:
    start = process_time()
    redaction.anywhere(hostile)
    assert process_time() - start < 5


def test_values_that_are_cut_off_are_hidden() -> None:
    assert redaction.anywhere("[SQL: X]\n[parameters: ('hunter2', 'hun") == "[SQL: X]\n[parameters: REDACTED]"


def test_the_values_of_a_failed_statement_may_be_told_but_not_its_passwords() -> None:
    held = "postgresql://u:pw@h/db [SQL: X]\n[parameters: {'name': 'toto', 'password': 'hunter2'}]"
    shown = "postgresql://u:REDACTED@h/db [SQL: X]\n[parameters: {'name': 'toto', 'password': REDACTED}]"
    assert redaction.anywhere(held, values=False) == shown
