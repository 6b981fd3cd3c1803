"""Every recipe of kazoo, by several sessions."""

import datetime
import threading

from kazoo.exceptions import LockTimeout
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.recipe.partitioner import PartitionState
from kazoo.recipe.watchers import PatientChildrenWatch

from kazoo_server import PATIENCE, Case, Seen, eventually


class LockTest(Case):
    def test_one_at_a_time(self):
        inside, entries = [], []

        def work(client):
            for _ in range(10):
                with client.Lock("/lock"):
                    inside.append(1)
                    entries.append(len(inside))
                    inside.pop()

        clients = [self.connect() for _ in range(4)]
        self.run_all(*[lambda c=c: work(c) for c in clients])
        self.assertEqual(entries, [1] * 40)

    def test_in_order_of_arrival(self):
        first = self.client.Lock("/lock", "first")
        self.assertTrue(first.acquire())
        order, threads = [], []
        for i in range(5):
            lock = self.connect().Lock("/lock", "c%d" % i)

            def take(lock=lock, i=i):
                with lock:
                    order.append(i)

            thread = threading.Thread(target=take)
            thread.start()
            threads.append(thread)
            eventually("contender", lambda: len(first.contenders()) == i + 2)
        self.assertEqual(first.contenders(), ["first"] + ["c%d" % i for i in range(5)])
        first.release()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(order, list(range(5)))

    def test_without_waiting(self):
        held = self.client.Lock("/lock")
        held.acquire()
        other = self.connect().Lock("/lock")
        self.assertFalse(other.acquire(blocking=False))
        self.assertRaises(LockTimeout, other.acquire, timeout=0.3)
        held.release()
        self.assertTrue(other.acquire(timeout=10))

    def test_cancel(self):
        held = self.client.Lock("/lock")
        held.acquire()
        other = self.connect().Lock("/lock")
        results = []
        thread = threading.Thread(target=lambda: results.append(self.attempt(other)))
        thread.start()
        eventually("contender", lambda: len(held.contenders()) == 2)
        other.cancel()
        thread.join(PATIENCE)
        self.assertEqual(results, ["CancelledError"])

    @staticmethod
    def attempt(lock):
        try:
            return lock.acquire()
        except Exception as e:  # the kind is what the test asks for
            return type(e).__name__

    def test_holder_goes(self):
        holder = self.connect()
        holder.Lock("/lock").acquire()
        mine = self.client.Lock("/lock")
        results = []
        thread = threading.Thread(target=lambda: results.append(mine.acquire(timeout=PATIENCE)))
        thread.start()
        eventually("contender", lambda: len(mine.contenders()) == 2)
        holder.stop()
        thread.join(PATIENCE)
        self.assertEqual(results, [True])

    def test_readers_and_writers(self):
        one, two, writer = self.connect(), self.connect(), self.connect()
        r1, r2 = one.ReadLock("/rw"), two.ReadLock("/rw")
        w = writer.WriteLock("/rw")
        self.assertTrue(r1.acquire(timeout=10))
        self.assertTrue(r2.acquire(timeout=10))
        self.assertFalse(w.acquire(blocking=False))
        r1.release()
        self.assertFalse(w.acquire(blocking=False))
        r2.release()
        self.assertTrue(w.acquire(timeout=10))
        self.assertFalse(r1.acquire(blocking=False))
        w.release()
        self.assertTrue(r1.acquire(timeout=10))

    def test_semaphore(self):
        clients = [self.connect() for _ in range(4)]
        inside, most = [], []

        def work(client):
            for _ in range(5):
                with client.Semaphore("/sem", max_leases=2):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()

        self.run_all(*[lambda c=c: work(c) for c in clients])
        self.assertEqual(len(most), 20)
        self.assertLessEqual(max(most), 2)

    def test_semaphore_holders(self):
        one, two = self.connect(), self.connect()
        first = one.Semaphore("/sem", "one", max_leases=1)
        second = two.Semaphore("/sem", "two", max_leases=1)
        self.assertTrue(first.acquire())
        self.assertFalse(second.acquire(blocking=False))
        self.assertEqual(first.lease_holders(), ["one"])
        one.stop()
        self.assertTrue(second.acquire(timeout=PATIENCE))


