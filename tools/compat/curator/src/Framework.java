import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.ACLProvider;
import org.apache.curator.framework.api.CuratorEventType;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.api.transaction.OperationType;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.retry.RetryOneTime;
import org.apache.curator.utils.ZKPaths;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Stat;

/** The framework's own operations, which the recipes are made of. */
final class Framework {
    static void add() {
        Suite.test("Framework.create", Framework::create);
        Suite.test("Framework.data", Framework::data);
        Suite.test("Framework.delete", Framework::delete);
        Suite.test("Framework.namespace", Framework::namespace);
        Suite.test("Framework.chroot", Framework::chroot);
        Suite.test("Framework.acl", Framework::acl);
        Suite.test("Framework.aclProvider", Framework::aclProvider);
        Suite.test("Framework.transaction", Framework::transaction);
        Suite.test("Framework.transactionFails", Framework::transactionFails);
        Suite.test("Framework.oldTransaction", Framework::oldTransaction);
        Suite.test("Framework.background", Framework::background);
        Suite.test("Framework.watches", Framework::watches);
        Suite.test("Framework.persistentWatches", Framework::persistentWatches);
        Suite.test("Framework.removeWatches", Framework::removeWatches);
        Suite.test("Framework.ttlAndContainers", Framework::ttlAndContainers);
        Suite.test("Framework.config", Framework::config);
    }

    private static void create() throws Exception {
        CuratorFramework c = Suite.client();
        Suite.same("/create/a/b", c.create().creatingParentsIfNeeded().forPath("/create/a/b"));
        Suite.fails(KeeperException.NodeExistsException.class, () -> c.create().forPath("/create"));
        Suite.fails(
                KeeperException.NoNodeException.class, () -> c.create().forPath("/create/no/a"));
        String first =
                c.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/create/s-");
        Suite.same("/create/s-0000000001", first);
        String mine =
                c.create()
                        .withProtection()
                        .withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
                        .forPath("/create/p-");
        Suite.check(mine.startsWith("/create/_c_") && mine.endsWith("-p-0000000002"), mine);
        Suite.fails(
                KeeperException.NoChildrenForEphemeralsException.class,
                () -> c.create().forPath(mine + "/a"));
        Stat stat = new Stat();
        c.create().storingStatIn(stat).forPath("/create/stat", Suite.bytes("12345"));
        Suite.same(5, stat.getDataLength());
        c.create().orSetData().forPath("/create/stat", Suite.bytes("again"));
        Suite.same("again", Suite.string(c.getData().forPath("/create/stat")));
        c.create().creatingParentContainersIfNeeded().forPath("/create/c/d/e");
        c.createContainers("/create/x/y");
        ZKPaths.mkdirs(c.getZookeeperClient().getZooKeeper(), "/create/m/n");
        List<String> names = new ArrayList<>(c.getChildren().forPath("/create"));
        names.removeIf(n -> n.startsWith("_c_"));
        Collections.sort(names);
        Suite.same(Arrays.asList("a", "c", "m", "s-0000000001", "stat", "x"), names);
    }

