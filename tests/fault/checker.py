"""What must hold after every fault, whatever it was.

Three who know of the jobs are compared: the kernel (who is alive below the guardian), the daemon (what it answers at
its socket), and the jobs themselves (the trace of births and ends that fault-job writes, and the lines in their logs).
A check gives a list of complaints; none is the only good one.
"""
import glob
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
sys.dont_write_bytecode = True
import procs  # noqa: E402

ANSWER_WITHIN = 1.0  # seconds, of a daemon that has been killed
SETTLE = 20.0        # seconds in which what is under way comes to an end
LOOKS = 20           # and at least so many looks: the machine may stand still over one of them
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ")
WORKERS = "node", "python", "c"  # jobs that talk to each other, and are to live from the beginning to the end
UNTOUCHED = "exit", "log"  # jobs whom no operator stops before the end


def status_of(pid):
    """With which status a fault-job of that pid exits."""
    return pid % 200 + 1


class Trace:
    """What the jobs have written of themselves: (pid, run) of each, the run being what a pid is not: unique."""

    def __init__(self, path):
        self.starts, self.ends, self.quiet, self.doubles = {}, {}, {}, []
        for line in procs.read(path).decode().splitlines():
            word, name, *numbers = line.split()
            pid, run, *rest = map(int, numbers)
            if word == "start":
                self.starts.setdefault(name, []).append((pid, run))
            elif word == "end":
                self.ends.setdefault(name, {})[run] = rest
            elif word == "quiet":
                self.quiet[name] = run
            elif word in ("eof", "broken") and name.startswith(WORKERS):
                self.doubles.append("%s (%d): %s" % (name, pid, "the end of its channel" if word == "eof" else
                                                     "what came was not what was sent"))
            elif word == "double":
                self.doubles.append("%s was started twice, the second time as %d" % (name, pid))


class Past:
    """Guardians before this one: how many were killed; who outlived one of them, so that nobody may have seen its end; and
    how many starts of each were before it forgot them in order."""

    def __init__(self):
        self.deaths, self.orphans, self.starts = 0, set(), {}


# -- now -----------------------------------------------------------------------------

def living(daemon):
    """All that came of the daemon, and of those before it: what is nobody's any more is ours, see procs."""
    ours = [pid for pid in procs.children(os.getpid()) if pid not in daemon.test.known]
    found = set(procs.descendants(daemon.pid)).union(ours, *map(procs.descendants, ours))
    return {pid for pid in found if procs.alive(pid)}


def check_records(daemon, records):
    """Who lives and who is said to live are the same."""
    complaints, supervisor = {}, daemon.supervisor
    alive = living(daemon) - {supervisor}
    known = {p["pid"]: name for name, p in records.items() if p["pid"] != 0}
    for name, p in records.items():
        if p["statename"] in ("RUNNING", "STOPPING") and p["pid"] not in alive:
            complaints["gone", p["pid"]] = "%s is %s, but its process %d is not there" % (name, p["statename"], p["pid"])
        if p["statename"] in ("STOPPED", "FATAL", "UNKNOWN") and p["pid"] != 0:
            complaints["state", name] = "%s is %s with pid %d" % (name, p["statename"], p["pid"])
    for pid in alive - set(known):
        complaints["stray", pid] = "process %d (%s) is in no record" % (pid, procs.command_line(pid))
    return complaints


def check_tallies(records, before, after, refused, past):
    """Each exit of those whom no operator touches is one restart, and its status is the right one.  refused: a start may
    have been, or ended before the job could say anything, and that counts, too.
    past: what was before this daemon."""
    complaints = {}
    for name, p in records.items():
        plain = name.split(":")[1]
        if not plain.startswith(UNTOUCHED):
            continue
        skip = past.starts.get(plain, 0)
        low, starts = len(before.starts.get(plain, [])) - skip, after.starts.get(plain, [])[skip:]
        if not low <= p["restarts"] + 1 or (p["restarts"] > len(starts) + past.deaths and not refused):
            complaints["tally", name] = "%s has been started %d to %d times, and counts %d restarts" % (
                name, low, len(starts) + 1, p["restarts"])
        pids = [pid for pid, _ in starts]
        if p["pid"] in pids[1:]:
            last = pids[len(pids) - 2 - pids[::-1].index(p["pid"])]
            if last not in past.orphans and (p["exit"] is not None or not refused) and (p["exit"] or {}).get("status") != status_of(last):
                complaints["status", name] = "%s: pid %d ended with %d; the daemon says %r" % (
                    name, last, status_of(last), p["exit"])
    return complaints


def check_acknowledged(records, expected):
    return {("told", name): "%s was told to be %s, which was acknowledged, and is %s" %
            (name, state, records[name]["statename"])
            for name, state in expected.items() if state is not None and records[name]["statename"] != state}


