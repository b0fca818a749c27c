"""Numbers in requests, as large as they can be written and larger."""
import json

import drover
import procs

LEAST, MOST = -2**63, 2**63 - 1
CONFIG = """
    [program:a]
    command=sh -c "echo said; echo more >&3; exec sleep 1000"
    startsecs=0
    stdio=pipe, pipe, pipe, pipe
"""


class Numbers(drover.TestCase):
    def test_a_part_of_a_log(self):
        d = self.daemon(CONFIG, native=True)
        path = d.process_path("a", "/log")
        for fd, text in (1, b"said\n"), (3, b"more\n"):
            procs.wait_until(lambda: d.get(path, fd=fd, offset=0).body == text, "what it prints")
            for offset, length, expected in ((LEAST, 0, text), (-MOST, 0, text), (LEAST, MOST, text), (MOST, MOST, b""),
                                             (-3, 2, text[-3:-1]), (1, LEAST, text[1:])):
                with self.subTest(fd=fd, offset=offset, length=length):
                    reply = d.get(path, fd=fd, offset=offset, length=length)
                    self.assertEqual((reply.status, reply.body), (200, expected))
        self.assertEqual(d.get("/v1/daemon").json["recoveries"], 0)

    def test_a_descriptor(self):
        d = self.daemon(CONFIG, native=True)
        answer = d.client.connect()
        answer.request("POST", "/v1/run", json.dumps({"command": "cat", "input": True}))
        records = answer.getresponse()
        head = records.readline().split()
        path = "/v1/run/%d/stdin" % json.loads(records.read(int(head[1])))["id"]
        for fd in (2**32, 2**32 + 3, 64, -1, LEAST, MOST):
            self.assertEqual(d.post(path, b"elsewhere", fd=fd).status, 400, fd)
            self.assertEqual(d.post(d.process_path("a", "/stdin"), b"elsewhere", fd=fd).status, 400, fd)
        self.assertEqual(d.post(path, b"here", fd=0, eof=1).status, 200)
        rest = records.read()
        answer.close()
        self.assertIn(b"\n1 4\nhere", rest)
        self.assertNotIn(b"elsewhere", rest)

    def test_a_time(self):
        d = self.daemon("[program:slow]\ncommand=sleep 1000\nautostart=false\nstartsecs=0.3\n")
        round_trip = pow(15625, -1, 2**58)  # so many seconds are 64 microseconds more than 2**64
        for timeout in (round_trip, MOST, LEAST):
            self.assertEqual(d.start("slow", timeout=timeout)["ok"], True, timeout)
            d.stop("slow", timeout=timeout)
