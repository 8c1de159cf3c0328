/* SPDX-License-Identifier: Apache-2.0 */
/* mesh-join: makes this machine a member of a cluster. Needs nothing but the token. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/out.h"
#include "cli/preflight.h"
#include "cli/token_read.h"
#include "conf/conf.h"
#include "crypto/secret.h"
#include "join/guard_file.h"
#include "join/join.h"
#include "join/label_check.h"
#include "json/json.h"

static const char UNIT[] = "mesh-external-agent.service";

struct options {
	char *token;
	const char *token_file; /* the token is still in there */
	char *found;		/* the file, where nobody has named one */
	json_t *labels;
	const char *name, *config, *state_dir;
	struct ip address; /* family 0 = any */
	uint64_t confirm_us; /* 0 = without a guard */
	bool is_dry_run, has_start, is_json;
};

static void options_done(struct options *o)
{
	secret_free(o->token);
	free(o->found);
	json_decref(o->labels);
}
DEFINE_CLEANUP_DONE(struct options, options_done)

static const char HELP[] =
	"Usage: mesh-join [OPTION]...\n"
	"Make this machine a member of a Kubernetes cluster with Cilium.\n"
	"\n"
	"  -t, --token TOKEN        what `meshctl host add` printed; works once\n"
	"  -f, --token-file FILE    read the token from FILE; `-` is standard input\n"
	"  -l, --labels K=V,...     the labels you expect; must equal those enrolled\n"
	"  -n, --name NAME          the host name you expect; must equal the one enrolled\n"
	"  -a, --address IP         check that this machine has IP and may use it\n"
	"      --confirm TIME       enforce nothing after TIME (120s, 5m), unless you run\n"
	"                           `meshctl policy confirm`, from a new login\n"
	"      --dry-run            check everything, change nothing\n"
	"      --no-start           do not enable and start the service\n"
	"      --config FILE        configuration file, for the directories in it\n"
	"      --state-dir DIR      state directory (/var/lib/mesh-external-agent)\n"
	"  -o, --output FORMAT      table or json\n"
	"  -h, --help               show this\n"
	"  -V, --version            show the version\n"
	"\n"
	"Without --token and --token-file the token is the credential " TOKEN_CREDENTIAL " of the\n"
	"unit that runs this or, without one, read from standard input, which keeps it out\n"
	"of the process list and the shell's history.\n"
	"\n"
	"Exit status:\n"
	"   0  joined, or joined already with this host's enrolment\n"
	"   1  this machine is not ready; the table says why\n"
	"   2  the command line is wrong, or a file that it names, or the configuration,\n"
	"      cannot be read\n"
	"   3  no API server answers\n"
	"   4  the join token has expired\n"
	"   5  the join token was used already, replaced or revoked\n"
	"   6  the join token is damaged or of another version\n"
	"   7  the server is not the one that the token names\n"
	"   8  labels or name differ from what was enrolled\n"
	"   9  this machine's clock is too far off\n"
	"  10  this machine is joined already, as another host or to another cluster\n"
	"  11  the API server refused a step\n"
	"  12  the state, or the output, cannot be written\n"
	"  13  joined, but the service does not start\n";

/* What comes from the cluster does not control the terminal. */
static int complain(int code, const char *text)
{
	CLEANUP(buf_done) struct buf clean = {0};

	(void)fflush(stdout); /* what both go to has them in order; told() looks at failures */
	(void)out_clean(&clean, text); /* out of memory: it is cut */
	(void)fprintf(stderr, "mesh-join: %s\n", clean.data ? clean.data : ""); /* nobody to tell if stderr fails */
	return code;
}

/* What was printed must have arrived. */
static int told(int code)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? code : complain(JOIN_LOCAL, "the output could not be written");
}

/* Takes the token off the process list as soon as it is copied. */
static int take_token(char *arg, char **ret, struct err *reterr)
{
	secret_free(*ret);
	*ret = strdup(arg);
	if (!*ret)
		return err_set(reterr, ENOMEM, "out of memory");
	secret_wipe(arg, strlen(arg));
	return 0;
}

static int set_format(const char *name, struct options *o, struct err *reterr)
{
	if (!str_eq(name, "json") && !str_eq(name, "table"))
		return err_set(reterr, EINVAL, "--output %.40s: table or json", name);
	o->is_json = str_eq(name, "json");
	return 0;
}

