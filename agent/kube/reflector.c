/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/reflector.h"

#include <string.h>

#include "base/backoff.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/str.h"
#include "json/json.h"
#include "kube/list_doubt.h"

enum {
	PAGE = 500,
	WATCH_MIN_S = 300,
	WATCH_SPREAD_S = 300,
	WATCH_GUARD_S = 30,
	FORBIDDEN_RETRY_S = 60, /* RBAC may arrive */
	ABSENT_RETRY_S = 60,	/* CRDs are installed by the operator, soon after it starts; */
	ABSENT_TIMES = 5,	/* what stays away is asked for less and less, down to so seldom */
	SHORT_WATCH_S = 2,	/* a watch that ends sooner is answered by waiting */
	/*
	 * A server answers at once, or within its own limit for requests that wait; a request whose answer got lost on the way would
	 * be waited for as long as a watch may last. More than kube_client.h gives requests that are no watches.
	 */
	OVERDUE_S = 40,
	CONFIRM_S = 30,		/* between a list that lost most and the one that confirms it */
	OLDER_S = 120,		/* in which all kinds find that the server went back in time */
	SUSPICIOUS_MIN = 10,	/* of fewer objects some may vanish at once, but not all */
	CONTINUE_MAX = 4096,
	/*
	 * A watch of more objects than this asks for bookmarks, which wake the host once a minute and kind. They keep the
	 * version new, so that the watch resumes where its own events would be forgotten. With fewer objects that costs a
	 * list of one page instead; and a server that was started anew has forgotten the bookmarks' versions, too.
	 */
	BOOKMARKS_FROM = 250,
};

/*
 * A list tells its version only after its objects, streamed or (for custom resources, whose members are sorted)
 * in pages. What is known already must not be overwritten by older states, so a probe asks for the version first.
 */
enum phase { PHASE_PROBE, PHASE_WATCHLIST, PHASE_LIST, PHASE_WATCH };

enum event_type { EVENT_NONE, EVENT_UPSERT, EVENT_ADDED, EVENT_DELETED, EVENT_BOOKMARK, EVENT_ERROR };

struct reflector {
	struct loop *loop;
	struct kube_client *client;
	struct reflector_conf conf;
	struct source *timer;
	struct kube_op *op;
	struct json_stream *stream;
	struct backoff backoff;
	enum phase phase;
	enum reflector_state state;
	enum event_type event;
	bool has_synced;
	bool no_watchlist;  /* this server refused it */
	bool is_replacing;  /* between on_replace_begin and its end */
	bool is_probed;	    /* just now: the server's version is not older than ours */
	bool is_confirming; /* waits for a list that says the same */
	bool is_absent;	    /* the kind does not exist */
	bool is_forbidden;  /* RBAC lets us not read it */
	bool is_at_other;   /* path */
	bool has_turned;    /* to the other path, and was not answered since */
	struct list_doubt doubt; /* the last lists were not believed */
	bool must_relist;   /* after an ERROR event or 410 */
	bool must_probe;    /* nothing was watched for a while: the server may have gone back in time meanwhile */
	bool is_new_list;   /* no watch has lasted since the last list */
	char version[VERSION_LEN];	/* to resume from; "" = none */
	char next_version[VERSION_LEN]; /* of the list being read */
	char *page_token;		/* of the next page */
	char error[256];
	char event_error[256]; /* of the exchange under way */
	const char *server;    /* that it went to */
	uint64_t fresh_us;
	uint64_t started_us; /* of the exchange under way */
	uint64_t opened_us;  /* when its answer began; 0 = not yet */
	uint64_t heard_us;   /* when something of it came, as long as more is due */
	uint64_t seen;	     /* in the list being read */
	uint64_t older_us;   /* when the server was last found to have gone back in time; 0 = never */
	unsigned n_refused;  /* 401 in a row */
	unsigned n_absent;   /* 404 in a row */
	struct reflector_stats stats;
};

static void begin(struct reflector *r);

