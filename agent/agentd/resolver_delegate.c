/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolver_delegate.h"

#include <signal.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/macro.h"

#define RESOLVE1 "org.freedesktop.resolve1"
#define PATH	 "/org/freedesktop/resolve1"

enum { CALL_S = 10 };

bool resolver_delegate_has(void)
{
	return access(RESOLVER_DELEGATE, F_OK) == 0;
}

/* Whether it runs and knows delegates. Nobody is started for it. */
static bool has_delegates(sd_bus *bus)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, RESOLVE1, PATH, RESOLVE1 ".Manager", "ListDelegates");

	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, 0);
	if (r >= 0)
		r = sd_bus_call(bus, m, CALL_S * USEC_PER_SEC, NULL, NULL);
	sd_bus_message_unref(m);
	return r >= 0;
}

/* It reads its files anew with SIGHUP: systemd-resolved.service(8). */
static int reload(sd_bus *bus)
{
	sd_bus_creds *creds = NULL;
	pid_t pid = 0;
	int r = sd_bus_get_name_creds(bus, RESOLVE1, SD_BUS_CREDS_PID, &creds);

	if (r >= 0)
		r = sd_bus_creds_get_pid(creds, &pid);
	sd_bus_creds_unref(creds);
	if (r < 0)
		return r;
	return pid > 1 && kill(pid, SIGHUP) == 0 ? 0 : -ESRCH;
}

static int failed(struct err *reterr, int r)
{
	return err_set(reterr, -r, "a delegate of systemd-resolved, %s: %s", RESOLVER_DELEGATE, err_name(r));
}

static int write_file(const struct ip *server, const struct strv *domains)
{
	CLEANUP(buf_done) struct buf text = {0};
	char address[IP_STRLEN];
	int r = buf_addf(&text, "# mesh-external-agent: the names of the cluster\n[Delegate]\nDNS=%s\nDomains=", ip_str(server, address));

	for (size_t i = 0; r >= 0 && i < domains->n; i++)
		r = buf_addf(&text, "%s~%s", i ? " " : "", domains->v[i]);
	if (r >= 0)
		r = buf_addf(&text, "\n");
	if (r >= 0)
		r = file_mkdirs("/run/systemd/dns-delegate.d", 0755);
	return r < 0 ? r : file_replace(RESOLVER_DELEGATE, text.data, text.len, 0644);
}

int resolver_delegate_take(const struct ip *server, const struct strv *domains, struct err *reterr)
{
	sd_bus *bus = NULL;
	int r;

	if (resolver_delegate_has())
		return 0;
	r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = has_delegates(bus) ? 0 : -EOPNOTSUPP;
	if (r >= 0)
		r = write_file(server, domains);
	if (r >= 0)
		r = reload(bus);
	sd_bus_close_unref(bus);
	if (r >= 0)
		return 1;
	(void)unlink(RESOLVER_DELEGATE); /* not without effect */
	return r == -EOPNOTSUPP ? r : failed(reterr, r);
}

int resolver_delegate_give_back(struct err *reterr)
{
	sd_bus *bus = NULL;

	if (unlink(RESOLVER_DELEGATE) < 0)
		return errno == ENOENT ? 0 : failed(reterr, -errno);
	if (sd_bus_open_system(&bus) >= 0)
		(void)reload(bus); /* one that does not run has nothing to forget */
	sd_bus_close_unref(bus);
	return 1;
}