static int take_option(int c, struct options *o, struct err *reterr)
{
	switch (c) {
	case 't':
		o->token_file = NULL;
		return take_token(optarg, &o->token, reterr);
	case 'f':
		o->token_file = optarg;
		return 0;
	case 'l':
		json_decref(o->labels);
		o->labels = NULL;
		return label_parse_list(optarg, &o->labels, reterr);
	case 'a':
		return ip_parse(optarg, &o->address) < 0 ? err_set(reterr, EINVAL, "--address %.80s is no address", optarg) : 0;
	case 'o':
		return set_format(optarg, o, reterr);
	case 'C':
		return guard_parse_timeout(optarg, &o->confirm_us, reterr);
	case 'n':
		o->name = optarg;
		return 0;
	case 'd':
		o->is_dry_run = true;
		return 0;
	case 's':
		o->has_start = false;
		return 0;
	case 'c':
		o->config = optarg;
		return 0;
	default:
		o->state_dir = optarg;
		return 0;
	}
}

/* Returns -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{"token", required_argument, NULL, 't'},   {"token-file", required_argument, NULL, 'f'},
		{"labels", required_argument, NULL, 'l'},  {"name", required_argument, NULL, 'n'},
		{"address", required_argument, NULL, 'a'}, {"confirm", required_argument, NULL, 'C'}, {"dry-run", no_argument, NULL, 'd'},
		{"no-start", no_argument, NULL, 's'},	   {"config", required_argument, NULL, 'c'},
		{"state-dir", required_argument, NULL, 'S'}, {"output", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},	   {"version", no_argument, NULL, 'V'},
		{0},
	};
	struct err err = {0};
	int c;

	while ((c = getopt_long(argc, argv, "t:f:l:n:a:o:hV", options, NULL)) != -1) {
		if (c == 'h')
			return told(fputs(HELP, stdout) < 0 ? JOIN_LOCAL : 0);
		if (c == 'V')
			return told(puts("mesh-join " PACKAGE_VERSION_TEXT) < 0 ? JOIN_LOCAL : 0);
		if (c == '?')
			return complain(JOIN_USAGE, "see mesh-join --help");
		if (take_option(c, o, &err) < 0)
			return complain(JOIN_USAGE, err.text);
	}
	if (optind < argc)
		return complain(JOIN_USAGE, "there are too many arguments; see mesh-join --help");
	if (o->token || o->token_file)
		return -1;
	if (token_find(&o->found, &err) < 0)
		return complain(JOIN_LOCAL, err.text);
	o->token_file = o->found;
	return -1;
}

/* Before the token is touched: whoever cannot write here could not keep what it gives. */
static enum join_exit check_writable(const struct options *o, const char *dir, struct err *reterr)
{
	CLEANUP(free) char *at = strdup(dir);
	char *slash;

	if (!at) {
		(void)err_set(reterr, ENOMEM, "out of memory");
		return JOIN_LOCAL;
	}
	while (faccessat(AT_FDCWD, *at ? at : "/", W_OK | X_OK, AT_EACCESS) < 0) {
		slash = errno == ENOENT ? strrchr(at, '/') : NULL;
		if (!slash) {
			(void)err_set(reterr, errno, "%s: %s%s", dir, err_name(errno),
				      geteuid() == 0 ? "" : "; run it as root (sudo mesh-join)");
			return JOIN_LOCAL;
		}
		*slash = '\0';
	}
	if (geteuid() == 0 || !o->has_start)
		return JOIN_OK;
	(void)err_set(reterr, EPERM, "only root can start the service: run it as root (sudo mesh-join), or give --no-start");
	return JOIN_LOCAL;
}

/* For people; a text of the cluster is a text. */
static void print_row(const json_t *row)
{
	CLEANUP(buf_done) struct buf detail = {0};

	(void)out_clean(&detail, json_str(row, "detail", "")); /* out of memory: it is cut */
	(void)printf("%-8s %-20s %s\n", json_str(row, "state", ""), json_str(row, "check", ""), detail.data ? detail.data : "");
}

static void print_rows(const struct options *o, const json_t *rows)
{
	const json_t *v;
	size_t i;

	if (o->is_json)
		return;
	json_array_foreach((json_t *)rows, i, v)
		print_row(v);
}

