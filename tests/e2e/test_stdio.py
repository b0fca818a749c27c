"""stdio: what each descriptor of a process is, seen from inside and outside; write, and logs --fd."""
import os
import random
import subprocess
import sys
import unittest

import drover
import procs

ECHO3 = "import os\nwhile True:\n b=os.read(3,100)\n if not b: os.write(3,b'END'); break\n os.write(3,b.upper())\n" \
        "os.read(0,1)\n"


def ctl(d, *words, **more):
    return subprocess.run([drover.DROVERCTL, "-s", "unix://" + d.socket, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30, universal_newlines=True, **more)


class Job(drover.TestCase):
    def job(self, stdio, settings="", command="sleep 1000", numbers=(0, 1, 2), **options):
        d = self.daemon("[program:a]\ncommand=%s\nstartsecs=0\nstdio=%s\n%s" % (command, stdio, settings), native=True,
                        **options)
        pid = d.wait_state("a", "RUNNING")["pid"]
        return d, pid, procs.standing_descriptors(pid, numbers)

    def failed(self, stdio, settings="", **options):
        d = self.daemon("[program:a]\ncommand=sleep 1000\nstartretries=0\nstdio=%s\n%s" % (stdio, settings), native=True,
                        **options)
        return d.wait_state("a", "FATAL")["spawnerr"]


class Lists(Job):
    def test_ignore(self):
        _, _, found = self.job("ignore")
        self.assertEqual(found, {0: "/dev/null", 1: "/dev/null", 2: "/dev/null"})

    def test_inherit(self):
        _, _, found = self.job("inherit")
        self.assertEqual(found, {0: "/dev/null", 1: os.path.realpath(self.path("stdout")),
                                 2: os.path.realpath(self.path("stderr"))})

    def test_files(self):
        self.write("in", "text\n")
        self.write("cut", "what was there before\n")
        self.write("longer", "before\n")
        d = self.daemon("""
            [program:a]
            command=sh -c 'cat; echo out; echo err >&2'
            stdio=<%(here)s/in, >%(here)s/cut, >> %(here)s/longer
            startsecs=0
        """, native=True)
        d.wait_state("a", "EXITED")
        with open(self.path("cut")) as cut, open(self.path("longer")) as longer:
            self.assertEqual((cut.read(), longer.read()), ("text\nout\n", "before\nerr\n"))

    def test_a_relative_path_is_looked_for_in_the_directory_and_as_the_user(self):
        self.needs_root()
        os.mkdir(self.path("home"), 0o700)
        os.chown(self.path("home"), 65534, 65534)
        _, _, found = self.job("ignore, >made, pipe", "directory=%(here)s/home\nuid=nobody\numask=027\n")
        made = os.stat(self.path("home/made"))
        self.assertEqual((made.st_uid, made.st_mode & 0o777), (65534, 0o640))
        self.assertEqual(found[1], os.path.realpath(self.path("home/made")))

    def test_what_the_user_may_not_open(self):
        self.needs_root()
        self.write("private", "", 0o600)
        error = self.failed("<%(here)s/private", "uid=nobody\n")
        self.assertEqual((error["stage"], error["code"], error["path"]), ("stdio", "EACCES", self.path("private")))

    def test_holes_and_high_places(self):
        places = ["ignore"] * 64
        places[63] = "pipe"
        places[10] = "</dev/zero"
        _, _, found = self.job(", ".join(places), numbers=(0, 1, 2, 10, 63))
        self.assertEqual((found[10], found[63][:7]), ("/dev/zero", "socket:"))

    def test_numbers_swap_and_repeat(self):
        _, _, found = self.job("0, 2, 1, 1, 2, 0", numbers=range(6))
        out, err = os.path.realpath(self.path("stdout")), os.path.realpath(self.path("stderr"))
        self.assertEqual(found, {0: "/dev/null", 1: err, 2: out, 3: out, 4: err, 5: "/dev/null"})

    def test_what_the_starter_gave_can_be_passed_on_and_nothing_else(self):
        with open(self.path("given"), "w") as f:
            _, _, found = self.job("ignore, ignore, ignore, %d" % f.fileno(), numbers=range(4),
                                   pass_fds=(f.fileno(),))
        self.assertEqual(found[3], os.path.realpath(self.path("given")))

    def test_the_daemons_own_descriptors_stay_its_own(self):
        d = self.daemon("[program:a]\ncommand=true\nautostart=false\n", native=True)
        own = next(n for n, target in procs.descriptors(d.supervisor).items() if 2 < n < 64)
        d.update("[program:a]\ncommand=sleep 1000\nstartretries=0\nstdio=ignore, ignore, %d\n" % own)
        error = d.wait_state("a", "FATAL")["spawnerr"]
        self.assertEqual((error["stage"], error["code"]), ("stdio", "EBADF"))

    def test_redirected_stderr_follows_stdout_into_a_file(self):
        _, _, found = self.job("ignore, >%(here)s/both", "redirect_stderr=true\n")
        self.assertEqual((found[1], found[2]), (os.path.realpath(self.path("both")),) * 2)

    def test_a_fifo_that_nobody_reads_keeps_only_its_own_process(self):
        os.mkfifo(self.path("fifo"))
        d = self.daemon("[program:a]\ncommand=sleep 1000\nstdio=ignore, >%(here)s/fifo\n[program:b]\n"
                        "command=sleep 1000\nstartsecs=0\n", native=True)
        d.wait_state("b", "RUNNING")
        self.assertEqual(d.info("a")["statename"], "STARTING")
        d.stop("a")
        self.assertEqual(d.info("a")["statename"], "STOPPED")

    def test_random_lists_against_a_model(self):
        """Many processes at once, each with a list of its own."""
        random.seed(4711)
        out, err = os.path.realpath(self.path("stdout")), os.path.realpath(self.path("stderr"))
        given = {0: "/dev/null", 1: out, 2: err}
        text, models = "", {}
        for i in range(60):
            words, model = [], {}
            for place in range(random.randrange(1, 12)):
                word = random.choice(["pipe", "ignore", "inherit", "null", "0", "1", "2", "</dev/zero", ">>/dev/full"])
                word = random.choice(["1", "pipe"]) if word == "inherit" and place > 2 else word
                words.append(word)
                if word == "pipe" or (word == "null" and place < 3):
                    model[place] = "pipe:" if place < 3 else "socket:"
                elif word == "ignore" and place < 3:
                    model[place] = "/dev/null"
                elif word == "inherit":
                    model[place] = given[place]
                elif word.isdigit():
                    model[place] = given[int(word)]
                elif word[0] in "<>":
                    model[place] = word.strip("<>")
            if len(words) == 1 and words[0] in ("ignore", "inherit"):
                model = {n: "/dev/null" if words[0] == "ignore" else given[n] for n in range(3)}
            for place in range(len(words), 3):
                model.setdefault(place, "pipe:")
            models["p%02d" % i] = model
            text += "[program:p%02d]\ncommand=sleep 1000\nstartsecs=0\nstdio=%s\n" % (i, ", ".join(words))
        d = self.daemon(text, native=True)
        d.wait_all("RUNNING")
        for name, pid in d.pids().items():
            model = models[name.split(":")[0]]
            found = {n: t.split(":")[0] + ":" if t.startswith(("pipe:", "socket:")) else t
                     for n, t in procs.standing_descriptors(pid, model).items()}
            self.assertEqual(found, model, name)

    def test_refusals(self):
        for stdio, words in (("pipe, what", '"what" is none of'), ("ipc, ipc", "names ipc twice"), ("64", "is none of"), (">", "names no file"),
                             (", ".join(["pipe"] * 65), "more than 64"), ("", "is empty")):
            with self.subTest(stdio=stdio):
                d = self.daemon("[program:a]\ncommand=x\nstdio=%s\n" % stdio, native=True, wait=False)
                d.expected_status = 2
                d.wait_exit()
                self.assertIn(words, d.stderr())
                self.daemons.remove(d)

    def test_show_and_the_configuration_have_it(self):
        d, _, _ = self.job("ignore, pipe, null, pipe, </dev/zero", numbers=range(5))
        self.assertEqual(d.get("/v1/config").json["groups"][0]["processes"][0]["stdio"],
                         ["ignore", "pipe", "pipe", "pipe", "</dev/zero"])
        shown = d.get(d.process_path("a"), show=1).json["descriptors"]
        self.assertEqual([(e["fd"], e["kind"]) for e in shown],
                         [(0, "ignore"), (1, "pipe"), (2, "pipe"), (3, "pipe"), (4, "read")])
        self.assertEqual((shown[3]["to"], shown[4]["to"]), ("control", "/dev/zero"))


class Pipes(Job):
    def echo(self):
        self.write("echo.py", ECHO3)
        return self.job("pipe, pipe, pipe, pipe", command="%s %%(here)s/echo.py" % sys.executable, numbers=range(4))

    def come(self, d, text):
        s = d.client.stream(d.process_path("a", "/log"), fd=3, offset=0, follow=1)
        try:
            return s.until_text(text)
        finally:
            s.close()

    def test_both_directions(self):
        d, _, found = self.echo()
        self.assertEqual(found[3][:7], "socket:")
        self.assertEqual(ctl(d, "write", "a", "hello", "there", "--fd", "3").returncode, 0)
        self.assertEqual(self.come(d, "THERE\n"), b"HELLO THERE\n")
        self.assertEqual(d.get(d.process_path("a", "/log"), fd=3, offset=-6).body, b"THERE\n")
        logs = ctl(d, "logs", "--fd", "3", "a")
        self.assertEqual((logs.returncode, logs.stdout), (0, "a | HELLO THERE\n"))

    def test_the_end_of_one_direction_leaves_the_other(self):
        d, _, _ = self.echo()
        self.assertEqual(ctl(d, "write", "a", "x", "--fd", "3", "--eof").returncode, 0)
        self.assertEqual(self.come(d, "END"), b"X\nEND")
        late = ctl(d, "write", "a", "y", "--fd", "3")
        self.assertEqual((late.returncode, late.stdout), (1, "a: ERROR (it reads no more there)\n"))

    def test_what_came_stays_after_the_end_and_goes_with_the_next_run(self):
        d, _, _ = self.echo()
        ctl(d, "write", "a", "kept", "--fd", "3")
        self.come(d, "KEPT\n")
        d.stop("a")
        self.assertEqual(d.get(d.process_path("a", "/log"), fd=3, offset=0).body, b"KEPT\n")
        self.assertEqual(ctl(d, "write", "a", "x", "--fd", "3").returncode, 7)
        d.start("a")
        self.assertEqual(d.get(d.process_path("a", "/log"), fd=3, offset=0).body, b"")

    def test_a_flood_is_cut_to_its_last_part(self):
        d = self.daemon("""
            [program:a]
            command=sh -c 'yes | head -c 1000000 >&3; echo last >&3; exec sleep 1000'
            stdio=ignore, pipe, pipe, pipe
            startsecs=0
        """, native=True)
        def kept():
            return d.get(d.process_path("a", "/log"), fd=3, offset=0).body
        procs.wait_until(lambda: kept().endswith(b"last\n"), "the last line")
        self.assertEqual(len(kept()), 64 * 1024)

    def test_one_that_does_not_read(self):
        d, _, _ = self.job("pipe, pipe, pipe, pipe", numbers=range(4))
        replies = [d.post(d.process_path("a", "/stdin"), b"x" * 60000, fd=3) for _ in range(20)]
        self.assertEqual((replies[0].status, replies[-1].status), (200, 500))
        self.assertIn("nothing was sent", replies[-1].json["error"]["message"] + str(replies[-1].json))
        self.assertEqual(d.info("a")["statename"], "RUNNING")

    def test_there_is_no_such_pipe(self):
        d, _, _ = self.job("ignore, pipe, pipe, </dev/null", numbers=range(4))
        for fd in ("1", "3", "9", "700"):
            self.assertEqual(ctl(d, "write", "a", "x", "--fd", fd).returncode, 1, fd)
        self.assertEqual(ctl(d, "write", "a", "x").stdout, "a: ERROR (it reads no more there)\n")
        fg = ctl(d, "fg", "a", input="typed\n")
        self.assertIn("ERROR: it does not read its standard input\n", fg.stdout + fg.stderr)
        self.assertEqual(d.get(d.process_path("a", "/log"), fd=9).status, 404)
        self.assertEqual(d.get(d.process_path("a", "/log"), fd=64).status, 400)


class Write(Job):
    def test_text_and_input(self):
        d = self.daemon("[program:a]\ncommand=cat\nstartsecs=0\n", native=True)
        d.wait_state("a", "RUNNING")
        self.assertEqual(ctl(d, "write", "a", "two  words").returncode, 0)
        self.assertEqual(ctl(d, "write", "a", "-", "--eof", input="from input\n" * 10000).returncode, 0)
        p = d.wait_state("a", "EXITED")
        self.assertEqual(p["exit"]["status"], 0)
        self.assertEqual(d.output("a"), b"two words\n" + b"from input\n" * 10000)

    def test_words_that_make_no_sense(self):
        d = self.daemon("[program:a]\ncommand=cat\nautostart=false\n", native=True)
        self.assertEqual(ctl(d, "write", "a").returncode, 2)
        self.assertEqual(ctl(d, "write", "a", "x", "--fd", "three").returncode, 2)
        self.assertEqual(ctl(d, "write", "nobody", "x").returncode, 4)
        self.assertEqual(ctl(d, "write", "a", "x").returncode, 7)


if __name__ == "__main__":
    unittest.main()
