/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps this host's objects in the cluster true: fills in the CiliumEndpoint and CiliumNode that the
 * admin made, follows address changes, drops the garbage collector's mark from the identity. It never
 * creates one of them: if one is gone the host was removed, which is reported, and so is another identity.
 */
#pragma once

#include "base/ip.h"
#include "kube/kube_client.h"

struct registration;

/* What the cluster is to know of us. All borrowed for the call. */
struct registration_info {
	const struct ip *addresses; /* at most one of each family is published, the first */
	size_t n_addresses;
	bool has_ipv6_underlay; /* others send tunnel packets to the IPv6 one, if there is one */
	const json_t *named_ports; /* array of {name, port, protocol}; NULL = none */
};

enum registration_state {
	REGISTRATION_PENDING,  /* on the way; see registration_error() */
	REGISTRATION_READY,    /* the cluster knows what was last set */
	REGISTRATION_REMOVED,  /* an object is gone: the admin took us out */
	REGISTRATION_CHANGED,  /* the endpoint has another identity: the admin enrolled us anew, and we do not have that token yet */
	REGISTRATION_LEFT,     /* registration_leave() is done */
};

struct registration_conf {
	const char *host, *namespace; /* borrowed, outlive the registration */
	uint32_t identity;
	void (*on_state)(enum registration_state state, void *arg);
	/* The credential was refused (401). Watches that are open already never tell. */
	void (*on_unauthorized)(void *arg);
	void *arg;
};

int registration_new(struct loop *loop, struct kube_client *client, const struct registration_conf *conf,
		     struct registration **ret);
void registration_free(struct registration *r);
DEFINE_CLEANUP(struct registration *, registration_free)

/* Publishes from now on (copied). The same as before does nothing. 0 or -ENOMEM. */
int registration_set(struct registration *r, const struct registration_info *info);

/* Looks at the objects anew, soon: something about them changed, or a credential came. */
void registration_kick(struct registration *r);

/*
 * The lists say that this host's CiliumNode is gone. Looks at the objects anew, soon; a server that refuses
 * even that has removed the host, because an admin deletes its credential and rights with its objects.
 */
void registration_lost(struct registration *r);

/* The endpoint becomes `disconnected` without addresses. on_state() tells the end. */
void registration_leave(struct registration *r);

/* Gives a leave up that has not ended: the objects are filled in again. */
void registration_stay(struct registration *r);

enum registration_state registration_get_state(const struct registration *r);

/* CLOCK_BOOTTIME since when passes have failed, for whatever reason; 0 = the last one did not. */
uint64_t registration_failing_us(const struct registration *r);

/* Why it is pending, removed or changed; "" if it is ready. */
const char *registration_error(const struct registration *r);
