/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/health.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

enum { CONDITIONS_MAX = 64, NAME_LEN = 48, TEXT_LEN = 512 };

struct condition {
	enum health_severity severity;
	uint64_t since_us;
	const char *remedy;
	char name[NAME_LEN];
	char text[TEXT_LEN];
};

struct health {
	struct condition v[CONDITIONS_MAX];
	size_t n;
};

int health_new(struct health **ret)
{
	struct health *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	*ret = h;
	return 0;
}

void health_free(struct health *h)
{
	free(h);
}

static struct condition *find(const struct health *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (str_eq(h->v[i].name, name))
			return (struct condition *)&h->v[i];
	return NULL;
}

void health_raise(struct health *h, enum health_severity severity, const char *name, const char *text,
		  const char *remedy)
{
	static const int levels[] = {LOG_INFO, LOG_WARNING, LOG_ERR};
	struct condition *c = find(h, name);

	if (c && c->severity == severity && strncmp(c->text, text, TEXT_LEN - 1) == 0)
		return;
	if (!c) {
		if (h->n == CONDITIONS_MAX || strlen(name) >= NAME_LEN)
			return;
		c = &h->v[h->n++];
		memcpy(c->name, name, strlen(name) + 1);
		c->since_us = clock_boot_us();
	}
	c->severity = severity;
	c->remedy = remedy;
	(void)snprintf(c->text, sizeof(c->text), "%s", text); /* a cut text still tells most */
	log_event(levels[severity], name, text, F_STR("remedy", remedy));
}

void health_clear(struct health *h, const char *name)
{
	struct condition *c = find(h, name);

	if (!c)
		return;
	log_event(LOG_INFO, name, "this is well again");
	*c = h->v[--h->n];
}

int health_worst(const struct health *h)
{
	int worst = -1;

	for (size_t i = 0; i < h->n; i++)
		if ((int)h->v[i].severity > worst)
			worst = (int)h->v[i].severity;
	return worst;
}

bool health_has(const struct health *h, const char *name)
{
	return find(h, name) != NULL;
}

uint64_t health_since_us(const struct health *h, const char *name)
{
	const struct condition *c = find(h, name);

	return c ? c->since_us : 0;
}

json_t *health_json(const struct health *h)
{
	static const char *const names[] = {"info", "warning", "error"};
	json_t *list = json_array();

	for (size_t i = 0; list && i < h->n; i++) {
		const struct condition *c = &h->v[i];
		json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "name", c->name, "severity", names[c->severity], "text",
				      c->text, "age_ms",
				      (json_int_t)((clock_boot_us() - c->since_us) / USEC_PER_MSEC));

		if (!o || (c->remedy && json_object_set_new(o, "remedy", json_string(c->remedy)) < 0) ||
		    json_array_append_new(list, o) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
