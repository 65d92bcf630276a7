"""Whether two answers say the same. Each function gives what differs, or None."""

import json

# How far two floats of a score or a vector may be apart, in parts of the larger one (of 1, if
# both are smaller): the engine computes in f32, the client's local mode in f64.
TOLERANCE = 2e-5

# More than any collection here has points, or points times values.
ALL = 1000


def close(ours, theirs):
    return abs(ours - theirs) <= TOLERANCE * max(1.0, abs(ours), abs(theirs))


def exact(value):
    """Tells 1 from 1.0 and from true, which Python's own comparison does not."""
    return json.dumps(value, sort_keys=True)


def vectors_differ(ours, theirs):
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return ours.keys() != theirs.keys() or any(
            vectors_differ(ours[name], theirs[name]) for name in theirs
        )
    if not isinstance(theirs, list) or not isinstance(ours, list):
        return ours != theirs
    return len(ours) != len(theirs) or not all(map(close, ours, theirs))


def point(ours, theirs):
    """Of one point: id, payload and vectors."""
    if ours["id"] != theirs["id"]:
        return f"point {ours['id']} in place of {theirs['id']}"
    name = ours["id"]
    if exact(ours.get("payload")) != exact(theirs.get("payload")):
        return f"payload of {name}: {ours.get('payload')} in place of {theirs.get('payload')}"
    if vectors_differ(ours.get("vector"), theirs.get("vector")):
        return f"vector of {name}: {ours.get('vector')} in place of {theirs.get('vector')}"
    return None


def listing(ours, theirs):
    """The same points in the same order."""
    if [each["id"] for each in ours] != [each["id"] for each in theirs]:
        return f"points {[p['id'] for p in ours]} in place of {[p['id'] for p in theirs]}"
    return next(filter(None, map(point, ours, theirs)), None)


def page(ours, theirs):
    """A page of a scroll."""
    if ours["next_page_offset"] != theirs["next_page_offset"]:
        return f"next {ours['next_page_offset']} in place of {theirs['next_page_offset']}"
    return listing(ours["points"], theirs["points"])


def page_list(ours, theirs):
    if len(ours) != len(theirs):
        return f"{len(ours)} pages in place of {len(theirs)}"
    return next(filter(None, map(page, ours, theirs)), None)


def rank(identity):
    """Numbers before UUIDs."""
    return (isinstance(identity, str), identity)


def scored(body, ours, everything):
    """A search. Theirs is without `limit` and `offset`: equal scores may come in any order there."""
    begin = body.get("offset") or 0
    expected = everything[begin : begin + body["limit"]]
    if len(ours) != len(expected):
        return f"{len(ours)} points in place of {len(expected)}"
    known = {each["id"]: each for each in everything}
    if len({each["id"] for each in ours}) != len(ours):
        return "a point comes twice"
    for mine, theirs in zip(ours, expected):
        if not close(mine["score"], theirs["score"]):
            return f"score {mine['score']} of {mine['id']} in place of {theirs['score']}"
        if mine["id"] not in known:
            return f"{mine['id']} should not be found"
        if not close(mine["score"], known[mine["id"]]["score"]):
            return f"{mine['id']} has the score {known[mine['id']]['score']}, not {mine['score']}"
        wrong = point(mine, known[mine["id"]])
        if wrong:
            return wrong
    for before, after in zip(ours, ours[1:]):
        # pointd's own promise: a page does not depend on chance.
        if before["score"] == after["score"] and rank(before["id"]) > rank(after["id"]):
            return f"equal scores, and {before['id']} comes before {after['id']}"
    return None


def by_value(body, ours, everything):
    """In order of a field. Equal values may come in any order there."""
    begin = body.get("offset") or 0
    expected = everything[begin : begin + body["limit"]]
    # An index of floats shows 3 as 3.0.
    values = [float(each.get("order_value", "nan")) for each in ours]
    wanted = [float(each["order_value"]) for each in expected]
    if values != wanted:
        return f"values {values} in place of {wanted}"
    known = {(rank(each["id"]), float(each["order_value"])): each for each in everything}
    found = [(rank(each["id"]), value) for each, value in zip(ours, values)]
    if len(set(found)) != len(found) or not known.keys() >= set(found):
        return f"found {found}, which is not part of {sorted(known)}"
    return next(filter(None, (point(each, known[key]) for each, key in zip(ours, found))), None)


def by_chance(body, ours, everything):
    """Any points of those that could be drawn."""
    known = {each["id"]: each for each in everything}
    found = {each["id"] for each in ours}
    if len(ours) != min(body["limit"], len(everything)) or len(found) != len(ours):
        return f"{len(found)} of {len(ours)} points, asked for {body['limit']} of {len(everything)}"
    if not found <= known.keys() or any(each["score"] != 1 for each in ours):
        return f"{ours} is not part of {sorted(map(rank, known))}, unscored"
    return next(filter(None, (point(each, known[each["id"]]) for each in ours)), None)


def walk(collection, body):
    """Every page of a scroll."""
    found, offset = [], None
    while True:
        answer = collection.scroll({**body, "offset": offset} if offset is not None else body)
        found.append(answer)
        offset = answer["next_page_offset"]
        if offset is None or len(found) > ALL:
            return found


def ask(kind, body, collection):
    """Ours: the answer as it comes."""
    if kind == "pages":
        return walk(collection, body)
    if kind == "ordered":
        return collection.scroll(body)
    return getattr(collection, kind)(body)


def ask_all(kind, body, collection):
    """Theirs: enough of it to judge ours by."""
    if kind in ("query", "like", "by_order", "sample"):
        whole = {name: value for name, value in body.items() if name != "offset"}
        return collection.query({**whole, "limit": ALL})
    if kind == "queries":
        return [ask_all("query", each, collection) for each in body]
    if kind == "ordered":
        return collection.scroll({**body, "limit": ALL})
    return ask(kind, body, collection)


def judge(kind, body, ours, theirs):
    """Of one read: what `ask` and `ask_all` gave."""
    if kind in ("query", "like"):
        return scored(body, ours["points"], theirs["points"])
    if kind == "queries":
        answers = zip(body, ours, theirs)
        return next(filter(None, (judge("query", *each) for each in answers)), None)
    if kind == "sample":
        return by_chance(body, ours["points"], theirs["points"])
    if kind in ("ordered", "by_order"):
        return by_value(body, ours["points"], theirs["points"])
    if kind == "retrieve":
        return listing(ours, theirs)
    if kind == "scroll":
        return page(ours, theirs)
    if kind == "pages":
        return page_list(ours, theirs)
    return None if exact(ours) == exact(theirs) else f"{ours} in place of {theirs}"
