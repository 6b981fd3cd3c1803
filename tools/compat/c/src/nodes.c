/* Requests about nodes, one by one and thousands in flight. Part of suite.c. */
static const struct ACL_vector *open_acl = &ZOO_OPEN_ACL_UNSAFE;

static void make(zhandle_t *zh, const char *path, const char *data)
{
	RC(zoo_create(zh, path, data, (int)strlen(data), open_acl, ZOO_PERSISTENT, NULL, 0), ZOK);
}

static void want_data(const char *file, int line, zhandle_t *zh, const char *path,
	const char *want)
{
	char data[200];
	int n = sizeof data - 1;
	int rc = zoo_get(zh, path, 0, data, &n, NULL);
	if (rc != ZOK) fail(file, line, "get %s: %s", path, zerror(rc));
	data[n < 0 ? 0 : n] = 0;
	if (strcmp(data, want) != 0) fail(file, line, "%s has \"%s\", want \"%s\"", path, data, want);
}

#define WANT_DATA(zh, path, want) want_data(HERE, zh, path, want)

static void test_create(void)
{
	zhandle_t *zh = session();
	char made[100];
	int n;
	make(zh, "/create", "");
	RC(zoo_create(zh, "/create/a", "x", 1, open_acl, ZOO_PERSISTENT, made, sizeof made), ZOK);
	SAME(made, "/create/a");
	RC(zoo_create(zh, "/create/a", "x", 1, open_acl, ZOO_PERSISTENT, NULL, 0), ZNODEEXISTS);
	RC(zoo_create(zh, "/create/no/a", "x", 1, open_acl, ZOO_PERSISTENT, NULL, 0), ZNONODE);
	RC(zoo_create(zh, "/create/", "x", 1, open_acl, ZOO_PERSISTENT, NULL, 0), ZBADARGUMENTS);
	RC(zoo_create(zh, "/create/e", "x", 1, open_acl, ZOO_EPHEMERAL, NULL, 0), ZOK);
	RC(zoo_create(zh, "/create/e/a", "x", 1, open_acl, ZOO_PERSISTENT, NULL, 0),
		ZNOCHILDRENFOREPHEMERALS);
	RC(zoo_create(zh, "/create/s-", "x", 1, open_acl, ZOO_PERSISTENT_SEQUENTIAL, made,
		sizeof made), ZOK);
	SAME(made, "/create/s-0000000002");
	RC(zoo_create(zh, "/create/", "x", 1, open_acl, ZOO_EPHEMERAL_SEQUENTIAL, made,
		sizeof made), ZOK);
	SAME(made, "/create/0000000003");
	RC(zoo_create(zh, "/create/c", "x", 1, open_acl, ZOO_CONTAINER, NULL, 0), ZOK);
	/* No data is not empty data. */
	RC(zoo_create(zh, "/create/null", NULL, -1, open_acl, ZOO_PERSISTENT, NULL, 0), ZOK);
	n = sizeof made;
	RC(zoo_get(zh, "/create/null", 0, made, &n, NULL), ZOK);
	WANT(n, -1);
	RC(zoo_create(zh, "/create/empty", "", 0, open_acl, ZOO_PERSISTENT, NULL, 0), ZOK);
	n = sizeof made;
	RC(zoo_get(zh, "/create/empty", 0, made, &n, NULL), ZOK);
	WANT(n, 0);
	/* A buffer that is too short cuts the answer, not the name. */
	RC(zoo_create(zh, "/create/long-name", "", 0, open_acl, ZOO_PERSISTENT, made, 8), ZOK);
	SAME(made, "/create");
	RC(zoo_exists(zh, "/create/long-name", 0, NULL), ZOK);
}

