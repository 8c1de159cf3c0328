/* SPDX-License-Identifier: Apache-2.0 */
/* The guard with a clock of our own, and the gate that it holds. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "fixture.h"
#include "json/json.h"
#include "policy/guard.h"
#include "policy/policy_gate.h"
#include "policy/policy_shadow.h"
#include "lib/json_objects.h"

#define BOOT  "0123456789abcdef0123456789abcdef"
#define OTHER "ffffffffffffffffffffffffffffffff"

enum { CONFIRMED = 10, CHANGED = 11, AGAIN = 12 };
static const uint64_t second = USEC_PER_SEC, timeout = 120 * USEC_PER_SEC, start = 1000 * USEC_PER_SEC;

static struct guard armed(void)
{
	struct guard g = {0};
	struct err err;

	cr_assert_eq(guard_arm(&g, timeout, CONFIRMED, json_pack("[{s:s}]", "kind", "x"), &err), 0);
	return g;
}

Test(guard, off_does_nothing)
{
	struct guard g = {0};
	struct err err = {0};

	cr_assert_eq(guard_look(&g, CHANGED, start), GUARD_SAME);
	cr_assert_eq(guard_tick(&g, UINT64_MAX), GUARD_SAME);
	cr_assert_eq(guard_left_us(&g, start), UINT64_MAX);
	cr_assert_eq(guard_confirm(&g, CHANGED, json_array(), &err), -ENOENT);
	cr_assert(strstr(err.text, "no guard is armed"));
}

Test(guard, time_runs_from_the_first_change)
{
	CLEANUP(guard_done) struct guard g = armed();

	cr_assert_eq(guard_look(&g, CONFIRMED, start), GUARD_SAME);
	cr_assert_eq(guard_look(&g, CONFIRMED, start + 1000 * second), GUARD_SAME, "no change, no end");
	cr_assert_eq(guard_look(&g, CHANGED, start), GUARD_STARTED);
	cr_assert_eq(guard_left_us(&g, start + second), timeout - second);
	/* further changes buy no time */
	cr_assert_eq(guard_look(&g, AGAIN, start + 100 * second), GUARD_SAME);
	cr_assert_eq(guard_left_us(&g, start + 100 * second), 20 * second);
	cr_assert_eq(guard_tick(&g, start + timeout - 1), GUARD_SAME);
	cr_assert_eq(guard_tick(&g, start + timeout), GUARD_EXPIRED);
	cr_assert_eq(g.state, GUARD_ROLLED_BACK);
	/* and stays so, whatever comes */
	cr_assert_eq(guard_look(&g, AGAIN, start + 2 * timeout), GUARD_SAME);
	cr_assert_eq(guard_look(&g, CONFIRMED, start + 2 * timeout), GUARD_SAME);
	cr_assert_eq(g.state, GUARD_ROLLED_BACK);
}

Test(guard, a_change_that_is_taken_back_needs_no_confirmation)
{
	CLEANUP(guard_done) struct guard g = armed();

	cr_assert_eq(guard_look(&g, CHANGED, start), GUARD_STARTED);
	cr_assert_eq(guard_look(&g, CONFIRMED, start + second), GUARD_STOPPED);
	cr_assert_eq(guard_tick(&g, start + timeout), GUARD_SAME);
	cr_assert_eq(guard_look(&g, CHANGED, start + timeout), GUARD_STARTED, "the time is a new one");
	cr_assert_eq(guard_left_us(&g, start + timeout), timeout);
}

