"""Much traffic: every request ends once, and a flood costs those who have no part in it next to nothing."""
import contextlib
import json
import os
import random
import signal
import time
import unittest

import drover
import procs
from test_relay import Case

REQUESTS = int(os.environ.get("RELAY_REQUESTS", "20000"))
FLOOD_SECONDS = float(os.environ.get("RELAY_FLOOD_SECONDS", "2"))

WORKER = """\
import os
f = os.fdopen(int(os.environ["DROVER_CHANNEL_FD"]), "r+b", 0)
rest = b""
while True:
    data = f.read(65536)
    if not data: break
    *lines, rest = (rest + data).split(b"\\n")
    out = b""
    for line in lines:
        i = line[line.rindex(b":") + 1:-1]
        out += b'{"to":"a","re":%s,"msg":%s}\\n' % (i, i)
    while out: out = out[f.write(out):]
"""

FLOOD = """\
import os, socket
s = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
data = (b'{"to":"stuck","msg":"' + b"x" * 1000 + b'"}\\n') * 64
while True:
    s.sendall(data)
"""


def resident(pid):
    return int(procs.read("/proc/%d/statm" % pid).split()[1]) * os.sysconf("SC_PAGESIZE")


class Requests(Case):
    timeout = 180

    def pool(self):
        worker = self.write("worker.py", WORKER)
        self.play("a")
        text = self.stage.section("a") + ("[program:w]\ncommand=python3 -S %s\nrelay=true\nnumprocs=4\n"
                                          "process_name=w_%%(process_num)d\nstartsecs=0\nautorestart=true\n"
                                          "restart_interval=0\n" % worker)
        self.d.update(text)
        (a,) = self.actors("a")
        for i in range(4):
            self.d.wait_state("w:w_%d" % i, "RUNNING")
        return a

    def ask(self, a, on_progress=lambda n: None):
        """All of them, at most 500 at once; what came for each: {id: [message]}."""
        ends, asked, done = {}, 0, 0
        while done < REQUESTS:
            batch = min(REQUESTS - asked, 500 - (asked - done), 100)
            if batch > 0:
                a.raw(b"".join(b'{"to":"w","msg":"q","id":%d}\n' % i for i in range(asked, asked + batch)))
                asked += batch
            m = a.hear()
            while m is not None:
                ends.setdefault(m["re"], []).append(m)
                done += 1
                line = a.line(0) if b"\n" in a.buffer else None
                m = json.loads(line) if line else None
            on_progress(done)
        self.assertTrue(a.silent())
        return ends

    def test_each_is_answered_once_and_in_order(self):
        ends = self.ask(self.pool())
        self.assertEqual(set(ends), set(range(REQUESTS)))
        self.assertEqual({len(e) for e in ends.values()}, {1})
        last, share = {}, {}
        for e in ends.values():  # in the order in which they came
            m = e[0]
            self.assertEqual(m["msg"], m["re"])
            self.assertGreater(m["re"], last.get(m["from"], -1))
            last[m["from"]] = m["re"]
            share[m["from"]] = share.get(m["from"], 0) + 1
        self.assertEqual(set(share), {"w:w_%d" % i for i in range(4)})
        self.assertGreater(min(share.values()), REQUESTS // 40)

    def test_while_workers_are_killed_each_is_answered_or_bounced(self):
        a, killed = self.pool(), [0]

        def kill_one(done):
            if done < (killed[0] + 1) * REQUESTS // 40:
                return
            pids = [p for n, p in self.d.pids().items() if n.startswith("w:") and p]
            with contextlib.suppress(IndexError, ProcessLookupError):  # it may just have been killed
                os.kill(random.choice(pids), signal.SIGKILL)
                killed[0] += 1
        ends = self.ask(a, kill_one)
        self.assertGreater(killed[0], 20)
        self.assertEqual(set(ends), set(range(REQUESTS)))
        self.assertEqual({len(e) for e in ends.values()}, {1})
        codes = {m.get("err", "answer") for e in ends.values() for m in e}
        self.assertLessEqual(codes, {"answer", "ECONNRESET", "EHOSTDOWN"})
        self.assertIn("ECONNRESET", codes)


class Floods(Case):
    timeout = 120

    def p99(self, c, d, n=300):
        times = []
        for i in range(n):
            began = time.perf_counter()
            c.to("d", i, id=i)
            d.hear()
            d.to("c", i, re=i)
            c.hear()
            times.append(time.perf_counter() - began)
        return sorted(times)[n * 99 // 100]

    def test_a_stuck_receiver_and_a_flood(self):
        flood = self.write("flood.py", FLOOD)
        self.play("stuck", "c", "d", more="[program:flood]\ncommand=python3 -S %s\nrelay=true\nautostart=false\n"
                                          "startsecs=0\nstopsignal=KILL\n" % flood)
        stuck, c, d = self.actors("stuck", "c", "d")
        pid = self.d.get("/v1/daemon").json["supervisor_pid"]
        idle, idle_control = max(self.p99(c, d) for _ in range(3)), max(self.d.round_trip() for _ in range(3))
        before = resident(pid)
        self.d.start("flood")
        procs.wait_until(lambda: self.d.info("flood")["channel"]["relay"]["refused"] > 0, "the flood to bounce")
        until, during, during_control = time.monotonic() + FLOOD_SECONDS, [], []
        while time.monotonic() < until:
            during.append(self.p99(c, d, 100))
            during_control.append(self.d.round_trip())
        grown = resident(pid) - before
        self.assertLess(grown, (32 if drover.SAN else 4) << 20)  # sanitizers keep what was freed
        self.assertLess(sorted(during)[len(during) // 2], 5 * max(idle, 0.001))
        self.assertLess(sorted(during_control)[len(during_control) // 2], 5 * max(idle_control, 0.001))
        self.assertGreater(self.channel("stuck")["bounced"], 0)


if __name__ == "__main__":
    unittest.main()
