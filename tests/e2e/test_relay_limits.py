"""Queues that are full, messages that are too late, and senders that wait: nobody is held up by others."""
import json
import unittest

import procs
from puppets import Case


class Limits(Case):
    FULL = "ipc_queue_bytes=64KB\nipc_queue_messages=50\n"

    def fill(self, sender, receiver, size=20000):
        """Messages with ids, until one bounces, and all after it do; the number of the first."""
        n, line = 0, None
        while line is None:
            sender.to(receiver, "x" * size, id=n)
            n += 1
            line = sender.line(0 if n % 50 else 0.02)
        first = json.loads(line)
        bounced = [first] + sender.hears(n - 1 - first["re"])
        self.assertEqual(bounced, [{"from": "$", "re": i, "err": "ENOBUFS", "to": receiver} for i in range(first["re"], n)])
        return first["re"]

    def test_a_full_queue_makes_its_sender_wait_and_then_bounces(self):
        self.play("a", ("b", self.FULL), "c")
        a, b, c = self.actors("a", "b", "c")
        n = self.fill(a, "b")
        # others are not held up, in either direction
        c.to("a", "hello")
        self.assertEqual(a.hear(), {"from": "c", "msg": "hello"})
        a.to("c", "hello")
        self.assertEqual(c.hear(), {"from": "a", "msg": "hello"})
        # nobody waits in vain twice
        for i in range(1000, 1100):
            a.to("b", 1, id=i)
        for i in range(1000, 1100):
            self.assertEqual(a.hear(), {"from": "$", "re": i, "err": "ENOBUFS", "to": "b"})
        self.assertEqual([b.hear()["id"] for _ in range(n)], list(range(n)))
        a.to("b", "again", id=5000)
        self.assertEqual(b.hear()["id"], 5000)

    def test_what_is_too_late_is_taken_out_of_the_queue(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        n = 0
        while self.channel("b")["queued"] <= 5:  # its socket is full
            for n in range(n, n + 5):
                a.to("b", "x" * 20000, id=n)
            n += 1
        for i in range(1000, 1100):
            a.to("b", "late", id=i, ttl=300 if i % 2 else 60000)
        a.to("b", "late", id=1100, ttl=300, ack=True)
        self.assertEqual(sorted(a.hear()["re"] for _ in range(51)), list(range(1001, 1100, 2)) + [1100])
        a.to("b", "last", id=2000)
        self.assertEqual([b.hear()["id"] for _ in range(n + 51)],
                         list(range(n)) + list(range(1000, 1100, 2)) + [2000])
        self.assertTrue(b.silent())
        self.assertEqual(self.channel("b")["bounced"], 51)

    def fill_socket(self, a, name, most):
        """Messages one by one, until one has to wait in the queue, or that many; how many there were."""
        n, before = 0, self.channel("a")["received"]
        while n < most and self.channel(name)["queued"] == 0:
            a.to(name, "x" * 1000)
            n += 1
            procs.wait_until(lambda: self.channel("a")["received"] == before + n, "it to be routed")
        return n

    def test_a_long_one_that_is_too_late_though_it_was_next(self):
        self.play("a", "b", "c")
        a, b, c = self.actors("a", "b", "c")
        n = self.fill_socket(a, "b", 10000) - 1  # as many as a socket takes
        self.assertEqual(self.fill_socket(a, "c", n), n)
        self.assertEqual(self.channel("c")["queued"], 0)
        a.to("c", "long" * 20000, id=1, ttl=100)
        self.assertEqual(a.hear(), {"from": "$", "re": 1, "err": "ETIMEDOUT", "to": "c"})
        self.assertEqual(self.channel("c")["queued"], 0)
        a.to("c", "last")
        self.assertEqual([len(m["msg"]) for m in c.hears(n + 1)], [1000] * n + [4])

    def test_a_sender_waits_for_room(self):
        self.play(("a", "ipc_wait=60\n"), ("b", self.FULL + "ipc_wait=60\n"))
        a, b = self.actors("a", "b")
        n, data = 3000, b"".join(b'{"to":"b","msg":%d,"id":%d}\n' % (i, i) for i in range(3000))
        sent = a.raw(data, 0.5)
        procs.wait_until(lambda: self.channel("a")["relay"]["waiting"], "the sender to wait")
        self.assertEqual(a.silent(), True)
        got = []
        rest = data[sent:]
        while len(got) < n:
            rest = rest[a.raw(rest, 0):]
            m = b.hear()
            got.append(m["id"])
            b.to("a", "ok", re=m["id"])
            while a.line(0) is not None:
                pass
        self.assertEqual(got, list(range(n)))

    def test_a_broadcast_waits_for_nobody(self):
        self.play("a", ("b", self.FULL), ("c", self.FULL))
        a, b, c = self.actors("a", "b", "c")
        self.fill(a, "b")
        a.to(["b", "c"], "x", id=7777, ack=True)
        self.assertEqual(a.hear(), {"from": "$", "re": 7777, "ok": 1, "fail": {"b": "ENOBUFS"}})
        self.assertEqual(c.hear(), {"from": "a", "msg": "x"})

    def test_too_many_open_requests(self):
        self.play(("a", "ipc_queue_messages=5"), "b")
        a, b = self.actors("a", "b")
        for i in range(7):
            a.to("b", i, id=i)
        self.assertEqual([a.hear()["re"] for _ in range(2)], [5, 6])
        b.hears(5)
        b.to("a", "ok", re=0)
        self.assertEqual(a.hear()["re"], 0)
        a.to("b", 8, id=8)
        self.assertEqual(b.hear()["id"], 8)

    def test_two_that_block_on_each_other(self):
        self.play(("a", self.FULL), ("b", self.FULL), "c", "d")
        a, b, c, d = self.actors("a", "b", "c", "d")
        for i in range(400):
            a.raw(b'{"to":"b","msg":"%0900d"}\n' % i, 0)
            b.raw(b'{"to":"a","msg":"%0900d"}\n' % i, 0)
        for i in range(50):
            c.to("d", i, id=i)
            self.assertEqual(d.hear()["msg"], i)
            d.to("c", i, re=i)
            self.assertEqual(c.hear()["msg"], i)

    def test_whoever_does_not_read_what_it_is_told_is_not_read(self):
        self.play(("a", self.FULL), "b")
        a, b = self.actors("a", "b")
        line = b'{"to":"nobody","msg":"%0200d","id":1}\n' % 7
        sent = a.raw(line * 50000, 2)
        self.assertLess(sent, len(line) * 50000)
        rest, told = line[sent % len(line):] + b'{"to":"a","msg":"end"}\n', -1  # now it reads, and is read again
        heard = {"from": "$"}
        while heard["from"] != "a":
            rest, told = rest[a.raw(rest, 0):], told + 1
            heard = a.hear()
        self.assertGreaterEqual(told, sent // len(line) - 5000)
        b.to("b", "alive")
        self.assertEqual(b.hear()["msg"], "alive")


if __name__ == "__main__":
    unittest.main()