static void test_create2(void)
{
	zhandle_t *zh = session();
	struct Stat stat, other;
	char made[100];
	memset(&stat, 0xff, sizeof stat);
	RC(zoo_create2(zh, "/create2", "12345", 5, open_acl, ZOO_PERSISTENT, made, sizeof made,
		&stat), ZOK);
	SAME(made, "/create2");
	WANT(stat.dataLength, 5);
	WANT(stat.version, 0);
	WANT(stat.mzxid, stat.czxid);
	WANT(stat.pzxid, stat.czxid);
	RC(zoo_exists(zh, "/create2", 0, &other), ZOK);
	WANT(stat.czxid, other.czxid);
	WANT(stat.ctime, other.ctime);
	WANT(stat.mtime, other.mtime);
	WANT(stat.pzxid, other.pzxid);
	RC(zoo_create2(zh, "/create2/e-", "", 0, open_acl, ZOO_EPHEMERAL_SEQUENTIAL, made,
		sizeof made, &stat), ZOK);
	SAME(made, "/create2/e-0000000000");
	WANT(stat.ephemeralOwner, zoo_client_id(zh)->client_id);
	RC(zoo_create2(zh, "/create2", "", 0, open_acl, ZOO_PERSISTENT, made, sizeof made, &stat),
		ZNODEEXISTS);
	RC(zoo_create2(zh, "/create2/c", "", 0, open_acl, ZOO_CONTAINER, NULL, 0, &stat), ZOK);
	WANT(stat.ephemeralOwner, 0); /* the mark of a container is the server's own */
}

static void test_ttl(void)
{
	zhandle_t *zh = session();
	struct Stat stat;
	char made[100];
	make(zh, "/ttl", "");
	RC(zoo_create_ttl(zh, "/ttl/a", "", 0, open_acl, ZOO_PERSISTENT_WITH_TTL, 300, made,
		sizeof made), ZOK);
	SAME(made, "/ttl/a");
	RC(zoo_create2_ttl(zh, "/ttl/s-", "", 0, open_acl, ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL,
		100000, made, sizeof made, &stat), ZOK);
	SAME(made, "/ttl/s-0000000001");
	WANT(stat.ephemeralOwner, 0); /* as with containers */
	RC(zoo_create_ttl(zh, "/ttl/b", "", 0, open_acl, ZOO_PERSISTENT_WITH_TTL, 0, NULL, 0),
		ZBADARGUMENTS);
	RC(zoo_create_ttl(zh, "/ttl/b", "", 0, open_acl, ZOO_PERSISTENT_WITH_TTL, 1LL << 41, NULL,
		0), ZBADARGUMENTS);
	RC(zoo_create(zh, "/ttl/c", "", 0, open_acl, ZOO_CONTAINER, NULL, 0), ZOK);
	make(zh, "/ttl/c/child", "");
	RC(zoo_delete(zh, "/ttl/c/child", -1), ZOK);
	UNTIL(zoo_exists(zh, "/ttl/a", 0, NULL) == ZNONODE);
	UNTIL(zoo_exists(zh, "/ttl/c", 0, NULL) == ZNONODE);
	RC(zoo_exists(zh, "/ttl/s-0000000001", 0, NULL), ZOK);
}

static void test_data(void)
{
	zhandle_t *zh = session();
	struct Stat stat;
	char data[100];
	int n = sizeof data;
	make(zh, "/data", "one");
	RC(zoo_get(zh, "/data", 0, data, &n, &stat), ZOK);
	WANT(n, 3);
	WANT(stat.version, 0);
	RC(zoo_set(zh, "/data", "two", 3, 0), ZOK);
	RC(zoo_set(zh, "/data", "no", 2, 0), ZBADVERSION);
	RC(zoo_set2(zh, "/data", "three", 5, -1, &stat), ZOK);
	WANT(stat.version, 2);
	WANT(stat.dataLength, 5);
	CHECK(stat.mzxid > stat.czxid);
	WANT_DATA(zh, "/data", "three");
	n = 2;
	RC(zoo_get(zh, "/data", 0, data, &n, &stat), ZOK);
	WANT(n, 2);
	CHECK(memcmp(data, "th", 2) == 0);
	RC(zoo_set(zh, "/data", NULL, -1, -1), ZOK);
	n = sizeof data;
	RC(zoo_get(zh, "/data", 0, data, &n, &stat), ZOK);
	WANT(n, -1);
	WANT(stat.dataLength, 0);
	RC(zoo_set(zh, "/data", "a\0b", 3, -1), ZOK);
	n = sizeof data;
	RC(zoo_get(zh, "/data", 0, data, &n, &stat), ZOK);
	WANT(n, 3);
	CHECK(memcmp(data, "a\0b", 3) == 0);
	RC(zoo_get(zh, "/data/no", 0, data, &n, NULL), ZNONODE);
	RC(zoo_set(zh, "/data/no", "", 0, -1), ZNONODE);
	RC(zoo_exists(zh, "/data/no", 0, &stat), ZNONODE);
	RC(zoo_exists(zh, "no-slash", 0, &stat), ZBADARGUMENTS);
}

