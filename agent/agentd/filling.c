/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/filling.h"

#include <stdio.h>

#include "base/err.h"
#include "base/macro.h"
#include "bpf/bpf_map.h"

enum { NEARLY_PERCENT = 80 };

/* Others let the least recently used go, or have a place for each of what there can be. */
static const enum bpfobj_map maps[] = {
	BPFOBJ_IPCACHE4,    BPFOBJ_IPCACHE6,	 BPFOBJ_CIDR4, BPFOBJ_CIDR6,	BPFOBJ_CLASS, BPFOBJ_POLICY_ROW,
	BPFOBJ_POLICY_PORT, BPFOBJ_POLICY_RANGE, BPFOBJ_SVC,   BPFOBJ_SVC_SLOT,
};

static void tell(const struct filling *f, const struct bpfobj *o, struct health *health)
{
	char text[sizeof(((struct err *)NULL)->text)] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(maps) && len < sizeof(text); i++)
		if (f->entries[maps[i]])
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s has %u of %u entries", len ? "; " : "",
						bpfobj_map_name(maps[i]), f->entries[maps[i]], bpfmap_max_entries(o, maps[i]));
	if (text[0])
		health_raise(health, HEALTH_WARNING, "datapath.filling", text,
			     "raise the sizes under datapath in the configuration before the next boot");
	else
		health_clear(health, "datapath.filling");
}

void filling_look(struct filling *f, const struct bpfobj *o, uint64_t applied, struct health *health)
{
	enum bpfobj_map map = maps[f->next++ % ARRAY_LEN(maps)];
	size_t n;

	if (f->looked[map] == applied || bpfmap_count(o, map, &n) < 0)
		return; /* the next look is at another one */
	f->looked[map] = applied;
	f->entries[map] = n * 100 >= (uint64_t)bpfmap_max_entries(o, map) * NEARLY_PERCENT ? (uint32_t)n : 0;
	tell(f, o, health);
}
