"""Random queries by examples, in order of a field and by chance, as bodies of `points/query`."""

import steps
from generate import unnamed

# Where vectors are looked up that are not in the collection that is asked.
BESIDE = "beside"
SUMS = ("recommend", "sum_scores")
AVERAGE = ("recommend", "average_vector")
KINDS = [AVERAGE, SUMS, ("recommend", "best_score"), ("discover", None), ("context", None)]


def loose(c, size):
    """Of which no two are equally far from a point: which of them is closer is never in doubt."""
    return [round(c.random.uniform(-2, 2), 6) + 1e-7 for _ in range(size)]


def given(c, size, doubtful):
    """A vector, which local mode takes for one only if its first value is no integer."""
    vector = c.vector({"size": size}) if not doubtful else loose(c, size)
    return [float(value) for value in vector]


def where(c, schema, body):
    """The searched vector's size. Says in the body which it is, and where examples are."""
    parameters = schema
    if not unnamed(schema):
        body["using"] = c.one(sorted(schema))
        parameters = schema[body["using"]]
    if c.often(0.2):
        body["lookup_from"] = {"collection": c.one([BESIDE, BESIDE, "compared"])}
        if c.often(0.5):
            # One of another size is refused, where local mode takes it if no point is named.
            names = [""]
            if not unnamed(schema):
                size = parameters["size"]
                names = [name for name in sorted(schema) if schema[name]["size"] == size]
            body["lookup_from"]["vector"] = c.one(names)
    return parameters


def objective(c, kind, size, ids):
    """One query. Where two similarities are compared, at most one of them is that of a point."""
    name, strategy = kind

    def some(least, most, doubtful):
        return [example(doubtful) for _ in range(c.random.randint(least, most))]

    def example(doubtful):
        by_id = ids and not doubtful and c.often(0.5)
        return c.spelled(c.one(ids)) if by_id else given(c, size, doubtful)

    if name == "recommend":
        doubtful = strategy == "best_score"
        body = {"positive": some(0 if strategy == "sum_scores" else 1, 3, False)}
        if c.often(0.7):
            body["negative"] = some(1, 3, doubtful)
        if c.often(0.1):
            body = {"negative": some(1, 2, doubtful)}
        if strategy != "average_vector" or c.often(0.5):
            body["strategy"] = strategy
        return {"recommend": body}
    pairs = [{"positive": example(False), "negative": example(name == "discover")}
             for _ in range(c.random.randint(1, 3))]  # fmt: skip
    pairs = pairs[0] if c.often(0.2) else pairs
    if name == "context":
        return {"context": pairs}
    return {"discover": {"target": example(False), "context": pairs if c.often(0.9) else []}}


def like(c, schema, existing):
    body = {"limit": c.random.randint(1, 20), **steps.maybe_filter(c, schema, 0.4)}
    body |= {**steps.shown(c, schema)}
    body.setdefault("with_payload", True)
    parameters = where(c, schema, body)
    # Now and then one that is not there.
    ids = existing + [c.id()] if c.often(0.1) else existing
    # Local mode cannot discover anything in a collection that never had a point.
    kind = c.one(KINDS if existing else [AVERAGE, SUMS])
    body["query"] = objective(c, kind, parameters["size"], ids)
    if c.often(0.3):
        body["offset"] = c.random.randint(0, 6)
    # See DIFFERENCES of compare.py.
    larger = parameters["distance"] in ("Dot", "Cosine")
    if c.often(0.3) and (larger or kind is AVERAGE):
        body["score_threshold"] = steps.threshold(c)
    return body


def by_order(c, schema, existing):
    body = steps.ordered(c, schema)
    body["query"] = {"order_by": body.pop("order_by")}
    body.setdefault("with_payload", True)
    if c.often(0.4):
        body["offset"] = c.random.randint(0, 8)
    return body


def sample(c, schema, existing):
    body = {"limit": c.random.randint(1, 20), **steps.maybe_filter(c, schema, 0.5)}
    body |= {"query": {"sample": "random"}, **steps.shown(c, schema)}
    body.setdefault("with_payload", True)
    if c.often(0.3):
        body["offset"] = c.random.randint(0, 8)
    return body


def named_points(query):
    """The lists of a recommendation's examples."""
    recommend = query.get("recommend", {})
    return [recommend[name] for name in ("positive", "negative") if name in recommend]


# Each and how often.
READS = [like] * 5 + [sample]
