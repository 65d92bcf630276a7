"""pointd against the local mode of Qdrant's Python client: the same calls, and every answer compared.

usage: compare.py URL SEED [ANSWERS]

Prints how many answers were compared. Ends with an error at the first that differs, made as
small as it gets, with both answers.
"""

import copy
import json
import sys
import time
import warnings

import examples
import judge
import shrink
import steps
from client import Client, Refused
from generate import SCHEMAS, Chance, unnamed
from qdrant_client import QdrantClient

# What is not compared because the two differ on purpose, or because local mode is no oracle for
# it. docs/compatibility.md says the same to users.
DIFFERENCES = [
    "A change that names a point that does not exist (other than to delete it) changes nothing;"
    " local mode, like Qdrant, changes the other points that it names, then reports the missing"
    " one, and leaves out what follows in the batch.",
    "A cosine vector of zeros is refused; local mode takes it.",
    "The predicates is_empty and is_null on a key with brackets hold if they do for one of its"
    " values, as in Qdrant; in local mode for all. The conditions of these names are the same.",
    "Equal scores and equal values come in order of id; in local mode in any order, so they are"
    " compared as a set.",
    "order_by asks for a payload index, as Qdrant does, and sees values of its type; local mode"
    " orders numbers and dates of any field together.",
    "An id that is asked for twice in one retrieve is not generated: Qdrant's engine gives the"
    " point once, local mode twice.",
    "A name of with_vector that the collection does not have is not generated: Qdrant's engine"
    " refuses it, local mode passes over it.",
    "score_threshold of best_score, sum_scores, discover and context under Euclid and Manhattan is"
    " not generated: the larger score is the better one, and Qdrant, like local mode, keeps the"
    " smaller ones.",
    "A recommendation passes over examples whose point has no such vector, as Qdrant does; local"
    " mode refuses them, so they are taken out before it is asked.",
]

ROUNDS = 30
READS = [*steps.READS, steps.retrieve]


def queries(c, schema):
    """A batch of queries."""
    return [steps.query(c, schema) for _ in range(c.random.randint(1, 3))]


class Case:
    """One collection of both, and all that was done to it."""

    def __init__(self, remote, chance, schema):
        self.remote, self.chance, self.schema = remote, chance, schema
        self.indexes = chance.few(steps.INDEXES, 0, 6) if chance.often(0.6) else []
        self.ordered = chance.often(0.5)
        self.beside = {"upsert": {"points": [chance.point(schema) for _ in range(9)]}}
        self.done = []
        self.ours, self.theirs = self.build([])

    def build(self, done):
        """Both collections anew, after these steps."""
        local = QdrantClient(":memory:")
        for client in (self.remote, local):
            Client(client, examples.BESIDE, self.schema).apply(self.beside)
        ours = Client(self.remote, "compared", self.schema)
        theirs = Client(local, "compared", self.schema)
        for field, kind in self.indexes + (list(steps.ORDERED.items()) if self.ordered else []):
            ours.index(field, kind)
        for step in done:
            self.change(ours, step), self.change(theirs, step)
        return ours, theirs

    @staticmethod
    def change(collection, step):
        """One operation, or several in one batch."""
        try:
            return collection.apply(step[0]) if len(step) == 1 else collection.batch(step)
        except Refused as refused:
            return refused

    def existing(self):
        found = self.theirs.scroll({"limit": 100, "with_payload": False})
        return [each["id"] for each in found["points"]]

    def step(self):
        """What to do next: only what neither refuses, most of the time."""
        chance, existing = self.chance, self.existing()
        if chance.often(0.06):
            # None of its points exists: see DIFFERENCES.
            return [steps.refused(chance, self.schema, existing, others=False)]
        if chance.often(0.8):
            return [steps.operation(chance, self.schema, existing)]
        kinds = [make for make in steps.OPERATIONS if make is not steps.update_vectors]
        several = range(chance.random.randint(2, 4))
        return by_filter([steps.operation(chance, self.schema, existing, kinds) for _ in several])

    def compare_change(self):
        step = self.step()
        ours, theirs = self.change(self.ours, step), self.change(self.theirs, step)
        self.done.append(step)
        wrong = self.outcomes_differ(ours, theirs)
        if wrong:
            self.fail(wrong, None)

    @staticmethod
    def outcomes_differ(ours, theirs):
        refused = [isinstance(each, Refused) for each in (ours, theirs)]
        return None if all(refused) or ours == theirs else f"outcome {ours!r} in place of {theirs!r}"

    def compare_read(self):
        chance, kinds = self.chance, READS + [queries]
        if self.ordered:
            kinds = kinds + [steps.ordered] * 2 + [examples.by_order]
        make = chance.one(kinds + examples.READS)
        existing = [self.existing()] if make.__module__ == "examples" else []
        read = (make.__name__, make(chance, self.schema, *existing))
        wrong = self.reads_differ(self.ours, self.theirs, read)
        if wrong:
            self.fail(wrong, read)

    @staticmethod
    def reads_differ(ours, theirs, read):
        kind, body = read
        try:
            mine = judge.ask(kind, body, ours)
        except Refused as refused:
            mine = refused
        try:
            others = judge.ask_all(kind, local(kind, body, theirs), theirs)
            if kind in ("ordered", "by_order"):
                others["points"] = of_type(key_of(body), others["points"])
        except Refused as refused:
            others = refused
        if isinstance(mine, Refused) or isinstance(others, Refused):
            both = isinstance(mine, Refused) and isinstance(others, Refused)
            return None if both else f"outcome {mine!r} in place of {others!r}"
        return judge.judge(kind, body, mine, others)

    def fail(self, wrong, read):
        """Makes the case small, and says all about it."""
        def differs(done, read):
            if read is not None:
                return self.reads_differ(*self.build(done), tuple(read))
            if not done:
                return None
            both = self.build(done[:-1])
            return self.outcomes_differ(*[self.change(each, done[-1]) for each in both])

        print(f"schema {json.dumps(self.schema)}, indexes {self.indexes}, ordered {self.ordered}")
        print(f"first seen: {wrong}", flush=True)
        done, read, still = shrink.smallest(self.done, read and list(read), differs)
        for step in done:
            print(f"then {json.dumps(step)}")
        print(f"read {json.dumps(read)}\npointd differs: {still}")
        sys.exit(1)


