"""Every option of Node's spawn, exec, execFile and fork: the key that stands for it, and its effect seen from inside.

`inherits` (tests/tools) prints all that a program is born with; a row says what must be among it.
"""
import json
import os
import random
import re
import signal
import subprocess
import unittest

import drover

INHERITS = os.path.join(os.path.dirname(drover.DROVERD), "tests", "inherits")


def read_report(path):
    """What `inherits` has written: {key: value}, with the descriptors and variables under "fd" and "env"."""
    report = {"fd": {}, "env": {}, "limit": {}, "argv": {}}
    with open(path, encoding="utf-8") as f:
        for line in f.read().splitlines():
            key, _, value = line.partition(" ")
            if key == "fd":
                m = re.fullmatch(r"(\d+) (\S+) (\w+) cloexec=(\d) nonblock=(\d) access=(\d)", value)
                report["fd"][int(m.group(1))] = (m.group(3), int(m.group(6)), m.group(2), m.group(4) + m.group(5))
            elif key == "env":
                name, _, text = value.partition("=")
                report["env"][name] = text
            elif key in ("limit", "argv"):
                name, _, text = value.partition(" ")
                report[key][name] = text
            else:
                report[key] = value
    return report


def identity(path):
    s = os.stat(path)
    return "%d:%d" % (s.st_dev, s.st_ino)


def disposition():
    """The state of a daemon's starter who ignores and blocks what it can."""
    for s in (signal.SIGINT, signal.SIGPIPE, signal.SIGUSR1, signal.SIGRTMIN + 3):
        signal.signal(s, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGCHLD, signal.SIGRTMIN + 5])


class Lists(drover.TestCase):
    WORDS = ["pipe", "ignore", "inherit", "null", "0", "1", "2", "</dev/zero", ">>/dev/full", "> FILE"]

    def given(self):
        return {0: ("character", 2, identity("/dev/null")), 1: ("file", 1, identity(self.path("stdout"))),
                2: ("file", 1, identity(self.path("stderr")))}

    def random_list(self):
        words = [random.choice(self.WORDS) for _ in range(random.randrange(1, 20))]
        return ["pipe" if word == "inherit" and place > 2 else word for place, word in enumerate(words)]

    def model(self, words, file):
        """{descriptor: (type, access, identity or None)}, by the manual and nothing else."""
        if len(words) == 1 and words[0] in ("pipe", "ignore", "inherit"):
            words = words * 3
        words = words + ["pipe"] * (3 - len(words))
        found, given = {}, self.given()
        for place, word in enumerate(words):
            if word == "null":
                word = "pipe" if place < 3 else "ignore"
            if word == "inherit":
                word = str(place)
            if word == "pipe":
                found[place] = ("pipe", 0 if place == 0 else 1, None) if place < 3 else ("socket", 2, None)
            elif word == "ignore":
                if place < 3:
                    found[place] = ("character", 2, identity("/dev/null"))
            elif word.isdigit():
                found[place] = given[int(word)]
            elif word == "> FILE":
                found[place] = ("file", 1, identity(file))
            else:
                found[place] = ("character", 0 if word[0] == "<" else 1, identity(word.strip("<>")))
        return found

    @drover.slow(120)
    def test_two_hundred_random_lists(self):
        random.seed(90125)
        lists = {"p%03d" % i: self.random_list() for i in range(200)}
        text = "".join("[program:%s]\ncommand=%s %%(here)s/out.%s\nstartsecs=0\nautorestart=false\n"
                       "inherit_environment=false\nenvironment=OWN=\"1\"\nstdio=%s\n" %
                       (name, INHERITS, name, ", ".join(w.replace("FILE", self.path("file." + name)) for w in words))
                       for name, words in lists.items())
        d = self.daemon(text, native=True, preexec_fn=disposition)
        d.wait_all("EXITED")
        pipes = set()
        for name, words in lists.items():
            with self.subTest(name=name, stdio=", ".join(words)):
                report = read_report(self.path("out." + name))
                model = self.model(words, self.path("file." + name))
                self.assertEqual({n: f[:2] + (f[2] if model.get(n, f)[2] is not None else None,)
                                  for n, f in report["fd"].items()}, model)
                self.assertEqual({f[3] for f in report["fd"].values()} - {"00"}, set(), "cloexec or nonblock")
                own = [f[2] for n, f in report["fd"].items() if model[n][2] is None]
                self.assertEqual(len(set(own) - pipes), len(own), "a pipe that somebody else has")
                pipes |= set(own)
                for key in ("SigBlk", "SigIgn", "SigPnd"):
                    self.assertEqual(int(report[key], 16), 0, key)
                self.assertEqual(report["env"], {"OWN": "1", "SUPERVISOR_ENABLED": "1",
                                                 "SUPERVISOR_PROCESS_NAME": name, "SUPERVISOR_GROUP_NAME": name,
                                                 "SUPERVISOR_SERVER_URL": "unix://" + d.socket})
                self.assertEqual(report["pgid"], report["pid"])


