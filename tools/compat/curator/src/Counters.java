import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.CachedAtomicInteger;
import org.apache.curator.framework.recipes.atomic.CachedAtomicLong;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicInteger;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicValue;
import org.apache.curator.framework.recipes.atomic.PromotedToLock;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedCountListener;
import org.apache.curator.framework.recipes.shared.SharedCountReader;
import org.apache.curator.framework.recipes.shared.SharedValue;
import org.apache.curator.framework.recipes.shared.VersionedValue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;

/** Shared values. */
final class Counters {
    static void add() {
        Suite.test("Counters.sharedCount", Counters::sharedCount);
        Suite.test("Counters.sharedValue", Counters::sharedValue);
        Suite.test("Counters.atomicLong", Counters::atomicLong);
        Suite.test("Counters.atomicInteger", Counters::atomicInteger);
        Suite.test("Counters.atomicValue", Counters::atomicValue);
        Suite.test("Counters.promotedToLock", Counters::promotedToLock);
        Suite.test("Counters.cached", Counters::cached);
    }

    private static void sharedCount() throws Exception {
        CuratorFramework a = Suite.client();
        SharedCount mine = Suite.open(new SharedCount(a, "/shared-count", 7));
        SharedCount other = Suite.open(new SharedCount(Suite.client(), "/shared-count", 9));
        AtomicInteger heard = new AtomicInteger();
        other.addListener(
                new SharedCountListener() {
                    @Override
                    public void countHasChanged(SharedCountReader count, int value) {
                        heard.set(value);
                    }

                    @Override
                    public void stateChanged(CuratorFramework c, ConnectionState state) {}
                });
        mine.start();
        other.start();
        Suite.same(7, mine.getCount());
        Suite.same(7, other.getCount());
        for (int i = 1; i <= 50; i++) {
            mine.setCount(i);
        }
        Suite.until("the last count", () -> heard.get() == 50 && other.getCount() == 50);
        VersionedValue<Integer> old = other.getVersionedValue();
        mine.setCount(51);
        Suite.until("the next count", () -> other.getCount() == 51);
        Suite.check(!other.trySetCount(old, 99), "set over a newer one");
        Suite.check(other.trySetCount(other.getVersionedValue(), 52), "not set");
        AtomicInteger won = new AtomicInteger();
        Suite.together(
                4,
                n -> {
                    SharedCount count = new SharedCount(a, "/shared-count", 0);
                    count.start();
                    while (true) {
                        VersionedValue<Integer> value = count.getVersionedValue();
                        if (value.getValue() >= 100) {
                            break;
                        }
                        if (count.trySetCount(value, value.getValue() + 1)) {
                            won.incrementAndGet();
                        }
                    }
                    count.close();
                });
        Suite.same(48, won.get());
    }

    private static void sharedValue() throws Exception {
        SharedValue mine = Suite.open(new SharedValue(Suite.client(), "/value", Suite.bytes("a")));
        SharedValue other =
                Suite.open(new SharedValue(Suite.client(), "/value", Suite.bytes("b")));
        mine.start();
        other.start();
        other.setValue(Suite.bytes("c"));
        Suite.until("the value", () -> Arrays.equals(Suite.bytes("c"), mine.getValue()));
    }

    private static void atomicLong() throws Exception {
        CuratorFramework[] clients = {Suite.client(), Suite.client(), Suite.client()};
        AtomicLong added = new AtomicLong();
        Suite.together(
                6,
                n -> {
                    DistributedAtomicLong value =
                            new DistributedAtomicLong(
                                    clients[n % 3], "/atomic", new RetryNTimes(1000, 1));
                    for (int i = 0; i < 20; i++) {
                        AtomicValue<Long> result = value.add((long) n + 1);
                        Suite.check(result.succeeded(), "not added");
                        Suite.same(result.preValue() + n + 1, result.postValue());
                        added.addAndGet(n + 1);
                    }
                });
        DistributedAtomicLong value =
                new DistributedAtomicLong(clients[0], "/atomic", new RetryNTimes(3, 1));
        Suite.same(added.get(), value.get().postValue());
        Suite.check(value.compareAndSet(added.get(), 5L).succeeded(), "not set");
        Suite.check(!value.compareAndSet(added.get(), 6L).succeeded(), "set over another");
        Suite.same(4L, value.decrement().postValue());
        value.forceSet(40L);
        Suite.same(40L, value.get().postValue());
        Suite.check(!value.initialize(1L), "made anew");
    }

