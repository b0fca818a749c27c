"""The shapes of answers and events: names and types of fields, and the order of what happens."""
import os
import unittest

import client
import drover
import procs

NUMBER, TEXT, FLAG = (int, float), str, bool
PROCESS = {
    "name": TEXT, "group": TEXT, "state": int, "statename": TEXT, "pid": int, "start": NUMBER, "stop": NUMBER,
    "now": NUMBER, "description": TEXT, "uptime": NUMBER, "ready": FLAG, "exit": (dict, type(None)),
    "spawnerr": (dict, type(None)), "restarts": int, "tries": int, "next_start": (int, float, type(None)),
    "stdout_logfile": (str, type(None)), "stderr_logfile": (str, type(None)), "program": TEXT,
    "comment": (str, type(None)),
}
EXIT = {"status": (int, type(None)), "signal": (str, type(None)), "core": FLAG, "expected": FLAG, "at": NUMBER,
        "rusage": dict}
DAEMON = {"name": TEXT, "version": TEXT, "pid": int, "supervisor_pid": int, "recoveries": int, "upgrades": int,
          "state": int, "statename": TEXT, "start": NUMBER, "config": TEXT, "processes": int, "memory": int,
          "descriptors": int, "lacks": list, "identifier": TEXT,
          "logfile": TEXT}
STATES = {"STOPPED": 0, "STARTING": 10, "RUNNING": 20, "BACKOFF": 30, "STOPPING": 40, "EXITED": 100, "FATAL": 200}


