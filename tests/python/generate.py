"""Random points, payloads, filters, operations and reads, as bodies of the REST interface.

Small on purpose: few ids, few keys and few values, so that operations meet on the same points
and conditions are true as often as not. The same seed gives the same things.
"""

import random

# The schemas that collections are made with.
SCHEMAS = [
    {"size": 4, "distance": "Dot"},
    {"size": 3, "distance": "Cosine"},
    {"size": 2, "distance": "Euclid"},
    {"size": 4, "distance": "Manhattan"},
    {
        "image": {"size": 3, "distance": "Cosine"},
        "text": {"size": 2, "distance": "Euclid"},
    },
    {
        "a": {"size": 2, "distance": "Dot"},
        "b": {"size": 2, "distance": "Manhattan"},
        "c": {"size": 4, "distance": "Cosine"},
    },
]

NUMBERS = [0, 1, 2, 3, 4, 5, 6, 7, 100, 2**53 + 1, 2**63 - 1]
UUIDS = [
    "00000000-0000-0000-0000-000000000001",
    "550e8400-e29b-41d4-a716-446655440000",
    "936da01f-9abd-4d9d-80c7-02af85c822a8",
    "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
]
IDS = NUMBERS + UUIDS

WORDS = ["red", "green", "blue", "Red", "", "1", "dark red", "red, dark; blue", "été"]
TEXTS = ["the quick brown fox", "a lazy dog", "The DOG, quick!", "fox", "re-do un_do"]
DATES = [
    "2024-01-01T00:00:00Z",
    "2024-01-01",
    "2023-12-31T23:30:00-01:00",
    "2024-02-29 12:00:00",
    "2024-02-29T12:00:00.000001",
    "2024-02-29T14:00:00.5+02:00",
    "1969-07-20T20:17:40Z",
    "2024-03",
]
BOUNDS = [date for date in DATES if date != "2024-03"]
PLACES = [
    {"lat": 52.52, "lon": 13.405},
    {"lat": 48.8566, "lon": 2.3522},
    {"lat": -33.8688, "lon": 151.2093},
    {"lat": 1, "lon": 179.5},
    {"lat": -1.5, "lon": -179.5},
    {"lat": 0, "lon": 0},
    {"lat": 89, "lon": 10},
]
# What stands where something else is expected.
WILD = [
    None, [], {}, [None], [[]], [None, 1], [[1, 2], [3]], 0, -1, 1.0, 1e300, True, False, "x", [{}],
    {"b": None}, [{"b": 1}, {"b": [2, None]}, 7], {"b": {"c": [1]}}, 2**63 - 1, -(2**63),
]  # fmt: skip

# Paths that conditions, keys and selections use beside those of the fields.
PATHS = [
    "wild", "wild[]", "wild.b", "wild[].b", "wild[0]", "wild.b.c", "wild[][]", "deep", "deep.a",
    "deep.b.c", "deep.b.d[]", "deep.b.d", "items", "items[]", "items[].n", "items[0].n", "items.n",
    "items[].tags", "items[].tags[]", "items[].name", "n[]", "color[]", "absent", "absent.b",
    '"dotted.key"', "place", "place[]", "place.lat",
]  # fmt: skip
# Where set payload puts things, and what delete payload takes out.
KEYS = [
    "deep", "deep.a", "deep.b", "deep.b.c", "deep.new.er", "items[]", "items[0]", "items[].n",
    "items[1].tags", "wild", "wild[]", "wild.b", "n", "color", "fresh", "fresh.b", '"dotted.key"',
    "absent[]", "absent[0].b", "items[7]", "deep.b.d[]", "wild[].b", "n[0]", "when",
]  # fmt: skip


def unnamed(schema):
    return "size" in schema


