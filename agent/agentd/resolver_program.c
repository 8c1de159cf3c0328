/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolver_program.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/str.h"

static const char PROGRAM[] = "/sbin/resolvconf";

/* Where the two keep it. */
static const char *const records[] = {"/run/resolvconf/interface/" RESOLVER_RECORD, "/run/resolvconf/interfaces/" RESOLVER_RECORD};

bool resolver_program_has(void)
{
	for (size_t i = 0; i < ARRAY_LEN(records); i++)
		if (access(records[i], F_OK) == 0)
			return true;
	return false;
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

int resolver_program_take(const struct resolver_host *h, const struct ip *server, const char *domain, struct err *reterr)
{
	bool is_private = resolver_is_splitting(h, RESOLVER_BY_PROGRAM);
	char *const private[] = {(char *)"resolvconf", (char *)"-p", (char *)"-a", (char *)RESOLVER_RECORD, NULL};
	char *const plain[] = {(char *)"resolvconf", (char *)"-a", (char *)RESOLVER_RECORD, NULL};
	char text[128], address[IP_STRLEN];

	if (resolver_program_has())
		return 0;
	if (is_private)
		(void)snprintf(text, sizeof(text), "domain %.63s\nnameserver %s\n", domain, ip_str(server, address)); /* fits */
	else
		(void)snprintf(text, sizeof(text), "nameserver %s\n", ip_str(server, address)); /* fits */
	return run(is_private ? private : plain, text, true, reterr);
}

int resolver_program_give_back(struct err *reterr)
{
	char *const argv[] = {(char *)"resolvconf", (char *)"-d", (char *)RESOLVER_RECORD, NULL};

	return resolver_program_has() ? run(argv, "", false, reterr) : 0;
}
