"""The rows of the table, and the scenes in which they are measured.

A scene is a set-up that several rows share, for one kind of fleet or for all at once.  What it finds out goes to
`bench.note(figure, who, value)`; the table makes medians of it.
"""
import os
import random
import subprocess
import time

import fleet
import machine

THOUSAND = 1000
SINGLES = 150           # jobs that are killed one after the other, in one round
SINGLES_SLOW = 6        # for one who takes a second for each
IDLE_SECONDS = 20
STORM_SECONDS = 3.0
CALLS = 15              # of a command line client, in one round
CALLS_SLOW = 2
STATUS_FIELDS = "fields=name,group,statename,state,description,comment"


class Figure:
    """One line of the table.

    Goals: ("x<=", 2.5) and ("x>=", 0.6) bound the ratio to the limit; ("<=", 3.0) and (">=", 200) the figure itself.
    """

    def __init__(self, row, key, what, unit, goal, pooled=None):
        self.row, self.key, self.what, self.unit, self.goal = row, key, what, unit, goal
        self.pooled = pooled  # a percentile over the samples of all rounds, in place of the median of the rounds


FIGURES = [
    Figure(1, "memory", "memory for 1,000 jobs, both streams in rotated files (PSS)", "MiB", ("<=", 3.0)),
    Figure(2, "start", "start to the first instruction of the last of 1,000 jobs", "ms", ("x<=", 2.5)),
    Figure(3, "single", "kill -9 to the successor's first instruction, p50", "ms", ("x<=", 1.5), pooled=50),
    Figure(3, "single", "the same, p99", "ms", ("x<=", 2.0), pooled=99),
    Figure(4, "mass", "1,000 killed at once, the last one back", "ms", ("x<=", 2.5)),
    Figure(4, "miscounted", "of these, not counted as exactly one restart", "", ("<=", 0)),
    Figure(5, "storm 1", "restarts a second, 1 job that ends at once", "/s", ("x>=", 0.6)),
    Figure(5, "storm 10", "restarts a second, 10 such jobs", "/s", ("x>=", 0.6)),
    Figure(5, "beside", "requests a second beside 10 such jobs at the default pace; limit: without them", "/s",
           ("x>=", 0.9)),
    Figure(8, "status one", "status of one of 1,000, a whole process", "ms", ("x<=", 2.5)),
    Figure(8, "status all", "status of all 1,000", "ms", ("x<=", 10)),
    Figure(13, "wake-ups", "wake-ups in %d idle seconds with 1,000 jobs" % IDLE_SECONDS, "", ("<=", 0)),
    Figure(13, "turns", "turns of the event loop meanwhile", "", ("<=", 0)),
    Figure(14, "rate one", "requests a second on one connection, one process", "/s", ("x>=", 0.5)),
    Figure(14, "rate all", "the same, all 1,000", "/s", (">=", 200)),
]


# -- one fleet after the other ----------------------------------------------------

def captured(bench, kind):
    """Row 1."""
    if kind is fleet.Limit:
        return weigh(bench)
    with kind(bench.tools, THOUSAND, mode="talk", captured=True) as f:
        f.await_all()
        time.sleep(3)  # until what only the start needed is gone
        bench.note("memory", kind.name, machine.pss_kib(f.supervisors()) / 1024)


