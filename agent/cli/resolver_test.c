/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/resolver_test.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/rng.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

/* A name that is new, so that no cache has it; of so many labels that multicast DNS lets it pass. */
static char *make_name(const char *zone)
{
	uint64_t number;

	rng_bytes(&number, sizeof(number));
	return str_printf("mesh-test-%016" PRIx64 ".default.svc.%s", number, zone);
}

/* As programs do it. That there is no such name is what is to come out. */
static const char *look_up(const char *name)
{
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM};
	CLEANUP(free) char *full = str_printf("%s.", name); /* no search list */
	struct addrinfo *found = NULL;
	int r;

	(void)setenv("RES_OPTIONS", "timeout:2 attempts:1", 1); /* without, it only takes longer where nobody answers */
	r = full ? getaddrinfo(full, NULL, &hints, &found) : EAI_MEMORY;
	if (found)
		freeaddrinfo(found);
	return r == 0 ? "somebody knows it" : r == EAI_NONAME ? "there is no such name" : gai_strerror(r);
}

static json_t *tell(const char *name, const json_t *asked, const char *answer, uint64_t took_us)
{
	const char *client = json_str(asked, "client", NULL);
	bool is_ok = json_is_true(json_at(asked, "asked"));
	char text[256];

	if (is_ok)
		(void)snprintf(text, sizeof(text), "a name of the cluster, looked up as programs do, came to the agent (from %.45s)",
			       client ? client : "?"); /* fits */
	else
		(void)snprintf(text, sizeof(text), "a name of the cluster, looked up as programs do, did not come to the agent: %.100s",
			       answer); /* fits */
	return json_pack("{s:s, s:s, s:s*, s:I, s:s}", "name", name, "state", is_ok ? "ok" : "failed", "client", is_ok ? client : NULL, "time_us",
			 (json_int_t)took_us, "text", text);
}

int resolver_test(const struct cli *cli, const char *zone, json_t **ret)
{
	CLEANUP(free) char *name = make_name(zone);
	CLEANUP(json_decref) json_t *asked = NULL;
	uint64_t began = clock_boot_us(), took;
	const char *answer;

	if (!name)
		return -ENOMEM;
	answer = look_up(name);
	took = clock_boot_us() - began;
	if (cli_call(cli, CTL_VERB_DNS_ASKED, json_pack("{s:s}", "name", name), &asked) != CLI_OK)
		return -EIO;
	*ret = tell(name, asked, answer, took);
	return *ret ? 0 : -ENOMEM;
}
