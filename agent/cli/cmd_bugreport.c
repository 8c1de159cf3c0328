/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "cli/out.h"
#include "cli/redact.h"
#include "cli/tar.h"
#include "conf/conf.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

enum { OUTPUT_MAX = 8 * 1024 * 1024 };

extern char **environ;

struct report {
	FILE *tar;
	struct buf errors; /* what could not be collected, and why */
	size_t n_redacted;
	bool is_alone; /* the daemon does not answer, which is said once */
};

/* Adds a file without credentials. `text` is changed. */
static int add(struct report *rep, const char *name, struct buf *text)
{
	char path[80];

	if (text->len)
		rep->n_redacted += redact(text->data, text->len);
	(void)snprintf(path, sizeof(path), "mesh-bugreport/%.60s", name); /* our own short names */
	return tar_add(rep->tar, path, text->len ? text->data : "", text->len);
}

static int failed(struct report *rep, const char *what, const char *why)
{
	int r = out_clean(&rep->errors, what);

	if (r >= 0)
		r = buf_addf(&rep->errors, ": ");
	if (r >= 0)
		r = out_clean(&rep->errors, why);
	return r < 0 ? r : buf_addf(&rep->errors, "\n");
}

static int add_verb(struct report *rep, const struct cli *cli, const char *verb, const json_t *args)
{
	CLEANUP(json_decref) json_t *data = NULL;
	CLEANUP(buf_done) struct buf text = {.max = LIMIT_CTL_RESPONSE};
	CLEANUP(free) char *dump = NULL;
	struct err err = {0};
	char name[64];
	int r;

	if (rep->is_alone)
		return 0;
	r = cli_ask(cli, verb, args ? json_clone(args) : NULL, &data, &err);
	rep->is_alone = r == CLI_UNREACHABLE || r == CLI_DENIED;
	if (r != CLI_OK)
		return failed(rep, rep->is_alone ? "all that the daemon would tell" : verb, err.text);
	dump = json_dumps(data, JSON_INDENT(1) | JSON_ENCODE_ANY);
	if (!dump)
		return -ENOMEM;
	r = buf_add(&text, dump, strlen(dump));
	if (r < 0)
		return failed(rep, verb, err_name(r));
	(void)snprintf(name, sizeof(name), "%s.json", verb); /* our own short names */
	return add(rep, name, &text);
}

static int add_file(struct report *rep, const char *name, const char *path)
{
	CLEANUP(buf_done) struct buf text = {.max = LIMIT_CONFIG_BYTES};
	int r = file_read(path, LIMIT_CONFIG_BYTES, &text);

	if (r >= 0 && text.len)
		rep->n_redacted += redact_arguments(text.data, text.len); /* there are some in one of the files */
	return r < 0 ? failed(rep, path, err_name(r)) : add(rep, name, &text);
}

/* Keeps the last OUTPUT_MAX bytes at most; reads on, so that the program can end. */
static int read_all(int fd, struct buf *text)
{
	char chunk[64 * 1024];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (text->len + (size_t)n > OUTPUT_MAX)
			buf_consume(text, text->len / 2);
		if (buf_add(text, chunk, (size_t)n) < 0)
			return -ENOMEM;
	}
}

/* Adds what a program of the system prints; one that is missing is no failure. */
static int add_program(struct report *rep, const char *name, const char *const *argv)
{
	CLEANUP(buf_done) struct buf text = {.max = OUTPUT_MAX};
	CLEANUP(close_fd) int in = -1, out = -1;
	posix_spawn_file_actions_t actions;
	int fds[2], r, status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return failed(rep, name, err_name(errno));
	in = fds[0];
	out = fds[1];
	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	if (!r)
		r = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions); /* frees memory only */
	if (r)
		return failed(rep, argv[0], err_name(r));
	close_fd(TAKE_FD(out));
	r = read_all(in, &text);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? failed(rep, name, err_name(r)) : add(rep, name, &text);
}

static int add_versions(struct report *rep)
{
	CLEANUP(buf_done) struct buf text = {0};
	struct utsname u;
	char now[28];
	int r;

	clock_rfc3339_micro(clock_wall_us(), now);
	r = buf_addf(&text, "meshctl %s\ntime %s\n", PACKAGE_VERSION_TEXT, now);
	if (r >= 0 && uname(&u) == 0)
		r = buf_addf(&text, "%s %s %s %s %s\n", u.sysname, u.nodename, u.release, u.version, u.machine);
	return r < 0 ? r : add(rep, "versions.txt", &text);
}

