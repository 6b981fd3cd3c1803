// Package takeover moves data directories between the Java server and Meerkat, both ways, under
// load and by kill -9, and compares what each makes of them. It consists of tests.
//
// Flow of a takeover: a Java server runs under full write load (load_test.go) with snapCount
// 1000 and is killed while it writes a snapshot; copies of its directory are opened by Java's
// own classes (Dump.java) and by Meerkat, and all that they hold is compared (dump_test.go).
// Then Meerkat takes the directory itself, is loaded and killed, then Java again, each time with
// both dumps. The clients' sessions move along.
//
// Two oracles: Java's dump, and the clients' own (model_test.go): each client writes below a
// path of its own, knows from the replies what must be there, and of what was in flight that it
// counts from the front. Where Java 3.8.0 reads its own files wrongly the clients are right: it
// loses ACLs that were new while it wrote a snapshot (half of the takeovers have such, see
// layout.wildACLs), and counts znodes twice in quotas (see miscounted).
//
// Beside the takeovers: every form of transaction at its limits (forms_test.go), and kills while
// sessions with very many ephemerals end (closes_test.go, MEERKAT_CLOSES of them). Without Java
// these two try Meerkat alone.
//
// MEERKAT_TAKEOVERS is the number of takeovers (3; 20 at full scale), MEERKAT_TAKEOVER_ZNODES
// how many znodes there are (10000; 100000 at full scale), MEERKAT_TAKEOVER_SEED repeats a run's
// choices, though not its timing.
package takeover
