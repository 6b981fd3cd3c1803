import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.BlockingQueueConsumer;
import org.apache.curator.framework.recipes.queue.DistributedDelayQueue;
import org.apache.curator.framework.recipes.queue.DistributedIdQueue;
import org.apache.curator.framework.recipes.queue.DistributedPriorityQueue;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.QueueSharder;
import org.apache.curator.framework.recipes.queue.QueueSharderPolicies;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.data.Stat;

/** Nodes that stay, groups and queues. */
final class Nodes {
    static void add() {
        Suite.test("Nodes.persistentNode", Nodes::persistentNode);
        Suite.test("Nodes.persistentTtlNode", Nodes::persistentTtlNode);
        Suite.test("Nodes.groupMember", Nodes::groupMember);
        Suite.test("Nodes.queue", Nodes::queue);
        Suite.test("Nodes.queueWithLock", Nodes::queueWithLock);
        Suite.test("Nodes.blockingConsumer", Nodes::blockingConsumer);
        Suite.test("Nodes.queueSharder", Nodes::queueSharder);
        Suite.test("Nodes.priorityQueue", Nodes::priorityQueue);
        Suite.test("Nodes.delayQueue", Nodes::delayQueue);
        Suite.test("Nodes.idQueue", Nodes::idQueue);
        Suite.test("Nodes.simpleQueue", Nodes::simpleQueue);
    }

    /** An ephemeral that its owner makes again when it goes: deleted, or with the session. */
    private static void persistentNode() throws Exception {
        CuratorFramework c = Suite.client();
        CuratorFramework witness = Suite.client();
        PersistentNode node =
                Suite.open(
                        new PersistentNode(
                                c, CreateMode.EPHEMERAL, false, "/pn/a", Suite.bytes("x")));
        node.start();
        Suite.check(node.waitForInitialCreate(Suite.PATIENCE, TimeUnit.SECONDS), "not made");
        long old = Suite.session(c);
        Suite.same(old, Suite.owner(witness, "/pn/a"));
        witness.delete().forPath("/pn/a");
        Suite.until("after the delete", () -> witness.checkExists().forPath("/pn/a") != null);
        Suite.endSession(c);
        Suite.until(
                "after the session",
                () -> {
                    long owner = Suite.owner(witness, "/pn/a");
                    return owner != 0 && owner != old;
                });
        node.setData(Suite.bytes("y"));
        Suite.until(
                "the data", () -> Suite.string(witness.getData().forPath("/pn/a")).equals("y"));
        node.close();
        Suite.same(null, witness.checkExists().forPath("/pn/a"));
    }

    private static void persistentTtlNode() throws Exception {
        CuratorFramework c = Suite.client();
        PersistentTtlNode node =
                Suite.open(new PersistentTtlNode(c, "/ptn", 600, Suite.bytes("x")));
        node.start();
        Suite.check(node.waitForInitialCreate(Suite.PATIENCE, TimeUnit.SECONDS), "not made");
        long first = c.checkExists().forPath("/ptn").getCtime();
        // On a machine that pauses for the TTL the node goes, and its owner makes it again.
        Suite.until(
                "a touch beyond the TTL",
                () -> {
                    Stat touch = c.checkExists().forPath("/ptn/touch");
                    return touch != null && touch.getMtime() > first + 1000;
                });
        Suite.until(
                "the data",
                () ->
                        c.checkExists().forPath("/ptn") != null
                                && "x".equals(Suite.string(c.getData().forPath("/ptn"))));
        node.close();
        Suite.until("the end", () -> c.checkExists().forPath("/ptn") == null);
    }

    private static void groupMember() throws Exception {
        CuratorFramework a = Suite.client();
        GroupMember first = Suite.open(new GroupMember(a, "/group", "a", Suite.bytes("1")));
        GroupMember second =
                Suite.open(new GroupMember(Suite.client(), "/group", "b", Suite.bytes("2")));
        first.start();
        second.start();
        Suite.until("both", () -> first.getCurrentMembers().size() == 2);
        Suite.until("both for both", () -> second.getCurrentMembers().size() == 2);
        first.setThisData(Suite.bytes("3"));
        Suite.until(
                "the data", () -> Suite.string(second.getCurrentMembers().get("a")).equals("3"));
        Suite.endSession(a);
        Suite.until(
                "the return",
                () ->
                        Suite.session(a) != 0
                                && Suite.session(a) == Suite.owner(a, "/group/a")
                                && second.getCurrentMembers().containsKey("a"));
        second.close();
        Suite.until("the end of one", () -> first.getCurrentMembers().size() == 1);
    }

