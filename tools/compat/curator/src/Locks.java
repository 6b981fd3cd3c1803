import java.util.Arrays;
import java.util.Collection;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphore;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.locks.Revoker;
import org.apache.curator.framework.recipes.shared.SharedCount;

/** Locks, semaphores and barriers. */
final class Locks {
    static void add() {
        Suite.test("Locks.mutex", () -> excludes(c -> new InterProcessMutex(c, "/mutex")));
        Suite.test("Locks.reentrant", Locks::reentrant);
        Suite.test("Locks.mutexAfterSessionLoss", Locks::mutexAfterSessionLoss);
        Suite.test("Locks.revoke", Locks::revoke);
        Suite.test(
                "Locks.semaphoreMutex",
                () -> excludes(c -> new InterProcessSemaphoreMutex(c, "/semaphore-mutex")));
        Suite.test(
                "Locks.multiLock",
                () ->
                        excludes(
                                c ->
                                        new InterProcessMultiLock(
                                                c, Arrays.asList("/multi/a", "/multi/b"))));
        Suite.test("Locks.readWriteLock", Locks::readWriteLock);
        Suite.test("Locks.semaphore", Locks::semaphore);
        Suite.test("Locks.oldSemaphore", Locks::oldSemaphore);
        Suite.test("Locks.semaphoreWithCount", Locks::semaphoreWithCount);
        Suite.test("Locks.barrier", Locks::barrier);
        Suite.test("Locks.doubleBarrier", Locks::doubleBarrier);
    }

    interface Maker {
        InterProcessLock make(CuratorFramework client);
    }

    /** Several clients count with a lock, which would go wrong without. */
    private static void excludes(Maker maker) throws Exception {
        int clients = 5;
        int rounds = 15;
        int[] counter = {0};
        AtomicInteger inside = new AtomicInteger();
        CuratorFramework[] all = new CuratorFramework[clients];
        for (int i = 0; i < clients; i++) {
            all[i] = Suite.client();
        }
        Suite.together(
                clients,
                n -> {
                    InterProcessLock lock = maker.make(all[n]);
                    for (int i = 0; i < rounds; i++) {
                        lock.acquire();
                        try {
                            Suite.same(1, inside.incrementAndGet());
                            counter[0]++;
                            inside.decrementAndGet();
                        } finally {
                            lock.release();
                        }
                    }
                });
        Suite.same(clients * rounds, counter[0]);
        InterProcessLock held = maker.make(all[0]);
        Suite.check(held.acquire(Suite.PATIENCE, TimeUnit.SECONDS), "not free");
        InterProcessLock other = maker.make(all[1]);
        Suite.check(!other.acquire(200, TimeUnit.MILLISECONDS), "two hold it");
        held.release();
        Suite.check(other.acquire(Suite.PATIENCE, TimeUnit.SECONDS), "not free again");
        other.release();
    }

    private static void reentrant() throws Exception {
        CuratorFramework c = Suite.client();
        InterProcessMutex lock = new InterProcessMutex(c, "/reentrant");
        lock.acquire();
        lock.acquire();
        lock.release();
        Suite.check(lock.isOwnedByCurrentThread(), "lost it too early");
        Future<?> waiter = Suite.async(() -> {
            lock.acquire();
            lock.release();
        });
        Suite.until("the waiter", () -> lock.getParticipantNodes().size() == 2);
        Collection<String> nodes = lock.getParticipantNodes();
        Suite.check(nodes.iterator().next().contains("-lock-0000000000"), nodes.toString());
        lock.release();
        waiter.get(Suite.PATIENCE, TimeUnit.SECONDS);
        Suite.fails(IllegalMonitorStateException.class, lock::release);
    }