def weigh(bench):
    process = subprocess.Popen([bench.tools.program("weigh"), str(THOUSAND)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    try:
        if process.stdout.readline() != b"ready\n":
            raise machine.Failure("the limit of memory did not come up")
        bench.note("memory", "limit", machine.pss_kib([process.pid]) / 1024)
    finally:
        process.kill()
        process.communicate()


def thousand(bench, kind):
    """Rows 2, 4, 8, 13 and 14: one fleet of 1,000."""
    if kind is fleet.Limit and not bench.wants(2, 4):
        return
    with kind(bench.tools, THOUSAND) as f:
        bench.note("start", kind.name, f.await_all())
        time.sleep(2)
        if kind is not fleet.Limit:
            if bench.wants(13) and bench.round == 0:
                idle(bench, f)
            if bench.wants(8):
                status(bench, f)
            if bench.wants(14):
                rate(bench, f)
        if bench.wants(4):
            mass(bench, f)


def mass(bench, f):
    before = f.restarts() if isinstance(f, fleet.Drover) else None
    f.reports.take()
    begin = machine.now_ns()
    machine.signal_all(f.pids.values(), 9)
    got = f.reports.expect(f.count, fleet.START_MAX, pause=0.05)
    if len(got) < f.count:
        raise machine.Failure("%d of %d came back" % (len(got), f.count))
    bench.note("mass", f.name, (max(at for _, _, at in got) - begin) / 1e6)
    if before is None:
        return
    time.sleep(0.5)
    after = f.restarts()
    doubled = f.reports.take()
    wrong = [name for name in before if after.get(name) != before[name] + 1]
    bench.note("miscounted", f.name, len(wrong) + len(doubled))


def idle(bench, f):
    time.sleep(5)
    ours = isinstance(f, fleet.Drover)
    looks = [look_at_turns(f) for _ in range(3)] if ours else []
    pids = f.supervisors()
    switches = machine.switches(pids)
    time.sleep(IDLE_SECONDS)
    bench.note("wake-ups", f.name, machine.switches(pids) - switches)
    if ours:
        cost_of_a_look = looks[2] - looks[1]
        bench.note("turns", f.name, max(look_at_turns(f) - looks[2] - cost_of_a_look, 0))


def look_at_turns(f):
    """The loop's turns so far; to ask takes some, too, the last of them when we hang up."""
    turns = f.get("/v1/daemon")["loop_turns"]
    time.sleep(0.3)
    return turns


def status(bench, f):
    one = "job%d" % (f.count // 2)
    for figure, command in ("status one", f.status(one)), ("status all", f.status()):
        if not isinstance(f, fleet.Drover):
            note_times(bench, CALLS_SLOW, {(figure, f.name): command})
            continue
        request = fleet.http_get("/v1/processes?" + STATUS_FIELDS + ("&match=" + one if "one" in figure else ""))
        with Bare(bench, f, request) as bare:
            note_times(bench, CALLS, {(figure, "limit"): bare.once(), (figure, f.name): command})


def note_times(bench, times, commands):
    """Runs the commands in turn, and notes the median of each in ms."""
    words = []
    for command in commands.values():
        words += ["--"] * bool(words) + command
    lines = output_of([bench.tools.program("stopwatch"), str(times)] + words)
    for i, (figure, who) in enumerate(commands):
        if any(line[2 * i + 1] != "0" for line in lines):
            raise machine.Failure("%s: exit status %s" % (" ".join(commands[figure, who]), lines[0][2 * i + 1]))
        bench.note(figure, who, bench.median([float(line[2 * i]) for line in lines]) / 1e3)


def output_of(command, seconds=120):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise machine.Failure("%s: %s" % (os.path.basename(command[0]), done.stderr.strip()))
    return [line.split() for line in done.stdout.splitlines()]


class Bare:
    """A server that gives the bytes which the daemon gave for this request, and the clients for both."""

    def __init__(self, bench, f, request):
        self.bench, self.f, self.request = bench, f, request

    def __enter__(self):
        program, self.socket = self.bench.tools.program("exchange"), self.f.path("bare")
        for name, data in ("request", self.request), ("answer", self.f.exchange(self.request)):
            with open(self.f.path(name), "wb") as file:
                file.write(data)
        self.process = subprocess.Popen([program, "serve", self.socket, self.f.path("answer")])
        machine.until(lambda: os.path.exists(self.socket), "the bare server", 10)
        return self

    def once(self):
        return [self.bench.tools.program("exchange"), "once", self.socket, self.f.path("request")]

    def rate(self, socket, seconds):
        """Requests a second of one connection."""
        return float(output_of([self.bench.tools.program("exchange"), "rate", socket, self.f.path("request"),
                                str(seconds)])[0][0])

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.unlink(self.socket)


def rate(bench, f):
    windows, seconds = (4, 0.5) if isinstance(f, fleet.Drover) else (1, 2)
    for figure, request in ("rate one", f.request_one()), ("rate all", f.request_all()):
        with Bare(bench, f, request) as bare:
            found = {"limit": [], f.name: []}
            for _ in range(windows):
                if isinstance(f, fleet.Drover):
                    found["limit"].append(bare.rate(bare.socket, seconds))
                found[f.name].append(bare.rate(f.path("s"), seconds))
            for who, values in found.items():
                if values:
                    bench.note(figure, who, bench.median(values))


def storm(bench, kind):
    """Row 5: jobs that end at once."""
    for count in 1, 10:
        with kind(bench.tools, count, mode="end", keys={"restart_interval": "0"}) as f:
            f.await_all()
            time.sleep(0.5)
            f.reports.take()
            begin = time.monotonic()
            got = sum(len(f.reports.take()) for _ in pauses(begin + STORM_SECONDS))
            bench.note("storm %d" % count, kind.name, got / (time.monotonic() - begin))


def pauses(until):
    """Steps that the fifo has room for."""
    while time.monotonic() < until:
        time.sleep(0.03)
        yield


# -- all at once: the finest way of taking turns --------------------------------------

def singles(bench, kinds):
    """Row 3: fleets side by side, all asleep; one job of one, then one of the next, is killed and waited for."""
    fleets = []
    try:
        for kind in kinds:
            fleets.append(kind(bench.tools, SINGLES).__enter__())
            fleets[-1].await_all()
        time.sleep(1.5)
        for number in range(SINGLES):
            for f in random.sample(fleets, len(fleets)):
                if number < SINGLES_SLOW or not isinstance(f, fleet.Supervisord):
                    bench.note("single", f.name, kill_one(f, number))
    finally:
        for f in fleets:
            f.__exit__()


def kill_one(f, number):
    """Milliseconds from the kill to the first instruction of the successor."""
    begin = machine.now_ns()
    os.kill(f.pids[number], 9)
    got = f.reports.expect(1, 10, pause=0.004)
    if [n for n, _, _ in got] != [number]:
        raise machine.Failure("%s: not one successor of job %d, but %d" % (f.name, number, len(got)))
    time.sleep(0.006)
    return (got[0][2] - begin) / 1e6


def beside(bench, _):
    """Row 5: ten jobs in tight loops, slowed as they are by default, beside others; who notices?"""
    loops = ["[program:loop]", "command=%s /dev/null end" % bench.tools.program("job"), "numprocs=10",
             "process_name=%(process_num)d", "startsecs=0", "autorestart=true", "autostart=false"]
    with fleet.Drover(bench.tools, 20, extra="\n".join(loops) + "\n") as f:
        f.await_all()
        with Bare(bench, f, f.request_one()) as bare:
            for _ in range(3):
                bench.note("beside", "limit", bare.rate(f.path("s"), 0.7))
                f.post("/v1/processes/loop:*/start?wait=0")
                time.sleep(0.5)
                bench.note("beside", "Drover", bare.rate(f.path("s"), 0.7))
                f.post("/v1/processes/loop:*/stop")


# scene, rows, one kind of fleet at a time?
SCENES = [
    (captured, (1,), True),
    (thousand, (2, 4, 8, 13, 14), True),
    (singles, (3,), False),
    (storm, (5,), True),
    (beside, (5,), False),
]
