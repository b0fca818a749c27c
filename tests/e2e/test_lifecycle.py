"""The states of a process: starting, failing, being tried again, exiting, being restarted."""
import os
import signal
import time
import unittest

import drover
import procs


class Starting(drover.TestCase):
    def test_counts_as_running_once_startsecs_are_over(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=400ms
            autostart=false
        """)
        began = time.time()
        d.start("a")
        happened = d.history("a")
        self.assertEqual([e["event"] for e in happened], ["state", "spawn", "state"])
        self.assertEqual([(e["from"], e["to"]) for e in happened if e["event"] == "state"],
                         [("STOPPED", "STARTING"), ("STARTING", "RUNNING")])
        # from before it can have begun: the daemon may be kept from running between a deed and the note of its time
        self.assertGreaterEqual(happened[2]["time"] - began, 0.4)

    def test_startsecs_zero_runs_at_once_and_may_end_at_once(self):
        d = self.daemon("""
            [program:a]
            command=true
            startsecs=0
            autorestart=false
        """)
        d.wait_state("a", "EXITED")
        self.assertEqual(self.states_of(d.history("a")), ["STARTING", "RUNNING", "EXITED"])

    def test_autostart_false_waits_to_be_asked(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
            autostart=false
        """)
        p = d.info("a")
        self.assertEqual((p["statename"], p["description"], p["pid"]), ("STOPPED", "Not started", 0))
        d.start("a")
        self.assertEqual(d.info("a")["statename"], "RUNNING")

    def test_start_answers_when_the_process_runs(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=300ms
            autostart=false
        """)
        d.start("a")
        self.assertEqual(d.info("a")["statename"], "RUNNING")

    def test_start_need_not_be_waited_for(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=1000
            autostart=false
        """)
        d.start("a", wait=0)
        self.assertEqual(d.info("a")["statename"], "STARTING")

    def test_start_gives_up_waiting_when_told_to(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=1000
            autostart=false
        """)
        self.assertEqual(d.refusal("start", "a", timeout=1)["fault"], "FAILED")
        self.assertEqual(d.info("a")["statename"], "STARTING")

    def test_started_and_stopped_twice(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
        """)
        d.wait_state("a", "RUNNING")
        self.assertEqual(d.refusal("start", "a")["fault"], "ALREADY_STARTED")
        d.stop("a")
        self.assertEqual(d.refusal("stop", "a")["fault"], "NOT_RUNNING")
        self.assertEqual(d.info("a")["statename"], "STOPPED")


