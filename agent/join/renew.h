/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the host's credential fresh: a new token by TokenRequest at 70 to 80 % of the life of the old
 * one, which stays in use until the new one is there.
 */
#pragma once

#include "kube/kube_client.h"

struct renewal;

struct renewal_failure {
	const char *reason; /* never NULL */
	uint64_t since_us;  /* CLOCK_BOOTTIME of the first failure in a row */
	int64_t expires_s;  /* when the credential in use ends, by the server's clock; 0 = unknown */
};

struct renewal_conf {
	const char *host; /* name of the ServiceAccount in mesh-hosts; borrowed */
	/* A new token: keep it, put it to use. It is wiped after the call. */
	void (*on_token)(const char *token, void *arg);
	/* After each attempt that failed; on_token ends it. May be NULL. */
	void (*on_failed)(const struct renewal_failure *failure, void *arg);
	void *arg;
};

/*
 * `token` is the one in use, whose claims tell its life. How old it is tells only the wall clock, which may be wrong
 * when a host starts: it is looked at again every hour, and a token from the future is renewed at once.
 */
int renewal_new(struct loop *loop, struct kube_client *client, const struct renewal_conf *conf, const char *token,
		struct renewal **ret);
void renewal_free(struct renewal *r);
DEFINE_CLEANUP(struct renewal *, renewal_free)

/* Renews soon: the server has refused the token. At most once in ten seconds. */
void renewal_kick(struct renewal *r);

/* Wall clock when the token ends; 0 = unknown. */
int64_t renewal_expires_s(const struct renewal *r);
