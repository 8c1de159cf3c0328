/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

#include <stdlib.h>
#include <systemd/sd-bus.h>

#define SYSTEMD	  "org.freedesktop.systemd1"
#define UNIT_PATH "/org/freedesktop/systemd1/unit/mesh_2dexternal_2dagent_2eservice"

/*
 * What systemd is to do with the unit: "stop", "restart" or the like; to be freed. NULL for nothing, and what cannot be
 * learned.
 */
static char *job_of_unit(void)
{
	sd_bus *bus = NULL;
	sd_bus_message *job = NULL;
	const char *path = NULL;
	char *type = NULL;
	uint32_t id = 0;

	if (sd_bus_open_system(&bus) >= 0 &&
	    sd_bus_get_property(bus, SYSTEMD, UNIT_PATH, SYSTEMD ".Unit", "Job", NULL, &job, "(uo)") >= 0 &&
	    sd_bus_message_read(job, "(uo)", &id, &path) >= 0 && id)
		(void)sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Job", "JobType", NULL, &type); /* the job may be done */
	sd_bus_message_unref(job);
	sd_bus_flush_close_unref(bus);
	return type;
}

/*
 * A restart, after which the host serves as before. Clients that were sent away for that would notice it; those that are
 * not, do not.
 */
static bool is_restart(const char *job)
{
	return job && (str_eq(job, "restart") || str_eq(job, "try-restart"));
}

static int drain(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(free) char *job = cmd_opt(args, "unless-restart") ? job_of_unit() : NULL;
	CLEANUP(json_decref) json_t *data = NULL;
	struct cli patient = *cli;
	json_int_t n_left;
	int code;

	if (is_restart(job))
		return CLI_OK;
	patient.timeout_us = MAX(patient.timeout_us, CTL_DRAIN_S * USEC_PER_SEC); /* the daemon knows how long it may take */
	code = cli_call(&patient, CTL_VERB_DRAIN, json_pack("{s:b}", "last", job && str_eq(job, "stop")), &data);
	if (code != CLI_OK)
		return code;
	code = cli->format == CLI_JSON ? out_result(cli, out_json(cli, data)) : CLI_OK;
	n_left = json_int(data, "slices_left", 0);
	if (code == CLI_OK && n_left)
		return cli_complain(CLI_FAILED, "drain: %d EndpointSlices of this host are left in the API: clients still try it",
				 (int)n_left);
	if (cli->format != CLI_JSON)
		(void)fprintf(cli->out, "this host stands behind no Service\n"); /* cmd_main() looks at the stream at the end */
	return code;
}

static const struct cmd_opt opts[] = {
	{"unless-restart", 0, NULL, "do nothing if systemd is restarting the daemon", false},
	{NULL, 0, NULL, NULL, false},
};

const struct cmd cmd_drain_table[] = {
	{"drain", NULL, NULL, 0, 0, "Withdraw this host from all Services, before it stops", opts, drain},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
