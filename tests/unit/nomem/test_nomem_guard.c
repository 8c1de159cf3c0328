/* SPDX-License-Identifier: Apache-2.0 */
/* A start of the daemon after a roll-back, and with choices of this host: both hold, or the start has failed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "agentd/guarding.h"
#include "agentd/shadowing.h"
#include "base/macro.h"
#include "join/guard_file.h"
#include "json/json.h"
#include "nomem.h"
#include "table_dump.h"

#define CNP(name, app)                                                                                                         \
	"{'metadata':{'name':'" name "','namespace':'ext'},'spec':{'endpointSelector':{},'ingress':[{'fromEndpoints':["         \
	"{'matchLabels':{'app':'" app "'}}]}]}}"

struct started {
	struct fixture f;
	struct policy_gate *gate;
	struct health *health;
	struct loop *loop;
	struct guarding *guarding;
	struct shadowing *shadowing;
	char dir[NOMEM_DIR_MAX];
};

static void ignore(void *arg)
{
	(void)arg;
}

static void put(struct started *s, const char *text)
{
	json_t *j = fixture_json(text);
	struct doc *d = doc_from_json(j);

	NOMEM_NEED(d);
	cr_assert_eq(policy_gate_set(s->gate, POLICY_CNP, d, NULL), 1);
	doc_free(d);
	json_decref(j);
}

/* Confirmed was p for a; then came p for b, and q, which nobody confirmed. */
static void *started_begin(const void *arg)
{
	struct started *s = calloc(1, sizeof(*s));
	struct guard guard = {0};
	json_t *confirmed;
	struct err err = {0};

	(void)arg;
	NOMEM_NEED(s);
	nomem_dir_make(s->dir);
	fixture_init(&s->f, NULL, NULL, NULL, NULL);
	cr_assert_eq(policy_gate_new(s->f.repo, &s->gate), 0);
	cr_assert_eq(health_new(&s->health), 0);
	cr_assert_eq(loop_new(&s->loop), 0);
	put(s, CNP("p", "a"));
	cr_assert_eq(shadowing_new(s->dir, s->health, s->f.repo, s->gate, &s->shadowing, &err), 0);
	cr_assert_eq(shadowing_choose(s->shadowing, "ext", "q", POLICY_CHOICE_SHADOW, &err), 1, "%s", err.text);
	cr_assert_eq(policy_choose(s->f.repo, "ext", "q", POLICY_CHOICE_NONE), 1);
	shadowing_free(TAKE_PTR(s->shadowing));
	confirmed = policy_gate_snapshot(s->gate);
	NOMEM_NEED(confirmed);
	cr_assert_eq(guard_arm(&guard, 60000000, policy_gate_digest(s->gate), confirmed, &err), 0);
	put(s, CNP("p", "b"));
	put(s, CNP("q", "b"));
	cr_assert_eq(guard_look(&guard, policy_gate_digest(s->gate), 1), GUARD_STARTED);
	cr_assert_eq(guard_tick(&guard, UINT64_C(1) << 40), GUARD_EXPIRED);
	cr_assert_eq(guard_file_save(s->dir, &guard, &err), 0);
	guard_done(&guard);
	return s;
}

static int rolled_back(void *state)
{
	struct started *s = state;
	struct err err = {0};

	guarding_free(TAKE_PTR(s->guarding));
	return guarding_new(s->loop, s->dir, s->health, s->gate, ignore, NULL, &s->guarding, &err);
}

static int chosen(void *state)
{
	struct started *s = state;
	struct err err = {0};

	shadowing_free(TAKE_PTR(s->shadowing));
	return shadowing_new(s->dir, s->health, s->f.repo, s->gate, &s->shadowing, &err);
}

static void started_dump(void *state, FILE *out)
{
	struct started *s = state;
	json_t *snapshot = policy_gate_snapshot(s->gate);
	char *text = json_text(snapshot);

	policies_dump(&s->f, out);
	(void)fprintf(out, "%s, %zu wait: %s\n", policy_gate_is_held(s->gate) ? "held" : "open", policy_gate_waiting(s->gate), text);
	free(text);
	json_decref(snapshot);
}

static void started_end(void *state)
{
	struct started *s = state;

	guarding_free(s->guarding);
	shadowing_free(s->shadowing);
	policy_gate_free(s->gate);
	health_free(s->health);
	loop_free(s->loop);
	fixture_done(&s->f);
	nomem_dir_remove(s->dir);
	free(s);
}

Test(nomem_guard, start)
{
	const struct nomem all[] = {
		{.name = "a start after a roll-back", .begin = started_begin, .run = rolled_back},
		{.name = "a start with choices", .begin = started_begin, .run = chosen},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.dump = started_dump;
		n.end = started_end;
		nomem_try(&n);
	}
}