static void test_large_data(void)
{
	enum { large = 1000 * 1000 };
	zhandle_t *zh = session();
	char *out = malloc(large), *in = malloc(large);
	int n = large;
	CHECK(out != NULL && in != NULL);
	for (int i = 0; i < large; i++) out[i] = (char)(i * 7 + i / 251);
	make(zh, "/large", "");
	RC(zoo_set(zh, "/large", out, large, -1), ZOK);
	RC(zoo_get(zh, "/large", 0, in, &n, NULL), ZOK);
	WANT(n, large);
	CHECK(memcmp(in, out, large) == 0);
	free(out);
	free(in);
}

static void test_too_large_data(void)
{
	enum { large = 2 << 20 };
	zhandle_t *zh = session();
	int64_t id = zoo_client_id(zh)->client_id;
	char *out = calloc(1, large);
	CHECK(out != NULL);
	RC(zoo_create(zh, "/too-large", out, large, open_acl, ZOO_PERSISTENT, NULL, 0),
		ZCONNECTIONLOSS);
	free(out);
	UNTIL(connected(zh));
	WANT(zoo_client_id(zh)->client_id, id);
	UNTIL(zoo_exists(zh, "/too-large", 0, NULL) == ZNONODE);
}

static void test_children(void)
{
	zhandle_t *zh = session();
	struct String_vector names;
	struct Stat stat;
	make(zh, "/children", "");
	RC(zoo_get_children(zh, "/children", 0, &names), ZOK);
	WANT(names.count, 0);
	deallocate_String_vector(&names);
	for (int i = 0; i < 100; i++) {
		char path[100];
		snprintf(path, sizeof path, "/children/c%02d", i);
		make(zh, path, "");
	}
	RC(zoo_get_children2(zh, "/children", 0, &names, &stat), ZOK);
	WANT(names.count, 100);
	WANT(stat.numChildren, 100);
	WANT(stat.cversion, 100);
	int met[100] = {0};
	for (int i = 0; i < names.count; i++) met[atoi(names.data[i] + 1)]++;
	for (int i = 0; i < 100; i++) WANT(met[i], 1);
	deallocate_String_vector(&names);
	RC(zoo_get_children(zh, "/children/no", 0, &names), ZNONODE);
	RC(zoo_get_children2(zh, "/children/no", 0, &names, &stat), ZNONODE);
}

static void test_delete(void)
{
	zhandle_t *zh = session();
	make(zh, "/delete", "");
	make(zh, "/delete/a", "");
	RC(zoo_delete(zh, "/delete", -1), ZNOTEMPTY);
	RC(zoo_delete(zh, "/delete/a", 1), ZBADVERSION);
	RC(zoo_set(zh, "/delete/a", "", 0, 0), ZOK);
	RC(zoo_delete(zh, "/delete/a", 1), ZOK);
	RC(zoo_delete(zh, "/delete/a", -1), ZNONODE);
	RC(zoo_delete(zh, "/delete", -1), ZOK);
	RC(zoo_delete(zh, "/zookeeper", -1), ZBADARGUMENTS);
}

static void void_done(int rc, const void *t) { count((struct tally *)t, rc); }

/* login authenticates and waits for the answer. */
static int login(zhandle_t *zh, const char *scheme, const char *cert)
{
	struct tally *t = tally();
	RC(zoo_add_auth(zh, scheme, cert, (int)strlen(cert), void_done, t), ZOK);
	UNTIL(done(t) == 1);
	return t->first_rc;
}

