/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upstream DNS server of one file: story_dns ADDRESS FILE, on UDP port 53. The file, read anew for
 * every query, has lines "name ttl address"; other names do not exist. Prints each name it is asked for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ip.h"
#include "dns/dns_msg.h"
#include "dns/dns_sock.h"

enum { PORT = 53 };

/* Adds the records of the name; false if the file has no such name. */
static bool answer(const char *path, const struct dns_query *q, struct dns_writer *w)
{
	char line[512], text[300], address[64];
	FILE *f = fopen(path, "re");
	bool is_known = false;
	unsigned ttl_s;

	while (f && fgets(line, sizeof(line), f)) {
		struct dns_name name;
		struct ip ip;

		if (sscanf(line, "%299s %u %63s", text, &ttl_s, address) != 3 || dns_name_parse(text, &name) < 0 ||
		    ip_parse(address, &ip) < 0 || !dns_name_eq(&name, &q->name))
			continue;
		is_known = true;
		if (q->qtype == (ip.family == AF_INET ? DNS_A : DNS_AAAA))
			(void)dns_put_ip(w, DNS_ANSWER, &q->name, ttl_s, &ip);
	}
	if (f)
		(void)fclose(f);
	return is_known;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage sa;
	socklen_t len;
	struct ip own;
	int fd;

	if (argc != 3 || ip_parse(argv[1], &own) < 0)
		return 2;
	len = dns_sockaddr_set(&sa, &own, PORT);
	fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0) {
		perror("story_dns");
		return 1;
	}
	for (;;) {
		uint8_t in[2048], out[DNS_UDP_MAX + 64];
		char text[DNS_TEXT_MAX];
		struct dns_writer w;
		struct dns_query q;
		ssize_t n;
		size_t size;

		len = sizeof(sa);
		n = recvfrom(fd, in, sizeof(in), 0, (struct sockaddr *)&sa, &len);
		if (n < 0 && errno != EINTR)
			return 1;
		if (n < 0 || dns_query_parse(in, (size_t)n, &q) < 0)
			continue;
		(void)printf("%s\n", dns_name_str(&q.name, text));
		(void)fflush(stdout);
		dns_writer_begin(&w, &q, out, DNS_UDP_MAX, DNS_UDP_MAX);
		size = dns_writer_end(&w, answer(argv[2], &q, &w) ? DNS_NOERROR : DNS_NXDOMAIN, DNS_FLAG_RA);
		(void)sendto(fd, out, size, 0, (struct sockaddr *)&sa, len);
	}
}
