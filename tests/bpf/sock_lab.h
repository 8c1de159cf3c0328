/* SPDX-License-Identifier: Apache-2.0 */
/* The socket programs in a cgroup and a network namespace of this process alone, and sockets to try them with. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "bpf/harness.h"
#include "bpf/lab.h"

struct sock_lab {
	struct lab lab;
	struct harness h;
	char pin[128];
	char group[160];
};

/* Attaches the programs, services in force, and moves the process there. Exits with 77 and a reason if it cannot. */
void sock_lab_open(struct sock_lab *l);
void sock_lab_close(struct sock_lab *l);

struct sockaddr_in6 sa6(const char *addr, uint16_t port);
struct sockaddr_in sa4(const char *addr, uint16_t port);

/* Reads give up after half a second. */
int make_socket(int family, int type);
/* A server on [::] that takes IPv4 as well. */
int serve(int type, const char *addr, uint16_t port);

/* Entries of the maps. */
struct mesh_svc_key svc_key(const char *addr, uint16_t port, uint8_t proto);
void service(struct sock_lab *l, const char *addr, uint16_t port, uint8_t proto, struct mesh_svc v);
void slot(struct sock_lab *l, uint32_t set, uint32_t index, const char *addr, uint16_t port, uint32_t backend);
void unslot(struct sock_lab *l, uint32_t set, uint32_t index);
