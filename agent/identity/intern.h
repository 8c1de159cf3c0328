/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * Strings kept once, named by a small number that stays valid while referenced. Number 0 is the
 * empty string, which needs no reference. Numbers are below 2^24.
 */
struct intern;

/* 0 or -ENOMEM. */
int intern_new(struct intern **ret);
void intern_free(struct intern *t);
DEFINE_CLEANUP(struct intern *, intern_free)

/*
 * Adds a reference to the number of `s`, taking a new one if need be. -ENOMEM, -ENOSPC when full.
 */
int intern_get(struct intern *t, const char *s, size_t len, uint32_t *ret_number);

/* Another reference to a number in use. */
void intern_ref(struct intern *t, uint32_t number);

/* Gives a reference back. */
void intern_put(struct intern *t, uint32_t number);

/* The number of a string somebody holds, without a reference; UINT32_MAX if nobody does. */
uint32_t intern_find(const struct intern *t, const char *s, size_t len);

/* The string, valid while the number is referenced. */
const char *intern_str(const struct intern *t, uint32_t number);

/* Distinct strings held. */
size_t intern_count(const struct intern *t);
