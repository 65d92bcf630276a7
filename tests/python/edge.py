"""Qdrant's engine in this process, behind the JSON of Qdrant's REST interface.

Takes the bodies that pointd takes over HTTP and in messages. Does not judge them: what the engine
accepts and how it fails is what we want to learn.
"""

import os
import shutil
import tempfile

import qdrant_edge as q

DISTANCES = {
    "Cosine": q.Distance.Cosine,
    "Dot": q.Distance.Dot,
    "Euclid": q.Distance.Euclid,
    "Manhattan": q.Distance.Manhattan,
}


def listed(value):
    """A clause of a filter is one condition or a list of them."""
    if value is None:
        return None
    return value if isinstance(value, list) else [value]


def match(body):
    if "value" in body:
        return q.MatchValue(body["value"])
    if "any" in body:
        return q.MatchAny(body["any"])
    if "except" in body:
        return q.MatchExcept(body["except"])
    if "text" in body:
        return q.MatchText(body["text"])
    if "text_any" in body:
        return q.MatchTextAny(body["text_any"])
    if "phrase" in body:
        return q.MatchPhrase(body["phrase"])
    raise ValueError(f"no such match: {body}")


def between(body):
    bounds = {name: body.get(name) for name in ("lt", "lte", "gt", "gte")}
    if any(isinstance(bound, str) for bound in bounds.values()):
        return q.RangeDateTime(**bounds)
    return q.RangeFloat(**bounds)


def place(body):
    return q.GeoPoint(lon=body["lon"], lat=body["lat"])


def ring(body):
    return [place(point) for point in body["points"]]


def geo_polygon(body):
    interiors = body.get("interiors")
    return q.GeoPolygon(ring(body["exterior"]), interiors and [ring(each) for each in interiors])


FIELD = {
    "match": match,
    "range": between,
    "geo_bounding_box": lambda b: q.GeoBoundingBox(place(b["top_left"]), place(b["bottom_right"])),
    "geo_radius": lambda b: q.GeoRadius(place(b["center"]), b["radius"]),
    "geo_polygon": geo_polygon,
    "values_count": lambda b: q.ValuesCount(**b),
    "is_empty": bool,
    "is_null": bool,
}


def condition(body):
    if "key" in body:
        parts = {name: FIELD[name](each) for name, each in body.items() if name != "key"}
        return q.FieldCondition(body["key"], **parts)
    if "is_empty" in body:
        return q.IsEmptyCondition(body["is_empty"]["key"])
    if "is_null" in body:
        return q.IsNullCondition(body["is_null"]["key"])
    if "has_id" in body:
        return q.HasIdCondition(set(body["has_id"]))
    if "has_vector" in body:
        return q.HasVectorCondition(body["has_vector"])
    if "nested" in body:
        return q.NestedCondition(body["nested"]["key"], filter_of(body["nested"]["filter"]))
    return filter_of(body)


def filter_of(body):
    if body is None:
        return None
    clauses = {}
    for name in ("must", "should", "must_not"):
        conditions = listed(body.get(name))
        clauses[name] = None if conditions is None else [condition(each) for each in conditions]
    least = body.get("min_should")
    if least is not None:
        conditions = [condition(each) for each in least["conditions"]]
        least = q.MinShould(conditions, least["min_count"])
    return q.Filter(min_should=least, **clauses)


def selector(body):
    """What of a payload: the engine has names of its own for including and excluding."""
    if isinstance(body, dict):
        if "include" in body:
            return q.PayloadSelector.Include(body["include"])
        return q.PayloadSelector.Exclude(body["exclude"])
    return body


def order(body):
    if body is None:
        return None
    if isinstance(body, str):
        body = {"key": body}
    ways = {"asc": q.Direction.Asc, "desc": q.Direction.Desc, None: None}
    return q.OrderBy(body["key"], ways[body.get("direction")], body.get("start_from"))


def points(body):
    if "batch" in body:
        batch = body["batch"]
        vectors, ids = batch["vectors"], batch["ids"]
        if isinstance(vectors, dict):
            vectors = [{name: rows[n] for name, rows in vectors.items()} for n in range(len(ids))]
        payloads = batch.get("payloads") or [None] * len(ids)
        return [q.Point(*each) for each in zip(ids, vectors, payloads)]
    return [q.Point(each["id"], each["vector"], each.get("payload")) for each in body["points"]]


def by_ids_or_filter(name, body, *arguments):
    """Ids win over a filter, as in the engine itself."""
    if body.get("points") is not None:
        return getattr(q.UpdateOperation, name)(body["points"], *arguments)
    by_filter = getattr(q.UpdateOperation, f"{name}_by_filter")
    return by_filter(filter_of(body["filter"]), *arguments)


