"""Random operations and reads on one collection, as bodies of the REST interface."""

from generate import IDS, KEYS, PAYLOAD, PATHS, unnamed

# Fields whose values have one order: those are what `order_by` is asked for, with their index.
ORDERED = {"n": "integer", "x": "float", "when": "datetime", "deep.a": "integer"}
# Every kind of payload index, on fields and paths of the generated payloads.
INDEXES = [
    ("color", "keyword"), ("n", "integer"), ("x", "float"), ("flag", "bool"), ("when", "datetime"),
    ("place", "geo"), ("deep.a", "integer"), ("deep.b.c", "keyword"), ("items[].n", "float"),
    ("items[].tags", "keyword"), ("wild", "integer"), ("wild", "keyword"), ('"dotted.key"', "integer"),
]  # fmt: skip


def upsert(c, schema, existing):
    if c.often(0.75):
        return {"points": [c.point(schema) for _ in range(c.random.randint(1, 4))]}
    ids = [c.spelled(each) for each in c.ids(1, 3)]
    if unnamed(schema):
        vectors = [c.vector(schema) for _ in ids]
    else:
        names = c.few(sorted(schema), 1, len(schema))
        vectors = {name: [c.vector(schema[name]) for _ in ids] for name in names}
    batch = {"ids": ids, "vectors": vectors}
    if c.often(0.8):
        batch["payloads"] = [c.payload() for _ in ids]
    return {"batch": batch}


def update_vectors(c, schema, existing):
    ids = c.few(existing, 1, 3)
    points = [{"id": c.spelled(each), "vector": c.vectors(schema, 1)} for each in ids]
    if points and c.often(0.1):
        # The same id again: the later one counts, name by name.
        points.append({"id": points[0]["id"], "vector": c.vectors(schema, 1)})
    return {"points": points}


def delete(c, schema, existing):
    if c.often(0.6):
        return {"points": [c.spelled(each) for each in c.ids(1, 3)]}
    return {"filter": {"must": [c.test(schema), c.condition(schema, 1)]}}


def delete_vectors(c, schema, existing):
    names = [""] if unnamed(schema) else c.few(sorted(schema), 1, len(schema))
    return {"vector": names, **c.selector(schema, existing)}


def set_payload(c, schema, existing):
    body = {"payload": c.payload(0.25), **c.selector(schema, existing)}
    if c.often(0.45):
        body["payload"] = c.one([{"b": 1}, {"n": 2, "b": None}, {}, {"c": ["x"], "a": 1}])
        body["key"] = c.one(KEYS)
    elif c.often(0.2):
        # A null takes the key out.
        body["payload"][c.one(sorted(PAYLOAD))] = None
    return body


def overwrite_payload(c, schema, existing):
    return {"payload": c.payload(0.4), **c.selector(schema, existing)}


def delete_payload(c, schema, existing):
    keys = [c.one(KEYS + PATHS) for _ in range(c.random.randint(1, 3))]
    return {"keys": keys, **c.selector(schema, existing)}


def clear_payload(c, schema, existing):
    return c.selector(schema, existing)


# What changes points that it names or that match.
CHANGES = [delete_vectors, set_payload, overwrite_payload, delete_payload, clear_payload]
# Each operation and how often: deletions fewer than upserts, so that something is left.
OPERATIONS = (
    [upsert] * 9 + [delete] * 3 + [update_vectors] * 4 + [delete_vectors] * 3 + [set_payload] * 6
    + [overwrite_payload] * 2 + [delete_payload] * 4 + [clear_payload]
)  # fmt: skip


def operation(c, schema, existing, kinds=tuple(OPERATIONS)):
    """`{"set_payload": {…}}` and so on. `existing` are the ids of the points there are."""
    make = c.one(kinds)
    if make is update_vectors and not existing:
        make = upsert
    return {make.__name__: make(c, schema, existing)}


