"""Rows 9 to 12: messages and descriptors between two processes.

Three relays carry the same messages between the same ends: lane.c's copy, which finds newlines and copies, Drover, and
a parent in Node.  The ends are in C or in Node.

A message there and one back wakes four processes that sleep.  On a virtual machine to wake another processor takes
longer than all else, and how often it is another one the kernel decides: the same program has good minutes and bad
ones.  So that is measured on one processor as well, where it does not happen.
"""
import os
import shutil
import subprocess
import tempfile

import machine

SECONDS = 0.7
SIZES = (64, 1024, 65536)
DESCRIPTOR_SIZE = 96
PATIENCE = 30
HERE = os.path.dirname(os.path.abspath(__file__))


def pin():
    """This process, and all that it starts, on one processor."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


class Lane:
    """Two ends, a and b, of one kind and mode, and where they write what they have found."""

    def __init__(self, bench, ends, mode, size, pinned=False):
        self.bench, self.mode = bench, mode
        self.pin = pin if pinned else None
        self.directory = tempfile.mkdtemp(dir=bench.tools.directory)
        self.out = os.path.join(self.directory, "out")
        program = [bench.tools.program("lane")] if ends == "c" else ["node", os.path.join(HERE, "lane.js")]
        self.commands = [program + ["end", me, peer, mode, str(size), str(SECONDS), self.out]
                         for me, peer in (("a", "b"), ("b", "a"))]

    def text(self):
        return machine.read(self.out) if os.path.exists(self.out) else ""

    def found(self):
        """Messages a second, or microseconds there and back."""
        lines = {words[0]: words[1:] for words in map(str.split, self.text().splitlines())}
        if "rtt" in lines:
            return float(lines["rtt"][1])
        begin, sent = map(int, lines["a"])
        end, got = map(int, lines["b"])
        if got != sent or "lost" in lines:
            raise machine.Failure("%d of %d messages arrived" % (got, sent))
        return got / ((end - begin) / 1e9)

    def through(self, command):
        env = dict(os.environ, **({"LANE_HOPS": "1"} if self.mode == "acks" else {}))
        subprocess.run(command + self.commands[0] + ["--"] + self.commands[1], timeout=PATIENCE, env=env, check=True,
                       preexec_fn=self.pin)

    def limit(self):
        self.through([self.bench.tools.program("lane"), "copy"])

    def node(self):
        self.through(["node", os.path.join(HERE, "lane.js"), "parent"])

    def drover(self):
        d = self.directory
        text = "[droverd]\nlogfile=%s/log\npidfile=%s/pid\nstate_dir=%s/state\n" % (d, d, d)
        for name, command in zip("ab", self.commands):
            text += "[program:%s]\ncommand=%s\nrelay=true\nipc_wait=20\nautorestart=false\nstartsecs=0\n" % (name, " ".join(command))
            text += "ipc_handles=any\n" if self.mode == "fds" else ""
        with open(os.path.join(d, "conf"), "w") as f:
            f.write(text)
        daemon = subprocess.Popen([self.bench.tools.droverd, "-n", "-c", os.path.join(d, "conf")],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=self.pin)
        try:
            machine.until(lambda: any(line.startswith("b ") for line in self.text().splitlines()),
                          "both ends to be ready", PATIENCE)
        finally:
            machine.end(daemon.pid)
            daemon.wait()


def one(bench, key, ends, mode, size, relays, pinned=False):
    for who in relays:
        lane = Lane(bench, ends, mode, size, pinned)
        try:
            {"limit": lane.limit, "Drover": lane.drover, "Node": lane.node}[who]()
            value = lane.found()
        finally:
            shutil.rmtree(lane.directory, ignore_errors=True)
        if who == "Node":
            bench.note("over " + key, "limit", value)
        else:
            bench.note(key, who, value)
        if who == "Drover":
            bench.note("over " + key, "Drover", value)


def measure(bench, _):
    node = ["Node"] if shutil.which("node") else []
    for size in SIZES:
        if bench.wants(9):
            one(bench, "lane %d" % size, "c", "thr", size, ["limit", "Drover"] + node)
        if bench.wants(10):
            one(bench, "turn %d" % size, "c", "rtt", size, ["limit", "Drover"])
            one(bench, "pinned %d" % size, "c", "rtt", size, ["limit", "Drover"], pinned=True)
        if bench.wants(11) and node:
            one(bench, "node %d" % size, "node", "thr", size, ["limit", "Drover"])
    if bench.wants(12):
        one(bench, "descriptors", "c", "fds", DESCRIPTOR_SIZE, ["limit", "Drover"])
        one(bench, "acknowledged", "c", "acks", DESCRIPTOR_SIZE, ["limit", "Drover"])
