"""timeout and timeout_signal: the longest run of a program."""
import unittest

import drover
import procs

STUBBORN = "sh -c 'trap \"echo got it\" TERM INT; echo ready; while :; do sleep 0.05; done'"


class Timeout(drover.TestCase):
    def test_it_ends_and_is_unexpected(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
            timeout=200ms
            timeout_signal=INT
            autorestart=false
            exitcodes=0,INT
        """, native=True)
        e = d.wait_event("exit", "a")
        self.assertEqual((e["signal"], e["timeout"], e["expected"]), ("SIGINT", True, False))
        p = d.wait_state("a", "EXITED")
        self.assertTrue(p["exit"]["timeout"])
        why = d.get(d.process_path("a", "/why")).json["because"]
        self.assertIn("terminated by SIGINT, after its timeout", why[0])
        self.assertIn("has run for its timeout; it gets SIGINT", d.log())

    def test_each_run_has_a_timeout_of_its_own(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
            timeout=100ms
            restart_interval=0
        """, native=True)
        for e in d.wait_events(3, "exit", "a"):
            self.assertEqual((e["signal"], e["timeout"]), ("SIGTERM", True))

    def test_one_that_ends_in_time_is_not_late(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "exit 0"
            startsecs=0
            timeout=1h
        """, native=True)
        e = d.wait_event("exit", "a")
        self.assertEqual((e["status"], e["timeout"], e["expected"]), (0, False, True))
        d.wait_state("a", "EXITED")

    @drover.slow(120)
    def test_the_ladder_follows(self):
        program = """
            [program:%s]
            command=%s
            startsecs=0
            timeout=%s
            stopwaitsecs=100ms
            stopsignal=INT:100ms, KILL
            autorestart=false
            killasgroup=true
            stdout_logfile=%%(here)s/out
        """
        d = self.daemon("", native=True)
        for name, timeout in ("a", "200ms"), ("b", "2s"), ("c", "20s"):  # until it is ready before it is over
            d.update(program % (name, STUBBORN, timeout))
            pid = d.wait_event("spawn", name)["pid"]
            e = d.wait_event("exit", name, timeout=40)
            if procs.read(self.path("out")):
                break
        self.assertEqual((e["pid"], e["signal"], e["timeout"]), (pid, "SIGKILL", True))
        self.assertEqual([line.rsplit(" ", 1)[1] for line in d.log().splitlines()
                          if "'%s' (%d) has run for its timeout" % (name, pid) in line], ["SIGTERM", "SIGINT", "SIGKILL"])

    def test_why_says_when(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
            timeout=1h
        """, native=True)
        pid = d.wait_state("a", "RUNNING")["pid"]
        self.assertIn("reaches its timeout in", d.get(d.process_path("a", "/why")).json["because"][-1])
        d.stop("a")
        procs.wait_gone(pid)
        self.assertFalse(d.info("a")["exit"]["timeout"])


if __name__ == "__main__":
    unittest.main()
