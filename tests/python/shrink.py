"""The smallest case that still fails."""

import copy
import time


# Whose inside is not made smaller: it would be something else, or nothing.
WHOLE = ("vector", "vectors", "batch", "query", "geo_polygon", "geo_bounding_box", "geo_radius")


def places(value, path=()):
    """Each place in nested lists and objects that could be left out, outermost first."""
    waiting = [(value, path)]
    while waiting:
        here, path = waiting.pop(0)
        keys = list(here) if isinstance(here, dict) else range(len(here))
        for key in reversed(keys) if isinstance(here, list) else keys:
            yield (*path, key)
            if isinstance(here[key], (dict, list)) and key not in WHOLE:
                waiting.append((here[key], (*path, key)))


def without(value, path):
    smaller = copy.deepcopy(value)
    here = smaller
    for key in path[:-1]:
        here = here[key]
    del here[path[-1]]
    return smaller


def halves(steps, fails, until):
    """Leaves out runs of steps, long ones first."""
    size = len(steps) // 2
    while size >= 1:
        at = 0
        while at < len(steps) and time.monotonic() < until:
            fewer = steps[:at] + steps[at + size :]
            if fails(fewer):
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


def smallest(steps, read, fails, seconds=40):
    """`fails(steps, read)` says whether it still does. Gives the steps and the read."""
    until = time.monotonic() + seconds
    steps = halves(steps, lambda fewer: fails(fewer, read), until)
    shrinking = True
    while shrinking and time.monotonic() < until:
        shrinking = False
        for path in places([steps, read]):
            # The case itself and what is read stay.
            if len(path) < 2 or path == (1, 0) or path == (1, 1):
                continue
            try:
                fewer = without([steps, read], path)
                if fails(*fewer):
                    steps, read = fewer
                    shrinking = True
                    break
            except (KeyError, IndexError, TypeError, ValueError, AttributeError):
                continue
            if time.monotonic() > until:
                break
    return steps, read
