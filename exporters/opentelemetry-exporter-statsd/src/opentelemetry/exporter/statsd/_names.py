"""The text of a point apart from its value: prefix, name, tags, and what may stand in them. Pure functions."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.statsd._flavors import Flavor, forbidden_in_tags
from opentelemetry.exporter.statsd._rules import NameRule, text

MAX_LENGTH = 450
"""Characters of a name with its prefix, and of a tag value: collectd and others cut, and merge what they cut."""

_NOT_IN_SEGMENT = re.compile(r"[^a-zA-Z0-9_]")
_NOT_IN_TAG_VALUE = re.compile(r"[^\w.\-:/]")
_NOT_IN_PREFIX = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff|:#@,]")
_DOTS = re.compile(r"\.+")


def segment(value: str) -> str:
    """One level of a name, or a tag's key: each character but ASCII letters, digits and ``_`` becomes ``_``."""
    return _NOT_IN_SEGMENT.sub("_", value)


def default_tag_value(value: str) -> str:
    """A tag's value: letters and digits of any script and ``_ . - : /`` stay, every other character becomes ``_``."""
    return _NOT_IN_TAG_VALUE.sub("_", value)


def clean_prefix(prefix: str) -> str:
    """The prefix as it stands before a name: empty, or ending in exactly one dot, without leading or double dots."""
    bare = _DOTS.sub(".", _NOT_IN_PREFIX.sub("_", prefix)).strip(".")
    return f"{bare}." if bare else ""


class Namer:
    """A maker of names and tags. It has no state apart from its settings.

    Args:
        prefix: Text before every name, see :func:`clean_prefix`.
        rules: Names of chosen instruments; the first that matches a point wins.
        tags: Tags of every point, where the flavor can write tags; a point's own tag of the same key wins.
        flavor: Way to write tags, if they are written.
        use_tags: Whether the tagged form of the rules is taken.
        tag_value: Function that makes the text of a tag safe; what would break the line is replaced
            afterwards all the same.
    """

    def __init__(
        self,
        *,
        prefix: str,
        rules: Iterable[NameRule],
        tags: Mapping[str, str],
        flavor: Flavor,
        use_tags: bool,
        tag_value: Callable[[str], str] | None,
    ) -> None:
        self._style = flavor.tags
        self._forbidden = forbidden_in_tags(flavor)
        self._prefix = clean_prefix(self._forbidden.sub("_", prefix))
        self._use_tags = use_tags and flavor.tags is not None
        self._sanitize = tag_value or default_tag_value
        self._rules: dict[str, list[NameRule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.instrument.lower(), []).append(rule)
        self._constant = self.clean_tags(tags)

    def render(
        self, instrument: str, attributes: Mapping[str, Any] | None, resource: Mapping[str, str]
    ) -> tuple[str, str]:
        """The text before the value, with its colon, and the text after the type: ``("p.name:", "|#k:v")``.

        Args:
            instrument: The instrument's name.
            attributes: Attributes of the point.
            resource: Tags of the resource, as `clean_tags` made them; any other tag of the same key wins.
        """
        attributes = attributes or {}
        for rule in self._rules.get(instrument.lower(), ()):
            resolved = rule.resolve(attributes, tagged=self._use_tags)
            if resolved is not None:
                segments = list(map(segment, resolved[0]))
                tags = self.clean_tags(resolved[1])
                if self._style is None:
                    segments += [segment(value) for value in _by_key(resolved[1]).values()]
                break
        else:
            segments = list(map(segment, instrument.split(".")))
            tags = self.clean_tags(attributes)
            if self._style is None:
                for key, value in _by_key(attributes).items():
                    segments += (key, segment(value))
        head = f"{self._prefix}{'.'.join(segments) or '_'}"[:MAX_LENGTH]
        if self._style is None:
            return f"{head}:", ""
        written = self._style.write({**resource, **self._constant, **tags})
        return (f"{head}{written}:", "") if self._style.in_name else (f"{head}:", written)

    def clean_tags(self, attributes: Mapping[Any, Any]) -> dict[str, str]:
        """Attributes as tags that this flavor can write: none at all where it knows none."""
        tags: dict[str, str] = {}
        if self._style is None:
            return tags
        for key, value in _by_key(attributes).items():
            cleaned = self._tag_value(value)
            if cleaned:
                tags[key] = cleaned
        return tags

    def _tag_value(self, value: str) -> str:
        try:
            cleaned = self._sanitize(value)
        except Exception:  # noqa: BLE001  the user's function: a tag with a plain value is better than no metric
            cleaned = default_tag_value(value)
        return self._forbidden.sub("_", cleaned[:MAX_LENGTH])


def _by_key(attributes: Mapping[Any, Any]) -> dict[str, str]:
    """Texts by sanitised key, sorted, without the empty ones. Of keys that became equal the first as sorted stays."""
    texts: dict[str, str] = {}
    for key, value in sorted(((text(key), text(value)) for key, value in attributes.items()), key=_first):
        name = segment(key)
        if name and value:
            texts.setdefault(name, value)
    return dict(sorted(texts.items(), key=_first))


def _first(pair: Sequence[str]) -> str:
    return pair[0]
