/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "agentd/agent.h"
#include "agentd/last_conf.h"
#include "agentd/privileged.h"
#include "agentd/resolver_wire.h"
#include "agentd/stand_down.h"
#include "base/log.h"

static void usage(FILE *f)
{
	(void)fprintf(f, "Usage: mesh-agentd [OPTION]...\n"
			 "Makes this host a member of the Kubernetes cluster that it joined with mesh-join(8). The unit\n"
			 "mesh-external-agent.service runs it.\n"
			 "\n"
			 "  -c, --config FILE      configuration file\n"
			 "  -l, --log-level LEVEL  error, warning, info or debug, whatever the configuration says\n"
			 "      --stand-down       take all that is in the kernel down, and exit; keeps the enrolment\n"
			 "      --wire-resolver    make the host's resolver ask the daemon, if it wants that, and exit\n"
			 "      --unwire-resolver  take that back, and exit\n"
			 "  -h, --help             show this\n"
			 "  -V, --version          show the version\n"
			 "\n"
			 "See mesh-agentd(8).\n");
}

/* What was asked for is on the standard output, or not. */
static int told(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	(void)fprintf(stderr, "mesh-agentd: the output could not be written\n");
	return 1;
}

/* `*ret_wrong`: why the file could not be used, and an older one is; empty otherwise. */
static int load(const char *path, struct conf **ret, struct err *ret_wrong, struct err *reterr)
{
	int r = conf_load_or_default(path, ret, reterr);

	if (r == 0 || r == -ENOMEM || last_conf_load(ret, ret_wrong) < 0) {
		*ret_wrong = (struct err){0};
		return r;
	}
	*ret_wrong = *reterr;
	return 0;
}

/* What takes something back goes by the file that it was made by, even if the one of now is no good. */
static int load_for_task(const char *path, int task, struct conf **ret, struct err *reterr)
{
	int r = conf_load_or_default(path, ret, reterr);

	if (r == 0 || r == -ENOMEM || task == 'w')
		return r;
	(void)fprintf(stderr, "mesh-agentd: %s; going by the configuration of before, or the defaults\n", reterr->text);
	return last_conf_load_any(ret);
}

static int do_task(const struct conf *conf, int task, struct err *reterr)
{
	int r, e;

	if (task == 's')
		return stand_down(conf, reterr);
	r = resolver_wire(conf, task == 'u', reterr);
	e = task == 'u' ? stand_down_dns(conf, r < 0 ? NULL : reterr) : 0;
	return r < 0 ? r : e;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"log-level", required_argument, NULL, 'l'},
						{"stand-down", no_argument, NULL, 's'},
						{"wire-resolver", no_argument, NULL, 'w'},
						{"unwire-resolver", no_argument, NULL, 'u'},
						{"version", no_argument, NULL, 'V'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	const char *path = NULL;
	CLEANUP(agent_free) struct agent *agent = NULL;
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct conf *conf;
	struct err err = {0}, wrong = {0};
	int level = -1, task = 0, c, r;

	while ((c = getopt_long(argc, argv, "c:l:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'l':
			if (log_level_parse(optarg, &level) < 0) {
				(void)fprintf(stderr, "mesh-agentd: log level \"%s\": want error, warning, info or debug\n",
					      optarg);
				return 2;
			}
			break;
		case 's':
		case 'w':
		case 'u':
			task = c;
			break;
		case 'V':
			(void)printf("mesh-agentd %s\n", PACKAGE_VERSION_TEXT);
			return told();
		case 'h':
			usage(stdout);
			return told();
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}
	(void)sigaction(SIGPIPE, &ignore, NULL); /* splice() to a closed connection would end the daemon */
	r = task ? load_for_task(path, task, &conf, &err) : load(path, &conf, &wrong, &err);
	if (r == 0) {
		log_set_level(level >= 0 ? level : conf->log_level);
		if (task) {
			r = do_task(conf, task, &err);
			conf_free(conf);
		} else {
			r = privileged_start(conf, argv, &err);
			if (r == 0)
				r = agent_new(TAKE_PTR(conf), path, &wrong, &agent, &err);
			conf_free(conf);
		}
	}
	if (r < 0) {
		(void)fprintf(stderr, "mesh-agentd: %s\n", err.text[0] ? err.text : err_name(r));
		return 1;
	}
	return task ? 0 : agent_run(agent);
}
