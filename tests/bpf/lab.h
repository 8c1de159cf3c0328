/* SPDX-License-Identifier: Apache-2.0 */
/* A mount and two network namespaces of this process alone: they vanish with it, whatever happens. */
#pragma once

struct lab {
	char dir[64]; /* holds bpf/ and cgroup/ file systems */
	char bpf[80];
	char cgroup[80];
	int host_ns; /* where the datapath runs; the process is there after lab_open() */
	int peer_ns;
};

/* Exits with 77 and a reason where namespaces or the bpf file system cannot be had. */
void lab_open(struct lab *l);
void lab_close(struct lab *l);

/* Moves the process. */
void lab_enter(int ns);

/*
 * A program of somebody else that lets every packet pass, as the first on an interface: by tcx, which the kernel must have. Its
 * link, which it stays by; *ret_id is the program's number.
 */
int lab_attach_before(int ifindex, unsigned dir, unsigned *ret_id);

/* Runs a command; a failure ends the test. */
void lab_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A UDP socket of the current namespace, bound; reads give up after 300 ms. */
int lab_udp(const char *addr, unsigned short port);
/* Bytes received, or -1 if nothing came. */
long lab_recv(int fd, void *buf, unsigned long size);
void lab_send(int fd, const char *addr, unsigned short port, const void *data, unsigned long len);

/* A TCP connection; a failure ends the test. */
struct sockaddr_in;
int lab_tcp(const struct sockaddr_in *to);
