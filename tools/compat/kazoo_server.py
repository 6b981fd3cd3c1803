"""The server under test, as a process that tests may crash, and what all kazoo tests share.

The environment chooses as in package target: TARGET is "meerkat" (default) or "java", and
MEERKAT_BIN names the binary. Only processes that were started here are signalled.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

from kazoo.client import KazooClient

TICK = 0.5  # seconds; sessions last 2 to 20 of it
PATIENCE = 30  # how long anything may take; it ends a test, it decides nothing
JAVA_HOME = "/usr/share/java/"


def target():
    return os.environ.get("TARGET", "meerkat")


def eventually(what, condition):
    """Waits until condition() is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("%s: not within %d s" % (what, PATIENCE))
        time.sleep(0.02)


class Server:
    """One server process with its own directory."""

    def __init__(self, *lines):
        self.dir = tempfile.mkdtemp(prefix="compat-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.addr = "127.0.0.1:%d" % self.port
        self.config = os.path.join(self.dir, "zoo.cfg")
        os.mkdir(os.path.join(self.dir, "data"))
        with open(self.config, "w") as f:
            f.write("\n".join((
                "tickTime=%d" % (TICK * 1000),
                "dataDir=" + os.path.join(self.dir, "data"),
                "clientPort=%d" % self.port,
                "clientPortAddress=127.0.0.1",
                "admin.enableServer=false",
                "4lw.commands.whitelist=*",
            ) + lines) + "\n")
        self.process = None
        self.start()

    def command(self):
        if target() == "java":
            return [
                "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
                JAVA_HOME + "zookeeper.jar:" + JAVA_HOME + "slf4j-simple.jar",
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.config,
            ]
        return [os.environ["MEERKAT_BIN"], "server", self.config]

    def start(self):
        with open(os.path.join(self.dir, "output"), "ab") as out:
            self.process = subprocess.Popen(
                self.command(), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        deadline = time.monotonic() + 60
        while "Zxid:" not in self.word("srvr"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(os.path.join(self.dir, "output"), errors="replace") as f:
                    raise AssertionError("the server does not start:\n" + f.read()[-4000:])
            time.sleep(0.02)

    def word(self, word):
        """A four-letter word's answer, "" when there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                s.sendall(word.encode())
                answer = b""
                while True:
                    more = s.recv(4096)
                    if not more:
                        return answer.decode()
                    answer += more
        except OSError:
            return ""

    def end(self, sig):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def crash(self):
        self.end(signal.SIGKILL)

    def stop(self):
        self.end(signal.SIGTERM)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def remove(self):
        self.crash()
        shutil.rmtree(self.dir)


_shared = None


def shared_server():
    """The server that tests may fill, but not stop."""
    global _shared
    if _shared is None:
        _shared = Server("extendedTypesEnabled=true")
    return _shared


def remove_shared_server():
    if _shared is not None:
        _shared.remove()


class Case(unittest.TestCase):
    """A test with a chroot of its own and clients that are closed behind it."""

    def setUp(self):
        self.server = self.make_server()
        self.chroot = "/kazoo-" + uuid.uuid4().hex
        self.client = self.connect()
        self.client.ensure_path("/")

    def make_server(self):
        return shared_server()

    def connect(self, start=True, **options):
        options.setdefault("timeout", 10)
        client = KazooClient(self.server.addr + self.chroot, **options)
        self.addCleanup(self.close, client)
        if start:
            client.start(PATIENCE)
        return client

    @staticmethod
    def close(client):
        client.stop()
        client.close()

    def cut(self, client):
        """Breaks the connection under the client, which comes back by itself."""
        lost, back = threading.Event(), threading.Event()

        def listen(state):
            if state == "SUSPENDED":
                lost.set()
            elif lost.is_set():
                back.set()

        client.add_listener(listen)
        client._connection._socket.shutdown(socket.SHUT_RDWR)
        self.assertTrue(lost.wait(PATIENCE), "the client did not notice")
        self.assertTrue(back.wait(PATIENCE), "the client did not come back")

    def freeze(self, client):
        """Breaks the client's connection and holds it back until the answer is called."""
        connection, thawed = client._connection, threading.Event()
        connect = connection._connect

        def wait_and_connect(*args):
            thawed.wait(PATIENCE)
            return connect(*args)

        def thaw():
            connection._connect = connect
            thawed.set()

        self.addCleanup(thaw)
        connection._connect = wait_and_connect
        try:
            connection._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server has closed it already
        return thaw

    def run_all(self, *functions):
        """Runs functions at the same time and raises what one of them raised."""
        errors = []

        def guarded(f):
            try:
                f()
            except BaseException as e:  # handed to the test's thread below
                errors.append(e)

        threads = [threading.Thread(target=guarded, args=(f,)) for f in functions]
        for t in threads:
            t.start()
        for t in threads:
            t.join(PATIENCE)
            self.assertFalse(t.is_alive(), "a thread hangs")
        if errors:
            raise errors[0]


class Seen:
    """Collects what a callback is given."""

    def __init__(self):
        self.calls = []
        self.condition = threading.Condition()

    def __call__(self, *args):
        with self.condition:
            self.calls.append(args[0] if len(args) == 1 else args)
            self.condition.notify_all()

    def wait(self, n=1):
        """The first n calls."""
        with self.condition:
            if not self.condition.wait_for(lambda: len(self.calls) >= n, PATIENCE):
                raise AssertionError("%d calls, want %d: %r" % (len(self.calls), n, self.calls))
            return self.calls[:n]

    def until(self, condition):
        """Waits until condition(last call)."""
        with self.condition:
            if not self.condition.wait_for(
                    lambda: self.calls and condition(self.calls[-1]), PATIENCE):
                raise AssertionError("calls: %r" % (self.calls,))
