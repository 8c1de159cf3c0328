/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolver_file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agentd/resolver_host.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"

enum { PATH_LEN = 512, LABEL_MAX = 256, OWN_LINES = 3 };

static const char NOTE[] = RESOLVER_MARK "it answers for the cluster, and asks the servers below for other names.\n"
			   "# The file of before is " RESOLVER_BACKUP "; it is put back when the agent stops.\n";
static const char SELINUX[] = "security.selinux";

struct files {
	char conf[PATH_LEN], backup[PATH_LEN], unfinished[PATH_LEN];
};

static void name_files(const char *root, struct files *ret)
{
	(void)snprintf(ret->conf, sizeof(ret->conf), "%s" RESOLVER_CONF, root);	     /* a cut name is no file */
	(void)snprintf(ret->backup, sizeof(ret->backup), "%s" RESOLVER_BACKUP, root); /* likewise */
	(void)snprintf(ret->unfinished, sizeof(ret->unfinished), "%s" RESOLVER_CONF FILE_UNFINISHED, root); /* likewise */
}

/* A plain file and its text, which is empty if the file is. 0, -ENOENT, -EINVAL if it is none, errno of reading. */
static int read_plain(const char *path, struct buf *ret, struct stat *ret_st)
{
	if (lstat(path, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -EINVAL;
	return file_read(path, LIMIT_CONFIG_BYTES, ret);
}

static const char *text_of(const struct buf *b)
{
	return b->data ? b->data : "";
}

static bool is_ours(const struct buf *text)
{
	return str_has_prefix(text_of(text), RESOLVER_MARK);
}

/* Whether the first server is ours already, by somebody's own hand. */
static bool names_first(const char *text, const struct ip *server)
{
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		char address[IP_STRLEN];
		struct ip ip;

		if (sscanf(text, "%*[ \t]nameserver %45s", address) == 1 || sscanf(text, "nameserver %45s", address) == 1)
			return ip_parse(address, &ip) == 0 && ip_eq(&ip, server);
	}
	return false;
}

/* "rotate" would ask the others for names of the cluster. */
static int add_options(struct buf *b, const char *line, size_t len)
{
	int r = buf_addf(b, "options");

	line += strlen("options");
	len -= strlen("options");
	while (r >= 0 && len) {
		size_t blank = strspn(line, " \t"), n;

		blank = blank < len ? blank : len;
		line += blank;
		len -= blank;
		n = strcspn(line, " \t\n");
		n = n < len ? n : len;
		if (n && !(n == strlen("rotate") && strncmp(line, "rotate", n) == 0))
			r = buf_addf(b, " %.*s", (int)n, line);
		line += n;
		len -= n;
	}
	return r < 0 ? r : buf_addf(b, "\n");
}

/* Our file, from that of before. */
static int compose(const char *before, const struct ip *server, struct buf *ret)
{
	char address[IP_STRLEN];
	int r = buf_addf(ret, "%snameserver %s\n", NOTE, ip_str(server, address));

	while (r >= 0 && *before) {
		size_t len = strcspn(before, "\n");

		if (str_has_prefix(before, "options") && strchr(" \t", before[strlen("options")]))
			r = add_options(ret, before, len);
		else
			r = buf_addf(ret, "%.*s\n", (int)len, before);
		before += len + (before[len] == '\n');
	}
	return r;
}

/* Of a run that ended while it wrote, or before it reached the disk. */
static void remove_unfinished(const struct files *f)
{
	CLEANUP(buf_done) struct buf text = {0};
	struct stat st;

	if (read_plain(f->unfinished, &text, &st) == 0 && (text.len == 0 || is_ours(&text)))
		(void)unlink(f->unfinished); /* nobody reads it */
}

/* The mode and the label of SELinux are those of before. -EEXIST if somebody else has a file where ours is made. */
static int put(const struct files *f, const char *like, const struct buf *text, mode_t mode)
{
	char label[LABEL_MAX];
	ssize_t n = lgetxattr(like, SELINUX, label, sizeof(label));
	struct stat st;
	int r;

	remove_unfinished(f);
	if (lstat(f->unfinished, &st) == 0)
		return -EEXIST;
	r = file_write_atomic(f->conf, text->data, text->len, mode & 0777);
	if (r == 0 && n > 0)
		(void)lsetxattr(f->conf, SELINUX, label, (size_t)n, 0); /* without SELinux there is none */
	return r;
}

static int failed(struct err *reterr, int r)
{
	if (r == -EEXIST)
		return err_set(reterr, EEXIST, "cannot change " RESOLVER_CONF ": " RESOLVER_CONF FILE_UNFINISHED " is there, and not of the agent; "
			       "remove or rename it");
	return err_set(reterr, -r, "cannot change " RESOLVER_CONF ": %s", err_name(r));
}

int resolver_file_take(const char *root, const struct ip *server, struct err *reterr)
{
	CLEANUP(buf_done) struct buf now = {0};
	CLEANUP(buf_done) struct buf before = {0};
	CLEANUP(buf_done) struct buf want = {0};
	struct files f;
	struct stat st;
	int r;

	name_files(root, &f);
	r = read_plain(f.conf, &now, &st);
	if (r < 0)
		return failed(reterr, r);
	if (!is_ours(&now)) {
		if (names_first(text_of(&now), server))
			return 0;
		if (unlink(f.backup) < 0 && errno != ENOENT) /* of a file that somebody has replaced since */
			return failed(reterr, -errno);
		if (link(f.conf, f.backup) < 0)
			return failed(reterr, -errno);
	}
	r = read_plain(f.backup, &before, &st);
	if (r == -ENOENT)
		return 0; /* somebody took it away: ours is all there is */
	if (r == 0)
		r = compose(text_of(&before), server, &want);
	if (r == 0 && str_eq(text_of(&now), text_of(&want)))
		return 0;
	if (r == 0)
		r = put(&f, f.backup, &want, st.st_mode);
	if (r < 0 && !is_ours(&now))
		(void)unlink(f.backup); /* a second name of what is still there */
	return r < 0 ? failed(reterr, r) : 1;
}

/* Without the file of before: all but what we put in front of it. */
static int strip(const struct files *f, const struct buf *now, mode_t mode)
{
	CLEANUP(buf_done) struct buf rest = {0};
	const char *text = text_of(now);
	int r;

	for (int i = 0; i < OWN_LINES && *text; i++) {
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	r = buf_addf(&rest, "%s", text);
	return r < 0 ? r : put(f, f->conf, &rest, mode);
}

int resolver_file_give_back(const char *root, struct err *reterr)
{
	CLEANUP(buf_done) struct buf now = {0};
	struct files f;
	struct stat st, backup;
	int r;

	name_files(root, &f);
	remove_unfinished(&f);
	r = read_plain(f.conf, &now, &st);
	if (r < 0 && r != -ENOENT && r != -EINVAL && r != -E2BIG)
		return failed(reterr, r); /* whose it is cannot be told */
	if (r < 0 || !is_ours(&now)) {
		if (r != -ENOENT || access(f.backup, F_OK) < 0) { /* theirs is newer */
			(void)unlink(f.backup);			   /* there is none, usually */
			return 0;
		}
	}
	if (lstat(f.backup, &backup) == 0)
		r = rename(f.backup, f.conf) < 0 ? -errno : 0;
	else
		r = strip(&f, &now, st.st_mode);
	return r < 0 ? failed(reterr, r) : 1;
}
