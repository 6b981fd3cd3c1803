import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher;

/** The server ends and comes back under the recipes. */
final class Restarts {
    static void add() {
        Suite.test("Restarts.session", Restarts::session);
        Suite.test("Restarts.retry", Restarts::retry);
        Suite.test("Restarts.guaranteedDelete", Restarts::guaranteedDelete);
        Suite.test("Restarts.watches", Restarts::watches);
        Suite.test("Restarts.recipes", Restarts::recipes);
        Suite.test("Restarts.protectedCreates", Restarts::protectedCreates);
        Suite.test("Restarts.locksUnderLoad", Restarts::locksUnderLoad);
        Suite.test("Restarts.lostWhileDown", () -> lost("kill", "start"));
        Suite.test("Restarts.lostWhileFrozen", () -> lost("pause", "resume"));
    }

    private static void session() throws Exception {
        CuratorFramework c = Suite.client();
        ConcurrentLinkedQueue<ConnectionState> states = new ConcurrentLinkedQueue<>();
        c.getConnectionStateListenable().addListener((x, s) -> states.add(s));
        c.create().withMode(CreateMode.EPHEMERAL).forPath("/session");
        long session = Suite.session(c);
        Suite.server("kill");
        Suite.until("the loss", () -> states.contains(ConnectionState.SUSPENDED));
        Suite.server("start");
        Suite.until("the return", () -> states.contains(ConnectionState.RECONNECTED));
        Suite.same(session, c.checkExists().forPath("/session").getEphemeralOwner());
        Suite.check(!states.contains(ConnectionState.LOST), states.toString());
    }

