/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>

#include "base/limits.h"
#include "base/macro.h"
#include "policy/policy_rule.h"

enum {
	NAME_MAX_LEN = 255,
	IPS_MAX = LIMIT_FQDN_IPS + LIMIT_FQDN_ZOMBIES, /* what is learned of one name, with what connections still use */
};

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* Runs of stars inside a label stand for name characters, never for a dot. Linear but for
 * backtracking to the last star. */
static bool glob_match(const char *pat, size_t pat_len, const char *s, size_t len)
{
	size_t p = 0, i = 0, star = SIZE_MAX, from = 0;

	while (i < len) {
		if (p < pat_len && pat[p] == '*') {
			while (p < pat_len && pat[p] == '*')
				p++;
			star = p;
			from = i;
		} else if (p < pat_len &&
			   tolower((unsigned char)pat[p]) == tolower((unsigned char)s[i])) {
			p++;
			i++;
		} else if (star != SIZE_MAX && is_name_char(s[from])) {
			p = star;
			i = ++from;
		} else {
			return false;
		}
	}
	while (p < pat_len && pat[p] == '*')
		p++;
	return p == pat_len;
}

bool policy_fqdn_match(const char *pattern, const char *name, bool has_subdomain_wildcard)
{
	size_t pat_len = strlen(pattern), len = strlen(name), stars;

	if (len && name[len - 1] == '.')
		len--;
	if (pat_len && pattern[pat_len - 1] == '.')
		pat_len--;
	stars = strspn(pattern, "*");
	if (pat_len && stars >= pat_len)
		return true;
	if (!pat_len || !len)
		return false;
	if (stars < 2 || pattern[stars] != '.' || !has_subdomain_wildcard)
		return glob_match(pattern, pat_len, name, len);
	/* one or more whole labels before the rest */
	for (size_t i = 0; i < len && (is_name_char(name[i]) || name[i] == '.'); i++) {
		if (name[i] != '.')
			continue;
		if (i == 0 || name[i - 1] == '.')
			return false;
		if (glob_match(pattern + stars, pat_len - stars, name + i, len - i))
			return true;
	}
	return false;
}

static int each_selector(const struct policy_repo *r, const struct policy_entry *e,
			 const char *name, policy_fqdn_fn fn, void *arg)
{
	int stop = 0;

	for (size_t s = 0; stop == 0 && e->has_fqdn && s < e->peers.n; s++) {
		const char *text =
			intern_str(label_table_strings(r->labels), e->peers.v[s]->reqs[0].key);

		if (policy_fqdn_match(text, name, r->options.has_subdomain_wildcard))
			stop = fn(text, arg);
	}
	return stop;
}

int policy_fqdn_each(const struct policy_repo *r, const char *name, policy_fqdn_fn fn, void *arg)
{
	const struct policy_object *o, *tmp;
	int stop = 0;

	HASH_ITER(hh, r->objects, o, tmp)
	{
		for (size_t i = 0; i < o->rules.n; i++) {
			const struct policy_rule *rule = &o->rules.v[i];

			for (size_t k = 0; k < rule->entries.n; k++) {
				if (!rule->entries.v[k].has_fqdn || !policy_rule_selects(r, rule))
					continue;
				stop = each_selector(r, &rule->entries.v[k], name, fn, arg);
				if (stop)
					return stop;
			}
		}
	}
	return 0;
}

static int any_selector(const char *selector, void *arg)
{
	(void)selector;
	(void)arg;
	return 1;
}

bool policy_has_dns_rules(const struct policy_repo *r)
{
	const struct policy_object *o, *tmp;

	HASH_ITER(hh, r->objects, o, tmp)
	{
		for (size_t i = 0; !o->is_shadow && i < o->rules.n; i++)
			for (size_t k = 0; k < o->rules.v[i].entries.n; k++) {
				const struct policy_entry *e = &o->rules.v[i].entries.v[k];

				for (size_t l = 0; l < e->l4.n; l++)
					if (e->l4.v[l].has_dns &&
					    policy_rule_selects(r, &o->rules.v[i]))
						return true;
			}
	}
	return false;
}

static void fqdn_name_free(struct policy_fqdn_name *n)
{
	free(n->name);
	free(n->ips);
	free(n);
}

void policy_fqdn_done(struct policy_repo *r)
{
	struct policy_fqdn_name *n, *tmp;

	HASH_ITER(hh, r->names, n, tmp)
	{
		HASH_DEL(r->names, n);
		fqdn_name_free(n);
	}
}

static int fqdn_name_new(const char *name, size_t len, const struct ip *ips, size_t n,
			 struct policy_fqdn_name **ret)
{
	struct policy_fqdn_name *f = calloc(1, sizeof(*f));

	if (f) {
		f->name = strndup(name, len);
		f->ips = malloc(n * sizeof(*ips));
	}
	if (!f || !f->name || !f->ips) {
		if (f)
			fqdn_name_free(f);
		return -ENOMEM;
	}
	memcpy(f->ips, ips, n * sizeof(*ips));
	f->n = n;
	*ret = f;
	return 0;
}

int policy_fqdn_set(struct policy_repo *r, const char *name, const struct ip *ips, size_t n)
{
	struct policy_fqdn_name *old, *f = NULL;
	size_t len = strlen(name);
	char lower[NAME_MAX_LEN + 1];
	int err;

	if (len && name[len - 1] == '.')
		len--;
	if (len == 0 || len > NAME_MAX_LEN)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	lower[len] = '\0';
	HASH_FIND(hh, r->names, lower, len, old);
	if (n > IPS_MAX)
		n = IPS_MAX;
	if (!old && n == 0)
		return 0;
	if (old && old->n == n && memcmp(old->ips, ips, n * sizeof(*ips)) == 0)
		return 0;
	if (n) {
		err = fqdn_name_new(lower, len, ips, n, &f);
		if (err < 0)
			return err;
	}
	if (old) {
		HASH_DEL(r->names, old);
		fqdn_name_free(old);
	}
	if (f) {
		hash_oom = false;
		HASH_ADD_KEYPTR(hh, r->names, f->name, len, f);
		if (hash_oom) {
			fqdn_name_free(f);
			return -ENOMEM;
		}
	}
	if (!policy_fqdn_each(r, lower, any_selector, NULL))
		return 0;
	r->names_generation++;
	return 1;
}
