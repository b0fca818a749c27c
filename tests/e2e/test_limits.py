"""What runs out, or comes too often: descriptors of the daemon, signals, and restarts."""
import os
import resource
import signal
import textwrap
import time

import client
import drover
import procs


def limit_descriptors(d, soft):
    """Of the running daemon; what is open beyond it stays open."""
    resource.prlimit(d.supervisor, resource.RLIMIT_NOFILE,
                     (soft, resource.prlimit(d.supervisor, resource.RLIMIT_NOFILE)[1]))


class Descriptors(drover.TestCase):
    CONFIG = textwrap.dedent("""
        [program:p]
        command=sleep 1000
        process_name=%(process_num)02d
        numprocs=40
        autostart=false
        startsecs=0
    """)

    def starve(self):
        """A daemon with forty programs to start and descriptors for a few of them."""
        d = self.daemon(self.CONFIG)
        d.events  # this stream and the one connection are there before it becomes scarce
        before = d.get("/v1/daemon").json
        low = [fd for fd in procs.descriptors(d.supervisor) if fd < 256]  # it moves those that stay out of their way
        limit_descriptors(d, max(low) + 40)
        d.act("start", "p:*", wait=0)
        procs.wait_until(lambda: "start waits" in d.log() and self.counts(d)["RUNNING"] > 0, "some to run, some to wait")
        return d, before

    def counts(self, d):
        return d.get("/v1/daemon").json["states"]

    def test_starts_wait_and_go_on_later(self):
        d, _ = self.starve()
        states = self.counts(d)
        self.assertGreater(states["STARTING"], 0)
        self.assertEqual((states["FATAL"], states["EXITED"], states["BACKOFF"]), (0, 0, 0))  # none of them is to blame
        limit_descriptors(d, 1024)
        d.wait_all("RUNNING")
        self.assertLessEqual(d.log().count("start waits"), 40)  # said once of each
        self.assertEqual({p["tries"] for p in d.all().values()}, {0})

    def test_what_is_given_back_is_used(self):
        d, _ = self.starve()
        running = [name for name, p in d.all().items() if p["statename"] == "RUNNING"]
        waiting = [name for name, p in d.all().items() if p["statename"] != "RUNNING"]
        for name in running:
            d.deed("stop", name)
        procs.wait_until(lambda: any(d.info(name)["statename"] == "RUNNING" for name in waiting),
                         "one of those that waited to run")

    def test_control_lives_and_nothing_spins(self):
        asked = time.monotonic()
        d, before = self.starve()
        # one finds out for all, ten times a second, but for the eight that are begun with the first one or, when one has
        # found enough because others have closed what only their start needs, after that
        self.assertLess(d.log().count("start waits"), 9 * (2 + 10 * (time.monotonic() - asked)))
        self.twin(d)
        turns = d.get("/v1/daemon").json["loop_turns"]
        began = time.monotonic()
        mark = d.mark()
        procs.wait_until(lambda: time.monotonic() - began > 2, "two seconds to pass")  # a rate needs a time
        turned = d.get("/v1/daemon").json["loop_turns"] - turns
        seconds = time.monotonic() - began
        self.assertGreater(40 - self.counts(d)["RUNNING"], 10)
        self.assertLess(turned / seconds, 60)
        self.check_prompt(d)
        self.assertEqual(d.get("/v1/processes").status, 200)
        if not drover.SAN:  # a sanitizer keeps what is freed
            self.assertLess(d.get("/v1/daemon").json["memory"] - before["memory"], 1024 * 1024)
        self.assertGreaterEqual(d.mark(), mark)

    def test_who_cannot_be_taken_in_is_told_and_nothing_spins(self):
        d = self.daemon("[program:a]\ncommand=sleep 1000\nstartsecs=0\n")
        d.wait_state("a", "RUNNING")  # and what its start had open is closed
        d.get("/v1/daemon")
        procs.wait_asleep(d.pid, d.supervisor)
        taken = procs.descriptors(d.supervisor)
        limit_descriptors(d, min(n for n in range(1024) if n not in taken))
        turns = d.get("/v1/daemon").json["loop_turns"]
        for _ in range(30):
            c = client.Client(d.socket)
            try:
                self.assertEqual(c.get("/v1/daemon").status, 503)
            except (ConnectionError, client.http.client.HTTPException):
                pass  # or cut off before it had said what it wants
            c.close()
        self.assertLess(d.get("/v1/daemon").json["loop_turns"] - turns, 300)
        limit_descriptors(d, 1024)
        procs.wait_until(lambda: client.Client(d.socket).get("/v1/daemon").status == 200, "a place for others")