    private static void atomicInteger() throws Exception {
        DistributedAtomicInteger value =
                new DistributedAtomicInteger(Suite.client(), "/atomic-int", new RetryNTimes(3, 1));
        Suite.check(value.initialize(3), "not new");
        Suite.same(4, value.increment().postValue());
        Suite.same(2, value.subtract(2).postValue());
        Suite.same(9, value.trySet(9).postValue());
    }

    private static void atomicValue() throws Exception {
        RetryNTimes retry = new RetryNTimes(3, 1);
        DistributedAtomicValue mine =
                new DistributedAtomicValue(Suite.client(), "/atomic-value", retry);
        DistributedAtomicValue other =
                new DistributedAtomicValue(Suite.client(), "/atomic-value", retry);
        byte[] a = Suite.bytes("a");
        byte[] b = Suite.bytes("b");
        Suite.check(mine.initialize(a), "not new");
        Suite.check(!other.initialize(b), "made anew");
        Suite.same("a", Suite.string(other.get().postValue()));
        AtomicValue<byte[]> result = other.trySet(b);
        Suite.check(result.succeeded(), "not set");
        Suite.same("a", Suite.string(result.preValue()));
        Suite.check(!mine.compareAndSet(a, a).succeeded(), "set over another");
        Suite.check(mine.compareAndSet(b, a).succeeded(), "not set over the same");
        mine.forceSet(new byte[0]);
        Suite.same("", Suite.string(other.get().postValue()));
    }

    private static void promotedToLock() throws Exception {
        CuratorFramework c = Suite.client();
        PromotedToLock promoted =
                PromotedToLock.builder()
                        .lockPath("/promoted/lock")
                        .timeout(Suite.PATIENCE, TimeUnit.SECONDS)
                        .retryPolicy(new RetryNTimes(1000, 1))
                        .build();
        AtomicInteger plain = new AtomicInteger();
        AtomicInteger locked = new AtomicInteger();
        long late = System.nanoTime() + TimeUnit.SECONDS.toNanos(Suite.PATIENCE / 2);
        Suite.together(
                5,
                n -> {
                    DistributedAtomicLong value =
                            new DistributedAtomicLong(
                                    c, "/promoted/value", new RetryNTimes(0, 1), promoted);
                    for (int i = 0; i < 10 || plain.get() == 0 || locked.get() == 0; i++) {
                        Suite.check(System.nanoTime() < late, plain + " plain, " + locked);
                        AtomicValue<Long> result = value.increment();
                        Suite.check(result.succeeded(), "not added");
                        boolean byLock = result.getStats().getPromotedLockTries() > 0;
                        (byLock ? locked : plain).incrementAndGet();
                    }
                });
        Suite.same(
                (long) plain.get() + locked.get(),
                new DistributedAtomicLong(c, "/promoted/value", new RetryNTimes(1, 1))
                        .get()
                        .postValue());
    }

    private static void cached() throws Exception {
        DistributedAtomicLong value =
                new DistributedAtomicLong(Suite.client(), "/cached", new RetryNTimes(10, 1));
        value.forceSet(0L);
        CachedAtomicLong cached = new CachedAtomicLong(value, 10);
        for (long i = 1; i <= 25; i++) {
            Suite.same(i - 1, cached.next().preValue());
        }
        Suite.same(30L, value.get().postValue());
        DistributedAtomicInteger small =
                new DistributedAtomicInteger(Suite.client(), "/cached-int", new RetryNTimes(10, 1));
        small.forceSet(5);
        CachedAtomicInteger cachedSmall = new CachedAtomicInteger(small, 10);
        for (int i = 1; i <= 11; i++) {
            Suite.same(5 + i, cachedSmall.next().postValue());
        }
        Suite.same(25, small.get().postValue());
    }

    private Counters() {}
}