def refused(c, schema, existing, others=True):
    """An operation that cannot be applied, and changes nothing.

    `others`: whether it names points that exist, too, beside one that does not.
    """
    absent = [each for each in IDS if each not in existing]
    if absent and c.often(0.7):
        named = c.few(absent, 1, 1 if others else 3)
        if others:
            named += c.few(existing, 0, 3)
            c.random.shuffle(named)
        make = c.one([update_vectors, *CHANGES])
        body = make(c, schema, named)
        if make is update_vectors:
            body["points"] = [{"id": each, "vector": c.vectors(schema, 1)} for each in named]
        else:
            body.pop("filter", None)
            body["points"] = [c.spelled(each) for each in named]
        return {make.__name__: body}
    points = [c.point(schema) for _ in range(c.random.randint(1, 3))]
    if unnamed(schema):
        points[-1]["vector"] = [1.0] * (schema["size"] + c.one([-1, 1]))
    else:
        points[-1]["vector"] = {"unknown": [1.0]}
    return {"upsert": {"points": points}}


# Reads: what is asked, and of what to show.


def shown(c, schema):
    """What of each point to answer with."""
    payload = c.one([True, True, False, None, "list", "include", "exclude"])
    if isinstance(payload, str):
        keys = [c.one(KEYS + PATHS + sorted(PAYLOAD)[:4]) for _ in range(c.random.randint(0, 4))]
        keys = ['"dotted.key"' if key == "dotted.key" else key for key in keys]
        payload = keys if payload == "list" else {payload: keys}
    vector = c.one([True, False])
    if not unnamed(schema) and c.often(0.3):
        vector = c.few(sorted(schema), 0, len(schema))
    body = {"with_vector": vector}
    if payload is not None:
        body["with_payload"] = payload
    return body


def maybe_filter(c, schema, share=0.8):
    return {"filter": c.filter(schema)} if c.often(share) else {}


def retrieve(c, schema):
    # Each once: what a repeated id should give is not agreed on.
    return {"ids": [c.spelled(each) for each in c.ids(0, 6)], **shown(c, schema)}


def scroll(c, schema):
    body = {"limit": c.random.randint(1, 20), **maybe_filter(c, schema), **shown(c, schema)}
    if c.often(0.4):
        body["offset"] = c.spelled(c.one([*IDS, 50]))
    return body


def pages(c, schema):
    """The whole collection, page by page."""
    return {"limit": c.random.randint(1, 9), **maybe_filter(c, schema, 0.5), **shown(c, schema)}


def ordered(c, schema):
    key = c.one(sorted(ORDERED))
    body = {"limit": c.random.randint(1, 30), **maybe_filter(c, schema, 0.5), **shown(c, schema)}
    body["order_by"] = {"key": key, "direction": c.one(["asc", "desc"])}
    if c.often(0.4):
        start = c.one(["2024-01-01T00:00:00Z", "2024-02-29T12:00:00Z"])
        start = start if key == "when" else c.one([0, 1, 2, 0.5])
        body["order_by"]["start_from"] = start if ORDERED[key] != "integer" else int(start)
    return body


def count(c, schema):
    return {**maybe_filter(c, schema, 0.95), "exact": c.often(0.8)}


def query(c, schema):
    parameters, body = schema, {}
    if not unnamed(schema):
        body["using"] = c.one(sorted(schema))
        parameters = schema[body["using"]]
    body["query"] = c.spelled(c.id()) if c.often(0.2) else c.vector(parameters)
    body |= {"limit": c.random.randint(1, 20), **maybe_filter(c, schema, 0.6), **shown(c, schema)}
    # The interface and the client leave out different things where nothing is said.
    body.setdefault("with_payload", True)
    if c.often(0.3):
        body["offset"] = c.random.randint(0, 8)
    if c.often(0.3):
        # So odd that no score is near it but for the two kinds whose scores are exact.
        exact = parameters["distance"] in ("Dot", "Manhattan") and whole(body["query"])
        body["score_threshold"] = c.random.randint(-2, 6) if exact else threshold(c)
    return body


def whole(vector):
    return isinstance(vector, list) and all(isinstance(value, int) for value in vector)


def threshold(c):
    return round(c.random.uniform(-1, 3), 2) + 0.0012345


# Each read and how often.
READS = [retrieve] * 2 + [scroll] * 5 + [pages] + [count] * 5 + [query] * 5


def read(c, schema, reads=tuple(READS)):
    """`("scroll", {…})` and so on."""
    make = c.one(reads)
    return make.__name__, make(c, schema)
