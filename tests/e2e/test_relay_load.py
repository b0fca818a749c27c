"""Much traffic: every request ends once, and a flood costs those who have no part in it next to nothing."""
import collections

import json
import os
import random
import signal
import statistics
import sys
import time
import unittest

import drover
import procs
from puppets import Case

REQUESTS = int(os.environ.get("RELAY_REQUESTS", "20000"))
DESCRIPTORS = int(os.environ.get("RELAY_DESCRIPTORS", "20000"))
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

SENDER = """\
import array, os, socket, sys
s = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
n, acks, (mine, other) = int(sys.argv[1]), 0, os.pipe()
line = b'{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"to":"receiver","msg":1}}\\n'
with_it = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [mine]))]
for i in range(n):
    s.sendmsg([line], with_it)
    if i % 64 == 63: acks += s.recv(65536).count(b"_ACK")
while acks < n: acks += s.recv(65536).count(b"_ACK")
s.sendall(b'{"acknowledged":%d}\\n' % acks)
"""

RECEIVER = """\
import os, socket, sys
s = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
n, lines, got = int(sys.argv[1]), 0, 0
while lines < n or got < n:
    data, fds, _, _ = socket.recv_fds(s, 65536, 64)
    for fd in fds: os.close(fd)
    lines += data.count(b"\\n")
    got += len(fds)
s.sendall(b'{"lines":%d,"descriptors":%d,"open":%d}\\n' % (lines, got, len(os.listdir("/proc/self/fd"))))
s.recv(1)
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


def report(what):
    """Figures of the long runs; see the Makefile's `fault`."""
    if "RELAY_REQUESTS" in os.environ:
        print("  relay: " + what, file=sys.stderr, flush=True)


