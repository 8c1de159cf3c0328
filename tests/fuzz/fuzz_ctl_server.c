/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as what a client writes to the control socket: every line gets one answer of the protocol, whatever
 * it is, from the daemon's own verbs over a world without a kernel.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agentd/view.h"
#include "base/limits.h"
#include "base/str.h"
#include "ctl/ctl_proto.h"
#include "ctl/ctl_server.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"
#include "scratch.h"

const unsigned replay_runs = 3000;

enum { OWN = 300, TURNS_MAX = 10000 };

/* Those that need nothing but the world. */
static const char *const names[] = {CTL_VERB_ENDPOINT_LIST, CTL_VERB_IDENTITY_LIST, CTL_VERB_IDENTITY_GET, CTL_VERB_NODE_LIST,
				    CTL_VERB_POLICY_LIST,   CTL_VERB_POLICY_WHY,    CTL_VERB_SERVICE_LIST, CTL_VERB_IPCACHE_LIST,
				    CTL_VERB_IPCACHE_GET,   CTL_VERB_DNS_QUERY};
static const struct ctl_stream streams[] = {{"monitor", "monitor"}};

enum { NAMES = sizeof(names) / sizeof(names[0]) };

static struct ctl_verb verbs[NAMES + 2];
static struct agent agent;
static struct conf conf;
static struct ctl_server *server;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static int start_now(void *arg, const json_t *args, struct ctl_call *call, struct err *reterr)
{
	(void)arg;
	(void)reterr;
	ctl_call_done(call, 0, json_deep_copy(args), NULL);
	return 0;
}

static int start_refused(void *arg, const json_t *args, struct ctl_call *call, struct err *reterr)
{
	(void)arg;
	(void)args;
	(void)call;
	return err_set(reterr, EBUSY, "not now");
}

static void start(void)
{
	struct ctl_server_config config = {.verbs = verbs, .n_verbs = NAMES + 2, .streams = streams, .n_streams = 1, .arg = &agent};
	CLEANUP(json_decref) json_t *map = json_object();
	struct ipcache_claim claim = {.identity = OWN, .owner = 1};
	struct label_builder l = {0};
	struct cilium_config cilium;
	struct label_set *set;
	struct ip ip;

	for (size_t i = 0; i < NAMES; i++)
		for (size_t k = 0; k < agent_n_verbs; k++)
			if (str_eq(agent_verbs[k].name, names[i]))
				verbs[i] = agent_verbs[k];
	verbs[NAMES] = (struct ctl_verb){.name = "now", .is_write = true, .start = start_now};
	verbs[NAMES + 1] = (struct ctl_verb){.name = "refused", .start = start_refused};
	CHECK(cilium_config_parse(map, &cilium, NULL) == 0 && world_new(&cilium, "me", OWN, &conf, &agent.world) == 0);
	l.table = identity_labels(agent.world->identities);
	CHECK(label_builder_add_text(&l, "k8s:app=vm") == 0 && label_builder_take(&l, &set) == 0 &&
	      identity_upsert(agent.world->identities, OWN, set) == 0);
	CHECK(ip_parse("10.244.1.5", &ip) == 0 &&
	      ipcache_claim(agent.world->addresses, IPCACHE_FROM_ENDPOINT, &ip, &claim) == 0);
	agent.conf = &conf;
	agent.is_joined = true;
	agent.join.host = (char *)"me";
	agent.join.namespace = (char *)"ext";
	CHECK(loop_new(&agent.loop) == 0);
	config.path = scratch_path("control");
	CHECK(strlen(config.path) < sizeof(address.sun_path));
	memcpy(address.sun_path, config.path, strlen(config.path));
	CHECK(ctl_server_new(agent.loop, &config, &server, NULL) == 0);
}

static void check_line(const char *line, size_t len)
{
	CLEANUP(json_decref) json_t *reply = json_loadb(line, len, 0, NULL);
	const json_t *ok = json_object_get(reply, "ok");

	CHECK(json_is_true(ok) || json_is_false(ok));
	if (json_is_true(ok))
		CHECK(json_object_get(reply, "data"));
	else
		CHECK(json_is_string(json_object_get(reply, "code")) && json_is_string(json_object_get(reply, "error")));
}

/* Takes the answers; the number of lines. */
static size_t read_answers(int fd)
{
	CLEANUP(buf_done) struct buf in = {.max = LIMIT_CTL_RESPONSE};
	char chunk[65536];
	size_t n = 0;

	for (unsigned turn = 0; turn < TURNS_MAX; turn++) {
		ssize_t got;

		CHECK(loop_once(agent.loop, 0) >= 0);
		got = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (got > 0)
			CHECK(buf_add(&in, chunk, (size_t)got) == 0);
		else if (got == 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	for (size_t at = 0; at < in.len; n++) {
		const char *end = memchr(in.data + at, '\n', in.len - at);

		CHECK(end);
		check_line(in.data + at, (size_t)(end - in.data) - at);
		at = (size_t)(end - in.data) + 1;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t lines = 0;
	int fd;

	if (!server)
		start();
	if (size > 100000)
		return 0;
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(size == 0 || send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(read_answers(fd) <= lines + 1);
	CHECK(close(fd) == 0);
	return 0;
}
