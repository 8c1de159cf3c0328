/* SPDX-License-Identifier: Apache-2.0 */
/*
 * toFQDNs and dns rules: the gate of the DNS server, what is learned through it, and its way into
 * the policies. What was learned outlives the daemon in a file.
 */
#pragma once

#include "agentd/health.h"
#include "agentd/world.h"
#include "bpf/bpf_config.h"
#include "dns/dns_server.h"
#include "policy/learned.h"

struct fqdn;

struct fqdn_setup {
	struct loop *loop;
	struct health *health;
	struct world *world;
	struct dns_server *dns;
	const struct bpfobj *obj; /* NULL = flows cannot be seen, and expired addresses stay */
	uint32_t ticks_per_s;
	const char *state_dir;
	const struct strv *servers; /* URLs of the API servers, whose names may always be looked up */
	const struct dns_upstream *upstreams;
	size_t n_upstreams;
	void (*on_change)(void *arg); /* something was learned that a policy looks at: apply */
	void *arg;
};

/* Reads what an earlier run learned; pointers are borrowed, texts and lists copied. 0 or -ENOMEM. */
int fqdn_new(const struct fqdn_setup *setup, struct fqdn **ret);
/* Writes what is not written yet. */
void fqdn_free(struct fqdn *f);
DEFINE_CLEANUP(struct fqdn *, fqdn_free)

/* The DNS server asks others from now on; judged with the next fqdn_applied(), which is asked for. */
void fqdn_set_upstreams(struct fqdn *f, const struct dns_upstream *v, size_t n);

/*
 * What the world says is in force: held answers go out, and names are judged by it from now on. In audit mode none
 * is refused. 0; or -ENOMEM, raised as a condition: then names are judged as before, and it has to be called again.
 */
int fqdn_applied(struct fqdn *f, bool is_audit);

/* No name is refused and nothing learned any more: the policies are taken down. NULL is fine. */
void fqdn_stop(struct fqdn *f);
/* Likewise, and the file goes: the host leaves. NULL is fine. */
void fqdn_forget(struct fqdn *f);

/* For `meshctl dns learned`. */
struct learned *fqdn_learned(const struct fqdn *f);

/* Whether what is in force says which names may be looked up, so that no query may go past the DNS server. */
bool fqdn_is_filtered(const struct fqdn *f);
