"""Messages while the supervisor is killed: what has become of each, and that every sender hears of its requests once."""
import json
import os
import subprocess
import unittest

import drover
import procs
from test_relay import Case


class Killed(Case):
    """The supervisor is killed, and the next one knows what had become of each message."""

    def test_what_waited_in_its_hands_is_counted_and_the_rest_goes_on(self):
        self.play("a", ("b", "ipc_queue_messages=100"), "c")
        a, b, c = self.actors("a", "b", "c")
        n = 0
        while self.channel("b")["queued"] < 50:
            for _ in range(50):
                a.to("b", [n, "x" * 5000])
                n += 1
            a.to("c", n)
            c.hear()  # so that all of these were routed
        queued = self.channel("b")["queued"]
        self.d.crash()
        channel = self.channel("b")
        self.assertIn(queued - channel["lost"], (0, 1))  # one of them may be half written: it is finished
        self.assertEqual((channel["queued"], channel["open"]), (queued - channel["lost"], True))
        got = [b.hear()["msg"][0] for _ in range(n - channel["lost"])]
        self.assertEqual(got, list(range(n - channel["lost"])))
        a.to("b", "more")
        self.assertEqual(b.hear(), {"from": "a", "msg": "more"})
        self.assertEqual(self.channel("b")["lost"], channel["lost"])

    def test_one_that_had_to_wait_with_its_sender_is_counted_there(self):
        self.play("a", ("b", "ipc_queue_messages=10\nipc_wait=50s"))
        a, b = self.actors("a", "b")
        rest = b""
        while not self.channel("a")["relay"]["waiting"]:
            rest = rest or json.dumps({"to": "b", "msg": "x" * 5000}).encode() + b"\n"
            rest = rest[a.raw(rest, 0):]
        shown = subprocess.run([drover.DROVERCTL, "-s", "unix://" + self.d.socket, "ipc", "a"], capture_output=True, text=True)
        self.assertEqual(shown.stdout.splitlines()[1].split()[:2], ["a", "waits"])
        self.d.crash()
        self.assertEqual(self.channel("a")["lost"], 1)
        self.assertGreater(self.channel("b")["lost"], 5)

    def test_answers_to_what_was_asked_before(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.to("b", "question", id=7)
        self.assertEqual(b.hear()["id"], 7)
        self.d.crash()
        b.to("a", "answer", re=7)
        self.assertEqual(a.hear(), {"from": "b", "re": 7, "msg": "answer"})
        a.to("b", "another", id=8)
        b.hear()
        b.to("a", "answer", re=8)
        self.assertEqual(a.hear()["re"], 8)

    def test_a_descriptor_that_it_had_not_passed_on_is_sent_again(self):
        """Half a line with a descriptor: that is gone, which its sender is told, as Node wants to be."""
        self.play("a", "b")
        a, b = self.actors("a", "b")
        line = json.dumps({"cmd": "NODE_HANDLE", "type": "net.Native", "msg": {"to": "b", "msg": 1}}).encode() + b"\n"
        before = self.channel("a")["received"]
        a.socket.setblocking(True)
        a.socket.sendmsg([line[:20]], [(1, 1, b"\0\0\0\0")])
        a.socket.setblocking(False)
        self.d.round_trip()
        self.d.crash()
        a.raw(line[20:])
        self.assertEqual(a.hear(), {"cmd": "NODE_HANDLE_NACK"})
        a.handle({"to": "b", "msg": 1}, 0, "net.Native")
        self.assertEqual(a.hear(), {"cmd": "NODE_HANDLE_ACK"})
        self.assertEqual(b.hear()["msg"]["msg"], 1)
        self.assertEqual(self.channel("a")["received"], before + 1)

    def test_what_is_open_goes_on(self):
        """An answer, the end of its receiver, or its time: each of them once."""
        self.play("a", "b", "c")
        a, b, c = self.actors("a", "b", "c")
        a.to("b", "answered", id=1)
        a.to("b", "late", id=2, ttl=400)
        a.to("b", "dies", id=3)
        a.to("c", "in time", id=4, ttl=60000)
        b.hears(3), c.hear()
        self.d.crash()
        relay = self.channel("b")["relay"]
        self.assertIn(relay["open"], (2, 3))
        b.to("a", "yes", re=1)
        b.to("a", "once more", re=1)
        self.assertEqual(sorted((m["re"], m.get("msg", m.get("err"))) for m in a.hears(2)), [(1, "yes"), (2, "ETIMEDOUT")])
        b.to("a", "too late", re=2)
        self.d.crash()
        c.to("a", "yes", re=4)
        self.assertEqual(a.hear(), {"from": "c", "re": 4, "msg": "yes"})
        self.d.stop("b")
        self.assertEqual(a.hear(), {"from": "$", "re": 3, "err": "ECONNRESET", "to": "b"})
        self.assertTrue(a.silent())

    def test_requests_that_are_lost_bounce(self):
        """Those that waited in its hands, and one that waited with its sender."""
        self.play("a", ("b", "ipc_queue_messages=40\nipc_wait=50s"))
        a, b = self.actors("a", "b")
        n = 0
        while not self.channel("a")["relay"]["waiting"]:
            line = json.dumps({"to": "b", "msg": "x" * 5000, "id": n}).encode() + b"\n"
            sent = a.raw(line, 0)
            rest = line[sent:]
            n += 1
            if rest:
                break
        procs.wait_until(lambda: self.channel("a")["relay"]["waiting"], "the sender to wait")
        received = self.channel("a")["received"]
        self.d.crash()
        lost = self.channel("b")["lost"]
        self.assertGreater(lost, 30)
        bounced = a.hears(lost + 1)
        first = received - lost - 1
        self.assertEqual(bounced, [{"from": "$", "re": first + i, "err": "EHOSTDOWN", "to": "b"} for i in range(lost)] +
                         [{"from": "$", "re": received - 1, "err": "EHOSTDOWN"}])
        self.assertEqual([m["id"] for m in b.hears(first)], list(range(first)))
        a.raw(rest)
        for i in range(received, n):
            self.assertEqual(b.hear()["id"], i)
        for i in [*range(first), *range(received, n)]:
            b.to("a", "done", re=i)
            self.assertEqual(a.hear()["re"], i)
        self.assertTrue(a.silent())

    def test_what_was_cancelled_moves_the_rest_up(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        n = 0
        while self.channel("b")["queued"] <= 5:  # its socket is full
            a.to("b", "x" * 20000, id=n)
            n += 1
            procs.wait_until(lambda: self.channel("a")["received"] == n, "it to be routed")
        for i in range(1000, 1020):
            a.to("b", "late", id=i, ttl=400)
        for i in range(2000, 2010):
            a.to("b", "last", id=i)
        self.assertEqual(sorted(m["re"] for m in a.hears(20)), list(range(1000, 1020)))
        self.assertEqual([m["id"] for m in b.hears(n)], list(range(n)))
        procs.wait_until(lambda: self.channel("b")["queued"] == 0, "all of them to be in its socket")
        self.d.crash()
        for i in range(2000, 2010):
            self.assertEqual(b.hear()["id"], i)
            b.to("a", "done", re=i)
            self.assertEqual(a.hear(), {"from": "b", "re": i, "msg": "done"})
        self.assertTrue(a.silent())

    def test_acknowledgements_that_are_owed(self):
        self.play("a", "b", "c")
        a, b, c = self.actors("a", "b", "c")
        while self.channel("b")["queued"] <= 5:
            for _ in range(10):
                a.to("b", "x" * 20000)
        a.to(["b", "c"], "both", id=1, ack=True)
        a.to("b", "one", id=2, ack=True)
        a.to("c", "one", id=3, ack=True)
        self.assertEqual(a.hear(), {"from": "$", "re": 3, "ok": 1})
        self.d.crash()
        self.assertEqual(a.hear(), {"from": "$", "re": 1, "ok": 1, "fail": {"b": "EHOSTDOWN"}})
        self.assertEqual(a.hear(), {"from": "$", "re": 2, "err": "EHOSTDOWN", "to": "b"})
        self.assertEqual([m["msg"] for m in c.hears(2)], ["both", "one"])
        self.assertTrue(a.silent())

    def test_ends_that_are_lost_are_told_again(self):
        """They waited for one who does not read."""
        self.play("a", "b")
        a, b = self.actors("a", "b")
        for n in range(20):
            a.to("b", "q", id=n)
        b.hears(20)
        while self.channel("a")["queued"] <= 5:
            for _ in range(10):
                b.to("a", "x" * 20000)
        a.to("nobody", "q", id=100)
        for n in range(20):
            b.to("a", "answer", re=n)
        a.to("nobody", "q", id=101)
        procs.wait_until(lambda: self.channel("b")["relay"]["open"] == 0 and self.channel("a")["received"] == 22, "all ends")
        self.d.crash()
        heard = []
        while len(heard) < 22:
            m = a.hear()
            heard += [(m["re"], m["err"])] if "re" in m else []
        self.assertEqual(sorted(heard), [(n, "ECONNRESET") for n in range(20)] + [(100, "ENOENT"), (101, "ENOENT")])
        self.assertTrue(a.silent())

    def test_last_words_are_for_all(self):
        """Of one that ended while there was no supervisor, to one that is looked at later."""
        self.play("b", ("z", "priority=1000"))
        b, z = self.actors("b", "z")
        z.to("b", 1, id=1)
        z.to("b", 2, id=2)
        b.hears(2)
        pid, supervisor = self.d.pid_of("b"), self.d.supervisor
        procs.freeze(supervisor)
        b.to("z", "late", re=1)
        os.kill(pid, 9)
        self.d.crash()
        self.assertEqual(z.hear(), {"from": "b", "re": 1, "msg": "late"})
        self.assertEqual(z.hear(), {"from": "$", "re": 2, "err": "ECONNRESET", "to": "b"})

    def test_over_an_upgrade(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.to("b", "dies", id=1)
        b.hear()
        subprocess.run([drover.DROVERCTL, "-s", "unix://" + self.d.socket, "upgrade"], check=True, capture_output=True)
        self.d.stop("b")
        self.assertEqual(a.hear(), {"from": "$", "re": 1, "err": "ECONNRESET", "to": "b"})


if __name__ == "__main__":
    unittest.main()
