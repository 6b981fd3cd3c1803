"""Sessions over broken connections, restarts and crashes of the server."""

import socket
import struct
import threading
import time
import unittest

from kazoo.exceptions import ConnectionLoss, NodeExistsError, SessionExpiredError
from kazoo.protocol.states import EventType, KazooState
from kazoo.retry import KazooRetry

from kazoo_server import PATIENCE, TICK, Case, Seen, Server, eventually, target


class SessionTest(Case):
    def test_ephemerals_vanish_on_close(self):
        other, gone = self.connect(), Seen()
        for i in range(50):
            other.create("/e%d" % i, ephemeral=True)
        other.create("/stays")
        self.client.exists("/e7", watch=gone)
        other.stop()
        self.assertEqual(gone.wait()[0].type, EventType.DELETED)
        self.assertEqual(self.client.get_children("/"), ["stays"])

    def test_reattach(self):
        """The id and password of a session are all that a new connection needs."""
        first = self.connect()
        first.create("/e", b"x", ephemeral=True)
        client_id = first.client_id
        second = self.connect(client_id=client_id)
        self.assertEqual(second.client_id, client_id)
        self.assertEqual(second.exists("/e").ephemeralOwner, client_id[0])
        second.stop()
        self.assertIsNone(self.client.exists("/e"))

    def test_wrong_password(self):
        first = self.connect()
        session = first.client_id[0]
        second = self.connect(client_id=(session, b"x" * 16))
        self.assertNotEqual(second.client_id[0], session)
        self.assertIsNotNone(first.retry(first.exists, "/"))

    def test_unknown_session(self):
        client = self.connect(client_id=(0x123456789abc, b"x" * 16))
        self.assertNotEqual(client.client_id[0], 0x123456789abc)
        self.assertIsNotNone(client.exists("/"))

    def test_broken_connection(self):
        client_id = self.client.client_id
        self.client.create("/e", ephemeral=True)
        for _ in range(3):
            self.cut(self.client)
        self.assertEqual(self.client.client_id, client_id)
        self.assertEqual(self.client.retry(self.client.exists, "/e").ephemeralOwner, client_id[0])

    def test_expiry(self):
        """A client that is silent for longer than its timeout loses everything."""
        states, gone = Seen(), Seen()
        silent = self.connect(timeout=2 * TICK)
        silent.create("/e", ephemeral=True)
        session = silent.client_id
        self.client.exists("/e", watch=gone)
        silent.add_listener(states)
        thaw = self.freeze(silent)
        self.assertEqual(gone.wait()[0].type, EventType.DELETED)
        thaw()
        states.until(lambda s: s == KazooState.CONNECTED)
        self.assertIn(KazooState.LOST, states.calls)
        self.assertNotEqual(silent.client_id, session)
        self.assertIsNone(silent.retry(silent.exists, "/e"))

    def test_idle_client_lives(self):
        idle = self.connect(timeout=2 * TICK)
        session = idle.client_id
        time.sleep(6 * TICK)  # the passing of time is what is tested
        self.assertIsNotNone(idle.exists("/"))
        self.assertEqual(idle.client_id, session)

    def test_garbage_hurts_nobody(self):
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\x00\x00\x00\x08abc",
                        struct.pack(">i", -1), struct.pack(">i", 0x7fffffff), b""):
            with socket.create_connection(("127.0.0.1", self.server.port)) as s:
                s.sendall(garbage)
        self.assertIsNotNone(self.client.exists("/"))


