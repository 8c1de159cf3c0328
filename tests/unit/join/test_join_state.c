/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/no_fsync.h"
#include "../crypto/certs.h"
#include "base/file.h"
#include "crypto/secret.h"
#include "join/join_state.h"
#include "join/state_file.h"
#include "json/json.h"

static char dir[] = "/tmp/mesh-state-XXXXXX";
static char state_dir[64];

static void setup(void)
{
	cr_assert_neq(mkdtemp(dir), NULL);
	(void)snprintf(state_dir, sizeof(state_dir), "%s/a/b", dir);
}

static void teardown(void)
{
	char path[64];

	cr_expect_eq(join_state_remove(state_dir, NULL), 0);
	(void)rmdir(state_dir); /* may not have been made */
	(void)snprintf(path, sizeof(path), "%s/a", dir);
	(void)rmdir(path);
	(void)rmdir(dir);
}

static void make(struct join_state *s)
{
	*s = (struct join_state){.identity = 51000, .is_complete = true};
	cr_assert_eq(strv_add(&s->servers, "https://192.0.2.1:6443"), 0);
	cr_assert_eq(strv_add(&s->addresses, "172.19.100.2/32"), 0);
	s->ca_pem = strdup(CA_A);
	s->host = strdup("ahch-to");
	s->namespace = strdup("legacy");
	s->cluster = strdup("default");
	s->cluster_uid = strdup("8b1d");
	s->labels = json_pack("{s:s}", "jedi", "luke");
}

TestSuite(join_state, .init = setup, .fini = teardown);