    /** A consumer that keeps what it is given. */
    private static final class Kept implements QueueConsumer<String> {
        final ConcurrentLinkedQueue<String> items = new ConcurrentLinkedQueue<>();

        @Override
        public void consumeMessage(String item) {
            items.add(item);
        }

        @Override
        public void stateChanged(CuratorFramework c, ConnectionState state) {}
    }

    private static final QueueSerializer<String> STRINGS =
            new QueueSerializer<>() {
                @Override
                public byte[] serialize(String item) {
                    return Suite.bytes(item);
                }

                @Override
                public String deserialize(byte[] bytes) {
                    return Suite.string(bytes);
                }
            };

    private static void queue() throws Exception {
        int many = 200;
        Kept kept = new Kept();
        DistributedQueue<String> consumer =
                Suite.open(
                        QueueBuilder.builder(Suite.client(), kept, STRINGS, "/queue").buildQueue());
        DistributedQueue<String> producer =
                Suite.open(
                        QueueBuilder.builder(Suite.client(), null, STRINGS, "/queue").buildQueue());
        producer.start();
        consumer.start();
        List<String> want = new ArrayList<>();
        for (int i = 0; i < many; i++) {
            producer.put("" + i);
            want.add("" + i);
        }
        Suite.check(producer.flushPuts(Suite.PATIENCE, TimeUnit.SECONDS), "puts not done");
        Suite.until("all items", () -> kept.items.size() == many);
        Suite.same(want, new ArrayList<>(kept.items));
    }

    private static void queueWithLock() throws Exception {
        int many = 100;
        Kept[] kept = {new Kept(), new Kept()};
        for (Kept k : kept) {
            Suite.open(
                            QueueBuilder.builder(Suite.client(), k, STRINGS, "/queue-locked")
                                    .lockPath("/queue-locks")
                                    .buildQueue())
                    .start();
        }
        DistributedQueue<String> producer =
                Suite.open(
                        QueueBuilder.builder(Suite.client(), null, STRINGS, "/queue-locked")
                                .buildQueue());
        producer.start();
        Set<String> want = new HashSet<>();
        for (int i = 0; i < many; i++) {
            producer.put("" + i);
            want.add("" + i);
        }
        Suite.until("all items", () -> kept[0].items.size() + kept[1].items.size() >= many);
        Set<String> got = new HashSet<>(kept[0].items);
        got.addAll(kept[1].items);
        Suite.same(want, got);
        Suite.same(many, kept[0].items.size() + kept[1].items.size());
    }

    private static void blockingConsumer() throws Exception {
        CuratorFramework c = Suite.client();
        BlockingQueueConsumer<String> consumer = new BlockingQueueConsumer<>((x, state) -> {});
        DistributedQueue<String> queue =
                Suite.open(
                        QueueBuilder.builder(c, consumer, STRINGS, "/queue-blocking")
                                .maxItems(100)
                                .buildQueue());
        queue.start();
        for (int i = 0; i < 20; i++) {
            queue.put("" + i);
            Suite.same("" + i, consumer.take(Suite.PATIENCE, TimeUnit.SECONDS));
        }
        // Items go when they were consumed.
        Suite.until(
                "the end",
                () -> {
                    Stat stat = c.checkExists().forPath("/queue-blocking");
                    return stat == null || stat.getNumChildren() == 0;
                });
    }

    /** A full queue is given a second one, by the leader of the sharders. */
    private static void queueSharder() throws Exception {
        Kept kept = new Kept();
        QueueSharder<String, DistributedQueue<String>> producer = sharder(null);
        producer.start();
        for (int i = 0; i < 50; i++) {
            producer.getQueue().put("" + i);
        }
        Suite.until("the second queue", () -> producer.getShardQty() == 2);
        for (int i = 50; i < 100; i++) {
            producer.getQueue().put("" + i);
        }
        sharder(kept).start();
        Suite.until("all items", () -> kept.items.size() >= 100);
        Suite.same(100, new HashSet<>(kept.items).size());
    }

