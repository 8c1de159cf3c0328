/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as shadow.json, and as the confirmed policies of guard.json put in force: what a damaged or forged
 * state directory can do to the policies. What is in force then is the same after one more round.
 */
#include <string.h>

#include "agentd/shadowing.h"
#include "base/log.h"
#include "join/checksum.h"
#include "join/guard_file.h"
#include "json/json.h"
#include "scratch.h"

const unsigned replay_runs = 1500;

struct host {
	struct identity_table *ids;
	struct policy_repo *repo;
	struct policy_gate *gate;
	struct health *health;
};

static void host_init(struct host *h)
{
	const struct policy_options o = policy_options_default();
	struct label_builder l = {0};
	struct label_set *set;

	CHECK(identity_table_new(&h->ids) == 0 && policy_repo_new(h->ids, &o, NULL, &h->repo) == 0 &&
	      policy_gate_new(h->repo, &h->gate) == 0 && health_new(&h->health) == 0);
	l.table = identity_labels(h->ids);
	CHECK(label_builder_add_text(&l, "k8s:app=vm") == 0 && label_builder_add_text(&l, "k8s:io.kubernetes.pod.namespace=ext") == 0 &&
	      label_builder_take(&l, &set) == 0 && policy_set_subject(h->repo, set, NULL, 0) == 0);
}

static void host_done(struct host *h)
{
	health_free(h->health);
	policy_gate_free(h->gate);
	policy_repo_free(h->repo);
	identity_table_free(h->ids);
}

static int check_choice(const char *ns, const char *name, enum policy_choice choice, void *arg)
{
	(void)ns;
	(void)arg;
	CHECK(name[0] && (choice == POLICY_CHOICE_SHADOW || choice == POLICY_CHOICE_ENFORCE));
	return 0;
}

/* The document with the checksum and the boot that let it in. */
static void as_shadow(json_t *doc)
{
	CLEANUP(shadowing_free) struct shadowing *s = NULL;
	CLEANUP(free) char *text = NULL;
	char sum[CHECKSUM_STRLEN], boot[GUARD_BOOT_ID_LEN + 1];
	struct err err = {0};
	struct host h;

	CHECK(guard_boot_id(boot) == 0 && json_object_set_new(doc, "boot_id", json_string(boot)) == 0);
	CHECK(checksum_of(doc, sum) == 0 && json_object_set_new(doc, "sum", json_string(sum)) == 0);
	text = json_text(doc);
	CHECK(text);
	scratch_write("shadow.json", text, strlen(text));
	host_init(&h);
	CHECK(shadowing_new(scratch_dir(), h.health, h.repo, h.gate, &s, &err) == 0);
	CHECK(policy_each_choice(h.repo, check_choice, NULL) == 0);
	CHECK(shadowing_count(s) <= json_array_size(json_object_get(doc, "watches")));
	host_done(&h);
}

static void as_snapshot(const json_t *doc)
{
	CLEANUP(json_decref) json_t *first = NULL, *second = NULL;
	uint64_t digest;
	struct host h;
	size_t bad = 0;

	host_init(&h);
	CHECK(policy_gate_hold(h.gate, doc, &bad) == 0 && policy_gate_is_held(h.gate) && bad <= json_array_size(doc));
	digest = policy_gate_digest(h.gate);
	first = policy_gate_snapshot(h.gate);
	CHECK(first && policy_gate_hold(h.gate, first, &bad) == 0 && bad == 0 && policy_gate_digest(h.gate) == digest);
	second = policy_gate_snapshot(h.gate);
	CHECK(second && json_equal(first, second));
	CHECK(policy_gate_release(h.gate) == 0 && policy_gate_digest(h.gate) == 0);
	host_done(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(json_decref) json_t *doc = NULL;

	if (size > 65536)
		return 0;
	log_set_level(-1); /* a damaged file is told of; not here, and not a million times */
	doc = json_parse((const char *)data, size);
	if (json_is_object(doc))
		as_shadow(doc);
	if (json_is_array(doc))
		as_snapshot(doc);
	return 0;
}
