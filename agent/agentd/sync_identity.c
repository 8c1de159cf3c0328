/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/sync_private.h"

#include <errno.h>

#include "base/str.h"

enum { ID_VERSION = REFLECTOR_FIELD_VERSION, ID_NAME, ID_LABEL };

const struct json_field sync_identity_fields[] = {
	{"metadata.resourceVersion", ID_VERSION},
	{"metadata.name", ID_NAME},
	{"security-labels.*", ID_LABEL},
};
const size_t sync_identity_n_fields = ARRAY_LEN(sync_identity_fields);

static void identity_begin(void *arg)
{
	struct sync *s = ((struct feed *)arg)->sync;

	label_builder_done(&s->labels);
	s->labels.table = identity_labels(s->t.identities);
	s->identity_name[0] = '\0';
	s->identity_error = 0;
}

static void identity_pick(const struct json_pick *p, void *arg)
{
	struct sync *s = ((struct feed *)arg)->sync;
	char key[LIMIT_LABEL_KEY + 1], value[LIMIT_NAME + 1];
	int r;

	if (p->what != JSON_SCALAR || p->id == ID_VERSION)
		return;
	if (p->id == ID_NAME) {
		if (p->text_len < sizeof(s->identity_name)) {
			memcpy(s->identity_name, p->text, p->text_len);
			s->identity_name[p->text_len] = '\0';
		}
		return;
	}
	if (s->identity_error)
		return; /* it is left out: no more work on it */
	if (!p->is_string || p->key_len > LIMIT_LABEL_KEY || p->text_len > LIMIT_NAME ||
	    memchr(p->key, 0, p->key_len) || memchr(p->text, 0, p->text_len)) {
		s->identity_error = -EINVAL;
		return;
	}
	memcpy(key, p->key, p->key_len);
	key[p->key_len] = '\0';
	memcpy(value, p->text, p->text_len);
	value[p->text_len] = '\0';
	r = label_builder_add(&s->labels, key, value);
	s->identity_error = r < 0 ? r : 0;
}

static void forget_identity(struct sync *s, uint32_t number)
{
	(void)identity_remove(s->t.identities, number); /* unknown: refused earlier */
	u32map_del(&s->identity_epochs, number);
	sync_changed(s);
}

static void on_identity(bool is_deleted, const struct doc *doc, void *arg)
{
	struct feed *f = arg;
	struct sync *s = f->sync;
	struct label_set *set;
	uint64_t number;
	int r;

	(void)doc;
	if (str_to_u64(s->identity_name, UINT32_MAX, &number) < 0 || number < IDENTITY_CLUSTER_MIN ||
	    number >= IDENTITY_LOCAL_CIDR) {
		sync_reject(f, NULL, s->identity_name, "the name is no cluster identity number");
		return;
	}
	if (is_deleted) {
		forget_identity(s, (uint32_t)number);
		return;
	}
	if (s->identity_error < 0) {
		if (s->identity_error != -ENOMEM)
			forget_identity(s, (uint32_t)number); /* the labels of before are not its own any more */
		sync_failed(f, NULL, s->identity_name, s->identity_error, "a label is malformed or over a limit");
		return;
	}
	r = label_builder_take(&s->labels, &set);
	if (r == 0)
		r = identity_upsert(s->t.identities, (uint32_t)number, set);
	if (r == 0)
		r = u32map_put(&s->identity_epochs, (uint32_t)number, s->identity_epoch);
	if (r < 0)
		sync_failed(f, NULL, s->identity_name, r, NULL);
	sync_changed(s);
}

static void identity_replace_begin(void *arg)
{
	((struct feed *)arg)->sync->identity_epoch++;
}

static void identity_replace_end(void *arg)
{
	struct sync *s = ((struct feed *)arg)->sync;

	for (size_t i = 0; i < s->identity_epochs.cap;) {
		const struct u32map_slot *slot = &s->identity_epochs.v[i];

		if (slot->key && slot->value != s->identity_epoch) {
			(void)identity_remove(s->t.identities, slot->key); /* it is there */
			u32map_del(&s->identity_epochs, slot->key); /* another may move into this slot */
		} else {
			i++;
		}
	}
	sync_changed(s);
}

const struct reflector_ops sync_identity_ops = {
	.on_begin = identity_begin,
	.on_pick = identity_pick,
	.on_object = on_identity,
	.on_replace_begin = identity_replace_begin,
	.on_replace_end = identity_replace_end,
};
