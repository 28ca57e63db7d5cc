"""When to try again: the time doubles with every try, between two bounds."""


def back_off_us(tries: int, minimum_us: int, maximum_us: int) -> int:
    """Microseconds to wait after `tries` tries (1 for the first)."""
    if tries > 40:
        return maximum_us
    return min(maximum_us, minimum_us << max(tries - 1, 0))
