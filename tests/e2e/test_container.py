"""The container recipe of conf/examples/container, without a tool that builds images.

Its own lines are carried out: `RUN make install`, COPY, ENV, HEALTHCHECK and ENTRYPOINT.  In place of the base image
there is the running system's /usr, read-only, in a root and in namespaces of its own.
"""
import json
import os
import shlex
import shutil
import signal
import subprocess

import drover
import procs

RECIPE = os.path.join(drover.ROOT, "conf/examples/container/Containerfile")

# Beside the root's /usr: what every container runtime gives.
ENTER = """\
#!/bin/sh
set -eu
root=$1
shift
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount --bind /usr usr
mount -o remount,bind,ro usr
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom; do
    : >dev/$name
    mount --bind /dev/$name dev/$name
done
ln -s /proc/self/fd dev/fd
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mkdir old
pivot_root . old
cd /
umount -l /old
exec env -i "$@"
"""


def instructions():
    """(word, rest) of every line of the recipe, stage by stage."""
    stages = []
    with open(RECIPE, encoding="utf-8") as f:
        for line in f:
            word, _, rest = line.strip().partition(" ")
            if word == "FROM":
                stages.append([])
            if stages and word and not word.startswith("#"):
                stages[-1].append((word, rest))
    return stages


class Container(drover.TestCase):
    def of(self, stage, word):
        return [rest for w, rest in instructions()[stage] if w == word]

    def install(self, out):
        """The line of the recipe that runs make, for this build and into `out`."""
        line, = [rest for rest in self.of(0, "RUN") if rest.startswith("make ")]
        words = shlex.split(line.replace("/src", drover.ROOT).replace("DESTDIR=/out", "DESTDIR=" + out))
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        run = subprocess.run(words + ["-s", "B=" + os.path.dirname(drover.DROVERD)], env=env, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stdout)

    def make_root(self, root, out):
        for name in ("usr", "etc", "proc", "dev", "run", "tmp", "var"):
            os.makedirs(os.path.join(root, name))
        for name in ("bin", "sbin", "lib", "lib32", "lib64"):
            if os.path.islink("/" + name):
                os.symlink(os.readlink("/" + name), os.path.join(root, name))
        for name in ("passwd", "group"):
            shutil.copy("/etc/" + name, os.path.join(root, "etc"))
        for rest in self.of(1, "COPY"):
            source, target = rest.split()[-2:]
            source = out + source[len("/out"):] if "--from=build" in rest else os.path.join(drover.ROOT, source)
            if os.path.isdir(source):
                shutil.copytree(source, root + target)
            else:
                os.makedirs(os.path.dirname(root + target))
                shutil.copy(source, root + target)

    def setUp(self):
        super().setUp()
        self.needs_root()
        self.install(self.path("out"))
        self.make_root(self.path("root"), self.path("out"))
        self.environment = self.of(1, "ENV")
        enter = self.write("enter", ENTER, 0o755)
        entry = json.loads(self.of(1, "ENTRYPOINT")[0])
        with open(self.path("output"), "wb") as output:
            self.outer = subprocess.Popen(
                [self.needs("unshare"), "--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--net", enter,
                 self.path("root")] + self.environment + entry, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.known.add(self.outer.pid)
        self.addCleanup(self.outer.wait)
        self.addCleanup(self.outer.kill)
        self.wait_text("Serving HTTP on")
        self.inside, = procs.children(self.outer.pid)

    def text(self):
        return procs.read(self.path("output")).decode()

    def wait_text(self, text):
        def look():
            self.assertIsNone(self.outer.poll(), self.text())
            return text in self.text()
        procs.wait_until(look, "%r in the container's output: %s" % (text, self.text()))

    def run_inside(self, *command):
        return subprocess.run([self.needs("nsenter"), "-t", str(self.inside), "--all", "--root", "--wd", "env", "-i"] +
                              self.environment + list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=20, check=False)

    def wait_healthy(self):
        check = self.of(1, "HEALTHCHECK")[0][len("CMD "):]
        procs.wait_until(lambda: self.run_inside("sh", "-c", check).returncode == 0, "the health check to pass")

    def test_it_comes_up_and_is_stopped(self):
        self.wait_healthy()
        self.assertEqual(self.run_inside("droverctl", "-c", "/etc/drover/drover.conf", "pid").stdout, "1\n")
        self.assertIn("INFO spawned: 'web'", self.text())
        self.assertNotIn("WARN", self.text())
        everybody = procs.descendants(self.inside)
        self.assertEqual(len(everybody), 3)  # the supervisor and the two
        os.kill(self.inside, signal.SIGTERM)
        self.assertEqual(self.outer.wait(20), 0)
        self.assertEqual([pid for pid in everybody if procs.alive(pid)], [])
        self.assertIn("stopped: helper (terminated by SIGTERM)", self.text())

    def test_it_ends_with_its_web_server(self):
        self.wait_healthy()
        self.assertEqual(self.run_inside("droverctl", "-c", "/etc/drover/drover.conf", "signal", "INT", "web").stdout,
                         "web: signalled\n")
        self.assertEqual(self.outer.wait(20), 0)
        self.assertIn("exit_with: web:web has ended", self.text())