static void set_state(struct reflector *r, enum reflector_state state, const char *error)
{
	size_t n = strnlen(error, sizeof(r->error) - 1);

	memmove(r->error, error, n); /* it may be r->error itself */
	r->error[n] = '\0';
	r->state = state;
	if (r->conf.on_state)
		r->conf.on_state(r, r->conf.state_arg);
}

static void wait_as(struct reflector *r, bool is_confirming, uint64_t delay_us, const char *why)
{
	int e = source_arm(r->timer, delay_us, delay_us / 8);

	r->is_confirming = is_confirming;
	r->is_probed = false;
	r->must_probe |= r->phase == PHASE_WATCH;
	if (e < 0)
		log_event(LOG_ERR, "reflector.timer", "cannot arm the retry timer", F_STR("kind", r->conf.name),
			  F_ERRNO(e));
	set_state(r, REFLECTOR_WAITING, why);
}

static void wait_for(struct reflector *r, uint64_t delay_us, const char *why)
{
	wait_as(r, false, delay_us, why);
}

static uint64_t overdue_us(const struct reflector *r)
{
	return r->conf.overdue_us ? r->conf.overdue_us : OVERDUE_S * USEC_PER_SEC;
}

static uint64_t confirm_us(const struct reflector *r)
{
	return r->conf.confirm_us ? r->conf.confirm_us : CONFIRM_S * USEC_PER_SEC;
}

static void confirm(struct reflector *r)
{
	wait_as(r, true, confirm_us(r), "waiting for a second list");
}

static void back_off(struct reflector *r, int64_t retry_after_s, const char *why)
{
	uint64_t delay_us = backoff_next_us(&r->backoff, clock_boot_us());

	if (retry_after_s > 0)
		delay_us = (uint64_t)retry_after_s * USEC_PER_SEC + delay_us / 4;
	wait_for(r, delay_us, why);
}

static void copy_version(char dst[VERSION_LEN], const char *text, size_t len)
{
	if (len >= VERSION_LEN)
		len = 0; /* no server of ours makes such; start from a list then */
	memcpy(dst, text, len);
	dst[len] = '\0';
}

static void replace_begin(struct reflector *r)
{
	r->is_replacing = true;
	r->seen = 0;
	r->next_version[0] = '\0';
	r->conf.ops->on_replace_begin(r->conf.arg);
}

/* One more list that contradicts what is known. True once enough of them said the same, for long enough. */
static bool is_confirmed(struct reflector *r, const struct list_doubt *now)
{
	if (list_doubt_add(&r->doubt, now, r->conf.is_guarded, confirm_us(r)))
		return true;
	if (r->doubt.n == 1)
		log_event(LOG_ERR, "reflector.suspicious",
			  now->has_lost ? "a list has lost most objects: nothing is removed until a later one says the same"
					: "the API server went back in time: nothing is changed until a later list says the same",
			  F_STR("kind", r->conf.name), F_U64("listed", now->listed), F_U64("known", r->stats.objects));
	return false;
}

static bool is_newly_older(const struct reflector *r)
{
	return !r->older_us || clock_boot_us() - r->older_us >= OLDER_S * USEC_PER_SEC;
}

/* Believed: of the other kinds' watches not each can see it. */
static void went_back(struct reflector *r)
{
	bool is_new = is_newly_older(r);

	r->older_us = clock_boot_us();
	if (is_new && r->conf.on_older)
		r->conf.on_older(r->conf.state_arg);
}

/* A list is complete. Returns false if it is not to be believed yet. */
static bool replace_end(struct reflector *r, const char *version)
{
	bool lost = r->stats.objects >= SUSPICIOUS_MIN ? r->seen < r->stats.objects / 2 : r->stats.objects > r->seen && r->seen == 0;
	bool older = r->version[0] && version_is_older(version, r->version);
	struct list_doubt now = {.has_lost = lost, .is_older = older, .listed = r->seen};

	r->is_replacing = false;
	r->stats.lists++;
	copy_version(now.version, version, strlen(version));
	if ((lost || older) && !is_confirmed(r, &now))
		return false;
	r->doubt = (struct list_doubt){0};
	r->stats.objects = r->seen;
	copy_version(r->version, version, strlen(version));
	r->conf.ops->on_replace_end(r->conf.arg);
	r->has_synced = true;
	r->fresh_us = clock_boot_us();
	if (older)
		went_back(r);
	return true;
}