def check_once(daemon, trace_path, expected, refused, past):
    before = Trace(trace_path)
    began = time.monotonic()
    records = daemon.all()
    took = time.monotonic() - began
    complaints = check_records(daemon, records)
    after = Trace(trace_path)
    complaints.update(check_tallies(records, before, after, refused, past))
    complaints.update(check_acknowledged(records, expected))
    if took > ANSWER_WITHIN:
        complaints["slow", 0] = "the daemon took %.2f s for an answer" % took
    return complaints, after.doubles


def check_now(daemon, trace_path, expected, refused, past):
    """Jobs come and go while we look: a complaint counts when it does not go away."""
    complaints, doubles = check_once(daemon, trace_path, expected, refused, past)
    deadline, looks = time.monotonic() + SETTLE, 1
    while complaints and not doubles and (time.monotonic() < deadline or looks < LOOKS):
        looks += 1
        time.sleep(0.02)
        again, doubles = check_once(daemon, trace_path, expected, refused, past)
        complaints = {key: text for key, text in again.items() if key in complaints}
    return doubles + list(complaints.values())


def weigh(daemon):
    """What the guardian and the supervisor hold while no job runs: KiB and descriptors."""
    def of(pid):
        return {"descriptors": len(procs.descriptors(pid)),
                "KiB": int(procs.status(pid)["RssAnon"].split()[0])}
    return {"guardian": of(daemon.pid), "supervisor": of(daemon.supervisor)}


# The pipes through which logs move are made as they are needed, and then kept; and libc keeps some of what jobs took.
SLACK = {"descriptors": 2 * 24 + 6, "KiB": 1100}
SLACK_JOB = {"descriptors": 0, "KiB": 3}


def check_weight(daemon, before, jobs):
    """What has been dropped is let go a little later."""
    deadline = time.monotonic() + SETTLE
    while True:
        over = time.monotonic() > deadline
        after = weigh(daemon)
        found = ["the %s has %d %s, and had %d before" % (who, after[who][what], what, before[who][what])
                 for who in before for what in before[who]
                 if after[who][what] > before[who][what] + SLACK[what] + jobs * SLACK_JOB[what]]
        if not found or over:
            return found
        time.sleep(0.02)


# -- in the end -----------------------------------------------------------------------

def check_counts(records, trace):
    """When all have been stopped: exactly."""
    complaints = []
    for name, p in records.items():
        plain = name.split(":")[1]
        starts, ends = trace.starts.get(plain, []), trace.ends.get(plain, {})
        early = p["exit"] is not None and p["exit"]["signal"] == "SIGTERM"  # before its first line
        if plain.startswith(UNTOUCHED) and p["restarts"] + 1 - early != len(starts):
            complaints.append("%s was started %d times and counts %d restarts" % (name, len(starts), p["restarts"]))
        missing = [run for run in starts if run[1] not in ends]
        if missing:
            complaints.append("%s: %s ended without having been told to" % (name, missing))
        if starts and not early and p["statename"] == "STOPPED" and p["exit"]["status"] != status_of(starts[-1][0]):
            complaints.append("%s: the last of it ended with %d; the daemon says %r" %
                              (name, status_of(starts[-1][0]), p["exit"]))
    return complaints


def log_files(path):
    numbered = [p for p in glob.glob(glob.escape(path) + ".*") if p.rpartition(".")[2].isdigit()]
    return sorted(numbered, key=lambda p: -int(p.rpartition(".")[2])) + ([path] if os.path.exists(path) else [])


def undo(form, data):
    """The bytes as the job wrote them."""
    if form == "timestamp":
        return b"".join(TIME.sub(b"", line, 1) for line in data.splitlines(True))
    if form == "json":
        return b"".join(json.loads(line)["message"].encode() + b"\n" for line in data.splitlines())
    return data


def check_log(paths, form, written):
    """paths: where it was, and where it is now.  written: how many lines each run says that it has printed."""
    path = paths[-1]
    try:
        data = undo(form, b"".join(procs.read(f) for p in paths for f in log_files(p)))
    except ValueError as e:
        return ["%s: %s" % (path, e)]
    found = {}
    for number, line in enumerate(data.split(b"\n")[:-1]):
        head = line.split(b" ", 2)
        run = int(head[0]) if head[0].isdigit() else -1
        n = found.get(run, 0)
        if line != b"%d %d %s" % (run, n, b"x" * (n * 7919 % 190)):
            return ["%s: line %d, expected to be number %d of its run: %r" % (path, number, n, line[:80])]
        found[run] = n + 1
    complaints = [] if data.endswith(b"\n") or not data else ["%s ends amid a line" % path]
    for run, n in written.items():
        if found.get(run, 0) != n:
            complaints.append("%s: run %d wrote %d lines, %d are there" % (path, run, n, found.get(run, 0)))
    return complaints


