/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking HTTP to the API server, as admin, and to the agent of a Cilium node. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* The credentials are those in `lab`/pki. Ends the program on failure. */
void api_open(const char *lab, const char *server, const char *cilium_socket);
void api_close(void);

/* The status code, or 0 if nothing answers. *ret_answer (or NULL for no interest) is the caller's, may be NULL. */
long api_call(const char *method, const char *path, const json_t *body, json_t **ret_answer);
long api_cilium(const char *path, json_t **ret_answer);
