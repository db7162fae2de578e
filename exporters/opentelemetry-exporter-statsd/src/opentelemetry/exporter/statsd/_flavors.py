"""The flavors: what each server understands, as data.

Sources: Etsy's ``docs/metric_types.md``, Datadog's protocol v1.1, Telegraf's ``plugins/inputs/statsd``, Graphite's tag
support, prometheus ``statsd_exporter``, collectd's ``statsd`` plugin.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_FORGES_A_LINE = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff|"

LARGEST_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TagStyle:
    """A way to write the tags of a line.

    Attributes:
        opening: Text before the first tag.
        between: Text between two tags.
        equals: Text between a tag's key and its value.
        closing: Text after the last tag.
        in_name: Whether they stand in the name, before the value, and not at the line's end.
        forbidden: Characters that no tag value (and no prefix) may have, as a set of a regular expression.
    """

    opening: str
    between: str
    equals: str
    closing: str = ""
    in_name: bool = False
    forbidden: str = ","

    def write(self, tags: Mapping[str, str]) -> str:
        """The text of all tags, sorted by key; empty without any."""
        if not tags:
            return ""
        written = self.between.join([f"{key}{self.equals}{tags[key]}" for key in sorted(tags)])
        return f"{self.opening}{written}{self.closing}"


@dataclass(frozen=True, slots=True)
class Flavor:
    """A description of what a server understands.

    Attributes:
        histogram: Type of a histogram that is no time.
        tags: Way to write tags; None: the server knows none.
        whole: Whether timers must be whole and at least 1 (collectd cuts the fraction and ignores 0).
        whole_counters: Whether a counter must be a whole number that fits 64 bits (Telegraf cuts the fraction).
        weighs: Whether a timer with ``|@rate`` counts for several (Etsy scales only the count, collectd the value).
        distributions: Whether the type ``d`` is known.
        packs_values: Whether ``name:1:2:3|ms`` is known.
    """

    histogram: str
    tags: TagStyle | None = None
    whole: bool = False
    whole_counters: bool = False
    weighs: bool = False
    distributions: bool = False
    packs_values: bool = False


FLAVORS: Mapping[str, Flavor] = {
    "datadog": Flavor("h", TagStyle("|#", ",", ":"), weighs=True, distributions=True, packs_values=True),
    "etsy": Flavor("ms"),
    "collectd": Flavor("ms", whole=True),
    "influx": Flavor(
        "h",
        TagStyle(",", ",", "=", in_name=True, forbidden=r"\s,:="),
        whole_counters=True,
        weighs=True,
        distributions=True,
    ),
    # Etsy's own server reads these, and takes an `h` for a counter. A value must not begin with a tilde.
    "graphite": Flavor("ms", TagStyle(";", ";", "=", in_name=True, forbidden=r"\s;:=!^~")),
    "signalfx": Flavor(
        "h", TagStyle("[", ",", "=", "]", in_name=True, forbidden=r"\s,:=\[\]"), weighs=True, distributions=True
    ),
}
"""The flavors by name."""


def forbidden_in_tags(flavor: Flavor) -> re.Pattern[str]:
    """The characters that would end a tag, a line or a datagram in this flavor."""
    return re.compile(f"[{_FORGES_A_LINE}{flavor.tags.forbidden if flavor.tags else ','}]")


def flavor_named(name: str) -> Flavor:
    """The flavor of this name.

    Raises:
        ValueError: There is none; the message lists those there are.
    """
    if name not in FLAVORS:
        raise ValueError(f"flavor {name!r}: expected one of {', '.join(FLAVORS)}")
    return FLAVORS[name]
