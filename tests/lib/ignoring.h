/* SPDX-License-Identifier: Apache-2.0 */
/* The callbacks of a synchronisation, for tests that only look at its tables. */
#pragma once

#include "agentd/sync.h"

static inline void ignore(void *arg)
{
	(void)arg;
}

static inline void ignore_namespace(const char *name, bool exists, const struct doc *labels, void *arg)
{
	(void)name;
	(void)exists;
	(void)labels;
	(void)arg;
}

static inline void ignore_config(const json_t *configmap, void *arg)
{
	(void)configmap;
	(void)arg;
}

static const struct sync_callbacks ignoring = {.on_change = ignore, .on_namespace = ignore_namespace, .on_config = ignore_config,
					       .on_unauthorized = ignore, .on_resumed = ignore};
