/* SPDX-License-Identifier: Apache-2.0 */
/* How full the maps are that never make room by themselves: a person hears of it before one is full. */
#pragma once

#include <stdint.h>

#include "agentd/health.h"
#include "bpf/bpf_obj.h"

struct filling {
	unsigned next;			/* map to look at */
	uint64_t looked[BPFOBJ_MAPS];	/* as of which time something was applied */
	uint32_t entries[BPFOBJ_MAPS];	/* then; 0 = not nearly full */
};

/*
 * Counts the entries of one map, another one each time, as a large one takes milliseconds; none that nothing was
 * applied to since. `applied` is how often something was, which is more than 0 and only grows. Raises or clears the condition
 * datapath.filling.
 */
void filling_look(struct filling *f, const struct bpfobj *o, uint64_t applied, struct health *health);