/* The outcome: with -o json one object on the standard output, whatever it is. `t` and `rows` may be NULL. */
static int print_end(const struct options *o, const struct join_token *t, json_t *rows, const char *text, int code)
{
	CLEANUP(buf_done) struct buf clean = {0};
	CLEANUP(json_decref) json_t *all = NULL;
	CLEANUP(free) char *out = NULL;

	if (!o->is_json && code != JOIN_OK)
		return complain(code, text);
	if (out_clean(&clean, text) < 0)
		return complain(JOIN_LOCAL, "out of memory");
	if (!o->is_json)
		return told(puts(clean.data ? clean.data : "") < 0 ? JOIN_LOCAL : JOIN_OK);
	all = json_pack("{s:i, s:o, s:s?, s:s?, s:O?}", "exit", code, "text", out_text(clean.data ? clean.data : ""), "host",
			t ? t->host : NULL, "namespace", t ? t->namespace : NULL, "checks", rows);
	out = all ? json_text(all) : NULL;
	return told(out && puts(out) >= 0 ? code : JOIN_LOCAL);
}

static int print_unreachable(const struct options *o, const struct join_token *t, json_t *rows, const char *text)
{
	CLEANUP(free) char *all = str_printf("%s; the token names this server: a route or a firewall may be in the way, and "
					     "`meshctl host add %s --server URL` makes a token with another address", text, t->host);

	return print_end(o, t, rows, all ? all : text, JOIN_UNREACHABLE);
}

