/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system bus with nobody but systemd on it, in a few methods: what the daemon asks of units. Each client has a
 * connection of its own, all see the same units.
 */
#pragma once

struct fake_systemd;

/* Listens on a unix socket of that path; DBUS_SYSTEM_BUS_ADDRESS=unix:path=... leads there. 0 or -errno. */
int fake_systemd_new(const char *path, struct fake_systemd **ret);
void fake_systemd_free(struct fake_systemd *f);

/* Makes the unit or changes it, and tells those that subscribed. 0 or -errno. */
int fake_systemd_set(struct fake_systemd *f, const char *unit, const char *active_state);
/* What waits to be done with the unit, as "stop"; "" for nothing. 0 or -errno. */
int fake_systemd_job(struct fake_systemd *f, const char *unit, const char *type);
/* `alias` stands for the unit from now on. 0 or -errno. */
int fake_systemd_alias(struct fake_systemd *f, const char *alias, const char *unit);
/* True: nothing is answered any more. */
void fake_systemd_hang(struct fake_systemd *f, int is_hanging);
/* Breaks all connections; new ones are taken. */
void fake_systemd_drop(struct fake_systemd *f);
/* How often the state of a unit was asked for. */
unsigned fake_systemd_questions(const struct fake_systemd *f);

/* Does what is to be done, waiting at most so long. */
void fake_systemd_run(struct fake_systemd *f, unsigned timeout_ms);