    private static void mutexAfterSessionLoss() throws Exception {
        CuratorFramework a = Suite.client();
        CuratorFramework b = Suite.client();
        new InterProcessMutex(a, "/lost-mutex").acquire();
        InterProcessMutex next = new InterProcessMutex(b, "/lost-mutex");
        Suite.check(!next.acquire(100, TimeUnit.MILLISECONDS), "two hold it");
        Future<?> waiter = Suite.async(next::acquire);
        Suite.until("the waiter", () -> next.getParticipantNodes().size() == 2);
        Suite.endSession(a);
        waiter.get(Suite.PATIENCE, TimeUnit.SECONDS);
    }

    private static void revoke() throws Exception {
        CuratorFramework c = Suite.client();
        InterProcessMutex lock = new InterProcessMutex(c, "/revoke");
        CountDownLatch asked = new CountDownLatch(1);
        lock.makeRevocable(l -> asked.countDown());
        lock.acquire();
        Revoker.attemptRevoke(c, lock.getParticipantNodes().iterator().next());
        Suite.check(asked.await(Suite.PATIENCE, TimeUnit.SECONDS), "nobody asked");
        lock.release();
    }

    private static void readWriteLock() throws Exception {
        CuratorFramework a = Suite.client();
        CuratorFramework b = Suite.client();
        InterProcessReadWriteLock mine = new InterProcessReadWriteLock(a, "/rwlock");
        InterProcessReadWriteLock other = new InterProcessReadWriteLock(b, "/rwlock");
        mine.readLock().acquire();
        Suite.check(other.readLock().acquire(Suite.PATIENCE, TimeUnit.SECONDS), "no two readers");
        Suite.check(!other.writeLock().acquire(200, TimeUnit.MILLISECONDS), "a writer too many");
        mine.readLock().release();
        other.readLock().release();
        Suite.check(other.writeLock().acquire(Suite.PATIENCE, TimeUnit.SECONDS), "no writer");
        Suite.check(!mine.readLock().acquire(200, TimeUnit.MILLISECONDS), "a reader too many");
        other.readLock().acquire(); // a writer may step down
        other.writeLock().release();
        Suite.check(mine.readLock().acquire(Suite.PATIENCE, TimeUnit.SECONDS), "no reader");
        AtomicInteger writers = new AtomicInteger();
        AtomicInteger readers = new AtomicInteger();
        mine.readLock().release();
        other.readLock().release();
        Suite.together(
                6,
                n -> {
                    InterProcessReadWriteLock l =
                            new InterProcessReadWriteLock(n % 2 == 0 ? a : b, "/rwlock");
                    for (int i = 0; i < 10; i++) {
                        if (n < 2) {
                            l.writeLock().acquire();
                            Suite.same(1, writers.incrementAndGet());
                            Suite.same(0, readers.get());
                            writers.decrementAndGet();
                            l.writeLock().release();
                        } else {
                            l.readLock().acquire();
                            readers.incrementAndGet();
                            Suite.same(0, writers.get());
                            readers.decrementAndGet();
                            l.readLock().release();
                        }
                    }
                });
    }

    private static void semaphore() throws Exception {
        CuratorFramework[] clients = {Suite.client(), Suite.client()};
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        Suite.together(
                8,
                n -> {
                    InterProcessSemaphoreV2 semaphore =
                            new InterProcessSemaphoreV2(clients[n % 2], "/semaphore", 3);
                    for (int i = 0; i < 8; i++) {
                        Lease lease = semaphore.acquire();
                        int now = inside.incrementAndGet();
                        most.accumulateAndGet(now, Math::max);
                        inside.decrementAndGet();
                        semaphore.returnLease(lease);
                    }
                });
        Suite.check(most.get() <= 3, most + " at once");
        InterProcessSemaphoreV2 semaphore =
                new InterProcessSemaphoreV2(clients[0], "/semaphore", 3);
        Collection<Lease> leases = semaphore.acquire(3);
        Suite.same(3, semaphore.getParticipantNodes().size());
        Suite.same(null, semaphore.acquire(100, TimeUnit.MILLISECONDS));
        Suite.endSession(clients[0]); // and with it the leases
        Suite.check(
                new InterProcessSemaphoreV2(clients[1], "/semaphore", 3)
                                .acquire(3, Suite.PATIENCE, TimeUnit.SECONDS)
                        != null,
                "the leases of a lost session");
        semaphore.returnAll(leases);
    }

