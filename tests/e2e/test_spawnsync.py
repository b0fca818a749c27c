"""droverctl run --json beside spawnSync of Node, the same commands: the same fields.

On purpose not the same: a command that does not read its input is no error (EPIPE there), and what a command prints
after it was told to end is still taken (there its pipes are closed at once, and it dies of SIGPIPE).
"""
import base64
import json
import os
import subprocess
import unittest

import drover

# Runs the cases that it reads, and prints what spawnSync gave.
NODE = r"""
const { spawnSync } = require('child_process');
const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const text = (x) => x === null || x === undefined ? null : x.toString('base64');
process.stdout.write(JSON.stringify(cases.map(({ file, args, options }) => {
  const r = spawnSync(file, args, options);
  return { pid: r.pid, status: r.status, signal: r.signal, stdout: text(r.stdout), stderr: text(r.stderr),
           error: r.error ? { code: r.error.code, syscall: r.error.syscall, path: r.error.path } : null };
})));
"""

SH = "/bin/sh"


def case(*command, same=(), **options):
    """A command with the options of spawnSync.  `same` names what is compared besides, or `-stdout` what is not."""
    return {"file": command[0], "args": list(command[1:]), "options": options, "same": same}


def sh(script, **more):
    return case(SH, "-c", script, **more)


