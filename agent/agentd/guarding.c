/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/guarding.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "join/guard_file.h"
#include "json/json.h"

#define REMEDY_CONFIRM "meshctl policy confirm from a new login, or meshctl policy guard --off"

enum { RETRY_S = 1 };

struct guarding {
	struct guard guard;
	struct policy_gate *gate;
	struct health *health;
	struct source *timer;
	char *dir;
	bool is_half; /* for lack of memory not all policies are those that they should be: it is tried again */
	void (*on_change)(void *arg);
	void *arg;
};

static void tell(struct guarding *g)
{
	char text[256];

	switch (g->guard.state) {
	case GUARD_OFF:
		health_clear(g->health, "policy.guard");
		break;
	case GUARD_ARMED:
		(void)snprintf(text, sizeof(text), "a guard is armed: a change of policy must be confirmed within %llus",
			       (unsigned long long)(g->guard.timeout_us / USEC_PER_SEC)); /* fits */
		health_raise(g->health, HEALTH_INFO, "policy.guard", text, "meshctl policy guard --off, when it has done its duty");
		break;
	case GUARD_PENDING:
		(void)snprintf(text, sizeof(text), "policies have changed and nobody has confirmed it yet; %s comes back %llus after the change",
			       g->guard.is_open ? "no enforcement, as before joining," : "the confirmed policy",
			       (unsigned long long)(g->guard.timeout_us / USEC_PER_SEC)); /* fits */
		health_raise(g->health, HEALTH_WARNING, "policy.guard", text, REMEDY_CONFIRM);
		break;
	case GUARD_ROLLED_BACK:
		health_raise(g->health, HEALTH_ERROR, "policy.guard",
			     g->guard.is_open ? "nobody confirmed in time: no policy is enforced, as before joining"
					      : "nobody confirmed in time: the last confirmed policies are in force, and what the cluster says waits",
			     REMEDY_CONFIRM);
		break;
	}
}

static int save(struct guarding *g, struct err *reterr)
{
	struct err err = {0};
	int r = guard_file_save(g->dir, &g->guard, &err);

	if (r == 0) {
		health_clear(g->health, "policy.guard-state");
		return 0;
	}
	health_raise(g->health, HEALTH_ERROR, "policy.guard-state", err.text,
		     "make the state directory writable: a restart of the daemon would forget the guard");
	return err_set(reterr, -r, "%s", err.text);
}

static void arm_timer(struct guarding *g)
{
	uint64_t left = guard_left_us(&g->guard, clock_boot_us());

	if (g->is_half)
		(void)source_arm(g->timer, RETRY_S * USEC_PER_SEC, 0); /* a live timer, as below */
	else if (left == UINT64_MAX)
		source_disarm(g->timer);
	else
		(void)source_arm(g->timer, left, 0); /* a live timer */
}

/* The confirmed policies instead of those of the API server. */
static void hold(struct guarding *g)
{
	size_t bad = 0;
	int r = g->guard.is_open ? 0 : policy_gate_hold(g->gate, g->guard.confirmed, &bad);

	g->is_half = r < 0;
	if (r == 0 && bad == 0) {
		health_clear(g->health, "policy.guard-restore");
		return;
	}
	health_raise(g->health, HEALTH_ERROR, "policy.guard-restore",
		     r < 0 ? "not all confirmed policies could be put in force for lack of memory"
			   : "some confirmed policies could not be read again and are not in force",
		     REMEDY_CONFIRM);
}

static void took_step(struct guarding *g, enum guard_step step)
{
	if (step == GUARD_SAME)
		return;
	(void)save(g, NULL); /* raised as a condition; the guard holds as long as we live */
	if (step == GUARD_EXPIRED) {
		log_event(LOG_WARNING, "policy.rolled-back", "a change of policy was not confirmed in time and is taken back");
		hold(g);
		g->on_change(g->arg);
	}
	tell(g);
	arm_timer(g);
}

static void release(struct guarding *g);

static void on_timer(void *arg)
{
	struct guarding *g = arg;
	enum guard_step step;

	if (g->is_half && g->guard.state == GUARD_ROLLED_BACK) {
		hold(g);
		g->on_change(g->arg);
	} else if (g->is_half) {
		release(g);
	}
	step = guard_tick(&g->guard, clock_boot_us());
	if (step == GUARD_SAME)
		arm_timer(g);
	took_step(g, step);
}

void guarding_look(struct guarding *g)
{
	if (g->guard.state == GUARD_ARMED || g->guard.state == GUARD_PENDING)
		took_step(g, guard_look(&g->guard, policy_gate_digest(g->gate), clock_boot_us()));
}

