"""Settings that lie in their natural range."""

MOST = 1e6  # of what has no natural limit


def in_range(low: float, high: float = MOST, **settings: float) -> None:
    """Raises ValueError, naming the setting, for a number outside [low, high]."""
    for name, value in settings.items():
        if not low <= value <= high:
            wanted = f"at least {low}" if high == MOST and not value > high else f"between {low} and {high}"
            raise ValueError(f"{name} {value} must be {wanted}")
