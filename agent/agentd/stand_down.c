/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/stand_down.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agentd/keeping.h"
#include "agentd/resolved.h"
#include "agentd/resolver_wire.h"
#include "base/clock.h"
#include "base/str.h"
#include "bpf/bpf_attach.h"
#include "bpf/bpf_config.h"
#include "event/loop.h"
#include "recon/recon_net.h"

enum { NETWORK_S = 10 };

static bool is_daemon_there(const struct conf *conf)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", conf->control_socket); /* checked when read */
	return fd >= 0 && connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0;
}

static int take_down_pins(const char *dir, struct err *reterr)
{
	CLEANUP(bpfobj_free) struct bpfobj *o = NULL;
	int r = bpfobj_open_pins(dir, &o), e;

	if (r < 0)
		return err_set(reterr, -r, "out of memory");
	r = bpfattach_detach_all(o, reterr);
	e = bpfobj_unpin(o);
	return r == 0 && e < 0 ? err_set(reterr, -e, "cannot remove %s: %s", dir, err_name(e)) : r;
}

static int take_down_programs(const struct conf *conf, struct err *reterr)
{
	/* filters of clsact need no pin: they are looked for even if the directory is gone */
	CLEANUP(free) char *current = str_printf("%s/v%d", conf->bpf_root, MESH_ABI_VERSION);
	DIR *d = opendir(conf->bpf_root);
	struct dirent *e;
	int first = current ? take_down_pins(current, reterr) : -ENOMEM;

	while (d && (e = readdir(d))) {
		CLEANUP(free) char *dir = NULL;
		int r;

		if (e->d_name[0] != 'v')
			continue;
		dir = str_printf("%s/%s", conf->bpf_root, e->d_name);
		r = dir ? take_down_pins(dir, first ? NULL : reterr) : -ENOMEM;
		if (r < 0 && !first)
			first = r;
	}
	if (d)
		(void)closedir(d); /* only fails for a bad stream */
	return first;
}

struct network {
	struct loop *loop;
	struct err err;
	int r;
};

static void on_settled(const struct net_status *status, void *arg)
{
	struct network *w = arg;

	if (!status->is_applied) {
		w->err = status->err;
		return; /* it tries again, until the time is over */
	}
	w->r = 0;
	loop_exit(w->loop, 0);
}

static void on_timeout(void *arg)
{
	loop_exit(((struct network *)arg)->loop, 0);
}

static int take_down_network(struct err *reterr)
{
	CLEANUP(loop_free) struct loop *loop = NULL;
	CLEANUP(recon_net_free) struct recon_net *net = NULL;
	CLEANUP(source_free) struct source *timeout = NULL;
	const struct net_callbacks callbacks = {.settled = on_settled};
	struct network w = {.r = -ETIMEDOUT};
	int r = loop_new(&loop);

	w.loop = loop;
	if (r == 0)
		r = loop_add_timer(loop, on_timeout, &w, &timeout);
	if (r == 0)
		r = source_arm(timeout, NETWORK_S * USEC_PER_SEC, 0);
	if (r == 0)
		r = recon_net_new(loop, &callbacks, &w, &net);
	if (r == 0)
		r = recon_net_clear(net);
	if (r == 0)
		r = loop_run(loop);
	if (r < 0)
		w.r = r;
	return w.r < 0 ? err_set(reterr, -w.r, "cannot remove device and routes: %s",
				 w.err.text[0] ? w.err.text : err_name(w.r)) : 0;
}

int stand_down_rest(const struct conf *conf, struct err *reterr)
{
	int r = take_down_programs(conf, reterr), e = take_down_network(r < 0 ? NULL : reterr);

	return r < 0 ? r : e;
}

int stand_down(const struct conf *conf, struct err *reterr)
{
	int r, e;

	if (is_daemon_there(conf))
		return err_set(reterr, EBUSY, "the daemon runs: stop it first (systemctl stop mesh-external-agent)");
	r = stand_down_rest(conf, reterr);
	e = keeping_remove(conf->state_dir, r < 0 ? NULL : reterr); /* or the next boot would bring it back */
	if (r == 0)
		r = e;
	e = resolver_wire(conf, true, r < 0 ? NULL : reterr);
	if (r == 0)
		r = e;
	if (resolved_link_remove() < 0 && r == 0)
		r = err_set(reterr, EIO, "cannot remove the device %s", RESOLVED_DEVICE);
	return r;
}

int stand_down_dns(const struct conf *conf, struct err *reterr)
{
	CLEANUP(free) char *dir = str_printf("%s/v%d", conf->bpf_root, MESH_ABI_VERSION);
	int r = dir ? 0 : -ENOMEM;

	if (r == 0 && !is_daemon_there(conf))
		r = bpfconfig_end_flags(dir, MESH_STATE_DNS);
	return r < 0 ? err_set(reterr, -r, "queries still go to the daemon's port: %s: %s", conf->bpf_root, err_name(r)) : 0;
}
