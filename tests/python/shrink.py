"""The smallest case that still fails."""

import copy
import time

# Whose inside is not made smaller: it would be something else, or nothing.
WHOLE = ("vector", "vectors", "batch", "query", "geo_polygon", "geo_bounding_box", "geo_radius")
# What a body is complete without.
OPTIONAL = ("must", "should", "must_not", "min_should", "with_payload", "with_vector", "offset",
            "score_threshold", "start_from")  # fmt: skip
# Lists that ask for something else when they are empty, or are refused.
NEEDED = ("points", "keys", "vector", "conditions")


def may_go(here, path, key):
    if isinstance(here, list):
        return len(here) > 1 or not path or path[-1] not in NEEDED
    if "payload" in path or "payloads" in path or key in OPTIONAL:
        return True
    return key == "filter" and path[:1] == (1,)


def places(value):
    """Each place in nested lists and objects that could be left out, outermost first."""
    waiting = [(value, ())]
    while waiting:
        here, path = waiting.pop(0)
        keys = list(here) if isinstance(here, dict) else list(reversed(range(len(here))))
        for key in keys:
            # The steps, the read and its kind stay.
            if path and path != (1,) and may_go(here, path, key):
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


def smallest(steps, read, differs, seconds=40):
    """Leaves out of the steps and of the read what the difference does not need.

    `differs(steps, read)` gives a sentence, or None. A sentence that begins with another word is
    another difference, and not followed.
    """
    until = time.monotonic() + seconds
    first = differs(steps, read)
    if not first:
        return steps, read, "nothing, when it is done again from the beginning"

    def fails(steps, read):
        found = differs(steps, read)
        return bool(found) and found.split()[0] == first.split()[0]

    steps = halves(steps, lambda fewer: fails(fewer, read), until)
    shrinking = True
    while shrinking and time.monotonic() < until:
        shrinking = False
        for path in places([steps, read or []]):
            fewer = without([steps, read or []], path)
            if fails(fewer[0], fewer[1] or None):
                steps, read, shrinking = fewer[0], fewer[1] or None, True
                break
            if time.monotonic() > until:
                break
    return steps, read, differs(steps, read)
