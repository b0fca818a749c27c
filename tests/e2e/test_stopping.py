"""Stopping: the ladder of signals, process groups, order by priority, groups and globs."""
import json
import os
import signal
import unittest

import drover
import procs

# Records each signal that it gets; ends on the one that its second argument names.
RECORDER = """\
import os, signal, sys
def got(number, frame):
    name = signal.Signals(number).name[3:]
    os.write(1, name.encode() + b"\\n")
    if name in sys.argv[1:]:
        os._exit(0)
for name in "HUP INT QUIT TERM USR1 USR2".split():
    signal.signal(getattr(signal, "SIG" + name), got)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""

# Leaves two children of its own in its process group.
FAMILY = """\
#!/bin/sh
%s
sleep 1001 & echo $!
sleep 1002 & echo $!
echo ready
wait
wait
"""


class Ladder(drover.TestCase):
    RECORD = """
[program:a]
command=python3 %%(here)s/recorder.py %s
startsecs=0
%s
"""

    def recorder(self, settings, *ends_on):
        self.write("recorder.py", RECORDER)
        d = self.daemon(self.RECORD % (" ".join(ends_on), settings))
        d.wait_output("a", "ready")
        return d

    def stopped(self, said, settings, *ends_on, least=0):
        """A recorder that has been stopped, and has said that.  What comes within some time takes as long as the
        machine takes: with steps of 150 ms, and of ten and a hundred times as much where that is too fast for it."""
        d = self.recorder(settings.format("150ms"), *ends_on)
        d.stop("a")
        for longer in "1500ms", "15s":
            if d.output("a") == said and self.took(d) >= least:
                break
            d.update("[program:other]\ncommand=sleep 1000\nautostart=false\n")
            d.update(self.RECORD % (" ".join(ends_on), settings.format(longer)))
            d.wait_output("a", "ready")
            d.stop("a")
        self.assertEqual(d.output("a"), said)
        self.assertGreaterEqual(self.took(d), least)
        return d

    def took(self, d):
        """Seconds from the last stop to the end."""
        stopping = [e for e in d.history("a", "state") if e["to"] == "STOPPING"][-1]
        return d.history("a", "exit")[-1]["time"] - stopping["time"]

    @drover.slow(120)
    def test_a_ladder_climbs_until_the_process_ends(self):
        d = self.stopped(b"ready\nTERM\nINT\nQUIT\n", "stopsignal=TERM:{0}, INT:{0}, QUIT:{0}, KILL", least=0.44)
        self.assertEqual(d.history("a", "exit")[-1]["signal"], "SIGKILL")

    @drover.slow(120)
    def test_a_ladder_ends_early_when_the_process_does(self):
        d = self.stopped(b"ready\nTERM\nINT\n", "stopsignal=TERM:{0}, INT:600, KILL", "INT")
        self.assertEqual(d.info("a")["exit"]["status"], 0)

    @drover.slow(120)
    def test_stopwaitsecs_and_then_kill(self):
        d = self.stopped(b"ready\nTERM\n", "stopwaitsecs={0}")
        self.assertEqual(d.info("a")["exit"]["signal"], "SIGKILL")
        self.assertIn("killing 'a'", d.log())

    def test_every_stop_signal(self):
        for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2"):
            with self.subTest(name):
                d = self.recorder("stopsignal=" + name, name)
                d.stop("a")
                self.assertEqual(d.output("a"), ("ready\n%s\n" % name).encode())
                self.assertEqual(d.info("a")["statename"], "STOPPED")
                d.kill()
                d.wait_exit()

    def test_signals_by_the_operator(self):
        d = self.recorder("")
        before = d.pid_of("a")
        for given in ("HUP", "SIGUSR1", str(int(signal.SIGUSR2))):
            d.deed("signal", "a", {"signal": given})
            d.wait_output("a", signal.Signals(
                int(given) if given.isdigit() else getattr(signal, "SIG" + given.replace("SIG", ""))).name[3:])
        self.assertEqual(d.output("a"), b"ready\nHUP\nUSR1\nUSR2\n")
        self.assertEqual(d.info("a")["statename"], "RUNNING")
        self.assertEqual(d.refusal("signal", "a", {"signal": "NOSUCH"})["fault"], "BAD_SIGNAL")
        self.assertEqual(d.pid_of("a"), before)
        d.deed("signal", "a", {"signal": "KILL"})
        exit = d.wait_event("exit", "a")
        d.wait_event("state", "a", after=exit["seq"], to="RUNNING")  # a death by signal is unexpected

    def test_stop_while_starting(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=60
        """)
        d.wait_event("spawn", "a")
        d.stop("a")
        self.assertEqual(self.states_of(d.history("a")), ["STARTING", "STOPPING", "STOPPED"])

    def test_start_asked_for_while_stopping_is_not_lost(self):
        d = self.recorder("stopwaitsecs=600")
        before = d.pid_of("a")
        d.act("stop", "a", wait=0)
        d.wait_state("a", "STOPPING")
        start = d.client.connect()
        start.request("POST", d.process_path("a", "/start"), body=b"")
        procs.wait_until(lambda: d.info("a")["wanted"], "it to be wanted again")
        self.assertEqual(d.info("a")["statename"], "STOPPING")
        os.kill(before, signal.SIGKILL)
        self.assertIn(b'"ok":true', start.getresponse().read())
        start.close()
        self.assertNotEqual(d.pid_of("a"), before)
        self.assertEqual(self.states_of(d.history("a"))[2:], ["STOPPING", "STOPPED", "STARTING", "RUNNING"])

    def test_a_stopped_process_stays_stopped(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
            autorestart=true
        """)
        d.wait_state("a", "RUNNING")
        d.stop("a")
        p = d.info("a")
        self.assertEqual((p["statename"], p["wanted"], p["pid"]), ("STOPPED", False, 0))
        self.assertEqual(len(d.history("a", "spawn")), 1)

    def test_a_process_halted_by_sigstop_is_killed(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"
            startsecs=0
            stopwaitsecs=100ms
            stopasgroup=true
        """)
        d.wait_output("a", "ready")
        procs.freeze(d.pid_of("a"))
        d.stop("a")
        self.assertEqual(d.info("a")["exit"]["signal"], "SIGKILL")


