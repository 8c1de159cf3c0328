/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Fills `data` with random bytes from the kernel; does not fail on the kernels we support. */
void rng_bytes(void *data, size_t len);

/* Uniform in [0, bound). `bound` > 0. */
uint32_t rng_below(uint32_t bound);
