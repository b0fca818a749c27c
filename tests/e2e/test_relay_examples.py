"""The examples of messages between programs, as they are."""
import os
import shutil
import signal
import socket
import unittest

import drover
import procs

EXAMPLES = os.path.join(drover.ROOT, "conf", "examples")


class Examples(drover.TestCase):
    def example(self, name):
        for f in os.listdir(os.path.join(EXAMPLES, name)):
            shutil.copy(os.path.join(EXAMPLES, name, f), self.directory)
        text = procs.read(self.path("drover.conf")).decode().replace("%(here)s/drover.sock", "%(here)s/s")
        d = self.daemon(text, whole=True, wait=False)
        d.wait_ready()
        d.events
        return d

    def kept(self, d, process):
        """What it has sent so far; the daemon keeps that."""
        return [m["message"] for m in d.get(d.process_path(process, "/messages")).lines]

    def message(self, d, process, key):
        return procs.wait_until(lambda: next((m for m in self.kept(d, process) if key in m), None),
                                "%s of %s" % (key, process))

    def test_queue(self):
        d = self.example("queue")
        d.wait_state("worker:worker_0", "RUNNING")
        os.kill(d.pid_of("worker:worker_0"), signal.SIGKILL)
        told = self.message(d, "producer", "done")
        self.assertEqual((told["done"], sum(told["by"].values())), (100, 100))
        self.assertLessEqual(set(told["by"]), {"worker:worker_%d" % i for i in range(4)})

    def test_ring(self):
        """Each language on to the next: Node, Python, C, sh."""
        d = self.example("ring")
        for name in ("node", "python", "c", "sh"):
            d.wait_state(name, "RUNNING", timeout=60)
        d.post(d.process_path("node", "/message"), b'"go"')
        self.assertEqual(self.message(d, "node", "round")["round"], "node > python > c > sh > node")

    def greet(self, port, name):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.sendall(b"%s\nhello\n" % name.encode())
            s.shutdown(socket.SHUT_WR)
            return s.makefile().read()

    def test_sticky(self):
        d = self.example("sticky")
        for name in ("one", "two", "three"):
            d.wait_state("workers:" + name, "RUNNING")
        port = self.message(d, "acceptor", "listening")["listening"]
        names = ["alice", "bob", "carol", "dave", "erin", "frank"]
        first = {name: self.greet(port, name) for name in names}
        for name in names:
            self.assertRegex(first[name], "^(one|two|three) greets %s, who said hello\n$" % name)
            self.assertEqual(self.greet(port, name), first[name])
        self.assertEqual({said.split()[0] for said in first.values()}, {"one", "two", "three"})

    def test_broadcast(self):
        d = self.example("broadcast")
        reached = self.message(d, "speaker", "reached")
        for name in ("node", "python", "sh"):
            heard = procs.wait_until(
                lambda: [m for m in self.kept(d, "listeners:" + name) if m.get("news") == reached["after"]], name)
            self.assertEqual((heard[0][name], heard[0]["from"]), ("has heard", "speaker"))


if __name__ == "__main__":
    unittest.main()
