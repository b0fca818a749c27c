"""The channel of a process: where it is, what comes through it, and in which order what happens is told."""
import json
import os
import unittest

import drover
import procs

ORDER = ("spawn", "message", "disconnect", "exit", "close", "error")


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


class Places(Workers):
    def seen(self, settings):
        d = self.worker("import fcntl,json,os\nn=int(os.environ['DROVER_CHANNEL_FD'])\nfds=[]\n"
                        "for i in range(64):\n try: fcntl.fcntl(i,1); fds.append(i)\n except OSError: pass\n"
                        "os.write(n,(json.dumps({'fds':fds,"
                        "'env':{k:v for k,v in os.environ.items() if 'CHANNEL' in k}})+'\\n').encode())\n",
                        settings, "python3")
        return self.messages(self.run_out(d))[0]

    def test_the_first_free_descriptor(self):
        self.assertEqual(self.seen("ipc=true\n"), {
            "fds": [0, 1, 2, 3],
            "env": {"NODE_CHANNEL_FD": "3", "DROVER_CHANNEL_FD": "3", "NODE_CHANNEL_SERIALIZATION_MODE": "json"}})

    def test_the_first_free_descriptor_of_a_list(self):
        self.assertEqual(self.seen("ipc=json\nstdio=pipe,pipe,pipe,pipe,null,pipe\n")["fds"],
                         [0, 1, 2, 3, 4, 5])

    def test_a_place_of_its_own(self):
        seen = self.seen("stdio=ignore,pipe,pipe,null,null,null,null,ipc\n")
        self.assertEqual((seen["fds"], seen["env"]["NODE_CHANNEL_FD"]), ([0, 1, 2, 7], "7"))

    def test_nobody_says_otherwise_and_nobody_else_has_it(self):
        d = self.worker("import os\nopen('env','w').write(repr(dict(os.environ)))\n", "ipc=true\nautostart=true\n"
                        "environment=NODE_CHANNEL_FD=\"77\",NODE_UNIQUE_ID=\"5\"\n", "python3",
                        more="[program:b]\ncommand=sleep 1000\n",
                        env={"NODE_CHANNEL_FD": "9", "DROVER_CHANNEL_FD": "9", "NODE_UNIQUE_ID": "1"})
        d.wait_event("close", "a")
        with open(self.path("env")) as f:
            self.assertIn("'NODE_CHANNEL_FD': '3'", f.read())
        self.assertEqual([k for k in procs.environment(d.pid_of("b")) if "CHANNEL" in k or "UNIQUE_ID" in k], [])

    def test_a_list_without_a_place_left_is_refused(self):
        d = self.worker("", "ipc=true\nstdio=%s\n" % ", ".join(["pipe"] * 64), wait=False)
        d.expected_status = 2
        d.wait_exit()
        self.assertIn("[program:a] ipc: finds no descriptor", d.stderr())

    def test_show_has_it(self):
        d = self.worker("setInterval(()=>{},1000); process.send(1); process.on('message', () => 0)")
        self.assertEqual(d.info("a")["channel"]["open"], False)
        d.events
        d.start("a")
        d.wait_event("message", "a", after=-1)
        channel = d.info("a")["channel"]
        self.assertEqual((channel["open"], channel["fd"], channel["received"]), (True, 3, 1))
        shown = d.get(d.process_path("a"), show=1).json["descriptors"]
        self.assertEqual((shown[3]["fd"], shown[3]["kind"]), (3, "ipc"))


class Order(Workers):
    def test_messages_come_before_the_end(self):
        events = self.run_out(self.worker("process.send('one'); process.send({two: [1.50, null]})"))
        self.assertEqual(self.kinds(events), ["spawn", "message", "message", "disconnect", "exit", "close"])
        self.assertEqual(self.messages(events), ["one", {"two": [1.5, None]}])

    def test_a_disconnect_before_the_end(self):
        events = self.run_out(self.worker("process.send(process.connected); process.disconnect();"
                                          "setTimeout(() => process.exit(process.connected ? 4 : 3), 50)"))
        self.assertEqual(self.kinds(events), ["spawn", "message", "disconnect", "exit", "close"])
        self.assertEqual((self.messages(events), events[3]["status"]), ([True], 3))

    def test_exit_inside_the_callback_of_send(self):
        events = self.run_out(self.worker("process.send({a: 'x'.repeat(1000000)}, () => process.exit(5))"))
        self.assertEqual(self.kinds(events), ["spawn", "message", "disconnect", "exit", "close"])
        self.assertEqual((events[1]["message"], events[1]["bytes"], events[3]["status"]), (None, 1000008, 5))

    def test_an_uncaught_error(self):
        d = self.worker("process.send('before'); setImmediate(() => { throw new Error('oh') })")
        events = self.run_out(d)
        self.assertEqual(self.kinds(events), ["spawn", "message", "disconnect", "exit", "close"])
        self.assertEqual((self.messages(events), events[3]["status"]), (["before"], 1))
        self.assertIn(b"oh", d.output("a", "stderr"))

    def test_killed_after_a_word(self):
        events = self.run_out(self.worker("process.send('last'); process.kill(process.pid, 'SIGKILL')"))
        self.assertEqual(self.kinds(events), ["spawn", "message", "disconnect", "exit", "close"])
        self.assertEqual((self.messages(events), events[3]["signal"]), (["last"], "SIGKILL"))

    def test_a_start_that_fails_has_no_disconnect(self):
        d = self.daemon("[program:a]\ncommand=%(here)s/script\nipc=true\nautostart=false\nstartretries=0\n", native=True)
        self.write("script", "#!/no/such/interpreter\n", 0o755)
        d.refusal("start", "a")
        self.assertEqual(self.kinds(d.history("a", *ORDER)), ["error", "close"])

    def test_a_grandchild_with_the_channel_does_not_keep_it(self):
        events = self.run_out(self.worker("echo 1 >&3\nsleep 1000 3>&3 >/dev/null 2>&1 &\necho $! >&3\n", language="sh"))
        self.assertEqual(self.kinds(events), ["spawn", "message", "message", "disconnect", "exit", "close"])
        os.kill(events[2]["message"], 9)

    def test_each_run_has_a_channel_of_its_own(self):
        d = self.worker("process.send(process.pid)")
        self.run_out(d)
        first = d.events.list[-1]["seq"]
        d.start("a")
        d.wait_event("close", "a", after=first)
        self.assertEqual(self.messages(d.events.list), [e["pid"] for e in d.events.list if e["event"] == "spawn"])


if __name__ == "__main__":
    unittest.main()
