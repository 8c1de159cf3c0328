/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to reach a backend, whoever it is, with the time that it took. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "event/loop.h"
#include "http/http.h"

struct sample;

struct sample_target {
	struct ip ip;
	uint16_t port;
	const char *path; /* of http, copied; NULL = tcp */
	bool is_tls;	  /* of http: https, the certificate is not looked at */
	uint64_t timeout_us;
};

/* Called once, unless it is cancelled. `text`: what went wrong, NULL = nothing did. May start another. */
typedef void (*sample_fn)(uint64_t latency_us, const char *text, void *arg);

/*
 * Connects, and for http waits for the head of the answer, whose status is to be 200 to 399. `http` is one for probes,
 * and outlives it. 0, also if it fails at once, which `fn` is told later; -ENOMEM; errno of a timer.
 */
int sample_start(struct loop *loop, struct http *http, const struct sample_target *target, sample_fn fn, void *arg,
		 struct sample **ret);
/* Ends it without calling `fn`. May be called from any callback; NULL is accepted. */
void sample_cancel(struct sample *s);
