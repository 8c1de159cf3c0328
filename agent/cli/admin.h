/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of a cluster's administrator share: a session with the API of the kubeconfig. */
#pragma once

#include "cli/cmd.h"
#include "kube/kube_object.h"
#include "kube/kubeconfig.h"

/* Options for the tables of such commands. */
#define ADMIN_OPTS                                                                                 \
	{"kubeconfig", 0, "FILE", "kubeconfig to use, else $KUBECONFIG, else ~/.kube/config", false}, \
	{"context", 0, "NAME", "context of the kubeconfig, else its current one", false}

struct admin {
	struct kubeconfig kubeconfig;
	struct loop *loop;
	struct kube_client *client;
	struct kube_session session;
};

void admin_done(struct admin *a);
DEFINE_CLEANUP_DONE(struct admin, admin_done)

/* Returns enum cli_exit, the reason printed. */
int admin_open(const struct cli *cli, const struct cmd_args *args, struct admin *ret);

/* The exit code for -errno of the functions in join/ and kube/; prints the text. */
int admin_error(const struct cli *cli, int r, const struct err *err);
