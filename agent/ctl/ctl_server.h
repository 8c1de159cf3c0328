/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's end of the control socket, on the event loop. Root and the daemon's own user may use
 * every verb, members of one group those that read, everyone else none.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "event/loop.h"

struct ctl_server;
struct ctl_call;

struct ctl_verb {
	const char *name;
	bool is_write;
	/*
	 * Answers at once: 0 with *ret_data (owned by the server from then on; NULL stands for {}) or
	 * -errno with the reason in reterr. `args` is an object. The errno picks the code of the
	 * reply: EINVAL bad-request, EPERM and EACCES denied, ENOENT not-found, ENOTCONN not-joined,
	 * EBUSY busy, all others failed. If jansson lacks memory meanwhile, the answer of a verb that does not write is ENOMEM.
	 */
	int (*handle)(void *arg, const json_t *args, json_t **ret_data, struct err *reterr);
	/*
	 * Instead of `handle`, for what takes time: 0 means that ctl_call_done() follows, once, now or
	 * later, even if the client has gone; -errno answers at once and drops `call`.
	 */
	int (*start)(void *arg, const json_t *args, struct ctl_call *call, struct err *reterr);
};

/* A verb that subscribes its caller to a topic. */
struct ctl_stream {
	const char *verb, *topic;
};

struct ctl_server_config {
	const char *path; /* of the socket; its directory exists */
	bool has_read_gid;
	gid_t read_gid;
	const struct ctl_verb *verbs; /* these tables outlive the server */
	size_t n_verbs;
	const struct ctl_stream *streams;
	size_t n_streams;
	/* May be NULL. Whether there is anything to subscribe to: 0, or -errno with the reason, as `handle` of a verb. */
	int (*may_subscribe)(void *arg, const char *topic, struct err *reterr);
	/* May be NULL. Called when a topic gets its first subscriber or loses the last one. */
	void (*on_subscribers)(void *arg, const char *topic, bool has_any);
	void *arg; /* for all of these */
};

/*
 * Binds the socket: mode 0600, or 0666 with a read group, since who may ask is told by SO_PEERCRED and not by the file. A socket that nobody listens on is
 * replaced. -EADDRINUSE if a daemon answers there, -ENAMETOOLONG, -ENOMEM, errno of bind().
 */
int ctl_server_new(struct loop *loop, const struct ctl_server_config *config, struct ctl_server **ret,
		   struct err *reterr);

/* Closes all clients and removes the socket. Open calls may still be finished, to no effect. */
void ctl_server_free(struct ctl_server *s);
DEFINE_CLEANUP(struct ctl_server *, ctl_server_free)

/* Sends `event` (borrowed) to the topic's subscribers; never waits. 0 or -ENOMEM. */
int ctl_publish(struct ctl_server *s, const char *topic, const json_t *event);

/* False: making the event would be wasted work. */
bool ctl_has_subscribers(const struct ctl_server *s, const char *topic);

/* Answers and frees `call`. r >= 0: success with `data`, which it takes (NULL for {}); else as `handle`. */
void ctl_call_done(struct ctl_call *call, int r, json_t *data, const struct err *err);

/* Who asks, from the kernel. */
struct ctl_peer {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary */
	size_t n_groups;
};

enum ctl_access { CTL_ACCESS_NONE, CTL_ACCESS_READ, CTL_ACCESS_ALL };
enum ctl_access ctl_access_of(const struct ctl_peer *peer, uid_t own_uid, bool has_read_gid, gid_t read_gid);
