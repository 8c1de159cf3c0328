/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the datapath share. */
#pragma once

#include "agentd/datapath.h"
#include "agentd/failsafe.h"
#include "agentd/tunnel_watch.h"

struct datapath {
	struct loop *loop;
	const struct conf *conf;
	struct health *health;
	struct datapath_callbacks cb;
	struct bpfobj *obj;
	struct bpfconfig *config;
	struct bpfevents *events;
	struct recon_net *net;
	struct tunnel_watch *tunnel_watch;
	struct recon_policy *policy;
	struct recon_addr *addr;
	struct recon_service *service;
	struct recon_sock *sock;
	struct recon_cover *cover;
	struct world *world;
	struct failsafe_list failsafe;
	uint64_t committed_us; /* when the last policy came into force */
	uint64_t shadow;       /* MESH_STATE_SHADOW bits of the policy in force */
	enum bpfattach_how how;
	bool is_attached; /* programs belong on the interfaces */
	bool owes_backstop; /* it could not be attached, or taken off */
	bool owes_flows;  /* connections that are older than the programs are not all known to them */
	bool is_swept;	  /* leftovers of an earlier run are gone */
	bool is_held;	  /* all is applied but the policy, of which an earlier one is in force */
	bool is_ready;
	bool is_complete; /* every interface that can has the programs */
	bool has_sockets; /* the socket programs belong to the cgroup */
	bool is_alone;	  /* nothing of another version is left */
	bool has_cgroup; /* where they are */
	bool wants_verdicts;
	bool is_open; /* nothing may be enforced */
	bool has_dns; /* queries to DNS servers go to ours */
	uint64_t boot_flags; /* to be put in force by datapath_enforce(); 0 = nothing */
	unsigned boot_bank;
	bool is_restored;   /* in force is what datapath_enforce() put there, nothing newer yet */
	uint64_t n_changes; /* of what the generation and the services do not count */
};

/* The programs to all interfaces and to the cgroup, with the flows that are older. 0 or -errno, raised as a condition. */
int datapath_attach_all(struct datapath *d);

/* The backstop to the network namespace, or off it; a failure is raised as a condition. */
void datapath_attach_backstop(struct datapath *d);

/* Once all of ours is in force, what another version left in the kernel has to go: it enforces an old policy. */
void datapath_remove_others(struct datapath *d);

/* All socket programs to the cgroup; a failure is raised as a condition, and owed. */
void datapath_attach_sockets(struct datapath *d);
