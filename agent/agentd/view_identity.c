/* SPDX-License-Identifier: Apache-2.0 */
/* identity.list and identity.get: numbers, labels, and how many endpoints have each. */
#include "agentd/view.h"

#include <errno.h>
#include <stdlib.h>

#include "json/json.h"

/* One for each endpoint, however many addresses it has. */
struct user {
	uint32_t identity, owner;
};

struct users {
	ARRAY(struct user) all; /* sorted */
	int r;
};

static int note_user(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	struct users *u = arg;

	(void)ip;
	if (claim->identity < IDENTITY_CLUSTER_MIN || claim->identity >= IDENTITY_LOCAL_CIDR)
		return 0;
	u->r = ARRAY_ADD(&u->all, (struct user){claim->identity, claim->owner});
	return u->r;
}

static int user_cmp(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	if (x->identity != y->identity)
		return x->identity < y->identity ? -1 : 1;
	return (x->owner > y->owner) - (x->owner < y->owner);
}

static int find_users(const struct agent *a, struct users *u)
{
	size_t n = 0;

	(void)ipcache_each(a->world->addresses, note_user, u); /* stops early out of memory, which u->r says */
	ARRAY_SORT(&u->all, user_cmp);
	for (size_t i = 0; i < u->all.n; i++)
		if (i == 0 || user_cmp(&u->all.v[i], &u->all.v[n - 1]) != 0)
			u->all.v[n++] = u->all.v[i];
	u->all.n = n;
	return u->r;
}

/* By halves: a list asks for each identity. */
static size_t users_of(const struct users *u, uint32_t identity)
{
	size_t low = 0, high = u->all.n, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (u->all.v[middle].identity < identity)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < u->all.n && u->all.v[low + n].identity == identity)
		n++;
	return n;
}

static json_t *identity_json(const struct agent *a, const struct identity *id, const struct users *users)
{
	bool has_endpoints = id->number >= IDENTITY_CLUSTER_MIN && id->number < IDENTITY_LOCAL_CIDR;
	json_t *o = json_pack("{s:I, s:o, s:b}", "id", (json_int_t)id->number, "labels", view_labels(a, id->number), "reserved",
			      id->number < IDENTITY_CLUSTER_MIN);

	if (o && has_endpoints)
		(void)json_object_set_new(o, "endpoints", json_integer((json_int_t)users_of(users, id->number))); /* or missing */
	return o;
}

static int number_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int view_identity_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	CLEANUP(free) uint32_t *numbers = NULL;
	struct users users = {0};
	int r = view_need_world(a, reterr);
	size_t n;

	(void)args;
	if (r < 0)
		return r;
	n = identity_count(a->world->identities);
	numbers = calloc(n + 1, sizeof(*numbers));
	if (!numbers || find_users(a, &users) < 0) {
		ARRAY_DONE(&users.all);
		return err_set(reterr, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < n; i++)
		numbers[i] = identity_at(a->world->identities, i)->number;
	qsort(numbers, n, sizeof(*numbers), number_cmp);
	*ret = json_array();
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(*ret, identity_json(a, identity_get(a->world->identities, numbers[i]), &users)); /* or missing */
	ARRAY_DONE(&users.all);
	return 0;
}

int view_identity_get(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	json_int_t number = json_int(args, "id", -1);
	const struct identity *id;
	struct users users = {0};
	int r = view_need_world(a, reterr);

	if (r < 0)
		return r;
	id = number > 0 && number <= UINT32_MAX ? identity_get(a->world->identities, (uint32_t)number) : NULL;
	if (!id)
		return err_set(reterr, ENOENT, "identity %lld is not known to this host", (long long)number);
	r = find_users(a, &users);
	*ret = r < 0 ? NULL : identity_json(a, id, &users);
	ARRAY_DONE(&users.all);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}
