/* SPDX-License-Identifier: Apache-2.0 */
/* What a host writes of itself into the API is whole, or it is not written. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "join/register.h"
#include "json/json.h"
#include "kube/kube_client.h"
#include "nomem.h"

int __wrap_kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret);
void __wrap_kube_cancel(struct kube_op *op);

/* The last request; there is no server. */
static struct {
	char *method, *path, *body;
	void (*on_done)(const struct kube_result *res, void *arg);
	void *arg;
} asked;

static void forget(void)
{
	free(asked.method);
	free(asked.path);
	free(asked.body);
	memset(&asked, 0, sizeof(asked));
}

int __wrap_kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret)
{
	(void)c;
	nomem_pause();
	forget();
	asked.method = strdup(req->method ? req->method : "GET");
	asked.path = strdup(req->path);
	asked.body = req->body ? json_text(req->body) : NULL;
	asked.on_done = req->on_done;
	asked.arg = req->arg;
	nomem_resume();
	*ret = (struct kube_op *)&asked;
	return 0;
}

void __wrap_kube_cancel(struct kube_op *op)
{
	(void)op;
}

static const char *const bodies[] = {
	"{\"metadata\":{\"name\":\"vm1\"},\"status\":{\"identity\":{\"id\":300,\"labels\":[\"a=b\"]}}}",
	"{\"metadata\":{\"name\":\"vm1\",\"uid\":\"u\"}}",
	"{\"metadata\":{\"name\":\"300\",\"annotations\":{\"io.cilium.heartbeat\":\"x\"}},\"security-labels\":{\"a\":\"b\"}}",
};

struct registered {
	struct loop *loop;
	struct registration *r;
	json_t *bodies[ARRAY_LEN(bodies)], *ports;
	char *written[ARRAY_LEN(bodies)];
};

static void on_state(enum registration_state state, void *arg)
{
	(void)state;
	(void)arg;
}

static void *registered_begin(const void *arg)
{
	struct registered *x = calloc(1, sizeof(*x));

	(void)arg;
	NOMEM_NEED(x);
	cr_assert_eq(loop_new(&x->loop), 0);
	x->ports = json_pack("[{s:s, s:i, s:s}]", "name", "web", "port", 80, "protocol", "TCP");
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		x->bodies[i] = json_parse(bodies[i], strlen(bodies[i]));
		NOMEM_NEED(x->bodies[i]);
	}
	return x;
}

static int answer(struct registered *x, const json_t *body)
{
	const struct kube_result res = {.status = 200, .body = (json_t *)body, .reason = "", .message = "", .retry_after_s = -1};

	asked.on_done(&res, asked.arg);
	return registration_failing_us(x->r) ? -ENOMEM : 0;
}

/* One pass over endpoint, node and identity. */
static int registered_run(void *state)
{
	struct registered *x = state;
	const struct registration_conf conf = {.host = "vm1", .namespace = "legacy", .identity = 300, .on_state = on_state};
	struct ip ips[2];
	const struct registration_info info = {.addresses = ips, .n_addresses = 2, .named_ports = x->ports};
	int r;

	cr_assert_eq(ip_parse("172.19.100.2", &ips[0]), 0);
	cr_assert_eq(ip_parse("fd00::2", &ips[1]), 0);
	registration_free(x->r);
	x->r = NULL;
	forget();
	r = registration_new(x->loop, NULL, &conf, &x->r);
	if (r == 0)
		r = registration_set(x->r, &info);
	for (int i = 0; r == 0 && i < 4; i++)
		cr_assert_geq(loop_once(x->loop, 0), 0);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(bodies); i++) {
		if (!asked.method)
			return -ENOMEM;
		cr_assert_str_eq(asked.method, "GET");
		r = answer(x, x->bodies[i]);
		if (r < 0)
			break;
		nomem_pause();
		free(x->written[i]);
		x->written[i] = str_printf("%s %s %s", asked.method, asked.path, asked.body ? asked.body : "");
		nomem_resume();
		r = answer(x, x->bodies[i]);
	}
	return r;
}

static void registered_dump(void *state, FILE *out)
{
	struct registered *x = state;

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		(void)fprintf(out, "%s\n", x->written[i] ? x->written[i] : "none");
}

static void registered_end(void *state)
{
	struct registered *x = state;

	registration_free(x->r);
	loop_free(x->loop);
	forget();
	json_decref(x->ports);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		json_decref(x->bodies[i]);
		free(x->written[i]);
	}
	free(x);
}

Test(nomem_register, objects_of_this_host)
{
	const struct nomem n = {.name = "objects of this host",
				.begin = registered_begin,
				.run = registered_run,
				.dump = registered_dump,
				.end = registered_end};

	nomem_try(&n);
}