    private static void data() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().forPath("/data", Suite.bytes("0"));
        Stat stat = new Stat();
        Suite.same("0", Suite.string(c.getData().storingStatIn(stat).forPath("/data")));
        Suite.same(1, c.setData().withVersion(0).forPath("/data", Suite.bytes("1")).getVersion());
        Suite.fails(
                KeeperException.BadVersionException.class,
                () -> c.setData().withVersion(0).forPath("/data", Suite.bytes("no")));
        c.setData().compressed().forPath("/data", Suite.bytes("squeezed"));
        Suite.same("squeezed", Suite.string(c.getData().decompressed().forPath("/data")));
        Suite.same(null, c.checkExists().forPath("/data/no"));
        c.checkExists().creatingParentsIfNeeded().forPath("/data/a/b/c");
        Suite.check(c.checkExists().forPath("/data/a/b") != null, "no parents");
        byte[] large = new byte[900_000];
        Arrays.fill(large, (byte) 7);
        c.setData().forPath("/data", large);
        Suite.check(Arrays.equals(large, c.getData().forPath("/data")), "other large data");
        CountDownLatch synced = new CountDownLatch(1);
        c.sync().inBackground((x, e) -> synced.countDown()).forPath("/data");
        Suite.check(synced.await(Suite.PATIENCE, TimeUnit.SECONDS), "no sync");
    }

    private static void delete() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().creatingParentsIfNeeded().forPath("/delete/a/b/c");
        c.create().forPath("/delete/x");
        Suite.fails(
                KeeperException.NotEmptyException.class, () -> c.delete().forPath("/delete"));
        Suite.fails(
                KeeperException.BadVersionException.class,
                () -> c.delete().withVersion(3).forPath("/delete/x"));
        c.delete().guaranteed().forPath("/delete/x");
        c.delete().quietly().forPath("/delete/x");
        c.delete().guaranteed().deletingChildrenIfNeeded().forPath("/delete");
        Suite.same(null, c.checkExists().forPath("/delete"));
    }

    private static void namespace() throws Exception {
        CuratorFramework c = Suite.client();
        CuratorFramework in = c.usingNamespace("namespace");
        in.create().creatingParentsIfNeeded().forPath("/a/b", Suite.bytes("x"));
        Suite.same("x", Suite.string(c.getData().forPath("/namespace/a/b")));
        ConcurrentLinkedQueue<String> paths = new ConcurrentLinkedQueue<>();
        in.getData().usingWatcher((Watcher) e -> paths.add(e.getPath())).forPath("/a/b");
        c.setData().forPath("/namespace/a/b", Suite.bytes("y"));
        Suite.until("the watch", () -> paths.contains("/a/b"));
    }

    /** Below a chroot all paths are as if there were none, in events, too. */
    private static void chroot() throws Exception {
        CuratorFramework c = Suite.client();
        CuratorFramework in = Suite.framework(Suite.address + "/chroot/of/it", Suite.SESSION_MS);
        Suite.fails(KeeperException.NoNodeException.class, () -> in.create().forPath("/a"));
        c.create().creatingParentsIfNeeded().forPath("/chroot/of/it", Suite.bytes("root"));
        Suite.same("root", Suite.string(in.getData().forPath("/")));
        Set<String> events = ConcurrentHashMap.newKeySet(); // 3.8's client tells one twice
        in.watchers()
                .add()
                .withMode(AddWatchMode.PERSISTENT_RECURSIVE)
                .usingWatcher((Watcher) e -> events.add(e.getType() + " " + e.getPath()))
                .forPath("/");
        in.getChildren()
                .usingWatcher((Watcher) e -> events.add(e.getType() + " " + e.getPath()))
                .forPath("/");
        Suite.same(
                "/s-0000000000",
                in.create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/s-"));
        in.transaction()
                .forOperations(
                        in.transactionOp().create().forPath("/a"),
                        in.transactionOp().create().forPath("/a/b"));
        Suite.until("the events", () -> events.size() >= 4, events);
        Suite.same(
                Set.of(
                        "NodeCreated /s-0000000000",
                        "NodeChildrenChanged /",
                        "NodeCreated /a",
                        "NodeCreated /a/b"),
                events);
        List<String> names = new ArrayList<>(c.getChildren().forPath("/chroot/of/it"));
        Collections.sort(names);
        Suite.same(Arrays.asList("a", "s-0000000000"), names);
        InterProcessMutex lock = new InterProcessMutex(in, "/lock");
        lock.acquire();
        Suite.check(
                !new InterProcessMutex(c, "/chroot/of/it/lock")
                        .acquire(100, TimeUnit.MILLISECONDS),
                "two hold it");
        lock.release();
    }

    private static void acl() throws Exception {
        CuratorFramework anna =
                CuratorFrameworkFactory.builder()
                        .connectString(Suite.address)
                        .authorization("digest", Suite.bytes("anna:secret"))
                        .retryPolicy(new RetryOneTime(100))
                        .build();
        Suite.open(anna).start();
        CuratorFramework other = Suite.client();
        anna.create().withACL(ZooDefs.Ids.CREATOR_ALL_ACL).forPath("/acl", Suite.bytes("x"));
        List<ACL> acl = anna.getACL().forPath("/acl");
        Suite.same("anna:Wap/fLaD11BLJBT+7fkDcVxaT7c=", acl.get(0).getId().getId());
        Suite.fails(
                KeeperException.NoAuthException.class, () -> other.getData().forPath("/acl"));
        Suite.fails(
                KeeperException.NoAuthException.class,
                () -> other.setACL().withACL(ZooDefs.Ids.OPEN_ACL_UNSAFE).forPath("/acl"));
        anna.setACL().withVersion(0).withACL(ZooDefs.Ids.READ_ACL_UNSAFE).forPath("/acl");
        Suite.same("x", Suite.string(other.getData().forPath("/acl")));
        Suite.fails(
                KeeperException.NoAuthException.class, () -> anna.setData().forPath("/acl"));
    }

    /** Each node has the ACL that the client's provider says. */
    private static void aclProvider() throws Exception {
        ACLProvider provider =
                new ACLProvider() {
                    @Override
                    public List<ACL> getDefaultAcl() {
                        return ZooDefs.Ids.CREATOR_ALL_ACL;
                    }

                    @Override
                    public List<ACL> getAclForPath(String path) {
                        return path.endsWith("read")
                                ? ZooDefs.Ids.READ_ACL_UNSAFE
                                : ZooDefs.Ids.CREATOR_ALL_ACL;
                    }
                };
        CuratorFramework bob =
                CuratorFrameworkFactory.builder()
                        .connectString(Suite.address)
                        .authorization("digest", Suite.bytes("bob:secret"))
                        .aclProvider(provider)
                        .retryPolicy(new RetryOneTime(100))
                        .build();
        Suite.open(bob).start();
        bob.create().creatingParentsIfNeeded().forPath("/provider/secret");
        bob.create().forPath("/provider/read", Suite.bytes("x"));
        Suite.same(ZooDefs.Ids.READ_ACL_UNSAFE, bob.getACL().forPath("/provider/read"));
        CuratorFramework other = Suite.client();
        Suite.same("x", Suite.string(other.getData().forPath("/provider/read")));
        Suite.fails(
                KeeperException.NoAuthException.class,
                () -> other.getData().forPath("/provider/secret"));
        Suite.fails(
                KeeperException.NoAuthException.class,
                () -> bob.create().forPath("/provider/read/a"));
        Suite.fails(
                KeeperException.NoAuthException.class,
                () -> other.create().forPath("/provider/secret/a"));
        InterProcessMutex lock = new InterProcessMutex(bob, "/provider/lock");
        lock.acquire();
        Suite.fails(
                KeeperException.NoAuthException.class,
                () -> new InterProcessMutex(other, "/provider/lock").acquire());
        lock.release();
    }

    private static void transaction() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().forPath("/tx", Suite.bytes("0"));
        List<CuratorTransactionResult> results =
                c.transaction()
                        .forOperations(
                                c.transactionOp().check().withVersion(0).forPath("/tx"),
                                c.transactionOp()
                                        .create()
                                        .withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
                                        .forPath("/tx/e-"),
                                c.transactionOp().create().forPath("/tx/a", Suite.bytes("a")),
                                c.transactionOp().setData().forPath("/tx", Suite.bytes("1")),
                                c.transactionOp().delete().forPath("/tx/a"));
        Suite.same(5, results.size());
        Suite.same(OperationType.CHECK, results.get(0).getType());
        Suite.same("/tx/e-0000000000", results.get(1).getResultPath());
        Suite.same("/tx/a", results.get(2).getResultPath());
        Suite.same(1, results.get(3).getResultStat().getVersion());
        Suite.same(null, c.checkExists().forPath("/tx/a"));
    }

    private static void transactionFails() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().forPath("/txf", Suite.bytes("0"));
        KeeperException e =
                Suite.fails(
                        KeeperException.BadVersionException.class,
                        () ->
                                c.transaction()
                                        .forOperations(
                                                c.transactionOp().create().forPath("/txf/a"),
                                                c.transactionOp()
                                                        .check()
                                                        .withVersion(7)
                                                        .forPath("/txf"),
                                                c.transactionOp().delete().forPath("/txf/a")));
        List<Integer> codes = new ArrayList<>();
        e.getResults()
                .forEach(r -> codes.add(((org.apache.zookeeper.OpResult.ErrorResult) r).getErr()));
        Suite.same(Arrays.asList(0, -103, -2), codes);
        Suite.same(null, c.checkExists().forPath("/txf/a"));
    }

    @SuppressWarnings("deprecation")
    private static void oldTransaction() throws Exception {
        CuratorFramework c = Suite.client();
        c.inTransaction()
                .create()
                .forPath("/txo")
                .and()
                .create()
                .forPath("/txo/a")
                .and()
                .delete()
                .forPath("/txo/a")
                .and()
                .commit();
        Suite.same(0, c.getChildren().forPath("/txo").size());
    }

    private static void background() throws Exception {
        CuratorFramework c = Suite.client();
        int many = 3000;
        AtomicInteger done = new AtomicInteger();
        AtomicInteger wrong = new AtomicInteger();
        c.create().forPath("/bg");
        for (int i = 0; i < many; i++) {
            String path = "/bg/" + i;
            c.create()
                    .inBackground(
                            (x, e) -> {
                                if (e.getResultCode() != 0
                                        || e.getType() != CuratorEventType.CREATE
                                        || !path.equals(e.getName())) {
                                    wrong.incrementAndGet();
                                }
                                done.incrementAndGet();
                            })
                    .forPath(path, Suite.bytes(path));
        }
        for (int i = 0; i < many; i++) {
            String path = "/bg/" + i;
            c.getData()
                    .inBackground(
                            (x, e) -> {
                                if (e.getResultCode() != 0
                                        || !path.equals(Suite.string(e.getData()))) {
                                    wrong.incrementAndGet();
                                }
                                done.incrementAndGet();
                            })
                    .forPath(path);
        }
        c.getData()
                .inBackground(
                        (x, e) -> {
                            if (e.getResultCode() != KeeperException.Code.NONODE.intValue()) {
                                wrong.incrementAndGet();
                            }
                            done.incrementAndGet();
                        })
                .forPath("/bg/no");
        Suite.until("the answers", () -> done.get() == 2 * many + 1);
        Suite.same(0, wrong.get());
        Suite.same(many, c.getChildren().forPath("/bg").size());
    }

    private static void watches() throws Exception {
        CuratorFramework c = Suite.client();
        ConcurrentLinkedQueue<String> seen = new ConcurrentLinkedQueue<>();
        Watcher w = e -> seen.add(e.getType() + " " + e.getPath());
        c.checkExists().usingWatcher(w).forPath("/watches");
        c.create().forPath("/watches");
        Suite.until("created", () -> seen.contains("NodeCreated /watches"));
        c.getData().usingWatcher(w).forPath("/watches");
        c.getChildren().usingWatcher(w).forPath("/watches");
        c.setData().forPath("/watches");
        c.create().forPath("/watches/a");
        Suite.until("changes", () -> seen.size() == 3);
        Suite.check(seen.contains("NodeDataChanged /watches"), seen.toString());
        Suite.check(seen.contains("NodeChildrenChanged /watches"), seen.toString());
        c.setData().forPath("/watches");
        c.checkExists().usingWatcher(w).forPath("/watches/a");
        c.delete().forPath("/watches/a");
        Suite.until("deleted", () -> seen.contains("NodeDeleted /watches/a"));
        Suite.same(4, seen.size());
    }

    private static void persistentWatches() throws Exception {
        CuratorFramework c = Suite.client();
        ConcurrentLinkedQueue<String> all = new ConcurrentLinkedQueue<>();
        ConcurrentLinkedQueue<String> one = new ConcurrentLinkedQueue<>();
        c.watchers()
                .add()
                .withMode(AddWatchMode.PERSISTENT_RECURSIVE)
                .usingWatcher((Watcher) e -> all.add(e.getType() + " " + e.getPath()))
                .forPath("/pw");
        // Another session: 3.8 knows one persistent watch of a session and path, of either kind.
        CuratorFramework other = Suite.client();
        PersistentWatcher watcher = Suite.open(new PersistentWatcher(other, "/pw", false));
        watcher.getListenable().addListener(e -> one.add(e.getType() + " " + e.getPath()));
        CountDownLatch ready = new CountDownLatch(1);
        watcher.getResetListenable().addListener(ready::countDown);
        watcher.start();
        Suite.check(ready.await(Suite.PATIENCE, TimeUnit.SECONDS), "no watch");
        c.create().forPath("/pw");
        for (int i = 0; i < 100; i++) {
            c.create().forPath("/pw/" + i);
            c.setData().forPath("/pw/" + i);
        }
        c.delete().deletingChildrenIfNeeded().forPath("/pw");
        Suite.until("all events", () -> all.size() == 302);
        Suite.check(all.contains("NodeDataChanged /pw/42"), "no change below");
        Suite.until("one's events", () -> one.contains("NodeDeleted /pw"));
        Suite.check(!one.contains("NodeDataChanged /pw/42"), "a change below");
        Suite.same(
                200L, one.stream().filter(s -> s.equals("NodeChildrenChanged /pw")).count());
    }

    private static void removeWatches() throws Exception {
        CuratorFramework c = Suite.client();
        AtomicInteger seen = new AtomicInteger();
        AtomicInteger removed = new AtomicInteger();
        Watcher w =
                e -> {
                    if (e.getType().toString().endsWith("WatchRemoved")) {
                        removed.incrementAndGet();
                    } else {
                        seen.incrementAndGet();
                    }
                };
        c.create().forPath("/rw");
        c.getData().usingWatcher(w).forPath("/rw");
        c.watchers().remove(w).ofType(Watcher.WatcherType.Data).forPath("/rw");
        Suite.fails(
                KeeperException.NoWatcherException.class,
                () -> c.watchers().remove(w).ofType(Watcher.WatcherType.Data).forPath("/rw"));
        c.getChildren().usingWatcher(w).forPath("/rw");
        c.watchers().removeAll().forPath("/rw");
        c.setData().forPath("/rw");
        c.create().forPath("/rw/a");
        Suite.until("the removals", () -> removed.get() == 2);
        Suite.same(0, seen.get());
    }

    private static void ttlAndContainers() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().forPath("/ttl");
        c.create().withMode(CreateMode.CONTAINER).forPath("/ttl/unused");
        c.create().withTtl(600_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/ttl/long");
        c.transaction() // lest the parent goes before it has its child
                .forOperations(
                        c.transactionOp()
                                .create()
                                .withTtl(100)
                                .withMode(CreateMode.PERSISTENT_WITH_TTL)
                                .forPath("/ttl/parent"),
                        c.transactionOp().create().forPath("/ttl/parent/child"));
        c.create().withTtl(300).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/ttl/a");
        c.create().creatingParentContainersIfNeeded().forPath("/ttl/c/child");
        c.delete().forPath("/ttl/c/child");
        Suite.until("the TTL", () -> c.checkExists().forPath("/ttl/a") == null);
        Suite.until("the container", () -> c.checkExists().forPath("/ttl/c") == null);
        List<String> left = new ArrayList<>(c.getChildren().forPath("/ttl"));
        Collections.sort(left);
        Suite.same(Arrays.asList("long", "parent", "unused"), left);
        c.delete().forPath("/ttl/parent/child");
        Suite.until("the parent", () -> c.checkExists().forPath("/ttl/parent") == null);
    }

    private static void config() throws Exception {
        CuratorFramework c = Suite.client();
        Suite.same("", Suite.string(c.getConfig().forEnsemble()));
        Suite.fails(
                KeeperException.ReconfigDisabledException.class,
                () -> c.reconfig().joining("server.9=127.0.0.1:1:2;3").forEnsemble());
    }

    private Framework() {}
}
