/* SPDX-License-Identifier: Apache-2.0 */
#include "join/renew.h"

#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/str.h"
#include "crypto/jwt.h"
#include "json/json.h"

enum {
	LIFE_S = 86400, /* the most that the admission policy grants */
	KICK_MIN_S = 10,
	MIN_USE_S = 30,
	FIRST_LOOK_S = 60, /* by then the server has told its time */
	LOOK_S = 3600,
	FUTURE_S = 60, /* a clock that is wrong by less is good enough */
};

struct renewal {
	struct kube_client *client;
	struct renewal_conf conf;
	struct source *timer;
	struct kube_op *op;
	struct backoff backoff;
	char *path;
	int64_t issued_s, expires_s; /* 0 = unknown */
	int64_t use_s;		     /* how much of its life the token is used for */
	uint64_t new_us;	     /* when it came, for one that this process got; 0 = it is older */
	uint64_t asked_us;
	uint64_t armed_us; /* when the timer fires */
	uint64_t failing_us;
	bool is_due; /* ask when it fires, whatever the age */
};

static void arm(struct renewal *r, uint64_t delay_us, uint64_t slack_us)
{
	r->armed_us = clock_boot_us() + delay_us;
	(void)source_arm(r->timer, delay_us, slack_us); /* a live timer */
}

/* Seconds until the token is to be renewed; 0 or less = now. */
static int64_t left_s(const struct renewal *r)
{
	int64_t age_s;

	if (r->new_us) /* by the clock that does not jump */
		return r->use_s - (int64_t)((clock_boot_us() - r->new_us) / USEC_PER_SEC);
	age_s = kube_client_wall_us(r->client) / (int64_t)USEC_PER_SEC - r->issued_s;
	return age_s < -FUTURE_S ? 0 : r->use_s - age_s;
}

static void look_later(struct renewal *r, int64_t at_most_s)
{
	int64_t s = left_s(r);

	s = MIN(MAX(s, (int64_t)0), at_most_s);
	arm(r, (uint64_t)s * USEC_PER_SEC, s ? 5 * USEC_PER_SEC : 0);
}

/* A token is used for 70 to 80 % of its life. */
static void use(struct renewal *r, const char *token, bool is_new)
{
	struct jwt_claims claims;

	r->is_due = jwt_read(token, &claims) < 0 || claims.expires_s <= claims.issued_s;
	if (r->is_due) {
		arm(r, LOOK_S * USEC_PER_SEC, 0); /* not ours to read: renew every hour */
		return;
	}
	r->issued_s = claims.issued_s;
	r->expires_s = claims.expires_s;
	r->use_s = (claims.expires_s - claims.issued_s) / 10 * 7;
	if (claims.expires_s - claims.issued_s >= 10)
		r->use_s += (int64_t)rng_below((uint32_t)MIN((claims.expires_s - claims.issued_s) / 10, (int64_t)LIFE_S));
	if (is_new)
		r->use_s = MAX(r->use_s, (int64_t)MIN_USE_S);
	r->new_us = is_new ? clock_boot_us() : 0;
	look_later(r, is_new ? LOOK_S : FIRST_LOOK_S);
}

static void failed(struct renewal *r, int e, const char *why)
{
	struct renewal_failure failure = {.reason = why, .expires_s = r->expires_s};

	if (!r->failing_us)
		r->failing_us = clock_boot_us();
	failure.since_us = r->failing_us;
	log_event(LOG_WARNING, "renew.failed", "no new credential yet; the old one stays in use", F_ERRNO(e),
		  F_STR("reason", why), F_I64("expires_in_s", r->expires_s ? r->expires_s - clock_wall_s() : 0));
	r->is_due = true;
	arm(r, backoff_next_us(&r->backoff, clock_boot_us()), 0);
	if (r->conf.on_failed)
		r->conf.on_failed(&failure, r->conf.arg);
}

static void on_done(const struct kube_result *res, void *arg)
{
	struct renewal *r = arg;
	const char *token;

	r->op = NULL;
	if (res->r < 0) {
		failed(r, res->r, res->message);
		return;
	}
	token = json_str(res->body, "status.token", "");
	if (!*token || strlen(token) > LIMIT_TOKEN_BYTES) {
		failed(r, -EBADMSG, "the answer has no token");
		return;
	}
	backoff_reset(&r->backoff);
	r->failing_us = 0;
	use(r, token, true);
	log_event(LOG_INFO, "renew.done", "the host has a new credential");
	r->conf.on_token(token, r->conf.arg);
}

static void on_timer(void *arg)
{
	struct renewal *r = arg;
	CLEANUP(json_decref) json_t *body = NULL;
	struct kube_request req = {.method = "POST", .path = r->path, .on_done = on_done, .arg = r};
	int e;

	if (r->op)
		return;
	if (!r->is_due && left_s(r) > 0) {
		look_later(r, LOOK_S);
		return;
	}
	body = json_pack("{s:s, s:s, s:{s:i}}", "apiVersion", "authentication.k8s.io/v1", "kind", "TokenRequest", "spec",
			 "expirationSeconds", LIFE_S);
	req.body = body;
	r->asked_us = clock_boot_us();
	e = body ? kube_start(r->client, &req, &r->op) : -ENOMEM;
	if (e < 0)
		failed(r, e, err_name(e));
}

int renewal_new(struct loop *loop, struct kube_client *client, const struct renewal_conf *conf, const char *token,
		struct renewal **ret)
{
	CLEANUP(renewal_free) struct renewal *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->client = client;
	r->conf = *conf;
	r->path = str_printf("/api/v1/namespaces/mesh-hosts/serviceaccounts/%s/token", conf->host);
	if (!r->path)
		return -ENOMEM;
	e = loop_add_timer(loop, on_timer, r, &r->timer);
	if (e < 0)
		return e;
	use(r, token, false);
	*ret = TAKE_PTR(r);
	return 0;
}

void renewal_free(struct renewal *r)
{
	if (!r)
		return;
	kube_cancel(r->op);
	source_free(r->timer);
	free(r->path);
	free(r);
}

void renewal_kick(struct renewal *r)
{
	uint64_t now_us = clock_boot_us(), at_us = r->asked_us ? r->asked_us + KICK_MIN_S * USEC_PER_SEC : 0;

	if (r->op)
		return; /* its answer decides */
	at_us = MAX(at_us, now_us);
	if (!r->is_due || at_us < r->armed_us)
		arm(r, at_us - now_us, 0);
	r->is_due = true;
}

int64_t renewal_expires_s(const struct renewal *r)
{
	return r->expires_s;
}