Test(guard, confirming_keeps_and_guards_on)
{
	CLEANUP(guard_done) struct guard g = armed();
	struct err err = {0};

	(void)guard_look(&g, CHANGED, start);
	cr_assert_eq(guard_arm(&g, second, CHANGED, json_array(), &err), -EBUSY);
	cr_assert_eq(guard_confirm(&g, CHANGED, json_array(), &err), 0);
	cr_assert_eq(g.state, GUARD_ARMED);
	cr_assert_eq(guard_look(&g, CHANGED, start + 2 * timeout), GUARD_SAME);
	cr_assert_eq(guard_look(&g, CONFIRMED, start + 2 * timeout), GUARD_STARTED, "the old one is now a change");
	cr_assert_eq(guard_tick(&g, start + 3 * timeout), GUARD_EXPIRED);
	cr_assert_eq(guard_arm(&g, second, CHANGED, json_array(), &err), -EBUSY);
	cr_assert_eq(guard_confirm(&g, CONFIRMED, json_array(), &err), 0);
	cr_assert_eq(g.state, GUARD_ARMED);
	/* an armed one may be armed with another time */
	cr_assert_eq(guard_arm(&g, 7 * second, CONFIRMED, json_array(), &err), 0);
	cr_assert_eq(g.timeout_us, 7 * second);
}

Test(guard, joining_starts_with_the_first_policy_whatever_it_is)
{
	CLEANUP(guard_done) struct guard g = {0};

	cr_assert_eq(guard_arm_open(&g, timeout), 0);
	cr_assert_eq(guard_look(&g, 0, start), GUARD_STARTED);
	cr_assert_eq(guard_look(&g, 0, start + second), GUARD_SAME);
	cr_assert_eq(guard_tick(&g, start + timeout), GUARD_EXPIRED);
	cr_assert(g.is_open);
	cr_assert_eq(guard_confirm(&g, 0, json_array(), NULL), 0);
	cr_assert_not(g.is_open);
}

static struct guard reloaded(const struct guard *g, const char *boot_id, uint64_t now)
{
	CLEANUP(json_decref) json_t *doc = guard_to_json(g, BOOT);
	struct guard back = {0};

	cr_assert(doc);
	cr_assert_eq(guard_from_json(doc, boot_id, now, &back), 0);
	return back;
}

Test(guard, goes_on_after_a_restart)
{
	CLEANUP(guard_done) struct guard g = armed();
	CLEANUP(guard_done) struct guard same = {0}, rebooted = {0}, before = reloaded(&g, OTHER, 5);

	cr_assert_eq(before.state, GUARD_ARMED, "a reboot while nothing has changed");
	cr_assert_eq(guard_look(&before, CONFIRMED, 5), GUARD_SAME);
	(void)guard_look(&g, CHANGED, start);
	same = reloaded(&g, BOOT, start + 50 * second);
	cr_assert_eq(same.state, GUARD_PENDING);
	cr_assert_eq(guard_left_us(&same, start + 50 * second), 70 * second);
	cr_assert_eq(same.digest, CONFIRMED);
	cr_assert_str_eq(json_str(json_array_get(same.confirmed, 0), "kind", ""), "x");
	cr_assert_eq(guard_tick(&same, start + timeout), GUARD_EXPIRED);
	/* the clock of another boot says nothing: its time is over */
	rebooted = reloaded(&g, OTHER, 5);
	cr_assert_eq(guard_tick(&rebooted, 5), GUARD_EXPIRED);
	guard_done(&same);
	(void)guard_tick(&g, start + timeout);
	same = reloaded(&g, OTHER, 5);
	cr_assert_eq(same.state, GUARD_ROLLED_BACK);
}

