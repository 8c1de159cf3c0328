/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same policies on a pod of Cilium and on this host: do the same packets arrive? See t_policy.sh.
 *   policy_diff MATRIX ALLOWED [cases FILE FROM COUNT | random SEED FROM COUNT]...
 *   policy_diff print SEED FROM COUNT      the random sets themselves
 * MATRIX: see diff_matrix.h; the environment has LAB, SERVER, CILIUM_SOCKET, ENDPOINT, AGENT (socket) and
 * OPTIONS (keys of cilium-config with which this lab runs, as JSON). ALLOWED: lines of
 *   DIRECTION PEER PROTOCOL/PORT POD HOST WORD REASON...
 * with "yes" or "no" for what arrives and "*" for any; it holds for sets that have the WORD.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/str.h"
#include "diff_api.h"
#include "diff_matrix.h"
#include "diff_objects.h"
#include "diff_random.h"
#include "json/json.h"
#include "kube/yaml_json.h"

enum { PATIENCE_MS = 3000 };

struct allowed {
	char what[64], pod[4], host[4], word[24];
};

struct test {
	struct matrix matrix;
	struct allowed allowed[64];
	size_t n_allowed;
	json_t *options;
	char *set_text;
	unsigned sets, left_out, compared, differences, excused, wrong, unfinished, arrived, number;
};

static const char *env(const char *name)
{
	const char *v = getenv(name);

	if (!v) {
		(void)fprintf(stderr, "policy_diff: %s is not set\n", name);
		exit(2);
	}
	return v;
}

static void read_allowed(struct test *t, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512], word[3][24];

	if (!f) {
		perror(path);
		exit(2);
	}
	while (fgets(line, sizeof(line), f)) {
		struct allowed *a = &t->allowed[t->n_allowed];

		if (*line == '#' ||
		    sscanf(line, "%23s %23s %23s %3s %3s %23s", word[0], word[1], word[2], a->pod, a->host, a->word) != 6)
			continue;
		(void)snprintf(a->what, sizeof(a->what), "%.19s %.19s %.19s", word[0], word[1], word[2]);
		if (++t->n_allowed == ARRAY_LEN(t->allowed))
			break;
	}
	(void)fclose(f);
}

static bool says(const char *word, bool has_arrived)
{
	return str_eq(word, "*") || str_eq(word, has_arrived ? "yes" : "no");
}

/* Words that "+" joins must all be there. */
static bool has_words(const char *text, const char *words)
{
	char word[24];

	for (size_t n; *words; words += n + (words[n] == '+')) {
		n = strcspn(words, "+");
		(void)snprintf(word, sizeof(word), "%.*s", (int)n, words);
		if (!str_eq(word, "*") && !strstr(text, word))
			return false;
	}
	return true;
}

static bool is_allowed(const struct test *t, const struct matrix_cell *c)
{
	const char *text = matrix_cell_text(c);

	for (size_t i = 0; i < t->n_allowed; i++)
		if (fnmatch(t->allowed[i].what, text, 0) == 0 && says(t->allowed[i].pod, c->pod) &&
		    says(t->allowed[i].host, c->host) &&
		    has_words(t->set_text, t->allowed[i].word))
			return true;
	return false;
}

/* What both do and the case says, or an exception that has a reason. */
static bool is_fine(const struct matrix_cell *c, void *arg)
{
	if (c->pod == c->host && (!c->want || c->pod == str_eq(c->want, "allow")))
		return true;
	return is_allowed(arg, c);
}

static const char *text_of(bool has_arrived)
{
	return has_arrived ? "arrives" : "is dropped";
}

static unsigned judge_cells(struct test *t)
{
	unsigned bad = 0;

	for (size_t i = 0; i < t->matrix.n_cells; i++) {
		const struct matrix_cell *c = &t->matrix.cells[i];

		t->arrived += c->pod;
		t->excused += c->pod != c->host && is_allowed(t, c);
		if (is_fine(c, t))
			continue;
		bad++;
		if (c->pod != c->host) {
			t->differences++;
			(void)printf("  DIFFERENT %s: pod %s, host %s%s%s\n", matrix_cell_text(c), text_of(c->pod), text_of(c->host),
				     c->want ? ", the case says " : "", c->want ? c->want : "");
		} else {
			t->wrong++;
			(void)printf("  WRONG %s: both: %s, the case says %s\n", matrix_cell_text(c), text_of(c->pod), c->want);
		}
	}
	t->compared += (unsigned)t->matrix.n_cells;
	return bad;
}

static unsigned judge_objects(struct test *t, const struct diff_objects *o)
{
	unsigned bad = 0;

	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].is_policy && !o->v[i].is_refused && o->v[i].is_rejected == o->v[i].is_in_cilium) {
			bad++;
			t->differences++;
			(void)printf("  DIFFERENT object %zu: this host %s it, Cilium %s it\n", i,
				     o->v[i].is_rejected ? "rejects" : "takes", o->v[i].is_in_cilium ? "takes" : "rejects");
		}
	return bad;
}

/* Where the API server did not let an object in, the case says nothing about this cluster. */
static bool is_whole(const json_t *set, const struct diff_objects *o)
{
	const json_t *policies = json_object_get(set, "policies");

	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].is_refused)
			return false;
	for (size_t i = 0; i < json_array_size(policies); i++)
		if (json_object_get(json_array_get(policies, i), "rejected"))
			return false;
	return true;
}

