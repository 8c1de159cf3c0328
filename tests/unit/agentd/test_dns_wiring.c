/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a host's resolver tell about the agent. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agentd/dns_wiring.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/str.h"

static char root[] = "/tmp/test-wiring.XXXXXX";

static void put(const char *path, const char *text)
{
	CLEANUP(free) char *full = str_printf("%s%s", root, path), *dir = strdup(full);

	*strrchr(dir, '/') = '\0';
	cr_assert_eq(file_mkdirs(dir, 0700), 0);
	cr_assert_eq(file_replace(full, text, strlen(text), 0600), 0);
}

static void drop(const char *path)
{
	CLEANUP(free) char *full = str_printf("%s%s", root, path);

	cr_assert_eq(unlink(full), 0);
}

static void expect(enum dns_wiring_state state, const char *method, const char *text)
{
	struct ip listen[2];
	struct dns_wiring w;

	cr_assert_eq(ip_parse("127.18.53.53", &listen[0]), 0);
	cr_assert_eq(ip_parse("fd00::53", &listen[1]), 0);
	dns_wiring_read(root, listen, 2, &w);
	cr_expect_eq(w.state, state, "%d: %s", w.state, w.text);
	cr_expect_str_eq(w.method, method, "%s", w.text);
	cr_expect(strstr(w.text, text), "%s", w.text);
}

Test(dns_wiring, files)
{
	static const char *const dirs[] = {"/etc/systemd/dns-delegate.d", "/etc/systemd", "/etc", "/run/systemd/resolve/netif",
					   "/run/systemd/resolve", "/run/systemd", "/run", ""};

	cr_assert_not_null(mkdtemp(root));
	expect(DNS_WIRING_UNKNOWN, "none", "cannot be read");
	put("/etc/resolv.conf", "");
	expect(DNS_WIRING_OFF, "none", "names no server");
	put("/etc/resolv.conf", "# nameserver 127.18.53.53\nsearch x\nnameserver 10.0.0.1\nnameserver nothing\n");
	expect(DNS_WIRING_OFF, "none", "10.0.0.1, not the agent");
	put("/etc/resolv.conf", "nameserver 10.0.0.1\nnameserver 127.18.53.53\n");
	expect(DNS_WIRING_OFF, "resolv.conf", "not first");
	put("/etc/resolv.conf", "options edns0\nnameserver 127.18.53.53\nnameserver 10.0.0.1");
	expect(DNS_WIRING_OK, "resolv.conf", "names the agent");
	put("/etc/resolv.conf", "nameserver\tfd00::53\n");
	expect(DNS_WIRING_OK, "resolv.conf", "names the agent");
	put("/etc/resolv.conf", "nameserver 127.0.0.53\n");
	expect(DNS_WIRING_UNKNOWN, "none", "whom that asks");
	put("/run/systemd/resolve/resolv.conf", "nameserver 10.0.0.1\n");
	expect(DNS_WIRING_OFF, "none", "systemd-resolved does not ask");
	put("/run/systemd/resolve/resolv.conf", "nameserver 10.0.0.1\nnameserver 127.18.53.53\n");
	expect(DNS_WIRING_OK, "systemd-resolved", "among others");
	put("/run/systemd/resolve/resolv.conf", "nameserver 10.0.0.1\n");
	put("/run/systemd/resolve/netif/3", "# private\nLLMNR=no\nSERVERS=10.0.0.9 127.18.53.53#name\nDOMAINS=~cluster.local\n");
	expect(DNS_WIRING_OK, "systemd-resolved", "of a link");
	put("/run/systemd/resolve/netif/3", "SERVERS=10.0.0.9\nDOMAINS=127.18.53.53\n");
	expect(DNS_WIRING_OFF, "none", "does not ask");
	put("/etc/systemd/dns-delegate.d/mesh.dns-delegate", "[Delegate]\nDNS=[fd00::53]:5353\nDomains=cluster.local\n");
	expect(DNS_WIRING_OK, "systemd-resolved", "of a delegate");
	put("/etc/systemd/dns-delegate.d/mesh.dns-delegate", "DNS=127.18.53.53:5353\n");
	expect(DNS_WIRING_OK, "systemd-resolved", "of a delegate");
	drop("/etc/systemd/dns-delegate.d/mesh.dns-delegate");
	put("/etc/systemd/dns-delegate.d/mesh.conf", "DNS=127.18.53.53\n");
	expect(DNS_WIRING_OFF, "none", "does not ask");
	drop("/etc/systemd/dns-delegate.d/mesh.conf");
	drop("/run/systemd/resolve/netif/3");
	drop("/run/systemd/resolve/resolv.conf");
	drop("/etc/resolv.conf");
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		CLEANUP(free) char *full = str_printf("%s%s", root, dirs[i]);

		cr_expect_eq(rmdir(full), 0, "%s", full);
	}
}
