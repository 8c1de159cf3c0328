/* SPDX-License-Identifier: Apache-2.0 */
/* What mesh-join looks at before it changes anything; everything at once, so that one run names every obstacle. */
#pragma once

#include <jansson.h>

#include "base/ip.h"
#include "cli/ssh_ports.h"
#include "conf/conf.h"
#include "join/join.h"

enum preflight_state { PREFLIGHT_OK, PREFLIGHT_WARN, PREFLIGHT_FAIL };

/* What this run has in hand. */
struct preflight {
	const struct join_token *token;
	const struct conf *conf;	     /* the paths that the daemon will use */
	const struct join_session *session; /* NULL if no server could be reached */
	const struct ip *address;	     /* what the person chose; NULL = any */
};

/*
 * Runs all checks: array of {check, state: "ok"|"warning"|"failed", detail}. `ret_worst` gets the worst
 * state. NULL when out of memory.
 */
json_t *preflight_run(const struct preflight *p, enum preflight_state *ret_worst);

/* Adds one line. 0 or -ENOMEM. */
int preflight_add(json_t *rows, const char *check, enum preflight_state state, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* The lines about the kernel and its file systems. 0 or -ENOMEM. */
int preflight_kernel(json_t *rows, const struct conf *conf);

/* The line about a kernel of this release ("5.10.0-26-amd64"). 0 or -ENOMEM. */
int preflight_kernel_release(json_t *rows, const char *release);

/* The line about the driver for tunnels of the cluster's kind, "vxlan" or "geneve". 0 or -ENOMEM. */
int preflight_tunnel_driver(json_t *rows, const char *kind);

/* The line about logins by SSH on these ports, if there are any: who comes by another way than that is locked out. 0 or -ENOMEM. */
int preflight_ssh(json_t *rows, const struct conf *conf, const struct ssh_ports *ports);

/* The line about the cluster's Cilium; `config_map` is NULL if it could not be read. 0 or -ENOMEM. */
int preflight_cilium(json_t *rows, const json_t *config_map);