class Shapes(drover.TestCase):
    CONFIG = """
        [program:run]
        command=sleep 1000
        startsecs=0
        description=sleeps all day
        [program:gone]
        command=sh -c "echo one >&2; printf 'bad \\377 byte' >&2; exit 3"
        startsecs=0
        autorestart=false
        [program:broken]
        command=%(here)s/broken
        startretries=0
        [program:never]
        command=sleep 1000
        autostart=false
        [group:g]
        programs=never
    """

    def fleet(self):
        self.write("broken", "#!/no/such/interpreter\n", 0o755)
        d = self.daemon(self.CONFIG)
        d.wait_state("run", "RUNNING")
        d.wait_state("gone", "EXITED")
        d.wait_event("close", "gone")  # and what it has said is in its logs
        d.wait_state("broken", "FATAL")
        return d

    def check(self, value, shape):
        for field, types in shape.items():
            self.assertIn(field, value)
            self.assertIsInstance(value[field], types, field)

    def test_processes(self):
        d = self.fleet()
        for name, p in d.all().items():
            with self.subTest(name):
                self.check(p, PROCESS)
                self.assertEqual(p["state"], STATES[p["statename"]])
        p = d.info("run")
        self.assertRegex(p["description"], r"^pid %d, uptime 0:00:\d\d$" % p["pid"])

        def agree():  # of two clocks that are read one after the other
            p = d.info("run")
            return abs(p["uptime"] - (p["now"] - p["start"])) < 0.01
        procs.wait_until(agree, "the uptime to be the time since its start")
        self.assertEqual((p["exit"], p["spawnerr"], p["comment"]), (None, None, "sleeps all day"))
        p = d.info("gone")
        self.check(p["exit"], EXIT)
        self.assertEqual((p["exit"]["status"], p["exit"]["signal"], p["pid"]), (3, None, 0))
        self.assertGreaterEqual(p["exit"]["at"], p["start"])
        self.assertGreater(p["exit"]["rusage"]["maxrss"], 4096)
        self.assertRegex(p["description"], r"^[A-Z][a-z]{2} \d\d \d\d:\d\d [AP]M$")
        p = d.info("broken")
        self.check(p["spawnerr"], {"stage": TEXT, "code": TEXT, "path": TEXT, "message": TEXT})
        self.assertIsNone(p["exit"])
        p = d.info("g:never")
        self.assertEqual((p["description"], p["start"], p["stop"]), ("Not started", 0, 0))

    def test_some_fields_of_some_processes(self):
        d = self.fleet()
        answer = d.get("/v1/processes", match=["g:*", "run"], fields="name,pid").json["processes"]
        self.assertEqual([sorted(p) for p in answer], [["name", "pid"]] * 2)
        self.assertEqual([p["name"] for p in answer], ["never", "run"])
        self.assertEqual(d.get("/v1/processes", match="none*").json, {"processes": []})
        reply = d.get("/v1/processes", match="nobody")
        self.assertEqual((reply.status, reply.error["message"], reply.error["name"]),
                         (404, "no such process", "nobody"))
        self.assertEqual(d.get("/v1/processes", match="nobody:*").error["message"], "no such group")

    def test_the_daemon(self):
        d = self.fleet()
        info = d.get("/v1/daemon").json
        self.check(info, DAEMON)
        self.assertEqual((info["name"], info["pid"], info["statename"], info["processes"], info["config"]),
                         ("droverd", d.pid, "RUNNING", 4, d.file))
        self.assertEqual((info["supervisor_pid"], info["recoveries"]), (d.supervisor, 0))
        procs.wait_until(lambda: d.get("/v1/daemon").json["descriptors"] == len(procs.descriptors(d.supervisor)),
                         "the number of its descriptors")

    def test_why(self):
        d = self.fleet()
        for name in ("run", "gone", "broken", "g:never"):
            why = d.get(d.process_path(name, "/why")).json
            self.check(why, {"process": TEXT, "verdict": TEXT, "because": list})
        gone = d.get(d.process_path("gone", "/why")).json
        self.assertIn("exit status 3", " ".join(gone["because"]))
        self.assertNotIn("stderr_tail", gone)  # it is not UTF-8
        self.assertIn("stderr_tail_base64", gone)

    def test_why_of_what_ends_well_and_too_early(self):
        d = self.daemon("""
            [program:fork]
            command=true
            startretries=0
            [program:broken]
            command=false
            startretries=0
        """)
        d.wait_state("fork", "FATAL")
        d.wait_state("broken", "FATAL")
        self.assertIn("must stay in the foreground", " ".join(d.get(d.process_path("fork", "/why")).json["because"]))
        self.assertNotIn("foreground", " ".join(d.get(d.process_path("broken", "/why")).json["because"]))

    def test_show(self):
        d = self.fleet()
        lines = procs.read(d.file).decode().splitlines()
        answer = d.get(d.process_path("run"), show=1).json
        settings = {s["key"]: s for s in answer["settings"]}
        self.assertEqual(settings["command"]["value"], "sleep 1000")
        source = settings["command"]["source"]
        self.assertEqual((source["file"], lines[source["line"] - 1]), (d.file, "command=sleep 1000"))
        self.assertIsNone(settings["stopsignal"]["source"])
        self.assertEqual([fd["fd"] for fd in answer["descriptors"]], [0, 1, 2])

    def test_config_and_avail(self):
        d = self.fleet()
        config = d.get("/v1/config").json
        self.assertEqual(sorted(g["name"] for g in config["groups"]), ["broken", "g", "gone", "run"])
        avail = d.get("/v1/config/avail").json["processes"]
        self.assertEqual([p["name"] for p in avail], ["broken", "gone", "never", "run"])
        self.check(avail[2], {"name": TEXT, "group": TEXT, "inuse": FLAG, "autostart": FLAG, "group_prio": int,
                              "process_prio": int})
        self.assertEqual((avail[2]["group"], avail[2]["autostart"], avail[2]["inuse"]), ("g", False, True))

    def test_config_of_listeners_and_fastcgi(self):
        d = self.daemon("""
            [eventlistener:ear]
            command=cat
            events=TICK_5
            buffer_size=3
            [fcgi-program:fast]
            command=cat
            socket=unix://%(here)s/fast.sock
        """)
        groups = {g["name"]: g for g in d.get("/v1/config").json["groups"]}
        self.assertEqual((groups["ear"]["events"], groups["ear"]["buffer_size"]), ("TICK_5", 3))
        self.assertEqual(groups["fast"]["socket"], "unix://" + self.path("fast.sock"))
        self.assertEqual(d.get("/v1/daemon").json["recoveries"], 0)

    def test_errors(self):
        """method, path, body, then status, fault or code."""
        d = self.fleet()
        for method, path, body, status, word in (
                ("GET", "/v1/processes/nobody", None, 404, "BAD_NAME"),
                ("GET", "/v1/processes/no:body", None, 404, "BAD_NAME"),
                ("GET", "/v1/processes/nobody/why", None, 404, "BAD_NAME"),
                ("POST", "/v1/processes/nobody/start", None, 404, "BAD_NAME"),
                ("POST", "/v1/processes/nobody/stop", None, 404, "BAD_NAME"),
                ("POST", "/v1/processes/nobody/restart", None, 404, "BAD_NAME"),
                ("POST", "/v1/processes/nobody/clear", None, 404, "BAD_NAME"),
                ("POST", "/v1/processes/nobody/signal", '{"signal":"HUP"}', 404, "BAD_NAME"),
                ("POST", "/v1/processes/no:*/start", None, 404, "BAD_NAME"),
                ("GET", "/v1/nothing", None, 404, "ENOENT"),
                ("GET", "/", None, 404, "ENOENT"),
                ("PUT", "/v1/processes", None, 405, "EOPNOTSUPP"),
                ("GET", "/v1/daemon/shutdown", None, 405, "EOPNOTSUPP"),
                ("GET", "/v1/processes/%ff%zz", None, 400, "EINVAL"),
                ("GET", "/v1/processes/" + "x" * 3000, None, 400, "EINVAL"),
                ("POST", "/v1/config/update", "not json", 400, "BAD_ARGUMENTS"),
                ("POST", "/v1/config/update", '{"groups":"all"}', 400, "BAD_ARGUMENTS"),
                ("POST", "/v1/config/update", '{"groups":[1]}', 400, "BAD_ARGUMENTS"),
                ("POST", "/v1/processes/run/stdin", "x" * 70000, 413, "EMSGSIZE")):
            with self.subTest(method=method, path=path[:40]):
                reply = d.client.request(method, path, body=body)
                self.assertEqual(reply.status, status, reply)
                self.assertIn(word, (reply.error.get("fault"), reply.error["code"]))
                self.assertTrue(reply.error["message"])
        for body in ("", "{}", '{"signal":7}', '{"signal":"SIGNOSUCH"}', '{"signal":"99"}', "[[["):
            self.assertEqual(d.refusal("signal", "run", body)["fault"], "BAD_SIGNAL")
        self.assertEqual(d.info("run")["statename"], "RUNNING")

    def test_names_with_everything_in_them(self):
        d = self.daemon("""
            [program:Grüße&more+x=y#%z]
            command=sleep 1000
            startsecs=0
        """)
        name, = [p["name"] for p in d.all().values()]
        self.assertEqual(name, "Grüße&more+x=y#%z")
        d.stop(name)
        self.assertEqual(d.info(name)["statename"], "STOPPED")
        self.assertEqual(d.history(name)[-1]["process"], "%s:%s" % (name, name))


