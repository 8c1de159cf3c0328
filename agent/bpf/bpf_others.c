/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_others.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/str.h"
#include "bpf/bpf_dir.h"
#include "bpf/bpf_map.h"
#include "bpf/bpf_private.h"
#include "bpf/bpf_remote.h"

enum { BATCH = 512, VALUE_MAX = 256 };

typedef int (*other_fn)(const char *dir, void *arg);

/* "v7" */
static bool is_version(const char *name)
{
	uint64_t n;

	return name[0] == 'v' && str_to_u64(name + 1, UINT32_MAX, &n) == 0;
}

/* Calls fn for the pin directory of every other version, even after a failure. How many it did; or the first -errno, with text. */
static int each_other(const struct bpfobj *o, other_fn fn, void *arg, struct err *reterr)
{
	CLEANUP(free) char *root = str_printf("%s", bpfobj_pin_dir(o));
	char *own = root ? strrchr(root, '/') : NULL;
	int first = 0, n = 0;
	struct dirent *e;
	DIR *d;

	if (!root)
		return -ENOMEM;
	if (!own || !is_version(own + 1))
		return 0;
	*own++ = '\0';
	first = bpfdir_open(root, &d);
	if (first < 0)
		return err_set(reterr, -first, "%s: %s", root, err_name(first));
	while ((e = readdir(d))) {
		CLEANUP(free) char *dir = NULL;
		int r;

		if (!is_version(e->d_name) || str_eq(e->d_name, own))
			continue;
		dir = str_printf("%s/%s", root, e->d_name);
		r = dir ? fn(dir, arg) : -ENOMEM;
		if (r < 0 && first == 0)
			first = err_set(reterr, -r, "%s/%s: %s", root, e->d_name, err_name(r));
		n += r == 0;
	}
	(void)closedir(d); /* only fails for a bad stream */
	return first ? first : n;
}

/* Flows */

struct adoption {
	const struct bpfobj *obj;
	uint32_t generation;
	enum bpfobj_map map;
	size_t key_size, value_size;
	size_t n;
};

static int adopt_entry(struct adoption *a, const void *key, const void *value)
{
	struct mesh_ct old = {0}, e;
	int r;

	memcpy(&old, value, MIN(a->value_size, sizeof(old)));
	/* Numbers of nodes and rules are those of the other version's tables. */
	e = (struct mesh_ct){.expires = old.expires, .generation = a->generation, .peer = old.peer, .flags = old.flags, .tcp = old.tcp};
	r = bpfmap_add(a->obj, a->map, key, &e);
	a->n += r == 0;
	return r == -EEXIST ? 0 : r;
}

static int adopt_map(struct adoption *a, int fd)
{
	CLEANUP(free) unsigned char *keys = calloc(BATCH, a->key_size), *values = calloc(BATCH, a->value_size);
	union { /* the kernel's position: a number, for hash tables */
		uint32_t hash;
		unsigned char key[64];
	} at;
	void *from = NULL;
	int r;

	if (!keys || !values)
		return -ENOMEM;
	do {
		uint32_t n = BATCH;

		r = bpf_map_lookup_batch(fd, from, &at, keys, values, &n, NULL);
		if (r < 0 && r != -ENOENT) /* the last one says so, with what it found */
			return r;
		for (uint32_t i = 0; i < n; i++) {
			int e = adopt_entry(a, keys + i * a->key_size, values + i * a->value_size);

			if (e < 0)
				return e;
		}
		from = &at;
	} while (r == 0);
	return 0;
}

/* 0 also if there is no such table, or one that cannot be understood. */
static int adopt_pinned(struct adoption *a, const char *dir)
{
	CLEANUP(free) char *path = str_printf("%s/%s", dir, bpfobj_map_name(a->map));
	struct bpf_map_info info = {0}, own = {0};
	uint32_t len = sizeof(info), own_len = sizeof(own);
	CLEANUP(close_fd) int fd = -1;
	int r;

	if (!path)
		return -ENOMEM;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (r == 0)
		r = bpf_obj_get_info_by_fd(bpfobj_map_fd(a->obj, a->map), &own, &own_len);
	if (r < 0)
		return r;
	if (info.type != own.type || info.key_size != own.key_size || info.value_size < offsetof(struct mesh_ct, tcp) ||
	    info.value_size > VALUE_MAX)
		return 0;
	a->key_size = info.key_size;
	a->value_size = info.value_size;
	return adopt_map(a, fd);
}

static int adopt_version(const char *dir, void *arg)
{
	struct adoption *a = arg;
	int r;

	a->map = BPFOBJ_CT4;
	r = adopt_pinned(a, dir);
	a->map = BPFOBJ_CT6;
	return r < 0 ? r : adopt_pinned(a, dir);
}

int bpfothers_adopt_flows(const struct bpfobj *o, uint32_t generation, size_t *ret_n)
{
	struct adoption a = {.obj = o, .generation = generation};
	int r;

	if (o->is_remote)
		return bpfremote_adopt(generation, ret_n);
	r = each_other(o, adopt_version, &a, NULL);
	*ret_n = a.n;
	return r < 0 ? r : 0;
}

/* What they enforce, and its end */

static int look_at_version(const char *dir, void *arg)
{
	CLEANUP(free) char *path = str_printf("%s/%s", dir, bpfobj_map_name(BPFOBJ_CONFIG));
	union {
		uint64_t state; /* which mesh_config begins with */
		unsigned char value[1024];
	} config = {0};
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), zero = 0;
	CLEANUP(close_fd) int fd = -1;

	if (!path)
		return -ENOMEM;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd;
	/* another type has a value for each processor */
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == BPF_MAP_TYPE_ARRAY && info.key_size == sizeof(zero) && info.value_size <= sizeof(config) &&
	    bpf_map_lookup_elem(fd, &zero, &config) == 0 && config.state & MESH_STATE_ACTIVE)
		*(bool *)arg = true;
	return 0;
}

bool bpfothers_in_force(const struct bpfobj *o)
{
	bool is_in_force = false;

	if (o->is_remote)
		return bpfremote_others_in_force();
	(void)each_other(o, look_at_version, &is_in_force, NULL); /* what cannot be read is not in force */
	return is_in_force;
}

/* Detaches every link of a pin directory and removes it. */
static int remove_version(const char *dir, void *arg)
{
	struct dirent *e;
	DIR *d;
	int r, first = bpfdir_open(dir, &d);

	(void)arg;
	if (first < 0)
		return first;
	while ((e = readdir(d))) {
		CLEANUP(free) char *path = NULL;

		if (e->d_name[0] == '.')
			continue;
		path = str_printf("%s/%s", dir, e->d_name);
		r = path ? bpfattach_remove_link(path) : -ENOMEM; /* detaching what is no link does nothing */
		if (r < 0 && !first)
			first = r;
	}
	(void)closedir(d); /* only fails for a bad stream */
	if (rmdir(dir) < 0 && !first)
		first = -errno;
	return first;
}

int bpfothers_remove(const struct bpfobj *o, struct err *reterr)
{
	return o->is_remote ? bpfremote_remove_others(reterr) : each_other(o, remove_version, NULL, reterr);
}