class LeaseTest(Case):
    def test_non_blocking(self):
        other = self.connect()
        hour = datetime.timedelta(hours=1)
        self.assertTrue(self.client.NonBlockingLease("/lease", hour, identifier="a"))
        self.assertFalse(other.NonBlockingLease("/lease", hour, identifier="b"))
        self.assertTrue(self.client.NonBlockingLease("/lease", hour, identifier="a"))

    def test_expired_lease(self):
        self.client.NonBlockingLease("/lease", datetime.timedelta(seconds=-60), identifier="a")
        other = self.connect()
        self.assertTrue(other.NonBlockingLease(
            "/lease", datetime.timedelta(hours=1), identifier="b"))

    def test_multi(self):
        hour = datetime.timedelta(hours=1)
        got = [bool(self.connect().MultiNonBlockingLease(2, "/leases", hour, identifier=str(i)))
               for i in range(3)]
        self.assertEqual(got, [True, True, False])


class ElectionTest(Case):
    def test_each_is_elected(self):
        clients = [self.connect() for _ in range(3)]
        leading, elected = [], []

        def lead(i):
            leading.append(i)
            elected.append((i, len(leading)))
            leading.pop()

        self.run_all(*[lambda i=i, c=c: c.Election("/vote", "c%d" % i).run(lead, i)
                       for i, c in enumerate(clients)])
        self.assertEqual(sorted(elected), [(0, 1), (1, 1), (2, 1)])

    def test_leader_goes(self):
        leader, next_one = self.connect(), self.connect()
        elected, over = threading.Event(), threading.Event()

        def lead():
            elected.set()
            over.wait(PATIENCE)

        def run_and_lose():
            try:
                leader.Election("/vote", "first").run(lead)
            except Exception:  # its session ends under it
                pass

        first = threading.Thread(target=run_and_lose)
        first.start()
        self.assertTrue(elected.wait(PATIENCE))
        turn = threading.Event()
        second = threading.Thread(target=lambda: next_one.Election("/vote", "second").run(turn.set))
        second.start()
        election = self.client.Election("/vote")
        eventually("contenders", lambda: election.contenders() == ["first", "second"])
        self.assertFalse(turn.is_set())
        leader.stop()
        self.assertTrue(turn.wait(PATIENCE))
        over.set()
        first.join(PATIENCE)
        second.join(PATIENCE)


class BarrierTest(Case):
    def test_barrier(self):
        barrier, other = self.client.Barrier("/barrier"), self.connect().Barrier("/barrier")
        self.assertTrue(other.wait(0))
        barrier.create()
        self.assertFalse(other.wait(0.2))
        passed = []
        thread = threading.Thread(target=lambda: passed.append(other.wait(PATIENCE)))
        thread.start()
        self.assertTrue(barrier.remove())
        thread.join(PATIENCE)
        self.assertEqual(passed, [True])
        self.assertFalse(barrier.remove())

    def test_double(self):
        clients = [self.connect() for _ in range(3)]
        entered, left = [], []

        def work(client):
            barrier = client.DoubleBarrier("/double", 3)
            barrier.enter()
            entered.append(1)
            eventually("all inside", lambda: len(entered) == 3)
            barrier.leave()
            left.append(len(entered))

        self.run_all(*[lambda c=c: work(c) for c in clients])
        self.assertEqual(left, [3, 3, 3])


class CounterTest(Case):
    def test_counter(self):
        counter = self.client.Counter("/counter")
        counter += 5
        counter -= 2
        self.assertEqual(counter.value, 3)
        self.assertEqual((counter.pre_value, counter.post_value), (5, 3))

    def test_float_and_default(self):
        counter = self.client.Counter("/float", default=1.5)
        counter += 0.5
        self.assertEqual(counter.value, 2.0)

    def test_at_once(self):
        def work(client):
            counter = client.Counter("/shared")
            for _ in range(20):
                counter += 1

        clients = [self.connect() for _ in range(4)]
        self.run_all(*[lambda c=c: work(c) for c in clients])
        self.assertEqual(self.client.Counter("/shared").value, 80)


