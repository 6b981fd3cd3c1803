import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/**
 * All tests, one after the other, as package foreign wants to hear of them.
 *
 * <p>Usage: [-Donly=PART of a test's name] Suite host:port. Each test has a path of its own, its
 * name below /, and what it opens is closed when it ends.
 */
public final class Suite {
    static final int PATIENCE = 60; // seconds that anything may take; it decides nothing
    static final int SESSION_MS = 20000; // a busy machine must not end it
    static final int TICK_MS = 500; // the server's

    static String address;

    /** What may throw. */
    interface Body {
        void run() throws Exception;
    }

    private static final Map<String, Body> tests = new LinkedHashMap<>();
    private static final List<AutoCloseable> opened = new ArrayList<>();
    private static boolean down; // the server, which a failed test may leave so
    private static final ExecutorService threads =
            Executors.newCachedThreadPool(
                    r -> {
                        Thread t = new Thread(r);
                        t.setDaemon(true);
                        return t;
                    });
    private static final BufferedReader answers =
            new BufferedReader(new InputStreamReader(System.in));

    static void test(String name, Body body) {
        tests.put(name, body);
    }

    public static void main(String[] args) {
        address = args[args.length - 1];
        Framework.add();
        Locks.add();
        Leaders.add();
        Counters.add();
        Caches.add();
        Nodes.add();
        Restarts.add();
        String only = System.getProperty("only", "");
        for (Map.Entry<String, Body> test : tests.entrySet()) {
            if (!test.getKey().contains(only)) {
                continue;
            }
            tell("begin " + test.getKey());
            String verdict = "pass";
            try {
                test.getValue().run();
            } catch (Throwable e) { // an assertion, too
                e.printStackTrace();
                verdict = "fail " + e.toString().replace('\n', ' ');
            }
            try {
                if (down) {
                    server("start");
                }
                closeAll();
            } catch (Exception e) {
                e.printStackTrace();
                verdict = "fail closing: " + e.toString().replace('\n', ' ');
            }
            tell(verdict);
        }
        tell("end");
        System.exit(0);
    }

    private static void tell(String line) {
        System.out.println(line);
        System.out.flush();
    }

    /** Does something to the server: stop, kill, start, pause, resume. */
    static void server(String action) throws Exception {
        tell("server " + action);
        same("done", answers.readLine());
        down = action.equals("stop") || action.equals("kill");
    }

    /** The server's answer to a four-letter word. */
    private static String word(String word) throws Exception {
        String[] hostPort = address.split(":");
        try (Socket socket = new Socket(hostPort[0], Integer.parseInt(hostPort[1]))) {
            socket.setSoTimeout(PATIENCE * 1000);
            socket.getOutputStream().write(bytes(word));
            return string(socket.getInputStream().readAllBytes());
        }
    }

    /** Closes a thing when the test ends, the last one first. */
    static <T extends AutoCloseable> T open(T thing) {
        synchronized (opened) {
            opened.add(thing);
        }
        return thing;
    }

    /** Closes the recipes, then the clients together: each of these takes 100 ms. */
    private static void closeAll() throws Exception {
        List<AutoCloseable> clients = new ArrayList<>();
        for (int i = opened.size() - 1; i >= 0; i--) {
            AutoCloseable thing = opened.get(i);
            if (thing instanceof CuratorFramework) {
                clients.add(thing);
                continue;
            }
            try {
                thing.close();
            } catch (IllegalStateException e) {
                // the test has closed it
            }
        }
        opened.clear();
        together(clients.size(), n -> clients.get(n).close());
    }

    /** A client with a session of its own. */
    static CuratorFramework client(int sessionMs) throws Exception {
        CuratorFramework client = framework(address, sessionMs);
        check(client.blockUntilConnected(PATIENCE, TimeUnit.SECONDS), "no connection");
        return client;
    }

    static CuratorFramework client() throws Exception {
        return client(SESSION_MS);
    }

    static CuratorFramework framework(String hosts, int sessionMs) {
        CuratorFramework client =
                CuratorFrameworkFactory.builder()
                        .connectString(hosts)
                        .sessionTimeoutMs(sessionMs)
                        .connectionTimeoutMs(PATIENCE * 1000)
                        .retryPolicy(new RetryForever(50))
                        .build();
        open(client).start();
        return client;
    }

    /** A client's session. */
    static long session(CuratorFramework client) throws Exception {
        return client.getZookeeperClient().getZooKeeper().getSessionId();
    }

    /** The session that an ephemeral belongs to, 0 if there is none. */
    static long owner(CuratorFramework client, String path) throws Exception {
        Stat stat = client.checkExists().forPath(path);
        return stat == null ? 0 : stat.getEphemeralOwner();
    }

    /** Ends a client's session under it, as an expiry does; the client gets a new one. */
    static void endSession(CuratorFramework client) throws Exception {
        ZooKeeper zk = client.getZookeeperClient().getZooKeeper();
        String session = "0x" + Long.toHexString(zk.getSessionId());
        check(word("dump").contains(session), "the server does not know " + session);
        until(
                "the end of " + session,
                () -> {
                    // The client may take the session back before the twin closes it.
                    ZooKeeper twin =
                            new ZooKeeper(
                                    address,
                                    SESSION_MS,
                                    e -> {},
                                    zk.getSessionId(),
                                    zk.getSessionPasswd());
                    until(
                            "the twin",
                            () -> twin.getState().isConnected() || !twin.getState().isAlive());
                    twin.close(PATIENCE * 1000);
                    return !word("dump").contains(session);
                });
    }

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static String string(byte[] b) {
        return new String(b, StandardCharsets.UTF_8);
    }

    static void check(boolean so, String what) {
        if (!so) {
            throw new AssertionError(what);
        }
    }

    static void same(Object want, Object got) {
        check(Objects.equals(want, got), "want " + want + ", got " + got);
    }

    /** Waits until something is so. A failure shows what there is. */
    static void until(String what, Callable<Boolean> condition, Object... there)
            throws Exception {
        long late = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE);
        while (!condition.call()) {
            if (System.nanoTime() > late) {
                throw new AssertionError(
                        what + ": not within " + PATIENCE + " s " + Arrays.toString(there));
            }
            Thread.sleep(5);
        }
    }

    /** Wants an exception of a type. */
    static <E extends Exception> E fails(Class<E> type, Body body) throws Exception {
        try {
            body.run();
        } catch (Exception e) {
            if (type.isInstance(e)) {
                return type.cast(e);
            }
            throw e;
        }
        throw new AssertionError("no " + type.getSimpleName());
    }

    static Future<?> async(Body body) {
        return threads.submit(
                () -> {
                    body.run();
                    return null;
                });
    }

    /** Runs a body n times at once, each with its number, and waits. */
    static void together(int n, Numbered body) throws Exception {
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            int number = i;
            all.add(async(() -> body.run(number)));
        }
        for (Future<?> one : all) {
            one.get(PATIENCE, TimeUnit.SECONDS);
        }
    }

    /** One of several that run together. */
    interface Numbered {
        void run(int number) throws Exception;
    }

    private Suite() {}
}
