/* SPDX-License-Identifier: Apache-2.0 */
/* Joining against the in-tree API server, stopped at every point: the next run with the same token completes it. */
#include "cluster.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "crypto/secret.h"
#include "join/guard_file.h"
#include "join/join.h"
#include "join/manifests.h"
#include "lib/result.h"

#define TOKENS	"/api/v1/namespaces/mesh-hosts/serviceaccounts/ahch-to/token"
#define SECRETS "/api/v1/namespaces/mesh-hosts/secrets/ahch-to-join"

static time_t clock_error_s; /* of this machine, as libcrypto sees it */

time_t time(time_t *ret)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* only fails for a bad clock */
	now.tv_sec += clock_error_s;
	return ret ? (*ret = now.tv_sec) : now.tv_sec;
}

static char dir[] = "/tmp/mesh-join-XXXXXX";
static struct enrol_result enrolled;
static struct guard guard; /* what mesh-join --confirm asks for */

static void setup(void)
{
	const struct enrolment luke = {.namespace = "legacy", .labels = "jedi=luke", .addresses = "172.19.100.2", .services = "web"};
	struct err err = {0};

	cluster_start_ready();
	cr_assert_neq(mkdtemp(dir), NULL);
	cr_assert_eq(cluster_enrol("ahch-to", &luke, &enrolled, &err), 0, "%s", err.text);
}

static void teardown(void)
{
	cr_expect_eq(join_state_remove(dir, NULL), 0);
	cr_expect_eq(rmdir(dir), 0);
	enrol_result_done(&enrolled);
	cluster_stop();
}

TestSuite(join, .init = setup, .fini = teardown);

/* One run of mesh-join, without what it checks of the machine. */
static enum join_exit run(struct err *err)
{
	CLEANUP(join_session_done) struct join_session s = {0};
	enum join_progress progress;
	enum join_exit code = join_check_state(dir, &enrolled.token, &progress, err);

	if (code == JOIN_OK)
		code = join_connect(&enrolled.token, &s, err);
	if (code == JOIN_USED && progress != JOIN_NONE)
		return join_resume(dir, false, err);
	return code == JOIN_OK ? join_finish(&s, &enrolled.token, dir, &guard, err) : code;
}

static void expect_run(enum join_exit want_code)
{
	struct err err = {0};
	enum join_exit code = run(&err);

	cr_expect_eq(code, want_code, "%d, not %d: %s", code, want_code, err.text);
}

/* Whatever was written: the daemon can start with it. */
static void expect_daemon_can_start(void)
{
	CLEANUP(join_state_done) struct join_state s = {0};
	CLEANUP(secret_free) char *token = NULL;
	struct err err = {0};
	int r = join_state_load(dir, &s, &err);

	if (r == -ENOENT || r == -EISDIR) /* it says that the host has not joined; a directory is the test's own obstacle */
		return;
	cr_expect_eq(r, 0, "%s", err.text);
	cr_expect_eq(join_state_load_token(dir, &token, &err), 0, "%s", err.text);
}

static void expect_complete(bool is_complete)
{
	CLEANUP(join_state_done) struct join_state s = {0};
	struct err err = {0};

	expect_daemon_can_start();
	cr_assert_eq(join_state_load(dir, &s, &err), 0, "%s", err.text);
	cr_expect_eq(s.is_complete, is_complete);
}

Test(join, in_one_go)
{
	expect_run(JOIN_OK);
	expect_complete(true);
	want_code(&cluster, 404, "GET", NULL, SECRETS);
	expect_run(JOIN_OK); /* again, with the dead token */
	expect_complete(true);
}

/* The token says where; with the host's own rights it is read there, and the daemon is told. */
Test(join, cilium_may_be_elsewhere)
{
	const struct manifests_options o = {.cilium_namespace = "cilium"};
	const struct enrolment again = {.cilium_namespace = "cilium"};
	CLEANUP(join_session_done) struct join_session s = {0};
	CLEANUP(join_state_done) struct join_state state = {0};
	struct err err = {0};

	cluster_move_config("cilium");
	want_code(&cluster, 200, "DELETE", NULL, "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles/mesh-hosts-cilium-config");
	cr_assert_eq(manifests_apply(&admin, &o, &err), 0, "%s", err.text);
	enrol_result_done(&enrolled);
	cr_assert_eq(cluster_enrol("ahch-to", &again, &enrolled, &err), 0, "%s", err.text);
	cr_assert_eq(join_connect(&enrolled.token, &s, &err), JOIN_OK, "%s", err.text);
	cr_assert(s.cilium_config);
	cr_expect_str_eq(text_at(s.cilium_config, "metadata", "namespace", NULL), "cilium");
	cr_assert_eq(join_finish(&s, &enrolled.token, dir, &guard, &err), JOIN_OK, "%s", err.text);
	cr_assert_eq(join_state_load(dir, &state, &err), 0, "%s", err.text);
	cr_expect_str_eq(state.cilium_namespace, "cilium");
}