Test(guard, refuses_what_is_none)
{
	static const char *const texts[] = {
		"{}", "[]", "{'version':2,'state':'armed','digest':'0000000000000000','confirmed':[],'timeout_us':1,'deadline_us':0}",
		"{'version':1,'state':'off','digest':'0000000000000000','confirmed':[],'timeout_us':1,'deadline_us':0}",
		"{'version':1,'state':'armed','digest':'000000000000000g','confirmed':[],'timeout_us':1,'deadline_us':0}",
		"{'version':1,'state':'armed','digest':'0','confirmed':[],'timeout_us':1,'deadline_us':0}",
		"{'version':1,'state':'armed','digest':'0000000000000000','confirmed':{},'timeout_us':1,'deadline_us':0}",
		"{'version':1,'state':'armed','digest':'0000000000000000','confirmed':[],'timeout_us':-1,'deadline_us':0}",
		"{'version':1,'state':'armed','digest':'0000000000000000','confirmed':[],'timeout_us':99999999999999,'deadline_us':0}",
		"{'version':1,'state':'armed','digest':'0000000000000000','confirmed':[],'timeout_us':1}"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CLEANUP(json_decref) json_t *doc = fixture_json(texts[i]);
		struct guard g = {.timeout_us = 3};

		cr_assert_eq(guard_from_json(doc, BOOT, start, &g), -EBADMSG, "%s", texts[i]);
		cr_assert_eq(g.timeout_us, 3);
	}
	/* a deadline far away cannot make the time longer */
	CLEANUP(json_decref)
	json_t *doc = fixture_json("{'version':1,'state':'pending','boot_id':'" BOOT "','digest':'0000000000000000','confirmed':[],"
				   "'timeout_us':1000000,'deadline_us':9000000000000000000}");
	CLEANUP(guard_done) struct guard g = {0};

	cr_assert_eq(guard_from_json(doc, BOOT, start, &g), 0);
	cr_assert_eq(guard_left_us(&g, start), second);
}

