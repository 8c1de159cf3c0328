/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolv_conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/macro.h"

static const char HOST_FILE[] = "/etc/resolv.conf";

/* Where resolvers on this host leave what they ask themselves. */
static const char *const behind[] = {
	"/run/systemd/resolve/resolv.conf",
	"/run/NetworkManager/no-stub-resolv.conf",
};

int resolv_conf_each_in(const char *path, resolv_conf_fn fn, void *arg)
{
	CLEANUP(buf_done) struct buf text = {0};
	char *save, *line;
	int r = file_read(path, LIMIT_CONFIG_BYTES, &text);

	if (r < 0)
		return r == -ENOMEM ? r : 0; /* a host without resolver needs none */
	for (line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char address[IP_STRLEN];
		struct ip ip;

		if (sscanf(line, " nameserver %45s", address) != 1)
			continue;
		address[strcspn(address, "%")] = '\0'; /* the interface of a link-local one */
		if (ip_parse(address, &ip) < 0)
			continue;
		r = fn(&ip, arg);
		if (r)
			return r;
	}
	return 0;
}

int resolv_conf_each(resolv_conf_fn fn, void *arg)
{
	return resolv_conf_each_in(HOST_FILE, fn, arg);
}

static int is_here(const struct ip *ip, void *arg)
{
	(void)arg;
	return ip_is_loopback(ip);
}

int resolv_conf_each_behind(resolv_conf_fn fn, void *arg)
{
	int r = resolv_conf_each_in(HOST_FILE, fn, arg), has_stub = r == 0 ? resolv_conf_each_in(HOST_FILE, is_here, NULL) : 0;

	for (size_t i = 0; r == 0 && has_stub > 0 && i < ARRAY_LEN(behind); i++)
		r = resolv_conf_each_in(behind[i], fn, arg);
	return r < 0 ? r : has_stub < 0 ? has_stub : r;
}

static uint64_t stamp_of(const char *path)
{
	struct stat st;
	uint64_t v[3] = {0};

	if (stat(path, &st) == 0) {
		v[0] = (uint64_t)st.st_ino;
		v[1] = (uint64_t)st.st_mtim.tv_sec;
		v[2] = (uint64_t)st.st_mtim.tv_nsec;
	}
	return hash_bytes(v, sizeof(v));
}

uint64_t resolv_conf_stamp(void)
{
	uint64_t stamp = stamp_of(HOST_FILE);

	for (size_t i = 0; i < ARRAY_LEN(behind); i++)
		stamp = stamp * 31 + stamp_of(behind[i]);
	return stamp;
}
