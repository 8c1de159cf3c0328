/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of tests/data/dns/cases.json, asked of a server that has the objects beside them. */
#pragma once

#include <sys/socket.h>

/*
 * Prints what is not as the file at `path` has it, and a line that counts. 0 if all is as it should be, else 1; -EINVAL for
 * a file that holds no cases.
 */
int dns_cases_run(const char *path, const struct sockaddr_storage *server, socklen_t len);
