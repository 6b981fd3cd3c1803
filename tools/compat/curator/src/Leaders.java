import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;

/** Elections. */
final class Leaders {
    static void add() {
        Suite.test("Leaders.latch", Leaders::latch);
        Suite.test("Leaders.latchAfterSessionLoss", Leaders::latchAfterSessionLoss);
        Suite.test("Leaders.selector", Leaders::selector);
        Suite.test("Leaders.selectorAfterSessionLoss", Leaders::selectorAfterSessionLoss);
        Suite.test("Leaders.interrupt", Leaders::interrupt);
    }

    private static void latch() throws Exception {
        List<LeaderLatch> latches = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            LeaderLatch latch = new LeaderLatch(Suite.client(), "/latch", "member " + i);
            latch.start();
            latches.add(latch);
        }
        LeaderLatch any = latches.get(0);
        Suite.until("the first", () -> latches.stream().anyMatch(LeaderLatch::hasLeadership));
        Suite.until("all members", () -> any.getParticipants().size() == latches.size());
        while (!latches.isEmpty()) {
            Suite.until("a leader", () -> latches.stream().anyMatch(LeaderLatch::hasLeadership));
            Suite.same(1L, latches.stream().filter(LeaderLatch::hasLeadership).count());
            LeaderLatch leader =
                    latches.stream().filter(LeaderLatch::hasLeadership).findFirst().get();
            Suite.same(leader.getId(), latches.get(0).getLeader().getId());
            leader.close();
            latches.remove(leader);
        }
    }

    private static void latchAfterSessionLoss() throws Exception {
        CuratorFramework a = Suite.client();
        AtomicInteger won = new AtomicInteger();
        AtomicInteger lost = new AtomicInteger();
        LeaderLatch first = Suite.open(new LeaderLatch(a, "/latch-loss", "a"));
        first.addListener(
                new LeaderLatchListener() {
                    @Override
                    public void isLeader() {
                        won.incrementAndGet();
                    }

                    @Override
                    public void notLeader() {
                        lost.incrementAndGet();
                    }
                });
        first.start();
        Suite.check(first.await(Suite.PATIENCE, TimeUnit.SECONDS), "no leader");
        LeaderLatch second = Suite.open(new LeaderLatch(Suite.client(), "/latch-loss", "b"));
        second.start();
        Suite.until("two members", () -> second.getParticipants().size() == 2);
        Suite.endSession(a);
        Suite.check(second.await(Suite.PATIENCE, TimeUnit.SECONDS), "no second leader");
        Suite.until("the loss", () -> lost.get() > 0 && !first.hasLeadership());
        Suite.until("two members again", () -> second.getParticipants().size() == 2);
        int before = won.get();
        second.close();
        Suite.until("the return", () -> won.get() == before + 1 && first.hasLeadership());
    }

    private static void selector() throws Exception {
        Set<String> led = ConcurrentHashMap.newKeySet();
        AtomicInteger leading = new AtomicInteger();
        AtomicInteger terms = new AtomicInteger();
        int members = 4;
        for (int i = 0; i < members; i++) {
            String id = "member " + i;
            LeaderSelector selector =
                    new LeaderSelector(
                            Suite.client(),
                            "/selector",
                            new LeaderSelectorListenerAdapter() {
                                @Override
                                public void takeLeadership(CuratorFramework c) {
                                    Suite.same(1, leading.incrementAndGet());
                                    led.add(id);
                                    terms.incrementAndGet();
                                    leading.decrementAndGet();
                                }
                            });
            selector.setId(id);
            selector.autoRequeue();
            Suite.open(selector).start();
        }
        Suite.until("a term of each", () -> led.size() == members && terms.get() > 20);
        Suite.check(leading.get() <= 1, "two led at once");
    }

    private static void selectorAfterSessionLoss() throws Exception {
        CuratorFramework[] clients = {Suite.client(), Suite.client()};
        LeaderSelector[] selectors = new LeaderSelector[2];
        for (int i = 0; i < 2; i++) {
            selectors[i] =
                    new LeaderSelector(
                            clients[i],
                            "/selector-loss",
                            new LeaderSelectorListenerAdapter() {
                                @Override
                                public void takeLeadership(CuratorFramework c) throws Exception {
                                    new CountDownLatch(1).await(); // until interrupted
                                }
                            });
            selectors[i].autoRequeue();
            Suite.open(selectors[i]).start();
        }
        Suite.until("a leader", () -> selectors[0].hasLeadership() || selectors[1].hasLeadership());
        int leader = selectors[0].hasLeadership() ? 0 : 1;
        Suite.until("two members", () -> selectors[0].getParticipants().size() == 2);
        Suite.endSession(clients[leader]);
        Suite.until("the other", () -> selectors[1 - leader].hasLeadership());
        Suite.until("the end of the first", () -> !selectors[leader].hasLeadership());
        Suite.until("its return", () -> selectors[0].getParticipants().size() == 2);
    }

    private static void interrupt() throws Exception {
        AtomicInteger terms = new AtomicInteger();
        LeaderSelector selector =
                new LeaderSelector(
                        Suite.client(),
                        "/interrupt",
                        new LeaderSelectorListenerAdapter() {
                            @Override
                            public void takeLeadership(CuratorFramework c) throws Exception {
                                terms.incrementAndGet();
                                new CountDownLatch(1).await();
                            }
                        });
        selector.autoRequeue();
        Suite.open(selector).start();
        for (int i = 1; i < 5; i++) {
            int term = i;
            Suite.until("term " + i, () -> terms.get() == term && selector.hasLeadership());
            selector.interruptLeadership();
        }
    }

    private Leaders() {}
}