static void test_acls(void)
{
	zhandle_t *mine = session(), *other = session();
	struct ACL_vector acl;
	struct Stat stat;
	char data[100];
	int n = sizeof data;
	RC(zoo_create(mine, "/acl", "", 0, &ZOO_CREATOR_ALL_ACL, ZOO_PERSISTENT, NULL, 0),
		ZINVALIDACL);
	RC(login(mine, "digest", "anna:secret"), ZOK);
	RC(zoo_create(mine, "/acl", "x", 1, &ZOO_CREATOR_ALL_ACL, ZOO_PERSISTENT, NULL, 0), ZOK);
	RC(zoo_get_acl(mine, "/acl", &acl, &stat), ZOK);
	WANT(acl.count, 1);
	WANT(acl.data[0].perms, ZOO_PERM_ALL);
	SAME(acl.data[0].id.scheme, "digest");
	SAME(acl.data[0].id.id, "anna:Wap/fLaD11BLJBT+7fkDcVxaT7c=");
	WANT(stat.aversion, 0);
	RC(zoo_get(other, "/acl", 0, data, &n, NULL), ZNOAUTH);
	RC(zoo_set(other, "/acl", "", 0, -1), ZNOAUTH);
	RC(zoo_create(other, "/acl/a", "", 0, open_acl, ZOO_PERSISTENT, NULL, 0), ZNOAUTH);
	RC(zoo_set_acl(other, "/acl", -1, open_acl), ZNOAUTH);
	RC(login(other, "digest", "anna:wrong"), ZOK);
	RC(zoo_get(other, "/acl", 0, data, &n, NULL), ZNOAUTH);
	/* Reading for everybody. */
	RC(zoo_set_acl(mine, "/acl", 7, &ZOO_READ_ACL_UNSAFE), ZBADVERSION);
	struct ACL both[2] = {acl.data[0], ZOO_READ_ACL_UNSAFE.data[0]};
	struct ACL_vector wider = {2, both};
	RC(zoo_set_acl(mine, "/acl", 0, &wider), ZOK);
	deallocate_ACL_vector(&acl);
	n = sizeof data;
	RC(zoo_get(other, "/acl", 0, data, &n, &stat), ZOK);
	WANT(stat.aversion, 1);
	RC(zoo_set(other, "/acl", "", 0, -1), ZNOAUTH);
	RC(login(other, "digest", "anna:secret"), ZOK);
	RC(zoo_set(other, "/acl", "", 0, -1), ZOK);
	RC(zoo_set_acl(mine, "/acl", 1, open_acl), ZOK);
	struct ACL bad = {ZOO_PERM_ALL, {"no-such-scheme", "x"}};
	struct ACL_vector invalid = {1, &bad};
	RC(zoo_set_acl(mine, "/acl", -1, &invalid), ZINVALIDACL);
	RC(zoo_get_acl(mine, "/acl/no", &acl, &stat), ZNONODE);
	RC(zoo_set_acl(mine, "/acl/no", -1, open_acl), ZNONODE);
}

static void test_auth_failed(void)
{
	struct recorder *r = recorder();
	zhandle_t *zh = begin_session(address, TIMEOUT, NULL, r);
	UNTIL(connected(zh));
	WANT(login(zh, "no-such-scheme", "x"), ZAUTHFAILED);
	UNTIL(zoo_state(zh) == ZOO_AUTH_FAILED_STATE);
	UNTIL(states(r, ZOO_AUTH_FAILED_STATE) == 1);
	RC(is_unrecoverable(zh), ZINVALIDSTATE);
}

static void test_multi(void)
{
	zhandle_t *zh = session();
	zoo_op_t ops[6];
	zoo_op_result_t results[6];
	struct Stat stat;
	char a[50], s[50];
	make(zh, "/multi", "0");
	zoo_check_op_init(&ops[0], "/multi", 0);
	zoo_create_op_init(&ops[1], "/multi/a", "x", 1, open_acl, ZOO_PERSISTENT, a, sizeof a);
	zoo_create_op_init(&ops[2], "/multi/s-", "", 0, open_acl, ZOO_EPHEMERAL_SEQUENTIAL, s,
		sizeof s);
	zoo_set_op_init(&ops[3], "/multi", "1", 1, 0, &stat);
	zoo_check_op_init(&ops[4], "/multi", 1);
	zoo_delete_op_init(&ops[5], "/multi/a", 0);
	RC(zoo_multi(zh, 6, ops, results), ZOK);
	for (int i = 0; i < 6; i++) RC(results[i].err, ZOK);
	SAME(a, "/multi/a");
	SAME(s, "/multi/s-0000000001");
	WANT(stat.version, 1);
	WANT(stat.numChildren, 2); /* before the delete */
	RC(zoo_exists(zh, "/multi/a", 0, NULL), ZNONODE);
	RC(zoo_exists(zh, "/multi/s-0000000001", 0, NULL), ZOK);
	WANT_DATA(zh, "/multi", "1");
}

