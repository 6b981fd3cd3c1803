"""Every call of kazoo's client, good and failing."""

import threading

from kazoo.exceptions import (
    BadVersionError, ConnectionClosedError, InvalidACLError, NoAuthError,
    NoChildrenForEphemeralsError, NodeExistsError, NoNodeError, NotEmptyError,
    RolledBackError, RuntimeInconsistency, AuthFailedError)
from kazoo.protocol.states import EventType, KazooState
from kazoo.retry import KazooRetry
from kazoo.security import (
    CREATOR_ALL_ACL, OPEN_ACL_UNSAFE, READ_ACL_UNSAFE, make_acl, make_digest_acl)

from kazoo_server import Case, Seen, eventually


class CreateTest(Case):
    def test_plain(self):
        self.assertEqual(self.client.create("/a", b"data"), "/a")
        data, stat = self.client.get("/a")
        self.assertEqual(data, b"data")
        self.assertEqual((stat.version, stat.cversion, stat.aversion, stat.dataLength,
                          stat.numChildren, stat.ephemeralOwner), (0, 0, 0, 4, 0, 0))
        self.assertEqual(stat.czxid, stat.mzxid)
        self.assertEqual(stat.czxid, stat.pzxid)
        self.assertEqual(stat.ctime, stat.mtime)

    def test_empty_data(self):
        self.client.create("/a")
        self.assertEqual(self.client.get("/a")[0], b"")

    def test_unicode_path(self):
        self.client.create("/\u00e4\u20ac", "\u00fc".encode())
        self.assertEqual(self.client.get_children("/"), ["\u00e4\u20ac"])
        self.assertEqual(self.client.get("/\u00e4\u20ac")[0].decode(), "\u00fc")

    def test_ephemeral(self):
        self.client.create("/e", b"", ephemeral=True)
        self.assertEqual(self.client.exists("/e").ephemeralOwner, self.client.client_id[0])
        self.assertRaises(NoChildrenForEphemeralsError, self.client.create, "/e/x")

    def test_sequence(self):
        names = [self.client.create("/s-", sequence=True) for _ in range(3)]
        self.assertEqual(names, ["/s-%010d" % i for i in range(3)])
        self.client.delete(names[2])
        self.assertEqual(self.client.create("/t-", sequence=True, ephemeral=True),
                         "/t-0000000003")

    def test_makepath(self):
        self.client.create("/a/b/c", b"x", makepath=True)
        self.assertEqual(self.client.get("/a/b/c")[0], b"x")
        self.assertEqual(self.client.create("/q/s-", sequence=True, makepath=True),
                         "/q/s-0000000000")

    def test_include_data(self):
        path, stat = self.client.create("/a", b"xyz", include_data=True)
        self.assertEqual(path, "/a")
        self.assertEqual(stat, self.client.exists("/a"))
        path, stat = self.client.create(
            "/s-", ephemeral=True, sequence=True, include_data=True)
        self.assertEqual(path, "/s-0000000001")
        self.assertEqual(stat.ephemeralOwner, self.client.client_id[0])

    def test_failures(self):
        self.client.create("/a")
        self.assertRaises(NodeExistsError, self.client.create, "/a")
        self.assertRaises(NoNodeError, self.client.create, "/none/x")
        self.assertRaises(InvalidACLError, self.client.create, "/b", b"",
                          [make_acl("nope", "x", all=True)])

    def test_ensure_path(self):
        self.assertTrue(self.client.ensure_path("/a/b/c"))
        self.assertTrue(self.client.ensure_path("/a/b/c"))
        self.assertEqual(self.client.get_children("/a/b"), ["c"])


class ReadTest(Case):
    def test_exists(self):
        self.assertIsNone(self.client.exists("/a"))
        self.client.create("/a", b"1234")
        self.assertEqual(self.client.exists("/a").data_length, 4)

    def test_get(self):
        self.assertRaises(NoNodeError, self.client.get, "/a")
        self.client.create("/a", b"\x00\xff" * 1000)
        self.assertEqual(self.client.get("/a")[0], b"\x00\xff" * 1000)

    def test_get_children(self):
        self.assertRaises(NoNodeError, self.client.get_children, "/a")
        self.client.create("/a")
        self.assertEqual(self.client.get_children("/a"), [])
        for name in "xyz":
            self.client.create("/a/" + name)
        self.assertEqual(sorted(self.client.get_children("/a")), ["x", "y", "z"])
        names, stat = self.client.get_children("/a", include_data=True)
        self.assertEqual((sorted(names), stat.numChildren, stat.children_version),
                         (["x", "y", "z"], 3, 3))

    def test_async(self):
        results = [self.client.create_async("/a%d" % i, b"%d" % i) for i in range(100)]
        results += [self.client.get_async("/a%d" % i) for i in range(100)]
        self.assertEqual([r.get(30) for r in results[:100]], ["/a%d" % i for i in range(100)])
        self.assertEqual([r.get(30)[0] for r in results[100:]], [b"%d" % i for i in range(100)])

    def test_order_of_answers(self):
        order = []
        self.client.create("/a", b"0")
        pending = []
        for i in range(1, 200):
            for call in (self.client.set_async("/a", b"%d" % i), self.client.get_async("/a")):
                call.rawlink(lambda r: order.append(r))
                pending.append(call)
        for call in pending:
            call.get(30)
        self.assertEqual([p.get()[0] for p in pending[1::2]], [b"%d" % i for i in range(1, 200)])
        eventually("callbacks", lambda: len(order) == len(pending))
        self.assertEqual(order, pending)

    def test_sync(self):
        self.client.create("/a")
        self.assertEqual(self.client.sync("/a"), "/a")


