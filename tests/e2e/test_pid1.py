"""The daemon as PID 1 of a container: a pid namespace of its own, with its own /proc."""
import os
import signal

import drover
import procs


class Pid1(drover.TestCase):
    def container(self, config, **options):
        """A daemon that is PID 1; .kill() speaks to it, and the exit status of unshare is its own."""
        self.needs_root()
        unshare = self.needs("unshare")
        wrapper = self.write("as-pid-1", "#!/bin/sh\nexec %s --fork --kill-child --pid --mount-proc %s \"$@\"\n" %
                             (unshare, drover.DROVERD), 0o755)
        d = self.daemon(config, native=True, program=wrapper, **options)
        self.assertEqual(d.get("/v1/daemon").json["pid"], 1)
        d.inside, = procs.children(d.process.pid)
        d.kill = lambda sig=signal.SIGTERM: os.kill(d.inside, sig)
        return d

    def zombies(self, d):
        return [pid for pid in procs.children(d.inside) if (procs.stat(pid) or "X")[0] == "Z"]

    @drover.slow(180)
    def test_reaps_a_thousand_that_are_not_its_own(self):
        script = self.write("orphans.py", """\
            import os, signal
            read, write = os.pipe()
            for i in range(10):
                pid = os.fork()
                if pid == 0:
                    for n in range(100):
                        if os.fork() == 0:  # this one loses its parent, and ends when all have lost theirs
                            os.close(write)
                            os.read(read, 1)
                            os._exit(n)
                    os._exit(0)
                os.waitpid(pid, 0)
            print("all there", flush=True)
            os.close(write)
            signal.pause()
        """)
        d = self.container("""
            [program:parent]
            command=python3 -S %s
            startsecs=0
            [program:other]
            command=sleep 1000
            startsecs=0
        """ % script)
        d.wait_all("RUNNING")
        d.wait_output("parent", "all there", timeout=80)
        procs.wait_until(lambda: d.log().count("reaped unknown pid") == 1000, "a thousand to be reaped", 80)
        self.assertEqual(self.zombies(d), [])
        self.assertEqual(len(procs.children(procs.supervisor(d.inside))), 2)
        self.assertEqual({p["statename"] for p in d.all().values()}, {"RUNNING"})

    def test_term_stops_all_in_order(self):
        program = """
            [program:%s]
            command=sh -c "trap 'echo %s >> %s; exit 0' TERM; echo up; while :; do sleep 0.01; done"
            priority=%d
        """
        order = self.path("order")
        d = self.container("".join(program % (name, name, order, priority)
                                   for name, priority in (("b", 2), ("a", 1), ("d", 4), ("c", 3))))
        for name in "abcd":
            d.wait_output(name, "up")
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        self.assertEqual(procs.read(order).split(), [b"d", b"c", b"b", b"a"])

    def exits_with(self, command, status, **keys):
        d = self.container("""
            [program:main]
            command=%s
            autorestart=false
            startsecs=0
            autostart=false
            [program:helper]
            command=sleep 1000
        """ % command, daemon="exit_with=main\n")
        d.expected_status = status
        d.wait_state("helper", "RUNNING")
        d.post(d.process_path("main", "/start"), wait=0)
        self.assertEqual(d.wait_exit(), status)

    def test_exit_with_a_status(self):
        self.exits_with("sh -c 'exit 37'", 37)

    def test_exit_with_a_signal(self):
        self.exits_with("sh -c 'kill -KILL $$'", 128 + 9)

    def test_what_got_away_does_not_outlive_the_container(self):
        d = self.container("""
            [program:p]
            command=sh -c "setsid sleep 1234 & echo $!; exec sleep 1000"
        """)
        d.wait_output("p", "\n")
        d.wait_state("p", "RUNNING")
        away, = procs.wait_until(lambda: [pid for pid in procs.descendants(d.inside)
                                          if procs.command_line(pid) == "sleep 1234"], "it to be a sleep")
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        self.assertFalse(procs.alive(away))

    def test_a_supervisor_that_is_killed_ends_neither_container_nor_programs(self):
        d = self.container("[program:p]\ncommand=sleep 1000\nstartsecs=0\n")
        before = d.wait_state("p", "RUNNING")["pid"]
        for n in range(1, 4):
            procs.kill_supervisor(d.inside)
            procs.wait_until(lambda number=n: d.get("/v1/daemon").json["recoveries"] == number, "another supervisor")
            self.assertEqual((d.get("/v1/daemon").json["pid"], d.pid_of("p")), (1, before))
        self.assertEqual(self.zombies(d), [])
        d.kill()
        self.assertEqual(d.wait_exit(), 0)

    def test_upgraded_it_is_still_pid_1(self):
        d = self.container("[program:p]\ncommand=sleep 1000\nstartsecs=0\n")
        before = d.wait_state("p", "RUNNING")["pid"]
        self.assertEqual(d.post("/v1/daemon/upgrade").json, {"ok": True})
        procs.wait_until(lambda: "where another has left off" in d.log(), "another supervisor")
        self.assertEqual((d.get("/v1/daemon").json["pid"], d.pid_of("p")), (1, before))

    def test_signals_that_nobody_asked_for_do_not_end_it(self):
        d = self.container("[program:p]\ncommand=sleep 1000\nstartsecs=0\n")
        d.wait_state("p", "RUNNING")
        for sig in (signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE, signal.SIGWINCH, signal.SIGCONT):
            d.kill(sig)
        self.assertEqual(d.get("/v1/daemon").json["pid"], 1)
