"""pointd against Qdrant's own engine: the same random operations, and the same state after them.

usage: oracle.py URL SEED [--sequences N] [--operations N] [--collections N] [--state FILE]
       oracle.py URL SEED … --write-messages FILE --state FILE
       oracle.py URL --check-state FILE

The first form drives pointd over HTTP and compares after each sequence: every point, and a few
reads. `--state` keeps what the engine ended with, so that a restarted pointd can be compared with
it by the third form. The second form only creates the collections, and writes the operations as
messages for a broker, a line each, those of one collection in order; refused ones among them
become dead letters. With fewer collections than sequences, a sequence begins where another ended.
"""

import argparse
import json
import multiprocessing
import sys
import time

import judge
import shrink
import steps
from edge import Edge
from generate import SCHEMAS, Chance
from rest import Refused, Rest, Server

# What is not compared because the two differ on purpose, or because the engine, or its Python
# package, is no oracle for it. docs/compatibility.md says the same to users.
DIFFERENCES = [
    "A message, a batch among them, is applied whole or not at all: one that names a point that"
    " does not exist (other than to delete it) changes nothing; the engine changes the other points"
    " that are named, and what comes before stays.",
    "A cosine vector of zeros is refused; the engine takes it.",
    "Conditions that ask for true or false are left to compare.py: the engine's Python package"
    " turns them into 1 and 0.",
    "A null in set payload takes its key out; on a point whose payload was cleared the engine"
    " keeps the null. Where a filter selects the points, it asks the filter again before it takes"
    " keys out, so no null is generated there.",
    "Equal scores come in order of id; from the engine in any order, so they are compared as a set.",
]

# Processes that drive collections at the same time, each over a connection of its own. Most of
# the time each waits for an fsync, which they share.
WORKERS = 12
READS = 3
WHOLE = {"limit": 1000, "with_payload": True, "with_vector": True}


def existing(edge):
    found = edge.scroll({"limit": 100, "with_payload": False})
    return [each["id"] for each in found["points"]]


def without_nulls(operation):
    """What sets a payload by filter, as the engine does it."""
    body = operation.get("set_payload", {})
    if "filter" in body:
        kept = {key: value for key, value in body["payload"].items() if value is not None}
        body["payload"] = kept
    return operation


def sequence(chance, schema, edge, operations):
    """Random groups of operations, already applied to the engine: `(group, refused)`.

    A group of several is a batch over HTTP, and one message from a broker.
    """
    count = 0
    while count < operations:
        size = 1 if chance.often(0.35) else chance.random.randint(2, 6)
        group = []
        if chance.often(0.04):
            # Refused because of one of them: the engine must not see the others either.
            group = [steps.operation(chance, schema, []) for _ in range(size - 1)]
            # First, so that no upsert before it makes the point that it misses.
            group.insert(0, steps.refused(chance, schema, existing(edge)))
            yield group, True
        else:
            for _ in range(size):
                group.append(without_nulls(steps.operation(chance, schema, existing(edge))))
                edge.apply(group[-1])
            yield group, False
        count += size


def send(rest, group, wait):
    """To pointd. Whether it refused."""
    try:
        rest.apply(group[0], wait) if len(group) == 1 else rest.batch(group, wait)
    except Refused as refused:
        if refused.status in (400, 404, 422):
            return str(refused)
        raise
    return None


def state_differs(rest, edge):
    return judge.judge("scroll", WHOLE, rest.scroll(WHOLE), edge.scroll(WHOLE))


def read_differs(rest, edge, read):
    kind, body = read
    try:
        theirs = judge.ask_all(kind, body, edge)
    except Exception as error:
        theirs = error
    try:
        ours = judge.ask(kind, body, rest)
    except Refused as refused:
        ours = refused
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        both = isinstance(ours, Exception) and isinstance(theirs, Exception)
        return None if both else f"outcome {ours!r} in place of {theirs!r}"
    return judge.judge(kind, body, ours, theirs)


def replay_differs(rest, schema, groups, read):
    """The same from nothing, in a collection made anew."""
    rest.create(schema)
    edge = Edge(schema)
    try:
        for group, refused in groups:
            if not refused:
                for operation in group:
                    edge.apply(operation)
            said = send(rest, group, True)
            if bool(said) != refused:
                return f"outcome {said} of {group}"
        return read_differs(rest, edge, tuple(read)) if read else state_differs(rest, edge)
    finally:
        edge.close()


class Differs(Exception):
    """A case in which pointd and the engine do not agree, as small as it gets."""


def smallest(rest, schema, groups, read, wrong):
    """Raises `Differs`, with all that one needs to see it again."""
    def differs(groups, read):
        try:
            return replay_differs(rest, schema, groups, read)
        except Exception as error:  # the engine's, about what is no operation any more
            return f"{type(error).__name__} {error}"

    groups, read, still = shrink.smallest(groups, read and list(read), differs)
    lines = [f"schema {json.dumps(schema)}", f"first seen: {wrong}"]
    lines += [f"then {json.dumps(group)}{' (refused)' * bad}" for group, bad in groups]
    lines += [f"read {json.dumps(read)}", f"pointd differs: {still}"]
    raise Differs("\n".join(lines))