class SpawnSync(drover.TestCase):
    def setUp(self):
        super().setUp()
        self.node = self.needs("node")

    def words(self, c):
        """The options of droverctl run for those of spawnSync."""
        o, words = dict(c["options"]), ["--json"]
        for name, flag in (("cwd", "--cwd"), ("argv0", "--argv0"), ("uid", "--uid"), ("gid", "--gid"),
                           ("killSignal", "--kill-signal"), ("maxBuffer", "--max-buffer")):
            if name in o:
                words += [flag, str(o.pop(name))]
        if "timeout" in o:
            words += ["--timeout", "%dms" % o.pop("timeout")]
        if "env" in o:
            words += ["--set", "inherit_environment=false"]
            for pair in o.pop("env").items():
                words += ["--env", "%s=%s" % pair]
        shell = o.pop("shell", False)
        if shell:
            words += ["--shell"] if shell is True else ["--set", "shell=" + shell]
        if "stdio" in o:
            stdio = o.pop("stdio")
            words += ["--stdio", stdio if isinstance(stdio, str) else ", ".join(str(e) for e in stdio)]
        given = o.pop("input", None)
        if given is not None:
            words += ["--input", "-"]
        self.assertEqual(o, {}, "options that this test does not translate")
        return words, given

    def ours(self, c):
        words, given = self.words(c)
        r = subprocess.run([drover.DROVERCTL, "-c", self.d.file, "run", *words, "--", c["file"], *c["args"]],
                           input=(given or "").encode(), stdout=subprocess.PIPE, timeout=50, **self.who)
        return json.loads(r.stdout)

    def theirs(self, cases):
        text = json.dumps([{k: c[k] for k in ("file", "args", "options")} for c in cases])
        r = subprocess.run([self.node, "-e", NODE], input=text.encode(), stdout=subprocess.PIPE, timeout=50,
                           check=True, **self.who)
        return json.loads(r.stdout)

    def differ(self, c, ours, theirs):
        """What is not the same: (ours, theirs) of each; nothing if all is."""
        for stream in ("stdout", "stderr"):
            if stream + "_base64" in ours:
                ours[stream] = ours.pop(stream + "_base64")
            elif ours[stream] is not None:
                ours[stream] = base64.b64encode(ours[stream].encode()).decode()
        theirs["pid"], ours["pid"] = theirs["pid"] > 0, ours["pid"] > 0
        keys = {"pid", "status", "signal", "stdout", "stderr"} - {s[1:] for s in c["same"] if s[0] == "-"}
        found = {k: (ours[k], theirs[k]) for k in keys if ours[k] != theirs[k]}
        ours, theirs = (dict.fromkeys(("code", "path", "syscall"), "") if e["error"] is None else e["error"]
                        for e in (ours, theirs))
        for k in ["code"] + ["path"] * ("path" in c["same"]):
            if ours[k] != theirs[k]:
                found[k] = ours[k], theirs[k]
        if not theirs["syscall"].startswith(ours["syscall"]):
            found["syscall"] = ours["syscall"], theirs["syscall"]
        return found


    def compare(self, cases, **who):
        self.who = who
        for c, theirs in zip(cases, self.theirs(cases)):
            with self.subTest(command=[c["file"], *c["args"]], options=c["options"]):
                found, timeout = self.differ(c, self.ours(c), theirs), c["options"].get("timeout")
                while found and timeout in (200, 2000):  # what is to come before takes as long as the machine takes
                    timeout *= 10
                    c = {**c, "options": {**c["options"], "timeout": timeout}}
                    found = self.differ(c, self.ours(c), self.theirs([c])[0])
                self.assertEqual(found, {})

    def test_the_same_fields(self):
        self.d = self.daemon("", native=True)
        plain = self.write("plain", "echo no\n")
        broken = self.write("broken", "#!/no/such/interpreter\n", 0o755)
        os.mkdir(self.path("bin"))
        self.write("bin/tool", "#!/bin/sh\necho the tool\n", 0o755)
        self.compare([
            case("true"),
            case("false"),
            sh("exit 3"),
            sh("exit 255"),
            sh("echo out; echo err >&2"),
            sh("printf '\\000\\377\\200'; printf '\\303\\244' >&2"),
            case("seq", "1", "100000"),
            sh("kill -TERM $$"),
            sh("echo before; kill -KILL $$"),
            sh("ulimit -c 0; kill -SEGV $$"),
            sh("kill -USR1 $$"),
            case("printf", "[%s]", "a b", "", "ä€😀", "'\"\\", "$HOME", "*"),
            # what cannot be started
            case("no-such-command", same=["path"]),
            case("/no/such/command", same=["path"]),
            case("./no-such-command", same=["path"]),
            case(plain, same=["path"]),
            case("/etc", same=["path"]),
            case(broken, same=["path"]),
            case("true", cwd="/no/such/directory"),
            case("no-such-command", env={"PATH": "/nowhere"}),
            # how it is run
            case("pwd", cwd="/usr"),
            case("./tool", cwd=self.path("bin")),
            case("tool", env={"PATH": self.path("bin")}),
            case("/usr/bin/env", env={"ONE": "1", "TWO": "two words"}),
            sh("tr '\\0' ' ' </proc/$$/cmdline", argv0="another"),
            case("echo $0 |", "tr a-z A-Z;", "exit 4", shell=True),
            case("no-such-command-here", shell=True),
            case("echo ${BASH_VERSION:+bash}", shell="/bin/bash"),
            # input and output
            case("cat", input="some\ninput"),
            case("cat"),
            case("wc", "-c", input="ä" * 100000),
            sh("echo out; echo err >&2", stdio="ignore"),
            sh("echo out; echo err >&2", stdio=["pipe", "ignore", "pipe"]),
            sh("echo out; echo err >&2", stdio=["ignore", "pipe", "ignore"]),
            sh("(sleep 0.2; echo later) & echo now"),
            # its bounds
            sh("echo begun; exec sleep 100", timeout=200),
            sh("exec sleep 100", timeout=200, killSignal="SIGKILL"),
            sh("trap 'exit 0' INT; while :; do sleep 0.01; done", timeout=200, killSignal="SIGINT"),
            case("head", "-c", "1000", "/dev/zero", maxBuffer=1000),
            sh("head -c 1001 /dev/zero; exec sleep 100", maxBuffer=1000, same=["-stdout"]),
            sh("head -c 200000 /dev/zero >&2; exec sleep 100", maxBuffer=100000, same=["-stderr"]),
            # 1 MiB if nothing else is said; head itself may die of the pipe before it is told to end
            sh("head -c 2000000 /dev/zero; exec sleep 100", same=["-stdout"]),
        ])

    def test_another_user(self):
        self.needs_root()
        self.d = self.daemon("", native=True)
        self.compare([
            sh("id -u; id -g", uid=65534, gid=65534),
            sh("id -u", uid=4711, gid=4712),
        ])

    def test_a_user_that_it_may_not_become(self):
        self.needs_root()
        os.chmod(self.directory, 0o777)
        self.d = self.daemon("", native=True, user=65534, group=65534, extra_groups=[])
        self.compare([
            case("true", uid=0),
            case("true", gid=0),
            case("id", "-u", uid=65534),
        ], user=65534, group=65534, extra_groups=[])


if __name__ == "__main__":
    unittest.main()
