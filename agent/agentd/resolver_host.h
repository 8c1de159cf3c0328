/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What manages /etc/resolv.conf, as far as files tell, and which way of making the host's resolver ask the agent changes the
 * least there. Nothing is changed here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

#define RESOLVER_CONF	"/etc/resolv.conf"
#define RESOLVER_BACKUP "/etc/resolv.conf.mesh-external-agent" /* the file of before */
#define RESOLVER_MARK	"# mesh-external-agent: "		       /* begins a file of ours */
#define RESOLVER_RECORD "lo.mesh"				       /* our record in resolvconf: "lo." comes first there */
#define RESOLVER_PRIVATE "mesh-names"				       /* the private one in openresolv: with its metric it comes last */

enum resolver_kind {
	RESOLVER_FILE,	     /* a file, written by an admin or a DHCP client */
	RESOLVER_STUB,	     /* systemd-resolved answers */
	RESOLVER_UPLINKS,    /* systemd-resolved writes the file, but programs ask the servers themselves */
	RESOLVER_NM,	     /* NetworkManager writes the file, the same */
	RESOLVER_NM_DNSMASQ, /* NetworkManager's dnsmasq answers */
	RESOLVER_RESOLVCONF, /* that of Debian writes the file */
	RESOLVER_OPENRESOLV, /* the other resolvconf */
	RESOLVER_AGENT,	     /* a file that names the agent first, by somebody's own hand */
	RESOLVER_LOCAL,	     /* some resolver of this host answers */
	RESOLVER_OTHER,	     /* a symbolic link to a file of somebody else, or no file at all */
};

struct resolver_host {
	enum resolver_kind kind;
	bool is_ours;	  /* the file is the one that resolver_file.c wrote */
	bool has_local;	  /* its first server is on this host */
	char fixed[96];	  /* why the file cannot be replaced; "" = it can */
	char target[256]; /* of the symbolic link that it is; "" = it is none */
};

/* `root` comes before all paths, "" for this host; `listen` are the addresses of the agent. */
void resolver_host_read(const char *root, const struct ip *listen, size_t n, struct resolver_host *ret);

/* What was found, for a person. Static. */
const char *resolver_kind_text(enum resolver_kind kind);

enum resolver_method {
	RESOLVER_LEAVE,	     /* nothing is to be done */
	RESOLVER_BY_LINK,    /* systemd-resolved is told of a delegate or of a link: resolver_delegate.h, resolved.h */
	RESOLVER_BY_NM,	     /* a connection of NetworkManager: resolver_nm.h */
	RESOLVER_BY_PROGRAM, /* a record of resolvconf: resolver_program.h */
	RESOLVER_BY_FILE,    /* the first line of /etc/resolv.conf: resolver_file.h */
};

/* "none", "systemd-resolved", ... as in the output of meshctl. Static. */
const char *resolver_method_name(enum resolver_method method);

/*
 * The way for what is there, as dns.host-resolver in mesh-external-agent.conf(5) has it. For RESOLVER_LEAVE *ret_why says
 * to a person why, and what to do; it lasts as `h` does, and is NULL if it is off.
 */
enum resolver_method resolver_choose(const struct resolver_host *h, enum conf_resolver want, const char **ret_why);

/* Whether it asks the agent for the names of the cluster and no others. */
bool resolver_is_splitting(const struct resolver_host *h, enum resolver_method method);
