/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of this host that stay alive after their workload has moved into the cluster: connections to them go to a
 * Service, and callers are counted, so that one sees who still uses the old address.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"
#include "conf/conf.h"
#include "event/loop.h"

struct forwards;

struct forwards_conf {
	/* Where a new connection goes to. False: there is no backend now. */
	bool (*pick)(const struct conf_forward *f, struct ip *ret_ip, uint16_t *ret_port, void *arg);
	void *arg;
};

/*
 * Begins to listen. A port that is taken, as by the workload that is still there, is tried again every few seconds.
 * `conf` is borrowed and outlives the object. 0, -ENOMEM or errno of a timer.
 */
int forwards_new(struct loop *loop, const struct conf *conf, const struct forwards_conf *fc, struct forwards **ret);
/* Breaks all connections. */
void forwards_free(struct forwards *f);
DEFINE_CLEANUP(struct forwards *, forwards_free)

/*
 * The list in the configuration is another one. Connections and counts of forwards that are in both stay. Not to be
 * called from pick(). 0 or -ENOMEM: some are missing.
 */
int forwards_reload(struct forwards *f);

struct forwards_caller {
	struct ip ip;
	uint64_t connections, active;
	uint64_t first_us, last_us; /* CLOCK_BOOTTIME, of its connections */
};

struct forwards_info {
	const struct conf_forward *conf;
	bool is_listening;	 /* on all its addresses */
	const char *text;	 /* why not, or why the last connection came to nothing; "" = all is well */
	uint64_t connections, active, failed;
	size_t n_callers;
	uint64_t callers_left_out; /* that were forgotten for others, past LIMIT_FORWARD_CALLERS */
};

/* Calls `fn` for each, then `caller` for each of its callers, in no order. Either may be NULL. */
void forwards_each(const struct forwards *f, void (*fn)(const struct forwards_info *info, void *arg),
		   void (*caller)(const struct forwards_info *info, const struct forwards_caller *c, void *arg), void *arg);