/* What a believed list begins. Delays start over only once a watch has lasted, too. */
static void list_done(struct reflector *r)
{
	r->phase = PHASE_WATCH;
	r->must_relist = r->must_probe = false;
	r->is_new_list = true;
	r->n_refused = 0;
	source_disarm(r->timer); /* nothing is due any more */
	if (r->op)
		kube_bulk_over(r->op); /* from now on each event counts */
	set_state(r, REFLECTOR_SYNCED, "");
}

static void watch_lasted(struct reflector *r)
{
	r->is_new_list = r->is_probed = false;
	r->n_refused = 0;
	backoff_reset(&r->backoff);
}

/* Events of the stream */

static int on_envelope(const char *path, const char *text, size_t len, void *arg)
{
	static const struct {
		const char *name;
		enum event_type type;
	} types[] = {{"ADDED", EVENT_ADDED}, {"MODIFIED", EVENT_UPSERT}, {"DELETED", EVENT_DELETED},
		     {"BOOKMARK", EVENT_BOOKMARK}, {"ERROR", EVENT_ERROR}};
	struct reflector *r = arg;

	if (r->phase == PHASE_LIST || r->phase == PHASE_PROBE) {
		if (str_eq(path, "metadata.resourceVersion")) {
			copy_version(r->next_version, text, len);
		} else if (str_eq(path, "metadata.continue") && len && r->phase == PHASE_LIST) {
			if (len > CONTINUE_MAX)
				return -E2BIG;
			free(r->page_token);
			r->page_token = strndup(text, len);
			return r->page_token ? 0 : -ENOMEM;
		}
		return 0;
	}
	if (!str_eq(path, "type"))
		return 0;
	r->event = EVENT_NONE;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strlen(types[i].name) == len && memcmp(types[i].name, text, len) == 0)
			r->event = types[i].type;
	if (r->event == EVENT_BOOKMARK || r->event == EVENT_ERROR)
		json_stream_want_document(r->stream);
	return r->event == EVENT_NONE ? -EBADMSG : 0;
}

static int on_begin(void *arg)
{
	struct reflector *r = arg;

	if (r->phase == PHASE_PROBE)
		return 0;
	if (r->phase != PHASE_LIST && r->event == EVENT_NONE)
		return -EBADMSG;
	r->conf.ops->on_begin(r->conf.arg);
	return 0;
}

static int on_pick(const struct json_pick *pick, void *arg)
{
	struct reflector *r = arg;

	if (r->phase == PHASE_PROBE)
		return 0;
	if (pick->id == REFLECTOR_FIELD_VERSION && r->phase == PHASE_WATCH && pick->what == JSON_SCALAR)
		copy_version(r->next_version, pick->text, pick->text_len);
	r->conf.ops->on_pick(pick, r->conf.arg);
	return 0;
}

static int on_bookmark(struct reflector *r, const struct doc *doc)
{
	const char *version = doc_str_at(doc, "metadata.resourceVersion", "");
	const struct doc *annotations = doc_at(doc, "metadata.annotations");
	const char *end = doc_str(doc_get_any(annotations, "k8s.io/initial-events-end"));

	if (r->phase == PHASE_WATCH) {
		copy_version(r->version, version, strlen(version));
	} else if (end && str_eq(end, "true")) {
		if (!replace_end(r, version))
			return -EAGAIN;
		list_done(r);
	}
	return 0;
}

static int on_error_event(struct reflector *r, const struct doc *doc)
{
	int64_t code = doc_int_at(doc, "code", 0);

	if (code == 410)
		r->must_relist = true;
	(void)snprintf(r->event_error, sizeof(r->event_error), "watch: %s", doc_str_at(doc, "message", "the server ended it"));
	return code == 410 ? -ESTALE : -EIO;
}

