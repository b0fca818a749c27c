"""The rows of the table, and the scenes in which they are measured.

A scene is a set-up that several rows share, for one kind of fleet or for all at once.  What it finds out goes to
`bench.note(figure, who, value)`; the table makes medians of it.
"""
import contextlib
import os
import random
import shutil
import signal
import subprocess
import time

import fleet
import lanes
import logs
import machine

THOUSAND = 1000
TURNS = 3               # of the limit and Drover within one round, where that is quick
SINGLES = 150           # jobs that are killed one after the other, in one round
SINGLES_SLOW = 6        # for one who takes a second for each
IDLE_SECONDS = 20
STORM_SECONDS = 1.0     # at a time
CALLS = 15              # of a command line client, in one round
CALLS_SLOW = 2
SUPERVISORS = 60        # that are killed one after the other, in one round
RUNS = 60               # of a transient process, in one round
JOURNAL_COST = 1 / 0.97   # of what takes 1 without it
STATUS_FIELDS = "fields=name,group,statename,state,description,comment"


class Figure:
    """One line of the table.

    Goals: ("x<=", 2.5) and ("x>=", 0.6) bound the ratio to the limit; ("<=", 3.0) and (">=", 200) the figure itself.
    """

    def __init__(self, row, key, what, unit, goal, pooled=None):
        self.row, self.key, self.what, self.unit, self.goal = row, key, what, unit, goal
        self.pooled = pooled  # a percentile over the samples of all rounds, in place of the median of the rounds


