/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/monitor_line.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/ip.h"
#include "base/str.h"
#include "cli/out.h"
#include "json/json.h"

enum { NAMED_MAX = 3 }; /* policies in a line; the JSON has all */

static bool is_address(const json_t *event, const char *path, const struct ip *want)
{
	struct ip ip;

	return ip_parse(json_str(event, path, ""), &ip) == 0 && ip_eq(&ip, want);
}

bool monitor_matches(const struct monitor_filter *f, const json_t *event)
{
	struct ip peer;

	if (f->is_drops_only && !str_eq(json_str(event, "type", ""), "drop"))
		return false;
	if (f->direction && !str_eq(json_str(event, "direction", ""), f->direction))
		return false;
	if (f->has_identity && json_int(event, "peer.identity", -1) != (json_int_t)f->identity)
		return false;
	if (!f->peer)
		return true;
	return ip_parse(f->peer, &peer) == 0 &&
	       (is_address(event, "source", &peer) || is_address(event, "destination", &peer));
}

/* Local time of day with milliseconds: what `journalctl` next to it shows. */
static int add_time(struct buf *text, const json_t *event, int64_t offset_us)
{
	json_int_t us;
	struct tm tm;
	time_t s;

	if (__builtin_add_overflow(json_int(event, "time_us", 0), offset_us, &us) || us < 0)
		return buf_addf(text, "--:--:--.---");
	s = (time_t)(us / (int64_t)USEC_PER_SEC);
	if (!localtime_r(&s, &tm))
		return buf_addf(text, "--:--:--.---");
	return buf_addf(text, "%02d:%02d:%02d.%03d", tm.tm_hour, tm.tm_min, tm.tm_sec,
			(int)(us % (int64_t)USEC_PER_SEC / (int64_t)USEC_PER_MSEC));
}

static int add_endpoint(struct buf *text, const json_t *event, const char *address, const char *port)
{
	const char *ip = json_str(event, address, "-");
	json_int_t number = json_int(event, port, 0);
	bool has_brackets = number && strchr(ip, ':');
	int r = buf_addf(text, "%s", has_brackets ? "[" : "");

	if (r >= 0)
		r = out_clean(text, ip);
	if (r >= 0 && has_brackets)
		r = buf_addf(text, "]");
	if (r >= 0 && number)
		r = buf_addf(text, ":%" JSON_INTEGER_FORMAT, number);
	return r;
}

/* "before" and the string at the path, if it is there. */
static int add_string(struct buf *text, const char *before, const json_t *event, const char *path)
{
	const char *s = json_str(event, path, NULL);
	int r;

	if (!s || !*s)
		return 0;
	r = buf_addf(text, "%s", before);
	return r < 0 ? r : out_clean(text, s);
}

static int add_number(struct buf *text, const char *before, const json_t *event, const char *path)
{
	const json_t *v = json_at(event, path);

	if (!json_is_integer(v))
		return 0;
	return buf_addf(text, "%s%" JSON_INTEGER_FORMAT, before, json_integer_value(v));
}

static int add_packet(struct buf *text, const json_t *event)
{
	int r = add_endpoint(text, event, "source", "source_port");

	if (r >= 0)
		r = buf_addf(text, " -> ");
	if (r >= 0)
		r = add_endpoint(text, event, "destination", "destination_port");
	if (r >= 0)
		r = add_string(text, " ", event, "protocol");
	if (r >= 0)
		r = add_string(text, " ", event, "tcp_flags");
	if (r >= 0)
		r = add_number(text, " type ", event, "icmp_type");
	if (r >= 0 && json_int(event, "bytes", 0)) /* the backstop sees no packet */
		r = buf_addf(text, " %lldB", (long long)json_int(event, "bytes", 0));
	return r;
}

/* What Cilium adds to every pod's labels tells nobody apart, and a name has its namespace. Where there is nothing else, it stays. */
static bool is_common(const char *label, bool has_name)
{
	return str_has_prefix(label, "k8s:io.cilium.k8s.") || (has_name && str_has_prefix(label, "k8s:io.kubernetes.pod.namespace="));
}

static int add_labels(struct buf *text, const json_t *labels, bool has_name)
{
	const json_t *label;
	size_t i, n = 0;
	int r = 0;

	json_array_foreach(labels, i, label) {
		if (r < 0 || !json_is_string(label) || is_common(json_string_value(label), has_name))
			continue;
		r = buf_addf(text, "%s", n++ ? " " : " [");
		if (r >= 0)
			r = out_clean(text, json_string_value(label));
	}
	if (r < 0 || n)
		return r < 0 ? r : buf_addf(text, "]");
	if (!json_array_size(labels))
		return 0;
	r = buf_addf(text, " [");
	if (r >= 0)
		r = out_value(text, labels, " ");
	return r < 0 ? r : buf_addf(text, "]");
}

static int add_peer(struct buf *text, const json_t *event)
{
	const char *name = json_str(event, "peer.name", NULL);
	int r = add_number(text, ", peer ", event, "peer.identity");

	if (r >= 0)
		r = add_string(text, " ", event, "peer.name");
	return r < 0 ? r : add_labels(text, json_at(event, "peer.labels"), name && *name);
}

static int add_rule(struct buf *text, const json_t *event)
{
	int r = 0;

	if (!json_is_object(json_at(event, "rule")))
		return 0;
	r = add_string(text, ", rule ", event, "rule.kind");
	if (r >= 0)
		r = add_string(text, " ", event, "rule.namespace");
	if (r >= 0)
		r = add_string(text, json_str(event, "rule.namespace", NULL) ? "/" : " ", event, "rule.name");
	return r < 0 ? r : add_string(text, " ", event, "rule.path");
}

/* ", not allowed by legacy/strict, calm and 4 more" */
static int add_isolators(struct buf *text, const json_t *event)
{
	const json_t *list = json_at(event, "isolated_by"), *policy;
	size_t i;
	int r = 0;

	json_array_foreach(list, i, policy) {
		if (r < 0 || i == NAMED_MAX)
			break;
		r = buf_addf(text, "%s", i ? ", " : ", not allowed by ");
		if (r >= 0)
			r = add_string(text, "", policy, "namespace");
		if (r >= 0)
			r = add_string(text, *json_str(policy, "namespace", "") ? "/" : "", policy, "name");
	}
	if (r >= 0 && json_array_size(list) > NAMED_MAX)
		r = buf_addf(text, " and %zu more", json_array_size(list) - NAMED_MAX);
	return r;
}

int monitor_line(const json_t *event, int64_t offset_us, struct buf *text)
{
	int r = add_time(text, event, offset_us);

	if (r >= 0)
		r = add_string(text, " ", event, "type");
	if (r >= 0)
		r = add_string(text, " ", event, "direction");
	if (r >= 0)
		r = add_string(text, " (", event, "reason");
	if (r >= 0 && json_str(event, "reason", NULL))
		r = buf_addf(text, ")");
	if (r >= 0)
		r = add_string(text, " ", event, "verdict");
	if (r >= 0)
		r = buf_addf(text, " ");
	if (r >= 0)
		r = add_packet(text, event);
	if (r >= 0)
		r = add_peer(text, event);
	if (r >= 0)
		r = add_rule(text, event);
	if (r >= 0)
		r = add_isolators(text, event);
	if (r >= 0)
		r = add_string(text, ", ", event, "interface");
	if (r >= 0 && json_int(event, "suppressed", 0) > 0)
		r = add_number(text, ", held back before: ", event, "suppressed");
	return r;
}