/* Whoever reads it refuses it, with words that say nothing of the reason. */
static void note_size(const struct reflector *r, const struct doc *doc)
{
	if (doc && json_stream_is_cut(r->stream))
		log_event(LOG_WARNING, "reflector.too_large", "an object takes too much memory: it counts as one that is malformed",
			  F_STR("kind", r->conf.name), F_STR("namespace", doc_str_at(doc, "metadata.namespace", "")),
			  F_STR("name", doc_str_at(doc, "metadata.name", "")));
}

static int on_object(const struct doc *doc, void *arg)
{
	struct reflector *r = arg;
	enum event_type event = r->phase == PHASE_LIST ? EVENT_ADDED : r->event;
	uint64_t *n;

	if (r->phase == PHASE_PROBE)
		return 0;
	r->fresh_us = clock_boot_us();
	r->event = EVENT_NONE;
	r->is_probed &= event == EVENT_ERROR; /* a version after the one that was asked about */
	switch (event) {
	case EVENT_BOOKMARK:
		return on_bookmark(r, doc);
	case EVENT_ERROR:
		return on_error_event(r, doc);
	case EVENT_NONE:
		return -EBADMSG;
	default:
		break;
	}
	r->stats.events++;
	note_size(r, doc);
	r->conf.ops->on_object(event == EVENT_DELETED, doc, r->conf.arg);
	/* A streaming list may tell of changes before its end, too. */
	n = r->phase == PHASE_WATCH ? &r->stats.objects : &r->seen;
	if (event == EVENT_ADDED)
		++*n;
	else if (event == EVENT_DELETED && *n)
		--*n;
	if (r->phase != PHASE_WATCH)
		return 0;
	if (doc) {
		const char *version = doc_str_at(doc, "metadata.resourceVersion", "");

		copy_version(r->version, version, strlen(version));
	} else {
		memcpy(r->version, r->next_version, sizeof(r->version));
	}
	return 0;
}

static const struct json_stream_ops stream_ops = {
	.on_object = on_object,
	.on_envelope = on_envelope,
	.on_begin = on_begin,
	.on_pick = on_pick,
};

static int on_data(const char *data, size_t len, void *arg)
{
	struct reflector *r = arg;

	if (r->phase != PHASE_WATCH)
		r->heard_us = clock_boot_us();
	return json_stream_feed(r->stream, data, len);
}

/* The server answers: only now the state is another one, or every vain attempt would look like a recovery. */
static void on_open(void *arg)
{
	struct reflector *r = arg;

	r->opened_us = r->heard_us = clock_boot_us();
	if (r->phase == PHASE_WATCH)
		source_disarm(r->timer); /* it may be silent from now on */
	r->is_absent = false;
	r->has_turned = false;
	if (r->phase == PHASE_PROBE) {
		/* it says nothing of objects yet */
	} else if (r->phase != PHASE_WATCH) {
		if (r->state == REFLECTOR_WAITING)
			set_state(r, REFLECTOR_SYNCING, "");
	} else if (r->state != REFLECTOR_SYNCED) {
		set_state(r, REFLECTOR_SYNCED, "");
	}
}

/* Ends of exchanges */

/* A list that was begun does not count, neither do its pages. */
static void fail(struct reflector *r, int64_t retry_after_s, const char *why)
{
	if (r->is_replacing && r->phase == PHASE_LIST) {
		free(r->page_token);
		r->page_token = NULL;
	}
	back_off(r, retry_after_s, why);
}

