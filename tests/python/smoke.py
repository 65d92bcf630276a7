"""What an application does with the Qdrant client it has, against a pointd that runs.

usage: smoke.py URL [API_KEY]
"""

import sys
import uuid
import warnings

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

# The client warns about a server whose version it does not know.
warnings.simplefilter("error")

url, key = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else None)
# Its own are five seconds, and a disk that is busy may take them.
client = QdrantClient(url=url, api_key=key, timeout=120)


def status_of(call):
    try:
        call()
    except UnexpectedResponse as error:
        return error.status_code
    return 200


# Collections.
assert client.delete_collection("absent") is False
if client.collection_exists("smoke"):
    client.delete_collection("smoke")
assert client.create_collection(
    "smoke",
    vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT, on_disk=True),
    hnsw_config=models.HnswConfigDiff(m=8),
)
assert client.collection_exists("smoke")
assert "smoke" in [c.name for c in client.get_collections().collections]
same = models.VectorParams(size=4, distance=models.Distance.DOT)
assert status_of(lambda: client.create_collection("smoke", vectors_config=same)) == 409
info = client.get_collection("smoke")
assert info.config.params.vectors.size == 4 and info.points_count == 0
assert info.status == models.CollectionStatus.GREEN

# Writes.
largest, name = 2**64 - 1, str(uuid.uuid4())
points = [
    models.PointStruct(id=1, vector=[1, 0, 0, 0], payload={"color": "red", "n": 1}),
    models.PointStruct(id=2, vector=[0, 1, 0, 0], payload={"color": "green"}),
    models.PointStruct(id=largest, vector=[0.5, 0.5, 0, 0], payload={"color": "red"}),
    models.PointStruct(id=name, vector=[0, 0, 1, 0], payload={"deep": {"a": [1, 2]}}),
]
update = client.upsert("smoke", points=points, wait=True)
assert update.status == models.UpdateStatus.COMPLETED
batch = models.Batch(ids=[10, 11], vectors=[[0, 0, 0, 1]] * 2, payloads=[{"b": 1}, {"b": 2}])
assert client.upsert("smoke", points=batch, wait=True).operation_id > update.operation_id
assert client.upsert("smoke", points=batch, wait=False).status == models.UpdateStatus.ACKNOWLEDGED
client.upload_points(
    "smoke",
    [models.PointStruct(id=n, vector=[0, 0, 0, n]) for n in range(100, 200)],
    batch_size=16,
    wait=True,
)
assert client.count("smoke", exact=True).count == 106
short = [models.PointStruct(id=3, vector=[1, 2])]
assert status_of(lambda: client.upsert("smoke", points=short)) == 400

# Reads.
found = client.retrieve("smoke", ids=[largest, name, 77], with_vectors=True)
assert [point.id for point in found] == [largest, name]
assert found[0].vector == [0.5, 0.5, 0, 0] and found[1].payload == {"deep": {"a": [1, 2]}}
red = models.Filter(
    must=[models.FieldCondition(key="color", match=models.MatchValue(value="red"))]
)
page, rest = client.scroll("smoke", scroll_filter=red, limit=1)
assert [point.id for point in page] == [1] and rest == largest
page, rest = client.scroll("smoke", scroll_filter=red, offset=rest, with_payload=["color"])
assert [point.id for point in page] == [largest] and rest is None
assert client.count("smoke", count_filter=red).count == 2

# Searches.
best = client.query_points("smoke", query=[1, 0, 0, 0], limit=2, with_payload=True).points
assert [(point.id, point.score) for point in best] == [(1, 1.0), (largest, 0.5)]
assert best[0].payload == {"color": "red", "n": 1}
params = models.SearchParams(exact=True, hnsw_ef=128, indexed_only=True)
filtered = client.query_points(
    "smoke", query=[0, 1, 0, 0], query_filter=red, limit=5, search_params=params
).points
assert [point.id for point in filtered] == [largest, 1]
like = client.query_points("smoke", query=1, limit=1).points
assert [point.id for point in like] == [largest]
assert client.query_points("smoke", query=name, limit=1).points[0].id != name
assert [p.id for p in client.query_points("smoke", limit=2).points] == [1, 2]
cut = client.query_points("smoke", query=[1, 0, 0, 0], score_threshold=0.6).points
assert [point.id for point in cut] == [1]
requests = [models.QueryRequest(query=[1, 0, 0, 0], limit=1), models.QueryRequest(query=2, limit=1)]
answers = client.query_batch_points("smoke", requests=requests)
assert [len(answer.points) for answer in answers] == [1, 1]
recommend = models.RecommendQuery(recommend=models.RecommendInput(positive=[1]))
assert [point.id for point in client.query_points("smoke", query=recommend, limit=1).points] == [largest]

# Deletes.
selector = models.PointIdsList(points=[1, largest, 12345])
assert client.delete("smoke", points_selector=selector, wait=True).status == "completed"
assert client.count("smoke").count == 104
others = client.count("smoke", count_filter=models.Filter(must_not=[red])).count
client.delete("smoke", points_selector=models.FilterSelector(filter=red), wait=True)
assert client.count("smoke").count == others

# Named vectors.
if client.collection_exists("named"):
    client.delete_collection("named")
client.create_collection(
    "named",
    vectors_config={
        "image": models.VectorParams(size=2, distance=models.Distance.COSINE),
        "text": models.VectorParams(size=3, distance=models.Distance.EUCLID),
    },
)
client.upsert(
    "named",
    points=[
        models.PointStruct(id=1, vector={"image": [3, 4], "text": [0, 0, 1]}),
        models.PointStruct(id=2, vector={"text": [0, 0, 5]}),
    ],
    wait=True,
)
near = client.query_points("named", query=[0, 0, 4], using="text", with_vectors=["text"]).points
assert [(point.id, point.score) for point in near] == [(2, 1.0), (1, 3.0)]
assert near[0].vector == {"text": [0, 0, 5]}
whole = client.retrieve("named", ids=[1], with_vectors=True)[0].vector
assert all(abs(a - b) < 1e-6 for a, b in zip(whole["image"], [0.6, 0.8]))
assert client.query_points("named", query=[3, 4], using="image").points[0].score > 0.999
assert set(client.get_collection("named").config.params.vectors) == {"image", "text"}

for collection in ["smoke", "named"]:
    assert client.delete_collection(collection)
assert status_of(lambda: client.get_collection("smoke")) == 404
print("ok")
