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
    def begin(self, log_format, lines):
        """A program with such a log, to which it adds nothing."""
        with open(self.path("a.log"), "w", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in lines)
        return self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
            log_format=%s
            stdout_logfile=%%(here)s/a.log
            stdout_logfile_maxbytes=0
            stderr_logfile=NONE
        """ % log_format, native=True)

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


if __name__ == "__main__":
    unittest.main()
