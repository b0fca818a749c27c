"""Reading what processes print, and writing to them: tail, follow, clear, the daemon's log, stdin."""
import time
import unittest

import drover
import procs


class Tail(drover.TestCase):
    def printed(self, text="0123456789" * 300):
        self.write("text", text)
        d = self.daemon("""
            [program:a]
            command=cat %(here)s/text
            startsecs=0
            stdout_logfile=%(here)s/out
        """)
        d.wait_event("close", "a")
        return d, d.process_path("a", "/log"), text.encode()

    def test_parts(self):
        d, path, text = self.printed()
        for parameters, expected in (({}, text[-1600:]), ({"offset": 0}, text), ({"offset": -10}, text[-10:]),
                                     ({"offset": -99999}, text), ({"offset": 5, "length": 20}, text[5:25]),
                                     ({"offset": 2990, "length": 100}, text[2990:]), ({"offset": 5000}, b""),
                                     ({"offset": -100, "length": 30}, text[-100:-70])):
            with self.subTest(**parameters):
                reply = d.get(path, **parameters)
                self.assertEqual((reply.status, reply.body), (200, expected))
                self.assertEqual(reply.headers["Content-Type"], "application/octet-stream")

    def test_the_size_of_the_file(self):
        d, path, text = self.printed()
        self.assertEqual(d.get(path, offset=0, length=1).headers["X-Drover-Size"], str(len(text)))

    def test_refusals(self):
        d, path, _ = self.printed()
        for parameters, status, fault in (({"stream": "both"}, 400, "BAD_ARGUMENTS"),):
            reply = d.get(path, **parameters)
            self.assertEqual((reply.status, reply.error["fault"]), (status, fault))
        reply = d.get(d.process_path("nobody", "/log"))
        self.assertEqual((reply.status, reply.error["fault"]), (404, "BAD_NAME"))

    def test_before_the_first_start(self):
        d = self.daemon("""
            [program:a]
            command=cat
            autostart=false
            stdout_logfile=%(here)s/never
        """)
        self.assertEqual(d.get(d.process_path("a", "/log")).error["fault"], "NO_FILE")

    def test_clear(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "while read x; do echo $x; echo $x >&2; done"
            startsecs=0
            stdout_logfile=%(here)s/out
            stderr_logfile=%(here)s/err
        """)
        d.wait_state("a", "RUNNING")
        d.post(d.process_path("a", "/stdin"), b"before\n")
        d.wait_output("a", "before\n")
        d.wait_output("a", "before\n", stream="stderr")
        d.deed("clear", "a")
        self.assertEqual((d.output("a"), d.output("a", "stderr")), (b"", b""))
        d.post(d.process_path("a", "/stdin"), b"after\n")
        d.wait_output("a", "after\n")
        self.assertEqual(procs.read(self.path("out")), b"after\n")


class Follow(drover.TestCase):
    TALKER = """
        [program:a]
        command=sh -c "while read x; do echo $x; done; echo end"
        startsecs=0
        stdout_logfile=%(here)s/out
    """

    def test_what_is_there_and_what_comes(self):
        d = self.daemon(self.TALKER)
        d.wait_state("a", "RUNNING")
        say = lambda text: d.post(d.process_path("a", "/stdin"), text)  # noqa: E731
        say(b"one\n")
        d.wait_output("a", "one\n")
        s = d.client.stream(d.process_path("a", "/log"), follow=1, offset=0)
        self.assertEqual(s.until_text("one\n"), b"one\n")
        say(b"two\n")
        self.assertEqual(s.until_text("two\n"), b"one\ntwo\n")
        d.deed("restart", "a")
        say(b"three\n")
        s.until_text("three\n")
        s.close()

    def test_over_rotation(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "read go; seq -f 'line %%05g' 1 500"
            startsecs=0
            stdout_logfile=%(here)s/out
            stdout_logfile_maxbytes=1KB
            stdout_logfile_backups=1
        """)
        d.wait_state("a", "RUNNING")
        s = d.client.stream(d.process_path("a", "/log"), follow=1, offset=0)
        d.post(d.process_path("a", "/stdin"), b"go\n")
        data = s.until_text("line 00500\n")
        self.assertEqual(data.decode().splitlines(), ["line %05d" % i for i in range(1, 501)])
        s.close()

    def test_ends_with_its_process_group(self):
        d = self.daemon(self.TALKER)
        d.wait_state("a", "RUNNING")
        s = d.client.stream(d.process_path("a", "/log"), follow=1, offset=0)
        d.stop("a")
        d.post("/v1/groups/a/remove")
        s.until_end()
        s.close()

    def test_the_daemons_own_log(self):
        d = self.daemon(self.TALKER)
        d.wait_state("a", "RUNNING")
        s = d.client.stream("/v1/daemon/log", follow=1, offset=0)
        s.until_text("spawned: 'a'")
        d.stop("a")
        s.until_text("stopped: a")
        s.close()
        self.assertIn(b"stopped: a", d.get("/v1/daemon/log").body)
        self.assertEqual(d.post("/v1/daemon/log/clear").json, {"ok": True})
        self.assertNotIn(b"stopped: a", d.get("/v1/daemon/log").body)
        d.start("a")
        self.assertIn(b"spawned: 'a'", d.get("/v1/daemon/log").body)

    def test_a_reader_that_does_not_read_is_dropped_and_costs_little(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "read go; head -c 50000000 /dev/zero; echo; echo end >&2; exec sleep 1000"
            startsecs=0
            stdout_logfile=%(here)s/out
            stdout_logfile_maxbytes=0
        """)
        d.wait_state("a", "RUNNING")
        before = d.get("/v1/daemon").json["memory"]
        lazy = [d.client.stream(d.process_path("a", "/log"), follow=1, offset=0) for _ in range(5)]
        d.post(d.process_path("a", "/stdin"), b"go\n")
        d.wait_output("a", "end\n", stream="stderr")
        info = d.get("/v1/daemon").json
        if not drover.SAN:
            self.assertLess(info["memory"] - before, 16 << 20)
        for s in lazy:
            self.assertLess(len(s.until_end()), 8 << 20)
            s.close()
        procs.wait_until(lambda: d.get("/v1/daemon").json["connections"] <= 2, "the connections to be closed")


class Stdin(drover.TestCase):
    CAT = """
        [program:cat]
        command=cat
        startsecs=0
        autorestart=false
    """

    def test_text_and_end(self):
        d = self.daemon(self.CAT)
        d.wait_state("cat", "RUNNING")
        path = d.process_path("cat", "/stdin")
        self.assertEqual(d.post(path, "häßlich\n".encode()).json, {"ok": True})
        d.wait_output("cat", "häßlich\n")
        self.assertEqual(d.post(path, b"\0\1\2", eof=1).json, {"ok": True})
        self.assertEqual(d.wait_event("exit", "cat")["status"], 0)
        d.wait_event("close", "cat")
        self.assertEqual(d.output("cat"), "häßlich\n".encode() + b"\0\1\2")
        self.assertEqual(d.post(path, b"x").error["fault"], "NOT_RUNNING")

    def test_a_process_that_has_closed_it(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "exec <&-; echo ready; exec sleep 1000"
            startsecs=0
        """)
        d.wait_output("a", "ready\n")
        reply = d.post(d.process_path("a", "/stdin"), b"hello\n")
        self.assertEqual((reply.status, reply.error["fault"]), (404, "NO_FILE"))

    def test_refusals(self):
        d = self.daemon(self.CAT)
        for name in ("nobody", "cat:*", "*"):
            self.assertEqual(d.post(d.process_path(name, "/stdin"), b"x").error["fault"], "BAD_NAME")

    def test_one_that_does_not_read_is_bounded(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
        """)
        d.wait_state("a", "RUNNING")
        path, taken = d.process_path("a", "/stdin"), 0
        for _ in range(200):
            reply = d.post(path, b"x" * 60000)
            if reply.status != 200:
                break
            taken += 60000
        self.assertIn("does not read", reply.error["detail"])
        self.assertLess(taken, 4 << 20)
        d.stop("a")

    def test_much_at_the_readers_own_pace(self):
        d = self.daemon(self.CAT.replace("command=cat", "command=wc -c"))
        d.wait_state("cat", "RUNNING")
        for _ in range(60):
            deadline = time.monotonic() + 20
            while d.post(d.process_path("cat", "/stdin"), b"y" * 50000).status != 200:
                self.assertLess(time.monotonic(), deadline)
        d.post(d.process_path("cat", "/stdin"), b"", eof=1)
        d.wait_event("close", "cat")
        self.assertEqual(d.output("cat").strip(), b"3000000")


if __name__ == "__main__":
    unittest.main()