Test(guard, times)
{
	static const char *const bad[] = {"", "120", "4s", "25h", "1d", "-5s", "5 s", "99999999999999999999s"};
	struct err err;
	uint64_t us;

	cr_assert_eq(guard_parse_timeout("120s", &us, &err), 0);
	cr_assert_eq(us, timeout);
	cr_assert_eq(guard_parse_timeout("2m", &us, &err), 0);
	cr_assert_eq(guard_parse_timeout("24h", &us, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(guard_parse_timeout(bad[i], &us, &err), -EINVAL, "%s", bad[i]);
}

/* The gate */

#define META(name, generation) "{'metadata':{'name':'" name "','namespace':'ext','uid':'u-" name "','generation':" #generation "}"
#define ONLY(app)                                                                                  \
	",'spec':{'endpointSelector':{},'ingress':[{'fromEndpoints':[{'matchLabels':{'app':'" app "'}}]}]}}"
#define WORLD  ",'spec':{'endpointSelector':{},'ingress':[{'fromEntities':['world']}]}}"
#define OTHERS ",'spec':{'endpointSelector':{'matchLabels':{'app':'other'}},'ingress':[{}]}}"

struct gated {
	struct fixture f;
	struct policy_gate *gate;
};

static void gated_init(struct gated *t)
{
	fixture_init(&t->f, NULL, NULL, NULL, NULL);
	cr_assert_eq(policy_gate_new(t->f.repo, &t->gate), 0);
}

static void gated_done(struct gated *t)
{
	policy_gate_free(t->gate);
	fixture_done(&t->f);
}

static int set(struct gated *t, const char *text)
{
	CLEANUP(json_decref) json_t *obj = fixture_json(text);
	struct err err = {0};

	return json_policy_gate_set(t->gate, POLICY_CNP, obj, &err);
}

static uint8_t now(struct gated *t, const char *peer)
{
	struct fixture_peer p = fixture_peer(peer);

	cr_assert_geq(policy_table_update(t->f.table), 0);
	return fixture_table_verdict(&t->f, &p, POLICY_INGRESS, 6, 80).action;
}

Test(gate, digest_is_of_what_decides_here)
{
	struct gated t, other;
	uint64_t one;

	gated_init(&t);
	cr_assert_eq(policy_gate_digest(t.gate), 0);
	cr_assert_eq(set(&t, META("q", 1) OTHERS), 1);
	cr_assert_eq(policy_gate_digest(t.gate), 0, "it is about others");
	cr_assert_eq(set(&t, META("p", 1) ONLY("a")), 1);
	one = policy_gate_digest(t.gate);
	cr_assert_neq(one, 0);
	cr_assert_eq(policy_gate_digest_of(t.gate, POLICY_CNP, "ext", "p"), one);
	cr_assert_eq(policy_gate_digest_of(t.gate, POLICY_CNP, "ext", "q"), 0);
	cr_assert_eq(set(&t, META("p", 2) ONLY("a")), 1);
	cr_assert_eq(policy_gate_digest(t.gate), one, "a generation alone decides nothing");
	cr_assert_eq(set(&t, META("p", 3) ONLY("b")), 1);
	cr_assert_neq(policy_gate_digest(t.gate), one);
	/* an invalid version changes nothing */
	cr_assert_eq(set(&t, META("p", 4) ONLY("a")), 1);
	cr_assert_eq(set(&t, META("p", 5) ",'spec':{'endpointSelector':{},'ingress':[{'fromEntities':['nobody']}]}}"), -EBADMSG);
	cr_assert_eq(policy_gate_digest(t.gate), one);
	/* a mode does */
	cr_assert_eq(policy_choose(t.f.repo, "ext", "p", POLICY_CHOICE_SHADOW), 1);
	cr_assert_neq(policy_gate_digest(t.gate), one);
	cr_assert_eq(policy_choose(t.f.repo, "ext", "p", POLICY_CHOICE_NONE), 1);
	/* the same in another run, in any order */
	gated_init(&other);
	cr_assert_eq(set(&other, META("p", 9) ONLY("a")), 1);
	cr_assert_eq(policy_gate_digest(other.gate), one);
	cr_assert_eq(policy_gate_remove(t.gate, POLICY_CNP, "ext", "p"), 1);
	cr_assert_eq(policy_gate_digest(t.gate), 0);
	gated_done(&other);
	gated_done(&t);
}

Test(gate, holds_and_releases)
{
	CLEANUP(json_decref) json_t *confirmed = NULL;
	struct gated t;
	uint64_t digest;
	size_t bad;

	gated_init(&t);
	cr_assert_eq(set(&t, META("p", 1) ONLY("a")), 1);
	cr_assert_eq(set(&t, META("r", 1) WORLD), 1);
	confirmed = policy_gate_snapshot(t.gate);
	digest = policy_gate_digest(t.gate);
	cr_assert_eq(json_array_size(confirmed), 2);
	cr_assert(now(&t, "A") == POLICY_ALLOW && now(&t, "W") == POLICY_ALLOW);
	/* one changes, one goes, one comes */
	cr_assert_eq(set(&t, META("p", 2) ONLY("x")), 1);
	cr_assert_eq(policy_gate_remove(t.gate, POLICY_CNP, "ext", "r"), 1);
	cr_assert_eq(set(&t, META("n", 1) ONLY("q")), 1);
	cr_assert(now(&t, "A") != POLICY_ALLOW && now(&t, "W") != POLICY_ALLOW);

	cr_assert_eq(policy_gate_hold(t.gate, confirmed, &bad), 0);
	cr_assert_eq(bad, 0);
	cr_assert(policy_gate_is_held(t.gate));
	cr_assert(now(&t, "A") == POLICY_ALLOW && now(&t, "W") == POLICY_ALLOW);
	cr_assert_eq(policy_gate_digest(t.gate), digest);
	cr_assert_eq(policy_gate_waiting(t.gate), 3);
	/* what comes now waits, too: all of it, an invalid one and a deletion included */
	cr_assert_eq(set(&t, META("m", 1) ONLY("w")), 0);
	cr_assert_eq(policy_gate_remove(t.gate, POLICY_CNP, "ext", "n"), 0);
	cr_assert_eq(policy_gate_remove(t.gate, POLICY_CNP, "ext", "unknown"), 0);
	cr_assert(now(&t, "A") == POLICY_ALLOW);
	/* an identity that comes later is judged by the confirmed rules */
	const char *const labels[] = {"k8s:app=a", "k8s:io.kubernetes.pod.namespace=ext", "k8s:io.cilium.k8s.policy.cluster=c1"};
	cr_assert_eq(identity_upsert(t.f.ids, 700, fixture_labels(&t.f, labels, 3)), 0);
	cr_assert_eq(now(&t, "id 700"), POLICY_ALLOW);

	cr_assert_eq(policy_gate_release(t.gate), 0);
	cr_assert(now(&t, "A") != POLICY_ALLOW && now(&t, "W") != POLICY_ALLOW);
	cr_assert_neq(policy_gate_digest(t.gate), digest);
	cr_assert_eq(policy_gate_digest_of(t.gate, POLICY_CNP, "ext", "n"), 0);
	cr_assert_neq(policy_gate_digest_of(t.gate, POLICY_CNP, "ext", "m"), 0);
	cr_assert_eq(policy_gate_release(t.gate), 0, "nothing more to release");
	gated_done(&t);
}

/* As after a crash: the snapshot is there before the API server has said anything. */
Test(gate, held_from_the_start)
{
	CLEANUP(json_decref) json_t *confirmed = NULL;
	struct gated before, t;
	size_t bad;

	gated_init(&before);
	cr_assert_eq(set(&before, META("p", 1) ONLY("a")), 1);
	cr_assert_eq(set(&before, META("gone", 1) WORLD), 1);
	cr_assert_eq(policy_choose(before.f.repo, "ext", "gone", POLICY_CHOICE_SHADOW), 1);
	confirmed = policy_gate_snapshot(before.gate);
	gated_done(&before);

	gated_init(&t);
	(void)json_array_append_new(confirmed, json_pack("{s:s, s:b, s:{}}", "kind", "CiliumNetworkPolicy", "shadow", 0, "object"));
	(void)json_array_append_new(confirmed, json_integer(7));
	cr_assert_eq(policy_gate_hold(t.gate, confirmed, &bad), 0);
	cr_assert_eq(bad, 2, "what is no policy hurts no other");
	cr_assert_eq(now(&t, "A"), POLICY_ALLOW);
	cr_assert_neq(now(&t, "W"), POLICY_ALLOW, "it was a shadow policy and still is");
	cr_assert(policy_table_shadowed(t.f.table, POLICY_INGRESS));
	cr_assert_eq(set(&t, META("p", 2) ONLY("x")), 0);
	cr_assert_eq(set(&t, META("q", 1) OTHERS), 0);
	cr_assert_eq(now(&t, "A"), POLICY_ALLOW);
	/* "gone" is not among what the API server lists any more */
	cr_assert_eq(policy_gate_release(t.gate), 0);
	cr_assert_neq(now(&t, "A"), POLICY_ALLOW);
	cr_assert_not(policy_table_shadowed(t.f.table, POLICY_INGRESS));
	gated_done(&t);
}

/* What waits comes in when there is room, if not at once; policies about others take room, too. */
Test(gate, released_without_room)
{
	CLEANUP(json_decref) json_t *none = json_array();
	struct gated t;
	char text[256];
	size_t bad;

	gated_init(&t);
	for (unsigned i = 0; i < LIMIT_POLICIES; i++) {
		(void)snprintf(text, sizeof(text), META("o%u", 1) OTHERS, i, i);
		cr_assert_eq(set(&t, text), 1);
	}
	cr_assert_not(policy_gate_has_room(t.gate));
	cr_assert_eq(set(&t, META("m", 1) ONLY("a")), -ENOSPC);
	cr_assert_eq(policy_gate_hold(t.gate, none, &bad), 0);
	cr_assert(policy_gate_has_room(t.gate), "it only waits");
	cr_assert_eq(set(&t, META("m", 1) ONLY("a")), 0);
	cr_assert_eq(policy_gate_release(t.gate), -ENOSPC);
	cr_assert_eq(policy_gate_remove(t.gate, POLICY_CNP, "ext", "o7"), 1);
	cr_assert(policy_gate_has_room(t.gate));
	cr_assert_eq(policy_gate_release(t.gate), 0);
	cr_assert_not(policy_gate_has_room(t.gate));
	cr_assert_neq(policy_gate_digest_of(t.gate, POLICY_CNP, "ext", "m"), 0);
	gated_done(&t);
}
