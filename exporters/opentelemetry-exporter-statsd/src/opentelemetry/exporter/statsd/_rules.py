"""The rule language, which names an instrument on the wire. Pure functions, no socket and no SDK.

A rule is a list of segments, so that a dot inside an attribute's value never adds a level to the name. A segment (and a
tag) is a template:

================  =====================================================================
``{a}``           the attribute ``a``; the rule does not match where it is missing
``{a:default}``   the attribute, or ``default``
``{a?yes:no}``    ``yes`` where the attribute is present, ``no`` where it is missing
``{a//100:200}``  the attribute divided by 100 (floor); the default is divided as well
``{a*}``          each element of a sequence attribute as a segment of its own (names only)
================  =====================================================================

An attribute that is ``None`` is missing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_FIELD = re.compile(
    r"""(?P<key>(?:(?!//)[^{}:?*])+)
    (?: (?P<splat>\*)
      | //(?P<divisor>\d+)(?::(?P<dividend>.*))?
      | \?(?P<present>[^:]*):(?P<absent>.*)
      | :(?P<default>.*)
    )?""",
    re.VERBOSE | re.DOTALL,
)
_PIECES = re.compile(r"\{([^{}]*)\}")


def text(value: object) -> str:  # noqa: PLR0911  one case a type
    """The text of an attribute's value, whatever its type. Never raises.

    Booleans are ``true`` and ``false`` and ``None`` is empty, the elements of a sequence are joined by ``_``.
    Source: https://opentelemetry.io/docs/specs/otel/common/#anyvalue-representation-for-non-otlp-protocols
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        if isinstance(value, str):
            return str(value)
        if isinstance(value, bytes | bytearray):
            return value.decode("utf-8", "replace")
        if isinstance(value, Sequence):
            return "_".join([text(element) for element in value])
        return str(value)
    except Exception:  # noqa: BLE001  the __str__ of a stranger (or of an int of 5000 digits) may raise anything
        return type(value).__name__


@dataclass(frozen=True, slots=True)
class _Field:
    """One ``{...}`` of a template."""

    key: str
    default: str | None = None
    present: str | None = None
    divisor: int | None = None
    splat: bool = False

    @classmethod
    def parse(cls, source: str, template: str) -> "_Field":
        match = _FIELD.fullmatch(source)
        if match is None or (match["divisor"] and not int(match["divisor"])):
            raise ValueError(
                f"template {template!r}: {{{source}}} is not one of "
                "{a}, {a:default}, {a?yes:no}, {a//100:default}, {a*}"
            )
        if match["divisor"]:
            return cls(match["key"], default=match["dividend"], divisor=int(match["divisor"]))
        if match["present"] is not None:
            return cls(match["key"], default=match["absent"], present=match["present"])
        return cls(match["key"], default=match["default"], splat=bool(match["splat"]))

    def render(self, attributes: Mapping[str, Any]) -> str | None:
        value = attributes.get(self.key)
        if self.divisor is not None:
            quotient = _divide(value, self.divisor)
            return quotient if quotient is not None else _divide(self.default, self.divisor)
        if value is None:
            return self.default
        return text(value) if self.present is None else self.present


def _divide(value: object, divisor: int) -> str | None:
    try:
        return str(int(value) // divisor)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return None


class Template:
    """A compiled template.

    Raises:
        ValueError: a field that is not of the language, a lone brace, or a splat beside other text.
    """

    __slots__ = ("keys", "parts", "splat")

    def __init__(self, template: str) -> None:
        pieces = _PIECES.split(template)
        if any("{" in literal or "}" in literal for literal in pieces[::2]):
            raise ValueError(f"template {template!r}: a lone brace; a field is written {{attribute}}")
        self.parts: list[str | _Field] = [
            _Field.parse(piece, template) if position % 2 else piece for position, piece in enumerate(pieces)
        ]
        fields = [part for part in self.parts if isinstance(part, _Field)]
        self.keys = frozenset(part.key for part in fields)
        self.splat = any(part.splat for part in fields)
        if self.splat and any(pieces[::2]) | (len(fields) > 1):
            raise ValueError(f"template {template!r}: {{a*}} must be the whole segment")

    def one(self, attributes: Mapping[str, Any]) -> str | None:
        """The text, or None where a required attribute is missing."""
        rendered: list[str] = []
        for part in self.parts:
            piece = part if isinstance(part, str) else part.render(attributes)
            if piece is None:
                return None
            rendered.append(piece)
        return "".join(rendered)

    def segments(self, attributes: Mapping[str, Any]) -> list[str] | None:
        """The segments of a name: one, or with a splat as many as the attribute has elements. None: does not match."""
        if self.splat:
            (field_,) = [part for part in self.parts if isinstance(part, _Field)]
            value = attributes.get(field_.key)
            if value is None:
                return None
            if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
                return [text(element) for element in value]
            return [text(value)]
        whole = self.one(attributes)
        return None if whole is None else [whole]


@dataclass(frozen=True, slots=True)
class NameRule:
    """The wire name of the points of one instrument.

    Args:
        instrument: Name of the instrument; case does not matter, as in OpenTelemetry.
        name: Segments of the name, as templates.
        tagged: Segments where tags are written; None: the same as ``name``.
        tags: Tag name to template, where tags are written.
        when: Attribute name to the text it must have for the rule to apply.
        extra_tags: Whether attributes the rule names nowhere become tags. They are sent whatever ``use_tags`` says, and
            a flavor without tags joins their values to the name.

    Raises:
        ValueError: A template is not of the rule language (see the module).
    """

    instrument: str
    name: Sequence[str]
    tagged: Sequence[str] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    when: Mapping[str, str] = field(default_factory=dict)
    extra_tags: bool = False
    _name: tuple[Template, ...] = field(init=False, repr=False, compare=False)
    _tagged: tuple[Template, ...] = field(init=False, repr=False, compare=False)
    _tags: dict[str, Template] = field(init=False, repr=False, compare=False)
    _used: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for form in (self.name, self.tagged):
            if isinstance(form, str):
                raise ValueError(  # noqa: TRY004  a rule is configuration, whose errors are ValueErrors here
                    f"rule of {self.instrument!r}: {form!r} is one text, a list of segments is needed"
                )
        name = tuple(map(Template, self.name))
        tagged = name if self.tagged is None else tuple(map(Template, self.tagged))
        tags = {key: Template(template) for key, template in self.tags.items()}
        for key, template in tags.items():
            if template.splat:
                raise ValueError(f"rule of {self.instrument!r}: tag {key!r} has a splat, which only a name may have")
        used = frozenset(self.when).union(*[template.keys for template in (*name, *tagged, *tags.values())])
        for attribute, value in (("_name", name), ("_tagged", tagged), ("_tags", tags), ("_used", used)):
            object.__setattr__(self, attribute, value)  # the way of a frozen dataclass

    def resolve(self, attributes: Mapping[str, Any], *, tagged: bool) -> tuple[list[str], dict[str, str]] | None:
        """See :func:`resolve`."""
        if any(text(attributes.get(key)) != wanted for key, wanted in self.when.items()):
            return None
        segments: list[str] = []
        for template in self._tagged if tagged else self._name:
            part = template.segments(attributes)
            if part is None:
                return None
            segments += part
        tags: dict[str, str] = {}
        if self.extra_tags:
            tags = {text(key): text(value) for key, value in attributes.items() if key not in self._used}
        if tagged:
            for key, template in self._tags.items():
                value = template.one(attributes)
                if value is None:
                    return None
                tags[key] = value
        return segments, {key: value for key, value in tags.items() if value}


def resolve(
    rule: NameRule, attributes: Mapping[str, Any] | None, tagged: bool
) -> tuple[list[str], dict[str, str]] | None:
    """Apply a rule to the attributes of one point.

    Args:
        rule: The rule.
        attributes: The attributes of the point; a value may be a sequence.
        tagged: Whether the tagged form is wanted.

    Returns:
        The segments of the name and the tags, both unsanitised and uncut, empty tags left out; None where the rule does
        not match. Without ``tagged`` the tags are those of ``extra_tags`` only.
    """
    return rule.resolve(attributes or {}, tagged=tagged)
