/* SPDX-License-Identifier: Apache-2.0 */
/* On which TCP ports this machine takes logins by SSH, as far as the caller may see. */
#pragma once

#include <stdint.h>

#include "base/array.h"
#include "base/cleanup.h"

struct ssh_ports {
	ARRAY(uint16_t) list; /* in order, each once */
};

void ssh_ports_done(struct ssh_ports *p);
DEFINE_CLEANUP_DONE(struct ssh_ports, ssh_ports_done)

/*
 * Adds those on which processes by the name of sshd listen, but for loopback addresses, where it forwards for those who have
 * logged in. `proc` is "/proc". Without the rights to look into a process, its ports are missing. 0 or -ENOMEM.
 */
int ssh_ports_of_processes(const char *proc, struct ssh_ports *p);

/* Adds those on which systemd listens for it, which is the only one to do so until the first login. 0 or -ENOMEM. */
int ssh_ports_of_systemd(struct ssh_ports *p);

/* The port of "[::]:22", as systemd writes it; 0 for an address of loopback, and for what is none. */
uint16_t ssh_port_of(const char *listen);
