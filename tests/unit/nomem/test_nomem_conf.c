/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: read, shown, compared, and in the place of another one. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "conf/conf.h"
#include "nomem.h"

static const char first[] =
	"interfaces = [ \"eth0\", \"eth1\" ]; addresses = [ \"192.0.2.1\" ]; zone = \"z1\"; drain-time = 7;\n"
	"named-ports = ( { name = \"web\"; port = 53; protocol = \"udp\"; }, { name = \"web\"; port = 8080; } );\n"
	"health-probes = ( { service = \"a\"; type = \"http\"; port = \"web\"; path = \"/x\"; },\n"
	"{ service = \"*\"; type = \"unit\"; unit = \"nginx.service\"; },\n"
	"{ service = \"b\"; type = \"exec\"; command = [ \"/bin/true\", \"-x\" ]; } );\n"
	"forwards = ( { port = 8000; service = \"a\"; service-port = 80; } );\n"
	"failsafe: { inbound = ( { protocol = \"any\"; cidr = \"192.0.2.7/24\"; }, { protocol = \"tcp\"; port = 22; } ); };\n"
	"dns: { listen = [ \"127.18.53.54\" ]; upstreams = [ \"192.0.2.53\" ]; reverse = [ \"10.0.0.0/8\" ]; };\n";

struct configured {
	struct conf *before, *now;
	struct strv live, restart;
};

static void *configured_begin(const void *arg)
{
	struct configured *c = calloc(1, sizeof(*c));

	(void)arg;
	NOMEM_NEED(c);
	cr_assert_eq(conf_parse("", 0, "none", &c->before, NULL), 0);
	return c;
}

static void configured_dump(void *state, FILE *out)
{
	struct configured *c = state;

	for (size_t i = 0; c->now && i < conf_key_count(); i++) {
		struct buf b = {0};

		cr_assert_eq(conf_key_value(c->now, i, &b), 0);
		(void)fprintf(out, "%s = %s\n", conf_key_name(i), b.data ? b.data : "");
		buf_done(&b);
	}
	for (size_t i = 0; c->now && i < c->now->probes.n; i++)
		(void)fprintf(out, "probe %s %d %s %s %zu\n", c->now->probes.v[i].service, (int)c->now->probes.v[i].type,
			      c->now->probes.v[i].path ? c->now->probes.v[i].path : "",
			      c->now->probes.v[i].unit ? c->now->probes.v[i].unit : "", c->now->probes.v[i].command.n);
	for (size_t i = 0; i < c->live.n; i++)
		(void)fprintf(out, "live %s\n", c->live.v[i]);
	for (size_t i = 0; i < c->restart.n; i++)
		(void)fprintf(out, "restart %s\n", c->restart.v[i]);
}

static void configured_end(void *state)
{
	struct configured *c = state;

	conf_free(c->before);
	conf_free(c->now);
	strv_done(&c->live);
	strv_done(&c->restart);
	free(c);
}

static int read_and_compare(void *state)
{
	struct configured *c = state;
	CLEANUP(conf_free) struct conf *now = NULL;
	CLEANUP(strv_done) struct strv live = {0}, restart = {0};
	struct err err = {0};
	int r = conf_parse(first, strlen(first), "t.conf", &now, &err);

	if (r == 0)
		r = conf_changed(c->before, now, &live, &restart);
	if (r < 0)
		return r;
	conf_free(c->now);
	strv_done(&c->live);
	strv_done(&c->restart);
	c->now = TAKE_PTR(now);
	c->live = live;
	c->restart = restart;
	live = restart = (struct strv){0};
	return 0;
}

static int show(void *state)
{
	struct configured *c = state;
	int r = 0;

	if (!c->now) {
		nomem_pause();
		r = conf_parse(first, strlen(first), "t.conf", &c->now, NULL);
		nomem_resume();
	}
	for (size_t i = 0; r == 0 && i < conf_key_count(); i++) {
		CLEANUP(buf_done) struct buf value = {0}, allowed = {0};

		r = conf_key_value(c->now, i, &value);
		if (r == 0)
			r = conf_key_allowed(i, &allowed);
	}
	for (size_t i = 0; r == 0 && i < c->now->probes.n; i++) {
		struct conf_probe copy;

		r = conf_probe_copy(&c->now->probes.v[i], &copy);
		if (r == 0)
			conf_probe_done(&copy);
	}
	return r;
}

Test(nomem_conf, file)
{
	const struct nomem all[] = {
		{.name = "configuration", .run = read_and_compare, .is_atomic = true},
		{.name = "configuration shown", .run = show},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.begin = configured_begin;
		n.dump = configured_dump;
		n.end = configured_end;
		nomem_try(&n);
	}
}