static bool handle_refusal(struct reflector *r, const struct kube_result *res)
{
	char why[256];

	(void)snprintf(why, sizeof(why), "%.200s", res->message);
	switch (res->r) {
	case -ESTALE:
		if (r->phase != PHASE_WATCH)
			return false; /* a list cannot be too old; wait before the next */
		r->must_relist = true;
		if (clock_boot_us() - r->started_us < SHORT_WATCH_S * USEC_PER_SEC && r->is_new_list)
			return false; /* no version is new enough for this server: do not list in a loop */
		begin(r);
		return true;
	case -EINVAL:
		if (r->phase != PHASE_WATCHLIST)
			return false;
		r->no_watchlist = true;
		begin(r);
		return true;
	case -ENOENT:
		if (r->conf.other_path && !r->has_turned) {
			r->has_turned = true;
			r->is_at_other = !r->is_at_other;
			begin(r);
			return true;
		}
		r->has_turned = false; /* neither is there: the next attempt asks for both again */
		if (r->conf.is_optional && !r->has_synced) {
			replace_begin(r);
			(void)replace_end(r, ""); /* an empty list against nothing known is never suspicious */
		}
		r->is_absent = r->conf.is_optional && r->stats.objects == 0;
		if (r->is_absent)
			r->fresh_us = clock_boot_us();
		r->n_absent = MIN(r->n_absent + 1, (unsigned)ABSENT_TIMES);
		wait_for(r, r->n_absent * ABSENT_RETRY_S * USEC_PER_SEC + rng_below(USEC_PER_SEC), why);
		return true;
	case -EPERM:
		r->is_forbidden = true;
		wait_for(r, FORBIDDEN_RETRY_S * USEC_PER_SEC + rng_below(USEC_PER_SEC), why);
		return true;
	case -EACCES:
		if (r->conf.on_unauthorized)
			r->conf.on_unauthorized(r->conf.state_arg);
		if (r->n_refused++ == 0)
			return false; /* once more soon; after that a new credential wakes us */
		wait_for(r, FORBIDDEN_RETRY_S * USEC_PER_SEC + rng_below(USEC_PER_SEC), why);
		return true;
	default:
		return false;
	}
}

static void on_list_page(struct reflector *r)
{
	if (r->page_token) {
		begin(r);
		return;
	}
	if (!r->next_version[0]) { /* without it there is nothing to watch from, and the list would go round */
		back_off(r, -1, "the list has no resourceVersion");
		return;
	}
	if (!replace_end(r, r->next_version)) {
		confirm(r);
		return;
	}
	list_done(r);
	begin(r);
}

static void on_probe(struct reflector *r)
{
	struct list_doubt now = {.is_older = version_is_older(r->next_version, r->version)};

	if (!r->next_version[0]) {
		back_off(r, -1, "the list has no resourceVersion");
		return;
	}
	r->must_probe = false;
	memcpy(now.version, r->next_version, sizeof(now.version));
	if (now.is_older && !is_confirmed(r, &now)) {
		confirm(r);
		return;
	}
	if (now.is_older) {
		r->version[0] = '\0'; /* what is listed counts again, whatever its version */
		went_back(r);
	}
	if (now.is_older || !r->doubt.has_lost)
		r->doubt = (struct list_doubt){0};
	r->is_probed = true;
	begin(r);
}

static void on_done(const struct kube_result *res, void *arg)
{
	struct reflector *r = arg;
	int end = res->r == 0 ? json_stream_end(r->stream) : 0;

	r->op = NULL;
	r->server = res->server;
	r->is_forbidden = false;
	if (res->r != -ENOENT) {
		r->is_absent = false;
		r->n_absent = 0;
	}
	if (r->phase == PHASE_WATCH && r->opened_us) {
		r->fresh_us = clock_boot_us(); /* until now the server would have said what changed */
		if (r->fresh_us - r->opened_us >= SHORT_WATCH_S * USEC_PER_SEC)
			watch_lasted(r);
	}
	if (res->r == -EAGAIN && r->doubt.n) {
		confirm(r);
		return;
	}
	if (res->r < 0 && handle_refusal(r, res))
		return;
	if (res->r < 0 || end < 0) {
		fail(r, res->retry_after_s, r->event_error[0] && res->r == -EIO ? r->event_error
					    : end < 0 ? "the answer was cut short" : res->message);
		return;
	}
	if (r->phase == PHASE_PROBE) {
		on_probe(r);
		return;
	}
	if (r->phase == PHASE_LIST) {
		on_list_page(r);
		return;
	}
	r->stats.reconnects++;
	if (r->phase == PHASE_WATCHLIST) /* ended before the mark: the partial set does not count */
		back_off(r, -1, "the list ended before it was complete");
	else if (clock_boot_us() - r->started_us < SHORT_WATCH_S * USEC_PER_SEC)
		back_off(r, -1, "the server ends watches at once");
	else
		begin(r); /* the server ends watches now and then: go on where it stopped */
}