Test(join, the_answer_with_the_credential_is_lost)
{
	cluster_fault("POST", TOKENS, 0);
	expect_run(JOIN_UNREACHABLE);
	expect_daemon_can_start();
	expect_run(JOIN_OK);
	expect_complete(true);
}

/* A directory stands where the file should be. */
static void obstruct(const char *name, bool is_there)
{
	CLEANUP(free) char *path = str_printf("%s/%s", dir, name);

	cr_assert_eq(is_there ? mkdir(path, 0700) : rmdir(path), 0);
}

Test(join, the_credential_cannot_be_written)
{
	obstruct("token", true);
	expect_run(JOIN_LOCAL);
	expect_daemon_can_start();
	want_code(&cluster, 200, "GET", NULL, SECRETS);
	obstruct("token", false);
	expect_run(JOIN_OK);
	expect_complete(true);
}

Test(join, it_ends_between_credential_and_state)
{
	struct err err = {0};

	/* what a run leaves that ends there */
	cr_assert_eq(join_state_save_token(dir, enrolled.token.jwt, &err), 0, "%s", err.text);
	expect_daemon_can_start();
	expect_run(JOIN_OK);
	expect_complete(true);
}

static void expect_guard(enum guard_state want)
{
	CLEANUP(guard_done) struct guard g = {0};
	struct err err = {0};

	cr_expect_eq(guard_file_load(dir, clock_boot_us(), &g, &err), 0, "%s", err.text);
	cr_expect_eq(g.state, want, "%s", guard_state_str(g.state));
}

/* A machine that loses power there does not boot as a member whose first policy nobody has to confirm. */
Test(join, the_guard_is_there_before_the_state)
{
	const struct enrolment again = {0};
	struct err err = {0};

	cr_assert_eq(guard_arm_open(&guard, 60 * USEC_PER_SEC), 0);
	obstruct("joined.json.new", true);
	expect_run(JOIN_LOCAL);
	expect_guard(GUARD_ARMED);
	obstruct("joined.json.new", false);
	guard_done(&guard);
	expect_run(JOIN_OK); /* the last command decides */
	expect_guard(GUARD_OFF);

	/* that which a member has armed stays, when it joins anew */
	cr_assert_eq(guard_arm(&guard, 60 * USEC_PER_SEC, 7, json_array(), &err), 0);
	cr_assert_eq(guard_file_save(dir, &guard, &err), 0, "%s", err.text);
	guard_done(&guard);
	enrol_result_done(&enrolled);
	cr_assert_eq(cluster_enrol("ahch-to", &again, &enrolled, &err), 0, "%s", err.text);
	expect_run(JOIN_OK);
	expect_guard(GUARD_ARMED);
}

Test(join, the_secret_cannot_be_deleted)
{
	cluster_fault("DELETE", SECRETS, 403);
	expect_run(JOIN_DENIED);
	expect_complete(false);
	expect_run(JOIN_OK);
	expect_complete(true);
	want_code(&cluster, 404, "GET", NULL, SECRETS);
}

Test(join, the_answer_to_the_deletion_is_lost)
{
	cluster_fault("DELETE", SECRETS, 0);
	expect_run(JOIN_UNREACHABLE);
	expect_complete(false);
	want_code(&cluster, 404, "GET", NULL, SECRETS);
	expect_run(JOIN_OK);
	expect_complete(true);
}

/* Somebody else has killed the token since it was minted with: that one is the host. */
Test(join, another_machine_was_first)
{
	CLEANUP(join_state_done) struct join_state s = {0};
	struct err err = {0};

	cluster_fault("DELETE", SECRETS, 404);
	cr_expect_eq(run(&err), JOIN_USED);
	cr_expect(strstr(err.text, "another machine"), "%s", err.text);
	cr_expect_eq(join_state_load(dir, &s, &err), -ENOENT);
	expect_run(JOIN_OK); /* as it was only made believe */
	expect_complete(true);
}

/* One of those that hurry: its status is what it came to. */
static pid_t racer(const int start[2])
{
	pid_t pid = fork();
	char own[] = "/tmp/mesh-race-XXXXXX";
	enum join_exit code;
	struct err err;
	char c;

	if (pid != 0)
		return pid;
	memcpy(dir, mkdtemp(own), sizeof(dir));
	(void)close(start[1]);
	(void)!read(start[0], &c, 1); /* the end of the file is the start */
	code = run(&err);
	(void)join_state_remove(dir, NULL); /* only this process knows of it */
	(void)rmdir(dir);
	_exit(code);
}