class Chance:
    """Random choices from one seed."""

    def __init__(self, seed, of_client=True):
        """`of_client`: for comparison with local mode; else with the engine, whose Python package
        has no conditions that ask for true or false."""
        self.of_client = of_client
        self.random = random.Random(seed)
        self.tests = TESTS if of_client else [each for each in TESTS if each[0] != "flag"]

    def often(self, share):
        return self.random.random() < share

    def one(self, things):
        return things[int(self.random.random() * len(things))]

    def some(self, things, least, most):
        return [self.one(things) for _ in range(self.random.randint(least, most))]

    def few(self, things, least, most):
        """Without repeating one."""
        count = min(self.random.randint(least, most), len(things))
        return self.random.sample(things, count)

    # Points.

    def id(self):
        return self.one(IDS)

    def ids(self, least=1, most=4):
        return self.few(IDS, least, most)

    def spelled(self, point):
        """A UUID in another spelling, now and then."""
        if isinstance(point, str) and self.often(0.15):
            simple = point.replace("-", "")
            return self.one([simple, simple.upper(), f"urn:uuid:{point}", point.upper()])
        return point

    def vector(self, parameters):
        size = parameters["size"]
        if self.often(0.5):
            vector = [self.random.randint(-3, 3) for _ in range(size)]
        else:
            vector = [round(self.random.uniform(-2, 2), 3) for _ in range(size)]
        # Cosine similarity with zero is not defined.
        if not any(vector):
            vector[0] = 1
        return vector

    def vectors(self, schema, least=0):
        if unnamed(schema):
            return self.vector(schema)
        names = self.few(sorted(schema), least, len(schema))
        return {name: self.vector(schema[name]) for name in names}

    def value(self, field):
        """Of the kind that the field mostly holds: see `PAYLOAD`."""
        if self.often(0.1):
            return self.one(WILD)
        return PAYLOAD[field](self)

    def payload(self, share=0.5):
        return {field: self.value(field) for field in PAYLOAD if self.often(share)}

    def point(self, schema):
        body = {"id": self.spelled(self.id()), "vector": self.vectors(schema)}
        if self.often(0.85):
            body["payload"] = self.payload()
        return body

    # Filters.

    def path(self):
        return self.one(PATHS) if self.often(0.6) else self.one(sorted(PAYLOAD))

    def test(self, schema):
        """A condition on one field."""
        field, make = self.one(self.tests)
        key = field if self.often(0.75) else self.path()
        test = make(self)
        # Of several values the engine asks one, local mode all; the condition of that name is the
        # same in both.
        if self.of_client and "[" in key and ("is_empty" in test or "is_null" in test):
            return {next(iter(test)): {"key": key}}
        return {"key": key, **test}

    def condition(self, schema, depth):
        pick = self.random.random()
        if depth > 0 and pick < 0.2:
            return self.filter(schema, depth - 1)
        if pick < 0.28:
            return {"has_id": [self.spelled(each) for each in self.ids(0, 8)]}
        if pick < 0.33:
            names = [""] if unnamed(schema) else sorted(schema)
            return {"has_vector": self.one([*names, "unknown"])}
        if pick < 0.38:
            return {self.one(["is_empty", "is_null"]): {"key": self.path()}}
        if depth > 0 and pick < 0.48:
            key = self.one(["items", "items[]", "wild", "deep.b.d", "items[].tags"])
            return {"nested": {"key": key, "filter": self.inner(depth - 1)}}
        return self.test(schema)

    def inner(self, depth):
        """A filter for the elements of `items`."""
        conditions = [self.one(ELEMENT)(self) for _ in range(self.random.randint(1, 2))]
        if depth > 0 and self.often(0.2):
            conditions.append(self.inner(depth - 1))
        return {self.one(["must", "should", "must_not"]): conditions}

    def filter(self, schema, depth=2):
        clauses = {}
        for clause in ("must", "should", "must_not"):
            if self.often(0.45):
                conditions = [self.condition(schema, depth) for _ in range(self.one([0, 1, 1, 2]))]
                clauses[clause] = conditions
        if self.often(0.12):
            conditions = [self.condition(schema, depth) for _ in range(self.random.randint(1, 4))]
            least = self.random.randint(1, 3)
            clauses["min_should"] = {"conditions": conditions, "min_count": least}
        if not clauses and self.often(0.9):
            clauses["must"] = [self.test(schema)]
        return clauses

    def selector(self, schema, existing):
        """By ids, of points that exist, or by a filter."""
        if existing and self.often(0.6):
            return {"points": [self.spelled(each) for each in self.few(existing, 1, 4)]}
        return {"filter": self.filter(schema, 1)}


def listed(make):
    """Mostly one value, sometimes a list of them."""
    return lambda c: make(c) if c.often(0.7) else [make(c) for _ in range(c.random.randint(0, 3))]


def item(c):
    element = {"n": c.random.randint(0, 3), "name": c.one(WORDS), "tags": c.some(WORDS, 0, 2)}
    return {key: value for key, value in element.items() if c.often(0.8)}


def deep(c):
    lower = {"c": c.one(WORDS), "d": [c.random.randint(0, 3) for _ in range(c.one([0, 1, 2]))]}
    return c.one([{"a": c.random.randint(0, 3), "b": lower}, {"b": lower}, {"a": None, "b": {}}])


# Each field and what it mostly holds.
PAYLOAD = {
    "color": listed(lambda c: c.one(WORDS)),
    "n": listed(lambda c: c.random.randint(-2, 6)),
    "x": lambda c: c.one([0.5, 1.0, -1.25, 3, 2.75, round(c.random.uniform(-2, 4), 2)]),
    "flag": listed(lambda c: c.often(0.5)),
    "when": listed(lambda c: c.one(DATES)),
    "place": listed(lambda c: dict(c.one(PLACES))),
    "about": listed(lambda c: c.one(TEXTS)),
    "deep": deep,
    "items": lambda c: [item(c) for _ in range(c.random.randint(0, 3))],
    "wild": lambda c: c.one(WILD),
    "dotted.key": lambda c: c.random.randint(0, 2),
}


