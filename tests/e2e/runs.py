"""`droverctl run` against a daemon without programs."""
import json
import os
import select
import socket
import subprocess

import drover


class RunTestCase(drover.TestCase):
    def command(self, *words, options=()):
        return [drover.DROVERCTL, "-c", self.d.file, *options, "run", *words]

    def ctl(self, *words, options=(), **more):
        more.setdefault("stdin", None if "input" in more else subprocess.DEVNULL)
        if more["stdin"] is None:
            del more["stdin"]
        return subprocess.run(self.command(*words, options=options), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=50, **more)

    def start(self, *words, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        p = subprocess.Popen(self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.known.add(p.pid)
        self.addCleanup(self.finish, p)
        return p

    def finish(self, p):
        if p.poll() is None:
            p.kill()
        p.wait()
        p.stdout.close()
        p.stderr.close()
        if p.stdin is not None:
            p.stdin.close()

    def captured(self, *words, **more):
        r = self.ctl("--json", *words, **more)
        return r.returncode, json.loads(r.stdout)

    def in_time(self, done, *words):
        """What is to have come so far before its timeout takes as long as the machine takes: with a longer timeout
        each time, until it has."""
        for timeout in "200ms", "2s", "20s":
            status, r = self.captured("--timeout", timeout, *words)
            self.assertEqual((status, r["error"]["code"]), (124, "ETIMEDOUT"))
            if done(r):
                return r
        return self.fail("not once in time: %r" % r)

    def line(self, p):
        """The next line that it prints, waited for."""
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([p.stdout], [], [], 20)
            self.assertTrue(ready, "nothing was printed after %r" % text)
            byte = os.read(p.stdout.fileno(), 1)
            self.assertTrue(byte, "the end came after %r" % text)
            text += byte
        return text.decode().rstrip("\n")

    def run_events(self, number, *kinds):
        return self.d.history("run:%d" % number, *kinds)

    def setUp(self):
        super().setUp()
        self.d = self.daemon("", native=True)


class Raw:
    """A request for a transient whose answer is read when the test wants to."""

    def __init__(self, d, body):
        text = json.dumps(body).encode()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(d.socket)
        self.socket.sendall(b"POST /v1/run HTTP/1.0\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        self.data = b""

    def wait(self, text):
        while text not in self.data:
            piece = self.socket.recv(65536)
            assert piece, self.data
            self.data += piece

    def rest(self):
        pieces = [self.data]
        while pieces[-1] or len(pieces) == 1:
            pieces.append(self.socket.recv(1 << 20))
        self.data = b"".join(pieces)
        return self.data

    def close(self):
        self.socket.close()
