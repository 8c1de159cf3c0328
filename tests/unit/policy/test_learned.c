/* SPDX-License-Identifier: Apache-2.0 */
/* Learned names under a clock of the test's own: lives, caps, zombies, and the file. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "lib/damage.h"
#include "policy/learned.h"

enum { WALL_S = 1700000000 };

static uint64_t at(uint64_t s)
{
	return s * USEC_PER_SEC;
}

static struct ip ip_of(unsigned i)
{
	char text[IP_STRLEN];
	struct ip ip;

	(void)snprintf(text, sizeof(text), "192.%u.%u.%u", 1 + (i >> 16), (i >> 8) & 255, i & 255);
	cr_assert_eq(ip_parse(text, &ip), 0);
	return ip;
}

static struct learned *make(uint64_t min_ttl_s, size_t max_ips, size_t max_zombies)
{
	const struct learned_options opt = {.min_ttl_s = min_ttl_s, .max_ips = max_ips, .max_zombies = max_zombies};
	struct learned *l;

	cr_assert_eq(learned_new(&opt, &l), 0);
	return l;
}

static int add(struct learned *l, const char *name, unsigned i, uint32_t ttl_s, uint64_t now_s)
{
	struct ip ip = ip_of(i);

	return learned_add(l, name, true, &ip, 1, ttl_s, at(now_s));
}

/* "name a:expiry b:expiry* ...", a star for a zombie; names by a space and a bar. */
static int tell(const char *name, bool is_wanted, const struct learned_address *v, size_t n, void *arg)
{
	struct buf *b = arg;

	cr_assert_eq(buf_addf(b, "%s%s%s", b->len ? " | " : "", name, is_wanted ? "" : "?"), 0);
	for (size_t i = 0; i < n; i++) {
		char text[IP_STRLEN];

		cr_assert_eq(buf_addf(b, " %s:%d%s", ip_str(&v[i].ip, text), (int)(v[i].expires_us / USEC_PER_SEC),
				      v[i].is_zombie ? "*" : ""),
			     0);
	}
	return 0;
}

static void expect(struct learned *l, const char *want)
{
	CLEANUP(buf_done) struct buf b = {0};

	cr_assert_eq(learned_each(l, tell, &b), 0);
	cr_expect_str_eq(b.len ? b.data : "", want, "got '%s', not '%s'", b.len ? b.data : "", want);
}

static int note(const char *name, const struct ip *ips, size_t n, void *arg)
{
	(void)ips;
	cr_assert_eq(buf_addf(arg, "%s=%zu ", name, n), 0);
	return !str_eq(name, "unwanted.io");
}

static void expect_flush(struct learned *l, const char *want)
{
	CLEANUP(buf_done) struct buf b = {0};

	cr_assert_eq(learned_flush(l, note, &b), 0);
	cr_expect_str_eq(b.len ? b.data : "", want, "got '%s', not '%s'", b.len ? b.data : "", want);
}

Test(learned, an_address_lives_as_long_as_its_longest_answer)
{
	struct learned *l = make(0, 0, 0);

	cr_expect_eq(add(l, "A.io.", 1, 30, 100), 1);
	expect(l, "a.io 192.1.0.1:130");
	expect_flush(l, "a.io=1 ");
	cr_expect_eq(add(l, "a.io", 1, 5, 101), 0, "a shorter life takes nothing back");
	cr_expect_eq(add(l, "a.IO", 1, 60, 102), 0);
	expect(l, "a.io 192.1.0.1:162");
	expect_flush(l, "");
	cr_expect_eq(add(l, "a.io", 2, 60, 103), 1);
	expect_flush(l, "a.io=2 ");
	learned_free(l);
}

Test(learned, lives_have_a_floor_and_a_ceiling)
{
	struct learned *l = make(300, 0, 0);

	add(l, "a.io", 1, 0, 0);
	add(l, "b.io", 1, UINT32_MAX, 0);
	expect(l, "a.io 192.1.0.1:300 | b.io 192.1.0.1:604800");
	learned_free(l);
}

Test(learned, what_is_no_name_or_no_peer_is_left_out)
{
	struct learned *l = make(0, 0, 0);
	struct ip ips[3];
	char name[300];

	memset(name, 'a', sizeof(name));
	name[256] = '\0';
	cr_expect_eq(add(l, name, 1, 1, 0), -EINVAL);
	cr_expect_eq(add(l, "", 1, 1, 0), -EINVAL);
	cr_expect_eq(add(l, ".", 1, 1, 0), -EINVAL);
	cr_expect_eq(add(l, "a b", 1, 1, 0), -EINVAL);
	cr_assert(ip_parse("127.0.0.1", &ips[0]) == 0 && ip_parse("::ffff:192.0.2.1", &ips[1]) == 0 && ip_parse("224.0.0.1", &ips[2]) == 0);
	cr_expect_eq(learned_add(l, "a.io", true, ips, 3, 60, 0), 0);
	expect(l, "");
	learned_free(l);
}

