"""The supervisor is killed; channels go on where they were."""
import json
import random
import time
import unittest

import drover
import procs
from channels import ANSWER, Workers


class Recovery(Workers):
    def test_a_node_program_notices_nothing(self):
        d = self.started(ANSWER + "; process.on('disconnect', () => process.exit(9))")
        self.wait_messages(d, 1)
        pid = d.pid_of("a")
        for n in range(1, 6):
            d.crash()
            self.assertEqual(self.send(d, str(n), wait_reply=1).json["reply"]["msg"], 2 * n)
        self.assertEqual(d.pid_of("a"), pid)
        channel = d.info("a")["channel"]
        self.assertEqual((channel["received"], channel["sent"]), (6, 5))  # counted over all of it
        d.deed("disconnect", "a")
        procs.wait_until(lambda: d.info("a")["statename"] == "EXITED", "it to end")
        self.assertEqual(d.info("a")["exit"]["status"], 9)

    @drover.slow(120)
    def test_killed_at_random_among_messages_in_both_directions(self):
        d = self.worker("""
            // dies of a line that is no JSON, and of one that is not as it was sent
            process.on('message', m => { if (m.x.length != m.n) process.exit(3); got = m.i });
            let got = 0, n = 0;
            const more = () => process.send({n: n++, got, x: 'y'.repeat(n * 7919 % 150000)}, more);
            more();
        """)
        d.start("a")
        pid, rounds, sent = d.pid_of("a"), 15, 0
        for _ in range(rounds):
            stop = time.monotonic() + random.uniform(0, 0.1)
            while time.monotonic() < stop:
                texts = [json.dumps({"i": sent + i, "n": n, "x": "z" * n}) for i, n in enumerate((1, 500, 90000, 3, 7000))]
                if self.send(d, *texts).status == 200:
                    sent += 5
            d.crash()
        channel = d.info("a")["channel"]
        self.assertEqual((d.pid_of("a"), channel["malformed"], channel["oversized"]), (pid, 0, 0))
        self.assertEqual((channel["open"], channel["cut"]), (True, 0))
        stream = d.client.stream(d.process_path("a", "/messages"), follow=1, live=1)
        last = json.dumps({"i": -7, "n": 0, "x": ""})  # there may be no room for it before it has read the others
        procs.wait_until(lambda: self.send(d, last).status == 200, "the last message to be taken")
        stream.until_text('"got":-7')
        stream.close()

    def test_half_a_line_from_it_is_kept(self):
        d = self.started("import os\nfor half in range(8):\n size=int(os.read(0,100))\n"
                         " b=(b'{\"x\":\"'+b'y'*size) if half%2==0 else b'y'*size+b'\"}\\n'\n"
                         " while b: b=b[os.write(3,b):]\n os.write(1,b'%d\\n'%half)\nos.read(0,1)\n", language="python3")
        for n, size in enumerate((5, 3000, 70000, 300000)):
            d.post(d.process_path("a", "/stdin"), str(size))
            d.wait_output("a", "%d\n" % (2 * n))
            d.round_trip()  # it has been read by then
            d.crash()
            stream = d.client.stream(d.process_path("a", "/messages"), follow=1, live=1)
            d.post(d.process_path("a", "/stdin"), str(size))
            line = stream.until(lambda data: data if data.endswith(b"}\n") else None, "the message")
            self.assertEqual(len(json.loads(line)["message"]["x"]), 2 * size)
            stream.close()
        self.assertEqual([d.info("a")["channel"][k] for k in ("malformed", "oversized", "cut")], [0, 0, 0])

    def test_half_a_line_to_it_is_finished_and_its_descriptor_acknowledged(self):
        d = self.started("import os,socket\ns=socket.socket(fileno=3)\nos.read(0,1)\n"
                         "socket.send_fds(s,[b'{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":2}\\n'],[0])\n"
                         "os.write(1,b'sent\\n')\nos.read(0,1)\nf=s.makefile()\n"
                         "last=''\n"
                         "while last!='[7]\\n':\n last=f.readline()\n"
                         " print(len(last), last.count('x'), 'NODE_HANDLE_ACK' in last, flush=True)\nos.read(0,1)\n",
                         language="python3")
        n = 0
        while d.info("a")["channel"]["queued"] == 0:  # until the socket is full, within a line
            self.assertEqual(self.send(d, json.dumps("x" * 300000)).status, 200)
            d.round_trip()
            n += 1
        d.post(d.process_path("a", "/stdin"), "x")
        d.wait_output("a", "sent\n")
        d.round_trip()
        self.assertEqual(d.info("a")["channel"]["queued"], 1)
        d.crash()
        self.assertEqual(self.send(d, "[7]").status, 200)
        d.post(d.process_path("a", "/stdin"), "x")
        lines = d.wait_output("a", "4 0 False\n").splitlines()
        self.assertEqual(lines, [b"sent"] + n * [b"300003 300000 False"] + [b"26 0 True", b"4 0 False"])


if __name__ == "__main__":
    unittest.main()
