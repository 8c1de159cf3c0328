/* SPDX-License-Identifier: Apache-2.0 */
/* Attribute tables with checked lengths: what a decoder gets from here may be read without more care. */
#pragma once

#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/ip.h"

/*
 * Sorts the attributes after `offset` bytes of the payload into `tb` by type; types past `max` are skipped, of
 * doubles the last counts. 0, or -EBADMSG if a length does not add up.
 */
int nl_attr_index(const struct nlmsghdr *msg, size_t offset, const struct nlattr **tb, uint16_t max);

/* The same for the attributes inside `nest`. */
int nl_attr_index_nested(const struct nlattr *nest, const struct nlattr **tb, uint16_t max);

/* Each: 0 and the value, or -EBADMSG if the attribute is too short. A missing one (NULL) leaves *ret alone. */
int nl_attr_u8(const struct nlattr *a, uint8_t *ret);
int nl_attr_u32(const struct nlattr *a, uint32_t *ret);
int nl_attr_int(const struct nlattr *a, int *ret);
int nl_attr_be16(const struct nlattr *a, uint16_t *ret);
int nl_attr_ip(const struct nlattr *a, int family, struct ip *ret);

/* Copies text up to its NUL or the end of the attribute, cut to fit. */
void nl_attr_str(const struct nlattr *a, char *buf, size_t size);