def check_logs(directories, jobs, trace):
    """directories: that of the logs, behind those in which they were before; jobs: (name, format of the logs)."""
    complaints = []
    for name, form in jobs:
        for i, stream in enumerate(("out", "err")):
            written = {run: end[1 + i] for run, end in trace.ends.get(name, {}).items()}
            paths = [os.path.join(d, "%s.%s" % (name, stream)) for d in directories]
            complaints += check_log(paths, form, written)
    return complaints


class Book:
    """What a worker knows of its messages; see fault-worker.c."""

    def __init__(self, path):
        self.sent, self.done, self.got, self.wrote, self.answers = {}, {}, [], [], []
        for line in procs.read(path).decode().splitlines():
            word, *rest = line.split()
            if word == "s":
                self.sent[int(rest[1])] = rest[0]
            elif word in "kb":
                self.done.setdefault(int(rest[0]), []).append(" ".join([word] + rest[1:]))
            elif word == "r":
                self.got.append((rest[0], int(rest[1])))
            elif word == "w":
                self.wrote.append((rest[0], int(rest[1])))
            elif word == "v":
                self.answers.append((rest[0], int(rest[1]), int(rest[2])))


def check_order(name, what, pairs):
    """Of each sender once, and in the order in which it has sent."""
    last = {}
    for sender, n in pairs:
        if last.setdefault(sender, 0) >= n:
            return ["%s: %s %d of %s came behind number %d" % (name, what, n, sender, last[sender])]
        last[sender] = n
    return []


def check_relay(directory, names, records):
    """Complaints, and how many messages there were, were missed, and were counted as lost."""
    books = {name: Book(os.path.join(directory, "book." + name)) for name in names}
    channels = {name: records["%s:%s" % (name, name)]["channel"] for name in names}
    complaints, missed, unsure = [], [], 0
    for name, book in books.items():
        error = procs.read(os.path.join(directory, name + ".err")).decode(errors="replace")
        complaints += ["%s said: %s" % (name, error[:300])] if error else []
        complaints += check_order(name, "message", book.got) + check_order(name, "answer", [a[:2] for a in book.answers])
        c = channels[name]
        if not c["open"] or c["malformed"] + c["oversized"] + c["cut"] > 0:
            complaints.append("%s: its channel is %r" % (name, c))
        missed += ["answer %d of %s to %s" % (k, name, to) for to, k in book.wrote
                   if to in books and k not in {a[1] for a in books[to].answers if a[0] == name}]
    got = {to: set(book.got) for to, book in books.items()}
    for name, book in books.items():
        answered = {a[2] for a in book.answers}
        for n, to in book.sent.items():
            there, end = (name, n) in got[to], book.done.get(n, [])
            untrue = ("b EHOSTDOWN", "b ENOBUFS") if there else ("k", "b ECONNRESET")  # the last: its answer was lost
            if len(end) > 1 or end[:1] in [[word] for word in untrue]:
                complaints.append("%s: message %d to %s: %s, and %s" % (name, n, to, "it came" if there else "it did not",
                                                                       "told " + " ".join(end)))
            missed += ["message %d of %s to %s" % (n, name, to)] if not there and not end else []
            unsure += there and not end and n not in answered
    lost, handles = (sum(c[k] for c in channels.values()) for k in ("lost", "handles_lost"))
    # Of a message without an id nobody is told that there was no room for it.
    told = sum(words.count("b ENOBUFS") for book in books.values() for words in book.done.values())
    untold = max(0, sum(c["bounced"] for c in channels.values()) - told)
    if not len(missed) <= lost + handles + untold:  # what was told again was lost as well
        complaints.append("%d messages are missed (%s), of %d nobody was told; %d are counted as lost, %d descriptors, %d refused" % (
            len(missed), ", ".join(missed[:5]), unsure, lost, handles, untold))
    return complaints, (sum(len(b.sent) for b in books.values()), len(missed), lost)


def check_echo(paths, acknowledged, unknown):
    """What was handed over came out again, in its order and once; what was not acknowledged may have."""
    path = paths[-1]
    complaints, lines = [], [int(n) for p in paths for f in log_files(p) for n in procs.read(f).split()]
    if lines != sorted(set(lines)):
        complaints.append("%s: not in order, or doubled" % path)
    lost = [n for n in acknowledged if n not in set(lines)]
    if lost:
        complaints.append("%s: %d of %d acknowledged lines are not there: %s" %
                          (path, len(lost), len(acknowledged), lost[:5]))
    strange = set(lines) - set(acknowledged) - set(unknown)
    return complaints + (["%s: lines that nobody sent: %s" % (path, sorted(strange)[:5])] if strange else [])