class Failing(drover.TestCase):
    """Programs that end at once, which is before startsecs are over: these are many, however busy the machine is."""

    def test_too_quick_an_exit_is_tried_again_and_then_given_up(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "date +%%s.%%N >>times; exit 3"
            directory=%(here)s
            startsecs=60
            startretries=3
            restart_delay=100ms
        """)
        p = d.wait_state("a", "FATAL")
        self.assertEqual(self.states_of(d.history("a")), ["STARTING", "BACKOFF"] * 4 + ["FATAL"])
        self.assertEqual([e["tries"] for e in d.history("a", "state") if e["to"] == "BACKOFF"], [1, 2, 3, 4])
        self.assertEqual(p["description"], "Exited too quickly (process log may have details)")
        self.assertEqual((p["exit"]["status"], p["wanted"], p["next_start"]), (3, False, None))
        # supervisord's own delays grow by one step each time
        for gap, least in zip(self.gaps(4), (0.1, 0.2, 0.3)):
            self.assertGreaterEqual(gap, least)

    def gaps(self, n):
        """The times between n runs by their own clock: each told its own before it ended, and the next after it had
        begun, so that no delay of the daemon in telling the time makes them shorter."""
        times = [float(t) for t in procs.read(self.path("times")).split()]
        self.assertEqual(len(times), n)
        return [b - a for a, b in zip(times, times[1:])]

    def test_native_delays_double_up_to_their_maximum(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "date +%%s.%%N >>times; exit 3"
            directory=%(here)s
            startsecs=60
            startretries=4
            restart_delay=50ms
            restart_delay_max=150ms
            restart_jitter=0
        """, native=True)
        d.wait_state("a", "FATAL")
        for gap, least in zip(self.gaps(5), (0.05, 0.1, 0.15, 0.15)):
            self.assertGreaterEqual(gap, least)

    def test_no_retries(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "exit 1"
            startsecs=60
            startretries=0
        """)
        d.wait_state("a", "FATAL")
        self.assertEqual(self.states_of(d.history("a")), ["STARTING", "BACKOFF", "FATAL"])

    def test_infinite_retries_go_on_until_stopped(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "exit 1"
            startsecs=60
            startretries=infinity
            restart_delay=10ms
            restart_factor=1
        """)
        d.wait_events(12, "state", "a", to="BACKOFF")
        d.stop("a")
        self.assertEqual(d.info("a")["statename"], "STOPPED")
        tries = d.info("a")["tries"]
        self.assertGreaterEqual(tries, 12)
        self.assertEqual(d.info("a")["tries"], tries)

    def test_stopped_while_it_waits_for_its_next_try(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "exit 1"
            startsecs=60
            restart_delay=1000
        """)
        p = d.wait_state("a", "BACKOFF")
        self.assertGreater(p["next_start"], p["now"] + 900)
        d.stop("a")
        self.assertEqual(self.states_of(d.history("a")), ["STARTING", "BACKOFF", "STOPPED"])

    def test_start_says_how_it_failed(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "exit 1"
            autostart=false
            startsecs=60
            restart_delay=1000
        """)
        error = d.refusal("start", "a")
        self.assertEqual((error["fault"], error["message"]), ("SPAWN_ERROR", "spawn error"))
        self.assertIn("Exited too quickly", error["detail"])

    def test_a_good_run_forgets_the_failures(self):
        """Fails twice, then runs: the tally starts anew."""
        d = self.daemon("""
            [program:a]
            command=sh -c 'echo x >>n; test "$(wc -l <n)" -gt 2 && exec sleep 1000; exit 1'
            directory=%(here)s
            startsecs=4
            restart_delay=10ms
        """)
        p = d.wait_state("a", "RUNNING")
        self.assertEqual(self.states_of(d.history("a")), ["STARTING", "BACKOFF"] * 2 + ["STARTING", "RUNNING"])
        self.assertEqual((p["tries"], p["restarts"]), (0, 2))

    def test_fatal_can_be_started_again(self):
        d = self.daemon("""
            [program:a]
            command=sh -c 'test -e go && exec sleep 1000; exit 1'
            directory=%(here)s
            startsecs=4
            startretries=0
        """)
        d.wait_state("a", "FATAL")
        self.write("go", "")
        d.start("a")
        self.assertEqual(d.info("a")["tries"], 0)


# policy, then for each end whether the process is started again; `exitcodes=0,2,TERM`
POLICIES = {
    #              exit 0 exit 2 exit 3  TERM   KILL
    "false":      (False, False, False, False, False),
    "true":       (True, True, True, True, True),
    "unexpected": (False, False, True, False, True),
    "on-exit":    (True, True, True, False, False),
    "on-signal":  (False, False, False, True, True),
    "on-failure": (False, False, True, False, True),
}
ENDS = ("exit 0", "exit 2", "exit 3", "kill -TERM $$", "kill -KILL $$")


