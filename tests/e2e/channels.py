"""A daemon with one program that has a channel, and what such programs say."""
import subprocess

import drover
import procs

ORDER = ("spawn", "message", "disconnect", "exit", "close", "error")
ECHO = "process.on('message', m => process.send({got: m})); process.send('up')"
ANSWER = "process.on('message', m => process.send({re: m.id, msg: m.msg * 2, from: m.from})); process.send('up')"
DEAF = "import os,time\nos.write(3,b'1\\n')\ntime.sleep(1000)\n"


class Workers(drover.TestCase):
    def worker(self, code, settings="ipc=true\n", language="node", **options):
        """A daemon with the program `a`, which is this code."""
        name = self.write("worker", code, 0o755)
        more = options.pop("more", "")
        return self.daemon("[program:a]\ncommand=%s %s\nautostart=false\nautorestart=false\nstartsecs=0\n%s\n%s" % (
            language, name, settings, more), native=True, **options)

    def run_out(self, d):
        """Starts it and waits for its end: what happened, as far as the order is promised."""
        d.events  # follows from here on, which messages need
        d.start("a")
        d.wait_event("close", "a")
        return [e for e in d.events.list if e.get("process") == "a:a" and e["event"] in ORDER]

    def kinds(self, events):
        return [e["event"] for e in events]

    def messages(self, events):
        return [e["message"] for e in events if e["event"] == "message"]

    def started(self, code, settings="ipc=true\n", language="node", **options):
        """The same, running, and its events are followed."""
        d = self.worker(code, settings, language, **options)
        d.events
        d.start("a")
        return d

    def wait_messages(self, d, n, timeout=20):
        return d.events.until(lambda events: self.messages(events) if len(self.messages(events)) >= n else None,
                              "%d messages" % n, timeout)

    def send(self, d, *texts, **parameters):
        return d.post(d.process_path("a", "/message"), "\n".join(texts).encode(), **parameters)

    def refused(self, d, text, status, code, **parameters):
        reply = self.send(d, text, **parameters)
        self.assertEqual((reply.status, reply.error["code"]), (status, code), reply)
        return reply.error.get("detail")

    def descriptors(self, d):
        """Of the guardian and of the supervisor."""
        d.events  # is one of them
        found = [*d.held().values(), *procs.descriptors(d.supervisor).values()]
        return sum("memfd:desk" not in what for what in found)  # all channels share it, from the first one on

    def none_left(self, d, before):
        """The guardian lets go a little later."""
        procs.wait_until(lambda: self.descriptors(d) <= before, "all descriptors to be closed")

    def ctl(self, d, *words, **more):
        return subprocess.run([drover.DROVERCTL, "-s", "unix://" + d.socket, *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=50, universal_newlines=True, **more)
