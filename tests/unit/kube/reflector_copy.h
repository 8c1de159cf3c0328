/* SPDX-License-Identifier: Apache-2.0 */
/* The copy of ConfigMaps that a reflector keeps for the tests, and what they do to the server. */
#pragma once

#include "../lib/helpers.h"

#include "base/clock.h"
#include "event/loop.h"
#include "kube/reflector.h"

#define MAPS "/api/v1/namespaces/%s/configmaps"

enum { NAMES = 26 };

struct copy {
	struct {
		bool is_there, is_seen;
		char v[16];
	} objects[NAMES];
	unsigned states[3], unauthorized, older;
	bool has_waited;
	char waited_for[256];
};

extern struct world w;
extern struct loop *loop;
extern struct kube_client *client;
extern struct reflector *reflector;
extern struct copy copy;
extern const struct reflector_ops copy_ops; /* keep it */
extern char path[256];
extern uint64_t confirm_us, overdue_us;
extern bool is_guarded;

void on_state(struct reflector *r, void *arg);
void start_conf(const char *kind_path, bool is_optional);
void start(void);
void setup_with(const char *const *args);
void setup(void);
void setup_pages(void);
void teardown(void);
void run_for(uint64_t us);
void put(unsigned i, unsigned v);
void del(unsigned i);
void fault(const char *text);
/* True if the copy is what the server lists now. */
bool is_equal(void);
/* Requests for ConfigMaps that are no watches. */
json_int_t n_lists(void);
size_t n_objects(void);

/* Runs the loop until the condition holds, cutting backoffs short; 30 s without it fail the test. */
#define AWAIT_(condition, kick)                                                                    \
	do {                                                                                       \
		uint64_t end_ = clock_boot_us() + 30 * USEC_PER_SEC;                               \
		while (!(condition) && clock_boot_us() < end_) {                                   \
			if (kick)                                                                  \
				reflector_kick(reflector);                                         \
			(void)loop_once(loop, 5000);                                               \
		}                                                                                  \
		cr_assert(condition, "state %d, %s%s", (int)reflector_get_state(reflector),        \
			  is_equal() ? "equal" : "not equal", reflector_error(reflector));         \
	} while (0)
#define AWAIT(condition) AWAIT_(condition, true)
#define AWAIT_ALONE(condition) AWAIT_(condition, false)
