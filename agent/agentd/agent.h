/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: owns everything, wires it together, decides the order. */
#pragma once

#include "agentd/datapath.h"
#include "agentd/dns_redirect.h"
#include "agentd/filling.h"
#include "agentd/fqdn.h"
#include "agentd/guarding.h"
#include "agentd/health.h"
#include "agentd/keeping.h"
#include "agentd/migrating.h"
#include "agentd/resolver.h"
#include "agentd/servers.h"
#include "agentd/serving.h"
#include "agentd/shadowing.h"
#include "agentd/slicing.h"
#include "agentd/sync.h"
#include "agentd/world.h"
#include "base/backoff.h"
#include "ctl/ctl_server.h"
#include "ctl/ctl_verbs.h"
#include "dns/dns_server.h"
#include "dns/dns_zone.h"
#include "event/retry.h"
#include "forward/forward.h"
#include "join/join_state.h"
#include "join/lease.h"
#include "join/register.h"
#include "join/renew.h"

enum agent_state {
	AGENT_NOT_JOINED,
	AGENT_STARTING, /* no complete lists yet */
	AGENT_RUNNING,
	AGENT_FROZEN,  /* the API is not that of our cluster, or cannot be served: what is in force stays */
	AGENT_REVOKED, /* the cluster has taken us out */
	AGENT_CHANGED, /* the cluster has enrolled us anew: until we join with that, what is in force stays */
};

/* What view_monitor.c remembers of the policies, since they change less often than packets are dropped. */
struct view_isolation {
	json_t *by[POLICY_DIRS]; /* as "isolated_by" of an event */
	uint64_t generation;	 /* of the policies */
};

struct agent {
	struct loop *loop;
	struct conf *conf;
	char *conf_path; /* NULL = the default, or none */
	enum agent_state state;
	uint64_t started_us;
	struct health *health;
	struct ctl_server *ctl;
	struct join_state join;
	bool is_joined;
	char *machine; /* tells this machine from a copy of it */
	struct kube_client *client;
	struct kube_op *boot_op; /* reading what decides how to start */
	struct source *boot_timer;
	struct backoff boot_backoff;
	struct datapath *datapath;
	struct keeping *keeping; /* with the datapath */
	struct cilium_config config;
	struct slicing *slicing; /* where the configuration has slices */
	bool has_slices;	 /* endpoints are read from them */
	struct world *world;
	struct guarding *guarding; /* with the world, as the next */
	struct shadowing *shadowing;
	struct sync *sync;
	struct migrating *migrating; /* before the serving, which asks it for roles */
	struct serving *serving;
	struct forwards *forwards; /* from when the Services are known */
	struct registration *registration;
	struct renewal *renewal;
	struct lease *lease;
	struct dns_server *dns;
	struct dns_zone *zone;
	struct dns_zone *import_zone; /* clusterset.local */
	struct fqdn *fqdn;
	struct resolver *resolver; /* the host's */
	struct dns_redirect *redirect; /* NULL = queries past our server are not caught */
	struct source *apply;	/* deferred: recompute and write */
	struct source *apply_later;
	struct retry *retry; /* of what failed and may succeed by itself */
	struct source *upkeep;
	unsigned n_upkeeps;
	struct filling filling;
	struct view_isolation isolation;
	uint64_t n_applied; /* times that the tables were written to the kernel */
	struct source *signals[3];
	struct source *privileged; /* the other process is gone */
	struct ctl_call *leaving;
	struct source *leave_timer;
	ARRAY(struct ctl_call *) draining; /* who waits for the drain that is under way */
	uint64_t resolvers_stamp; /* of the files that name the host's resolvers */
	struct doc *namespace_labels; /* of the one that the host is in; NULL = not seen yet */
	bool had_node;	 /* our node stood in the lists */
	bool was_listed; /* our node and our addresses did */
	uint64_t unlisted_us; /* since when the operator has put our endpoint into no slice; 0 = it has, or need not */
	ARRAY(struct ip) own; /* registered addresses */
	struct servers servers;
	bool is_ready_told;  /* systemd knows that the network may come up */
	bool is_apply_owed;  /* the last attempt failed */
	bool is_unverified;  /* the API came back; not known yet whether as the same cluster */
	bool is_last_drain;  /* then the daemon stops */
	bool is_stopping;    /* only what was under way is ended yet: the Lease is given back, or */
	bool is_taking_down; /* device and routes go */
	bool has_stood_down; /* the datapath was taken down, only a new start brings it back */
};

/*
 * Takes `conf`, which conf_load_or_default() made of `conf_path`, and will again; an older one if `wrong` says why. 0 or -errno with
 * a text.
 */
int agent_new(struct conf *conf, const char *conf_path, const struct err *wrong, struct agent **ret, struct err *reterr);

/* Stops; what is in the kernel stays and goes on. */
void agent_free(struct agent *a);
DEFINE_CLEANUP(struct agent *, agent_free)

/* Runs until a signal ends it. The exit code of the process. */
int agent_run(struct agent *a);

/* Notes a new state; the text is for systemd and the log. */
void agent_set_state(struct agent *a, enum agent_state state, const char *text);

/*
 * Leaves the cluster, in membership.c; `call` is answered when all is done, or when the API server did not play its
 * part in time: then nothing has changed. With `is_forced` only this host's side is taken down, the API is not asked.
 * -ENOTCONN if the host is no member, -EBUSY while it leaves or, if not forced, is drained, -EEXIST for the copy of
 * another machine, if not forced; each with a text.
 */
int agent_leave(struct agent *a, bool is_forced, struct ctl_call *call, struct err *reterr);

/* Stands behind Services, in boot.c, with the roles that migrations give. 0 or -errno. */
int agent_serve(struct agent *a);

/*
 * Withdraws this host from all Services, in membership.c; it stays a member. `call` is answered when they are told; one that
 * comes meanwhile waits for the same. `is_last`: the host goes down, so its Lease is given back, too. -ENOTCONN, -EBUSY while it
 * leaves, -ENOMEM.
 */
int agent_drain(struct agent *a, bool is_last, struct ctl_call *call, struct err *reterr);

/* Answers, in membership.c, those who wait for something that this process will not finish. */
void agent_end_calls(struct agent *a);

/*
 * Makes the zones of the cluster, and starts to answer for them, in names.c; what of that cannot be had yet is raised as a
 * condition, and owed. Again after a failure. 0 or -errno with a text.
 */
int names_start(struct agent *a, struct err *reterr);
/* Does what of it is owed. Nothing, if the configuration wants no names. */
void names_retry(struct agent *a);
/* The host's resolver is to forget us. */
void names_leave_resolver(struct agent *a);
/* The host's resolvers are others now. 0; -ENOMEM: those of before are asked, call again. */
int names_follow_resolvers(struct agent *a);

/* If the host has other resolvers now, they can be reached and are asked, whatever policies say. */
void agent_follow_resolvers(struct agent *a);

/*
 * For want of memory the tables lack something that the cluster said: ends the loop, so that the unit starts the
 * daemon anew. What is in force in the kernel stays meanwhile; what is in the tables is not applied. `arg` is the agent.
 */
void agent_out_of_memory(void *arg);

/* The verbs of the control socket, in view.c. */
extern const struct ctl_verb agent_verbs[];
extern const size_t agent_n_verbs;
/* Turns an event of the datapath into one of the topic "monitor". */
void agent_publish_event(struct agent *a, const struct mesh_event *ev);
/* Frees what that has remembered; when the policies go. */
void agent_forget_isolation(struct agent *a);