static void test_multi_fails(void)
{
	zhandle_t *zh = session();
	zoo_op_t ops[4];
	zoo_op_result_t results[4];
	make(zh, "/multi-fails", "0");
	zoo_create_op_init(&ops[0], "/multi-fails/a", "", 0, open_acl, ZOO_PERSISTENT, NULL, 0);
	zoo_check_op_init(&ops[1], "/multi-fails", 1);
	zoo_set_op_init(&ops[2], "/multi-fails", "1", 1, -1, NULL);
	zoo_delete_op_init(&ops[3], "/multi-fails/a", -1);
	RC(zoo_multi(zh, 4, ops, results), ZBADVERSION);
	RC(results[0].err, ZOK);
	RC(results[1].err, ZBADVERSION);
	RC(results[2].err, ZRUNTIMEINCONSISTENCY);
	RC(results[3].err, ZRUNTIMEINCONSISTENCY);
	RC(zoo_exists(zh, "/multi-fails/a", 0, NULL), ZNONODE);
	WANT_DATA(zh, "/multi-fails", "0");
	zoo_check_op_init(&ops[1], "/multi-fails/no", -1);
	RC(zoo_multi(zh, 2, ops, results), ZNONODE);
	zoo_delete_op_init(&ops[0], "/zookeeper", -1);
	RC(zoo_multi(zh, 1, ops, results), ZBADARGUMENTS);
	RC(zoo_multi(zh, 0, ops, results), ZOK);
}

static void test_many_multis(void)
{
	enum { multis = 300, size = 20 };
	zhandle_t *zh = session();
	static zoo_op_t ops[multis][size];
	static zoo_op_result_t results[multis][size];
	static char paths[multis][size][40];
	struct tally *t = tally();
	struct Stat stat;
	make(zh, "/multis", "");
	for (int i = 0; i < multis; i++) {
		for (int j = 0; j < size; j++) {
			snprintf(paths[i][j], sizeof paths[i][j], "/multis/%d-%d", i, j);
			zoo_create_op_init(&ops[i][j], paths[i][j], "x", 1, open_acl,
				ZOO_PERSISTENT, NULL, 0);
		}
		RC(zoo_amulti(zh, size, ops[i], results[i], void_done, t), ZOK);
	}
	UNTIL(done(t) == multis);
	RC(t->first_rc, ZOK);
	RC(zoo_exists(zh, "/multis", 0, &stat), ZOK);
	WANT(stat.numChildren, multis * size);
}

