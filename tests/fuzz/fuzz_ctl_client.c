/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as what a daemon answers on the control socket: the client never hangs, and tells why it gives up. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "ctl/ctl_client.h"
#include "json/json.h"
#include "scratch.h"

const unsigned replay_runs = 4000;

static int listener = -1;

static void start(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const char *path = scratch_path("control");

	CHECK(strlen(path) < sizeof(sa.sun_path));
	memcpy(sa.sun_path, path, strlen(path));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(listener >= 0 && bind(listener, (const struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(listener, 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(ctl_client_free) struct ctl_client *c = NULL;
	CLEANUP(json_decref) json_t *answer = NULL;
	struct err err = {0};
	int fd, r;

	if (listener < 0)
		start();
	if (size > 100000)
		return 0;
	CHECK(ctl_client_new(scratch_path("control"), 5 * USEC_PER_SEC, &c, &err) == 0);
	fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0 && (size == 0 || send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size) && shutdown(fd, SHUT_WR) == 0);
	r = ctl_client_call(c, "status", NULL, &answer, &err);
	CHECK(r == 0 ? answer != NULL : err.text[0] && !answer);
	while (r == 0) {
		CLEANUP(json_decref) json_t *event = NULL;
		uint64_t lost;

		err.text[0] = '\0';
		r = ctl_client_next(c, UINT64_MAX, &event, &lost, &err);
		CHECK(r == 1 || r < 0);
		CHECK(r < 0 ? err.text[0] && !event : event || lost <= INT64_MAX);
		r = r == 1 ? 0 : r;
	}
	CHECK(close(fd) == 0);
	return 0;
}