/* Runs systemctl without a shell. 0 if it succeeded. */
static int systemctl(const char *verb, const char *option)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)execlp("systemctl", "systemctl", verb, UNIT, option, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int start_service(const struct options *o, const struct join_token *t, json_t *rows)
{
	CLEANUP(free) char *text = str_printf("Joined cluster %s as %s/%s.%s%s", t->cluster, t->namespace, t->host,
					      o->has_start ? " See: meshctl status" : "",
					      o->confirm_us ? " Now log in anew and run: meshctl policy confirm" : "");

	if (!text)
		return complain(JOIN_LOCAL, "out of memory");
	if (o->has_start) {
		if (access("/run/systemd/system", F_OK) < 0)
			return print_end(o, t, rows, "joined, but this machine does not run systemd: start mesh-agentd yourself, or give --no-start",
					 JOIN_SERVICE);
		if (systemctl("enable", "--quiet") < 0 || systemctl("restart", NULL) < 0)
			return print_end(o, t, rows, "joined, but the service does not start: see journalctl -u mesh-external-agent", JOIN_SERVICE);
	}
	return print_end(o, t, rows, text, JOIN_OK);
}

static bool is_dead(enum join_exit code)
{
	return code == JOIN_USED || code == JOIN_EXPIRED;
}

/* The daemon's first policy is the change that has to be confirmed. Off without --confirm. */
static int make_guard(const struct options *o, struct guard *ret, struct err *reterr)
{
	int r = o->confirm_us ? guard_arm_open(ret, o->confirm_us) : 0;

	return r < 0 ? err_set(reterr, -r, "%s", err_name(r)) : 0;
}

static int arm_guard(const struct options *o, const char *dir, struct err *reterr)
{
	CLEANUP(guard_done) struct guard guard = {0};
	int r = make_guard(o, &guard, reterr);

	return r < 0 ? r : guard_file_save(dir, &guard, reterr);
}

/*
 * A dead token is what a second run has, and one whose first run was interrupted after the token had died: the
 * credential that it stored decides. `code` and `text` say why the token is not accepted.
 */
static int resume(const struct options *o, const struct join_token *t, const char *dir, enum join_progress progress, int code,
		  const char *text)
{
	struct err err = {0};
	enum join_exit resumed;

	/* before the state is complete: a run that ends in between leaves what this one has found */
	if (!o->is_dry_run && progress != JOIN_COMPLETE && o->confirm_us && arm_guard(o, dir, &err) < 0)
		return print_end(o, t, NULL, err.text, JOIN_LOCAL);
	resumed = join_resume(dir, o->is_dry_run, &err);
	if (resumed == JOIN_USED)
		return print_end(o, t, NULL, text, code);
	if (resumed != JOIN_OK)
		return print_end(o, t, NULL, err.text, resumed);
	if (!o->is_dry_run)
		return start_service(o, t, NULL);
	return print_end(o, t, NULL,
			 progress == JOIN_COMPLETE ? "This machine has joined already." :
						     "An earlier run was interrupted; without --dry-run it would be completed.",
			 JOIN_OK);
}

/* A user without the right to read the state can still see whether the machine is fit. */
static enum join_exit look_at_state(const struct options *o, const struct join_token *t, const char *dir, enum join_progress *ret,
				    bool *ret_is_hidden, struct err *reterr)
{
	enum join_exit code = o->is_dry_run ? JOIN_OK : check_writable(o, dir, reterr);

	*ret_is_hidden = false;
	if (code != JOIN_OK)
		return code;
	code = join_check_state(dir, t, ret, reterr);
	if (code != JOIN_LOCAL || !o->is_dry_run || geteuid() == 0)
		return code;
	*ret_is_hidden = true;
	return JOIN_OK;
}

static int run(const struct options *o, const struct join_token *t, const struct conf *conf)
{
	const char *dir = o->state_dir ? o->state_dir : conf->state_dir;
	CLEANUP(join_session_done) struct join_session session = {0};
	CLEANUP(json_decref) json_t *rows = NULL;
	CLEANUP(guard_done) struct guard guard = {0};
	enum preflight_state worst;
	struct err err = {0};
	struct preflight preflight = {.token = t, .conf = conf, .address = o->address.family ? &o->address : NULL};
	enum join_progress progress = JOIN_NONE;
	bool is_hidden = false;
	enum join_exit code = join_check_wanted(t, o->labels, o->name, &err), connected = JOIN_OK;

	if (code == JOIN_OK)
		code = look_at_state(o, t, dir, &progress, &is_hidden, &err);
	if (code != JOIN_OK)
		return print_end(o, t, NULL, err.text, code);
	connected = join_connect(t, &session, &err);
	/* A live token brings what was changed since. */
	if (progress != JOIN_NONE && is_dead(connected))
		return resume(o, t, dir, progress, connected, err.text);
	preflight.session = connected == JOIN_OK ? &session : NULL;
	rows = preflight_run(&preflight, &worst);
	if (!rows || (is_hidden && preflight_add(rows, "earlier join", PREFLIGHT_WARN,
						 "not checked: only root can read %s (sudo mesh-join --dry-run)", dir) < 0))
		return complain(JOIN_LOCAL, "out of memory");
	if (connected != JOIN_OK && preflight_add(rows, "API server", PREFLIGHT_FAIL, "%s", err.text) < 0)
		return complain(JOIN_LOCAL, "out of memory");
	print_rows(o, rows);
	if (connected == JOIN_UNREACHABLE)
		return print_unreachable(o, t, rows, err.text);
	if (connected != JOIN_OK)
		return print_end(o, t, rows, err.text, connected);
	if (worst == PREFLIGHT_FAIL)
		return print_end(o, t, rows, "this machine is not ready; nothing was changed and the token is still good", JOIN_PREFLIGHT);
	if (o->is_dry_run)
		return print_end(o, t, rows, "This machine could join (dry run); nothing was changed and the token is still good.", JOIN_OK);
	if (make_guard(o, &guard, &err) < 0)
		return print_end(o, t, rows, err.text, JOIN_LOCAL);
	code = join_finish(&session, t, dir, &guard, &err);
	if (progress != JOIN_NONE && is_dead(code)) /* servers remember tokens for some seconds */
		return resume(o, t, dir, progress, code, err.text);
	return code == JOIN_OK ? start_service(o, t, rows) : print_end(o, t, rows, err.text, code);
}

int main(int argc, char **argv)
{
	CLEANUP(options_done) struct options o = {.has_start = true};
	CLEANUP(join_token_done) struct join_token token = {0};
	CLEANUP(conf_free) struct conf *conf = NULL;
	struct err err = {0};
	int r = parse_options(argc, argv, &o);

	if (r >= 0)
		return r;
	if ((o.token_file && token_read(o.token_file, &o.token, &err) < 0) || conf_load_or_default(o.config, &conf, &err) < 0)
		return print_end(&o, NULL, NULL, err.text, JOIN_USAGE);
	if (join_token_parse(o.token, &token, &err) < 0)
		return print_end(&o, NULL, NULL, err.text, JOIN_DAMAGED);
	return run(&o, &token, conf);
}