    private static void retry() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().forPath("/retry", Suite.bytes("x"));
        Suite.server("stop");
        Future<?> reader =
                Suite.async(
                        () -> Suite.same("x", Suite.string(c.getData().forPath("/retry"))));
        AtomicInteger answers = new AtomicInteger();
        for (int i = 0; i < 100; i++) {
            c.setData()
                    .inBackground((x, e) -> answers.addAndGet(e.getResultCode() == 0 ? 1 : 1000))
                    .forPath("/retry", Suite.bytes("x"));
        }
        Suite.server("start");
        reader.get(Suite.PATIENCE, TimeUnit.SECONDS);
        Suite.until("the answers", () -> answers.get() == 100);
    }

    /** A delete that failed is done as soon as the server is back. */
    private static void guaranteedDelete() throws Exception {
        CuratorFramework c =
                CuratorFrameworkFactory.builder()
                        .connectString(Suite.address)
                        .sessionTimeoutMs(Suite.SESSION_MS)
                        .connectionTimeoutMs(500)
                        .retryPolicy(new RetryNTimes(0, 1))
                        .build();
        Suite.open(c).start();
        CuratorFramework witness = Suite.client();
        witness.create().forPath("/guaranteed");
        Suite.until("a connection", () -> c.blockUntilConnected(1, TimeUnit.SECONDS));
        Suite.server("kill");
        Suite.fails(
                KeeperException.ConnectionLossException.class,
                () -> c.delete().guaranteed().forPath("/guaranteed"));
        Suite.server("start");
        Suite.until("the delete", () -> witness.checkExists().forPath("/guaranteed") == null);
    }

    /** Watches of all kinds outlive the server, below a chroot, too. */
    private static void watches() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().creatingParentsIfNeeded().forPath("/watched/a/b");
        CuratorFramework[] clients = {
            Suite.client().usingNamespace("watched"),
            Suite.framework(Suite.address + "/watched", Suite.SESSION_MS),
        };
        List<Set<String>> seen = new ArrayList<>();
        for (CuratorFramework in : clients) {
            Set<String> events = ConcurrentHashMap.newKeySet();
            seen.add(events);
            in.getData().usingWatcher(noting(events, "data")).forPath("/a");
            in.getChildren().usingWatcher(noting(events, "children")).forPath("/a");
            in.checkExists().usingWatcher(noting(events, "exists")).forPath("/no");
            in.getData().usingWatcher(noting(events, "gone")).forPath("/a/b");
            in.watchers()
                    .add()
                    .withMode(AddWatchMode.PERSISTENT)
                    .usingWatcher(noting(events, "persistent"))
                    .forPath("/p");
            in.watchers()
                    .add()
                    .withMode(AddWatchMode.PERSISTENT_RECURSIVE)
                    .usingWatcher(noting(events, "recursive"))
                    .forPath("/r");
        }
        Suite.server("kill");
        Suite.server("start");
        c.setData().forPath("/watched/a"); // the others may be back by now, or not
        c.create().forPath("/watched/a/c");
        c.create().forPath("/watched/no");
        c.delete().forPath("/watched/a/b");
        for (int i = 0; i < 2; i++) {
            clients[i].checkExists().forPath("/a"); // persistent watches miss what is before
        }
        c.create().creatingParentsIfNeeded().forPath("/watched/p");
        c.create().creatingParentsIfNeeded().forPath("/watched/r/deep/down");
        Set<String> want =
                Set.of(
                        "data NodeDataChanged /a",
                        "children NodeChildrenChanged /a",
                        "exists NodeCreated /no",
                        "gone NodeDeleted /a/b",
                        "persistent NodeCreated /p",
                        "recursive NodeCreated /r",
                        "recursive NodeCreated /r/deep",
                        "recursive NodeCreated /r/deep/down");
        for (Set<String> events : seen) {
            Suite.until("the events", () -> events.size() >= want.size(), events);
            Suite.same(want, events);
        }
    }

    private static Watcher noting(Set<String> events, String name) {
        return e -> {
            if (e.getType() != Watcher.Event.EventType.None) {
                events.add(name + " " + e.getType() + " " + e.getPath());
            }
        };
    }

    private static void recipes() throws Exception {
        CuratorFramework a = Suite.client();
        CuratorFramework b = Suite.client();
        InterProcessMutex held = new InterProcessMutex(a, "/re/mutex");
        held.acquire();
        InterProcessMutex waits = new InterProcessMutex(b, "/re/mutex");
        Future<?> waiter = Suite.async(waits::acquire);
        Suite.until("the waiter", () -> held.getParticipantNodes().size() == 2);
        LeaderLatch latch = Suite.open(new LeaderLatch(a, "/re/latch", "a"));
        latch.start();
        Suite.check(latch.await(Suite.PATIENCE, TimeUnit.SECONDS), "no leader");
        PersistentNode node =
                Suite.open(
                        new PersistentNode(
                                a, CreateMode.EPHEMERAL, false, "/re/node", Suite.bytes("x")));
        node.start();
        CuratorCache cache = Suite.open(CuratorCache.build(b, "/re/cache"));
        cache.start();
        SharedCount count = Suite.open(new SharedCount(b, "/re/count", -1));
        count.start();
        SharedCount counted = Suite.open(new SharedCount(a, "/re/count", -1));
        counted.start();
        GroupMember member = Suite.open(new GroupMember(b, "/re/group", "b", Suite.bytes("x")));
        member.start();
        Suite.until("the member", () -> member.getCurrentMembers().size() == 1);
        for (int i = 0; i < 2; i++) {
            Suite.server(i % 2 == 0 ? "kill" : "stop");
            Suite.server("start");
            int round = i;
            a.create().orSetData().forPath("/re/cache", Suite.bytes("" + i));
            Suite.until(
                    "the cache " + i, () -> Caches.holds(cache.get("/re/cache"), round));
            counted.setCount(round);
            Suite.until("the count " + i, () -> count.getCount() == round);
            Suite.same(Set.of("b"), member.getCurrentMembers().keySet());
            Suite.until("the leader " + i, latch::hasLeadership);
            Suite.until("the node " + i, () -> b.checkExists().forPath("/re/node") != null);
            Suite.same(2, held.getParticipantNodes().size());
            Suite.check(!waiter.isDone(), "two hold it");
        }
        held.release();
        waiter.get(Suite.PATIENCE, TimeUnit.SECONDS);
    }

    /** A protected create is done once, whatever happens to its answer. */
    private static void protectedCreates() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().forPath("/protected");
        AtomicBoolean stop = new AtomicBoolean();
        List<String> made = new ArrayList<>();
        Future<?> maker =
                Suite.async(
                        () -> {
                            while (!stop.get()) {
                                made.add(
                                        c.create()
                                                .withProtection()
                                                .withMode(CreateMode.PERSISTENT_SEQUENTIAL)
                                                .forPath("/protected/n-"));
                            }
                        });
        CuratorFramework witness = Suite.client();
        for (int i = 0; i < 2; i++) {
            int before = witness.getChildren().forPath("/protected").size();
            Suite.until(
                    "creates",
                    () -> witness.getChildren().forPath("/protected").size() > before + 50);
            Suite.server("kill");
            Suite.server("start");
        }
        stop.set(true);
        maker.get(Suite.PATIENCE, TimeUnit.SECONDS);
        List<String> there = c.getChildren().forPath("/protected");
        Suite.same(made.size(), there.size());
        for (String path : made) {
            Suite.check(there.contains(path.substring("/protected/".length())), path);
        }
    }

    private static void locksUnderLoad() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger done = new AtomicInteger();
        AtomicBoolean stop = new AtomicBoolean();
        AtomicInteger added = new AtomicInteger();
        CuratorFramework[] clients = {Suite.client(), Suite.client(), Suite.client()};
        Future<?> load =
                Suite.async(
                        () ->
                                Suite.together(
                                        3,
                                        n -> {
                                            InterProcessMutex lock =
                                                    new InterProcessMutex(clients[n], "/load/lock");
                                            DistributedAtomicLong sum =
                                                    new DistributedAtomicLong(
                                                            clients[n],
                                                            "/load/sum",
                                                            new RetryNTimes(100, 2));
                                            while (!stop.get()) {
                                                lock.acquire();
                                                Suite.same(1, inside.incrementAndGet());
                                                added.addAndGet(add(sum));
                                                done.incrementAndGet();
                                                inside.decrementAndGet();
                                                lock.release();
                                            }
                                        }));
        int kills = 2;
        for (int i = 0; i < kills; i++) {
            int before = done.get();
            Suite.until("progress", () -> done.get() > before + 30 || load.isDone());
            Suite.server("kill");
            Suite.server("start");
        }
        int before = done.get();
        Suite.until("progress after", () -> done.get() > before + 30 || load.isDone());
        stop.set(true);
        load.get(2 * Suite.PATIENCE, TimeUnit.SECONDS);
        long sum = Long.parseLong("" + new DistributedAtomicLong(
                        clients[0], "/load/sum", new RetryNTimes(1, 1)).get().postValue());
        // A kill may lose the answer to the one that holds the lock: it counts without being told.
        Suite.check(sum >= added.get() && sum <= added.get() + kills, sum + " of " + added);
    }

    private static int add(DistributedAtomicLong sum) throws Exception {
        try {
            return sum.increment().succeeded() ? 1 : 0;
        } catch (KeeperException.ConnectionLossException e) {
            return 0;
        }
    }

    /** A session that cannot be kept alive is lost, and the recipes begin anew. */
    private static void lost(String end, String begin) throws Exception {
        CuratorFramework c = Suite.client(2 * Suite.TICK_MS);
        ConcurrentLinkedQueue<ConnectionState> states = new ConcurrentLinkedQueue<>();
        c.getConnectionStateListenable().addListener((x, s) -> states.add(s));
        String path = "/lost-" + end;
        PersistentNode node =
                Suite.open(
                        new PersistentNode(
                                c, CreateMode.EPHEMERAL, false, path, Suite.bytes("x")));
        node.start();
        Suite.check(node.waitForInitialCreate(Suite.PATIENCE, TimeUnit.SECONDS), "not made");
        Suite.server(end);
        Suite.until("the loss", () -> states.contains(ConnectionState.LOST));
        Suite.server(begin);
        Suite.until("the return", () -> states.contains(ConnectionState.RECONNECTED));
        CuratorFramework witness = Suite.client();
        Suite.until(
                "the node",
                () -> {
                    long session = Suite.session(c);
                    return session != 0 && Suite.owner(witness, path) == session;
                });
    }

    private Restarts() {}
}