Test(learned, expired_addresses_stay_while_connections_live)
{
	struct learned *l = make(0, 0, 0);
	struct ip one = ip_of(1);

	add(l, "a.io", 1, 10, 0);
	add(l, "a.io", 2, 10, 0);
	add(l, "b.io", 1, 50, 0);
	expect_flush(l, "a.io=2 b.io=1 ");
	cr_expect_eq(learned_expire(l, at(9)), 0);
	cr_expect_eq(learned_expire(l, at(10)), 2);
	expect(l, "a.io 192.1.0.1:10* 192.1.0.2:10* | b.io 192.1.0.1:50");
	expect_flush(l, "");
	learned_bury(l, at(10));
	expect(l, "a.io 192.1.0.1:10* 192.1.0.2:10* | b.io 192.1.0.1:50");
	learned_saw(l, &one, at(20));
	learned_bury(l, at(20));
	expect(l, "a.io 192.1.0.1:10* | b.io 192.1.0.1:50");
	expect_flush(l, "a.io=1 ");
	learned_bury(l, at(30));
	expect(l, "a.io | b.io 192.1.0.1:50");
	expect_flush(l, "a.io=0 ");
	expect(l, "b.io 192.1.0.1:50");
	learned_free(l);
}

Test(learned, an_answer_brings_a_zombie_back)
{
	struct learned *l = make(0, 0, 0);

	add(l, "a.io", 1, 10, 0);
	learned_expire(l, at(10));
	cr_expect_eq(add(l, "a.io", 1, 10, 12), 0);
	expect(l, "a.io 192.1.0.1:22");
	learned_bury(l, at(13));
	expect(l, "a.io 192.1.0.1:22");
	learned_expire(l, at(22));
	learned_bury(l, at(22));
	expect(l, "a.io 192.1.0.1:22*");
	learned_free(l);
}

Test(learned, a_name_has_a_cap)
{
	struct learned *l = make(0, 2, 0);

	add(l, "a.io", 1, 30, 0);
	add(l, "a.io", 2, 10, 0);
	add(l, "a.io", 3, 20, 0);
	expect(l, "a.io 192.1.0.1:30 192.1.0.2:10* 192.1.0.3:20");
	cr_expect_eq(learned_get_counts(l).zombies, 1);
	learned_free(l);
}

Test(learned, zombies_have_a_cap)
{
	struct learned *l = make(0, 0, 2);

	for (unsigned i = 1; i <= 3; i++)
		add(l, "a.io", i, 10, 0);
	cr_expect_eq(learned_expire(l, at(10)), 2);
	expect(l, "a.io 192.1.0.2:10* 192.1.0.3:10*");
	cr_expect_eq(learned_get_counts(l).cut, 1);
	learned_free(l);
}

Test(learned, names_that_nobody_looks_at_go_first)
{
	struct learned *l = make(0, 0, 0);
	struct ip ip = ip_of(1);
	char name[32];

	for (int i = 0; i < LIMIT_FQDN_NAMES; i++) {
		(void)snprintf(name, sizeof(name), "n%d.io", i);
		cr_assert_eq(learned_add(l, name, i != 17, &ip, 1, 60, at((uint64_t)i)), 1);
	}
	cr_expect_eq(add(l, "new.io", 2, 60, 0), 1);
	cr_expect_eq(learned_get_counts(l).names, LIMIT_FQDN_NAMES);
	cr_expect_eq(add(l, "more.io", 2, 60, 0), -ENOSPC);
	cr_expect_eq(add(l, "new.io", 3, 60, 0), 1);
	cr_expect_eq(learned_get_counts(l).refused, 1);
	learned_free(l);
}

Test(learned, addresses_have_a_cap)
{
	struct learned *l = make(0, 0, 0);
	char name[32];
	int r = 1;
	unsigned i;

	for (i = 0; r > 0 && i <= LIMIT_FQDN_ADDRESSES; i++) {
		(void)snprintf(name, sizeof(name), "n%u.io", i / 100);
		r = add(l, name, i + 1, 60, 0);
	}
	cr_expect_eq(r, -ENOSPC);
	cr_expect_eq(i, LIMIT_FQDN_ADDRESSES + 1);
	cr_expect_eq(learned_get_counts(l).addresses, LIMIT_FQDN_ADDRESSES);
	learned_free(l);
}