/* Beginnings */

static int build_path(struct reflector *r, struct buf *path)
{
	const char *of = r->is_at_other ? r->conf.other_path : r->conf.path;
	const char *query = r->conf.query ? r->conf.query : "";
	const char *amp = r->conf.query ? "&" : "";
	unsigned timeout_s = WATCH_MIN_S + rng_below(WATCH_SPREAD_S);
	int e;

	switch (r->phase) {
	case PHASE_PROBE:
		return buf_addf(path, "%s?limit=1%s%s", of, amp, query);
	case PHASE_WATCHLIST:
		return buf_addf(path,
				"%s?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
				"&resourceVersion=&allowWatchBookmarks=true&timeoutSeconds=%u%s%s",
				of, timeout_s, amp, query);
	case PHASE_LIST:
		e = buf_addf(path, "%s?limit=%d%s%s", of, PAGE, amp, query);
		if (e == 0 && r->page_token)
			e = buf_addf(path, "&continue=");
		if (e == 0 && r->page_token)
			e = buf_add_escaped(path, r->page_token);
		return e;
	case PHASE_WATCH:
		e = buf_addf(path, "%s?watch=1&resourceVersion=", of);
		if (e == 0)
			e = buf_add_escaped(path, r->version);
		if (e == 0)
			e = buf_addf(path, "%s&timeoutSeconds=%u%s%s",
				     r->stats.objects > BOOKMARKS_FROM ? "&allowWatchBookmarks=true" : "", timeout_s, amp, query);
		return e;
	}
	return -EINVAL;
}

static int start(struct reflector *r)
{
	CLEANUP(buf_done) struct buf path = {0};
	struct kube_request req = {.on_open = on_open, .on_data = on_data, .on_done = on_done, .arg = r};
	bool is_list = r->phase == PHASE_LIST || r->phase == PHASE_PROBE;
	int e;

	json_stream_free(r->stream);
	r->stream = NULL;
	e = json_stream_new(is_list ? JSON_LIST : JSON_WATCH, r->conf.paths, &stream_ops, r,
			    &r->stream);
	if (e < 0)
		return e;
	e = build_path(r, &path);
	if (e < 0)
		return e;
	free(r->page_token); /* used; the answer may bring another */
	r->page_token = NULL;
	req.path = path.data;
	req.timeout_us = is_list ? 0
				 : (int64_t)((WATCH_MIN_S + WATCH_SPREAD_S + WATCH_GUARD_S) * USEC_PER_SEC);
	req.is_watch = !is_list;
	req.is_bulk = r->phase == PHASE_LIST || r->phase == PHASE_WATCHLIST;
	r->started_us = r->heard_us = clock_boot_us();
	r->opened_us = 0;
	r->event_error[0] = '\0';
	r->event = EVENT_NONE; /* of one that was cut */
	e = kube_start(r->client, &req, &r->op);
	if (e < 0)
		return e;
	e = source_arm(r->timer, overdue_us(r), OVERDUE_S / 8 * USEC_PER_SEC);
	if (e < 0) {
		kube_cancel(r->op);
		r->op = NULL;
	}
	return e;
}

static void begin(struct reflector *r)
{
	bool resume = r->has_synced && r->version[0] && !r->must_relist && !r->doubt.n;
	int e;

	if (resume) {
		/* A watch from a version that is yet to come is silent, and misses what happened before it comes. */
		r->phase = r->must_probe ? PHASE_PROBE : PHASE_WATCH;
		r->next_version[0] = '\0';
	} else if (r->page_token) {
		r->phase = PHASE_LIST;
		r->next_version[0] = '\0'; /* each page says it: one without a body is not the last one */
	} else if (r->has_synced && r->version[0] && !r->is_probed) {
		r->phase = PHASE_PROBE;
		r->next_version[0] = '\0';
	} else {
		r->phase = r->no_watchlist ? PHASE_LIST : PHASE_WATCHLIST;
		r->is_probed = false;
		replace_begin(r);
	}
	if (!resume && r->state == REFLECTOR_SYNCED)
		set_state(r, REFLECTOR_SYNCING, "");
	e = start(r);
	if (e < 0)
		back_off(r, -1, err_name(e));
}

