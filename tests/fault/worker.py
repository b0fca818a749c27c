"""worker.py DIRECTORY NAME PEERS SENDERS - a worker of tests/fault that talks to others, in Python; see fault-worker.c."""
import json
import os
import random
import select
import signal
import socket
import sys
import time

DIRECTORY, NAME, PEERS, SENDERS = sys.argv[1], sys.argv[2], sys.argv[3].split(","), int(sys.argv[4])
RUN = time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def append(name, text):
    with open(os.path.join(DIRECTORY, name), "a") as f:
        f.write(text)


def trace(word, *more):
    append("trace", " ".join(map(str, (word, NAME, os.getpid(), RUN) + more)) + "\n")


def length(n):
    return 0 if n < 0 else 90000 if n % 200 == 0 else 40000 if n % 100 == 50 else n * 7919 % 1500


def is_plain(n):
    return n % 10 == 0 and n % 300 != 150 and n % 400 != 0


class Worker:
    def __init__(self):
        self.channel = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
        self.channel.setblocking(False)
        self.out, self.rest, self.book = bytearray(), b"", []
        self.next, self.answers, self.ends = 1, 0, 0
        self.waiting, self.ending, self.told, self.heard = {}, False, False, set()

    def note(self, *words):
        self.book.append(" ".join(map(str, words)) + "\n")
        if len(self.book) > 5000:
            self.keep()

    def keep(self):
        append("book." + NAME, "".join(self.book))
        self.book = []

    def write(self, message):
        self.out += json.dumps(message).encode() + b"\n"

    def say(self, to, end=False):
        n, self.next = self.next, self.next + 1
        what = -1 if end else n
        message = {"to": to, "msg": [what, "x" * length(what)]}
        if not is_plain(n) or end or to not in self.heard:
            message["id"] = n
            message["ack"] = n % 4 != 0 and not end
        if end:
            self.waiting[n] = to
        self.note("e" if end else "s", to, n)
        self.write(message)

    def take(self, m):
        self.heard.add(m["from"])
        if "re" in m and m["from"] == "$":
            self.note("b" if "err" in m else "k", m["re"], m.get("err", ""))
            if "err" in m and m["re"] in self.waiting:
                self.say(self.waiting.pop(m["re"]), end=True)
        elif "re" in m:
            self.note("v", m["from"], m["msg"][0], m["re"])
            self.waiting.pop(m["re"], None)
        else:
            n, text = m["msg"][:2]
            assert len(text) == length(n), m
            if n < 0:
                self.ends += 1
            else:
                self.note("r", m["from"], n)
            if "id" in m:
                self.answers += 1
                self.note("w", m["from"], self.answers)
                self.write({"to": m["from"], "re": m["id"], "msg": [self.answers]})

    def read(self):
        data = self.channel.recv(1 << 16)
        if not data:
            trace("eof")
            sys.exit(3)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.take(json.loads(line))

    def turn(self, until):
        can = select.select([self.channel], [self.channel] if self.out else [], [], max(0, until - time.monotonic()))
        if can[0]:
            self.read()
        if can[1]:
            del self.out[:self.channel.send(self.out)]

    def finish(self):
        if self.told or not self.ending or self.waiting or self.ends < SENDERS or self.out:
            return
        self.told = True
        self.keep()
        trace("quiet", 0, 0)

    def run(self):
        following = time.monotonic()
        while True:
            self.turn(following)
            self.finish()
            if time.monotonic() < following:
                continue
            following = time.monotonic() + random.uniform(0.005, 0.045)
            if self.ending:
                continue
            if not os.path.exists(os.path.join(DIRECTORY, "gate")):
                self.ending = True
                for p in PEERS:
                    self.say(p, end=True)
            elif len(self.out) < 1 << 17:
                for _ in range(random.randint(1, 8)):
                    self.say(random.choice(PEERS))


def on_term(*_):
    status = os.getpid() % 200 + 1
    trace("end", status, 0, 0)
    os._exit(status)


signal.signal(signal.SIGTERM, on_term)
trace("start")
Worker().run()
