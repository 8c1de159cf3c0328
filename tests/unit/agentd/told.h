/* SPDX-License-Identifier: Apache-2.0 */
/* What a cluster tells of its API servers. */
#pragma once

#include "service/service.h"

/* The Service default/kubernetes, with one API server at this address, port 6443. */
void told_apiserver(struct service_table *t, const char *address);
