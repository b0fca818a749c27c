"""What an operator has stopped stays stopped when the daemon starts again."""
import os
import signal
import subprocess
import unittest

import drover
import procs

JOBS = """
    [program:web]
    command=sleep 600
    startsecs=0
    [program:db]
    command=sleep 600
    startsecs=0
"""


class Remember(drover.TestCase):
    def again(self, d):
        d.close()
        if d.running():
            d.kill()
            self.assertEqual(d.wait_exit(), 0)
        d.launch()

    def states(self, d):
        d.wait_state("db", "RUNNING")
        return {p["name"]: p["statename"] for p in d.all().values()}

    def why(self, d, name):
        return subprocess.run([drover.DROVERCTL, "-c", d.file, "why", name], stdout=subprocess.PIPE, text=True,
                              check=True).stdout

    def begin(self, native=True, **options):
        d = self.daemon(JOBS, native=native, **options)
        d.wait_all("RUNNING")
        return d

    def test_stopped_and_started_again(self):
        d = self.begin()
        d.stop("web")
        for _ in range(2):
            self.again(d)
            self.assertEqual(self.states(d), {"web": "STOPPED", "db": "RUNNING"})
        self.assertIn("an operator stopped it, before this daemon began", self.why(d, "web"))
        self.assertIn("web: not started: an operator has stopped it", d.log())
        d.start("web")
        self.again(d)
        d.wait_all("RUNNING")

    def test_killed_right_after_the_answer(self):
        d = self.begin()
        for _ in range(3):
            d.stop("web")
            pids = [d.pid] + procs.descendants(d.pid)
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # the supervisor follows its guardian by itself
            d.wait_exit()
            for pid in pids:
                procs.wait_gone(pid)
            self.again(d)
            self.assertEqual(self.states(d), {"web": "STOPPED", "db": "RUNNING"})
            d.start("web")

    def test_a_restart_is_no_stop(self):
        d = self.begin()
        d.act("restart", "web")
        self.again(d)
        d.wait_all("RUNNING")
        d.stop("web")
        d.act("restart", "web")  # brings it up again
        self.again(d)
        d.wait_all("RUNNING")

    def test_all_at_once(self):
        d = self.begin()
        d.act("stop", "*")
        self.again(d)
        self.assertEqual({p["statename"] for p in d.all().values()}, {"STOPPED"})
        d.act("start", "*")
        self.again(d)
        d.wait_all("RUNNING")

    def test_a_crashed_program_is_no_wish(self):
        d = self.daemon("""
            [program:web]
            command=sh -c 'exit 1'
            startretries=0
        """, native=True)
        d.wait_state("web", "FATAL")
        self.again(d)
        d.wait_state("web", "FATAL")
        self.assertNotIn("not started", d.log())
        self.assertFalse(os.path.exists(self.path("state/intent")))

    def test_not_where_it_is_not_asked_for(self):
        for native, daemon in (False, ""), (True, "remember_stop=false"):
            with self.subTest(native=native):
                d = self.begin(native=native, daemon=daemon)
                d.stop("web")
                self.again(d)
                d.wait_all("RUNNING")
                d.finish()
                self.daemons.remove(d)

    def test_in_supervisord_files_on_request(self):
        d = self.begin(native=False, daemon="remember_stop=true\nstate_dir=%(here)s/kept")
        d.stop("web")
        self.again(d)
        self.assertEqual(self.states(d), {"web": "STOPPED", "db": "RUNNING"})
        self.assertTrue(os.path.exists(self.path("kept/intent")))

    def test_an_update_heeds_it(self):
        d = self.begin()
        d.stop("web")
        d.update("[program:db]\ncommand=sleep 600\nstartsecs=0\n")
        d.update(JOBS)  # it comes back
        self.assertEqual(self.states(d), {"web": "STOPPED", "db": "RUNNING"})

    def test_the_state_directory_of_systemd(self):
        config = "[droverd]\nnodaemon=true\nlogfile=%(here)s/log\npidfile=%(here)s/pid\n" \
                 "[unix_http_server]\nfile=%(here)s/s\n" + "".join(line.strip() + "\n" for line in JOBS.splitlines())
        env = {"STATE_DIRECTORY": self.path("lib") + ":/nowhere", "RUNTIME_DIRECTORY": self.path("run")}
        d = self.daemon(config, whole=True, native=True, env=env)
        d.wait_all("RUNNING")
        d.stop("web")
        self.assertIn(b"web:web", procs.read(self.path("lib/intent")))
        self.again(d)
        self.assertEqual(self.states(d), {"web": "STOPPED", "db": "RUNNING"})

    def test_a_full_disk(self):
        d = self.begin()
        os.mkdir(self.path("state", "intent"))  # what cannot be opened cannot be written
        reply = d.post(d.process_path("web", "/stop")).json
        self.assertTrue(reply["results"][0]["ok"])
        self.assertIn("done, but not remembered", reply["warning"])
        told = subprocess.run([drover.DROVERCTL, "-c", d.file, "stop", "db"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        self.assertEqual((told.returncode, told.stdout), (0, "db: stopped\n"))
        self.assertIn("db: done, but not remembered over a restart of the daemon", told.stderr)
        os.rmdir(self.path("state", "intent"))
        reply = d.post(d.process_path("db", "/start")).json  # what was missing goes with it
        self.assertNotIn("warning", reply)
        self.again(d)
        self.assertEqual(self.states(d), {"web": "STOPPED", "db": "RUNNING"})

    def test_damaged_lines(self):
        d = self.begin()
        d.stop("web")
        d.stop("db")
        d.close()
        d.kill()
        d.wait_exit()
        path = self.path("state/intent")
        text = bytearray(procs.read(path))
        text[text.index(b"db:db")] ^= 1
        with open(path, "wb") as f:
            f.write(text)
        d.launch()
        self.assertEqual(self.states(d), {"web": "STOPPED", "db": "RUNNING"})
        self.assertIn("damaged lines are passed over (1)", d.log())


if __name__ == "__main__":
    unittest.main()
