"""pointd over plain HTTP, one connection kept open: one collection of it."""

import http.client
import json
import time
import urllib.parse

PATHS = {
    "upsert": ("PUT", "points"),
    "delete": ("POST", "points/delete"),
    "update_vectors": ("PUT", "points/vectors"),
    "delete_vectors": ("POST", "points/vectors/delete"),
    "set_payload": ("POST", "points/payload"),
    "overwrite_payload": ("PUT", "points/payload"),
    "delete_payload": ("POST", "points/payload/delete"),
    "clear_payload": ("POST", "points/payload/clear"),
}


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


class Server:
    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        # Longer than the server's own.
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
        self.used = time.monotonic()

    def ask(self, method, path, body=None):
        # The server closes a connection on which nothing comes for half a minute.
        if time.monotonic() - self.used > 15:
            self.connection.close()
        text = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json"}
        self.connection.request(method, path, text, headers)
        answer = self.connection.getresponse()
        said = answer.read()
        self.used = time.monotonic()
        if answer.status != 200:
            raise Refused(answer.status, said.decode())
        return json.loads(said)["result"]


class Rest:
    """`Edge`'s interface, asked of a server."""

    def __init__(self, server, collection):
        self.server, self.collection = server, collection

    def create(self, schema):
        """Makes it anew."""
        try:
            self.ask("PUT", "", {"vectors": schema})
        except Refused as refused:
            if refused.status != 409:
                raise
            self.ask("DELETE", "")
            self.ask("PUT", "", {"vectors": schema})

    def ask(self, method, path, body=None):
        slash = "/" if path else ""
        return self.server.ask(method, f"/collections/{self.collection}{slash}{path}", body)

    def index(self, field, kind):
        self.ask("PUT", "index?wait=true", {"field_name": field, "field_schema": kind})

    def apply(self, operation, wait=True):
        [(name, body)] = operation.items()
        method, path = PATHS[name]
        return self.ask(method, f"{path}?wait={'true' if wait else 'false'}", body)

    def batch(self, operations, wait=True):
        path = f"points/batch?wait={'true' if wait else 'false'}"
        return self.ask("POST", path, {"operations": operations})

    def retrieve(self, body):
        return self.ask("POST", "points", body)

    def scroll(self, body):
        return self.ask("POST", "points/scroll", body)

    def count(self, body):
        return self.ask("POST", "points/count", body)

    def query(self, body):
        return self.ask("POST", "points/query", body)
