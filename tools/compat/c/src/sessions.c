/* Sessions: how they begin, move, survive the server and end. Part of suite.c. */
static void test_chroot(void)
{
	zhandle_t *zh = session();
	struct recorder *r = recorder();
	char hosts[200], made[100];
	make(zh, "/chroot", "");
	snprintf(hosts, sizeof hosts, "%s/chroot", address);
	zhandle_t *inside = begin_session(hosts, TIMEOUT, NULL, recorder());
	UNTIL(connected(inside));
	RC(zoo_wexists(inside, "/a", record, r, NULL), ZNONODE);
	RC(zoo_create(inside, "/a", "x", 1, open_acl, ZOO_PERSISTENT, made, sizeof made), ZOK);
	SAME(made, "/a");
	UNTIL(seen(r, ZOO_CREATED_EVENT, "/a") == 1);
	WANT_DATA(zh, "/chroot/a", "x");
}

static void test_dead_hosts(void)
{
	char hosts[200];
	snprintf(hosts, sizeof hosts, "127.0.0.1:1,%s,127.0.0.1:1", address);
	zhandle_t *zh = begin_session(hosts, TIMEOUT, NULL, recorder());
	UNTIL(connected(zh));
	RC(zoo_exists(zh, "/", 0, NULL), ZOK);
}

static void test_timeouts(void)
{
	zhandle_t *brief = begin_session(address, TICK, NULL, recorder());
	zhandle_t *long_ = begin_session(address, 1000000, NULL, recorder());
	zhandle_t *read_only = zookeeper_init(address, record, TIMEOUT, NULL, recorder(),
		ZOO_READONLY);
	CHECK(read_only != NULL);
	handles[handle_count++] = read_only;
	UNTIL(connected(brief) && connected(long_) && connected(read_only));
	WANT(zoo_recv_timeout(brief), 2 * TICK);
	WANT(zoo_recv_timeout(long_), 20 * TICK);
	WANT(zoo_recv_timeout(read_only), 20 * TICK);
	RC(zoo_exists(read_only, "/", 0, NULL), ZOK);
	/* An idle session lives on. */
	int64_t id = zoo_client_id(brief)->client_id;
	usleep(6 * TICK * 1000); /* the passing of time is what is tested */
	RC(zoo_exists(brief, "/", 0, NULL), ZOK);
	WANT(zoo_client_id(brief)->client_id, id);
}

static void test_config(void)
{
	zhandle_t *zh = session();
	char data[2000];
	int n = sizeof data;
	struct Stat stat;
	RC(zoo_getconfig(zh, 0, data, &n, &stat), ZOK);
	WANT(n, 0);
	n = sizeof data;
	RC(zoo_reconfig(zh, "server.9=127.0.0.1:1:2;3", NULL, NULL, -1, data, &n, &stat),
		ZRECONFIGDISABLED);
}

static void test_ephemerals_vanish(void)
{
	zhandle_t *zh = session(), *other = session();
	struct recorder *r = recorder();
	struct Stat stat;
	char path[50];
	make(zh, "/ephemerals", "");
	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof path, "/ephemerals/%d", i);
		RC(zoo_create(other, path, "", 0, open_acl, ZOO_EPHEMERAL, NULL, 0), ZOK);
	}
	RC(zoo_wexists(zh, "/ephemerals/42", record, r, &stat), ZOK);
	WANT(stat.ephemeralOwner, zoo_client_id(other)->client_id);
	end_session(other);
	UNTIL(seen(r, ZOO_DELETED_EVENT, "/ephemerals/42") == 1);
	RC(zoo_exists(zh, "/ephemerals", 0, &stat), ZOK);
	WANT(stat.numChildren, 0);
}

/* orphan is another process: it makes an ephemeral and ends without a word. */
static int orphan(const char *path)
{
	zhandle_t *zh = zookeeper_init(address, record, 2 * TICK, NULL, recorder(), 0);
	time_t late = time(NULL) + PATIENCE;
	while (zh != NULL && !connected(zh) && time(NULL) < late) usleep(5000);
	if (zh == NULL || zoo_create(zh, path, "", 0, open_acl, ZOO_EPHEMERAL, NULL, 0) != ZOK)
		return 1;
	_exit(0);
}

static void test_expiry(void)
{
	zhandle_t *zh = session();
	char command[1000];
	snprintf(command, sizeof command, "%s %s orphan /expiry >&2", self, address);
	WANT(system(command), 0);
	RC(zoo_exists(zh, "/expiry", 0, NULL), ZOK);
	UNTIL(zoo_exists(zh, "/expiry", 0, NULL) == ZNONODE);
}

static void test_reattach(void)
{
	zhandle_t *first = session(), *witness = session();
	struct recorder *r = recorder();
	RC(zoo_create(first, "/reattach", "", 0, open_acl, ZOO_EPHEMERAL, NULL, 0), ZOK);
	clientid_t id = *zoo_client_id(first);
	/* The second takes the session over; the first loses its connection. */
	zhandle_t *second = begin_session(address, TIMEOUT, &id, r);
	UNTIL(connected(second));
	WANT(zoo_client_id(second)->client_id, id.client_id);
	RC(zoo_exists(witness, "/reattach", 0, NULL), ZOK);
	end_session(second);
	UNTIL(zoo_exists(witness, "/reattach", 0, NULL) == ZNONODE);
	UNTIL(zoo_state(first) == ZOO_EXPIRED_SESSION_STATE);
}