class Families(drover.TestCase):
    def family(self, settings, trap=""):
        self.write("family", FAMILY % trap, 0o755)
        d = self.daemon("""
[program:a]
command=%%(here)s/family
startsecs=0
%s
""" % settings)
        lines = d.wait_output("a", "ready").split()
        return d, [int(x) for x in lines[:2]]

    def test_without_a_group_only_the_process_itself_is_signalled(self):
        d, grandchildren = self.family("")
        d.stop("a")
        self.assertTrue(all(procs.alive(pid) for pid in grandchildren))
        for pid in grandchildren:
            os.kill(pid, signal.SIGKILL)
            procs.wait_gone(pid)

    def test_stopasgroup_reaches_the_grandchildren(self):
        d, grandchildren = self.family("stopasgroup=true")
        d.stop("a")
        for pid in grandchildren:
            procs.wait_gone(pid)
        self.assertEqual(d.info("a")["exit"]["signal"], "SIGTERM")

    def test_killasgroup_reaches_those_that_ignore_the_stop(self):
        d, grandchildren = self.family("stopasgroup=false\nkillasgroup=true\nstopwaitsecs=200ms", "trap '' TERM")
        d.stop("a")
        for pid in grandchildren:
            procs.wait_gone(pid)
        self.assertEqual(d.info("a")["exit"]["signal"], "SIGKILL")


class Order(drover.TestCase):
    PROGRAMS = """
        [program:third]
        command=sleep 1000
        priority=30
        startsecs=0
        [program:first]
        command=sleep 1000
        priority=-10
        startsecs=0
        [program:second]
        command=sh -c "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"
        priority=20
        startsecs=0
    """

    def test_low_priorities_start_first_and_stop_last(self):
        d = self.daemon(self.PROGRAMS)
        d.wait_all("RUNNING", ["first", "second", "third"])
        d.wait_output("second", "ready")
        starting = [e["process"] for e in d.events.list if e["event"] == "state" and e["to"] == "STARTING"]
        self.assertEqual(starting, ["first:first", "second:second", "third:third"])
        d.kill()
        events = d.events.until_end()
        ending = [(e["process"].split(":")[0], e["to"]) for e in events
                  if e["event"] == "state" and e["to"] in ("STOPPING", "STOPPED")]
        self.assertEqual(ending, [(name, state) for name in ("third", "second", "first")
                                  for state in ("STOPPING", "STOPPED")])
        self.assertEqual(d.wait_exit(), 0)

    def test_equal_priorities_stop_together(self):
        """Four processes that each take a while need that while once."""
        d = self.daemon("""
            [program:w]
            command=sh -c "trap 'sleep 0.5; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
            numprocs=4
            process_name=%(program_name)s_%(process_num)d
            startsecs=0
        """)
        for i in range(4):
            d.wait_output("w:w_%d" % i, "ready")
        d.events.take()
        d.kill()
        states = [e["to"] for e in d.events.until_end() if e["event"] == "state"]
        self.assertEqual(states[-8:], ["STOPPING"] * 4 + ["STOPPED"] * 4)