class RestartTest(Case):
    def make_server(self):
        server = Server()
        self.addCleanup(server.remove)
        return server

    def restart(self, end):
        end(self.server)
        eventually("the loss", lambda: self.client.state != KazooState.CONNECTED)
        self.server.start()

    def survives(self, end):
        client = self.client
        client.create("/data", b"0")
        client.set("/data", b"1")
        client.create("/e", b"mine", ephemeral=True)
        client.create("/s-", sequence=True)
        before, session = client.get("/data"), client.client_id
        data, children, once = Seen(), Seen(), Seen()
        client.DataWatch("/data", lambda d, stat: data(d))
        client.ChildrenWatch("/", lambda names: children(sorted(names)))
        client.exists("/data", watch=once)
        data.wait()
        self.restart(end)
        self.assertEqual(client.retry(client.get, "/data"), before)
        self.assertEqual(client.client_id, session)
        self.assertEqual(client.retry(client.exists, "/e").ephemeralOwner, session[0])
        self.assertEqual(client.retry(client.create, "/s-", sequence=True), "/s-0000000003")
        client.retry(client.set, "/data", b"2")
        data.until(lambda d: d == b"2")
        children.until(lambda names: "s-0000000003" in names)
        self.assertEqual(client.retry(client.set, "/data", b"3").version, before[1].version + 2)

    def test_stop(self):
        self.survives(Server.stop)

    def test_crash(self):
        self.survives(Server.crash)

    def test_several_times(self):
        self.client.create("/n", b"0")
        for i in range(1, 5):
            self.restart(Server.crash if i % 2 else Server.stop)
            self.client.retry(self.client.set, "/n", b"%d" % i)
        data, stat = self.client.retry(self.client.get, "/n")
        self.assertEqual((data, stat.version), (b"4", 4))

    def test_lock_is_kept(self):
        lock = self.client.Lock("/lock", "me")
        lock.acquire()
        self.restart(Server.crash)
        self.assertEqual(self.client.retry(lock.contenders), ["me"])
        other = self.connect()
        self.assertFalse(other.Lock("/lock").acquire(blocking=False))

    def test_session_ends_while_the_server_is_down(self):
        """Deadlines start anew with the server: the dead client's session ends after it."""
        dead = self.connect(timeout=2 * TICK)
        dead.create("/e", ephemeral=True)
        self.server.crash()
        thaw = self.freeze(dead)
        self.server.start()
        eventually("the end of the session", lambda: self.client.retry(
            self.client.exists, "/e") is None)
        thaw()

    def test_nothing_acknowledged_is_lost(self):
        done, stop = [], threading.Event()

        def write(client, n):
            i = 0
            while not stop.is_set():
                try:
                    client.create("/w%d-%d" % (n, i))
                except NodeExistsError:
                    pass  # done, but not told
                except (ConnectionLoss, SessionExpiredError):
                    continue
                done.append("w%d-%d" % (n, i))
                i += 1

        clients = [self.connect() for _ in range(4)]
        threads = [threading.Thread(target=write, args=(c, n)) for n, c in enumerate(clients)]
        for t in threads:
            t.start()
        for i in range(3):
            count = len(done)
            eventually("writes", lambda: len(done) > count + 100)
            self.server.crash()
            self.server.start()
        stop.set()
        for t in threads:
            t.join(PATIENCE)
        there = set(self.client.retry(self.client.get_children, "/"))
        self.assertEqual(set(done) - there, set())

    def test_retry_over_a_restart(self):
        retry = KazooRetry(max_tries=-1, delay=0.05, max_delay=0.2, max_jitter=0)
        self.client.create("/a", b"0")
        self.server.crash()
        result = []
        thread = threading.Thread(
            target=lambda: result.append(retry(self.client.get, "/a")[0]))
        thread.start()
        self.server.start()
        thread.join(PATIENCE)
        self.assertEqual(result, [b"0"])

    @unittest.skipIf(target() == "java", "Java counts the time it stood still")
    def test_frozen_server(self):
        """A server that stood still for longer than the timeouts ends no session."""
        client = self.connect(timeout=4 * TICK)
        client.create("/e", ephemeral=True)
        session = client.client_id
        self.server.pause()
        time.sleep(6 * TICK)  # the passing of time is what is tested
        self.server.resume()
        owner = client.retry(client.exists, "/e")
        self.assertIsNotNone(owner)
        self.assertEqual((owner.ephemeralOwner, client.client_id), (session[0], session))