class WriteTest(Case):
    def test_set(self):
        self.client.create("/a", b"0")
        stat = self.client.set("/a", b"12")
        self.assertEqual((stat.version, stat.dataLength), (1, 2))
        self.assertEqual(self.client.set("/a", b"3", version=1).version, 2)
        self.assertRaises(BadVersionError, self.client.set, "/a", b"4", version=1)
        self.assertRaises(NoNodeError, self.client.set, "/none", b"4")
        data, stat = self.client.get("/a")
        self.assertEqual((data, stat.version), (b"3", 2))
        self.assertGreater(stat.last_modified_transaction_id, stat.creation_transaction_id)

    def test_delete(self):
        self.client.create("/a")
        self.assertRaises(BadVersionError, self.client.delete, "/a", version=5)
        self.client.create("/a/b")
        self.assertRaises(NotEmptyError, self.client.delete, "/a")
        self.client.delete("/a/b", version=0)
        self.client.delete("/a")
        self.assertRaises(NoNodeError, self.client.delete, "/a")

    def test_delete_recursive(self):
        for path in ("/a/b/c", "/a/d", "/a/b/e/f"):
            self.client.create(path, makepath=True)
        self.client.delete("/a", recursive=True)
        self.assertIsNone(self.client.exists("/a"))

    def test_big_data(self):
        big = bytes(1000 * 1000)
        self.client.create("/big", big)
        self.assertEqual(self.client.get("/big")[0], big)

    def test_too_big_data(self):
        self.client.create("/big", b"small")
        self.assertRaises(Exception, self.client.set, "/big", bytes(2 * 1024 * 1024))
        self.assertEqual(self.client.retry(self.client.get, "/big")[0], b"small")


class AuthTest(Case):
    def test_world_acl(self):
        self.client.create("/a")
        acls, stat = self.client.get_acls("/a")
        self.assertEqual(acls, OPEN_ACL_UNSAFE)
        self.assertEqual(stat.aversion, 0)

    def test_set_acls(self):
        self.client.create("/a")
        stat = self.client.set_acls("/a", READ_ACL_UNSAFE)
        self.assertEqual((stat.aversion, stat.version), (1, 0))
        self.assertEqual(self.client.get_acls("/a")[0], READ_ACL_UNSAFE)
        self.assertRaises(NoAuthError, self.client.set, "/a", b"")
        self.assertRaises(NoAuthError, self.client.set_acls, "/a", OPEN_ACL_UNSAFE)
        self.client.create("/b")
        self.assertRaises(BadVersionError, self.client.set_acls, "/b", READ_ACL_UNSAFE, version=7)
        self.assertRaises(InvalidACLError, self.client.set_acls, "/b", [])
        self.assertRaises(NoNodeError, self.client.set_acls, "/none", OPEN_ACL_UNSAFE)

    def test_digest(self):
        acl = make_digest_acl("bob", "secret", all=True)
        self.client.add_auth("digest", "bob:secret")
        self.client.create("/mine", b"x", acl=(acl,))
        self.assertEqual(self.client.get("/mine")[0], b"x")
        self.assertEqual(self.client.get_acls("/mine")[0], [acl])
        stranger = self.connect()
        for call in (stranger.get, stranger.get_children, stranger.get_acls):
            self.assertRaises(NoAuthError, call, "/mine")
        self.assertRaises(NoAuthError, stranger.set, "/mine", b"y")
        self.assertRaises(NoAuthError, stranger.create, "/mine/x")
        stranger.add_auth("digest", "bob:wrong")
        self.assertRaises(NoAuthError, stranger.get, "/mine")
        stranger.add_auth("digest", "bob:secret")
        self.assertEqual(stranger.get("/mine")[0], b"x")

    def test_auth_data_of_a_client(self):
        owner = self.connect(auth_data=[("digest", "bob:secret")])
        owner.create("/mine", b"x", acl=(make_digest_acl("bob", "secret", all=True),))
        self.cut(owner)
        self.assertEqual(owner.retry(owner.get, "/mine")[0], b"x")

    def test_auth_scheme_is_expanded(self):
        self.client.add_auth("digest", "bob:secret")
        self.client.create("/mine", acl=CREATOR_ALL_ACL)
        acls, _ = self.client.get_acls("/mine")
        self.assertEqual(acls, [make_digest_acl("bob", "secret", all=True)])
        other = self.connect()
        self.assertRaises(InvalidACLError, other.create, "/other", b"", CREATOR_ALL_ACL)

    def test_masked_digest(self):
        self.client.create("/a", acl=[make_digest_acl("bob", "secret", all=True),
                                      make_acl("world", "anyone", read=True)])
        acls, _ = self.client.get_acls("/a")
        self.assertEqual(acls[0].id.id, "bob:x")

    def test_default_acl(self):
        acl = make_digest_acl("bob", "secret", all=True)
        owner = self.connect(default_acl=(acl,), auth_data=[("digest", "bob:secret")])
        owner.create("/mine")
        owner.ensure_path("/deep/er")
        for path in ("/mine", "/deep", "/deep/er"):
            self.assertEqual(owner.get_acls(path)[0], [acl])
        self.assertRaises(NoAuthError, self.client.get, "/mine")

    def test_unknown_scheme(self):
        other = self.connect()
        self.assertRaises(AuthFailedError, other.add_auth, "nope", "x:y")


