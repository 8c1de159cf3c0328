/* SPDX-License-Identifier: Apache-2.0 */
/* A map that is nearly full is told of, and no more once it is not. */
#include <string.h>

#include "agentd/filling.h"
#include "bpf/harness.h"

enum { SIZE = 1000, NEARLY = 800, MAPS = 32 /* more than are looked at in turn */ };

static struct harness h;
static struct filling f;
static struct health *health;
static uint64_t applied;

static void put(unsigned i)
{
	char address[16];

	(void)snprintf(address, sizeof(address), "10.1.%u.%u", i / 250, i % 250);
	harness_ip(&h, address, 100, 0, 0);
}

/* Each map in its turn. */
static void look(void)
{
	for (unsigned i = 0; i < MAPS; i++)
		filling_look(&f, h.obj, applied, health);
}

static bool is_told(const char *text)
{
	json_t *list = health_json(health);
	char *all = json_dumps(list, 0);
	bool is = all && strstr(all, text);

	free(all);
	json_decref(list);
	return is;
}

int main(void)
{
	const struct bpfobj_sizes sizes = {.ipcache = SIZE};

	harness_open(&h, &sizes);
	harness_reset(&h);
	CHECK_EQ(health_new(&health), 0);
	for (unsigned i = 0; i < NEARLY - 1; i++)
		put(i);
	applied++;
	look();
	CHECK(!health_has(health, "datapath.filling"));
	put(NEARLY);
	look();
	CHECK(!health_has(health, "datapath.filling")); /* nothing says that something changed */
	applied++;
	look();
	CHECK(health_has(health, "datapath.filling"));
	CHECK_EQ(health_worst(health), HEALTH_WARNING);
	CHECK(is_told("mesh_ipcache4 has 800 of 1000 entries"));
	CHECK(is_told("(datapath.ipcache-max-entries)"));
	CHECK(!is_told(";"));
	CHECK_EQ(bpfmap_clear(h.obj, BPFOBJ_IPCACHE4), 0);
	applied++;
	look();
	CHECK(!health_has(health, "datapath.filling"));
	health_free(health);
	harness_close(&h);
	return harness_done();
}