/* However close together they are, and wherever each is when the token dies. MESH_TEST_RACERS asks for more of them. */
Test(join, of_many_machines_one_joins, .timeout = 3600)
{
	enum { RACERS_AT_ONCE = 4, RACERS = 100 };
	const uint64_t rounds = result_amount("MESH_TEST_RACERS", RACERS) / RACERS_AT_ONCE;
	const struct enrolment again = {0};
	uint64_t late = 0;

	for (uint64_t round = 0; round < rounds; round++) {
		struct err err = {0};
		unsigned joined = 0;
		int start[2], status;

		if (round) {
			enrol_result_done(&enrolled);
			cr_assert_eq(cluster_enrol("ahch-to", &again, &enrolled, &err), 0, "%s", err.text);
		}
		cr_assert_eq(pipe(start), 0);
		for (unsigned i = 0; i < RACERS_AT_ONCE; i++) {
			pid_t pid = racer(start);

			cr_assert_geq(pid, 0);
		}
		(void)close(start[0]);
		(void)close(start[1]);
		for (unsigned i = 0; i < RACERS_AT_ONCE; i++) {
			cr_assert_geq(wait(&status), 0);
			cr_expect(WIFEXITED(status) && (WEXITSTATUS(status) == JOIN_OK || WEXITSTATUS(status) == JOIN_USED), "%x", status);
			joined += WIFEXITED(status) && WEXITSTATUS(status) == JOIN_OK;
		}
		cr_assert_eq(joined, 1, "%u joined in round %llu", joined, (unsigned long long)round);
		late += RACERS_AT_ONCE - joined;
		want_code(&cluster, 404, "GET", NULL, SECRETS);
	}
	cr_expect_eq(late, rounds * (RACERS_AT_ONCE - 1));
	result_add("races", json_pack("{s:I, s:I, s:I}", "tokens", (json_int_t)rounds, "racers",
				       (json_int_t)rounds * RACERS_AT_ONCE, "late", (json_int_t)late));
}

Test(join, it_ends_before_the_mark)
{
	CLEANUP(join_state_done) struct join_state s = {0};
	struct err err = {0};

	expect_run(JOIN_OK);
	/* what a run leaves that ends there */
	cr_assert_eq(join_state_load(dir, &s, &err), 0, "%s", err.text);
	s.is_complete = false;
	cr_assert_eq(join_state_save(dir, &s, &err), 0, "%s", err.text);
	cr_expect_eq(join_resume(dir, true, &err), JOIN_OK);
	expect_complete(false); /* a dry run */
	cluster_fault("GET", "/api/v1/namespaces/kube-system", 401); /* the join token */
	cluster_fault("GET", "/api/v1/namespaces/kube-system", 503); /* the credential: nobody knows now */
	expect_run(JOIN_UNREACHABLE);
	expect_complete(false);
	expect_run(JOIN_OK);
	expect_complete(true);
}

Test(join, a_removed_host_is_not_resumed)
{
	struct err err = {0};

	cluster_fault("DELETE", SECRETS, 0);
	expect_run(JOIN_UNREACHABLE);
	cr_assert_eq(enrol_remove(&admin, "ahch-to", &err), 0, "%s", err.text);
	expect_run(JOIN_USED);
	expect_complete(false);
}

Test(join, state_of_another_host_stands)
{
	CLEANUP(join_state_done) struct join_state s = {0};
	struct err err = {0};

	expect_run(JOIN_OK);
	cr_assert_eq(join_state_load(dir, &s, &err), 0, "%s", err.text);
	free(s.host);
	s.host = strdup("crait");
	cr_assert_eq(join_state_save(dir, &s, &err), 0, "%s", err.text);
	expect_run(JOIN_OTHER);
}

/* A machine without a battery begins in 1970, where no certificate is valid yet. */
Test(join, a_clock_before_the_certificate)
{
	struct err err = {0};

	clock_error_s = -40 * 365 * 86400L;
	cr_expect_eq(run(&err), JOIN_CLOCK, "%s", err.text);
	cr_expect(strstr(err.text, "clock"), "%s", err.text);
	clock_error_s = 0;
	expect_run(JOIN_OK);
}

Test(join_certificate, that_is_over, .init = cluster_start, .fini = cluster_stop)
{
	static const char *const args[] = {"--expired-cert", NULL};
	CLEANUP(api_free) struct api *api = NULL;
	CLEANUP(join_session_done) struct join_session s = {0};
	CLEANUP(buf_done) struct buf ca = {0};
	struct join_token t = {.jwt = cluster.api->token, .host = cluster.ns, .cluster_uid = cluster.ns};
	struct err err = {0};

	cr_assert_eq(api_start(args, &api, &err), 0, "%s", err.text);
	cr_assert_eq(file_read(api->ca_path, 1 << 20, &ca), 0);
	cr_assert_eq(strv_add(&t.servers, api->url), 0);
	t.ca_pem = ca.data;
	cr_expect_eq(join_connect(&t, &s, &err), JOIN_CLOCK, "%s", err.text);
	strv_done(&t.servers);
}
