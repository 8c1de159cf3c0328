/* SPDX-License-Identifier: Apache-2.0 */
/* Services, their slices and Namespaces of every kind that names depend on. */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* A List for kubectl; the caller's. Namespaces come first. NULL without memory. */
json_t *dns_objects_make(uint64_t seed, unsigned n_services);