class TransactionTest(Case):
    def test_success(self):
        self.client.create("/a", b"0")
        t = self.client.transaction()
        t.check("/a", 0)
        t.create("/b", b"x")
        t.create("/s-", b"x", sequence=True, ephemeral=True)
        t.set_data("/a", b"1", version=0)
        t.delete("/b", 0)
        results = t.commit()
        self.assertEqual(results[:3], [True, "/b", "/s-0000000002"])
        self.assertEqual(results[3].version, 1)
        self.assertIs(results[4], True)
        self.assertEqual(self.client.get("/a")[0], b"1")
        self.assertIsNone(self.client.exists("/b"))

    def test_failure(self):
        self.client.create("/a", b"0")
        t = self.client.transaction()
        t.create("/b", b"x")
        t.set_data("/a", b"1")
        t.check("/a", 99)
        t.delete("/a")
        kinds = [type(r) for r in t.commit()]
        self.assertEqual(kinds, [RolledBackError, RolledBackError, BadVersionError,
                                 RuntimeInconsistency])
        self.assertEqual(self.client.get("/a")[0], b"0")
        self.assertIsNone(self.client.exists("/b"))

    def test_each_failure(self):
        self.client.create("/a/b", makepath=True)
        for change, error in (
                (lambda t: t.create("/a"), NodeExistsError),
                (lambda t: t.create("/none/x"), NoNodeError),
                (lambda t: t.delete("/a"), NotEmptyError),
                (lambda t: t.delete("/none"), NoNodeError),
                (lambda t: t.set_data("/a", b"", 7), BadVersionError),
                (lambda t: t.check("/none", 0), NoNodeError)):
            t = self.client.transaction()
            change(t)
            self.assertIsInstance(t.commit()[0], error)

    def test_later_parts_see_earlier_ones(self):
        t = self.client.transaction()
        t.create("/p")
        t.create("/p/q")
        t.set_data("/p", b"1", version=0)
        t.set_data("/p", b"2", version=1)
        t.delete("/p/q")
        self.assertEqual(t.commit()[3].version, 2)

    def test_context(self):
        with self.client.transaction() as t:
            t.create("/ctx")
        self.assertIsNotNone(self.client.exists("/ctx"))