class Groups(drover.TestCase):
    CONFIG = """
        [program:web]
        command=sleep 1000
        numprocs=3
        process_name=%(program_name)s_%(process_num)02d
        startsecs=0
        [program:queue]
        command=sleep 1000
        startsecs=0
        [program:mail]
        command=sleep 1000
        startsecs=0
        [group:site]
        programs=queue,mail
    """

    def test_names(self):
        d = self.daemon(self.CONFIG)
        self.assertEqual(list(d.all()), ["site:mail", "site:queue", "web:web_00", "web:web_01", "web:web_02"])

    def test_a_group_is_addressed_as_one(self):
        d = self.daemon(self.CONFIG)
        d.wait_all("RUNNING")
        before = d.pids()
        self.assertEqual(sorted(r["process"] for r in d.act("stop", "site:*")), ["site:mail", "site:queue"])
        states = {name: p["statename"] for name, p in d.all().items()}
        self.assertEqual(states, {"site:mail": "STOPPED", "site:queue": "STOPPED", "web:web_00": "RUNNING",
                                  "web:web_01": "RUNNING", "web:web_02": "RUNNING"})
        self.assertEqual([r["process"] for r in d.act("stop", "site:")], [])
        self.assertEqual(len(d.act("start", "site:*")), 2)
        self.assertEqual([d.pids()[n] for n in before if n.startswith("web")],
                         [before[n] for n in before if n.startswith("web")])

    def test_globs(self):
        d = self.daemon(self.CONFIG)
        d.wait_all("RUNNING")
        self.assertEqual(sorted(r["name"] for r in d.act("stop", "web:web_0[12]")), ["web_01", "web_02"])
        self.assertEqual(sorted(r["name"] for r in d.act("stop", "*:*m*")), ["mail"])
        self.assertEqual(d.act("stop", "nothing*"), [])
        self.assertEqual(sorted(r["name"] for r in d.act("start", "*")), ["mail", "web_01", "web_02"])
        self.assertEqual({p["statename"] for p in d.all().values()}, {"RUNNING"})

    def test_all_stop_and_start(self):
        d = self.daemon(self.CONFIG)
        d.wait_all("RUNNING")
        self.assertEqual(len(d.act("stop", "*")), 5)
        self.assertEqual({p["statename"] for p in d.all().values()}, {"STOPPED"})
        self.assertEqual(len(d.act("start", "*")), 5)
        self.assertEqual({p["statename"] for p in d.all().values()}, {"RUNNING"})

    def test_numprocs_start(self):
        d = self.daemon("""
            [program:w]
            command=sleep 1000
            numprocs=2
            numprocs_start=5
            process_name=p%(process_num)d
            environment=NUMBER="%(process_num)d"
            startsecs=0
        """)
        self.assertEqual(list(d.all()), ["w:p5", "w:p6"])
        self.assertEqual(procs.environment(d.wait_state("w:p6", "RUNNING")["pid"])["NUMBER"], "6")

    def test_many_processes_stop_as_one(self):
        d = self.daemon("""
            [program:w]
            command=sleep 1000
            numprocs=100
            process_name=%(process_num)03d
            startsecs=0
        """)
        d.wait_all("RUNNING")
        mark = d.mark()
        self.assertEqual(len(d.act("stop", "*")), 100)
        self.assertEqual({p["statename"] for p in d.all().values()}, {"STOPPED"})
        states = [e["to"] for e in map(json.loads, d.get("/v1/events").body.splitlines())
                  if e["event"] == "state" and e["seq"] > mark]
        self.assertEqual(states, ["STOPPING"] * 100 + ["STOPPED"] * 100)


if __name__ == "__main__":
    unittest.main()