Test(join_state, round_trip)
{
	CLEANUP(join_state_done) struct join_state s, back = {0};
	struct err err = {0};
	struct stat st;
	char path[128];

	make(&s);
	cr_assert_eq(join_state_save(state_dir, &s, &err), 0, "%s", err.text);
	cr_assert_eq(join_state_load(state_dir, &back, &err), 0, "%s", err.text);
	cr_expect_str_eq(back.host, "ahch-to");
	cr_expect_str_eq(back.servers.v[0], "https://192.0.2.1:6443");
	cr_expect_str_eq(back.ca_pem, CA_A);
	cr_expect_str_eq(json_str(back.labels, "jedi", ""), "luke");
	cr_expect_eq(back.identity, 51000);
	cr_expect(back.is_complete);
	cr_expect_eq(back.services.n, 0);
	(void)snprintf(path, sizeof(path), "%s/joined.json", state_dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(stat(state_dir, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700);
}

/* A state without the member is of a version that knew the usual namespace only. */
Test(join_state, where_cilium_is)
{
	CLEANUP(join_state_done) struct join_state s, usual = {0}, back = {0};

	make(&s);
	cr_assert_eq(join_state_save(state_dir, &s, NULL), 0);
	cr_assert_eq(join_state_load(state_dir, &usual, NULL), 0);
	cr_expect_eq(usual.cilium_namespace, NULL);
	s.cilium_namespace = strdup("cilium");
	cr_assert_eq(join_state_save(state_dir, &s, NULL), 0);
	cr_assert_eq(join_state_load(state_dir, &back, NULL), 0);
	cr_expect_str_eq(back.cilium_namespace, "cilium");
	free(s.cilium_namespace);
	s.cilium_namespace = strdup("../secrets");
	cr_assert_eq(join_state_save(state_dir, &s, NULL), 0);
	cr_expect_eq(join_state_load(state_dir, &back, NULL), -EBADMSG);
}

Test(join_state, not_joined)
{
	CLEANUP(join_state_done) struct join_state s = {0};
	CLEANUP(secret_free) char *token = NULL;
	struct err err = {0};

	cr_expect_eq(join_state_load(state_dir, &s, &err), -ENOENT);
	cr_expect_neq(strstr(err.text, "mesh-join"), NULL);
	cr_expect_eq(join_state_load_token(state_dir, &token, &err), -ENOENT);
	cr_expect_eq(join_state_remove(state_dir, &err), 0);
}

static bool is_there(const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", state_dir, name);
	return access(path, F_OK) == 0;
}

/* Never a state without its credential, which no daemon could start with; and what is left is known to be. */
Test(join_state, removal_that_is_cut_short)
{
	CLEANUP(join_state_done) struct join_state s, back = {0};
	struct err err = {0};
	char path[128];

	make(&s);
	cr_assert_eq(join_state_save_token(state_dir, "a.b.c", NULL), 0);
	cr_assert_eq(join_state_save(state_dir, &s, NULL), 0);
	cr_expect_eq(join_state_finish_removal(state_dir, &err), 0);
	cr_expect(is_there("joined.json") && is_there("token"), "a member's state stays");

	(void)snprintf(path, sizeof(path), "%s/token", state_dir);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkdir(path, 0700), 0); /* the first step fails */
	cr_expect_lt(join_state_remove(state_dir, &err), 0);
	cr_expect_neq(strstr(err.text, path), NULL, "%s", err.text);
	cr_expect_eq(join_state_load(state_dir, &back, &err), -ENOENT);
	cr_expect_lt(join_state_finish_removal(state_dir, &err), 0);
	cr_assert_eq(rmdir(path), 0);
	cr_assert_eq(join_state_save_token(state_dir, "a.b.c", NULL), 0);
	cr_expect_eq(join_state_finish_removal(state_dir, &err), 0, "%s", err.text);
	cr_expect_not(is_there("token"));
	cr_expect_eq(rmdir(state_dir), 0, "nothing is left");

	/* what a write that was cut short has left, and what was learned while a member, too */
	cr_assert_eq(join_state_save(state_dir, &s, NULL), 0);
	cr_assert_eq(state_file_write(state_dir, "token.new", "a.b.", 4, &err), 0);
	cr_assert_eq(state_file_write(state_dir, JOIN_STATE_LEARNED, "x", 1, &err), 0);
	cr_expect_eq(join_state_remove(state_dir, &err), 0, "%s", err.text);
	cr_expect_eq(rmdir(state_dir), 0, "nothing is left");

	/* a token that is there alone is of a mesh-join that is under way */
	cr_assert_eq(join_state_save_token(state_dir, "a.b.c", NULL), 0);
	cr_expect_eq(join_state_finish_removal(state_dir, &err), 0);
	cr_expect(is_there("token"));
}

/* Removes the state, and ends where it would wait for the disk. */
static void remove_without_fsync(void)
{
	die_at_fsync();
	_exit(join_state_remove(state_dir, NULL) == 0 ? 0 : 2);
}

/* A disk that keeps the removal of the credential, but not that of the membership, would have a member without one. */
Test(join_state, removal_reaches_the_disk_in_order)
{
	CLEANUP(join_state_done) struct join_state s;
	int status = -1;
	pid_t pid;

	make(&s);
	cr_assert_eq(join_state_save_token(state_dir, "a.b.c", NULL), 0);
	cr_assert_eq(join_state_save(state_dir, &s, NULL), 0);
	pid = fork();
	if (pid == 0)
		remove_without_fsync();
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFSIGNALED(status), "%x", status);
	cr_expect_not(is_there("joined.json"));
	cr_expect(is_there("token"));
	cr_expect_eq(join_state_finish_removal(state_dir, NULL), 0);
	cr_expect_not(is_there("token"));
}

/* Writes the state, and ends where the first file changes hands. */
static void write_without_chown(void)
{
	const struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fchown, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fchownat, 1, 0),
#ifdef SYS_lchown
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_lchown, 0, 1),
#else
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fchown, 0, 1),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = {.len = sizeof(f) / sizeof(*f), .filter = (struct sock_filter *)(uintptr_t)f};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0)
		_exit(1);
	_exit(join_state_save_token(state_dir, "new.n.n", NULL) == 0 ? 0 : 2);
}

/* mesh-join is run by root: a daemon that starts in the middle, or after a crash there, can read what it finds. */
Test(join_state, belongs_to_the_owner_of_the_directory)
{
	enum { OWNER = 31415 };
	struct stat st;
	char path[128];
	int status = -1;
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%s/token", state_dir);
	cr_assert_eq(join_state_save_token(state_dir, "old.o.o", NULL), 0);
	if (geteuid() != 0)
		cr_skip_test("only root gives files away");
	cr_assert_eq(chown(state_dir, OWNER, OWNER), 0);
	cr_assert_eq(join_state_save_token(state_dir, "old.o.o", NULL), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_uid, OWNER);
	cr_expect_eq(st.st_gid, OWNER);
	cr_expect_eq(st.st_mode & 07777, 0600);
	pid = fork();
	if (pid == 0)
		write_without_chown();
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFSIGNALED(status), "%x", status);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_uid, OWNER);
}