static void run_set(struct test *t, const json_t *set, const json_t *checks)
{
	const char *name = json_str(set, "name", "?");
	struct diff_objects objects;
	unsigned bad = 0;
	bool is_ready;

	t->set_text = json_dumps(set, JSON_COMPACT);
	if (!t->set_text)
		exit(2);
	diff_objects_make(set, t->number++, &objects);
	is_ready = diff_objects_wait(&objects, env("AGENT"), env("ENDPOINT"));
	matrix_plan(&t->matrix, is_whole(set, &objects) ? checks : NULL);
	matrix_run(&t->matrix, PATIENCE_MS, is_fine, t);
	bad = judge_objects(t, &objects);
	if (!is_ready && !bad) {
		t->unfinished++;
		(void)printf("  UNFINISHED: one of the two has not taken the set in\n");
		bad++;
	}
	bad += judge_cells(t);
	if (bad)
		(void)printf("  in the set \"%s\": %s\n", name, t->set_text);
	(void)fflush(stdout);
	free(t->set_text);
	t->sets++;
	diff_objects_remove(&objects);
}

/* Cases */

static bool mentions(const json_t *v, const char *const *words, size_t n)
{
	CLEANUP(free) char *text = json_dumps(v, JSON_COMPACT);
	bool found = false;

	for (size_t i = 0; text && i < n; i++)
		found |= strstr(text, words[i]) != NULL;
	return found;
}

/* {} as a subject is everybody, and the peers' own policies would hide what is asked. */
static void narrow_subject(json_t *spec)
{
	static const char *const keys[] = {"endpointSelector", "podSelector"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_t *s = json_object_get(spec, keys[i]);

		if (json_is_object(s) && json_object_size(s) == 0)
			(void)json_object_set_new(s, "matchLabels", json_pack("{s:s}", "jedi", "luke"));
	}
}

static bool is_runnable(const struct test *t, const json_t *c)
{
	static const char *const other[] = {"subject", "fqdn"};
	const json_t *opts = json_object_get(c, "opts");
	CLEANUP(json_decref) json_t *none = json_object();

	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		if (json_object_get(c, other[i]))
			return false;
	return json_equal(opts ? opts : none, t->options);
}

static void run_cases(struct test *t, const char *path, unsigned from, unsigned count)
{
	static const char *const needs_proxy[] = {"\"rules\":", "\"serverNames\":", "TLS\":", "\"listener\":", "toFQDNs"};
	CLEANUP(buf_done) struct buf text = {.max = 4 << 20};
	CLEANUP(json_decref) json_t *docs = NULL;
	struct err err = {0};

	if (file_read(path, 4 << 20, &text) < 0 || yaml_to_json(text.data, text.len, &docs, &err) < 0) {
		(void)fprintf(stderr, "policy_diff: %s: %s\n", path, err.text);
		exit(2);
	}
	const json_t *cases = json_array_get(docs, 0);

	for (size_t i = from; i < json_array_size(cases) && i < (size_t)from + count; i++) {
		json_t *c = json_array_get(cases, i), *policies = json_object_get(c, "policies"), *specs;
		bool has_expectation = !json_object_get(c, "ports") &&
				       !mentions(policies, needs_proxy, ARRAY_LEN(needs_proxy));

		if (!is_runnable(t, c)) {
			t->left_out++;
			continue;
		}
		for (size_t k = 0; k < json_array_size(policies); k++) {
			json_t *p = json_array_get(policies, k);

			narrow_subject(json_object_get(p, "spec"));
			specs = json_object_get(p, "specs");
			for (size_t j = 0; j < json_array_size(specs); j++)
				narrow_subject(json_array_get(specs, j));
		}
		run_set(t, c, has_expectation ? json_object_get(c, "checks") : NULL);
	}
}

static void run_random(struct test *t, uint64_t seed, unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++) {
		CLEANUP(json_decref) json_t *set = diff_random_set(seed, i);

		run_set(t, set, NULL);
	}
}

static uint64_t number_of(const char *text)
{
	uint64_t v;

	if (str_to_u64(text, UINT64_MAX, &v) < 0) {
		(void)fprintf(stderr, "policy_diff: %s: no number\n", text);
		exit(2);
	}
	return v;
}

static int print_random(char **argv)
{
	unsigned from = (unsigned)number_of(argv[3]), count = (unsigned)number_of(argv[4]);

	for (unsigned i = from; i < from + count; i++) {
		CLEANUP(json_decref) json_t *set = diff_random_set(number_of(argv[2]), i);
		CLEANUP(free) char *text = json_dumps(set, JSON_COMPACT);

		if (!text || puts(text) < 0)
			return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct test t;

	if (argc == 5 && str_eq(argv[1], "print"))
		return print_random(argv);
	if (argc < 7 || (argc - 3) % 4 != 0) {
		(void)fprintf(stderr, "usage: policy_diff MATRIX ALLOWED [cases FILE FROM COUNT | random SEED FROM COUNT]...\n");
		return 2;
	}
	t.options = json_loads(env("OPTIONS"), 0, NULL);
	read_allowed(&t, argv[2]);
	api_open(env("LAB"), env("SERVER"), env("CILIUM_SOCKET"));
	matrix_read(&t.matrix, argv[1]);
	for (int i = 3; i + 3 < argc; i += 4) {
		unsigned from = (unsigned)number_of(argv[i + 2]), count = (unsigned)number_of(argv[i + 3]);

		if (str_eq(argv[i], "cases"))
			run_cases(&t, argv[i + 1], from, count);
		else
			run_random(&t, number_of(argv[i + 1]), from, count);
	}
	(void)printf("%u sets, %u cases left out, %u probes of each, %u of them arrive at the pod; %u allowed differences\n", t.sets,
		     t.left_out, t.compared, t.arrived, t.excused);
	(void)printf("%u different, %u not as the case says, %u unfinished\n", t.differences, t.wrong, t.unfinished);
	api_close();
	json_decref(t.options);
	return t.differences || t.wrong || t.unfinished || !t.sets;
}
