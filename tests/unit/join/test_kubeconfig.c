/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../crypto/certs.h"
#include "base/file.h"
#include "base/str.h"
#include "crypto/base64.h"
#include "json/json.h"
#include "kube/kubeconfig.h"
#include "kube/kubeconfig_exec.h"

static char dir[] = "/tmp/mesh-kubeconfig-XXXXXX";
static struct strv written;

static void setup(void)
{
	cr_assert_neq(mkdtemp(dir), NULL);
}

static void teardown(void)
{
	for (size_t i = 0; i < written.n; i++)
		(void)unlink(written.v[i]); /* what a test did not write is not there */
	strv_done(&written);
	(void)rmdir(dir);
}

TestSuite(kubeconfig, .init = setup, .fini = teardown);

/* Writes a file and returns its path, which lives as long as the test. */
static const char *put(const char *name, const char *text)
{
	CLEANUP(free) char *path = str_printf("%s/%s", dir, name);

	cr_assert_eq(file_write_atomic(path, text, strlen(text), 0700), 0);
	cr_assert_eq(strv_add(&written, path), 0);
	return written.v[written.n - 1];
}

/* A whole kubeconfig with this cluster and user. */
static char *config(const char *cluster, const char *user)
{
	return str_printf("apiVersion: v1\nkind: Config\ncurrent-context: one\n"
			  "contexts:\n- name: one\n  context: {cluster: c, user: u, namespace: ns}\n"
			  "clusters:\n- name: c\n  cluster: %s\nusers:\n- name: u\n  user: %s\n",
			  cluster, user);
}

static int load(const char *cluster, const char *user, struct kubeconfig *ret, struct err *err)
{
	CLEANUP(free) char *text = config(cluster, user);

	(void)put("ca.crt", CA_A);
	return kubeconfig_load(put("config", text), NULL, ret, err);
}

#define CLUSTER "{server: 'https://192.0.2.1:6443/', certificate-authority: ca.crt}"

Test(kubeconfig, token_and_relative_files)
{
	CLEANUP(kubeconfig_done) struct kubeconfig k = {0};
	struct err err = {0};

	cr_assert_eq(load(CLUSTER, "{token: abc}", &k, &err), 0, "%s", err.text);
	cr_expect_str_eq(k.server, "https://192.0.2.1:6443");
	cr_expect_str_eq(k.ca_pem, CA_A);
	cr_expect_str_eq(k.token, "abc");
	cr_expect_str_eq(k.namespace, "ns");
	cr_expect_str_eq(k.context, "one");
	cr_expect_eq(k.client_cert_pem, NULL);
}

Test(kubeconfig, data_wins_over_files_and_token_file_over_token)
{
	CLEANUP(kubeconfig_done) struct kubeconfig k = {0};
	CLEANUP(buf_done) struct buf b64 = {0};
	CLEANUP(free) char *cluster = NULL;
	struct err err = {0};

	cr_assert_eq(base64_encode(CA_B, strlen(CA_B), &b64), 0);
	cluster = str_printf("{server: 'https://a', certificate-authority: missing, certificate-authority-data: %s}", b64.data);
	(void)put("tok", "from-file\n");
	cr_assert_eq(load(cluster, "{token: abc, tokenFile: tok, client-certificate-data: Y2VydA==, client-key-data: a2V5}", &k, &err), 0, "%s",
		     err.text);
	cr_expect_str_eq(k.ca_pem, CA_B);
	cr_expect_str_eq(k.token, "from-file");
	cr_expect_str_eq(k.client_cert_pem, "cert");
	cr_expect_str_eq(k.client_key_pem, "key");
}

Test(kubeconfig, json_is_read_as_well)
{
	CLEANUP(kubeconfig_done) struct kubeconfig k = {0};
	struct err err = {0};
	const char *path;

	(void)put("ca.crt", CA_A);
	path = put("json", "{\"current-context\":\"x\",\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],"
			   "\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"https://a\",\"certificate-authority\":\"ca.crt\"}}],"
			   "\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"t\"}}]}");
	cr_assert_eq(kubeconfig_load(path, NULL, &k, &err), 0, "%s", err.text);
	cr_expect_str_eq(k.namespace, "default");
}

static void refused(const char *cluster, const char *user, int r, const char *says)
{
	CLEANUP(kubeconfig_done) struct kubeconfig k = {0};
	struct err err = {0};

	cr_expect_eq(load(cluster, user, &k, &err), r, "%s %s: %s", cluster, user, err.text);
	cr_expect_neq(strstr(err.text, says), NULL, "'%s' is not in '%s'", says, err.text);
	cr_expect_eq(k.server, NULL);
}

