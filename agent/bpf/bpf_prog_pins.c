/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_prog_pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "bpf/bpf_dir.h"

#define PREFIX "prog-"

int bpfpins_key(const struct bpfobj *o, const struct bpf_object_skeleton *s, uint32_t options, char ret[BPFPINS_KEY_LEN])
{
	struct {
		uint8_t elf[SHA256_DIGEST_LENGTH];
		uint32_t options;
		uint32_t maps[BPFOBJ_MAPS]; /* 0 = not of this object */
	} all = {.options = options};
	uint8_t sum[SHA256_DIGEST_LENGTH];

	ret[0] = '\0';
	if (!o->pin_dir[0])
		return -ENOENT;
	for (unsigned i = 0; i < BPFOBJ_MAPS; i++) {
		const struct bpf_map *map = bpf_object__find_map_by_name(*s->obj, bpfobj_map_name((enum bpfobj_map)i));
		struct bpf_map_info info = {0};
		uint32_t len = sizeof(info);
		int r;

		if (!map)
			continue;
		if (bpf_map__fd(map) < 0)
			return -ENOENT;
		r = bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &len);
		if (r < 0)
			return r;
		all.maps[i] = info.id;
	}
	SHA256(s->data, s->data_sz, all.elf);
	SHA256((const uint8_t *)&all, sizeof(all), sum);
	for (size_t i = 0; i < BPFPINS_KEY_LEN / 2; i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", sum[i]); /* fits */
	return 0;
}

static int pin_path(const struct bpfobj *o, enum bpfobj_prog prog, const char *key, char path[PATH_MAX])
{
	char name[sizeof(PREFIX) + 12 + BPFPINS_KEY_LEN];

	(void)snprintf(name, sizeof(name), PREFIX "%u-%s", (unsigned)prog, key); /* fits */
	return bpfobj_pin_path(o, name, path, PATH_MAX);
}

/* The kernel cuts names. */
static bool is_named(const struct bpf_prog_info *info, const char *name)
{
	return info->name[0] && strncmp(info->name, name, sizeof(info->name) - 1) == 0;
}

/* A descriptor, or -errno. */
static int open_pin(const struct bpfobj *o, enum bpfobj_prog prog, const char *key)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	CLEANUP(close_fd) int fd = -1;
	char path[PATH_MAX];
	int r = pin_path(o, prog, key, path);

	if (r < 0)
		return r;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd;
	r = bpf_obj_get_info_by_fd(fd, &info, &len); /* of a map or link it does not fill in a program's name */
	if (r < 0)
		return r;
	return is_named(&info, bpfobj_prog_name(prog)) ? TAKE_FD(fd) : -EEXIST;
}

bool bpfpins_take_up(struct bpfobj *o, const struct bpfpins_group *g, const char *key)
{
	if (!key[0])
		return false;
	for (size_t i = 0; i < g->n_progs; i++) {
		int fd = open_pin(o, g->progs[i], key);

		if (fd < 0) {
			while (i-- > 0)
				close_fd(TAKE_FD(o->prog_fds[g->progs[i]]));
			return false;
		}
		o->prog_fds[g->progs[i]] = fd;
	}
	return true;
}

void bpfpins_keep(const struct bpfobj *o, const struct bpfpins_group *g, const char *key)
{
	char path[PATH_MAX];

	for (size_t i = 0; key[0] && i < g->n_progs; i++)
		if (pin_path(o, g->progs[i], key, path) == 0 && (unlink(path) == 0 || errno == ENOENT))
			(void)bpf_obj_pin(o->prog_fds[g->progs[i]], path); /* the next process has it verified */
}

static bool has_key(const char *name, const char (*keys)[BPFPINS_KEY_LEN], size_t n)
{
	const char *key = strrchr(name, '-');

	for (size_t i = 0; i < n; i++)
		if (str_eq(key + 1, keys[i]))
			return true;
	return false;
}

void bpfpins_drop_others(const struct bpfobj *o, const char (*keys)[BPFPINS_KEY_LEN], size_t n)
{
	struct dirent *e;
	DIR *d;

	if (!o->pin_dir[0] || bpfdir_open(o->pin_dir, &d) < 0)
		return;
	while ((e = readdir(d)))
		if (str_has_prefix(e->d_name, PREFIX) && !has_key(e->d_name, keys, n))
			(void)unlinkat(dirfd(d), e->d_name, 0); /* it only takes memory */
	(void)closedir(d); /* only fails for a bad stream */
}
