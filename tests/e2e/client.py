"""A client of the daemon's HTTP interface, and of its streams.

One connection is kept for ordinary requests; each stream has its own.  Every wait has a bound, and ends early when the
thing that is waited for happens: nothing here sleeps for a guessed time.
"""
import base64
import http.client
import json
import select
import socket
import time
import urllib.parse


class Timeout(AssertionError):
    pass


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Reply:
    """Status, headers and body of one answer; .json is the body read as JSON, .lines each line of it."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def error(self):
        return self.json["error"]

    def __repr__(self):
        return "<%d %r>" % (self.status, self.body[:400])


def quote(name):
    return urllib.parse.quote(name, safe="")


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()}


class Client:
    """address is the path of a unix socket or a (host, port) pair."""

    def __init__(self, address, headers=None):
        self.address, self.headers, self.connection = address, headers or {}, None

    def connect(self):
        if isinstance(self.address, tuple):
            return http.client.HTTPConnection(*self.address, timeout=30)
        return UnixConnection(self.address)

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def request(self, method, path, body=None, headers=None):
        """One request on the kept connection; a connection that the daemon has meanwhile closed is made anew once."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        for attempt in (1, 2):
            fresh = self.connection is None
            if fresh:
                self.connection = self.connect()
            try:
                try:
                    self.connection.request(method, path, body=body, headers={**self.headers, **(headers or {})})
                except (BrokenPipeError, ConnectionResetError):
                    pass  # a refusal may have been sent before we had said all, and is there to be read
                answer = self.connection.getresponse()
                reply = Reply(answer.status, answer.headers, answer.read())
                if answer.will_close:
                    self.close()
                return reply
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if fresh or attempt == 2:
                    raise
            except BaseException:
                self.close()
                raise

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters, doseq=True)
        return self.request("GET", path + ("?" + query if query else ""))

    def post(self, path, body=None, **parameters):
        query = urllib.parse.urlencode(parameters)
        return self.request("POST", path + ("?" + query if query else ""), body=body if body is not None else b"")

    def stream(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        return Stream(self.address, path + ("?" + query if query else ""), self.headers)


def read_to_end(s):
    """All that comes from a socket until the other side closes it, in whichever way."""
    data = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return data
            data += piece
    except (ConnectionResetError, BrokenPipeError):
        return data


class Stream:
    """A chunked answer that goes on: decoded as it comes, with a deadline for each wait."""

    def __init__(self, address, path, headers=None):
        family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.connect(address)
        lines = ["GET %s HTTP/1.1" % path, "Host: localhost"] + ["%s: %s" % h for h in (headers or {}).items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.raw, self.data, self.ended = b"", b"", False
        deadline = time.monotonic() + 20
        while b"\r\n\r\n" not in self.raw:
            if not self.receive(deadline):
                raise Timeout("no head of a stream from %s: %r" % (path, self.raw))
        head, self.raw = self.raw.split(b"\r\n\r\n", 1)
        self.head = head.decode()
        self.status = int(self.head.split()[1])
        self.chunked = "transfer-encoding: chunked" in self.head.lower()
        self.decode()

    def close(self):
        self.socket.close()

    def receive(self, deadline):
        """Reads once; False at the deadline or when the other side has closed."""
        left = deadline - time.monotonic()
        if self.ended or not select.select([self.socket], [], [], max(left, 0))[0]:
            return False
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self.ended = self.ended or piece == b""
        self.raw += piece
        return piece != b""

    def decode(self):
        if not self.chunked:
            self.data, self.raw = self.data + self.raw, b""
            return
        while b"\r\n" in self.raw:
            size, rest = self.raw.split(b"\r\n", 1)
            length = int(size, 16)
            if len(rest) < length + 2:
                return
            self.data += rest[:length]
            self.raw = rest[length + 2:]
            if length == 0:
                self.ended = True
                return

    def fill(self, deadline):
        """Waits for more; False at the deadline or at the end."""
        got = self.receive(deadline)
        self.decode()
        return got

    def until(self, found, what, timeout=20):
        """Reads until found(data) is true, and gives its value."""
        deadline = time.monotonic() + timeout
        while True:
            value = found(self.data)
            if value:
                return value
            if not self.fill(deadline):
                state = "the stream ended" if self.ended else "nothing came for %g s" % timeout
                raise Timeout("waiting for %s: %s; last seen: %r" % (what, state, self.data[-600:]))

    def until_text(self, text, timeout=20):
        text = text.encode() if isinstance(text, str) else text
        self.until(lambda data: text in data, repr(text), timeout)
        return self.data

    def until_end(self, timeout=20):
        deadline = time.monotonic() + timeout
        while self.fill(deadline):
            pass
        if not self.ended:
            raise Timeout("the stream did not end in %g s" % timeout)
        return self.data


class Events:
    """Everything that happened since the daemon began, read as far as somebody has waited for."""

    def __init__(self, client):
        self.stream = client.stream("/v1/events", since=0, follow=1)
        self.list, self.rest = [], b""

    def close(self):
        self.stream.close()

    def take(self):
        """Moves what has arrived into the list."""
        self.rest += self.stream.data
        self.stream.data = b""
        *lines, self.rest = self.rest.split(b"\n")
        self.list += [json.loads(line) for line in lines if line]

    def until(self, found, what, timeout=20):
        """Waits until found(list of events) is true, and gives its value."""
        deadline = time.monotonic() + timeout
        while True:
            self.take()
            value = found(self.list)
            if value:
                return value
            if not self.stream.fill(deadline):
                state = "the stream ended" if self.stream.ended else "not seen in %g s" % timeout
                raise Timeout("waiting for %s: %s; last events:\n%s" % (
                    what, state, "\n".join(str(e) for e in self.list[-12:])))

    def until_end(self, timeout=20):
        deadline = time.monotonic() + timeout
        while self.stream.fill(deadline):
            pass
        self.take()
        if not self.stream.ended:
            raise Timeout("the events did not end in %g s" % timeout)
        return self.list
