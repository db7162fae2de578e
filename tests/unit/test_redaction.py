"""Secrets leave neither in spans nor in log lines."""

from __future__ import annotations

import dataclasses
import json
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webob.multidict import MultiDict

from c2cotel import redaction
from tests.unit.secrets_table import HARMLESS, SAMPLES, SECRET, Sample


def test_the_table_is_as_long_as_promised() -> None:
    assert len(SAMPLES) >= 80


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.text[:40])
def test_no_secret_survives_and_the_rest_stays(sample: Sample) -> None:
    shown = redaction.anywhere(sample.text)
    assert not [word for word in sample.secrets if word in shown]
    assert not [word for word in sample.stays if word not in shown]
    assert redaction.anywhere(shown) == shown
    assert redaction.quickly(sample.text) == shown


@pytest.mark.parametrize("text", HARMLESS, ids=lambda text: text[:40])
def test_harmless_text_stays_byte_for_byte(text: str) -> None:
    assert redaction.anywhere(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("a=1&b=2", "a=1&b=2"),
        ("secret=s3cr3t", "secret=REDACTED"),
        ("a=1&SECRET=x&b=%20", "a=1&SECRET=REDACTED&b=%20"),
        ("a=1;secret=x;b=2&c=3", "a=1;secret=REDACTED;b=2&c=3"),
        ("a=1&amp;secret=x&amp;b=2", "a=1&amp;secret=REDACTED&amp;b=2"),
        ("sec%72et=x", "sec%72et=REDACTED"),
        ("sec%2572et=x", "sec%2572et=REDACTED"),
        ("secret=a;b&c", "secret=REDACTED"),
        ("secret", "secret"),
        ("password=a=b", "password=REDACTED"),
        ("client_secret=x&design=y", "client_secret=REDACTED&design=y"),
    ],
)
def test_secret_parameters_of_a_query_are_hidden(text: str, shown: str) -> None:
    assert redaction.query(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:p@h/a?secret=x&y=1#token=z", "http://u:REDACTED@h/a?secret=REDACTED&y=1#token=REDACTED"),
        ("redis://:pw@h:6379/0", "redis://:REDACTED@h:6379/0"),
        ("https://token@h/?a=b@c", "https://REDACTED@h/?a=b@c"),
        ("/x?y=1", "/x?y=1"),
    ],
)
def test_secrets_of_a_url_are_hidden(text: str, shown: str) -> None:
    assert redaction.url(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{'password': 'hunter2', 'a': 1}", "{'password': 'REDACTED', 'a': 1}"),
        ('{"password": ["hunter2"], "a": 1}', '{"password": "REDACTED", "a": 1}'),
        ("postgresql://u:p%40ss@h/db failed", "postgresql://u:REDACTED@h/db failed"),
        ("Command # 2 (LPUSH k hunter2) of pipeline", "Command # 2 (LPUSH …) of pipeline"),
        ("[SQL: X]\n[parameters: ('1', 'hunter2')]\n(more)", "[SQL: X]\n[parameters: REDACTED]\n(more)"),
    ],
)
def test_what_is_hidden_keeps_the_form_around_it(text: str, shown: str) -> None:
    assert redaction.anywhere(text) == shown


def test_values_of_a_statement_may_stay_but_not_its_passwords() -> None:
    text = "postgresql://u:pw@h/db [SQL: X]\n[parameters: {'name': 'toto', 'password': 'hunter2'}]"
    shown = "postgresql://u:REDACTED@h/db [SQL: X]\n[parameters: {'name': 'toto', 'password': 'REDACTED'}]"
    assert redaction.anywhere(text, values=False) == shown


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "X-API-Key",
        "DB_PASSWORD",
        "password1",
        "passwordConfirm",
        "AccountKey",
        "pass",
        "sig",
        "Cookie",
        "api.key",
        "secret_key_base",
        "p%61ssword",
        "refresh_token",
        "Authorization",
        "user[password]",
        "c2c_session",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert redaction.is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "author",
        "keyboard",
        "monkey",
        "tokenize",
        "max_tokens_used",
        "sort_key",
        "primary_key",
        "passwordless",
        "secretary",
        "password_reset_url",
        "token_type",
        "compass",
        "design",
        "session_id",
        "cookie_name",
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert not redaction.is_secret(name)


