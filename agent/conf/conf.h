/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file: libconfig text, checked against one table of keys (conf_schema.c), into a
 * struct that nobody changes afterwards. A reload builds a second one; the first stays if it fails.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"

#define CONF_DEFAULT_PATH MESH_SYSCONFDIR "/mesh-external-agent/mesh-external-agent.conf"

enum conf_attach { CONF_ATTACH_AUTO, CONF_ATTACH_CLSACT };
/* Whether a kind of address of services is translated; auto: as Cilium does in this cluster. */
enum conf_translate { CONF_TRANSLATE_AUTO, CONF_TRANSLATE_ON, CONF_TRANSLATE_OFF };
enum conf_end { CONF_END_NONE, CONF_END_UDP, CONF_END_ALL };
/* How the host's resolver is made to ask the agent. */
enum conf_resolver {
	CONF_RESOLVER_OFF,
	CONF_RESOLVER_SPLIT, /* as AUTO, but only where it asks for the names of the cluster and no others */
	CONF_RESOLVER_AUTO,  /* as what is found there needs it */
	CONF_RESOLVER_RESOLVED,
	CONF_RESOLVER_NETWORKMANAGER,
	CONF_RESOLVER_RESOLVCONF,
	CONF_RESOLVER_FILE,
};
enum conf_boot { CONF_BOOT_LAST, CONF_BOOT_CLOSED, CONF_BOOT_OPEN };
enum conf_revoked { CONF_REVOKED_ENFORCE, CONF_REVOKED_STAND_DOWN };

/* One member of the failsafe set. */
struct conf_failsafe {
	uint8_t protocol;   /* IPPROTO_*; 0 = any */
	uint16_t port;	    /* destination port; 0 = any */
	struct cidr cidr;   /* of the peer; family 0 = everywhere, both families */
};

struct conf_named_port {
	char name[16]; /* IANA service name: 15 characters */
	uint16_t port;
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
};

enum conf_probe_type { CONF_PROBE_TCP, CONF_PROBE_HTTP, CONF_PROBE_EXEC, CONF_PROBE_UNIT };

/* How to learn whether this host can take connections of a Service. */
struct conf_probe {
	char *service; /* name; "*" = every Service that this host stands behind */
	enum conf_probe_type type;
	struct ip address;  /* of tcp and http; family 0 = each address that is published */
	uint16_t port;	    /* of tcp and http */
	char port_name[16]; /* from named-ports; "" = given as a number */
	bool is_tls;	    /* of http: https, the certificate is not looked at */
	char *path;	    /* of http; NULL for others, as the next two */
	char *unit;
	struct strv command; /* of exec: absolute path and arguments */
	uint16_t interval_s, timeout_s;
	uint16_t successes, failures; /* in a row, to count as ready, as not ready */
};

/* Copies with all it owns; `to` need not be set. 0 or -ENOMEM, then `to` is empty. */
int conf_probe_copy(const struct conf_probe *from, struct conf_probe *to);
void conf_probe_done(struct conf_probe *p);

/* A port of this host whose connections go to a Service of its namespace. TCP. */
struct conf_forward {
	struct ip address; /* family 0 = all of this host, both families */
	uint16_t port;
	char *service;
	uint16_t service_port;
};

struct conf {
	char *state_dir;      /* credentials and what join wrote */
	char *runtime_dir;    /* control socket */
	char *bpf_root;	      /* pinned programs and maps */
	char *cgroup_root;    /* where socket programs attach */
	char *control_socket; /* never empty after loading */
	char *control_group;  /* "" = root only */
	char *tunnel_device;
	char *zone;		  /* "" = none */
	struct strv interfaces;   /* empty = automatic */
	ARRAY(struct ip) addresses; /* empty = automatic */
	ARRAY(struct conf_named_port) named_ports;
	ARRAY(struct conf_probe) probes;
	ARRAY(struct conf_forward) forwards;
	int log_level; /* LOG_* of syslog.h */
	uint64_t mtu;  /* bytes; 0 = automatic */
	uint64_t drain_time_s;
	enum conf_revoked revoked_action;
	bool has_policy_audit; /* policies are computed and told, but drop nothing */

	struct {
		bool is_enabled;
		bool has_automatic; /* DNS to the resolvers */
		ARRAY(struct conf_failsafe) inbound;
		ARRAY(struct conf_failsafe) outbound;
	} failsafe;
	struct {
		bool is_enabled;
		ARRAY(struct ip) listen;
		uint64_t port;
		ARRAY(struct ip) upstreams; /* empty = from /etc/resolv.conf */
		ARRAY(struct cidr) reverse; /* whose reverse names are the cluster's */
		uint64_t cache_size;	    /* answers */
		enum conf_resolver host_resolver;
	} dns;
	struct {
		enum conf_translate load_balancers, node_ports; /* beside ClusterIPs */
		bool has_external_ips;
		enum conf_end end_connections; /* to backends that vanished */
	} services;
	struct {
		enum conf_attach attach;
		bool has_backstop;
		enum conf_boot boot; /* what is in force from a boot to the first complete lists */
		uint64_t ct_max_entries;
		uint64_t ipcache_max_entries;
		uint64_t policy_max_entries;
		uint64_t service_max_entries;
		uint64_t backend_max_entries;
		uint64_t affinity_max_entries;
	} datapath;
	struct {
		uint64_t rate;	/* events a second and CPU */
		uint64_t burst; /* events at once */
	} monitor;
};

/*
 * Reads and checks the file. A missing file is an error (-ENOENT): packages install one. -EINVAL
 * with file, line, key and what is allowed; -E2BIG past LIMIT_CONFIG_BYTES; -ENOMEM; errno of open().
 */
int conf_load(const char *path, struct conf **ret, struct err *reterr);

/*
 * What a program reads that was told of a file, or of none (NULL): then CONF_DEFAULT_PATH, and the defaults if that is not
 * there, since every key is optional. Errors as conf_load().
 */
int conf_load_or_default(const char *path, struct conf **ret, struct err *reterr);

/* Same from memory; `name` stands for the file in messages. "" gives the defaults. */
int conf_parse(const char *text, size_t len, const char *name, struct conf **ret, struct err *reterr);

void conf_free(struct conf *c);
DEFINE_CLEANUP(struct conf *, conf_free)

/*
 * Names of keys whose value differs between two configurations: those that a reload can change and
 * those that need a restart. 0 or -ENOMEM.
 */
int conf_changed(const struct conf *from, const struct conf *to, struct strv *ret_live,
		 struct strv *ret_restart);

/*
 * Puts the values of all keys that a reload can change into `to`, which stays at its address; `from`
 * gets the old ones.
 */
void conf_swap_live(struct conf *to, struct conf *from);

/* The table of keys, for documentation checks and `meshctl config show`. */
size_t conf_key_count(void);
const char *conf_key_name(size_t i);	/* "dns.port" */
const char *conf_key_doc(size_t i);	/* one line */
const char *conf_key_default(size_t i); /* in the syntax of the file */
bool conf_key_is_restart(size_t i);	/* a reload cannot change it */
/* What values the key takes, in words: "true or false", "0 to 65535". `buf` must be empty. */
int conf_key_allowed(size_t i, struct buf *buf);
/* The key's value in `c`, in the syntax of the file. 0, -ENOMEM. `buf` must be empty. */
int conf_key_value(const struct conf *c, size_t i, struct buf *buf);