class Exiting(drover.TestCase):
    def test_every_policy_with_every_end(self):
        programs = [("%s-%d" % (policy, i), policy, end, POLICIES[policy][i])
                    for policy in POLICIES for i, end in enumerate(ENDS)]
        d = self.daemon("".join("""
[program:%s]
command=sh -c 'test -e $0 && exec sleep 1000; : >$0; %s' %s.mark
directory=%%(here)s
startsecs=0
exitcodes=0,2,TERM
autorestart=%s
""" % (name, end, name, policy) for name, policy, end, _ in programs))
        for name, _, _, again in programs:
            d.wait_event("exit", name)
            d.wait_state(name, "RUNNING" if again else "EXITED")
        for name, policy, end, again in programs:
            with self.subTest(policy=policy, end=end):
                self.assertEqual(len(d.history(name, "spawn")), 2 if again else 1)
                exit, = d.history(name, "exit")
                self.assertEqual(exit["expected"], end in ("exit 0", "exit 2", "kill -TERM $$"))
                self.assertEqual(d.info(name)["restarts"], 1 if again else 0)

    def test_an_exit_is_told_with_its_cause(self):
        d = self.daemon("""
            [program:code]
            command=sh -c "exit 7"
            startsecs=0
            autorestart=false
            [program:signal]
            command=sh -c "kill -SEGV $$"
            startsecs=0
            autorestart=false
        """)
        code = d.wait_event("exit", "code")
        sig = d.wait_event("exit", "signal")
        self.assertEqual((code["status"], code["signal"]), (7, None))
        self.assertEqual((sig["status"], sig["signal"]), (None, "SIGSEGV"))
        d.wait_state("code", "EXITED")
        d.wait_state("signal", "EXITED")
        self.assertIn("exited: code (exit status 7; not expected)", d.log())
        self.assertIn("exited: signal (terminated by SIGSEGV", d.log())

    def test_a_killed_process_is_back_at_once(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=100ms
        """)
        before = d.wait_state("a", "RUNNING")
        os.kill(before["pid"], signal.SIGKILL)
        exit = d.wait_event("exit", "a")
        self.assertEqual((exit["signal"], exit["pid"], exit["expected"]), ("SIGKILL", before["pid"], False))
        d.wait_event("state", "a", after=exit["seq"], to="RUNNING")
        after = d.info("a")
        self.assertNotEqual(after["pid"], before["pid"])
        self.assertEqual((after["restarts"], after["exit"]["signal"]), (1, "SIGKILL"))
        # EXITED and STARTING follow each other without a wait between
        states = [e for e in d.history("a", "state") if e["seq"] > exit["seq"]]
        self.assertEqual([e["to"] for e in states], ["EXITED", "STARTING", "RUNNING"])
        self.assertEqual(states[0]["seq"] + 1, states[1]["seq"])

    def test_restart_interval_holds_back_a_tight_loop(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "date +%%s.%%N >>times"
            directory=%(here)s
            startsecs=0
            autorestart=true
            restart_interval=400ms
        """)
        d.wait_events(6, "exit", "a")
        times = [float(t) for t in procs.read(self.path("times")).split()]
        # The interval is from one start to the next, and a run tells its time a little after its start; so what is
        # sure is that one which ends before a start is followed by the second after it only when the interval is over.
        for a, b in zip(times[1:], times[3:]):  # the first restart comes at once
            self.assertGreaterEqual(b - a, 0.4)
        self.assertEqual(d.info("a")["tries"], 0)
        d.stop("a")
        self.assertEqual(d.info("a")["statename"], "STOPPED")

    def test_an_exited_process_can_be_started_again(self):
        d = self.daemon("""
            [program:a]
            command=true
            startsecs=0
        """)
        d.wait_state("a", "EXITED")
        d.start("a")
        d.wait_events(2, "exit", "a")
        self.assertEqual(d.refusal("stop", "a")["fault"] if d.wait_state("a", "EXITED") else None, "NOT_RUNNING")


class Restarting(drover.TestCase):
    def test_restart_stops_and_starts(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
            [program:b]
            command=sleep 1000
            autostart=false
            startsecs=0
        """)
        before = d.wait_state("a", "RUNNING")["pid"]
        self.assertTrue(d.deed("restart", "a")["stopped"])
        self.assertNotEqual(d.pid_of("a"), before)
        self.assertFalse(d.deed("restart", "b")["stopped"])
        self.assertEqual(d.info("b")["statename"], "RUNNING")

    def test_restart_of_many_stops_all_before_it_starts_any(self):
        d = self.daemon("""
            [program:w]
            command=sleep 1000
            numprocs=4
            process_name=%(program_name)s_%(process_num)d
            startsecs=0
        """)
        d.wait_all("RUNNING")
        mark = d.mark()
        results = d.act("restart", "w:*")
        self.assertEqual(sorted(r["name"] for r in results), ["w_0", "w_1", "w_2", "w_3"])
        self.assertTrue(all(r["ok"] and r["stopped"] for r in results))
        states = [e["to"] for e in d.events.until(
            lambda events: [e for e in events if e["event"] == "state" and e["seq"] > mark], "states")]
        d.wait_all("RUNNING")
        states = [e["to"] for e in d.events.list if e["event"] == "state" and e["seq"] > mark]
        self.assertEqual(states[:4] + sorted(states[4:8]), ["STOPPING"] * 4 + ["STOPPED"] * 4)
        self.assertNotIn("STOPPED", states[8:])


if __name__ == "__main__":
    unittest.main()