class PartyTest(Case):
    def parties(self, make):
        clients = [self.connect() for _ in range(3)]
        parties = [make(c, "member%d" % i) for i, c in enumerate(clients)]
        for p in parties:
            p.join()
        eventually("members", lambda: len(parties[0]) == 3)
        self.assertEqual(sorted(parties[0]), ["member0", "member1", "member2"])
        parties[1].leave()
        self.assertEqual(sorted(parties[0]), ["member0", "member2"])
        clients[2].stop()
        self.assertEqual(list(parties[0]), ["member0"])

    def test_party(self):
        self.parties(lambda c, name: c.Party("/party", name))

    def test_shallow(self):
        self.parties(lambda c, name: c.ShallowParty("/shallow", name))


class QueueTest(Case):
    def test_queue(self):
        queue = self.client.Queue("/queue")
        self.assertIsNone(queue.get())
        for value, priority in ((b"late", 200), (b"a", 100), (b"b", 100), (b"first", 10)):
            queue.put(value, priority)
        self.assertEqual(len(queue), 4)
        self.assertEqual([queue.get() for _ in range(5)], [b"first", b"a", b"b", b"late", None])

    def test_each_item_once(self):
        queue = self.client.Queue("/queue")
        for i in range(60):
            queue.put(b"%d" % i)
        taken = []

        def work(client):
            mine = client.Queue("/queue")
            while True:
                item = mine.get()
                if item is None:
                    return
                taken.append(item)

        clients = [self.connect() for _ in range(3)]
        self.run_all(*[lambda c=c: work(c) for c in clients])
        self.assertEqual(sorted(taken, key=int), [b"%d" % i for i in range(60)])

    def test_locking_queue(self):
        queue, other = self.client.LockingQueue("/lq"), self.connect().LockingQueue("/lq")
        queue.put(b"one")
        queue.put_all([b"two", b"three"])
        queue.put(b"urgent", priority=1)
        self.assertEqual(queue.get(10), b"urgent")
        self.assertTrue(queue.holds_lock())
        self.assertEqual(other.get(10), b"one")
        self.assertTrue(queue.consume())
        self.assertTrue(other.release())
        self.assertEqual(queue.get(10), b"one")
        self.assertTrue(queue.consume())
        self.assertEqual(len(queue), 2)

    def test_locking_queue_waits(self):
        queue, other = self.client.LockingQueue("/lq"), self.connect().LockingQueue("/lq")
        got = []
        thread = threading.Thread(target=lambda: got.append(other.get(PATIENCE)))
        thread.start()
        queue.put(b"x")
        thread.join(PATIENCE)
        self.assertEqual(got, [b"x"])
        self.assertIsNone(queue.get(0.2))

    def test_locking_queue_consumer_goes(self):
        dying = self.connect()
        queue, doomed = self.client.LockingQueue("/lq"), dying.LockingQueue("/lq")
        queue.put(b"x")
        self.assertEqual(doomed.get(10), b"x")
        self.assertIsNone(queue.get(0.2))
        dying.stop()
        self.assertEqual(queue.get(PATIENCE), b"x")