    @SuppressWarnings("deprecation")
    private static void oldSemaphore() throws Exception {
        CuratorFramework a = Suite.client();
        InterProcessSemaphore mine = new InterProcessSemaphore(a, "/old-semaphore", 2);
        InterProcessSemaphore other =
                new InterProcessSemaphore(Suite.client(), "/old-semaphore", 2);
        Lease first = mine.acquire();
        Lease second = other.acquire();
        Suite.same(null, mine.acquire(100, TimeUnit.MILLISECONDS));
        Future<?> waiter = Suite.async(() -> other.returnLease(other.acquire()));
        mine.returnLease(first);
        waiter.get(Suite.PATIENCE, TimeUnit.SECONDS);
        other.returnLease(second);
        Suite.same(2, mine.acquire(2).size());
    }

    private static void semaphoreWithCount() throws Exception {
        CuratorFramework c = Suite.client();
        SharedCount count = Suite.open(new SharedCount(c, "/semaphore-count", 1));
        count.start();
        InterProcessSemaphoreV2 semaphore =
                new InterProcessSemaphoreV2(c, "/semaphore-of-count", count);
        Suite.check(semaphore.acquire(Suite.PATIENCE, TimeUnit.SECONDS) != null, "not one");
        Suite.same(null, semaphore.acquire(100, TimeUnit.MILLISECONDS));
        Future<?> second = Suite.async(semaphore::acquire);
        count.setCount(2);
        second.get(Suite.PATIENCE, TimeUnit.SECONDS);
    }

    private static void barrier() throws Exception {
        CuratorFramework a = Suite.client();
        CuratorFramework b = Suite.client();
        DistributedBarrier barrier = new DistributedBarrier(a, "/barrier");
        barrier.setBarrier();
        Suite.check(
                !new DistributedBarrier(b, "/barrier").waitOnBarrier(100, TimeUnit.MILLISECONDS),
                "open");
        AtomicInteger through = new AtomicInteger();
        CountDownLatch running = new CountDownLatch(5);
        Future<?> waiters =
                Suite.async(
                        () ->
                                Suite.together(
                                        5,
                                        n -> {
                                            running.countDown();
                                            new DistributedBarrier(b, "/barrier").waitOnBarrier();
                                            through.incrementAndGet();
                                        }));
        Suite.check(running.await(Suite.PATIENCE, TimeUnit.SECONDS), "no waiters");
        Suite.same(0, through.get());
        barrier.removeBarrier();
        waiters.get(Suite.PATIENCE, TimeUnit.SECONDS);
        Suite.same(5, through.get());
    }

    private static void doubleBarrier() throws Exception {
        int members = 5;
        AtomicInteger entered = new AtomicInteger();
        AtomicInteger left = new AtomicInteger();
        CuratorFramework[] all = new CuratorFramework[members];
        for (int i = 0; i < members; i++) {
            all[i] = Suite.client();
        }
        CountDownLatch inside = new CountDownLatch(members);
        Suite.together(
                members,
                n -> {
                    DistributedDoubleBarrier barrier =
                            new DistributedDoubleBarrier(all[n], "/double-barrier", members);
                    entered.incrementAndGet();
                    Suite.check(barrier.enter(Suite.PATIENCE, TimeUnit.SECONDS), "not in");
                    Suite.same(members, entered.get());
                    inside.countDown();
                    Suite.check(inside.await(Suite.PATIENCE, TimeUnit.SECONDS), "not all in");
                    left.incrementAndGet();
                    Suite.check(barrier.leave(Suite.PATIENCE, TimeUnit.SECONDS), "not out");
                    Suite.same(members, left.get());
                });
    }

    private Locks() {}
}
