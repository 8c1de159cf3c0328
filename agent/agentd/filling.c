/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/filling.h"

#include <stdio.h>

#include "base/err.h"
#include "base/macro.h"
#include "bpf/bpf_map.h"

enum { NEARLY_PERCENT = 80 };

/* Others let the least recently used go, or have a place for each of what there can be. */
static const struct {
	enum bpfobj_map map;
	const char *size; /* in the configuration; NULL = none, it has room for what one host should have to do with */
} maps[] = {
	{BPFOBJ_IPCACHE4, "datapath.ipcache-max-entries"},   {BPFOBJ_IPCACHE6, "datapath.ipcache-max-entries"},
	{BPFOBJ_CIDR4, NULL},				     {BPFOBJ_CIDR6, NULL},
	{BPFOBJ_CLASS, NULL},				     {BPFOBJ_POLICY_ROW, "datapath.policy-max-entries"},
	{BPFOBJ_POLICY_PORT, "datapath.policy-max-entries"}, {BPFOBJ_POLICY_RANGE, "datapath.policy-max-entries"},
	{BPFOBJ_SVC, "datapath.service-max-entries"},	     {BPFOBJ_SVC_SLOT, "datapath.backend-max-entries"},
};

static void tell(const struct filling *f, const struct bpfobj *o, struct health *health)
{
	char text[sizeof(((struct err *)NULL)->text)] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(maps) && len < sizeof(text); i++) {
		enum bpfobj_map map = maps[i].map;

		if (!f->entries[map])
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s has %u of %u entries", len ? "; " : "",
					bpfobj_map_name(map), f->entries[map], bpfmap_max_entries(o, map));
		if (maps[i].size && len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, " (%s)", maps[i].size);
	}
	if (text[0])
		health_raise(health, HEALTH_WARNING, "datapath.filling", text,
			     "raise the sizes in brackets in the configuration before the next boot, and where there are none, name fewer prefixes in policies");
	else
		health_clear(health, "datapath.filling");
}

void filling_look(struct filling *f, const struct bpfobj *o, uint64_t applied, struct health *health)
{
	enum bpfobj_map map = maps[f->next++ % ARRAY_LEN(maps)].map;
	size_t n;

	if (f->looked[map] == applied || bpfmap_count(o, map, &n) < 0)
		return; /* the next look is at another one */
	f->looked[map] = applied;
	f->entries[map] = n * 100 >= (uint64_t)bpfmap_max_entries(o, map) * NEARLY_PERCENT ? (uint32_t)n : 0;
	tell(f, o, health);
}