class WatchTest(Case):
    def test_data(self):
        seen, other = Seen(), self.connect()
        self.client.create("/a", b"0")
        self.client.get("/a", watch=seen)
        other.set("/a", b"1")
        event = seen.wait()[0]
        self.assertEqual((event.type, event.path), (EventType.CHANGED, "/a"))
        other.set("/a", b"2")
        self.client.sync("/a")
        self.assertEqual(len(seen.calls), 1)

    def test_exists(self):
        created, changed, deleted, other = Seen(), Seen(), Seen(), self.connect()
        self.client.exists("/a", watch=created)
        other.create("/a")
        self.assertEqual(created.wait()[0].type, EventType.CREATED)
        self.client.exists("/a", watch=changed)
        other.set("/a", b"1")
        self.assertEqual(changed.wait()[0].type, EventType.CHANGED)
        self.client.exists("/a", watch=deleted)
        other.delete("/a")
        self.assertEqual(deleted.wait()[0].type, EventType.DELETED)

    def test_children(self):
        seen, again, gone, other = Seen(), Seen(), Seen(), self.connect()
        self.client.create("/a")
        self.client.get_children("/a", watch=seen)
        other.set("/a", b"not a child")
        other.create("/a/x")
        self.assertEqual(seen.wait()[0].type, EventType.CHILD)
        self.client.get_children("/a", watch=again, include_data=True)
        other.delete("/a/x")
        self.assertEqual(again.wait()[0].type, EventType.CHILD)
        self.client.get_children("/a", watch=gone)
        other.delete("/a")
        self.assertEqual(gone.wait()[0].type, EventType.DELETED)

    def test_event_comes_before_newer_data(self):
        other = self.connect()
        self.client.create("/a", b"0")
        for i in range(1, 100):
            seen = Seen()
            self.client.get("/a", watch=seen)
            other.set("/a", b"%d" % i)
            self.client.get("/a")
            seen.wait()

    def test_many(self):
        seen, other = Seen(), self.connect()
        for i in range(500):
            self.client.create("/%d" % i)
            self.client.get("/%d" % i, watch=seen)
        for i in range(500):
            other.set_async("/%d" % i, b"x")
        paths = [e.path for e in seen.wait(500)]
        self.assertEqual(paths, ["/%d" % i for i in range(500)])


class ConnectionTest(Case):
    def test_server_version(self):
        version = self.client.server_version()
        self.assertGreaterEqual(version, (3, 8))

    def test_words(self):
        self.assertEqual(self.client.command(b"ruok"), "imok")
        for word, line in ((b"srvr", "Mode: standalone"), (b"stat", "Clients:"),
                           (b"mntr", "zk_server_state\tstandalone"), (b"isro", "rw")):
            self.assertIn(line, self.client.command(word))
        mntr = dict(line.split("\t", 1) for line in
                    self.client.command(b"mntr").splitlines() if "\t" in line)
        for key in ("zk_version", "zk_avg_latency", "zk_min_latency", "zk_max_latency",
                    "zk_packets_received", "zk_packets_sent", "zk_num_alive_connections",
                    "zk_outstanding_requests", "zk_server_state", "zk_znode_count",
                    "zk_watch_count", "zk_ephemerals_count", "zk_approximate_data_size",
                    "zk_open_file_descriptor_count", "zk_max_file_descriptor_count"):
            self.assertIn(key, mntr)

    def test_chroot(self):
        self.client.create("/a", b"x")
        whole = self.connect(start=False)
        whole.chroot = ""
        whole.start()
        self.assertEqual(whole.get(self.chroot + "/a")[0], b"x")
        self.client.chroot = self.chroot + "/deeper"
        self.client.ensure_path("/b")
        self.assertIsNotNone(whole.exists(self.chroot + "/deeper/b"))
        self.client.chroot = self.chroot

    def test_stop_and_start(self):
        first = self.client.client_id
        self.client.create("/e", ephemeral=True)
        self.client.stop()
        self.assertRaises(ConnectionClosedError, self.client.get, "/e")
        self.client.start()
        self.assertNotEqual(self.client.client_id, first)
        self.assertIsNone(self.client.exists("/e"))

    def test_restart(self):
        self.client.restart()
        self.assertTrue(self.client.connected)
        self.assertEqual(self.client.state, KazooState.CONNECTED)

    def test_many_clients(self):
        clients = [self.connect() for _ in range(30)]
        for i, client in enumerate(clients):
            client.create("/c%d" % i, ephemeral=True)
        self.assertEqual(len(set(c.client_id[0] for c in clients)), 30)
        self.assertEqual(len(self.client.get_children("/")), 30)
        for client in clients:
            client.stop()
        self.assertEqual(self.client.get_children("/"), [])

    def test_retry(self):
        attempts = []

        def flaky():
            attempts.append(1)
            if len(attempts) < 3:
                raise KazooRetry.RETRY_EXCEPTIONS[0]()
            return self.client.create("/r")

        self.assertEqual(KazooRetry(max_tries=5, delay=0.01)(flaky), "/r")
        self.assertEqual(len(attempts), 3)

    def test_threads_share_a_client(self):
        def work(n):
            for i in range(50):
                self.client.create("/t%d-%d" % (n, i), b"x")
                self.client.get("/t%d-%d" % (n, i))

        self.run_all(*[lambda n=n: work(n) for n in range(8)])
        self.assertEqual(len(self.client.get_children("/")), 400)

    def test_listener(self):
        states, connected = [], threading.Event()
        client = self.connect(start=False)
        client.add_listener(lambda s: (states.append(s), connected.set()))
        client.start()
        self.assertTrue(connected.wait(10))
        client.stop()
        eventually("LOST", lambda: states[-1] == KazooState.LOST)
        self.assertEqual(states[0], KazooState.CONNECTED)
