/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as an admin's kubeconfig. What is taken in is complete; no plugin is ever run here. */
#include "base/str.h"
#include "kube/kubeconfig.h"
#include "kube/kubeconfig_exec.h"
#include "scratch.h"

const unsigned replay_runs = 2000;

/* In place of the one that starts programs: inputs are hostile. */
int kubeconfig_exec(const json_t *exec, const char *dir, unsigned timeout_s, json_t **ret_status, struct err *reterr)
{
	const json_t *status = json_object_get(exec, "status");

	(void)dir;
	(void)timeout_s;
	if (!json_is_object(status))
		return err_set(reterr, ENOENT, "plugins are not run");
	*ret_status = json_deep_copy(status);
	return *ret_status ? 0 : -ENOMEM;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kubeconfig k = {0};
	struct err err = {0};

	if (size > 65536)
		return 0;
	scratch_write("config", data, size);
	if (kubeconfig_load(scratch_path("config"), NULL, &k, &err) < 0) {
		CHECK(err.text[0] && !k.server);
		return 0;
	}
	CHECK(str_has_prefix(k.server, "https://") && k.ca_pem && k.context && k.namespace);
	CHECK(k.token || (k.client_cert_pem && k.client_key_pem));
	kubeconfig_done(&k);
	return 0;
}