static void test_watches(void)
{
	zhandle_t *watcher = session(), *changer = session();
	struct recorder *r = recorder();
	struct String_vector names;
	char data[100];
	int n = sizeof data;
	make(changer, "/watches", "");
	RC(zoo_wexists(watcher, "/watches/a", record, r, NULL), ZNONODE);
	RC(zoo_wget_children(watcher, "/watches", record, r, &names), ZOK);
	deallocate_String_vector(&names);
	make(changer, "/watches/a", "");
	UNTIL(nodes(r) == 2);
	WANT(seen(r, ZOO_CREATED_EVENT, "/watches/a"), 1);
	WANT(seen(r, ZOO_CHILD_EVENT, "/watches"), 1);
	/* Each tells one change alone. */
	RC(zoo_wget(watcher, "/watches/a", record, r, data, &n, NULL), ZOK);
	RC(zoo_set(changer, "/watches/a", "1", 1, -1), ZOK);
	RC(zoo_set(changer, "/watches/a", "2", 1, -1), ZOK);
	UNTIL(seen(r, ZOO_CHANGED_EVENT, "/watches/a") == 1);
	RC(zoo_wexists(watcher, "/watches/a", record, r, NULL), ZOK);
	RC(zoo_wget_children(watcher, "/watches/a", record, r, &names), ZOK);
	deallocate_String_vector(&names);
	RC(zoo_delete(changer, "/watches/a", -1), ZOK);
	UNTIL(seen(r, ZOO_DELETED_EVENT, "/watches/a") >= 1);
	/* One after the other: what comes behind has come after all that was due. */
	RC(zoo_wexists(watcher, "/watches/end", record, r, NULL), ZNONODE);
	make(changer, "/watches/end", "");
	UNTIL(seen(r, ZOO_CREATED_EVENT, "/watches/end") == 1);
	WANT(seen(r, ZOO_CHANGED_EVENT, "/watches/a"), 1);
	WANT(seen(r, ZOO_CHILD_EVENT, "/watches"), 1);
	RC(zoo_wget(watcher, "/watches/no", record, r, data, &n, NULL), ZNONODE);
}

static void test_global_watcher(void)
{
	struct recorder *r = recorder();
	zhandle_t *zh = begin_session(address, TIMEOUT, NULL, r);
	char data[100];
	int n = sizeof data;
	UNTIL(connected(zh));
	UNTIL(states(r, ZOO_CONNECTED_STATE) == 1);
	make(zh, "/global", "");
	RC(zoo_get(zh, "/global", 1, data, &n, NULL), ZOK);
	RC(zoo_exists(zh, "/global/a", 1, NULL), ZNONODE);
	RC(zoo_set(zh, "/global", "1", 1, -1), ZOK);
	make(zh, "/global/a", "");
	UNTIL(nodes(r) == 2);
	WANT(seen(r, ZOO_CHANGED_EVENT, "/global"), 1);
	WANT(seen(r, ZOO_CREATED_EVENT, "/global/a"), 1);
}

static void test_remove_watches(void)
{
	zhandle_t *zh = session();
	struct recorder *kept = recorder(), *removed = recorder();
	struct String_vector names;
	char data[100];
	int n = sizeof data;
	make(zh, "/remove", "");
	RC(zoo_wget(zh, "/remove", record, removed, data, &n, NULL), ZOK);
	RC(zoo_wget_children(zh, "/remove", record, kept, &names), ZOK);
	deallocate_String_vector(&names);
	RC(zoo_remove_watches(zh, "/remove", ZWATCHTYPE_DATA, record, removed, 0), ZOK);
	RC(zoo_remove_watches(zh, "/remove", ZWATCHTYPE_DATA, record, removed, 0), ZNOWATCHER);
	RC(zoo_set(zh, "/remove", "1", 1, -1), ZOK);
	make(zh, "/remove/a", "");
	UNTIL(seen(kept, ZOO_CHILD_EVENT, "/remove") == 1);
	WANT(seen(removed, ZOO_CHANGED_EVENT, "/remove"), 0);
	RC(zoo_wget_children(zh, "/remove", record, kept, &names), ZOK);
	deallocate_String_vector(&names);
	RC(zoo_remove_all_watches(zh, "/remove", ZWATCHTYPE_ANY, 0), ZOK);
	RC(zoo_remove_all_watches(zh, "/remove", ZWATCHTYPE_ANY, 0), ZNOWATCHER);
	make(zh, "/remove/b", "");
	RC(zoo_wexists(zh, "/remove/end", record, kept, NULL), ZNONODE);
	make(zh, "/remove/end", "");
	UNTIL(seen(kept, ZOO_CREATED_EVENT, "/remove/end") == 1);
	WANT(seen(kept, ZOO_CHILD_EVENT, "/remove"), 1);
}

static void string_done(int rc, const char *value, const void *t)
{
	(void)value;
	count((struct tally *)t, rc);
}