Test(kubeconfig, what_is_refused)
{
	refused("{server: 'https://a', insecure-skip-tls-verify: true}", "{token: a}", -EINVAL, "insecure-skip-tls-verify");
	refused("{server: 'http://a', certificate-authority: ca.crt}", "{token: a}", -EINVAL, "https://");
	refused("{server: 'https://a'}", "{token: a}", -EINVAL, "certificate-authority-data");
	refused("{server: 'https://a', certificate-authority: nowhere}", "{token: a}", -ENOENT, "nowhere");
	refused("{server: 'https://a', certificate-authority-data: '!'}", "{token: a}", -EINVAL, "base64");
	refused(CLUSTER, "{}", -EINVAL, "no token");
	refused(CLUSTER, "{client-certificate-data: Y2VydA==}", -EINVAL, "belong together");
	refused(CLUSTER, "{tokenFile: nowhere}", -ENOENT, "tokenFile");
}

Test(kubeconfig, contexts)
{
	CLEANUP(kubeconfig_done) struct kubeconfig k = {0};
	CLEANUP(free) char *text = config(CLUSTER, "{token: a}");
	struct err err = {0};
	const char *path = put("config", text);

	cr_expect_eq(kubeconfig_load(path, "two", &k, &err), -ENOENT);
	cr_expect_neq(strstr(err.text, "two"), NULL);
	cr_expect_eq(kubeconfig_load(put("none", "kind: Config\n"), NULL, &k, &err), -ENOENT);
	cr_expect_neq(strstr(err.text, "--context"), NULL);
	cr_expect_eq(kubeconfig_load("/nonexistent/config", NULL, &k, &err), -ENOENT);
}

Test(kubeconfig, list_in_the_environment_first_definition_wins)
{
	CLEANUP(kubeconfig_done) struct kubeconfig k = {0};
	CLEANUP(free) char *a = config(CLUSTER, "{token: first}"), *b = config("{server: 'https://other'}", "{token: second}");
	CLEANUP(free) char *list = NULL;
	struct err err = {0};

	(void)put("ca.crt", CA_A);
	list = str_printf("/nonexistent/x:%s:%s", put("a", a), put("b", b));
	cr_assert_eq(setenv("KUBECONFIG", list, 1), 0);
	cr_assert_eq(kubeconfig_load(NULL, NULL, &k, &err), 0, "%s", err.text);
	cr_expect_str_eq(k.token, "first");
	cr_expect_str_eq(k.server, "https://192.0.2.1:6443");
}

#define EXEC(command, more) "{exec: {apiVersion: client.authentication.k8s.io/v1, command: " command more "}}"

Test(kubeconfig, exec_plugin_runs_without_a_shell)
{
	CLEANUP(kubeconfig_done) struct kubeconfig k = {0};
	struct err err = {0};

	(void)put("plugin", "#!/bin/sh\n"
			    "case $KUBERNETES_EXEC_INFO in *ExecCredential*) ;; *) exit 9 ;; esac\n"
			    "printf '{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"%s-%s\"}}' \"$1\" \"$SALT\"\n");
	cr_assert_eq(load(CLUSTER, EXEC("./plugin", ", args: ['a;b'], env: [{name: SALT, value: '$x'}]"), &k, &err), 0, "%s", err.text);
	cr_expect_str_eq(k.token, "a;b-$x");
}

Test(kubeconfig, exec_plugin_failures)
{
	(void)put("fails", "#!/bin/sh\nexit 3\n");
	(void)put("silent", "#!/bin/sh\n");
	(void)put("empty", "#!/bin/sh\necho '{\"kind\":\"ExecCredential\",\"status\":{}}'\n");
	refused(CLUSTER, EXEC("./fails", ""), -EINVAL, "failed");
	refused(CLUSTER, EXEC("./silent", ""), -EINVAL, "ExecCredential");
	refused(CLUSTER, EXEC("./empty", ""), -EINVAL, "no credential");
	refused(CLUSTER, EXEC("./missing", ", installHint: 'get it'"), -ENOENT, "get it");
	refused(CLUSTER, EXEC("./empty", ", interactiveMode: Always"), -EINVAL, "interactiveMode");
	refused(CLUSTER, "{exec: {apiVersion: v9, command: x}}", -EINVAL, "apiVersion");
}

/* What it has printed is there, but it goes on: for a moment that is waited for, and then it is ended. */
Test(kubeconfig, exec_plugin_that_closes_its_output, .timeout = 60)
{
	CLEANUP(json_decref) json_t *brief = NULL, *endless = NULL;
	json_t *status = NULL;
	struct err err = {0};

	(void)put("brief", "#!/bin/sh\necho '{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"x\"}}'\nexec >&-\nsleep 0.1\n");
	(void)put("endless", "#!/bin/sh\nexec sleep 300 >&-\n");
	brief = json_pack("{s:s, s:s}", "apiVersion", "client.authentication.k8s.io/v1", "command", "./brief");
	endless = json_pack("{s:s, s:s}", "apiVersion", "client.authentication.k8s.io/v1", "command", "./endless");
	cr_assert_eq(kubeconfig_exec(brief, dir, 30, &status, &err), 0, "%s", err.text);
	cr_expect_str_eq(json_string_value(json_object_get(status, "token")), "x");
	json_decref(status);
	cr_expect_eq(kubeconfig_exec(endless, dir, 1, &status, &err), -ETIMEDOUT);
	cr_expect(strstr(err.text, "did not end within 1 s"), "%s", err.text);
}
