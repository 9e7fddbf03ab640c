"""Lengths of time as people write them: a number with its unit."""

import re

_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")


class Duration(float):
    """A length of time in seconds, written as a number with its unit: `500ms`, `30s`, `2m`, `1h`."""

    @classmethod
    def parse(cls, text: object) -> "Duration":
        """The duration that a text stands for.

        Raises:
            ValueError: it has no unit, or is no duration at all.
        """
        match = _DURATION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"Expected a duration with its unit, such as `30s`, got `{text}`")
        return cls(float(match[1]) * _UNITS_S[match[2]])


def decode_duration(kind: type, value: object) -> object:
    """Lets msgspec read durations; its `dec_hook`."""
    if kind is Duration:
        return Duration.parse(value)
    raise NotImplementedError(kind)
