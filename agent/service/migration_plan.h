/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the traffic of a Service is moved between this host and the pods, in steps, with what a host can do: it has one
 * endpoint among `pods` others, and writes only its own. Pure arithmetic.
 *
 * Cilium's socket load balancer, kube-proxy and this agent give each ready endpoint the same share of new connections:
 * 1 of pods + 1. Less than that is made by turns: in each window the host is ready for a part of the time, and stands
 * by for the rest (ready false, serving and terminating true: KEP-1672), in which it gets new connections only if no pod
 * is ready, and keeps those that it has. More than that, or a share that does not alternate, only weights can give:
 * service.cilium.io/weight, which Cilium 1.20 with Maglev honours for packets from outside of the cluster.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum migration_side { MIGRATION_HOST, MIGRATION_PODS };
enum migration_by { MIGRATION_BY_TURNS, MIGRATION_BY_WEIGHTS };

enum {
	MIGRATION_ALL = 1000,  /* all of something, in thousandths */
	MIGRATION_MOST = 999, /* as much as a weight can give beside pods */
	MIGRATION_POD_WEIGHT = 100, /* DefaultBackendWeight of Cilium: what a slice without the annotation has */
};

/*
 * A level is the share of new connections, in thousandths, that the host is to have. 0: it stands by. MIGRATION_ALL: no
 * limit, ready without a weight, as without any migration.
 */
struct migration_conf {
	enum migration_side to;
	enum migration_by by;
	uint32_t step_pm; /* how much moves with each step, in thousandths: 10 to MIGRATION_ALL */
	uint32_t interval_s;
	uint32_t max_errors_pm;	     /* of the receiving side's checks, in thousandths */
	uint32_t max_latency_factor; /* of the receiving side's latency to the other side's */
};

/* The limits of the members above, for options and files alike. */
enum {
	MIGRATION_STEP_MIN_PM = 10,
	MIGRATION_INTERVAL_MIN_S = 3,
	MIGRATION_INTERVAL_MAX_S = 24 * 3600,
	MIGRATION_FACTOR_MAX = 1000,
};

/* NULL, or what is wrong with it, for a person. */
const char *migration_conf_check(const struct migration_conf *c);

/* What the host's endpoint says at a time. */
struct migration_role {
	bool is_active;	  /* false: it stands by */
	uint16_t weight;  /* 0 = no annotation */
	uint64_t next_us; /* until it says something else by itself; UINT64_MAX = never */
};

/* `turn_us`: time since the level began. */
struct migration_role migration_role(enum migration_by by, uint32_t level, uint32_t interval_s, size_t pods,
				     uint64_t turn_us);

/* The window of turns; the first *ret_on_us of it the host is active. */
uint64_t migration_window_us(uint32_t level, uint32_t interval_s, size_t pods, uint64_t *ret_on_us);

/* The weight that gives the host this share beside pods without one: 1 to 65535. `level` is 1 to MIGRATION_MOST. */
uint16_t migration_weight(uint32_t level, size_t pods);

/*
 * The share of new connections that the host really gets at a level, in thousandths. By weights it is that of clients
 * outside of the cluster; those inside give it migration_even_pm().
 */
uint32_t migration_expected_pm(enum migration_by by, uint32_t level, uint32_t interval_s, size_t pods);
/* One of pods + 1. */
uint32_t migration_even_pm(size_t pods);

/* The level of the step after `level`; the same if there is none. */
uint32_t migration_next_level(const struct migration_conf *c, uint32_t level, size_t pods);
/* True if this is the level of the last step. */
bool migration_is_final(const struct migration_conf *c, uint32_t level);
/* How many steps are left. */
unsigned migration_steps_left(const struct migration_conf *c, uint32_t level, size_t pods);
