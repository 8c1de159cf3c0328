/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upstream DNS server of one file: story_dns ADDRESS FILE, on UDP port 53. The file, read anew for
 * every query, has lines "name ttl address"; other names do not exist. A line "lower": it repeats questions in lower case.
 * Prints each name it is asked for.
 * And a program that asks a server of its own choice: story_dns ask ADDRESS NAME udp|connected|tcp prints
 * "RCODE address from address:port", the last as the program sees its peer; it waits for eight seconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ip.h"
#include "dns/dns_answer.h"
#include "dns/dns_case.h"
#include "dns/dns_msg.h"
#include "dns/dns_sock.h"

enum { PORT = 53 };

/* Adds the records of the name; false if the file has no such name. Says if the file has the line "lower". */
static bool answer(const char *path, const struct dns_query *q, struct dns_writer *w, bool *ret_lower)
{
	char line[512], text[300], address[64];
	FILE *f = fopen(path, "re");
	bool is_known = false;
	unsigned ttl_s;

	while (f && fgets(line, sizeof(line), f)) {
		struct dns_name name;
		struct ip ip;

		*ret_lower |= strcmp(line, "lower\n") == 0;
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

static size_t make_question(const char *text, uint8_t buf[DNS_UDP_MIN])
{
	static const uint8_t head[DNS_HEADER_LEN] = {0x12, 0x34, 1, 0, 0, 1}, tail[4] = {0, DNS_A, 0, DNS_CLASS_IN};
	struct dns_name name;

	if (dns_name_parse(text, &name) < 0)
		return 0;
	memcpy(buf, head, sizeof(head));
	memcpy(buf + sizeof(head), name.b, name.len);
	memcpy(buf + sizeof(head) + name.len, tail, sizeof(tail));
	return sizeof(head) + name.len + sizeof(tail);
}

static int print_reply(const uint8_t *msg, size_t len, const struct sockaddr_storage *peer)
{
	char text[DNS_ADDR_STRLEN], ip_text[IP_STRLEN];
	struct ip ips[8], from;
	uint32_t ttl_s;
	uint16_t port;
	size_t n = 0;

	if (dns_answer_read(msg, len, ips, 8, &n, &ttl_s) < 0)
		return 1;
	from = dns_sockaddr_ip(peer, &port);
	(void)printf("%s %s from %s\n", dns_rcode_str(msg[3] & 0xf), n ? ip_str(&ips[0], ip_text) : "-",
		     dns_addr_str(&from, port, text));
	return 0;
}

static int ask(const char *address, const char *name, const char *how)
{
	bool is_tcp = strcmp(how, "tcp") == 0, is_connected = strcmp(how, "udp") != 0;
	struct timeval patience = {.tv_sec = 8};
	uint8_t msg[2 + DNS_UDP_MAX], question[2 + DNS_UDP_MIN];
	struct sockaddr_storage to, peer;
	socklen_t len, peer_len = sizeof(peer);
	struct ip server;
	size_t n, skip = is_tcp ? 2 : 0;
	ssize_t got;
	int fd;

	n = make_question(name, question + 2);
	if (n == 0 || ip_parse(address, &server) < 0)
		return 2;
	len = dns_sockaddr_set(&to, &server, PORT);
	question[0] = (uint8_t)(n >> 8);
	question[1] = (uint8_t)n;
	fd = socket(to.ss_family, (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return 1;
	if (is_connected && connect(fd, (struct sockaddr *)&to, len) < 0) {
		(void)printf("not connected\n");
		return 0;
	}
	if (sendto(fd, question + 2 - skip, n + skip, 0, is_connected ? NULL : (struct sockaddr *)&to,
		   is_connected ? 0 : len) < 0)
		return 1;
	got = recvfrom(fd, msg, sizeof(msg), 0, (struct sockaddr *)&peer, &peer_len);
	if (is_connected && getpeername(fd, (struct sockaddr *)&peer, &(socklen_t){sizeof(peer)}) < 0)
		return 1;
	if (got <= (ssize_t)skip) {
		(void)printf("no answer\n");
		return 0;
	}
	return print_reply(msg + skip, (size_t)got - skip, &peer);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage sa;
	socklen_t len;
	struct ip own;
	int fd;

	if (argc == 5 && strcmp(argv[1], "ask") == 0)
		return ask(argv[2], argv[3], argv[4]);
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
		bool is_lower = false;
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
		size = dns_writer_end(&w, answer(argv[2], &q, &w, &is_lower) ? DNS_NOERROR : DNS_NXDOMAIN, DNS_FLAG_RA);
		if (is_lower)
			dns_case_lower(out + DNS_HEADER_LEN);
		(void)sendto(fd, out, size, 0, (struct sockaddr *)&sa, len);
	}
}
