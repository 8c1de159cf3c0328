/* SPDX-License-Identifier: Apache-2.0 */
/* Objects for the tests: JSON written with single quotes. Each function asserts that it works. */
#pragma once

#include "base/str.h"
#include "kube/decode_service.h"
#include "kube/decode_slice.h"

json_t *json_of(const char *text);
struct kube_service *service_of(const char *text);
struct kube_slice *slice_of(const char *text);
/* Service prod/<name> with a ClusterIP and port http 80, made at `created_s`. */
struct kube_service *simple_service(const char *name, const char *cluster_ip, int64_t created_s);
/* Slice prod/<name> of a service with one endpoint on port http 8080. */
struct kube_slice *simple_slice(const char *name, const char *service, const char *ip);
struct ip ip_of(const char *text);