    private static QueueSharder<String, DistributedQueue<String>> sharder(Kept kept)
            throws Exception {
        return Suite.open(
                new QueueSharder<>(
                        Suite.client(),
                        (c, path) -> QueueBuilder.builder(c, kept, STRINGS, path).buildQueue(),
                        "/sharder/queues",
                        "/sharder/leader",
                        QueueSharderPolicies.builder()
                                .newQueueThreshold(10)
                                .thresholdCheckMs(20)
                                .maxQueues(2)
                                .build()));
    }

    private static void priorityQueue() throws Exception {
        CuratorFramework c = Suite.client();
        Kept kept = new Kept();
        DistributedPriorityQueue<String> producer =
                Suite.open(
                        QueueBuilder.builder(c, null, STRINGS, "/queue-priority")
                                .buildPriorityQueue(0));
        producer.start();
        List<Integer> priorities = new ArrayList<>();
        for (int i = 0; i < 30; i++) {
            priorities.add(i - 10);
        }
        List<String> want = new ArrayList<>();
        priorities.forEach(p -> want.add("" + p));
        Collections.reverse(priorities);
        for (int p : priorities) {
            producer.put("" + p, p);
        }
        Suite.check(producer.flushPuts(Suite.PATIENCE, TimeUnit.SECONDS), "puts not done");
        Suite.open(
                        QueueBuilder.builder(Suite.client(), kept, STRINGS, "/queue-priority")
                                .executor(Runnable::run)
                                .buildPriorityQueue(0))
                .start();
        Suite.until("all items", () -> kept.items.size() == want.size());
        Suite.same(want, new ArrayList<>(kept.items));
    }

    private static void delayQueue() throws Exception {
        Kept kept = new Kept();
        DistributedDelayQueue<String> producer =
                Suite.open(
                        QueueBuilder.builder(Suite.client(), null, STRINGS, "/queue-delay")
                                .buildDelayQueue());
        producer.start();
        long now = System.currentTimeMillis();
        producer.put("last", now + 800);
        producer.put("second", now + 400);
        producer.put("first", now);
        Suite.check(producer.flushPuts(Suite.PATIENCE, TimeUnit.SECONDS), "puts not done");
        Suite.open(
                        QueueBuilder.builder(Suite.client(), kept, STRINGS, "/queue-delay")
                                .buildDelayQueue())
                .start();
        Suite.until("all items", () -> kept.items.size() == 3);
        Suite.check(System.currentTimeMillis() >= now + 800, "too early");
        Suite.same(List.of("first", "second", "last"), new ArrayList<>(kept.items));
    }

    private static void idQueue() throws Exception {
        CuratorFramework c = Suite.client();
        DistributedIdQueue<String> producer =
                Suite.open(
                        QueueBuilder.builder(c, null, STRINGS, "/queue-id").buildIdQueue());
        producer.start();
        for (int i = 0; i < 10; i++) {
            producer.put("item " + i, "id" + i);
        }
        Suite.check(producer.flushPuts(Suite.PATIENCE, TimeUnit.SECONDS), "puts not done");
        Suite.same(1, producer.remove("id3"));
        Suite.same(0, producer.remove("id3"));
        Kept kept = new Kept();
        Suite.open(QueueBuilder.builder(c, kept, STRINGS, "/queue-id").buildIdQueue()).start();
        Suite.until("nine items", () -> kept.items.size() == 9);
        Suite.check(!kept.items.contains("item 3"), "a removed item");
    }

    private static void simpleQueue() throws Exception {
        SimpleDistributedQueue queue = new SimpleDistributedQueue(Suite.client(), "/queue-simple");
        SimpleDistributedQueue other = new SimpleDistributedQueue(Suite.client(), "/queue-simple");
        Future<?> taker = Suite.async(() -> Suite.same("a", Suite.string(other.take())));
        queue.offer(Suite.bytes("a"));
        taker.get(Suite.PATIENCE, TimeUnit.SECONDS);
        Suite.same(null, queue.poll());
        queue.offer(Suite.bytes("b"));
        queue.offer(Suite.bytes("c"));
        Suite.same("b", Suite.string(other.peek()));
        Suite.same("b", Suite.string(other.remove()));
        Suite.same("c", Suite.string(other.poll(Suite.PATIENCE, TimeUnit.SECONDS)));
    }

    private Nodes() {}
}
