/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_remote.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "bpf/bpf_wire.h"

static int ask(enum priv_code code, struct err *reterr)
{
	return priv_ask(code, NULL, 0, NULL, 0, reterr);
}

static struct iovec piece(const void *data, size_t len)
{
	return (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = len};
}

int bpfremote_open(struct bpfobj *o, struct err *reterr)
{
	struct bpfwire_opened opened = {0};
	struct priv_answer a = {.out = &opened, .out_max = sizeof(opened)};
	int r = priv_call(PRIV_BPF_OPEN, NULL, 0, -1, &a);

	memcpy(o->remote_fds, a.fds, sizeof(o->remote_fds));
	if (r >= 0 && (a.out_len != sizeof(opened) || a.fds[0] < 0 || a.fds[1] < 0))
		r = -EPROTO;
	if (r < 0)
		return err_set(reterr, -r, "%s", a.err.text[0] ? a.err.text : err_name(r));
	o->features = opened.features;
	memcpy(o->infos, opened.infos, sizeof(o->infos));
	return 0;
}

void bpfremote_close(struct bpfobj *o)
{
	(void)ask(PRIV_BPF_CLOSE, NULL); /* nothing can be done about it */
	close_fd(o->remote_fds[0]);
	close_fd(o->remote_fds[1]);
}

int bpfremote_load_l3(struct err *reterr)
{
	return ask(PRIV_BPF_LOAD_L3, reterr);
}

int bpfremote_unpin(void)
{
	return ask(PRIV_BPF_UNPIN, NULL);
}

int bpfremote_get(const struct bpfobj *o, enum bpfobj_map map, const void *key, void *value)
{
	const struct bpfwire_map head = {.map = map, .n = 1};
	const struct iovec in[] = {piece(&head, sizeof(head)), piece(key, o->infos[map].key_size)};
	struct priv_answer a = {.out = value, .out_max = bpfcall_value_bytes(o, map)};
	int r = priv_call(PRIV_BPF_GET, in, ARRAY_LEN(in), -1, &a);

	return r == 0 && a.out_len != a.out_max ? -EPROTO : r;
}

/* Entries that fit into one message. */
static size_t at_once(size_t bytes, size_t left)
{
	return MIN((PRIV_BYTES - sizeof(struct bpfwire_map)) / bytes, left);
}

int bpfremote_put(const struct bpfobj *o, enum bpfobj_map map, const void *keys, const void *values, size_t n, bool is_new,
		  size_t *ret_done)
{
	size_t key = o->infos[map].key_size, value = o->infos[map].value_size;
	int r = 0;

	while (r == 0 && *ret_done < n) {
		size_t count = at_once(key + value, n - *ret_done);
		const struct bpfwire_map head = {.map = map, .n = (uint32_t)count, .is_new = is_new};
		const struct iovec in[] = {piece(&head, sizeof(head)), piece((const char *)keys + *ret_done * key, count * key),
					   piece((const char *)values + *ret_done * value, count * value)};
		struct priv_answer a = {.out = NULL};

		r = priv_call(PRIV_BPF_PUT, in, ARRAY_LEN(in), -1, &a);
		*ret_done += MIN((size_t)a.value, count);
	}
	return r;
}

int bpfremote_del(const struct bpfobj *o, enum bpfobj_map map, const void *keys, size_t n, size_t *ret_done)
{
	size_t key = o->infos[map].key_size;
	int r = 0;

	while (r == 0 && *ret_done < n) {
		size_t count = at_once(key, n - *ret_done);
		/* one of many that is not there is no failure, also where it stands alone in the last message */
		const struct bpfwire_map head = {.map = map, .n = (uint32_t)count};
		const struct iovec in[] = {piece(&head, sizeof(head)), piece((const char *)keys + *ret_done * key, count * key)};
		struct priv_answer a = {.out = NULL};

		r = priv_call(PRIV_BPF_DEL, in, ARRAY_LEN(in), -1, &a);
		if (r == -ENOENT && n > 1) {
			r = 0;
			a.value = 1;
		}
		*ret_done += MIN((size_t)a.value, count);
	}
	return r;
}