Test(join_state, damage_is_noticed)
{
	CLEANUP(join_state_done) struct join_state s, back = {0};
	CLEANUP(buf_done) struct buf text = {0};
	char path[128];

	make(&s);
	cr_assert_eq(join_state_save(state_dir, &s, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/joined.json", state_dir);
	cr_assert_eq(file_read(path, 65536, &text), 0);
	for (size_t i = 0; i < text.len; i += 11) {
		char was = text.data[i];

		text.data[i] = was == '1' ? '2' : '1';
		cr_assert_eq(file_write_atomic(path, text.data, text.len, 0600), 0);
		cr_expect_eq(join_state_load(state_dir, &back, NULL), -EBADMSG, "at %zu", i);
		text.data[i] = was;
	}
	for (size_t len = 0; len < text.len; len += 97) {
		cr_assert_eq(file_write_atomic(path, text.data, len, 0600), 0);
		cr_expect_eq(join_state_load(state_dir, &back, NULL), -EBADMSG, "cut at %zu", len);
	}
}

/* Kept beside it for a time when it is damaged, and gone with it. */
Test(join_state, spare)
{
	CLEANUP(join_state_done) struct join_state s, back = {0}, none = {0};
	struct err err = {0};
	char path[128];
	struct stat before, after;

	make(&s);
	cr_expect_eq(join_state_load_spare(state_dir, &none, NULL), -ENOENT);
	cr_assert_eq(join_state_save(state_dir, &s, NULL), 0);
	cr_assert_eq(join_state_keep_spare(state_dir, &s, &err), 0, "%s", err.text);
	(void)snprintf(path, sizeof(path), "%s/joined.json", state_dir);
	cr_assert_eq(file_write_atomic(path, "{", 1, 0600), 0);
	cr_expect_eq(join_state_load(state_dir, &none, NULL), -EBADMSG);
	cr_assert_eq(join_state_load_spare(state_dir, &back, &err), 0, "%s", err.text);
	cr_expect_str_eq(back.host, "ahch-to");
	cr_expect_str_eq(back.ca_pem, CA_A);
	(void)snprintf(path, sizeof(path), "%s/" JOIN_STATE_SPARE, state_dir);
	cr_assert_eq(stat(path, &before), 0);
	cr_expect_eq(before.st_mode & 07777, 0600);
	cr_assert_eq(join_state_keep_spare(state_dir, &back, NULL), 0);
	cr_assert_eq(stat(path, &after), 0);
	cr_expect_eq(after.st_ino, before.st_ino, "the same again is not written");
	back.identity++;
	cr_assert_eq(join_state_keep_spare(state_dir, &back, NULL), 0);
	cr_assert_eq(stat(path, &after), 0);
	cr_expect_neq(after.st_ino, before.st_ino);
	cr_assert_eq(file_write_atomic(path, "{", 1, 0600), 0);
	cr_expect_eq(join_state_load_spare(state_dir, &none, NULL), -EBADMSG);
	cr_assert_eq(join_state_remove(state_dir, &err), 0, "%s", err.text);
	cr_expect_not(is_there(JOIN_STATE_SPARE));
}

Test(join_state, credential)
{
	CLEANUP(secret_free) char *token = NULL;
	struct err err = {0};
	struct stat st;
	char path[128];

	cr_assert_eq(join_state_save_token(state_dir, "e30.eyJleHAiOjF9.c2ln", &err), 0, "%s", err.text);
	cr_assert_eq(join_state_load_token(state_dir, &token, &err), 0, "%s", err.text);
	cr_expect_str_eq(token, "e30.eyJleHAiOjF9.c2ln");
	(void)snprintf(path, sizeof(path), "%s/token", state_dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(join_state_save_token(state_dir, "no token", &err), 0);
	secret_free(TAKE_PTR(token));
	cr_expect_eq(join_state_load_token(state_dir, &token, &err), -EBADMSG);
	cr_expect_eq(strstr(err.text, "no token\""), NULL, "the text never shows the credential");
}