/* Something of the answer must have come by now. */
static void look_at_answer(struct reflector *r)
{
	uint64_t silent_us = clock_boot_us() - r->heard_us;

	if (silent_us < overdue_us(r) && source_arm(r->timer, overdue_us(r) - silent_us, OVERDUE_S / 8 * USEC_PER_SEC) == 0)
		return;
	kube_give_up(r->op, r->heard_us);
	r->op = NULL;
	fail(r, -1, r->opened_us ? "the API server fell silent in the middle of a list" : "the API server does not answer");
}

static void on_timer(void *arg)
{
	struct reflector *r = arg;

	if (r->op)
		look_at_answer(r);
	else
		begin(r);
}

int reflector_new(struct loop *loop, struct kube_client *client, const struct reflector_conf *conf,
		  uint64_t delay_us, struct reflector **ret)
{
	CLEANUP(reflector_free) struct reflector *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->client = client;
	r->conf = *conf;
	e = loop_add_timer(loop, on_timer, r, &r->timer);
	if (e < 0)
		return e;
	e = source_arm(r->timer, delay_us, 0);
	if (e < 0)
		return e;
	*ret = TAKE_PTR(r);
	return 0;
}

void reflector_free(struct reflector *r)
{
	if (!r)
		return;
	kube_cancel(r->op);
	source_free(r->timer);
	json_stream_free(r->stream);
	free(r->page_token);
	free(r);
}

const char *reflector_name(const struct reflector *r)
{
	return r->conf.name;
}

enum reflector_state reflector_get_state(const struct reflector *r)
{
	return r->state;
}

bool reflector_has_synced(const struct reflector *r)
{
	return r->has_synced;
}

const char *reflector_error(const struct reflector *r)
{
	return r->error;
}

bool reflector_is_failing(const struct reflector *r)
{
	return r->state == REFLECTOR_WAITING && !r->is_absent && !r->is_confirming;
}

bool reflector_is_forbidden(const struct reflector *r)
{
	return r->is_forbidden && reflector_is_failing(r);
}

bool reflector_is_absent(const struct reflector *r)
{
	return r->is_absent;
}

bool reflector_get_doubt(const struct reflector *r, struct reflector_doubt *ret)
{
	if (!r->doubt.n)
		return false;
	*ret = (struct reflector_doubt){.listed = r->doubt.listed, .known = r->stats.objects, .is_older = r->doubt.is_older};
	return true;
}

const char *reflector_server(const struct reflector *r)
{
	return r->server;
}

uint64_t reflector_fresh_us(const struct reflector *r)
{
	return r->fresh_us;
}

struct reflector_stats reflector_get_stats(const struct reflector *r)
{
	return r->stats;
}

void reflector_reread(struct reflector *r, const char *why)
{
	if (!r->has_synced)
		return;
	r->must_relist = true;
	if (!r->op || r->phase != PHASE_WATCH)
		return; /* it is on its way to a list, or to where that is decided */
	kube_cancel(r->op);
	r->op = NULL;
	wait_for(r, rng_below(USEC_PER_SEC), why);
}

void reflector_relist(struct reflector *r)
{
	if (!r->has_synced || !is_newly_older(r))
		return;
	r->older_us = clock_boot_us();
	reflector_reread(r, "the API server went back in time: listing anew");
}

void reflector_kick(struct reflector *r)
{
	r->n_refused = 0;
	if (r->state == REFLECTOR_WAITING && !r->op && !r->is_confirming)
		(void)source_arm(r->timer, 0, 0); /* it was armed already; this only shortens it */
}
