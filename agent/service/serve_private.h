/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of EndpointSlices, for those who make (serve.c) and compare them (serve_same.c). */
#pragma once

#include "service/serve.h"

#define LABEL_SERVICE	 "kubernetes.io/service-name"
#define LABEL_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#define LABEL_HEADLESS	 "service.kubernetes.io/headless"
#define LABEL_PROXY_NAME "service.kubernetes.io/service-proxy-name"