static int collect(struct report *rep, const struct cli *cli)
{
	static const char *const verbs[] = {
		CTL_VERB_STATUS,       CTL_VERB_IDENTITY_LIST, CTL_VERB_NODE_LIST, CTL_VERB_POLICY_LIST,
		CTL_VERB_SERVICE_LIST, CTL_VERB_IPCACHE_LIST,  CTL_VERB_MAP_LIST,  CTL_VERB_DNS_STATUS,
		CTL_VERB_DNS_LEARNED,  CTL_VERB_POLICY_SHADOW, CTL_VERB_POLICY_GUARD,
		CTL_VERB_FORWARD_LIST, CTL_VERB_MIGRATE_STATUS,
	};
	static const struct {
		const char *name, *argv[8];
	} programs[] = {
		{"journal.txt", {"journalctl", "--unit=mesh-external-agent", "--unit=mesh-external-agent-resolver", "--lines=2000",
				 "--no-pager", "--output=short-iso-precise"}},
		{"addresses.txt", {"ip", "-details", "address"}},
		{"routes.txt", {"ip", "route", "show", "table", "all"}},
		{"rules.txt", {"ip", "rule"}},
		{"unit.txt", {"systemctl", "show", "--no-pager", "mesh-external-agent"}}, /* unlike status without the processes' arguments */
	};
	CLEANUP(json_decref) json_t *all = json_pack("{s:b}", "all", 1);
	int r = add_versions(rep);

	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(verbs); i++)
		r = add_verb(rep, cli, verbs[i], NULL);
	if (r >= 0)
		r = add_verb(rep, cli, CTL_VERB_ENDPOINT_LIST, all);
	if (r >= 0)
		r = add_file(rep, "mesh-external-agent.conf", cli->config ? cli->config : CONF_DEFAULT_PATH);
	if (r >= 0)
		r = add_file(rep, "os-release.txt", "/etc/os-release");
	if (r >= 0)
		r = add_file(rep, "resolv.conf", "/etc/resolv.conf");
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(programs); i++)
		r = add_program(rep, programs[i].name, programs[i].argv);
	if (r >= 0 && rep->errors.len)
		r = add(rep, "missing.txt", &rep->errors);
	return r < 0 ? r : tar_end(rep->tar);
}

static int open_tar(const struct cli *cli, const char *file, FILE **ret)
{
	int fd;

	if (str_eq(file, "-")) {
		if (isatty(fileno(cli->out)))
			return cli_complain(CLI_USAGE, "bugreport: an archive is nothing for a terminal");
		*ret = cli->out;
		return CLI_OK;
	}
	/* In a directory of others a link must not lead us elsewhere. */
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return cli_error(cli, errno == EACCES ? CLI_DENIED : CLI_FAILED, "%s: %s", file, err_name(errno));
	*ret = fdopen(fd, "w");
	if (!*ret) {
		close_fd(fd);
		return cli_error(cli, CLI_FAILED, "out of memory");
	}
	return CLI_OK;
}

/* Half an archive helps nobody, and would be in the way of the next one. Takes `f`. */
static int discard(const struct cli *cli, FILE *f, const char *file, int r)
{
	(void)fclose(f); /* it is lost already */
	if (unlink(file) < 0)
		return cli_error(cli, CLI_FAILED, "%s: %s; what is there is not whole", file, err_name(r));
	return cli_error(cli, CLI_FAILED, "%s: %s", file, err_name(r));
}

/* What became of it: the file's name, for people or as an object, and on stderr what is not as they may think. */
static int tell(const struct cli *cli, const struct report *rep, const char *file)
{
	CLEANUP(json_decref) json_t *o = json_pack("{s:s, s:b, s:I}", "file", file, "whole", rep->errors.len == 0, "redacted",
						   (json_int_t)rep->n_redacted);

	if (rep->errors.len)
		(void)fprintf(stderr, "meshctl: some of it could not be collected; see missing.txt inside:\n%s",
			      rep->errors.data);
	if (rep->n_redacted)
		(void)fprintf(stderr, "meshctl: %zu texts that looked like credentials were blotted out\n",
			      rep->n_redacted);
	if (rep->tar == cli->out)
		return CLI_OK;
	if (cli->format == CLI_JSON)
		return out_result(cli, o ? out_json(cli, o) : -ENOMEM);
	(void)fprintf(cli->out, "%s\n", file); /* cmd_main() looks at the stream at the end */
	return CLI_OK;
}

static int bugreport(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(buf_done) struct buf name = {0};
	CLEANUP(close_file) FILE *owned = NULL;
	struct report rep = {0};
	const char *file = cmd_opt(args, "file");
	int r, code;

	if (!file) {
		if (buf_addf(&name, "mesh-bugreport-%" PRId64 ".tar", clock_wall_s()) < 0)
			return out_result(cli, -ENOMEM);
		file = name.data;
	}
	r = open_tar(cli, file, &rep.tar);
	if (r != CLI_OK)
		return r;
	if (rep.tar != cli->out)
		owned = rep.tar;
	r = collect(&rep, cli);
	if (r >= 0)
		code = tell(cli, &rep, file);
	else if (owned)
		code = discard(cli, TAKE_PTR(owned), file, r);
	else
		code = cli_complain(CLI_FAILED, "bugreport: %s", err_name(r));
	buf_done(&rep.errors);
	return code;
}

static const struct cmd_opt opts[] = {
	{"file", 'f', "FILE", "where to write it; - for the output (a new file here)", false},
	{NULL, 0, NULL, NULL, false},
};

const struct cmd cmd_bugreport_table[] = {
	{"bugreport", NULL, NULL, 0, 0, "Collect what explains a fault into one archive, without secrets", opts,
	 bugreport},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
