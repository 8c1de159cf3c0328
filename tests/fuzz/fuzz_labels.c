/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as labels, addresses, numbers and times of every notation: what is taken in prints as what it was. */
#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "identity/labels.h"
#include "join/address_check.h"
#include "join/label_check.h"
#include "json/json.h"
#include "text.h"

const unsigned replay_runs = 8000;

static struct label_set *set_of(struct label_table *t, const char *text)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = t};
	struct label_set *set;

	if (label_builder_add_text(&b, text) < 0)
		return NULL;
	CHECK(label_builder_take(&b, &set) == 0);
	return set;
}

static void as_label(const char *text)
{
	CLEANUP(label_table_free) struct label_table *t = NULL;
	CLEANUP(buf_done) struct buf printed = {0};
	struct label_set *set, *again;

	CHECK(label_table_new(&t) == 0);
	set = set_of(t, text);
	if (!set)
		return;
	CHECK(set->n == 1 && label_print(t, &set->v[0], &printed) == 0);
	again = set_of(t, printed.data);
	CHECK(again && label_set_eq(set, again) && again->has_cidr == set->has_cidr);
	label_set_free(t, again);
	label_set_free(t, set);
}

static void as_label_list(const char *text)
{
	CLEANUP(json_decref) json_t *labels = NULL, *again = NULL;
	CLEANUP(free) char *printed = NULL;
	struct err err = {0};

	if (label_parse_list(text, &labels, &err) < 0) {
		CHECK(err.text[0] && !labels);
		return;
	}
	printed = label_list_str(labels);
	CHECK(printed && label_parse_list(printed, &again, NULL) == 0 && label_compare(labels, again, NULL) == 0);
}

static void as_addresses(const char *text)
{
	CLEANUP(address_list_done) struct address_list l = {0}, again = {0};
	CLEANUP(free) char *printed = NULL, *twice = NULL;
	struct err err = {0};

	if (address_list_parse(text, &l, &err) < 0) {
		CHECK(err.text[0]);
		return;
	}
	CHECK(l.n && l.n <= LIMIT_ADDRESSES);
	printed = address_list_str(&l);
	CHECK(printed && address_list_parse(printed, &again, NULL) == 0);
	twice = address_list_str(&again);
	CHECK(twice && str_eq(printed, twice));
}

static void as_numbers(const char *text)
{
	char ip_text[IP_STRLEN], cidr_text[CIDR_STRLEN];
	struct cidr c, c2;
	struct ip ip, ip2;
	uint64_t v;

	if (ip_parse(text, &ip) == 0)
		CHECK(ip_parse(ip_str(&ip, ip_text), &ip2) == 0 && ip_eq(&ip, &ip2));
	if (cidr_parse(text, true, &c) == 0) {
		CHECK(cidr_parse(cidr_str(&c, cidr_text), true, &c2) == 0 && cidr_cmp(&c, &c2) == 0);
		CHECK(cidr_contains(&c, &c2) && cidr_contains_ip(&c, &c.ip));
	}
	if (label_cidr_parse(text, &c) == 0)
		CHECK(c.len <= ip_bits(&c.ip));
	if (str_to_u64(text, 1000, &v) == 0)
		CHECK(v <= 1000);
	(void)str_to_usec(text, &v); /* any result is fine */
	(void)str_is_dns_label(text);
	CHECK(!str_is_dns_label(text) || str_is_dns_subdomain(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(free) char *text = text_of(data, size);

	if (size > 4096)
		return 0;
	as_label(text);
	as_label_list(text);
	as_addresses(text);
	as_numbers(text);
	return 0;
}
