"""Those who read what a program sends: `droverctl messages`, and all that is told of it."""
import json
import unittest

import procs
from channels import ORDER, Workers


class Reading(Workers):
    def records(self, d, **parameters):
        return d.get(d.process_path("a", "/messages"), **parameters).lines

    def test_the_last_are_kept(self):
        d = self.started("for (let i = 0; i < 2000; i++) process.send([i, 'x'.repeat(90)]); process.send('z'.repeat(70000))")
        d.wait_event("close", "a")
        records = self.records(d)
        self.assertEqual(records[0]["missed"] + len(records) - 1, 2001)
        self.assertTrue(500 < len(records) < 700)
        self.assertEqual([r["message"][0] for r in records[1:]], list(range(2001 - len(records), 2000)))

    def test_the_verb(self):
        d = self.started("process.send({a: 1.50}); process.send('\\u20ac'); setTimeout(() => process.send(3), 100)")
        d.wait_event("close", "a")
        self.assertEqual(self.ctl(d, "messages", "a").stdout, '{"a":1.5}\n"\u20ac"\n3\n')
        self.assertEqual(self.ctl(d, "messages", "a", "--json").stdout.splitlines()[0], '{"message":{"a":1.5}}')
        self.assertEqual((self.ctl(d, "messages", "b").returncode, self.ctl(d, "messages").returncode), (4, 2))

    def test_a_program_without_a_channel(self):
        d = self.daemon("[program:a]\ncommand=sleep 1000\n", native=True)
        self.assertEqual(d.info("a")["channel"], None)
        r = self.ctl(d, "messages", "a")
        self.assertEqual((r.returncode, r.stdout), (1, "a: ERROR (its program has no ipc; set ipc = true)\n"))
        self.refused(d, "1", 409, "ENOTCONN")

    def test_100000_from_it_and_none_missed(self):
        d = self.worker("import os\nb=b''.join(b'{\"n\":%d}\\n' % i for i in range(100000))\n"
                        "while b: b=b[os.write(3,b):]\n", language="python3")
        self.all_of_100000(d)

    def pacer(self, d):
        """A reader that sets the pace, and what gives its next n messages."""
        stream = d.client.stream(d.process_path("a", "/messages"), follow=1, pace=1)
        self.addCleanup(stream.close)
        self.assertEqual(d.get(d.process_path("a", "/messages"), follow=1, pace=1).status, 409)  # one at a time
        stream.socket.settimeout(40)
        return stream

    def read(self, stream, n):
        """The next n messages; each record is a chunk of its own."""
        pieces, count, last = [], 0, b""
        while count < n:
            pieces.append(stream.socket.recv(1 << 20))
            self.assertNotEqual(pieces[-1], b"")
            count += (last + pieces[-1]).count(b"\n\r\n")
            last = pieces[-1][-2:]
        return [json.loads(line)["message"] for line in b"".join(pieces).splitlines() if line.startswith(b"{")]

    def all_of_100000(self, d):
        reader = self.pacer(d)
        d.start("a")
        self.assertEqual(self.read(reader, 100000), [{"n": i} for i in range(100000)])
        d.wait_event("close", "a")
        self.assertEqual(d.info("a")["channel"]["received"], 100000)

    def test_100000_from_node_and_none_missed(self):
        d = self.worker("let n = 0; const more = () => { while (n < 100000 && process.send({n}, e => "
                        "{ if (e) throw e }) && ++n); if (n++ < 100000) setImmediate(more) }; more()")
        self.all_of_100000(d)

    def test_a_slow_reader_sets_the_pace(self):
        d = self.worker("process.on('message', () => {}); let n = 0; const more = e => "
                        "{ if (n < 20000) process.send([n++, 'x'.repeat(100)], more) }; more()")
        reader = self.pacer(d)
        d.start("a")

        def stands():
            before = d.info("a")["channel"]["received"]
            d.round_trip()
            return before if before == d.info("a")["channel"]["received"] > 0 else None
        self.assertLess(procs.wait_until(stands, "the process to be held up"), 15000)
        self.assertEqual([m[0] for m in self.read(reader, 20000)], list(range(20000)))

    def test_what_is_held_back_at_its_end_comes_later(self):
        d = self.worker("import os\nb=b''.join((b'[%d]' % i).ljust(99)+b'\\n' for i in range(6000))\nwhile b: b=b[os.write(3,b):]\n",
                        language="python3")
        reader = self.pacer(d)
        d.start("a")
        d.wait_event("exit", "a")
        self.assertEqual(self.kinds(d.history("a", "exit", "disconnect", "close")), ["exit"])
        self.assertEqual(self.read(reader, 6000), [[i] for i in range(6000)])
        d.wait_event("close", "a")
        self.assertEqual(self.kinds(d.history("a", "exit", "disconnect", "close")), ["exit", "disconnect", "close"])


class Followers(Workers):
    FLOOD = "import os\nb=(b'['+b'1,'*50+b'1]\\n')*20000\nwhile b: b=b[os.write(3,b):]\n"

    def flooded(self, d):
        d.start("a")
        procs.wait_until(lambda: d.info("a")["statename"] == "EXITED", "it to end")

    def test_events_of_processes_outlive_a_flood_of_messages(self):
        d = self.worker(self.FLOOD, language="python3")
        stream = d.client.stream("/v1/events", follow=1)  # not read meanwhile
        self.flooded(d)
        stream.until_text('"close"')
        events = [json.loads(line) for line in stream.data.splitlines()]
        missed = sum(e["missed"] for e in events if e["event"] == "gap")
        self.assertEqual(len(self.messages(events)) + missed, 20000)
        self.assertTrue(missed > 0)
        self.assertEqual([e["event"] for e in events if e["event"] in ORDER][-3:], ["disconnect", "exit", "close"])
        self.assertEqual([e["event"] for e in d.history("a", *ORDER)], ["spawn", "disconnect", "exit", "close"])

    def test_a_reader_that_does_not_read_is_told_what_it_missed(self):
        d = self.worker(self.FLOOD, language="python3")
        stream = d.client.stream(d.process_path("a", "/messages"), follow=1)
        self.flooded(d)
        stream.until_text("missed")

        def told(data):
            return sum(json.loads(line).get("missed", 1) for line in data[:data.rindex(b"\n")].splitlines())
        self.assertEqual(stream.until(lambda data: told(data) if told(data) >= 20000 else None, "all of it"), 20000)


if __name__ == "__main__":
    unittest.main()
