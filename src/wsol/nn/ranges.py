"""Settings that lie in their natural range."""

from math import inf


def in_range(low: float, high: float = inf, **settings: float) -> None:
    """Raises ValueError, naming the setting, for a number outside [low, high]."""
    for name, value in settings.items():
        if not low <= value <= high:
            wanted = f"at least {low}" if high == inf else f"between {low} and {high}"
            raise ValueError(f"{name} {value} must be {wanted}")