static void test_many_watches(void)
{
	enum { many = 2000 };
	zhandle_t *watcher = session(), *changer = session();
	struct recorder *r = recorder();
	struct tally *t = tally();
	char path[50];
	make(changer, "/many-watches", "");
	for (int i = 0; i < many; i++) {
		snprintf(path, sizeof path, "/many-watches/%d", i);
		RC(zoo_wexists(watcher, path, record, r, NULL), ZNONODE);
	}
	for (int i = 0; i < many; i++) {
		snprintf(path, sizeof path, "/many-watches/%d", i);
		RC(zoo_acreate(changer, path, "", 0, open_acl, ZOO_PERSISTENT,
			string_done, t), ZOK);
	}
	UNTIL(nodes(r) == many);
	RC(t->first_rc, ZOK);
	for (int i = 0; i < many; i++) {
		snprintf(path, sizeof path, "/many-watches/%d", i);
		WANT(seen(r, ZOO_CREATED_EVENT, path), 1);
	}
}

static void test_sync(void)
{
	zhandle_t *zh = session();
	struct tally *t = tally();
	make(zh, "/sync", "");
	RC(zoo_async(zh, "/sync", string_done, t), ZOK);
	RC(zoo_async(zh, "/sync/no", string_done, t), ZOK);
	UNTIL(done(t) == 2);
	RC(t->first_rc, ZOK);
}

/* A numbered request knows its place among others. */
struct numbered {
	struct tally *tally;
	int number;
};

static void in_order(const struct numbered *n)
{
	pthread_mutex_lock(&n->tally->lock);
	n->tally->astray += n->tally->next != n->number;
	n->tally->next = n->number + 1;
	pthread_mutex_unlock(&n->tally->lock);
}

static void created(int rc, const char *value, const void *context)
{
	const struct numbered *n = context;
	char want[50];
	in_order(n);
	snprintf(want, sizeof want, "/async/s-%010d", n->number);
	count(n->tally, rc != ZOK ? rc : strcmp(value, want) == 0 ? ZOK : ZDATAINCONSISTENCY);
}

static void set_done(int rc, const struct Stat *stat, const void *context)
{
	const struct numbered *n = context;
	in_order(n);
	count(n->tally, rc != ZOK ? rc : stat->version == n->number + 1 ? ZOK : ZDATAINCONSISTENCY);
}

static void got(int rc, const char *value, int length, const struct Stat *stat,
	const void *context)
{
	const struct numbered *n = context;
	char want[50];
	snprintf(want, sizeof want, "%d", n->number);
	in_order(n);
	int same = rc == ZOK && stat->version == n->number + 1 &&
		length == (int)strlen(want) && memcmp(value, want, (size_t)length) == 0;
	count(n->tally, rc != ZOK ? rc : same ? ZOK : ZDATAINCONSISTENCY);
}

static struct numbered *numbers(struct tally *t, int n)
{
	struct numbered *all = calloc((size_t)n, sizeof *all); /* freed never, as the tally */
	if (all == NULL) abort();
	for (int i = 0; i < n; i++) all[i] = (struct numbered){t, i};
	return all;
}

static void test_thousands_in_flight(void)
{
	enum { many = 5000 };
	zhandle_t *zh = session();
	struct tally *creates = tally(), *sets = tally(), *gets = tally();
	struct numbered *c = numbers(creates, many), *s = numbers(sets, many);
	struct numbered *g = numbers(gets, many);
	make(zh, "/async", "");
	for (int i = 0; i < many; i++)
		RC(zoo_acreate(zh, "/async/s-", "", 0, open_acl, ZOO_PERSISTENT_SEQUENTIAL, created,
			&c[i]), ZOK);
	/* Each read follows its write in the session's order, and sees it. */
	for (int i = 0; i < many; i++) {
		char value[20];
		int n = snprintf(value, sizeof value, "%d", i);
		RC(zoo_aset(zh, "/async", value, n, i, set_done, &s[i]), ZOK);
		RC(zoo_aget(zh, "/async", 0, got, &g[i]), ZOK);
	}
	UNTIL(done(creates) == many && done(sets) == many && done(gets) == many);
	RC(creates->first_rc, ZOK);
	RC(sets->first_rc, ZOK);
	RC(gets->first_rc, ZOK);
	WANT(creates->astray + sets->astray + gets->astray, 0);
}