FIGURES = [
    Figure(1, "supervisor", "memory of the supervisor of 1,000 jobs, both streams in rotated files (PSS)", "MiB",
           ("<=", 3.0)),
    Figure(1, "memory", "the same, its guardian included", "MiB", ("<=", 4.0)),
    Figure(2, "start", "start to the first instruction of the last of 1,000 jobs", "ms", ("x<=", 2.5)),
    Figure(3, "single", "kill -9 to the successor's first instruction, p50", "ms", ("x<=", 1.5), pooled=50),
    Figure(3, "single", "the same, p99", "ms", ("x<=", 2.0), pooled=99),
    Figure(4, "mass", "1,000 killed at once, the last one back", "ms", ("x<=", 2.5)),
    Figure(4, "miscounted", "of these, not counted as exactly one restart", "", ("<=", 0)),
    Figure(5, "storm 1", "restarts a second, 1 job that ends at once", "/s", ("x>=", 0.6)),
    Figure(5, "storm 10", "restarts a second, 10 such jobs", "/s", ("x>=", 0.6)),
    Figure(5, "beside", "requests a second beside 10 such at the default pace; limit: without", "/s",
           ("x>=", 0.9)),
    Figure(6, "log blocks", "log, 64 KiB a write, through rotation", "MB/s", ("x>=", 0.9)),
    Figure(6, "ahead blocks", "the same; limit: supervisord", "MB/s", ("x>=", 1.0)),
    Figure(6, "cpu blocks", "processor seconds a GB for it", "s", ("x<=", 1.2)),
    Figure(7, "log lines", "log, 100 bytes a write, through rotation", "MB/s", ("x>=", 0.9)),
    Figure(7, "ahead lines", "the same; limit: supervisord", "MB/s", ("x>=", 1.0)),
    Figure(7, "cpu lines", "processor seconds a GB for it", "s", ("x<=", 1.2)),
    Figure(8, "status one", "status of one of 1,000, a whole process", "ms", ("x<=", 2.5)),
    Figure(8, "status all", "status of all 1,000", "ms", ("x<=", 10)),
    Figure(9, "lane 64", "messages a second between two programs in C, 64 B", "/s", ("x>=", 0.8)),
    Figure(9, "over lane 64", "the same; limit: a Node parent", "/s", ("x>=", 4)),
    Figure(9, "lane 1024", "the same, 1 KiB", "/s", ("x>=", 0.7)),
    Figure(9, "over lane 1024", "the same; limit: a Node parent", "/s", ("x>=", 10)),
    Figure(9, "lane 65536", "the same, 64 KiB", "/s", ("x>=", 0.5)),
    Figure(9, "over lane 65536", "the same; limit: a Node parent", "/s", ("x>=", 17)),
    Figure(10, "turn 64", "a message there and one back, 64 B, p50", "us", ("x<=", 1.3)),
    Figure(10, "turn 1024", "the same, 1 KiB", "us", ("x<=", 1.3)),
    Figure(10, "turn 65536", "the same, 64 KiB", "us", ("x<=", 1.3)),
    Figure(10, "pinned 64", "all on one processor, 64 B, p50", "us", ("x<=", 1.3)),
    Figure(10, "pinned 1024", "the same, 1 KiB", "us", ("x<=", 1.3)),
    Figure(10, "pinned 65536", "the same, 64 KiB", "us", ("x<=", 1.3)),
    Figure(11, "node 64", "messages a second between two programs in Node, 64 B", "/s", ("x>=", 0.9)),
    Figure(11, "node 1024", "the same, 1 KiB", "/s", ("x>=", 0.9)),
    Figure(11, "node 65536", "the same, 64 KiB", "/s", ("x>=", 0.9)),
    Figure(12, "descriptors", "descriptors a second, not acknowledged", "/s", ("x>=", 0.7)),
    Figure(12, "acknowledged", "the same, each acknowledged on each hop", "/s", ("x>=", 0.7)),
    Figure(13, "wake-ups", "wake-ups in %d idle seconds with 1,000 jobs" % IDLE_SECONDS, "", ("<=", 0)),
    Figure(13, "turns", "turns of the event loop meanwhile", "", ("<=", 0)),
    Figure(14, "rate one", "requests a second on one connection, on one processor: one process", "/s", ("x>=", 0.5)),
    Figure(14, "rate all", "the same: all 1,000", "/s", (">=", 200)),
    Figure(15, "run", "droverctl run -- true, a whole process; limit: fork, exec, wait of true", "ms", ("x<=", 3.0)),
    Figure(16, "blackout", "kill -9 of the supervisor of 1,000 jobs to the next good answer, p50; limit: of 10", "ms",
           ("<=", 50), pooled=50),
    Figure(16, "blackout", "the same, p99", "ms", ("<=", 50), pooled=99),
    Figure(16, "harmed", "jobs that such a kill has ended, doubled or started again", "", ("<=", 0)),
    Figure(17, "journal start", "start of 1,000 as in row 2; limit: Drover without its journal", "ms",
           ("x<=", JOURNAL_COST)),
    Figure(17, "journal single", "kill -9 to the successor, p50; limit: the same", "ms", ("x<=", JOURNAL_COST), pooled=50),
    Figure(17, "journal mass", "1,000 killed at once, the last one back; limit: the same", "ms", ("x<=", JOURNAL_COST)),
]


# -- one fleet after the other ----------------------------------------------------

def captured(bench, kind):
    """Row 1."""
    if kind is fleet.Limit:
        return weigh(bench)
    with kind(bench.tools, THOUSAND, mode="talk", captured=True) as f:
        f.await_all()
        time.sleep(3)  # until what only the start needed is gone
        f.check_captured()
        pids = f.supervisors()
        bench.note("supervisor", kind.name, machine.pss_kib(pids[1:] or pids) / 1024)  # the guardian comes first
        bench.note("memory", kind.name, machine.pss_kib(pids) / 1024)


