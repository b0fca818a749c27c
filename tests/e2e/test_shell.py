"""droverctl without a verb, on a terminal: libedit is found when it is needed."""
import os
import pty
import select
import time
import unittest

import drover
import procs


class Shell(drover.TestCase):
    def setUp(self):
        super().setUp()
        self.d = self.daemon("")
        pid, self.terminal = pty.fork()
        if pid == 0:
            # libedit does not free the names of the functions that it was given
            os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
            os.execv(drover.DROVERCTL, [drover.DROVERCTL, "-c", self.d.file])
        self.pid = pid
        self.known.add(pid)
        self.addCleanup(os.close, self.terminal)
        self.screen = b""

    def until(self, text):
        deadline = time.monotonic() + 20
        while text not in self.screen:
            ready, _, _ = select.select([self.terminal], [], [], max(deadline - time.monotonic(), 0))
            self.assertTrue(ready, "%r is not in %r" % (text, self.screen))
            self.screen += os.read(self.terminal, 4096)

    def type(self, text):
        self.screen = b""
        os.write(self.terminal, text)

    def test_completion_and_history(self):
        self.until(b"supervisor> ")
        self.type(b"vers\t")
        self.until(b"ion ")
        self.type(b"\r")
        self.until(b"0.1.0")
        self.until(b"supervisor> ")
        self.type(b"\x1b[A")  # up
        self.until(b"version")
        self.type(b"\r")
        self.until(b"0.1.0")
        self.until(b"supervisor> ")
        self.assertIn("libedit", procs.read("/proc/%d/maps" % self.pid).decode())
        self.type(b"exit\r")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), 0)


if __name__ == "__main__":
    unittest.main()
