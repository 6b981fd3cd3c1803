import java.io.BufferedWriter;
import java.io.File;
import java.io.FileOutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.data.StatPersisted;
import org.apache.zookeeper.server.DataTree;
import org.apache.zookeeper.server.ZKDatabase;
import org.apache.zookeeper.server.persistence.FileTxnSnapLog;

/**
 * Loads a data directory with the classes of the real server and prints what it holds, a line
 * for each thing: see dump_test.go for the format. Arguments: dataLogDir dataDir output.
 */
public class Dump {
    public static void main(String[] args) throws Exception {
        FileTxnSnapLog files = new FileTxnSnapLog(new File(args[0]), new File(args[1]));
        ZKDatabase db = new ZKDatabase(files);
        db.loadDataBase();
        try (PrintWriter out = new PrintWriter(new BufferedWriter(new OutputStreamWriter(
                new FileOutputStream(args[2]), StandardCharsets.UTF_8)))) {
            DataTree tree = db.getDataTree();
            int seen = 0;
            List<String> open = new ArrayList<>();
            open.add("/");
            while (!open.isEmpty()) {
                String path = open.remove(open.size() - 1);
                print(out, tree, path);
                seen++;
                for (String child : tree.getChildren(path, null, null)) {
                    open.add((path.equals("/") ? "" : path) + "/" + child);
                }
            }
            for (Map.Entry<Long, Integer> s : db.getSessionWithTimeOuts().entrySet()) {
                out.printf("S %016x %d%n", s.getKey(), s.getValue());
            }
            for (Map.Entry<Long, Set<String>> e : tree.getEphemerals().entrySet()) {
                for (String path : e.getValue()) {
                    out.printf("E %016x %s%n", e.getKey(), path);
                }
            }
            for (String path : tree.getContainers()) {
                out.printf("C %s%n", path);
            }
            for (String path : tree.getTtls()) {
                out.printf("T %s%n", path);
            }
            // The root has two names in the table.
            out.printf("I unreachable %d%n", tree.getNodeCount() - 1 - seen);
            out.printf("I zxid %x%n", db.getDataTreeLastProcessedZxid());
            out.printf("I digest %x%n", tree.getTreeDigest());
        }
        System.exit(0); // no thread of the database may keep this alive
    }

    private static void print(PrintWriter out, DataTree tree, String path) throws Exception {
        Stat s = new Stat();
        byte[] data = tree.getData(path, s, null);
        StatPersisted stored = tree.getNode(path).stat;
        out.printf("N %s\t%s\t%x\t%x\t%x\t%d\t%d\t%d\t%d\t%d\t%x\t%d\t%d\t%s\t%d\t%x%n", path,
            hex(data), s.getCzxid(), s.getMzxid(), s.getPzxid(), s.getCtime(), s.getMtime(),
            s.getVersion(), s.getCversion(), s.getAversion(), s.getEphemeralOwner(),
            s.getDataLength(), s.getNumChildren(), acl(tree, path), stored.getCversion(),
            stored.getEphemeralOwner());
    }

    private static String hex(byte[] data) {
        if (data == null) {
            return ""; // a client cannot tell it from no bytes: both have length 0 there
        }
        StringBuilder b = new StringBuilder();
        for (byte one : data) {
            b.append(Character.forDigit(one >> 4 & 15, 16)).append(Character.forDigit(one & 15, 16));
        }
        return b.toString();
    }

    private static String acl(DataTree tree, String path) throws Exception {
        List<ACL> list;
        try {
            list = tree.getACL(path, new Stat());
        } catch (RuntimeException e) {
            return "lost"; // the table does not have the id
        }
        StringBuilder b = new StringBuilder();
        for (ACL a : list) {
            b.append(a.getPerms()).append(':').append(a.getId().getScheme()).append(':')
                .append(a.getId().getId()).append(' ');
        }
        return b.toString();
    }
}