def weigh(bench):
    process = subprocess.Popen([bench.tools.program("weigh"), str(THOUSAND)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    try:
        if process.stdout.readline() != b"ready\n":
            raise machine.Failure("the limit of memory did not come up")
        for key in ("supervisor", "memory"):
            bench.note(key, "limit", machine.pss_kib([process.pid]) / 1024)
    finally:
        process.kill()
        process.communicate()


def thousand(bench, kind):
    """Rows 8, 13 and 14: one fleet of 1,000; for one who takes seconds, also 2 and 4."""
    if kind is fleet.Limit or (kind is fleet.Drover and not bench.wants(8, 13, 14)):
        return
    with kind(bench.tools, THOUSAND) as f:
        bench.note("start", kind.name, f.await_all())
        time.sleep(2)
        if bench.wants(13) and bench.round == 0:
            idle(bench, f)
        if bench.wants(8):
            status(bench, f)
        if bench.wants(14):
            rate(bench, f)
        if bench.wants(4) and kind is fleet.Supervisord:
            mass(bench, f)


def mass(bench, f):
    before = f.restarts() if isinstance(f, fleet.Drover) else None
    bench.note("mass", f.name, kill_all(f))
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
    turns, seconds = (4, 0.5) if isinstance(f, fleet.Drover) else (1, 2)
    for figure, request in ("rate one", f.request_one()), ("rate all", f.request_all()):
        with Bare(bench, f, request) as bare, machine.one_processor([bare.process.pid] + f.daemons()):
            for _ in range(turns):
                if isinstance(f, fleet.Drover):
                    bench.note(figure, "limit", bare.rate(bare.socket, seconds))
                bench.note(figure, f.name, bare.rate(f.path("s"), seconds))


# -- all at once: the finest way of taking turns --------------------------------------

@contextlib.contextmanager
def side_by_side(bench, kinds, *args, **keywords):
    """Fleets of all kinds, up and asleep."""
    with contextlib.ExitStack() as stack:
        fleets = [stack.enter_context(kind(bench.tools, *args, **keywords)) for kind in kinds]
        for f in fleets:
            f.await_all()
        time.sleep(1.5)
        yield fleets


def starts(bench, kinds):
    """Row 2, of those who are quick."""
    for _ in range(TURNS):
        for kind in kinds[:2]:
            with kind(bench.tools, THOUSAND) as f:
                bench.note("start", kind.name, f.await_all())


def masses(bench, kinds):
    """Row 4, of those who are quick."""
    with side_by_side(bench, kinds[:2], THOUSAND) as fleets:
        for _ in range(TURNS):
            for f in fleets:
                mass(bench, f)


def singles(bench, kinds):
    """Row 3: one job of one fleet, then one of the next, is killed and waited for."""
    with side_by_side(bench, kinds, SINGLES) as fleets:
        for number in range(SINGLES):
            for f in random.sample(fleets, len(fleets)):
                if number < SINGLES_SLOW or not isinstance(f, fleet.Supervisord):
                    bench.note("single", f.name, kill_one(f, number))


def kill_all(f):
    """Milliseconds from the kill until the last successor runs."""
    f.reports.take()
    begin = machine.now_ns()
    machine.signal_all(f.pids.values(), signal.SIGKILL)
    got = f.reports.expect(f.count, fleet.START_MAX, pause=0.05)
    if len(got) < f.count:
        raise machine.Failure("%d of %d came back" % (len(got), f.count))
    f.pids = {number: pid for number, pid, _ in got}
    return (max(at for _, _, at in got) - begin) / 1e6


def kill_one(f, number):
    """Milliseconds from the kill to the first instruction of the successor."""
    begin = machine.now_ns()
    os.kill(f.pids[number], signal.SIGKILL)
    got = f.reports.expect(1, 10, pause=0.004)
    if [n for n, _, _ in got] != [number]:
        raise machine.Failure("%s: not one successor of job %d, but %d" % (f.name, number, len(got)))
    f.pids[number] = got[0][1]
    time.sleep(0.006)
    return (got[0][2] - begin) / 1e6


def storms(bench, kinds):
    """Row 5: jobs that end at once.  Those whose turn it is not are frozen."""
    for count in 1, 10:
        with side_by_side(bench, kinds, count, mode="end", keys={"restart_interval": "0"}) as fleets:
            for f in fleets:
                machine.signal_all(f.daemons(), signal.SIGSTOP)
            for turn in range(TURNS):
                for f in fleets:
                    if not isinstance(f, fleet.Supervisord):
                        bench.note("storm %d" % count, f.name, restarts_a_second(f, STORM_SECONDS))
                    elif turn == 0:
                        bench.note("storm %d" % count, f.name, restarts_a_second(f, 3 * STORM_SECONDS))


def restarts_a_second(f, seconds):
    machine.signal_all(f.daemons(), signal.SIGCONT)
    time.sleep(0.2)
    f.reports.take()
    begin, got = time.monotonic(), 0
    while time.monotonic() < begin + seconds:
        time.sleep(0.03)  # the fifo has room for what comes meanwhile
        got += len(f.reports.take())
    seconds = time.monotonic() - begin
    machine.signal_all(f.daemons(), signal.SIGSTOP)
    return got / seconds


def beside(bench, _):
    """Row 5: ten jobs in tight loops, slowed as they are by default, beside others; who notices?"""
    loops = ["[program:loop]", "command=%s /dev/null end" % bench.tools.program("job"), "numprocs=10",
             "process_name=%(process_num)d", "startsecs=0", "autorestart=true", "autostart=false"]
    with fleet.Drover(bench.tools, 20, extra="\n".join(loops) + "\n") as f:
        f.await_all()
        with Bare(bench, f, f.request_one()) as bare, machine.one_processor(f.daemons()):
            for _ in range(TURNS):
                bench.note("beside", "limit", bare.rate(f.path("s"), 0.7))
                f.post("/v1/processes/loop:*/start?wait=0")
                time.sleep(0.5)
                bench.note("beside", "Drover", bare.rate(f.path("s"), 0.7))
                f.post("/v1/processes/loop:*/stop")


def transient(bench, _):
    """Row 15: one command under the daemon, beside the same command alone."""
    with fleet.Drover(bench.tools, 1) as f:
        f.await_all()
        true = shutil.which("true")
        note_times(bench, RUNS, {("run", "limit"): [true], ("run", "Drover"): f.run(true)})


def blackouts(bench, _):
    """Row 16: fleets of 1,000 and of 10, whose supervisors are killed in turn."""
    fleets = {"Drover": fleet.Drover(bench.tools, THOUSAND, mode="talk", captured=True),
              "limit": fleet.Drover(bench.tools, 10, mode="talk", captured=True)}
    with fleets["Drover"], fleets["limit"]:
        for f in fleets.values():
            f.await_all()
        time.sleep(1.5)
        before = {who: f.runs() for who, f in fleets.items()}
        for _ in range(SUPERVISORS):
            for who, f in fleets.items():
                bench.note("blackout", who, blackout(f))
                time.sleep(0.02)
        for who, f in fleets.items():
            bench.note("harmed", who, len(before[who].items() ^ f.runs().items()) + len(f.reports.take()))


def blackout(f):
    """Milliseconds without control.  Connecting does not fail meanwhile: the guardian holds the socket."""
    supervisor = f.supervisors()[1]
    begin = time.monotonic()
    os.kill(supervisor, signal.SIGKILL)
    while True:
        try:
            answer = f.exchange(f.request_one())
        except (OSError, machine.Failure):  # the dying one had accepted it
            continue
        if not answer.startswith(b"HTTP/1.1 200"):
            raise machine.Failure("an answer that is none: %r" % answer[:60])
        return (time.monotonic() - begin) * 1e3


def journal(bench, _):
    """Row 17: Drover, and a Drover that keeps no journal."""
    kinds = [fleet.Unjournaled, fleet.Drover]
    for turn in range(2 * TURNS):
        for kind in kinds[::-1] if turn % 2 else kinds:
            with kind(bench.tools, THOUSAND) as f:
                bench.note("journal start", f.name, f.await_all())
    with side_by_side(bench, kinds, THOUSAND) as fleets:
        for number in range(SINGLES):
            for f in random.sample(fleets, len(fleets)):
                bench.note("journal single", f.name, kill_one(f, number))
        for _ in range(2 * TURNS):
            for f in random.sample(fleets, len(fleets)):
                bench.note("journal mass", f.name, kill_all(f))


# scene, rows, one kind of fleet at a time?
SCENES = [
    (captured, (1,), True),
    (starts, (2,), False),
    (thousand, (2, 4, 8, 13, 14), True),
    (masses, (4,), False),
    (singles, (3,), False),
    (storms, (5,), False),
    (beside, (5,), False),
    (logs.measure, (6, 7), False),
    (lanes.measure, (9, 10, 11, 12), False),
    (transient, (15,), False),
    (blackouts, (16,), False),
    (journal, (17,), False),
]