Login = namedtuple("Login", "user password")  # noqa: PYI024  # as applications have them


@dataclasses.dataclass
class Account:
    """What an application may log."""

    user: str
    password: str


class Hostile:
    """An object of which nothing can be read."""

    def __str__(self) -> str:
        raise SystemExit


class Loud(str):
    """A text with methods of its own."""

    __slots__ = ()

    def __str__(self) -> str:
        raise ValueError

    lower = __str__


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": ["x"], "user": ["bob"]}, {"password": "REDACTED", "user": ["bob"]}),
        ({"a": {"token": 5, "tokens": 5, "secret": None}}, {"a": {"token": "REDACTED", "tokens": 5, "secret": None}}),
        (MultiDict([("secret", "x"), ("a", "1"), ("a", "2")]), {"secret": "REDACTED", "a": ["1", "2"]}),
        ([("password", "x"), ("user", "bob")], [("password", "REDACTED"), ("user", "bob")]),
        ([(b"authorization", b"Bearer x")], [(b"authorization", "REDACTED")]),
        (["--password", "x", "--user", "bob"], ["--password", "REDACTED", "--user", "bob"]),
        ({"name": "password", "value": "x"}, {"name": "password", "value": "REDACTED"}),
        ({"auth": ("bob", "x")}, {"auth": "REDACTED"}),
        (b"password=x", b"password=REDACTED"),
        ((1, 2.5, True, None, "a"), (1, 2.5, True, None, "a")),
        (Login("bob", "x"), ("bob", "REDACTED")),
        (frozenset({"secret=x"}), ["secret=REDACTED"]),
        ({"postgresql://u:x@h": 1}, {"postgresql://u:REDACTED@h": 1}),
        (Loud("a"), "a"),
        (Hostile(), "[Hostile cannot be read: SystemExit]"),
        (OrderedDict(a=Hostile()), {"a": "[Hostile cannot be read: SystemExit]"}),
    ],
)
def test_secrets_in_values_are_hidden(value: Any, shown: Any) -> None:
    assert redaction.value(value) == shown
    assert redaction.value(redaction.value(value)) == shown


def test_objects_of_the_application_become_text() -> None:
    shown = redaction.value({"account": Account("bob", SECRET), 1: Loud("b")})
    assert SECRET not in str(shown)
    assert "bob" in shown["account"]
    assert type(shown["account"]) is str
    assert type(shown[1]) is str


def test_structures_without_end_have_one() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert redaction.value(cycle) == ["…"]
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert "…" in str(redaction.value(deep))
    assert len(redaction.value(list(range(100_000)))) <= 10_000


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.text[:40])
def test_a_cut_splits_no_secret(sample: Sample) -> None:
    for length in range(len(sample.text)):
        shown = redaction.cut(sample.text + " " + "." * 600, length)
        assert not [word for word in sample.secrets if word in shown]
        assert len(shown) <= length


@pytest.mark.parametrize("text", HARMLESS, ids=lambda text: text[:40])
def test_a_cut_leaves_harmless_text_alone(text: str) -> None:
    assert redaction.cut(text + "." * 600, len(text)) == text
    assert redaction.cut(text, len(text)) == text


def test_a_password_without_end_is_cut_away() -> None:
    assert SECRET not in redaction.cut(f"postgresql://u:{SECRET * 1_000}@h/db", 100)
    assert SECRET not in redaction.cut(f"password='{SECRET * 1_000}'", 100)


def test_the_text_of_an_error_hides_what_servers_quote() -> None:
    error = ValueError(f"unknown command 'GTE', with args beginning with: '{SECRET}'")
    assert redaction.error_text(error) == "unknown command 'GTE', with args beginning with: REDACTED"
    assert redaction.error_text(error, 15) == "unknown command"
    assert redaction.error_text(ValueError()) == "ValueError"
    assert redaction.error_text(ValueError(Hostile())) == "ValueError"