class Signals(drover.TestCase):
    CONFIG = textwrap.dedent("""
        [program:a]
        command=sleep 1000
        startsecs=0
    """)

    def storm(self, d, sig, n=100000):
        """That many signals; the seconds that it took."""
        began = time.monotonic()
        pid, kill = d.pid, os.kill
        for _ in range(n):
            kill(pid, sig)
        return time.monotonic() - began

    def test_a_hundred_thousand_hups_are_a_few_reloads(self):
        d = self.daemon(self.CONFIG, native=True)
        d.wait_state("a", "RUNNING")
        pid = d.pid_of("a")
        memory = d.get("/v1/daemon").json["memory"]
        seconds = self.storm(d, signal.SIGHUP)
        d.configure(self.CONFIG + "[program:last]\ncommand=sleep 1000\nstartsecs=0\n")
        d.kill(signal.SIGHUP)
        d.wait_state("last", "RUNNING")  # the last one is not lost among the others
        self.assertLessEqual(d.log().count("reloaded:"), seconds / 0.25 + 3)
        self.assertLess(d.log().count("SIGHUP"), 2 * seconds / 0.25 + 6)
        self.assertEqual(d.pid_of("a"), pid)
        self.check_prompt(d)
        if not drover.SAN:
            self.assertLess(d.get("/v1/daemon").json["memory"] - memory, 1024 * 1024)

    def test_a_hundred_thousand_usr2_are_a_few_reopenings(self):
        d = self.daemon(self.CONFIG)
        d.wait_state("a", "RUNNING")
        seconds = self.storm(d, signal.SIGUSR2)
        os.rename(self.path("log"), self.path("log.old"))
        d.kill(signal.SIGUSR2)
        procs.wait_until(lambda: os.path.exists(self.path("log")), "the log to be opened anew")
        text = procs.read(self.path("log.old")).decode()
        self.assertLess(text.count("SIGUSR2"), 2 * seconds / 0.25 + 6)
        self.assertEqual(d.get("/v1/daemon").json["statename"], "RUNNING")

    @drover.slow(120)
    def test_one_alone_is_heeded_at_once(self):
        """And not after the quarter of a second that others have to wait; the best of some, for a busy machine."""
        d = self.daemon(self.CONFIG, native=True)
        d.wait_state("a", "RUNNING")
        for i in range(20):
            alone = time.monotonic() + 0.5
            procs.wait_until(lambda: time.monotonic() > alone, "a time without signals")
            began = time.monotonic()
            d.configure(self.CONFIG + "[program:b%d]\ncommand=sleep 1000\nstartsecs=0\n" % i)
            d.kill(signal.SIGHUP)
            d.wait_state("b%d" % i, "RUNNING")
            seconds = time.monotonic() - began
            if seconds < 0.25:
                return
        self.fail("the last of many took %g s" % seconds)

    def test_the_next_ones_are_heeded_too(self):
        d = self.daemon(self.CONFIG, native=True)
        d.wait_state("a", "RUNNING")
        for i in range(3):
            d.configure(self.CONFIG + "[program:b%d]\ncommand=sleep 1000\nstartsecs=0\n" % i)
            d.kill(signal.SIGHUP)
            d.wait_state("b%d" % i, "RUNNING")

    def test_hup_during_an_update_is_heeded_when_that_is_over(self):
        stubborn = textwrap.dedent("""
            [program:s]
            command=sh -c "trap '' TERM; echo up; until test -e go; do sleep 0.01; done"
            directory=%(here)s
            stopwaitsecs=60
            startsecs=0
        """)
        d = self.daemon(self.CONFIG + stubborn, native=True)
        d.wait_output("s", "up")
        d.configure(self.CONFIG)
        d.kill(signal.SIGHUP)
        d.wait_state("s", "STOPPING")
        d.configure(self.CONFIG + "[program:later]\ncommand=sleep 1000\nstartsecs=0\n")
        d.kill(signal.SIGHUP)
        procs.wait_until(lambda: d.log().count("SIGHUP") == 2, "the second signal to be heard")
        self.write("go", "")
        d.wait_state("later", "RUNNING")
        self.assertEqual(sorted(d.all()), ["a:a", "later:later"])

    def test_term_is_heard_in_a_storm(self):
        d = self.daemon(self.CONFIG, native=True)
        d.wait_state("a", "RUNNING")
        self.storm(d, signal.SIGHUP, 20000)
        d.kill(signal.SIGTERM)
        self.assertEqual(d.wait_exit(), 0)


class Restarts(drover.TestCase):
    def test_twenty_without_a_pause_keep_nobody_waiting(self):
        d = self.daemon("""
            [program:loop]
            command=true
            process_name=%(process_num)d
            numprocs=20
            autostart=false
            autorestart=true
            startsecs=0
            restart_interval=0
        """)
        self.twin(d)
        d.post("/v1/processes/loop:*/start?wait=0")
        procs.wait_until(lambda: d.info("loop:0")["restarts"] > 5, "some restarts")
        before = d.get("/v1/daemon").json["starts"]
        if not drover.SAN:  # whose memory a start copies, for milliseconds
            self.check_prompt(d)
        procs.wait_until(lambda: d.get("/v1/daemon").json["starts"] > before + 20, "them to go on meanwhile")
        before = min(p["restarts"] for p in d.all().values())
        procs.wait_until(lambda: min(p["restarts"] for p in d.all().values()) > before, "each one's turn")
