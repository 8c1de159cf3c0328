/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of tests/data/policy-*.yaml: how they are read and put into a fixture. */
#pragma once

#include "fixture.h"

/* A list, the caller's. Fails the test if it cannot be read, as all of this file does. */
json_t *cases_load(void);

/* The options that a case names; NULL is fine. */
struct policy_options case_options(const json_t *opts);

/* Makes a fixture in which the policies of one case are in force. `where` names it in messages. */
void case_init(struct fixture *f, const char *where, const json_t *c);

/* "TCP/80", "ICMP/8" or a number of a protocol. */
uint8_t case_l4(const char *where, const json_t *l4, uint16_t *ret_port);
