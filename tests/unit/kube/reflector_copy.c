/* SPDX-License-Identifier: Apache-2.0 */
#include "reflector_copy.h"

#include "base/file.h"
#include "base/str.h"

struct world w;
struct loop *loop;
struct kube_client *client;
struct reflector *reflector;
struct copy copy;
char path[256];
uint64_t confirm_us = 50 * USEC_PER_MSEC, overdue_us;
bool is_guarded;

static int index_of(const char *name)
{
	unsigned i;

	return name && sscanf(name, "m%u", &i) == 1 && i < NAMES ? (int)i : -1; /* others: kube-root-ca.crt */
}

static void on_object(bool is_deleted, const struct doc *doc, void *arg)
{
	const char *v = doc_str_at(doc, "data.v", NULL);
	int i = index_of(doc_str_at(doc, "metadata.name", NULL));

	(void)arg;
	if (i < 0)
		return;
	copy.objects[i].is_there = !is_deleted;
	copy.objects[i].is_seen = true;
	(void)snprintf(copy.objects[i].v, sizeof(copy.objects[i].v), "%s", v ? v : "");
}

static void on_replace_begin(void *arg)
{
	(void)arg;
	for (int i = 0; i < NAMES; i++)
		copy.objects[i].is_seen = false;
}

static void on_replace_end(void *arg)
{
	(void)arg;
	for (int i = 0; i < NAMES; i++)
		if (!copy.objects[i].is_seen)
			copy.objects[i].is_there = false;
}

const struct reflector_ops copy_ops = {
	.on_object = on_object, .on_replace_begin = on_replace_begin, .on_replace_end = on_replace_end};

void on_state(struct reflector *r, void *arg)
{
	(void)arg;
	copy.states[reflector_get_state(r)]++;
	if (reflector_get_state(r) == REFLECTOR_WAITING) {
		copy.has_waited = true;
		(void)snprintf(copy.waited_for, sizeof(copy.waited_for), "%s", reflector_error(r));
	}
}

static void on_unauthorized(void *arg)
{
	(void)arg;
	copy.unauthorized++;
}

static void on_older(void *arg)
{
	(void)arg;
	copy.older++;
}

void start_conf(const char *kind_path, bool is_optional)
{
	struct reflector_conf conf = {.name = "configmaps", .path = kind_path, .ops = &copy_ops, .on_state = on_state,
				      .on_unauthorized = on_unauthorized, .on_older = on_older, .is_optional = is_optional,
				      .is_guarded = is_guarded, .confirm_us = confirm_us, .overdue_us = overdue_us};

	memset(&copy, 0, sizeof(copy));
	cr_assert_eq(reflector_new(loop, client, &conf, 0, &reflector), 0);
}

void start(void)
{
	(void)snprintf(path, sizeof(path), MAPS, w.ns);
	start_conf(path, false);
}

void setup_with(const char *const *args)
{
	world_start(&w, args);
	cr_assert_eq(loop_new(&loop), 0);
	client = world_client(&w, loop, w.api->token);
}

void setup(void)
{
	setup_with(NULL);
}

void setup_pages(void)
{
	static const char *const args[] = {"--no-watchlist", NULL};

	setup_with(args);
}

void teardown(void)
{
	reflector_free(reflector);
	kube_client_free(client);
	loop_free(loop);
	world_stop(&w);
}

void run_for(uint64_t us)
{
	uint64_t end = clock_boot_us() + us;

	while (clock_boot_us() < end)
		(void)loop_once(loop, 5000);
}

void put(unsigned i, unsigned v)
{
	char name[16], value[16];

	(void)snprintf(name, sizeof(name), "m%u", i);
	(void)snprintf(value, sizeof(value), "%u", v);
	json_t *body = config_map(name, "x", value);
	CLEANUP(free) char *p = str_printf(MAPS "/m%u", w.ns, i);
	int code = api_request(w.api, "GET", p, NULL, NULL);

	if (code == 404)
		want_code(&w, 201, "POST", body, MAPS, w.ns);
	else
		want_code(&w, 200, "PUT", body, MAPS "/m%u", w.ns, i);
}

void del(unsigned i)
{
	CLEANUP(free) char *p = str_printf(MAPS "/m%u", w.ns, i);

	(void)api_request(w.api, "DELETE", p, NULL, NULL); /* it may not be there */
}

void fault(const char *text)
{
	json_t *list = json_loads(text, 0, NULL);

	cr_assert(list, "%s", text);
	want_code(&w, 200, "POST", list, "/test/faults");
}

bool is_equal(void)
{
	json_t *list = want(&w, 200, "GET", NULL, MAPS, w.ns), *o;
	bool is_there[NAMES] = {false}, equal = true;
	size_t n;

	json_array_foreach (json_object_get(list, "items"), n, o) {
		const char *v = json_string_value(json_object_get(json_object_get(o, "data"), "v"));
		int i = index_of(json_string_value(json_object_get(json_object_get(o, "metadata"), "name")));

		if (i < 0)
			continue;
		is_there[i] = true;
		equal &= copy.objects[i].is_there && v && str_eq(copy.objects[i].v, v);
	}
	for (int i = 0; i < NAMES; i++)
		equal &= copy.objects[i].is_there == is_there[i];
	json_decref(list);
	return equal;
}

json_int_t n_lists(void)
{
	json_t *stats = want(&w, 200, "GET", NULL, "/test/stats");
	json_int_t n = json_integer_value(json_object_get(json_object_get(stats, "requests"), "list configmaps"));

	json_decref(stats);
	return n;
}

size_t n_objects(void)
{
	size_t n = 0;

	for (int i = 0; i < NAMES; i++)
		n += copy.objects[i].is_there;
	return n;
}
