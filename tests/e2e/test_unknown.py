"""Processes that the daemon may not signal, as those that have become root under a daemon that is not."""
import errno
import os
import signal
import textwrap

import drover
import procs
import puppets
import seccomp
import test_relay_control

CONFIG = """
    [program:a]
    command=sleep 1000
    startsecs=0
    autorestart=false
    [program:b]
    command=sleep 1000
    startsecs=0
    autorestart=false
    autostart=false
    [group:g]
    programs=a,b
"""


def no_signals():
    return seccomp.refuse("pidfd_send_signal", error=errno.EPERM)


class Unknown(drover.TestCase):
    ask = test_relay_control.Control.ask

    def test_a_program_is_told(self):
        stage = puppets.Stage(self)
        d = self.daemon(stage.section("p", "control=g\nautorestart=false") + textwrap.dedent(CONFIG), native=True,
                        preexec_fn=no_signals())
        (p,) = stage.actors("p")
        d.wait_state("g:a", "RUNNING")
        self.ask(p, "stop", match="g:a")
        d.wait_state("g:a", "UNKNOWN")
        codes = [self.ask(p, verb, match="g:a")["results"][0]["error"]["code"] for verb in ("stop", "start", "restart")]
        self.assertEqual(codes, ["ESRCH", "EIO", "EIO"])
        for name in ("g:a", "p"):
            os.kill(d.pid_of(name), signal.SIGKILL)

    def test_nobody_waits_for_it(self):
        d = self.daemon(CONFIG, preexec_fn=no_signals())
        d.wait_state("g:a", "RUNNING")
        a = d.pid_of("g:a")
        self.assertEqual(d.refusal("stop", "g:a")["detail"], "the daemon may not signal it")
        self.assertEqual((d.info("g:a")["statename"], d.pid_of("g:a")), ("UNKNOWN", a))
        for verb in ("start", "restart"):
            self.assertEqual(d.refusal(verb, "g:a")["detail"], "it is in an unknown process state", verb)
        self.assertEqual(d.refusal("stop", "g:a")["fault"], "NOT_RUNNING")
        results = d.act("restart", "g:*")
        self.assertEqual({r["name"]: r["ok"] for r in results}, {"a": False, "b": True})
        b = d.pid_of("g:b")
        for pid in (a, b):
            self.assertTrue(procs.alive(pid))
        os.kill(a, signal.SIGKILL)  # somebody else may
        d.wait_state("g:a", "STOPPED")
        d.start("g:a")
        for pid in (d.pid_of("g:a"), b):
            os.kill(pid, signal.SIGKILL)
