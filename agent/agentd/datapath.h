/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side of the agent as one thing: programs and maps, tunnel device, routes, attachments.
 * What the world says goes in by datapath_apply(); nothing else in the daemon writes to the kernel.
 */
#pragma once

#include "agentd/health.h"
#include "agentd/world.h"
#include "bpf/bpf_attach.h"
#include "bpf/bpf_config.h"
#include "bpf/bpf_events.h"
#include "recon/recon_addr.h"
#include "recon/recon_policy.h"
#include "recon/recon_service.h"
#include "recon/recon_sock.h"
#include "recon/recon_snapshot.h"

struct datapath;

/* One member of the failsafe set as it is in force; the index is its counter. */
struct failsafe_entry {
	enum mesh_dir dir;
	uint8_t protocol; /* IPPROTO_* */
	uint16_t port;
	struct cidr cidr; /* family 0 = everywhere */
	bool is_automatic;
};

struct datapath_callbacks {
	/* Own addresses or interfaces changed. */
	void (*on_network)(void *arg);
	/* An event of the programs. */
	bpfevents_fn on_event;
	/* Something that nobody else tries again failed, and may succeed later: datapath_retry() is called for. */
	void (*on_owed)(void *arg);
	void *arg;
};

/* How the programs are to be loaded, of the configuration. The directory's name is the caller's to free. 0 or -ENOMEM. */
int datapath_options(const struct conf *conf, struct bpfobj_options *ret);

/*
 * Loads programs and maps, or takes up those that an earlier run pinned, and keeps interfaces
 * watched. Attaches at once if the pins say that a policy is in force, else only with the first
 * datapath_apply(). 0 or -errno with a text.
 */
int datapath_new(struct loop *loop, const struct conf *conf, struct health *health,
		 const struct datapath_callbacks *callbacks, struct datapath **ret, struct err *reterr);
/* Leaves everything in the kernel as it is. */
void datapath_free(struct datapath *d);
DEFINE_CLEANUP(struct datapath *, datapath_free)

/*
 * Binds the datapath to a world that has empty tables: numbers of an earlier run are reserved there.
 * Once; after a failure again, with the same world. 0 or -errno.
 */
int datapath_bind(struct datapath *d, struct world *w);

/*
 * A boot, in datapath_boot.c: after datapath_new() and before datapath_bind(), where nothing is in force, datapath_restore()
 * or datapath_close() prepares a state, then the failsafe set is written, then datapath_enforce() puts all in force.
 * What datapath_apply() brings replaces it like the state of an earlier run.
 */

/* An earlier run left a policy in force: this is no boot. */
bool datapath_is_in_force(const struct datapath *d);

/* Another version did, whose programs stay until ours have all that they need: no boot either. */
bool datapath_other_is_in_force(const struct datapath *d);

/* Prepares what a snapshot says; with `is_open` nothing is dropped. -errno, and nothing is prepared. */
int datapath_restore(struct datapath *d, struct snapshot *s, bool is_open);

/* Prepares that nothing passes but the failsafe set; with `is_open` as above. 0 or -errno. */
int datapath_close(struct datapath *d, uint32_t identity, bool is_open);

/* Interfaces get the programs from the loop then, as soon as they are there. Nothing prepared: does nothing. */
void datapath_enforce(struct datapath *d);

/*
 * What is in force, as a snapshot of `owner` and of now. `b` must be empty. 0; -ENODATA while there is nothing that
 * datapath_apply() brought; otherwise as snapshot_begin() and recon_snapshot_read().
 */
int datapath_save(const struct datapath *d, const char *owner, struct buf *b);

/* Another number whenever datapath_save() may give something else. */
uint64_t datapath_changes(const struct datapath *d);

/* True if what no rule allows is dropped in this direction; `dir` is a MESH_INGRESS or MESH_EGRESS. */
bool datapath_enforces(const struct datapath *d, enum mesh_dir dir);

/*
 * Puts the failsafe set in force, with these API servers. With `is_partial` others may be known later: what an earlier
 * run let through stays. 0 or -errno.
 */
int datapath_set_control_plane(struct datapath *d, const struct ip *servers, const uint16_t *ports, size_t n,
			       bool is_partial);

/*
 * Brings the kernel to what the world says. `own` are the registered addresses. Failures are raised as conditions
 * and tried again with the next call; what was in force stays. 0, or the first -errno. A policy that cannot come into force
 * keeps nothing else back, if one is in force: datapath_is_held() is true then.
 */
int datapath_apply(struct datapath *d, const struct ip *own, size_t n_own);
bool datapath_is_held(const struct datapath *d);

/*
 * Microseconds until datapath_apply() may be called again; 0 = now. A packet that began under the last
 * policy must be through before the bank that held it is written again.
 */
uint64_t datapath_wait_us(const struct datapath *d);

/* Others may take our programs off: looks, and puts them back. To be done each minute. */
void datapath_audit(struct datapath *d);

/* What failed outside of datapath_apply() is tried once more; asked for by on_owed. */
void datapath_retry(struct datapath *d);

/* Whether packets of the tunnel get in, by what came since the last look: see tunnel_watch.h. */
void datapath_look_at_tunnel(struct datapath *d);

/* True once everything was applied for the first time and the programs are attached. */
bool datapath_is_ready(const struct datapath *d);

/* Nothing is enforced, as in audit mode, with the next datapath_apply(). */
void datapath_set_open(struct datapath *d, bool is_open);

/* Whether queries to DNS servers go to the agent's. Off until it is said, also after a crash. */
void datapath_set_dns(struct datapath *d, bool on);

/* Turns events for allowed flows on or off; drops are always told. */
void datapath_set_verdict_events(struct datapath *d, bool on);

/* Takes everything of ours out of the kernel: programs, pins, device, routes. */
int datapath_remove(struct datapath *d, struct err *reterr);

/* For status. */
const struct bpfobj *datapath_obj(const struct datapath *d);
const struct recon_net *datapath_net(const struct datapath *d);
/* Of the connections whose backend vanished; all zero before datapath_bind(). */
struct recon_sock_stats datapath_ended(const struct datapath *d);

uint32_t datapath_ticks_per_s(const struct datapath *d);
uint32_t datapath_generation(const struct datapath *d);
uint64_t datapath_flags(const struct datapath *d);
size_t datapath_failsafe(const struct datapath *d, const struct failsafe_entry **ret);
const char *datapath_attach_name(const struct datapath *d);
