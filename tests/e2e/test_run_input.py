"""What a transient process reads: nothing, files, pipes, a terminal, pieces of a request."""
import os
import pty
import select
import socket
import subprocess
import unittest

import client
from runs import Raw, RunTestCase


class Input(RunTestCase):
    def test_none(self):
        self.assertEqual(self.ctl("cat", input=b"not for it").stdout, b"")

    def test_a_file(self):
        text = b"".join(b"%d\n" % i for i in range(100000))
        path = self.write("text", text)
        self.assertEqual(self.ctl("--input", path, "cat").stdout, text)
        self.assertEqual(self.ctl("--input", "/no/such", "cat").returncode, 125)

    def test_a_pipe(self):
        text = os.urandom(3 << 20)
        self.assertEqual(self.ctl("--input", "-", "cat", input=text).stdout, text)

    def test_it_need_not_be_read(self):
        r = self.ctl("--input", "-", "sh", "-c", "exec <&-; echo no; exit 2", input=b"x" * (1 << 20))
        self.assertEqual((r.returncode, r.stdout), (2, b"no\n"))

    def test_lines_and_the_end_of_a_pipe(self):
        p = self.start("--input", "-", "sh", "-c", "while read x; do echo got $x; done; echo end",
                       stdin=subprocess.PIPE)
        for word in ("one", "two"):
            p.stdin.write(word.encode() + b"\n")
            p.stdin.flush()
            self.assertEqual(self.line(p), "got " + word)
        p.stdin.close()
        self.assertEqual(self.line(p), "end")
        self.assertEqual(p.wait(20), 0)

    def test_a_terminal(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        p = self.start("--input", "-", "sh", "-c", "while read x; do echo got $x; done; echo end", stdin=theirs)
        os.close(theirs)
        os.write(ours, b"half")
        os.write(ours, b" line\n")
        self.assertEqual(self.line(p), "got half line")
        os.write(ours, b"\x04")
        self.assertEqual(self.line(p), "end")
        self.assertEqual(p.wait(20), 0)

    def test_in_the_request(self):
        s = Raw(self.d, {"command": ["cat"], "input": "text\n"})
        self.addCleanup(s.close)
        self.assertIn(b"1 5\ntext\n", s.rest())

    def test_a_job_that_does_not_read_makes_the_sender_wait(self):
        s = Raw(self.d, {"command": ["sleep", "100"], "input": True})
        self.addCleanup(s.close)
        s.wait(b"spawn")
        c = client.Client(self.d.socket)
        self.addCleanup(c.close)
        for _ in range(2):  # 64 KiB is what a pipe holds
            self.assertEqual(c.post("/v1/run/1/stdin", "x" * 32768).status, 200)
        others = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for other in others:
            self.addCleanup(other.close)
            other.connect(self.d.socket)
            other.sendall(b"POST /v1/run/1/stdin HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        (second,), _, _ = select.select(others, [], [], 20)
        self.assertIn(b"EBUSY", second.recv(4096))  # one piece at a time
        others.remove(second)
        self.assertEqual(c.post("/v1/run/1/stdin", "x", fd=5).status, 400)
        self.assertEqual(c.post("/v1/run/77/stdin", "x").status, 404)
        self.assertEqual(c.post("/v1/run/1/signal", {"signal": "KILL"}).status, 200)
        self.assertIn(b"EPIPE", others[0].recv(4096))


if __name__ == "__main__":
    unittest.main()
