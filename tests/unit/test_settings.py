"""How settings are read (contract, section 1)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from c2cotel import SettingsError
from c2cotel.config import settings
from c2cotel.config.declare import Settings, setting
from c2cotel.config.parsers import boolean, choice, count, milliseconds, seconds, text, words
from c2cotel.config.reference import reference


@dataclass(frozen=True)
class Example:
    """One setting of each kind."""

    flag: bool = setting("EXAMPLE_FLAG", "example.flag", "example_flag", parse=boolean, default=False, doc="A flag.")
    wait: float = setting("EXAMPLE_WAIT", "example.wait", parse=seconds, default=1.0, doc="Seconds.")
    size: int = setting("EXAMPLE_SIZE", "example.size", parse=count, default=5, doc="A size.")
    kind: str = setting("EXAMPLE_KIND", "example.kind", parse=choice("red", "blue"), default="red", doc="A colour.")
    tags: dict[str, str] = setting("EXAMPLE_TAG_{NAME}", parse=text, doc="Tags.")


def read(environ: dict[str, str] | None = None, ini: dict[str, Any] | None = None) -> Example:
    return Settings(environ or {}, ini).section(Example)


def test_the_environment_wins_over_the_ini_and_the_ini_over_the_default() -> None:
    assert read().size == 5
    assert read(ini={"example.size": "6"}).size == 6
    assert read({"EXAMPLE_SIZE": "7"}, {"example.size": "6"}).size == 7


def test_an_empty_variable_counts_as_unset() -> None:
    assert read({"EXAMPLE_SIZE": ""}, {"example.size": "6"}).size == 6
    assert read(ini={"example.size": ""}).size == 5


def test_the_first_of_several_ini_names_wins() -> None:
    assert read(ini={"example.flag": "0", "example_flag": "1"}).flag is False
    assert read(ini={"example_flag": "1"}).flag is True


def test_an_ini_may_hold_values_that_are_no_text() -> None:
    assert read(ini={"example.flag": True, "example.size": 9}).size == 9


@pytest.mark.parametrize("word", ["1", "true", "T", "YES", "y", "On"])
def test_words_for_true(word: str) -> None:
    assert read({"EXAMPLE_FLAG": word}).flag is True


@pytest.mark.parametrize("word", ["0", "false", "F", "NO", "n", "Off"])
def test_words_for_false(word: str) -> None:
    assert read({"EXAMPLE_FLAG": word}).flag is False


@pytest.mark.parametrize(
    ("name", "held", "accepted"),
    [
        ("EXAMPLE_FLAG", "maybe", "1, true, t, yes, y, on or 0, false, f, no, n, off"),
        ("EXAMPLE_WAIT", "soon", "a positive number of seconds"),
        ("EXAMPLE_WAIT", "nan", "a positive number of seconds"),
        ("EXAMPLE_WAIT", "inf", "a positive number of seconds"),
        ("EXAMPLE_WAIT", "0", "a positive number of seconds"),
        ("EXAMPLE_SIZE", "1.5", "a whole number of at least 1"),
        ("EXAMPLE_SIZE", "-1", "a whole number of at least 1"),
        ("EXAMPLE_KIND", "green", "one of red, blue"),
    ],
)
def test_a_bad_value_is_an_error_that_names_it_and_what_is_accepted(name: str, held: str, accepted: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read({name: held})
    assert f"{name}={held!r}" in str(caught.value)
    assert accepted in str(caught.value)


def test_an_error_in_the_ini_names_the_ini_entry() -> None:
    with pytest.raises(SettingsError, match=r"example\.wait='soon'"):
        read(ini={"example.wait": "soon"})


def test_a_family_of_variables_becomes_a_mapping_with_lower_case_names() -> None:
    found = read({"EXAMPLE_TAG_ENV": "prod", "EXAMPLE_TAG_Zone": "eu", "EXAMPLE_TAG_EMPTY": "", "OTHER": "x"})
    assert found.tags == {"env": "prod", "zone": "eu"}


def test_milliseconds_become_seconds_and_words_lose_their_blanks() -> None:
    assert milliseconds("1500") == 1.5
    assert words(" otlp, statsd ,,") == ("otlp", "statsd")


def test_a_later_setup_may_repeat_a_setting_but_not_change_it() -> None:
    fixed = Settings({"EXAMPLE_SIZE": "7"})
    Settings({}).must_agree(fixed, Example)
    Settings({}, {"example.size": "7"}).must_agree(fixed, Example)
    with pytest.raises(SettingsError, match=r"example\.size='8'.*fixed 7"):
        Settings({}, {"example.size": "8"}).must_agree(fixed, Example)


def test_the_origin_of_a_value_can_be_told() -> None:
    declared = dict(_declared())["size"]
    assert Settings({"EXAMPLE_SIZE": "7"}).origin(declared) == "EXAMPLE_SIZE"
    assert Settings({}, {"example.size": "7"}).origin(declared) == "example.size"
    assert Settings({}).origin(declared) is None


def _declared() -> list[tuple[str, Any]]:
    from c2cotel.config.declare import declarations

    return list(declarations(Example))


@pytest.mark.parametrize(("held", "found"), [("", ""), ("/", ""), ("c2c", "/c2c"), ("/c2c/", "/c2c"), ("/a/b", "/a/b")])
def test_the_base_path_has_one_slash_in_front_and_none_at_its_end(held: str, found: str) -> None:
    assert Settings({"C2C_BASE_PATH": held}).section(settings.ApplicationSettings).base_path == found


@pytest.mark.parametrize("held", ["::1:8125", "host:port", "http://h:1", "host:99999", ":8125", "unix://run"])
def test_a_statsd_address_that_cannot_be_parsed_is_refused_at_start(held: str) -> None:
    with pytest.raises(SettingsError, match="STATSD_ADDRESS="):
        Settings({"STATSD_ADDRESS": held}).section(settings.StatsdSettings)


def test_a_statsd_address_that_is_refused_tells_no_password() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings({"STATSD_ADDRESS": "http://user:hunter2@host:8125"}).section(settings.StatsdSettings)
    assert "hunter2" not in str(caught.value)
    assert "unknown scheme 'http'" in str(caught.value)


@pytest.mark.parametrize(
    "held", ["localhost", "localhost:8125", "[::1]:8125", "udp://127.0.0.1:9", "tcp://h:1", "unix:///run/statsd"]
)
def test_statsd_addresses_that_are_understood(held: str) -> None:
    assert Settings({"STATSD_ADDRESS": held}).section(settings.StatsdSettings).address == held


def test_a_header_name_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="C2C_REQUEST_ID_HEADER='X Request': expected the name of an HTTP header"):
        Settings({"C2C_REQUEST_ID_HEADER": "X Request"}).section(settings.RequestIdSettings)


def test_the_reference_page_of_the_settings_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs/reference/settings.md"
    assert page.read_text() == reference(), "run `make docs`"