class WatcherTest(Case):
    def test_data_watch(self):
        seen, other = Seen(), self.connect()
        self.client.DataWatch("/d", lambda data, stat: seen(data))
        self.assertEqual(seen.wait()[0], None)
        other.create("/d", b"0")
        seen.until(lambda d: d == b"0")
        other.set("/d", b"1")
        seen.until(lambda d: d == b"1")
        other.delete("/d")
        seen.until(lambda d: d is None)
        other.create("/d", b"2")
        seen.until(lambda d: d == b"2")

    def test_data_watch_stops(self):
        seen, other = Seen(), self.connect()
        other.create("/d", b"0")

        def once(data, stat, event):
            seen(data)
            return False

        self.client.DataWatch("/d", once)
        seen.wait()
        other.set("/d", b"1")
        self.client.sync("/d")
        self.assertEqual(seen.calls, [b"0"])

    def test_children_watch(self):
        seen, other = Seen(), self.connect()
        other.create("/c")
        self.client.ChildrenWatch("/c", lambda names: seen(sorted(names)))
        for name in "xyz":
            other.create("/c/" + name)
        seen.until(lambda names: names == ["x", "y", "z"])
        other.delete("/c/y")
        seen.until(lambda names: names == ["x", "z"])

    def test_patient_children_watch(self):
        other = self.connect()
        other.create("/p/x", makepath=True)
        result = PatientChildrenWatch(self.client, "/p", 0.5).start()
        other.create("/p/y")
        children, changed = result.get(PATIENCE)
        self.assertEqual(sorted(children), ["x", "y"])
        other.create("/p/z")
        changed.get(PATIENCE)

    def test_watches_after_a_broken_connection(self):
        data, children, other = Seen(), Seen(), self.connect()
        other.create("/w", b"0")
        self.client.DataWatch("/w", lambda d, stat: data(d))
        self.client.ChildrenWatch("/w", lambda names: children(sorted(names)))
        data.wait()
        children.wait()
        self.cut(self.client)
        other.set("/w", b"1")
        other.create("/w/x")
        data.until(lambda d: d == b"1")
        children.until(lambda names: names == ["x"])

    def test_tree_cache(self):
        other, events = self.connect(), Seen()
        other.create("/t/a/b", b"0", makepath=True)
        cache = TreeCache(self.client, "/t")
        cache.listen(events)
        cache.start()
        self.addCleanup(cache.close)
        events.until(lambda e: e.event_type == TreeEvent.INITIALIZED)
        self.assertEqual(cache.get_data("/t/a/b").data, b"0")
        other.set("/t/a/b", b"1")
        eventually("change", lambda: cache.get_data("/t/a/b").data == b"1")
        other.create("/t/a/c/d", b"2", makepath=True)
        eventually("creation", lambda: cache.get_data("/t/a/c/d") is not None)
        self.assertEqual(cache.get_children("/t/a"), frozenset(["b", "c"]))
        other.delete("/t/a", recursive=True)
        eventually("deletion", lambda: cache.get_data("/t/a") is None)
        self.assertEqual(cache.get_children("/t"), frozenset())


class PartitionerTest(Case):
    def partition(self, client, name):
        return client.SetPartitioner(
            "/parts", set=(1, 2, 3, 4, 5, 6), time_boundary=0.3, identifier=name)

    def drive(self, partitioners, done):
        """Turns the state machines until done()."""

        def turn():
            for p in partitioners:
                if p.release:
                    p.release_set()
                elif p.allocating:
                    p.wait_for_acquire(1)
            return done()

        eventually("partitions", turn)

    def test_shares(self):
        clients = [self.connect() for _ in range(3)]
        # Each must wait for the others, so they are started at the same time.
        partitioners = [None] * 3

        def join(i):
            partitioners[i] = self.partition(clients[i], "p%d" % i)

        self.run_all(*[lambda i=i: join(i) for i in range(3)])
        self.drive(partitioners, lambda: all(
            p.acquired and len(list(p)) == 2 for p in partitioners))
        shares = [list(p) for p in partitioners]
        self.assertEqual(sorted(sum(shares, [])), [1, 2, 3, 4, 5, 6])
        # One leaves: the rest take over.
        partitioners[2].finish()
        rest = partitioners[:2]
        self.drive(rest, lambda: all(p.acquired and len(list(p)) == 3 for p in rest))
        self.assertEqual(sorted(sum((list(p) for p in rest), [])), [1, 2, 3, 4, 5, 6])
        for p in rest:
            p.finish()
        self.assertEqual(partitioners[2].state, PartitionState.FAILURE)