OPERATIONS = {
    "upsert": lambda b: q.UpdateOperation.upsert_points(points(b)),
    "delete": lambda b: by_ids_or_filter("delete_points", b),
    "update_vectors": lambda b: q.UpdateOperation.update_vectors(
        [q.PointVectors(each["id"], each["vector"]) for each in b["points"]]
    ),
    "delete_vectors": lambda b: by_ids_or_filter("delete_vectors", b, b["vector"]),
    "set_payload": lambda b: by_ids_or_filter("set_payload", b, b["payload"], b.get("key")),
    "overwrite_payload": lambda b: by_ids_or_filter(
        "overwrite_payload", b, b["payload"], b.get("key")
    ),
    "delete_payload": lambda b: by_ids_or_filter("delete_payload", b, b["keys"]),
    "clear_payload": lambda b: by_ids_or_filter("clear_payload", b),
}


def record(point):
    """As the REST interface shows it."""
    shown = {"id": identity(point.id), "payload": point.payload}
    if point.vector is not None:
        shown["vector"] = point.vector
    if getattr(point, "order_value", None) is not None:
        shown["order_value"] = point.order_value
    if hasattr(point, "score"):
        shown["score"] = point.score
    return shown


def identity(value):
    return value if value is None or isinstance(value, int) else str(value)


def roomy_memory():
    """Where files need no disk, if a few hundred collections of some megabytes fit there."""
    memory = "/dev/shm"
    if os.path.isdir(memory) and shutil.disk_usage(memory).free > 4 << 30:
        return memory
    return None


class Edge:
    """One collection."""

    def __init__(self, vectors):
        """`vectors` as in the creation of a collection: `{size, distance}` or such by name."""

        def parameters(body):
            return q.EdgeVectorParams(body["size"], DISTANCES[body["distance"]])

        if "size" in vectors:
            config = parameters(vectors)
        else:
            config = {name: parameters(body) for name, body in vectors.items()}
        self.directory = tempfile.mkdtemp(prefix="edge-", dir=roomy_memory())
        config = q.EdgeConfig(vectors=config, wal_enabled=False, max_search_threads=1)
        self.shard = q.EdgeShard.create(self.directory, config)

    def close(self):
        self.shard.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def apply(self, operation):
        """`{"set_payload": {…}}` and so on, as in `points/batch`."""
        [(name, body)] = operation.items()
        if name == "set_payload" and None in body["payload"].values():
            # On a point whose payload was cleared the engine would keep a null that takes a key
            # out of any other. An empty payload changes nothing, and there it is.
            try:
                self.shard.update(OPERATIONS[name]({**body, "payload": {}}))
            except Exception:
                pass  # it says the same again
        self.shard.update(OPERATIONS[name](body))

    def scroll(self, body):
        request = q.ScrollRequest(
            offset=body.get("offset"),
            limit=body.get("limit", 10),
            filter=filter_of(body.get("filter")),
            with_payload=selector(body.get("with_payload", True)),
            with_vector=body.get("with_vector", False),
            order_by=order(body.get("order_by")),
        )
        found, rest = self.shard.scroll(request)
        return {"points": [record(each) for each in found], "next_page_offset": identity(rest)}

    def count(self, body):
        request = q.CountRequest(exact=True, filter=filter_of(body.get("filter")))
        return {"count": self.shard.count(request)}

    def retrieve(self, body):
        found = self.shard.retrieve(
            body["ids"],
            selector(body.get("with_payload", True)),
            body.get("with_vector", False),
        )
        return [record(each) for each in found]

    def like(self, body):
        """The vector to search by, and the filter: a point that is searched by is not found."""
        query, found = body["query"], body.get("filter")
        if isinstance(query, list):
            return query, found
        known = self.shard.retrieve([query], False, True)
        vector = known[0].vector if known else None
        if body.get("using"):
            vector = (vector or {}).get(body["using"])
        if not vector:
            raise ValueError(f"no vector of {query} to search by")
        others = {"must_not": [{"has_id": [query]}]}
        return vector, {"must": [others, found]} if found else others

    def query(self, body):
        vector, found = self.like(body)
        request = q.QueryRequest(
            limit=body.get("limit", 10),
            offset=body.get("offset"),
            query=q.Query.Nearest(vector, body.get("using")),
            filter=filter_of(found),
            score_threshold=body.get("score_threshold"),
            with_payload=selector(body.get("with_payload", False)),
            with_vector=body.get("with_vector", False),
            params=q.SearchParams(exact=True),
        )
        return {"points": [record(each) for each in self.shard.query(request)]}
