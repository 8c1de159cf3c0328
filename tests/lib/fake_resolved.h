/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system bus with nobody but systemd-resolved on it, which notes what it is told of links, a line for each call:
 * "SetLinkDomains 7 cluster.local:1", "SetLinkDNS 7 198.18.53.53", "SetLinkLLMNR 7 no".
 */
#pragma once

#include <stddef.h>

struct fake_resolved;

/* Listens on a unix socket of that path; DBUS_SYSTEM_BUS_ADDRESS=unix:path=... leads there. 0 or -errno. */
int fake_resolved_new(const char *path, struct fake_resolved **ret);
void fake_resolved_free(struct fake_resolved *f);

/* What it was told since the last time; valid until the next call. */
const char *fake_resolved_take(struct fake_resolved *f);
/* Every SetLinkDNS fails with this text from now on; NULL: it works again. The text must stay. */
void fake_resolved_refuse(struct fake_resolved *f, const char *why);
/* Every SetLinkDNS fails from now on, as without polkit; somebody else has told it 198.18.53.53, or not. */
void fake_resolved_forbid(struct fake_resolved *f, int is_told);
/* Tells the client that it went, or that it is there again. */
void fake_resolved_announce(struct fake_resolved *f, int is_there);
/* Breaks the connection; a new one is taken. */
void fake_resolved_drop(struct fake_resolved *f);

/* Does what is to be done, waiting at most so long. */
void fake_resolved_run(struct fake_resolved *f, unsigned timeout_ms);