@given(
    st.text(alphabet=st.characters(exclude_categories=()))
    | st.lists(
        st.sampled_from(
            [
                "password",
                "=",
                ": ",
                "'",
                '"',
                "\\",
                "[",
                "]",
                "(",
                ")",
                "{",
                ", ",
                "&",
                ";",
                "x",
                " ",
                "\n",
                "://",
                "@",
                "u:",
                "token",
                "Cookie",
                "Bearer ",
                "%3D",
                "%22",
                "eyJaaaaaa",
                ".",
                "<secret>",
                "</",
                "--password ",
                "Authorization",
                "[parameters: ",
                "Key (a)=(",
                "REDACTED",
                "�",
                "İ",
                "-----BEGIN PRIVATE KEY-----",
                "value",
                "PASSWORD '",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_any_text_is_redacted_once_and_for_all(text: str) -> None:
    shown = redaction.anywhere(text)
    assert redaction.anywhere(shown) == shown
    redaction.query(text)
    redaction.url(text)
    redaction.cut(text, len(text) // 2)


_NAMES = st.sampled_from(["password", "api_key", "Authorization", "client_secret", "Set-Cookie"])
_LEAVES = st.just(f"zz{SECRET}zz") | st.just(f"{SECRET} {SECRET}") | st.just(f"{SECRET}'\"{SECRET}")
_SECRETS = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)
_STRUCTURES = st.recursive(
    st.dictionaries(_NAMES, _SECRETS, min_size=1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(_STRUCTURES)
def test_secrets_of_structures_survive_in_no_form(structure: Any) -> None:
    assert SECRET not in str(redaction.value(structure))
    assert SECRET not in redaction.anywhere(repr(structure))
    assert SECRET not in redaction.anywhere(json.dumps(structure))
    assert SECRET not in redaction.anywhere(json.dumps(json.dumps(structure)))
    assert SECRET not in redaction.anywhere(repr(json.dumps(structure)))


HOSTILE = [
    "://u",
    "x://y:",
    "x://y@",
    "http://a/",
    "password=",
    "password ",
    "secret",
    "secret='",
    'secret\\"=\\"',
    "secret=\\",
    "'",
    '"',
    "\\",
    "[",
    "{",
    "(",
    "%25",
    "%61",
    "a:",
    "eyJ",
    "eyJa.",
    "-----BEGIN ",
    " ",
    "[parameters: ",
    "secret=[\n",
    "Command # 1 (A ",
    "Key (",
    "Key (a)=(",
    "secret=x ",
    "tokens=1 ",
    "token: 5 ",
    "&a",
    "%3a%2f%2f",
    "<password>",
]
"""What repeated makes a text that costs more than others."""

ORDINARY = (
    "GET https://shop.example/orders/12?page=3 by the author, 17 tokens of the keynote: answered with 200 in 12 ms\n"
)


@pytest.mark.parametrize("word", HOSTILE)
@pytest.mark.parametrize("before", ["", "secret='", "x://"])
def test_the_time_grows_with_the_text_alone(word: str, before: str) -> None:
    def seconds(length: int) -> float:
        start = process_time()
        redaction.anywhere((before + word * length)[:length] + "=")
        return process_time() - start

    assert seconds(400_000) < 0.5 + 20 * seconds(100_000)


@pytest.mark.parametrize("redact", [redaction.anywhere, redaction.cut], ids=["anywhere", "cut"])
def test_hostile_text_costs_little_more_than_harmless_text(redact: Callable[[str], str]) -> None:
    """Each beside harmless text of its length in turn; the lowest of several, as others use this machine too."""

    def seconds(word: str) -> float:
        text = (word * 400_000)[:400_000] + "="
        start = process_time()
        redact(text)
        return process_time() - start

    for word in HOSTILE:
        pairs = [(seconds(ORDINARY), seconds(word)) for _ in range(2)]
        while (ratio := min(b for _, b in pairs) / min(a for a, _ in pairs)) > 8 and len(pairs) < 8:
            pairs.append((seconds(ORDINARY), seconds(word)))
        assert ratio <= 8, word  # 3 on a quiet machine; without a bound it was 14, and more with the length


@pytest.mark.parametrize("word", ["://", "x://y ", "%3a%2f%2f", "tokens=1 ", ":\\/\\/", "secret='"])
def test_what_follows_thousands_of_addresses_or_names_is_hidden(word: str) -> None:
    text = word * 20_000 + f" password={SECRET} "
    shown = redaction.anywhere(text)
    assert len(shown) < len(text)
    assert SECRET not in shown
    assert redaction.anywhere(shown) == shown
