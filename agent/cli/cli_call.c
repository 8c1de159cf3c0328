/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_call.h"
#include "conf/conf.h"
#include "json/json.h"

#define UNIT "mesh-external-agent"

int cli_socket_path(const struct cli *cli, char **ret, struct err *reterr)
{
	CLEANUP(conf_free) struct conf *conf = NULL;
	int r = 0;

	if (!cli->socket) {
		r = conf_load(cli->config ? cli->config : CONF_DEFAULT_PATH, &conf, reterr);
		/* What nobody named may be unreadable for us, or be edited just now: that leaves the default. */
		if (r < 0 && !cli->config)
			r = conf_parse("", 0, "defaults", &conf, reterr);
	}
	if (r < 0)
		return r == -EACCES ? CLI_DENIED : r == -ENOMEM ? CLI_FAILED : CLI_NEGATIVE;
	*ret = strdup(cli->socket ? cli->socket : conf->control_socket);
	if (*ret)
		return CLI_OK;
	(void)err_set(reterr, ENOMEM, "out of memory"); /* only formats */
	return CLI_FAILED;
}

int cli_connect(const struct cli *cli, struct ctl_client **ret, struct err *reterr)
{
	CLEANUP(free) char *path = NULL;
	int r = cli_socket_path(cli, &path, reterr);

	if (r != CLI_OK)
		return r;
	r = ctl_client_new(path, cli->timeout_us, ret, reterr);
	if (r >= 0)
		return CLI_OK;
	if (r == -EACCES || r == -EPERM) {
		(void)err_set(reterr, EACCES,
			      "%s: not for this user; run it as root, or as a member of the control-group "
			      "that the configuration names", path);
		return CLI_DENIED;
	}
	(void)err_set(reterr, -r, "the daemon does not answer at %s (%s); see: systemctl status " UNIT, path,
		      err_name(r));
	return CLI_UNREACHABLE;
}

int cli_refused(int r, const char *verb, struct err *reterr)
{
	char text[sizeof(reterr->text)];

	memcpy(text, reterr->text, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	if (r == -ENOMEM && !text[0])
		(void)snprintf(text, sizeof(text), "out of memory"); /* fits */
	switch (-r) {
	case EPERM:
		(void)err_set(reterr, EPERM, "%s: refused: %.300s", verb, text);
		return CLI_DENIED;
	case ENOENT:
		(void)err_set(reterr, ENOENT, "%.400s", text);
		return CLI_NEGATIVE;
	case ENOTCONN:
		(void)err_set(reterr, ENOTCONN,
			      "%s: this host has not joined a cluster; run the mesh-join line that "
			      "`meshctl host add` prints", verb);
		return CLI_NEGATIVE;
	case EBUSY:
		(void)err_set(reterr, EBUSY, "%s: %.300s; try again", verb, text);
		return CLI_FAILED;
	case ETIMEDOUT:
	case EPIPE:
	case EPROTO:
		(void)err_set(reterr, -r, "%s: %.300s; see: journalctl -u " UNIT, verb, text);
		return CLI_UNREACHABLE;
	}
	(void)err_set(reterr, -r, "%s: %.400s", verb, text);
	return CLI_FAILED;
}

int cli_ask(const struct cli *cli, const char *verb, json_t *args, json_t **ret_data, struct err *reterr)
{
	CLEANUP(ctl_client_free) struct ctl_client *client = NULL;
	CLEANUP(json_decref) json_t *owned = args;
	int r = cli_connect(cli, &client, reterr);

	if (r != CLI_OK)
		return r;
	reterr->text[0] = '\0';
	r = ctl_client_call(client, verb, owned, ret_data, reterr);
	return r < 0 ? cli_refused(r, verb, reterr) : CLI_OK;
}

int cli_call(const struct cli *cli, const char *verb, json_t *args, json_t **ret_data)
{
	struct err err = {0};
	int code = cli_ask(cli, verb, args, ret_data, &err);

	return code == CLI_OK ? CLI_OK : cli_error(cli, (enum cli_exit)code, "%s", err.text);
}