def by_filter(batch):
    """Ids as a filter: one without a point would end the batch in local mode. See DIFFERENCES."""
    for operation in batch:
        [(name, body)] = operation.items()
        if name not in ("upsert", "delete") and "points" in body:
            body["filter"] = {"must": [{"has_id": body.pop("points")}]}
    return batch


def key_of(body):
    """The field of an order."""
    return (body.get("order_by") or body["query"]["order_by"])["key"]


def local(kind, body, theirs):
    """What local mode has to be asked for the same answer."""
    if kind == "like":
        return with_vectors_only(body, theirs)
    # It orders whatever is there: ask it for dates where dates were indexed.
    if kind not in ("ordered", "by_order") or steps.ORDERED[key_of(body)] != "datetime":
        return body
    dates = {"key": key_of(body), "range": {"gte": "0001-01-01T00:00:00Z"}}
    return {**body, "filter": {"must": [dates, body.get("filter", {})]}}


def with_vectors_only(body, theirs):
    """Without the examples that have no vector to recommend by."""
    body = copy.deepcopy(body)
    lookup = body.get("lookup_from", {})
    name = lookup.get("vector", body.get("using", ""))

    def lacks(example):
        if isinstance(example, list):
            return False
        source = lookup.get("collection", theirs.collection)
        found = theirs.client.retrieve(source, [example], with_vectors=True)
        vectors = found[0].vector if found else [0]
        return name not in vectors if isinstance(vectors, dict) else not vectors

    for named in examples.named_points(body["query"]):
        named[:] = [each for each in named if not lacks(each)]
    return body


def of_type(key, points):
    """An index of integers takes whole floats for integers, and leaves out others."""
    if steps.ORDERED[key] != "integer":
        return points
    values = [each["order_value"] for each in points]
    return [
        each for each, value in zip(points, values) if value == int(value) and abs(value) <= 2**63
    ]


def main():
    url, seed = sys.argv[1], int(sys.argv[2])
    wanted = int(sys.argv[3]) if len(sys.argv) > 3 else 6000
    remote = QdrantClient(":memory:") if url == ":memory:" else QdrantClient(url=url, timeout=120)
    # The client says of itself that its local mode ignores payload indexes.
    warnings.simplefilter("ignore")
    started, answers, world = time.monotonic(), 0, 0
    while answers < wanted:
        schema = SCHEMAS[world % len(SCHEMAS)]
        case = Case(remote, Chance(f"compare {seed} {world}"), schema)
        for _ in range(ROUNDS):
            case.compare_change()
            for _ in range(4):
                case.compare_read()
            answers += 5
        case.ours.close()
        world += 1
    seconds = time.monotonic() - started
    print(f"compared {answers} answers on {world} collections, seed {seed}, in {seconds:.1f} s")


if __name__ == "__main__":
    main()