int bpfremote_read(const struct bpfobj *o, enum bpfobj_map map, struct bpfcall_cursor *at, void *keys, void *values,
		   uint32_t *ret_n)
{
	static char out[sizeof(*at) + BPFCALL_READ_BYTES]; /* there is one thread */
	const struct bpfwire_read q = {.map = map, .at = *at};
	const struct iovec in = piece(&q, sizeof(q));
	struct priv_answer a = {.out = out, .out_max = sizeof(out)};
	size_t key = o->infos[map].key_size, value = bpfcall_value_bytes(o, map);
	int r = priv_call(PRIV_BPF_READ, &in, 1, -1, &a);

	if (r < 0)
		return r;
	if (a.value > bpfcall_portion(o, map) || a.out_len != sizeof(*at) + a.value * (key + value))
		return -EPROTO;
	memcpy(at, out, sizeof(*at));
	memcpy(keys, out + sizeof(*at), a.value * key);
	memcpy(values, out + sizeof(*at) + a.value * key, a.value * value);
	*ret_n = a.value;
	return 0;
}

static int ask_if(enum priv_code code, int ifindex, enum bpfattach_kind kind, struct err *reterr)
{
	const struct bpfwire_if q = {.ifindex = ifindex, .kind = kind};

	return priv_ask(code, &q, sizeof(q), NULL, 0, reterr);
}

int bpfremote_attach_if(int ifindex, enum bpfattach_kind kind, enum bpfattach_how *ret_how, struct err *reterr)
{
	int r = ask_if(PRIV_BPF_ATTACH, ifindex, kind, reterr);

	if (r >= 0 && ret_how)
		*ret_how = (enum bpfattach_how)r;
	return MIN(r, 0);
}

int bpfremote_if_detach(int ifindex, struct err *reterr)
{
	return ask_if(PRIV_BPF_DETACH, ifindex, BPFATTACH_NIC, reterr);
}

bool bpfremote_if_is_ok(int ifindex, enum bpfattach_kind kind)
{
	return ask_if(PRIV_BPF_IS_ATTACHED, ifindex, kind, NULL) > 0;
}

bool bpfremote_if_is_held(int ifindex)
{
	return ask_if(PRIV_BPF_IS_HELD, ifindex, BPFATTACH_NIC, NULL) > 0;
}

uint32_t bpfremote_if_before(int ifindex)
{
	const struct bpfwire_if q = {.ifindex = ifindex};
	const struct iovec in = piece(&q, sizeof(q));
	struct priv_answer a = {.out = NULL};

	return priv_call(PRIV_BPF_BEFORE, &in, 1, -1, &a) < 0 ? 0 : a.value;
}

int bpfremote_if_list(int *ifindexes, size_t max)
{
	struct priv_answer a = {.out = ifindexes, .out_max = max * sizeof(*ifindexes)};
	int r = priv_call(PRIV_BPF_ATTACHED, NULL, 0, -1, &a);

	return r < 0 ? r : (int)(a.out_len / sizeof(*ifindexes));
}

int bpfremote_cgroup(struct err *reterr)
{
	return ask(PRIV_BPF_CGROUP_ATTACH, reterr);
}

bool bpfremote_cgroup_is_ok(void)
{
	return ask(PRIV_BPF_CGROUP_IS_ATTACHED, NULL) > 0;
}

int bpfremote_backstop(struct err *reterr)
{
	return ask(PRIV_BPF_BACKSTOP_ATTACH, reterr);
}

bool bpfremote_backstop_is_ok(void)
{
	return ask(PRIV_BPF_BACKSTOP_IS_ATTACHED, NULL) > 0;
}

int bpfremote_remove_others(struct err *reterr)
{
	return ask(PRIV_BPF_REMOVE_OTHERS, reterr);
}

int bpfremote_detach_all(struct err *reterr)
{
	return ask(PRIV_BPF_DETACH_ALL, reterr);
}

int bpfremote_adopt(uint32_t generation, size_t *ret_n)
{
	const struct bpfwire_adopt q = {.generation = generation};
	struct bpfwire_adopted adopted = {0};
	int r = priv_ask(PRIV_BPF_ADOPT, &q, sizeof(q), &adopted, sizeof(adopted), NULL);

	*ret_n = adopted.n;
	return r;
}

bool bpfremote_others_in_force(void)
{
	return ask(PRIV_BPF_OTHERS_IN_FORCE, NULL) > 0;
}