int guarding_new(struct loop *loop, const char *state_dir, struct health *health, struct policy_gate *gate,
		 void (*on_change)(void *arg), void *arg, struct guarding **ret, struct err *reterr)
{
	CLEANUP(guarding_free) struct guarding *g = calloc(1, sizeof(*g));
	struct err err = {0};
	int r;

	if (!g)
		return err_set(reterr, ENOMEM, "out of memory");
	g->gate = gate;
	g->health = health;
	g->on_change = on_change;
	g->arg = arg;
	g->dir = strdup(state_dir);
	r = g->dir ? loop_add_timer(loop, on_timer, g, &g->timer) : -ENOMEM;
	if (r < 0)
		return err_set(reterr, -r, "cannot set up the guard: %s", err_name(r));
	r = guard_file_load(state_dir, clock_boot_us(), &g->guard, &err);
	if (r == -ENOMEM)
		return err_set(reterr, ENOMEM, "cannot read the guard: %s", err_name(r)); /* what was taken back must not come in */
	if (r < 0)
		health_raise(health, HEALTH_ERROR, "policy.guard-state", err.text,
			     "the guard is off and nothing can be taken back: look at the policies in force, then remove the file or arm a guard anew");
	if (g->guard.state == GUARD_ROLLED_BACK)
		hold(g);
	if (g->is_half)
		return err_set(reterr, ENOMEM, "cannot put the confirmed policies in force: %s", err_name(-ENOMEM));
	tell(g);
	arm_timer(g);
	*ret = TAKE_PTR(g);
	return 0;
}

void guarding_free(struct guarding *g)
{
	if (!g)
		return;
	source_free(g->timer);
	guard_done(&g->guard);
	free(g->dir);
	free(g);
}

bool guarding_is_open(const struct guarding *g)
{
	return g->guard.state == GUARD_ROLLED_BACK && g->guard.is_open;
}

bool guarding_is_half(const struct guarding *g)
{
	return g->is_half;
}

bool guarding_is_held(const struct guarding *g)
{
	return policy_gate_is_held(g->gate);
}

int guarding_arm(struct guarding *g, uint64_t timeout_us, struct err *reterr)
{
	json_t *confirmed = g->is_half ? NULL : policy_gate_snapshot(g->gate);
	int r;

	if (!confirmed)
		return err_set(reterr, ENOMEM, "out of memory");
	r = guard_arm(&g->guard, timeout_us, policy_gate_digest(g->gate), confirmed, reterr);
	if (r < 0)
		return r;
	r = save(g, reterr);
	tell(g);
	return r;
}

/* What the API server says is in force again. */
static void release(struct guarding *g)
{
	g->is_half = policy_gate_release(g->gate) < 0;
	if (g->is_half)
		health_raise(g->health, HEALTH_ERROR, "policy.guard-restore",
			     "not all policies of the cluster could be taken in for lack of memory", REMEDY_MEMORY);
	else
		health_clear(g->health, "policy.guard-restore");
	g->on_change(g->arg);
}

int guarding_end(struct guarding *g, struct err *reterr)
{
	guard_done(&g->guard);
	release(g);
	tell(g);
	arm_timer(g);
	return save(g, reterr);
}

int guarding_confirm(struct guarding *g, struct err *reterr)
{
	json_t *confirmed;
	int r;

	if (g->guard.state == GUARD_ROLLED_BACK)
		release(g);
	confirmed = g->is_half ? NULL : policy_gate_snapshot(g->gate);
	if (!confirmed) { /* half of them must not count as confirmed: where it was rolled back, it soon is so again */
		g->is_half = g->is_half || g->guard.state == GUARD_ROLLED_BACK;
		arm_timer(g);
		return err_set(reterr, ENOMEM, "out of memory");
	}
	r = guard_confirm(&g->guard, policy_gate_digest(g->gate), confirmed, reterr);
	if (r < 0)
		return r;
	tell(g);
	arm_timer(g);
	return save(g, reterr);
}

json_t *guarding_json(const struct guarding *g)
{
	uint64_t left = guard_left_us(&g->guard, clock_boot_us());
	json_t *o = json_pack("{s:s}", "state", guard_state_str(g->guard.state));
	int r = o ? 0 : -1;

	if (r < 0 || g->guard.state == GUARD_OFF)
		return o;
	r |= json_object_set_new(o, "timeout_ms", json_integer((json_int_t)(g->guard.timeout_us / USEC_PER_MSEC)));
	r |= json_object_set_new(o, "confirmed_policies", json_integer((json_int_t)json_array_size(g->guard.confirmed)));
	r |= json_object_set_new(o, "joining", json_boolean(g->guard.is_open));
	if (left != UINT64_MAX)
		r |= json_object_set_new(o, "remaining_ms", json_integer((json_int_t)(left / USEC_PER_MSEC)));
	if (policy_gate_is_held(g->gate))
		r |= json_object_set_new(o, "waiting_policies", json_integer((json_int_t)policy_gate_waiting(g->gate)));
	if (r) {
		json_decref(o);
		return NULL;
	}
	return o;
}
