import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCacheEvent;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.cache.TreeCacheEvent;

/** Copies of parts of the tree that follow the server's. */
@SuppressWarnings("deprecation")
final class Caches {
    static void add() {
        Suite.test("Caches.pathChildrenCache", Caches::pathChildrenCache);
        Suite.test("Caches.nodeCache", Caches::nodeCache);
        Suite.test("Caches.treeCache", Caches::treeCache);
        Suite.test("Caches.curatorCache", Caches::curatorCache);
        Suite.test("Caches.afterSessionLoss", Caches::afterSessionLoss);
    }

    /** Makes, changes and deletes nodes below a path, of which those with numbers 1 mod 3 stay. */
    private static void change(CuratorFramework c, String top, int n) throws Exception {
        for (int i = 0; i < n; i++) {
            c.create().forPath(top + "/" + i, Suite.bytes("new"));
            if (i % 3 != 0) {
                c.setData().forPath(top + "/" + i, Suite.bytes("changed " + i));
            }
            if (i % 3 != 1) {
                c.delete().forPath(top + "/" + i);
            }
        }
    }

    private static boolean changed(ChildData data, int i) {
        return data != null && Suite.string(data.getData()).equals("changed " + i);
    }

    private static void pathChildrenCache() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().forPath("/children-cache");
        c.create().forPath("/children-cache/before", Suite.bytes("x"));
        PathChildrenCache cache =
                Suite.open(new PathChildrenCache(Suite.client(), "/children-cache", true));
        ConcurrentHashMap<PathChildrenCacheEvent.Type, AtomicInteger> seen =
                new ConcurrentHashMap<>();
        cache.getListenable()
                .addListener(
                        (x, e) ->
                                seen.computeIfAbsent(e.getType(), t -> new AtomicInteger())
                                        .incrementAndGet());
        cache.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
        Suite.same("x", Suite.string(cache.getCurrentData("/children-cache/before").getData()));
        change(c, "/children-cache", 90);
        Suite.until(
                "the end",
                () ->
                        cache.getCurrentData().size() == 31
                                && changed(cache.getCurrentData("/children-cache/88"), 88));
        for (int i = 1; i < 90; i += 3) {
            String path = "/children-cache/" + i;
            int number = i;
            Suite.until(path, () -> changed(cache.getCurrentData(path), number));
        }
        c.delete().forPath("/children-cache/before");
        Suite.until(
                "the delete",
                () -> cache.getCurrentData("/children-cache/before") == null);
        Suite.until(
                "the events",
                () ->
                        seen.containsKey(PathChildrenCacheEvent.Type.CHILD_ADDED)
                                && seen.containsKey(PathChildrenCacheEvent.Type.CHILD_REMOVED));
    }

    private static void nodeCache() throws Exception {
        CuratorFramework c = Suite.client();
        NodeCache cache = Suite.open(new NodeCache(Suite.client(), "/node-cache"));
        AtomicInteger events = new AtomicInteger();
        cache.getListenable().addListener(events::incrementAndGet);
        cache.start(true);
        Suite.check(cache.getCurrentData() == null, "something there");
        c.create().forPath("/node-cache", Suite.bytes("0"));
        Suite.until("the node", () -> cache.getCurrentData() != null);
        for (int i = 1; i <= 50; i++) {
            c.setData().forPath("/node-cache", Suite.bytes("" + i));
        }
        Suite.until(
                "the last data",
                () -> Suite.string(cache.getCurrentData().getData()).equals("50"));
        Suite.same(50, cache.getCurrentData().getStat().getVersion());
        c.delete().forPath("/node-cache");
        Suite.until("the delete", () -> cache.getCurrentData() == null);
        Suite.until("three events", () -> events.get() >= 3);
    }

    private static void treeCache() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().creatingParentsIfNeeded().forPath("/tree-cache/a/b/c", Suite.bytes("x"));
        TreeCache cache = Suite.open(new TreeCache(Suite.client(), "/tree-cache"));
        CountDownLatch initialized = new CountDownLatch(1);
        cache.getListenable()
                .addListener(
                        (x, e) -> {
                            if (e.getType() == TreeCacheEvent.Type.INITIALIZED) {
                                initialized.countDown();
                            }
                        });
        cache.start();
        Suite.check(initialized.await(Suite.PATIENCE, TimeUnit.SECONDS), "not initialized");
        Suite.same("x", Suite.string(cache.getCurrentData("/tree-cache/a/b/c").getData()));
        change(c, "/tree-cache/a/b", 60);
        Suite.until(
                "the end", () -> cache.getCurrentChildren("/tree-cache/a/b").size() == 21);
        for (int i = 1; i < 60; i += 3) {
            String path = "/tree-cache/a/b/" + i;
            int number = i;
            Suite.until(path, () -> changed(cache.getCurrentData(path), number));
        }
        c.delete().deletingChildrenIfNeeded().forPath("/tree-cache/a");
        Suite.until("the delete", () -> cache.getCurrentChildren("/tree-cache").isEmpty());
    }

    private static void curatorCache() throws Exception {
        CuratorFramework c = Suite.client();
        c.create().creatingParentsIfNeeded().forPath("/curator-cache/a/b", Suite.bytes("x"));
        CuratorCache cache = Suite.open(CuratorCache.build(Suite.client(), "/curator-cache"));
        AtomicInteger created = new AtomicInteger();
        AtomicInteger deleted = new AtomicInteger();
        CountDownLatch initialized = new CountDownLatch(1);
        cache.listenable()
                .addListener(
                        CuratorCacheListener.builder()
                                .forInitialized(initialized::countDown)
                                .forCreates(d -> created.incrementAndGet())
                                .forDeletes(d -> deleted.incrementAndGet())
                                .build());
        cache.start();
        Suite.check(initialized.await(Suite.PATIENCE, TimeUnit.SECONDS), "not initialized");
        Suite.same(3, created.get());
        Suite.same("x", Suite.string(cache.get("/curator-cache/a/b").get().getData()));
        change(c, "/curator-cache/a", 90);
        for (int i = 1; i < 90; i += 3) {
            String path = "/curator-cache/a/" + i;
            int number = i;
            Suite.until(path, () -> changed(cache.get(path).orElse(null), number));
        }
        Suite.until("the size", () -> cache.size() == 33);
        c.delete().deletingChildrenIfNeeded().forPath("/curator-cache");
        Suite.until("the delete", () -> cache.size() == 0);
        Suite.until("all events", () -> created.get() == deleted.get());

        CuratorCache one =
                Suite.open(
                        CuratorCache.build(
                                c, "/curator-one", CuratorCache.Options.SINGLE_NODE_CACHE));
        one.start();
        c.create().creatingParentsIfNeeded().forPath("/curator-one/a");
        Suite.until("the node", () -> one.get("/curator-one").isPresent());
        Suite.same(Optional.empty(), one.get("/curator-one/a"));
    }

    /** Their watches end with the session; they set them anew and look again. */
    private static void afterSessionLoss() throws Exception {
        CuratorFramework c = Suite.client();
        CuratorFramework other = Suite.client();
        c.create().forPath("/cache-loss");
        CuratorCache curator = Suite.open(CuratorCache.build(other, "/cache-loss"));
        PathChildrenCache children = Suite.open(new PathChildrenCache(other, "/cache-loss", true));
        TreeCache tree = Suite.open(new TreeCache(other, "/cache-loss"));
        NodeCache node = Suite.open(new NodeCache(other, "/cache-loss/a"));
        curator.start();
        children.start();
        tree.start();
        node.start();
        for (int i = 0; i < 2; i++) {
            byte[] data = Suite.bytes("" + i);
            Suite.endSession(other);
            c.create().orSetData().forPath("/cache-loss/a", data);
            int round = i;
            Suite.until("CuratorCache " + i, () -> holds(curator.get("/cache-loss/a"), round));
            Suite.until(
                    "PathChildrenCache " + i,
                    () ->
                            holds(
                                    Optional.ofNullable(
                                            children.getCurrentData("/cache-loss/a")),
                                    round));
            Suite.until(
                    "TreeCache " + i,
                    () -> holds(Optional.ofNullable(tree.getCurrentData("/cache-loss/a")), round));
            Suite.until(
                    "NodeCache " + i,
                    () -> holds(Optional.ofNullable(node.getCurrentData()), round));
        }
    }

    static boolean holds(Optional<ChildData> data, int number) {
        return data.isPresent() && Suite.string(data.get().getData()).equals("" + number);
    }

    private Caches() {}
}
