/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that lists and watches share. */
#pragma once

#include "apiserver_server.h"

/* 422 about ListOptions. */
void list_options_fail(struct req *q, const char *cause, const char *field, const char *why);
/* The resourceVersion parameter; false if it answered with 400. Absent gives 0. */
bool list_parse_rv(struct req *q, uint64_t *ret_rv);
/* Answers with a stream of one ERROR event. Takes the status. */
void watch_fail(struct req *q, json_t *status);
/* What a server that is behind `rv` answers; waits up to 3 s for it before. True if it took over.
 */
bool list_wait_for(struct req *q, uint64_t rv);