/* A stranger's names with a thousand addresses each do not keep out the one that a policy speaks of. */
Test(learned, addresses_of_names_that_nobody_looks_at_go_first)
{
	struct learned *l = make(0, 0, 0);
	struct ip ips[LIMIT_FQDN_IPS];
	char name[32];

	for (unsigned i = 0; i * LIMIT_FQDN_IPS < LIMIT_FQDN_ADDRESSES + LIMIT_FQDN_IPS; i++) {
		for (unsigned k = 0; k < LIMIT_FQDN_IPS; k++)
			ips[k] = ip_of(i * LIMIT_FQDN_IPS + k + 1);
		(void)snprintf(name, sizeof(name), "n%u.example", i);
		cr_assert_eq(learned_add(l, name, false, ips, LIMIT_FQDN_IPS, 60 + i, 0), 1);
		cr_assert_leq(learned_get_counts(l).addresses, LIMIT_FQDN_ADDRESSES);
	}
	cr_expect_eq(add(l, "wanted.io", 1, 60, 0), 1);
	cr_expect_eq(learned_get_counts(l).refused, 0);
	learned_free(l);
}

Test(learned, a_flush_tells_what_is_wanted)
{
	struct learned *l = make(0, 0, 0);

	add(l, "unwanted.io", 1, 60, 0);
	expect_flush(l, "unwanted.io=1 ");
	expect(l, "unwanted.io? 192.1.0.1:60");
	learned_mark_all(l);
	expect_flush(l, "unwanted.io=1 ");
	learned_free(l);
}

/* The file */

static struct learned *sample(void)
{
	struct learned *l = make(0, 0, 0);
	struct ip v6;

	cr_assert_eq(ip_parse("2001:db8::1", &v6), 0);
	add(l, "a.io", 1, 10, 100);
	learned_expire(l, at(110));
	add(l, "a.io", 2, 40, 100);
	cr_assert_eq(learned_add(l, "b.example", false, &v6, 1, 3600, at(100)), 1);
	return l;
}

Test(learned, a_file_brings_everything_back)
{
	struct learned *l = sample(), *again = make(0, 0, 0);
	CLEANUP(buf_done) struct buf file = {.max = LIMIT_FQDN_FILE_BYTES};

	cr_assert_eq(learned_encode(l, at(110), WALL_S, &file), 0);
	/* another boot: the monotonic clock begins anew; 10 s have passed */
	cr_assert_eq(learned_decode(again, file.data, file.len, at(5), WALL_S + 10), 0);
	expect(again, "a.io? 192.1.0.1:5* 192.1.0.2:25 | b.example? 2001:db8::1:3585");
	expect_flush(again, "a.io=2 b.example=1 ");
	learned_free(again);
	/* long away: all expired, so that connections decide */
	again = make(0, 0, 0);
	cr_assert_eq(learned_decode(again, file.data, file.len, at(5), WALL_S + 100000), 0);
	expect(again, "a.io? 192.1.0.1:5* 192.1.0.2:5* | b.example? 2001:db8::1:5*");
	cr_expect_eq(learned_get_counts(again).zombies, 3);
	learned_free(again);
	/* a clock that was set back */
	again = make(0, 0, 0);
	cr_assert_eq(learned_decode(again, file.data, file.len, at(5), 0), 0);
	expect(again, "a.io? 192.1.0.1:604805* 192.1.0.2:604805 | b.example? 2001:db8::1:604805");
	learned_free(again);
	learned_free(l);
}

Test(learned, an_altered_file_is_refused)
{
	struct learned *l = sample();
	CLEANUP(buf_done) struct buf file = {.max = LIMIT_FQDN_FILE_BYTES};

	cr_assert_eq(learned_encode(l, at(110), WALL_S, &file), 0);
	for (size_t bit = 0; bit < file.len * 8; bit++) {
		struct learned *again = make(0, 0, 0);

		file.data[bit / 8] ^= (char)(1 << bit % 8);
		cr_expect_eq(learned_decode(again, file.data, file.len, 0, WALL_S), -EBADMSG, "bit %zu", bit);
		file.data[bit / 8] ^= (char)(1 << bit % 8);
		learned_free(again);
	}
	for (size_t len = 0; len < file.len; len++) {
		struct learned *again = make(0, 0, 0);

		cr_expect_eq(learned_decode(again, file.data, len, 0, WALL_S), -EBADMSG, "%zu bytes", len);
		learned_free(again);
	}
	learned_free(l);
}

static void refused(const char *data, size_t len, void *arg)
{
	struct learned *again = make(0, 0, 0);

	(void)arg;
	cr_assert_eq(learned_decode(again, data, len, 0, WALL_S), -EBADMSG);
	learned_free(again);
}

Test(learned, a_damaged_file_is_refused, .timeout = 3600)
{
	struct learned *l = sample();
	CLEANUP(buf_done) struct buf file = {.max = LIMIT_FQDN_FILE_BYTES};

	cr_assert_eq(learned_encode(l, at(110), WALL_S, &file), 0);
	damage_each("learned names", file.data, file.len, refused, NULL);
	learned_free(l);
}