class Requests(Case):
    timeout = 180 * max(1, REQUESTS // 50000)

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

    def ask(self, a, before=lambda done: None, amid=lambda: None):
        """All of them, at most 500 at once; what came for each: {id: [(from or to, error, msg)]}."""
        ends, asked, done = {}, 0, 0
        while done < REQUESTS:
            batch = min(REQUESTS - asked, 500 - (asked - done), 100)
            if batch == 100:
                before(done)
            if batch > 0:
                a.raw(b"".join(b'{"to":"w","msg":"q","id":%d}\n' % i for i in range(asked, asked + batch)))
                asked += batch
            amid()
            m = a.hear()
            while m is not None:
                ends.setdefault(m["re"], []).append((m.get("to", m["from"]), m.get("err"), m.get("msg")))
                done += 1
                line = a.line(0) if b"\n" in a.buffer else None
                m = json.loads(line) if line else None
        self.assertTrue(a.silent())
        return ends

    def test_each_is_answered_once_and_in_order(self):
        ends = self.ask(self.pool())
        self.assertEqual(set(ends), set(range(REQUESTS)))
        self.assertEqual({len(e) for e in ends.values()}, {1})
        last, share = {}, {}
        for i, [(who, error, msg)] in ends.items():  # in the order in which they came
            self.assertEqual((error, msg), (None, i))
            self.assertGreater(i, last.get(who, -1))
            last[who] = i
            share[who] = share.get(who, 0) + 1
        self.assertEqual(set(share), {"w:w_%d" % i for i in range(4)})
        report("%d requests, each answered once and in order: %s" % (len(ends), share))

    def test_while_workers_are_killed_each_is_answered_or_bounced(self):
        a, victims, killed = self.pool(), [], 0

        def halt_one(done):
            up = [n for n, p in self.d.all().items() if n.startswith("w:") and p["statename"] == "RUNNING"]
            if done >= (killed + 1) * min(REQUESTS // 40, 2000) and len(up) > 1:
                name = random.choice(up)
                victims.append((name, self.d.pid_of(name)))
                procs.freeze(victims[0][1])

        def kill_it():
            """With something to do, which it cannot be through with."""
            nonlocal killed
            for name, pid in victims:
                procs.wait_until(lambda: self.channel(name)["relay"]["open"], "it to be asked something")
                os.kill(pid, signal.SIGKILL)
                procs.wait_until(lambda: self.d.pid_of(name) != pid, "its end to be seen")
                killed += 1
            victims.clear()
        ends = self.ask(a, halt_one, kill_it)
        self.assertGreater(killed, 20)
        self.assertEqual(set(ends), set(range(REQUESTS)))
        self.assertEqual({len(e) for e in ends.values()}, {1})
        codes = collections.Counter(error or "answer" for [(_, error, _)] in ends.values())
        report("%d requests, %d workers killed: %s" % (len(ends), killed, dict(codes)))
        self.assertLessEqual(set(codes), {"answer", "ECONNRESET", "EHOSTDOWN"})
        self.assertGreaterEqual(codes["ECONNRESET"], killed)


    def test_while_the_supervisor_is_killed_each_ends_once(self):
        """At whatever instant, and workers besides: an answer, or word that there will be none, and never both."""
        a, crashes = self.pool(), 0
        due = max(REQUESTS // 200, 500)

        def crash():
            nonlocal crashes
            if self.done < (crashes + 1) * due:
                return
            if crashes % 2 == 1:
                victim = self.d.pid_of("w:w_%d" % (crashes // 2 % 4))
                if victim > 0:
                    os.kill(victim, signal.SIGKILL)
            self.d.crash()
            crashes += 1

        def note(done):
            self.done = done
        self.done = 0
        ends = self.ask(a, note, crash)
        self.assertGreater(crashes, 10)
        self.assertEqual(set(ends), set(range(REQUESTS)))
        self.assertEqual([e for e in ends.values() if len(e) > 1], [])
        codes = collections.Counter(error or "answer" for [(_, error, _)] in ends.values())
        report("%d requests, the supervisor killed %d times: %s" % (len(ends), crashes, dict(codes)))
        self.assertLessEqual(set(codes), {"answer", "ECONNRESET", "EHOSTDOWN"})


class Descriptors(Case):
    timeout = 120 * max(1, DESCRIPTORS // 50000)

    def test_none_is_lost_and_none_leaks(self):
        common = "relay=true\nipc_handles=any\nipc_wait=60\nstartsecs=0\nautorestart=false\n"
        self.play("a")
        self.d.update(self.stage.section("a") + "".join(
            "[program:%s]\ncommand=python3 -S %s %d\nautostart=%s\n%s" % (
                name, self.write(name + ".py", code), DESCRIPTORS, name == "receiver", common)
            for name, code in (("receiver", RECEIVER), ("sender", SENDER))))
        self.d.wait_state("receiver", "RUNNING")
        daemon = self.d.get("/v1/daemon").json
        pids = [daemon["pid"], daemon["supervisor_pid"]]

        def opened():
            procs.wait_asleep(pids[1], pids[0])  # the guardian is told of each, and nobody waits for it
            return [len(os.listdir("/proc/%d/fd" % pid)) for pid in pids]
        self.d.events  # is a connection
        before = opened()
        self.d.start("sender")
        got = self.d.wait_event("message", "receiver", after=-1, timeout=self.timeout)["message"]
        self.assertEqual((got["lines"], got["descriptors"]), (DESCRIPTORS, DESCRIPTORS))
        self.assertLess(got["open"], 8)
        self.d.wait_event("close", "sender")
        procs.wait_until(lambda: max(map(int.__sub__, opened(), before)) <= 0, "no more descriptors than before")
        self.assertEqual((self.channel("receiver")["handles_sent"], self.channel("sender")["handles_received"]),
                         (DESCRIPTORS, DESCRIPTORS))
        report("%d descriptors handed over; open in guardian and supervisor before %s, after %s" % (
            got["descriptors"], before, opened()))


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
        self.p99(c, d)
        before = resident(pid)
        self.d.start("flood")
        procs.wait_until(lambda: self.refused() > 0, "the flood to bounce")
        self.times, refused = [], self.refused()
        try:
            procs.wait_until(lambda: self.costs_little(self.d.pid_of("flood"), c, d), "times as without a flood", 60)
        except AssertionError as error:
            raise AssertionError("%s; lane without and with it, control likewise: %s" % (error, self.times))
        self.assertGreater(self.refused(), refused)
        grown = resident(pid) - before
        report("flood for %g s: %+.2f MiB; p99 of another lane %.2f ms (without: %.2f), of control %.2f ms (%.2f)" % (
            FLOOD_SECONDS, grown / 2**20, *(1e3 * self.times[-1][i] for i in (1, 0, 3, 2))))
        self.assertLess(grown, (32 if drover.SAN else 4) << 20)  # sanitizers keep what was freed
        self.assertGreater(self.channel("stuck")["bounced"], 0)

    def refused(self):
        return self.channel("flood")["relay"]["refused"]

    def costs_little(self, flood, c, d):
        """Times with the flood and without it, taken in turn: what the rest of the machine does hits both.  It may hit
        one more than the other for a while; what the daemon does wrong is there each time."""
        lane, control, until = ([], []), ([], []), time.monotonic() + FLOOD_SECONDS
        while time.monotonic() < until or len(lane[0]) < 5:
            for on, sig in enumerate((signal.SIGSTOP, signal.SIGCONT)):
                os.kill(flood, sig)
                lane[on].append(self.p99(c, d))
                control[on].append(self.d.round_trip())
        self.times.append([statistics.median(times) for times in (*lane, *control)])
        idle, during, idle_control, during_control = self.times[-1]
        return during < 5 * max(idle, 0.001) and during_control < 5 * max(idle_control, 0.001)

    def test_all_queues_together(self):
        """More receivers that are stuck than there may be memory for, each with a queue that is large."""
        names = ["stuck_%d" % i for i in range(6)]
        self.play("a", "b", *[(name, "ipc_queue_bytes=64MB\nipc_queue_messages=60000\nipc_wait=0\n") for name in names])
        a, b = self.actors("a", "b")
        pid = self.d.get("/v1/daemon").json["supervisor_pid"]
        before = resident(pid)
        for name in names:
            bounced = 0
            while bounced == 0:
                a.raw(b'{"to":"%s","msg":"%s"}\n' % (name.encode(), b"x" * 100000) * 50)
                bounced = self.channel(name)["bounced"]
        held = [self.channel(name)["queued"] for name in names]
        self.assertGreater(held[0], 200)  # as long as there is some, it may have it
        self.assertGreater(min(held), 0)
        self.assertLess(resident(pid) - before, (256 if drover.SAN else 80) << 20)  # sanitizers keep what was freed
        a.to("b", "hello")
        self.assertEqual(b.hear()["msg"], "hello")


if __name__ == "__main__":
    unittest.main()
