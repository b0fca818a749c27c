"""Starts that cannot be: whoever asks is told the stage, the error, the path and what to do, and at once."""
import os
import time
import unittest

import drover
import procs

# what the file is, and what is said about it: name, settings, the fault of `start`, stage and code, words of the detail
# A fault of supervisord's own look at the file comes before anything is started and leaves no event.
SCRIPT = "#!/bin/sh\nexit 0\n"


class Classes(drover.TestCase):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("directory"))
        self.write("plain", SCRIPT, 0o644)
        self.write("no-interpreter", "#!/no/such/interpreter -x\n", 0o755)
        self.write("dos", "#!/bin/sh\r\necho hello\r\n", 0o755)
        self.write("no-shebang", "echo hello\n", 0o755)
        self.write("directory-interpreter", "#!/etc\n", 0o755)
        self.write("dead-interpreter", "#!%s\n" % self.path("plain"), 0o755)
        self.write("garbage", b"\x7fELF\x02\x01\x01" + b"\0" * 60, 0o755)
        self.write("fine", SCRIPT, 0o755)
        os.symlink("loop", self.path("loop"))

    # command -> fault, detail; nothing is started
    LOOKUP = {
        "/no/such/program": ("NO_FILE", "can't find command '/no/such/program'"),
        "no-such-program-anywhere": ("NO_FILE", "can't find command 'no-such-program-anywhere'"),
        "%(here)s/loop": ("NO_FILE", "can't find command"),
        "%(here)s/directory": ("NOT_EXECUTABLE", "is a directory"),
        "%(here)s/plain": ("NOT_EXECUTABLE", "is not executable"),
        'sh -c "unbalanced': ("NOT_EXECUTABLE", "can't parse command"),
    }

    def test_what_a_look_at_the_file_tells(self):
        names = {"p%d" % i: command for i, command in enumerate(self.LOOKUP)}
        d = self.daemon("".join("[program:%s]\ncommand=%s\nautostart=false\n" % pair for pair in names.items()))
        for name, command in names.items():
            with self.subTest(command):
                fault, words = self.LOOKUP[command]
                error = d.refusal("start", name)
                self.assertEqual((error["fault"], error["name"]), (fault, name))
                self.assertIn(words, error["detail"])
                self.assertEqual(d.info(name)["statename"], "STOPPED")

    # settings -> stage, code, words of the detail
    SPAWN = {
        "command=%(here)s/no-interpreter": ("exec", "ENOENT", 'interpreter "/no/such/interpreter" not found'),
        "command=%(here)s/dos": ("exec", "ENOENT", "DOS line ends"),
        "command=%(here)s/no-shebang": ("exec", "ENOEXEC", "a script needs a #! line"),
        "command=%(here)s/garbage": ("exec", "ENOEXEC", "%(here)s/garbage"),
        "command=%(here)s/directory-interpreter": ("exec", "EACCES", 'interpreter "/etc"'),
        "command=%(here)s/dead-interpreter": ("exec", "EACCES", "may not be executed"),
        "command=%(here)s/fine\ndirectory=/no/such/directory": ("chdir", "ENOENT", "chdir /no/such/directory"),
        "command=%(here)s/fine\ndirectory=%(here)s/plain": ("chdir", "ENOTDIR", "%(here)s/plain"),
        "command=%(here)s/fine\nenvironment=BIG=\"" + "x" * 200000 + "\"": ("exec", "E2BIG", "too long"),
    }

    def test_what_only_the_start_tells(self):
        names = {"p%d" % i: settings for i, settings in enumerate(self.SPAWN)}
        d = self.daemon("".join("[program:%s]\n%s\nautostart=false\nstartretries=0\n" % pair for pair in names.items()))
        for name, settings in names.items():
            with self.subTest(settings[:60]):
                stage, code, words = self.SPAWN[settings]
                words = words.replace("%(here)s", self.directory)
                error = d.refusal("start", name)
                self.assertEqual((error["fault"], error["message"]), ("SPAWN_ERROR", "spawn error"))
                self.assertIn(words, error["detail"])
                told = d.wait_event("error", name)
                self.assertEqual((told["stage"], told["code"]), (stage, code))
                self.assertIn(words, told["message"])
                p = d.wait_state(name, "FATAL")
                self.assertEqual((p["spawnerr"]["stage"], p["spawnerr"]["code"]), (stage, code))
                self.assertIn(words, p["spawnerr"]["message"])
                why = d.get(d.process_path(name, "/why")).json
                self.assertIn(words, " ".join(why["because"]))
                self.assertEqual(d.history(name, "spawn"), [])

    def test_a_log_that_cannot_be_opened(self):
        os.mkdir(self.path("logs"))
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            stdout_logfile=%(here)s/logs/out
            autostart=false
            startretries=0
        """)
        os.rmdir(self.path("logs"))
        error = d.refusal("start", "a")
        self.assertEqual(error["fault"], "SPAWN_ERROR")
        self.assertEqual(d.info("a")["spawnerr"]["code"], "ENOENT")
        self.assertIn(self.path("logs/out"), error["detail"])

    def test_the_event_names_the_path(self):
        d = self.daemon("""
            [program:a]
            command=%(here)s/no-interpreter --option
            startretries=0
        """)
        self.assertEqual(d.wait_event("error", "a")["path"], self.path("no-interpreter"))
        self.assertEqual(d.wait_state("a", "FATAL")["spawnerr"]["path"], self.path("no-interpreter"))

    def test_a_file_that_the_daemon_may_not_execute(self):
        self.needs_root()
        self.write("roots", SCRIPT, 0o744)
        os.chown(self.directory, 65534, 65534)
        d = self.daemon("""
            [program:a]
            command=%(here)s/roots
            autostart=false
        """, user=65534, group=65534, extra_groups=[])
        error = d.refusal("start", "a")
        self.assertEqual(error["fault"], "NOT_EXECUTABLE")
        self.assertIn("no permission to run command", error["detail"])

    def test_a_program_that_appears_later_is_found(self):
        d = self.daemon("""
            [program:a]
            command=%(here)s/late
            startretries=infinity
            restart_delay=50ms
            startsecs=0
        """)
        d.wait_state("a", "BACKOFF")
        self.write("late", "#!/bin/sh\nexec sleep 1000\n", 0o755)
        d.wait_state("a", "RUNNING")

    def test_a_failed_start_answers_at_once(self):
        """Measured against an idle round trip of the same moment; the best of some, since the machine is shared.  One
        that waits for something, if only for the next turn of a timer, does so each time."""
        d = self.daemon("""
            [program:a]
            command=%(here)s/no-interpreter
            autostart=false
            restart_delay=1000
            startretries=0
        """)
        idle = d.round_trip()

        def look():
            began = time.perf_counter()
            d.refusal("start", "a")
            return time.perf_counter() - began < max(50 * idle, 0.02)
        procs.wait_until(look, "an answer at once")


if __name__ == "__main__":
    unittest.main()