def name_of(number):
    return f"sequence-{number:04}"


class World:
    """A collection of both, and what was done to it."""

    def __init__(self, server, number, seed, indexes=False):
        chance = Chance(f"world {seed} {number}", of_client=False)
        self.schema = SCHEMAS[number % len(SCHEMAS)]
        self.name = name_of(number)
        self.rest, self.edge, self.groups = Rest(server, self.name), Edge(self.schema), []
        self.rest.create(self.schema)
        for field, kind in chance.few(steps.INDEXES, 0, 5) if indexes and chance.often(0.6) else []:
            self.rest.index(field, kind)

    def state(self):
        return {"collection": self.name, "points": self.edge.scroll(WHOLE)["points"]}

    def fail(self, read, wrong):
        smallest(self.rest, self.schema, self.groups, read, wrong)


def drive(world, chance, operations):
    """One sequence over HTTP. Gives how many operations and reads were compared."""
    count = 0
    for group, refused in sequence(chance, world.schema, world.edge, operations):
        world.groups.append([group, refused])
        count += len(group)
        # Only the last has to be visible: one connection, so all before it are too.
        said = send(world.rest, group, count >= operations or refused)
        if bool(said) != refused:
            world.fail(None, f"outcome {said} of {group}")
    wrong = state_differs(world.rest, world.edge)
    if wrong:
        world.fail(None, wrong)
    for _ in range(READS):
        read = steps.read(chance, world.schema)
        wrong = read_differs(world.rest, world.edge, read)
        if wrong:
            world.fail(read, wrong)
    return count, READS


def compose(world, chance, operations):
    """One sequence as messages. Gives them, and how many are to be refused."""
    messages, dead = [], 0
    for group, refused in sequence(chance, world.schema, world.edge, operations):
        body = group[0] if len(group) == 1 and chance.often(0.7) else {"operations": group}
        messages.append(json.dumps({"collection": world.name, **body}))
        dead += refused
    return messages, dead


def work(job):
    """In a process of its own: every `WORKERS`th collection, and all sequences of it."""
    first, given = job
    server, outcomes, states = Server(given.url), [], []
    do = compose if given.write_messages else drive
    try:
        for number in range(first, given.collections, WORKERS):
            world = World(server, number, given.seed, indexes=do is drive)
            for sequence in range(number, given.sequences, given.collections):
                chance = Chance(f"{do.__name__} {given.seed} {sequence}", of_client=False)
                outcomes.append(do(world, chance, given.operations))
            states.append(world.state())
            world.edge.close()
    except Differs as differs:
        return str(differs), None
    return outcomes, states


def all_of(given):
    outcomes, states = [], []
    with multiprocessing.Pool(WORKERS) as pool:
        for done, state in pool.imap_unordered(work, [(first, given) for first in range(WORKERS)]):
            if state is None:
                print(done)
                sys.exit(1)
            outcomes += done
            states += state
    return outcomes, states


def check_state(url, path):
    """Every collection of the file against what pointd answers now."""
    server = Server(url)
    with open(path) as file:
        expected = json.load(file)
    points = 0
    for state in expected["states"]:
        found = Rest(server, state["collection"]).scroll(WHOLE)
        wrong = judge.listing(found["points"], state["points"])
        if wrong:
            print(f"{state['collection']} differs: {wrong}")
            sys.exit(1)
        points += len(state["points"])
    print(f"as they should be: {len(expected['states'])} collections with {points} points")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--operations", type=int, default=30)
    parser.add_argument("--collections", type=int)
    parser.add_argument("--write-messages", metavar="FILE")
    parser.add_argument("--state", metavar="FILE")
    parser.add_argument("--check-state", metavar="FILE")
    given = parser.parse_args()
    given.collections = given.collections or given.sequences
    return given


def main():
    given, started = arguments(), time.monotonic()
    if given.check_state:
        return check_state(given.url, given.check_state)
    outcomes, states = all_of(given)
    dead = 0
    if given.write_messages:
        dead = sum(refused for _, refused in outcomes)
        messages = [message for several, _ in outcomes for message in several]
        with open(given.write_messages, "w") as file:
            file.writelines(f"{message}\n" for message in messages)
        told = f"{len(messages)} messages, {dead} of them to be refused"
    else:
        operations, reads = (sum(each) for each in zip(*outcomes))
        told = f"{operations} operations ended alike, {reads} reads were answered alike"
    if given.state:
        with open(given.state, "w") as file:
            json.dump({"dead_letters": dead, "states": states}, file)
    seconds = time.monotonic() - started
    many = f"{len(outcomes)} sequences on {len(states)} collections"
    print(f"{many}: {told}; seed {given.seed}, {seconds:.1f} s")


if __name__ == "__main__":
    main()
