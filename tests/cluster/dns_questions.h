/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about what a cluster holds, and about what it does not hold, made from lists of its objects. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dns_questions;

enum { QUESTION_MAX = 512 };

struct dns_question {
	uint8_t wire[QUESTION_MAX];
	size_t len;
	uint16_t type;
	uint16_t udp_size; /* 0 = without EDNS */
	bool is_chaos;	   /* of class CH */
	bool is_tcp;
};

/* `list` is what kubectl gives of Services, EndpointSlices, Namespaces, ServiceImports; borrowed, outlives the result. */
struct dns_questions *dns_questions_new(const json_t *list);
void dns_questions_free(struct dns_questions *q);

/* Question `number` of `seed`: always the same for the same objects. */
void dns_questions_make(const struct dns_questions *q, uint64_t seed, unsigned number, struct dns_question *ret);

/* A plain question by UDP. -EINVAL for what is no name. */
int dns_question_of(const char *name, uint16_t type, struct dns_question *ret);