def limits(c, values):
    names = c.few(["gt", "gte"], 0, 1) + c.few(["lt", "lte"], 0, 1)
    return {name: c.one(values) for name in names or ["gte"]}


def counts(c):
    return {"values_count": limits(c, [0, 1, 2, 3])}


def box(c):
    top, bottom = sorted([c.random.uniform(-90, 90) for _ in range(2)], reverse=True)
    left, right = [c.random.uniform(-180, 180) for _ in range(2)]
    corners = {"top_left": {"lat": top, "lon": left}, "bottom_right": {"lat": bottom, "lon": right}}
    return {"geo_bounding_box": corners}


def circle(c):
    radius = c.one([0.5, 10_000.0, 900_000.0, 5_000_000.0, 18_000_000.0])
    return {"geo_radius": {"center": dict(c.one(PLACES)), "radius": radius}}


def ring(lat, lon, size):
    steps = [(-1, -1), (-1, 1), (1, 1), (1, -0.5), (-1, -1)]
    return {"points": [{"lat": lat + a * size, "lon": lon + b * size} for a, b in steps]}


def polygon(c):
    around = c.one(PLACES[:2])
    body = {"exterior": ring(around["lat"] + 0.3, around["lon"] - 0.7, c.one([2, 9, 17]))}
    if c.often(0.4):
        body["interiors"] = [ring(around["lat"] + 0.1, around["lon"] + 0.1, 0.4)]
    return {"geo_polygon": body}


def words(c):
    kind = c.one(["text", "text_any", "phrase"])
    query = c.one(["quick", "dog", "the fox", "lazy dog", "qui", "brown quick", "", "do", "DOG the"])
    return {"match": {kind: query}}


# Conditions, each with the field that it mostly asks about.
TESTS = [
    ("color", lambda c: {"match": {"value": c.one(WORDS)}}),
    ("color", lambda c: {"match": {"any": c.few(WORDS, 0, 3)}}),
    ("color", lambda c: {"match": {"except": c.few(WORDS, 0, 3)}}),
    ("color", counts),
    ("n", lambda c: {"match": {"value": c.random.randint(-2, 6)}}),
    ("n", lambda c: {"match": {"any": c.few(list(range(-2, 7)), 1, 3)}}),
    ("n", lambda c: {"match": {"except": c.few(list(range(-2, 7)), 1, 3)}}),
    ("n", lambda c: {"range": limits(c, [-1, 0, 1, 2, 2.5, 3, 5])}),
    ("n", counts),
    ("x", lambda c: {"range": limits(c, [-1.25, 0, 0.5, 1, 2.75, 3])}),
    ("flag", lambda c: {"match": {"value": c.often(0.5)}}),
    ("when", lambda c: {"range": limits(c, BOUNDS)}),
    ("place", box),
    ("place", circle),
    ("place", polygon),
    ("about", words),
    ("about", words),
    ("deep.a", lambda c: {"match": {"value": c.random.randint(0, 3)}}),
    ("deep.b.c", lambda c: {"match": {"value": c.one(WORDS)}}),
    ("deep.b.d", lambda c: {"range": limits(c, [0, 1, 2])}),
    ("items[].n", lambda c: {"range": limits(c, [0, 1, 2, 3])}),
    ("items[].tags", lambda c: {"match": {"any": c.few(WORDS, 1, 2)}}),
    ("items[].tags", counts),
    ("items", counts),
    ("wild", lambda c: {c.one(["is_empty", "is_null"]): c.often(0.5)}),
    ("wild", counts),
    ('"dotted.key"', lambda c: {"match": {"value": c.random.randint(0, 2)}}),
]

# Conditions on one element of `items`.
ELEMENT = [
    lambda c: {"key": "n", "range": limits(c, [0, 1, 2, 3])},
    lambda c: {"key": "n", "match": {"value": c.random.randint(0, 3)}},
    lambda c: {"key": "name", "match": {"value": c.one(WORDS)}},
    lambda c: {"key": "name", "match": {"except": c.few(WORDS, 1, 2)}},
    lambda c: {"key": "tags", **counts(c)},
    lambda c: {"key": "tags[]", "match": {"any": c.few(WORDS, 1, 2)}},
    lambda c: {"is_empty": {"key": c.one(["n", "tags", "b"])}},
    lambda c: {"is_null": {"key": c.one(["n", "tags", "b"])}},
    lambda c: {"has_id": c.ids(0, 5)},
    lambda c: {"nested": {"key": "b", "filter": {"must": [{"key": "c", "match": {"value": 1}}]}}},
]