ROOT = os.geteuid() == 0

# option of Node, keys, what the report has to have: a path of keys into it, and a value or a test of it
ROWS = [
    ("file, args", "command=INHERITS OUT 'two words' \"\"", {"argv": {"2": "two words", "3": ""}}),
    ("argv0", "argv0=another", {"argv": {"0": "another"}}),
    ("shell", "shell=true\ncommand=X=1; export X; exec INHERITS OUT $((1+1))", {"argv": {"2": "2"}, "env": {"X": "1"}}),
    ("shell: a path", "shell=/bin/bash\ncommand=exec INHERITS OUT {a,b}", {"argv": {"2": "a", "3": "b"}}),
    ("cwd", "directory=/usr", {"cwd": "/usr"}),
    ("cwd: the daemon's", "", {"cwd": "HERE"}),
    ("env: replaced", "inherit_environment=false\nenvironment=A=\"1\"",
     {"env": lambda env: set(env) - {"A"} == {n for n in env if n.startswith("SUPERVISOR_")} and env["A"] == "1"}),
    ("env: added to", "environment=A=\"x y\"", {"env": {"A": "x y", "OF_THE_DAEMON": "yes"}}),
    ("env: some of the daemon's", "inherit_environment=OF_THE_DAEMON",
     {"env": lambda env: env["OF_THE_DAEMON"] == "yes" and "PATH" not in env}),
    ("env: from a file", "environment_file=%(here)s/variables", {"env": {"FROM_FILE": "it is"}}),
    ("stdio: pipe", "stdio=pipe, pipe, pipe, pipe",
     {"fd": lambda fd: [fd[n][0] for n in sorted(fd)] == ["pipe", "pipe", "pipe", "socket"]}),
    ("stdio: ignore", "stdio=ignore, ignore, ignore, ignore",
     {"fd": lambda fd: [fd[n][2] for n in sorted(fd)] == [identity("/dev/null")] * 3}),
    ("stdio: inherit", "stdio=inherit", {"fd": lambda fd: fd[0][2] == identity("/dev/null") and fd[1][0] == "file"}),
    ("stdio: a descriptor", "stdio=pipe, 2, 1, 2", {"fd": lambda fd: fd[1][2] == fd[3][2] != fd[2][2]}),
    ("stdio: a stream of a file", "stdio=</dev/zero, >>/dev/full, >%(here)s/made",
     {"fd": lambda fd: [fd[n][2] for n in range(2)] == [identity("/dev/zero"), identity("/dev/full")] and
      fd[2][0] == "file"}),
    ("stdio: ipc", "stdio=pipe, pipe, pipe, ignore, ipc",
     {"fd": lambda fd: sorted(fd) == [0, 1, 2, 4] and fd[4][0] == "socket",
      "env": {"NODE_CHANNEL_FD": "4", "DROVER_CHANNEL_FD": "4"}}),
    ("fork", "ipc=true", {"env": {"NODE_CHANNEL_FD": "3", "NODE_CHANNEL_SERIALIZATION_MODE": "json"},
                          "fd": lambda fd: fd[3][0] == "socket"}),
    ("execPath, execArgv", "command=INHERITS OUT --stack-size=1 script", {"argv": {"2": "--stack-size=1"}}),
    ("a group for killSignal", "", {"pgid": lambda pgid: int(pgid) > 1}),
    # beyond Node
    ("umask", "umask=027", {"umask": "0027"}),
    ("limits", "limit_nofile=77:88\nlimit_core=0", {"limit": {"nofile": "77 88", "core": "0 0"}}),
]
ROWS_OF_ROOT = [
    ("uid", "uid=nobody", {"Uid": "Uid 65534 65534 65534 65534"}),
    ("uid, gid", "uid=4711\ngid=4712", {"Uid": "Uid 4711 4711 4711 4711", "Gid": "Gid 4712 4712 4712 4712",
                                        "Groups": "Groups 4712"}),
    ("groups", "uid=4711\ngid=4712\ngroups=5, 6", {"Groups": "Groups 5 6"}),
    ("no groups", "uid=nobody\ngroups=none", {"Groups": "Groups"}),
    ("no capability", "capabilities=none", {"CapEff": "CapEff 0000000000000000"}),
]


