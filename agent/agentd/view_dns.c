/* SPDX-License-Identifier: Apache-2.0 */
/* dns.learned: what DNS names were seen to stand for, and which policies look at them. */
#include "agentd/view.h"

#include <errno.h>

#include "base/clock.h"

struct walk {
	const struct agent *a;
	json_t *list;
	uint64_t now_us;
};

static int add_selector(const char *selector, void *arg)
{
	json_t *list = arg;

	for (size_t i = 0; i < json_array_size(list); i++)
		if (str_eq(json_string_value(json_array_get(list, i)), selector))
			return 0;
	(void)json_array_append_new(list, json_string(selector)); /* out of memory: missing */
	return 0;
}

static int add_name(const char *name, bool is_wanted, const struct learned_address *v, size_t n, void *arg)
{
	struct walk *w = arg;
	json_t *selectors = json_array();

	if (is_wanted)
		(void)policy_fqdn_each(w->a->world->policies, name, add_selector, selectors); /* never stops early */
	for (size_t i = 0; i < n; i++) {
		uint64_t left_us = !v[i].is_zombie && v[i].expires_us > w->now_us ? v[i].expires_us - w->now_us : 0;
		char text[IP_STRLEN];

		(void)json_array_append_new(
			w->list, json_pack("{s:s, s:s, s:I, s:b, s:O}", "name", name, "address", ip_str(&v[i].ip, text),
					   "ttl_s", (json_int_t)((left_us + USEC_PER_SEC - 1) / USEC_PER_SEC), "zombie",
					   v[i].is_zombie, "selectors", selectors)); /* likewise */
	}
	json_decref(selectors);
	return 0;
}

int view_dns_learned(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct walk w = {.a = a, .now_us = clock_boot_us()};

	(void)args;
	if (!a->fqdn)
		return err_set(reterr, ENOTCONN, "the DNS server is not running");
	w.list = json_array();
	(void)learned_each(fqdn_learned(a->fqdn), add_name, &w); /* never stops early */
	*ret = w.list;
	return 0;
}
