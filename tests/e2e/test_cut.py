"""Of the scripts in tests/fault: one that is cut short by a signal leaves nothing behind, neither daemon nor job."""
import os
import shutil
import signal
import subprocess
import sys
import unittest

import drover
import procs

FAULT = os.path.join(drover.ROOT, "tests", "fault")


class Cut(drover.TestCase):
    def cut(self, number, *words, again=0):
        """Once its daemon has jobs; the status of the script."""
        environment = dict(os.environ, TMPDIR=self.directory, DROVERD=drover.DROVERD)
        script = subprocess.Popen([sys.executable, os.path.join(FAULT, words[0]), *words[1:]], env=environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
                                  preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        self.known.add(script.pid)
        self.addCleanup(script.stdout.close)

        def jobs():
            found = [p for p in procs.descendants(script.pid) if b"fault-job" in procs.read("/proc/%d/cmdline" % p)]
            return [procs.read("/proc/%d/cmdline" % p).split(b"\0")[1] for p in found if procs.alive(p)]
        place = procs.wait_until(jobs, "jobs")[0].decode()
        self.addCleanup(shutil.rmtree, place, ignore_errors=True)
        for _ in range(1 + again):
            script.send_signal(number)
        status = script.wait(50)
        self.assertFalse(os.path.exists(place), "%s is left" % place)
        return status

    def test_by_term(self):
        self.assertEqual(self.cut(signal.SIGTERM, "kills", "-n", "100000", "-j", "10"), 128 + signal.SIGTERM)

    def test_by_an_impatient_operator(self):
        self.assertEqual(self.cut(signal.SIGINT, "steps", "-e", "1", again=5), 128 + signal.SIGINT)


if __name__ == "__main__":
    unittest.main()
