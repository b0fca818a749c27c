"""droverctl logs --since: by the time that a line carries."""
import datetime
import json
import os
import subprocess
import unittest

import drover

BEGIN = datetime.datetime(2031, 5, 17, tzinfo=datetime.timezone.utc)
LINES = 40000  # a minute apart, far more than are looked at in one go


def stamp(n):
    return (BEGIN + datetime.timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Since(drover.TestCase):
    def fill(self, name, lines):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in lines)

    def begin(self, log_format, lines):
        """A program with such a log, to which it adds nothing."""
        self.fill("a.log", lines)
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
            log_format=%s
            stdout_logfile=%%(here)s/a.log
            stdout_logfile_maxbytes=0
            stderr_logfile=NONE
        """ % log_format, native=True)
        d.wait_state("a", "RUNNING")
        return d

    def logs(self, d, *words, zone="UTC"):
        run = subprocess.run([drover.DROVERCTL, "-c", d.file, "logs", *words, "a"],
                             stdout=subprocess.PIPE, text=True, check=False, env=dict(os.environ, TZ=zone), timeout=60)
        return run.returncode, [line.split("| ", 1)[-1] for line in run.stdout.splitlines()]

    def test_every_line_from_then_on_and_no_other(self):
        lines = ["%s line %d %s" % (stamp(n), n, "x" * (n % 90)) for n in range(LINES)]
        d = self.begin("timestamp", lines)
        for n in 0, 1, 1234, 20000, LINES - 1:
            self.assertTrue(self.logs(d, "--since", stamp(n)[:19] + "Z") == (0, lines[n:]), n)
        self.assertEqual(self.logs(d, "--since", "2031-05-17T02:00:30Z"), (0, lines[121:]))
        self.assertEqual(self.logs(d, "--since", "2031-05-18"), (0, lines[1440:]))
        self.assertEqual(self.logs(d, "--since", "2031-05-18T01:00", zone="EST5"), (0, lines[1440 + 360:]))
        self.assertEqual(self.logs(d, "--since", "2040-01-01"), (0, []))
        self.assertEqual(self.logs(d, "--since", "1h"), (0, lines))  # all of it is yet to come

    def test_a_duration(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        lines = ["%s %s ago" % ((now - datetime.timedelta(minutes=m)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), m)
                 for m in (90, 70, 50, 10)]
        d = self.begin("timestamp", lines)
        self.assertEqual(self.logs(d, "--since", "1h"), (0, lines[2:]))
        self.assertEqual(self.logs(d, "--since", "75m"), (0, lines[1:]))
        self.assertEqual(self.logs(d, "--since", "30"), (0, []))

    def test_json_and_lines_that_have_none(self):
        """What is without a time belongs to the line before it, and older than all if there is none."""
        lines = ["raw, of before"] + [json.dumps({"time": stamp(n), "process": "a", "stream": "stdout", "message": str(n)},
                                                 separators=(",", ":")) for n in range(10)] + ["raw, of after"]
        d = self.begin("json", lines)
        self.assertEqual(self.logs(d, "--since", stamp(4)[:19] + "Z"), (0, lines[5:]))
        self.assertEqual(self.logs(d, "--since", "2031-05-17"), (0, lines[1:]))

    def test_a_raw_log_is_refused(self):
        d = self.begin("raw", ["one", "two"])
        code, shown = self.logs(d, "--since", "1h")
        self.assertEqual(code, 1)
        self.assertRegex(shown[0], r"^a: ERROR \(no line of its log has a time: ")
        self.assertEqual(len(shown), 1)

    def test_an_empty_one_is_not(self):
        self.assertEqual(self.logs(self.begin("timestamp", []), "--since", "1h"), (0, []))

    def test_what_has_been_rotated_away(self):
        lines = ["%s line %d %s" % (stamp(n), n, "x" * (n % 90)) for n in range(LINES)]
        self.fill("a.log.4", ["raw, of long before"])
        for i in 1, 2, 3:
            self.fill("a.log.%d" % i, lines[LINES * (3 - i) // 4:LINES * (4 - i) // 4])
        d = self.begin("timestamp", lines[LINES * 3 // 4:])
        for n in 0, 1, 1234, LINES // 4, LINES // 2 - 1, LINES // 2 + 1, LINES * 3 // 4, LINES - 1:
            self.assertTrue(self.logs(d, "--since", stamp(n)[:19] + "Z") == (0, lines[n:]), n)
        os.rename(self.path("a.log.2"), self.path("a.log.9"))  # with a gap nobody knows whether there are more
        self.assertTrue(self.logs(d, "--since", "2031-05-17") == (0, lines[LINES // 2:]))
        os.rename(self.path("a.log.9"), self.path("a.log.2"))
        self.fill("a.log", [])
        self.assertTrue(self.logs(d, "--since", "2031-05-17") == (0, lines[:LINES * 3 // 4]))

    def test_a_link_is_rotated_beside_what_it_leads_to(self):
        os.mkdir(self.path("logs"))
        os.symlink("logs/real", self.path("a.log"))
        self.fill("logs/real.1", ["%s one" % stamp(1)])
        self.fill("a.log.1", ["%s of somebody else" % stamp(1)])
        self.assertEqual(self.logs(self.begin("timestamp", ["%s two" % stamp(2)]), "--since", "2031-05-17"),
                         (0, ["%s one" % stamp(1), "%s two" % stamp(2)]))

    def test_a_link_in_place_of_a_rotated_file_is_not_followed(self):
        d = self.begin("timestamp", ["%s two" % stamp(2)])
        self.fill("secret", ["%s one" % stamp(1)])
        os.symlink("secret", self.path("a.log.1"))
        self.assertEqual(self.logs(d, "--since", "2031-05-17"), (0, ["%s two" % stamp(2)]))

    @drover.slow(180)
    def test_while_it_is_rotated(self):
        """Every line once and in order, though files move on and new ones are begun meanwhile."""
        d = self.daemon("""
            [program:a]
            command=seq 400000
            startsecs=0
            autostart=false
            autorestart=false
            log_format=timestamp
            stdout_logfile=%(here)s/a.log
            stdout_logfile_maxbytes=100KB
            stdout_logfile_backups=1000
            stderr_logfile=NONE
        """, native=True)
        d.post("/v1/processes/a/start?wait=0")
        d.wait_event("spawn", "a")
        last = 0
        while last < 400000:
            code, shown = self.logs(d, "--since", "1h")
            self.assertEqual(code, 0)
            numbers = [int(line.split()[1]) for line in shown if line]
            last = numbers[-1] if numbers else 0
            self.assertEqual([n for i, n in enumerate(numbers) if n != i + 1][:5], [])
        self.assertTrue(os.path.exists(self.path("a.log.50")))


if __name__ == "__main__":
    unittest.main()
