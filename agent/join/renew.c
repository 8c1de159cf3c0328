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
	LIFE_S = 86400, /* the most that the admission policy grants; survives a day without API server */
	KICK_MIN_S = 10,
	MIN_DELAY_S = 30,
};

struct renewal {
	struct kube_client *client;
	struct renewal_conf conf;
	struct source *timer;
	struct kube_op *op;
	struct backoff backoff;
	char *path;
	int64_t expires_s;
	uint64_t asked_us;
};

/* At 70 to 80 % of its life, by the clock that does not jump. */
static void schedule(struct renewal *r, int64_t issued_s, int64_t expires_s)
{
	int64_t life_s = expires_s - issued_s, age_s = clock_wall_s() + kube_client_skew_s(r->client) - issued_s;
	int64_t at_s = life_s * 7 / 10, delay_s;

	if (life_s >= 10)
		at_s += (int64_t)rng_below((uint32_t)(life_s / 10));
	delay_s = at_s - (age_s > 0 ? age_s : 0);
	if (delay_s < MIN_DELAY_S)
		delay_s = MIN_DELAY_S;
	r->expires_s = expires_s;
	(void)source_arm(r->timer, (uint64_t)delay_s * USEC_PER_SEC, 5 * USEC_PER_SEC); /* a live timer */
}

static void use(struct renewal *r, const char *token)
{
	struct jwt_claims claims;

	if (jwt_read(token, &claims) == 0 && claims.expires_s > claims.issued_s)
		schedule(r, claims.issued_s, claims.expires_s);
	else
		(void)source_arm(r->timer, LIFE_S / 24 * USEC_PER_SEC, 0); /* not ours to read: renew every hour */
}

static void failed(struct renewal *r, int e, const char *why)
{
	log_event(LOG_WARNING, "renew.failed", "no new credential yet; the old one stays in use", F_ERRNO(e),
		  F_STR("reason", why), F_I64("expires_in_s", r->expires_s ? r->expires_s - clock_wall_s() : 0));
	(void)source_arm(r->timer, backoff_next_us(&r->backoff, clock_boot_us()), 0); /* a live timer */
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
	use(r, token);
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
	body = json_pack("{s:s, s:s, s:{s:i}}", "apiVersion", "authentication.k8s.io/v1", "kind", "TokenRequest", "spec",
			 "expirationSeconds", LIFE_S);
	req.body = body;
	r->asked_us = clock_boot_us();
	e = body ? kube_start(r->client, &req, &r->op) : -ENOMEM;
	if (e < 0)
		failed(r, e, "");
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
	use(r, token);
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
	if (r->op || clock_boot_us() - r->asked_us < KICK_MIN_S * USEC_PER_SEC)
		return;
	(void)source_arm(r->timer, 0, 0); /* a live timer */
}

int64_t renewal_expires_s(const struct renewal *r)
{
	return r->expires_s;
}
