/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolver_program.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentd/resolver_domains.h"
#include "base/buf.h"
#include "base/macro.h"
#include "base/str.h"

static const char PROGRAM[] = "/sbin/resolvconf";

/* Where the two keep them. */
static const struct {
	const char *path, *name;
} records[] = {
	{"/run/resolvconf/interface/" RESOLVER_RECORD, RESOLVER_RECORD},
	{"/run/resolvconf/interfaces/" RESOLVER_RECORD, RESOLVER_RECORD},
	{"/run/resolvconf/interfaces/" RESOLVER_PRIVATE, RESOLVER_PRIVATE},
};

/* The name of the record that is there; NULL = none. */
static const char *find(void)
{
	for (size_t i = 0; i < ARRAY_LEN(records); i++)
		if (access(records[i].path, F_OK) == 0)
			return records[i].name;
	return NULL;
}

bool resolver_program_has(void)
{
	return find() != NULL;
}

/* Text to read from the start, that nobody else sees. */
static int open_text(const char *text)
{
	size_t len = strlen(text);
	CLEANUP(close_fd) int fd = memfd_create("resolvconf", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)
		return -EIO;
	return TAKE_FD(fd);
}

static void become(char *const argv[], int input)
{
	static char *const env[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)"LC_ALL=C", NULL};

	if (dup2(input, STDIN_FILENO) >= 0)
		(void)execve(PROGRAM, argv, env);
	_exit(127);
}

/* Hooks of others may fail, as of name servers that do not run: what counts is whether the record is there then, or not. */
static int run(char *const argv[], const char *text, bool is_taking, struct err *reterr)
{
	CLEANUP(close_fd) int input = open_text(text);
	int status;
	pid_t pid;

	if (input < 0)
		return err_set(reterr, -input, "cannot run %s: %s", PROGRAM, err_name(input));
	pid = fork();
	if (pid == 0)
		become(argv, input);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return err_set(reterr, errno, "cannot run %s: %s", PROGRAM, err_name(errno));
	if (resolver_program_has() == is_taking)
		return 1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(reterr, ENOENT, "%s cannot be run: is resolvconf or openresolv installed?", PROGRAM);
	return err_set(reterr, EIO, "%s made no record, or did not delete it; its status was %d", PROGRAM,
		       WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

int resolver_program_take(const struct resolver_host *h, const struct ip *server, const struct strv *domains,
			  struct err *reterr)
{
	bool is_private = resolver_is_splitting(h, RESOLVER_BY_PROGRAM);
	/* the zones of a private record are searched by programs: after all others */
	char *const private[] = {(char *)"resolvconf", (char *)"-p", (char *)"-m", (char *)"9999", (char *)"-a", (char *)RESOLVER_PRIVATE, NULL};
	char *const plain[] = {(char *)"resolvconf", (char *)"-a", (char *)RESOLVER_RECORD, NULL};
	CLEANUP(buf_done) struct buf text = {0};
	char address[IP_STRLEN];
	int r = 0;

	if (resolver_program_has())
		return 0;
	if (is_private)
		r = buf_addf(&text, "search");
	for (size_t i = 0; is_private && r >= 0 && i < domains->n; i++)
		if (!resolver_domain_is_reverse(domains->v[i]))
			r = buf_addf(&text, " %s", domains->v[i]);
	if (r >= 0)
		r = buf_addf(&text, "%snameserver %s\n", is_private ? "\n" : "", ip_str(server, address));
	return r < 0 ? err_set(reterr, -r, "%s: %s", PROGRAM, err_name(r)) : run(is_private ? private : plain, text.data, true, reterr);
}

int resolver_program_give_back(struct err *reterr)
{
	const char *name = find();
	char *const argv[] = {(char *)"resolvconf", (char *)"-d", (char *)name, NULL};

	return name ? run(argv, "", false, reterr) : 0;
}
