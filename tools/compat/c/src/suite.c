/* The C client's whole API against a server, one test after the other.
 *
 * Usage: suite host:port. Package foreign starts it and reads what it prints. A test has a
 * path of its own below / and ends at its first failed check; its handles are closed then.
 *
 * One compilation: the tests are in nodes.c and sessions.c.
 */
#include "suite.h"

#include "nodes.c"
#include "sessions.c"

static const struct test {
	const char *name;
	void (*run)(void);
} tests[] = {
	{"create", test_create},
	{"create2", test_create2},
	{"ttl", test_ttl},
	{"data", test_data},
	{"large-data", test_large_data},
	{"too-large-data", test_too_large_data},
	{"children", test_children},
	{"delete", test_delete},
	{"acls", test_acls},
	{"auth-failed", test_auth_failed},
	{"multi", test_multi},
	{"multi-fails", test_multi_fails},
	{"many-multis", test_many_multis},
	{"watches", test_watches},
	{"global-watcher", test_global_watcher},
	{"remove-watches", test_remove_watches},
	{"many-watches", test_many_watches},
	{"sync", test_sync},
	{"thousands-in-flight", test_thousands_in_flight},
	{"chroot", test_chroot},
	{"dead-hosts", test_dead_hosts},
	{"timeouts", test_timeouts},
	{"config", test_config},
	{"ephemerals-vanish", test_ephemerals_vanish},
	{"expiry", test_expiry},
	{"reattach", test_reattach},
	{"wrong-password", test_wrong_password},
	{"stop-and-start", test_stop_and_start},
	{"kill-and-start", test_kill_and_start},
	{"kill-under-load", test_kill_under_load},
	{"session-ends-while-down", test_session_ends_while_down},
};

int main(int argc, char **argv)
{
	if (argc < 2) return 2;
	self = argv[0];
	address = argv[1];
	zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
	if (argc == 4 && strcmp(argv[2], "orphan") == 0) return orphan(argv[3]);
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		printf("begin %s\n", tests[i].name);
		fflush(stdout);
		if (setjmp(test_ends) == 0) {
			tests[i].run();
			printf("pass\n");
			fflush(stdout);
		}
		end_sessions();
	}
	printf("end\n");
	return 0;
}
