"""Qdrant's Python client behind the JSON of the REST interface.

The same calls of the same client, to a server or to its own local mode: what differs is the
answers.
"""

from qdrant_client import models
from qdrant_client.http.exceptions import ApiException

OPERATIONS = {
    "upsert": models.UpsertOperation,
    "delete": models.DeleteOperation,
    "set_payload": models.SetPayloadOperation,
    "overwrite_payload": models.OverwritePayloadOperation,
    "delete_payload": models.DeletePayloadOperation,
    "clear_payload": models.ClearPayloadOperation,
    "update_vectors": models.UpdateVectorsOperation,
    "delete_vectors": models.DeleteVectorsOperation,
}


QUERIES = {
    "recommend": models.RecommendQuery,
    "discover": models.DiscoverQuery,
    "context": models.ContextQuery,
    "order_by": models.OrderByQuery,
    "sample": models.SampleQuery,
}


class Refused(Exception):
    """The client raised something in place of an answer."""


def filter_of(body):
    return None if body is None else models.Filter.model_validate(body)


def query_of(body):
    """A vector, an id, or an object whose key names the query."""
    if not isinstance(body, dict):
        return body
    [name] = body
    return QUERIES[name].model_validate(body)


def lookup_of(body):
    return None if body is None else models.LookupLocation(**body)


def selector(body):
    if isinstance(body, dict):
        kind = models.PayloadSelectorInclude if "include" in body else models.PayloadSelectorExclude
        return kind(**body)
    return body


def selection(body):
    """Ids as a list or in their object, a filter as it is or in its object: the client takes all."""
    if "points" in body:
        ids = body["points"]
        return ids if len(ids) % 2 else models.PointIdsList(points=ids)
    found = filter_of(body["filter"])
    return found if len(body["filter"]) % 2 else models.FilterSelector(filter=found)


def record(point):
    shown = {"id": point.id, "payload": point.payload}
    for name in ("vector", "score", "order_value"):
        if getattr(point, name, None) is not None:
            shown[name] = getattr(point, name)
    return shown


def parameters(schema):
    def one(body):
        return models.VectorParams(size=body["size"], distance=body["distance"])

    return one(schema) if "size" in schema else {name: one(body) for name, body in schema.items()}


class Client:
    """One collection, made anew."""

    def __init__(self, client, collection, schema):
        self.client, self.collection = client, collection
        if client.collection_exists(collection):
            client.delete_collection(collection)
        client.create_collection(collection, vectors_config=parameters(schema))

    def close(self):
        self.client.delete_collection(self.collection)

    def ask(self, method, **arguments):
        try:
            return getattr(self.client, method)(collection_name=self.collection, **arguments)
        except (ApiException, ValueError, KeyError, IndexError, AssertionError) as error:
            raise Refused(f"{type(error).__name__}: {error}"[:500]) from error

    def index(self, field, kind):
        self.ask("create_payload_index", field_name=field, field_schema=kind, wait=True)

    def apply(self, operation, wait=True):
        [(name, body)] = operation.items()
        answer = getattr(self, name)(body, wait)
        return {"status": str(getattr(answer, "status", answer))}

    def batch(self, operations, wait=True):
        several = [OPERATIONS[name].model_validate({name: body}) for op in operations
                   for name, body in op.items()]  # fmt: skip
        answers = self.ask("batch_update_points", update_operations=several, wait=wait)
        return [{"status": str(each.status)} for each in answers]

    # Operations.

    def upsert(self, body, wait):
        if "batch" in body:
            return self.ask("upsert", points=models.Batch(**body["batch"]), wait=wait)
        points = [models.PointStruct(**point) for point in body["points"]]
        if len(points) == 4:
            return self.ask("upload_points", points=points, batch_size=2, wait=True)
        if len(points) == 3 and all("payload" in point for point in body["points"]):
            return self.ask("upload_collection", vectors=[point.vector for point in points],
                            payload=[point.payload for point in points],
                            ids=[point.id for point in points], wait=True)  # fmt: skip
        return self.ask("upsert", points=points, wait=wait)

    def update_vectors(self, body, wait):
        points = [models.PointVectors(**point) for point in body["points"]]
        return self.ask("update_vectors", points=points, wait=wait)

    def delete_vectors(self, body, wait):
        return self.ask("delete_vectors", vectors=body["vector"], points=selection(body), wait=wait)

    def delete(self, body, wait):
        return self.ask("delete", points_selector=selection(body), wait=wait)

    def set_payload(self, body, wait):
        return self.ask("set_payload", payload=body["payload"], points=selection(body),
                        key=body.get("key"), wait=wait)  # fmt: skip

    def overwrite_payload(self, body, wait):
        return self.ask("overwrite_payload", payload=body["payload"], points=selection(body),
                        wait=wait)  # fmt: skip

    def delete_payload(self, body, wait):
        return self.ask("delete_payload", keys=body["keys"], points=selection(body), wait=wait)

    def clear_payload(self, body, wait):
        return self.ask("clear_payload", points_selector=selection(body), wait=wait)

    # Reads.

    def retrieve(self, body):
        found = self.ask("retrieve", ids=body["ids"], with_payload=self.payload(body),
                         with_vectors=body.get("with_vector", False))  # fmt: skip
        return [record(each) for each in found]

    def scroll(self, body):
        order = body.get("order_by")
        found, rest = self.ask(
            "scroll",
            scroll_filter=filter_of(body.get("filter")),
            limit=body.get("limit", 10),
            order_by=order and models.OrderBy(**order),
            offset=body.get("offset"),
            with_payload=self.payload(body),
            with_vectors=body.get("with_vector", False),
        )
        return {"points": [record(each) for each in found], "next_page_offset": rest}

    def count(self, body):
        found = filter_of(body.get("filter"))
        answer = self.ask("count", count_filter=found, exact=body.get("exact", True))
        return {"count": answer.count}

    def query(self, body):
        answer = self.ask(
            "query_points",
            query=query_of(body["query"]),
            using=body.get("using"),
            lookup_from=lookup_of(body.get("lookup_from")),
            query_filter=filter_of(body.get("filter")),
            limit=body.get("limit", 10),
            offset=body.get("offset"),
            score_threshold=body.get("score_threshold"),
            with_payload=self.payload(body),
            with_vectors=body.get("with_vector", False),
            search_params=models.SearchParams(exact=True),
        )
        return {"points": [record(each) for each in answer.points]}

    like = by_order = sample = query

    def queries(self, body):
        requests = [
            models.QueryRequest(
                query=query_of(each["query"]),
                using=each.get("using"),
                lookup_from=lookup_of(each.get("lookup_from")),
                filter=filter_of(each.get("filter")),
                limit=each.get("limit", 10),
                offset=each.get("offset"),
                score_threshold=each.get("score_threshold"),
                with_payload=self.payload(each),
                with_vector=each.get("with_vector", False),
                params=models.SearchParams(exact=True),
            )
            for each in body
        ]
        answers = self.ask("query_batch_points", requests=requests)
        return [{"points": [record(each) for each in answer.points]} for answer in answers]

    @staticmethod
    def payload(body):
        return selector(body.get("with_payload", True))