class Order(drover.TestCase):
    def test_a_whole_life(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "echo hello; read line; exit 4"
            startsecs=100ms
            autorestart=false
        """)
        d.wait_state("a", "RUNNING")
        d.post(d.process_path("a", "/stdin"), b"end\n")
        d.wait_event("close", "a")
        d.wait_state("a", "EXITED")
        events = d.history("a")
        spawn = next(e for e in events if e["event"] == "spawn")
        happened = [e["to"] if e["event"] == "state" else e["event"] for e in events]
        self.assertEqual(happened, ["STARTING", "spawn", "RUNNING", "exit", "EXITED", "close"])
        self.assertTrue(all(a["seq"] < b["seq"] and a["time"] <= b["time"] for a, b in zip(events, events[1:])))
        exit = events[3]
        self.assertEqual((exit["pid"], exit["status"], exit["expected"]), (spawn["pid"], 4, False))

    def test_close_belongs_to_the_run_that_ended(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
        """)
        before = d.wait_state("a", "RUNNING")["pid"]
        os.kill(before, 9)
        self.assertEqual(d.wait_event("close", "a")["pid"], before)

    def test_every_run_is_closed_once_and_by_its_own_pid(self):
        """A grandchild holds the pipes of the first run until after the second has begun."""
        os.mkfifo(self.path("gate"))
        d = self.daemon("""
            [program:a]
            command=sh -c "test -e second && exec sleep 1000; : >second; (read x <gate) & exit 3"
            directory=%(here)s
            startsecs=0
        """)
        first, second = [e["pid"] for e in d.wait_events(2, "spawn", "a")]
        self.assertEqual(d.history("a", "close"), [])
        with open(self.path("gate"), "w") as gate:
            gate.write("go\n")
        self.assertEqual(d.wait_event("close", "a")["pid"], first)
        d.stop("a")
        self.assertEqual([e["pid"] for e in d.wait_events(2, "close", "a")], [first, second])

    def test_numbers_grow_by_one_and_old_events_can_be_asked_for(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
        """)
        d.wait_state("a", "RUNNING")
        for _ in range(20):
            d.deed("restart", "a")
        d.wait_events(20, "close", "a")  # the last that comes of it
        lines = d.get("/v1/events").lines
        self.assertEqual([e["seq"] for e in lines], list(range(1, len(lines) + 1)))
        self.assertEqual((lines[0]["event"], lines[0]["what"]), ("daemon", "started"))
        later = d.get("/v1/events", since=50).lines
        self.assertEqual(later, lines[50:])
        mine = d.get("/v1/events", since=50, match="nobody*").body
        self.assertEqual(mine, b"")

    def test_of_several_names(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            [program:b]
            command=sleep 1000
            [program:c]
            command=sleep 1000
        """)
        for name in "abc":
            d.wait_event("spawn", name)
        lines = d.get("/v1/events", match=["a", "c:"]).lines
        self.assertEqual({e["process"] for e in lines}, {"a:a", "c:c"})
        stream = d.client.stream("/v1/events?match=a&match=c:&follow=1&since=0")
        data = stream.until(lambda data: data if b'"a:a"' in data and b'"c:c"' in data else None, "both")
        self.assertNotIn(b'"b:b"', data)
        stream.close()

    def test_what_has_been_forgotten_is_a_gap(self):
        d = self.daemon("""
            [program:w]
            command=sleep 1000
            startsecs=0
            numprocs=20
            process_name=%(process_num)d
        """)
        last = 0
        while last < 5000:
            d.act("restart", "*")
            lines = d.get("/v1/events", since=last).lines
            last = lines[-1]["seq"]
        lines = d.get("/v1/events", since=0).lines
        self.assertEqual(lines[0]["event"], "gap")
        self.assertEqual(len(lines) - 1, 4096)
        self.assertEqual(lines[0]["missed"], lines[1]["seq"] - 1)

    def test_every_follower_is_told_the_same(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
        """)
        d.wait_state("a", "RUNNING")
        followers = [client.Events(d.client) for _ in range(10)]
        for _ in range(5):
            d.deed("restart", "a")
        d.kill()
        told = [f.until_end() for f in followers]
        for f in followers:
            f.close()
        self.assertTrue(all(t == told[0] for t in told))
        self.assertEqual(self.states_of(told[0]).count("RUNNING"), 6)
        self.assertEqual([e["what"] for e in told[0] if e["event"] == "daemon"], ["started", "stopping"])


if __name__ == "__main__":
    unittest.main()