static void test_wrong_password(void)
{
	zhandle_t *first = session();
	struct recorder *r = recorder();
	clientid_t id = *zoo_client_id(first);
	id.passwd[3] ^= 1;
	zhandle_t *second = begin_session(address, TIMEOUT, &id, r);
	UNTIL(zoo_state(second) == ZOO_EXPIRED_SESSION_STATE);
	UNTIL(states(r, ZOO_EXPIRED_SESSION_STATE) == 1);
	RC(zoo_exists(second, "/", 0, NULL), ZINVALIDSTATE);
	id.client_id = 0x123456789abcLL;
	zhandle_t *third = begin_session(address, TIMEOUT, &id, recorder());
	UNTIL(zoo_state(third) == ZOO_EXPIRED_SESSION_STATE);
	UNTIL(connected(first) && zoo_exists(first, "/", 0, NULL) == ZOK);
}

static int exists(zhandle_t *zh, const char *path) /* over lost connections */
{
	int rc;
	UNTIL((rc = zoo_exists(zh, path, 0, NULL)) != ZCONNECTIONLOSS);
	return rc;
}

/* restarts ends the server and starts it again under a session with watches and ephemerals. */
static void restarts(const char *top, const char *how)
{
	char data[50], exists_path[50], ephemeral[50], made[100];
	int n = sizeof data;
	struct recorder *session_events = recorder(), *r = recorder();
	struct String_vector names;
	zhandle_t *zh = begin_session(address, TIMEOUT, NULL, session_events);
	UNTIL(connected(zh));
	int64_t id = zoo_client_id(zh)->client_id;
	snprintf(exists_path, sizeof exists_path, "%s/later", top);
	snprintf(ephemeral, sizeof ephemeral, "%s/e", top);
	make(zh, top, "before");
	RC(zoo_create(zh, ephemeral, "", 0, open_acl, ZOO_EPHEMERAL, NULL, 0), ZOK);
	RC(zoo_wget(zh, top, record, r, data, &n, NULL), ZOK);
	RC(zoo_wexists(zh, exists_path, record, r, NULL), ZNONODE);
	RC(zoo_wget_children(zh, top, record, r, &names), ZOK);
	deallocate_String_vector(&names);
	server(how);
	UNTIL(states(session_events, ZOO_CONNECTING_STATE) >= 1);
	RC(zoo_exists(zh, top, 0, NULL), ZCONNECTIONLOSS);
	server("start");
	UNTIL(states(session_events, ZOO_CONNECTED_STATE) >= 2);
	RC(exists(zh, ephemeral), ZOK);
	WANT(zoo_client_id(zh)->client_id, id);
	WANT_DATA(zh, top, "before");
	WANT(nodes(r), 0);
	/* The watches were set anew. */
	RC(zoo_create(zh, exists_path, "", 0, open_acl, ZOO_PERSISTENT, made, sizeof made), ZOK);
	RC(zoo_set(zh, top, "after", 5, 0), ZOK);
	UNTIL(nodes(r) == 3);
	WANT(seen(r, ZOO_CREATED_EVENT, exists_path), 1);
	WANT(seen(r, ZOO_CHILD_EVENT, top), 1);
	WANT(seen(r, ZOO_CHANGED_EVENT, top), 1);
	end_session(zh);
	zh = session();
	RC(zoo_exists(zh, ephemeral, 0, NULL), ZNONODE);
}

static void test_stop_and_start(void) { restarts("/stop", "stop"); }

static void test_kill_and_start(void) { restarts("/kill", "kill"); }

static void test_kill_under_load(void)
{
	enum { batch = 500, rounds = 3 };
	struct recorder *r = recorder();
	zhandle_t *zh = begin_session(address, TIMEOUT, NULL, r);
	struct tally *t[rounds];
	char path[50];
	UNTIL(connected(zh));
	make(zh, "/load", "");
	for (int round = 0; round < rounds; round++) {
		t[round] = tally();
		for (int i = 0; i < batch; i++) {
			snprintf(path, sizeof path, "/load/%d-%04d", round, i);
			RC(zoo_acreate(zh, path, "", 0, open_acl, ZOO_PERSISTENT, string_done,
				t[round]), ZOK);
		}
		UNTIL(done(t[round]) > batch / 10);
		server("kill");
		server("start");
		UNTIL(done(t[round]) == batch); /* each is answered, with a loss if need be */
		CHECK(t[round]->wrong == 0 || t[round]->first_rc == ZCONNECTIONLOSS);
		UNTIL(connected(zh));
		/* What was acknowledged came first, and is there. */
		for (int i = 0; i < batch - t[round]->wrong; i++) {
			snprintf(path, sizeof path, "/load/%d-%04d", round, i);
			RC(exists(zh, path), ZOK);
		}
	}
}

static void test_session_ends_while_down(void)
{
	zhandle_t *witness = session();
	char command[1000];
	snprintf(command, sizeof command, "%s %s orphan /down >&2", self, address);
	WANT(system(command), 0);
	server("kill");
	server("start");
	UNTIL(connected(witness));
	UNTIL(zoo_exists(witness, "/down", 0, NULL) == ZNONODE);
}
