/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/agent.h"

#include "base/file.h"

enum { DNS_PORT = 53, UPSTREAMS_MAX = 8 };

#define CLUSTER_ZONE "cluster.local"

static size_t read_upstreams(const struct conf *conf, struct dns_upstream v[UPSTREAMS_MAX])
{
	CLEANUP(buf_done) struct buf text = {0};
	char *save, *line;
	size_t n = 0;

	for (size_t i = 0; i < conf->dns.upstreams.n && n < UPSTREAMS_MAX; i++)
		v[n++] = (struct dns_upstream){.ip = conf->dns.upstreams.v[i], .port = DNS_PORT};
	if (n || file_read("/etc/resolv.conf", LIMIT_CONFIG_BYTES, &text) < 0 || !text.len)
		return n;
	for (line = strtok_r(text.data, "\n", &save); line && n < UPSTREAMS_MAX; line = strtok_r(NULL, "\n", &save)) {
		char address[IP_STRLEN];
		bool is_own = false;
		struct ip ip;

		if (sscanf(line, " nameserver %45s", address) != 1 || ip_parse(address, &ip) < 0)
			continue;
		for (size_t i = 0; i < conf->dns.listen.n; i++)
			is_own = is_own || ip_eq(&conf->dns.listen.v[i], &ip);
		if (!is_own)
			v[n++] = (struct dns_upstream){.ip = ip, .port = DNS_PORT};
	}
	return n;
}

int names_start(struct agent *a, struct err *reterr)
{
	struct dns_upstream upstreams[UPSTREAMS_MAX];
	struct dns_server_options opt = {.cache_entries = (size_t)a->conf->dns.cache_size};
	struct dns_zone_options zone = {.apex = CLUSTER_ZONE, .ns_ips = a->conf->dns.listen.v,
					.n_ns_ips = a->conf->dns.listen.n};
	struct dns_provider forward, reverse;
	int r;

	opt.forward.upstreams = upstreams;
	opt.forward.n_upstreams = read_upstreams(a->conf, upstreams);
	r = dns_zone_new(a->world->services, &zone, &a->zone, reterr);
	if (r == 0)
		r = dns_server_new(a->loop, &opt, &a->dns);
	if (r < 0)
		return r;
	dns_zone_provider(a->zone, &forward, &reverse);
	r = dns_server_add_provider(a->dns, &forward);
	if (r == 0)
		r = dns_server_add_provider(a->dns, &reverse);
	for (size_t i = 0; r == 0 && i < a->conf->dns.listen.n; i++)
		r = dns_server_listen(a->dns, &a->conf->dns.listen.v[i], (uint16_t)a->conf->dns.port, NULL, reterr);
	return r;
}