class Options(drover.TestCase):
    def fits(self, wanted, got, key):
        if callable(wanted):
            self.assertTrue(wanted(got), got)
        elif isinstance(wanted, dict):
            self.assertEqual({k: got.get(k) for k in wanted}, wanted)
        else:
            text = "%s %s" % (key, got) if wanted.startswith(key) else got
            self.assertEqual(text.strip(), wanted.replace("HERE", os.path.realpath(self.directory)))

    def test_each_seen_from_inside(self):
        rows = ROWS + (ROWS_OF_ROOT if ROOT else [])
        self.write("variables", "FROM_FILE='it is'\n")
        os.chmod(self.directory, 0o777)
        text = ""
        for i, (_, keys, _) in enumerate(rows):
            if "command=" not in keys:
                keys += "\ncommand=INHERITS OUT"
            text += "[program:p%d]\nstartsecs=0\nautorestart=false\n%s\n" % (
                i, keys.replace("INHERITS", INHERITS).replace("OUT", self.path("out.%d" % i)))
        d = self.daemon(text, native=True, env={"OF_THE_DAEMON": "yes"})
        d.wait_all("EXITED")
        for i, (option, keys, effects) in enumerate(rows):
            report = read_report(self.path("out.%d" % i))
            for key, wanted in effects.items():
                with self.subTest(option=option, keys=keys, effect=key):
                    self.fits(wanted, report[key], key)

    def state(self, keys, command="sleep 1000"):
        return self.daemon("[program:a]\ncommand=%s\nstartsecs=0\nautorestart=false\n%s" % (command, keys), native=True)

    def test_timeout_and_kill_signal(self):
        d = self.state("timeout=200ms\ntimeout_signal=INT\n")
        self.assertEqual(d.wait_event("exit", "a")["signal"], "SIGINT")

    def test_signal_of_an_abort(self):
        d = self.state("stopsignal=USR1\n")
        d.wait_state("a", "RUNNING")
        d.stop("a")
        self.assertEqual(d.wait_event("exit", "a")["signal"], "SIGUSR1")

    def test_detached(self):
        out = self.path("out")
        d = self.state("detached=true\nstdio=ignore, ignore, ignore\n", "%s %s" % (INHERITS, out))
        d.wait_event("exit", "a")
        report = read_report(out)
        self.assertEqual((report["sid"], report["pgid"]), (report["pid"], report["pid"]), "leads a session of its own")
        self.assertEqual({f[2] for f in report["fd"].values()}, {identity("/dev/null")})

    def run_json(self, *words):
        d = self.state("")
        r = subprocess.run([drover.DROVERCTL, "-c", d.file, "run", "--json", *words], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, timeout=50)
        return json.loads(r.stdout)

    def test_max_buffer(self):
        end = self.run_json("--max-buffer", "4", "--", "yes")
        self.assertEqual((end["stdout"], end["error"]["code"], end["signal"]), ("y\ny\n", "ENOBUFS", "SIGTERM"))

    def test_input(self):
        self.assertEqual(self.run_json("--input", self.write("input", "given\n"), "--", "cat")["stdout"], "given\n")

    def test_silent(self):
        d = self.state("", "echo heard")
        d.wait_output("a", "heard\n")


if __name__ == "__main__":
    unittest.main()
