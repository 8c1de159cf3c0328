/* SPDX-License-Identifier: Apache-2.0 */
/* Probes against listeners on loopback, commands, and a bus with a systemd of our own. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "conf/conf.h"
#include "event/loop.h"
#include "fake_systemd.h"
#include "probe/probes.h"

static struct loop *loop;
static struct conf *conf;
static struct probes *probes;
static struct fake_systemd *bus;
static char dir[64], bus_path[128];
static unsigned changes;
/* A listener, and what it answers; NULL: it takes connections and says nothing. */
static int listener = -1, asker = -1;
static const char *answer;
static SSL_CTX *tls; /* https: the listener speaks it */
static SSL *session;

static void on_change(void *arg)
{
	(void)arg;
	changes++;
}

static void setup(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/mesh-probe.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chmod(dir, 0755), 0); /* commands run as nobody if this runs as root */
	(void)snprintf(bus_path, sizeof(bus_path), "%s/bus", dir);
	cr_assert_eq(loop_new(&loop), 0);
}

static void teardown(void)
{
	char command[128];

	probes_free(probes);
	conf_free(conf);
	fake_systemd_free(bus);
	loop_free(loop);
	close_fd(listener);
	close_fd(asker);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

static void start_bus(void)
{
	char address[160];

	(void)snprintf(address, sizeof(address), "unix:path=%s", bus_path);
	cr_assert_eq(setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1), 0);
	cr_assert_eq(fake_systemd_new(bus_path, &bus), 0);
}

static void start_probes(const char *text)
{
	const struct ip v4 = {.family = AF_INET, .b = {127, 0, 0, 1}}, none = {0};
	struct err err = {0};

	cr_assert_eq(conf_parse(text, strlen(text), "t.conf", &conf, &err), 0, "%s", err.text);
	cr_assert_eq(probes_new(loop, conf, on_change, NULL, &probes), 0);
	conf_free(TAKE_PTR(conf)); /* as a reload does */
	probes_set_addresses(probes, &v4, &none);
}

/* Listens on `port`, or any if 0, which is returned. */
static uint16_t start_listener(uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int one = 1;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert_geq(listener, 0);
	cr_assert_eq(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(listen(listener, 16), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	return ntohs(sa.sin_port);
}

static void stop_listener(void)
{
	close_fd(TAKE_FD(listener));
}

/* A certificate that nobody vouches for, of no name, and over. */
static void use_tls(void)
{
	EVP_PKEY_CTX *gen = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
	EVP_PKEY *key = NULL;
	X509 *cert = X509_new();

	cr_assert(gen && cert && EVP_PKEY_keygen_init(gen) == 1);
	cr_assert_eq(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(gen, NID_X9_62_prime256v1), 1);
	cr_assert_eq(EVP_PKEY_keygen(gen, &key), 1);
	cr_assert(X509_gmtime_adj(X509_getm_notBefore(cert), -7200) && X509_gmtime_adj(X509_getm_notAfter(cert), -3600));
	cr_assert_eq(X509_set_pubkey(cert, key), 1);
	cr_assert_gt(X509_sign(cert, key, EVP_sha256()), 0);
	tls = SSL_CTX_new(TLS_server_method());
	cr_assert(tls && SSL_CTX_use_certificate(tls, cert) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(gen);
}

static void turn_tls(void)
{
	char request[2048];

	if (!session) {
		session = SSL_new(tls);
		cr_assert(session && SSL_set_fd(session, asker) == 1);
		SSL_set_accept_state(session);
	}
	if (SSL_read(session, request, sizeof(request)) <= 0)
		return; /* more is to come */
	cr_assert_gt(SSL_write(session, answer, (int)strlen(answer)), 0);
	(void)SSL_shutdown(session); /* the peer may be gone already */
	SSL_free(session);
	session = NULL;
	close_fd(TAKE_FD(asker));
}

static void turn(void)
{
	char request[2048];

	(void)loop_once(loop, 5000);
	if (bus)
		fake_systemd_run(bus, 0);
	if (asker < 0 && listener >= 0 && answer)
		asker = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (asker >= 0 && tls) {
		turn_tls();
		return;
	}
	/* The answer is the same whatever is asked; reading first lets it arrive before the end does. */
	if (asker >= 0 && recv(asker, request, sizeof(request), 0) > 0) {
		cr_assert_gt(send(asker, answer, strlen(answer), MSG_NOSIGNAL), 0);
		close_fd(TAKE_FD(asker));
	}
}

#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		uint64_t end_ = clock_boot_us() + 10 * USEC_PER_SEC;                               \
		while (!(condition) && clock_boot_us() < end_)                                     \
			turn();                                                                    \
		cr_assert(condition);                                                              \
	} while (0)

static struct probes_view view_of(const char *service, int family)
{
	struct probes_view v;

	cr_assert_eq(probes_get(probes, service, family, &v), 0);
	return v;
}

#define VIEW view_of("a", AF_INET)

Test(probes, a_service_without_probe_is_ready, .init = setup, .fini = teardown)
{
	struct probes_view v;

	start_probes("health-probes = ( { service = \"b\"; type = \"tcp\"; port = 1; } );");
	v = VIEW;
	cr_assert(v.is_known && v.is_ready && v.is_serving && !v.is_terminating && !v.is_gone);
	cr_assert_str_eq(v.text, "");
	cr_assert_not(view_of("b", AF_INET).is_known);
}

Test(probes, tcp_follows_the_listener, .init = setup, .fini = teardown)
{
	uint16_t port = start_listener(0);
	unsigned before;
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "health-probes = ( { service = \"*\"; type = \"tcp\"; port = %u; interval = 1; failures = 1; } );", port);
	start_probes(text);
	AWAIT(VIEW.is_known);
	cr_assert(VIEW.is_ready && VIEW.is_serving);
	cr_assert_not(view_of("a", AF_INET6).is_known); /* there is no such address to try */
	before = changes;
	stop_listener();
	AWAIT(!VIEW.is_ready);
	cr_assert_gt(changes, before);
	cr_assert(VIEW.is_known && !VIEW.is_serving && !VIEW.is_terminating && !VIEW.is_gone);
	(void)snprintf(text, sizeof(text), "tcp 127.0.0.1 port %u: Connection refused", port);
	cr_assert_str_eq(VIEW.text, text);
	(void)start_listener(port);
	AWAIT(VIEW.is_ready);
}

Test(probes, another_address_begins_anew, .init = setup, .fini = teardown)
{
	const struct ip other = {.family = AF_INET, .b = {127, 0, 0, 9}}, none = {0};
	uint16_t port = start_listener(0);
	char text[256];

	(void)snprintf(text, sizeof(text), "health-probes = ( { service = \"a\"; type = \"tcp\"; port = %u; failures = 1; } );", port);
	start_probes(text);
	AWAIT(VIEW.is_ready);
	probes_set_addresses(probes, &other, &none);
	cr_assert_not(VIEW.is_known);
	AWAIT(VIEW.is_known); /* nobody listens there */
	cr_assert_not(VIEW.is_ready);
}

static void http_case(const char *said, bool want_ready, const char *want_text)
{
	uint16_t port = start_listener(0);
	char text[256];
	const char *scheme = tls ? "https" : "http";

	answer = said;
	(void)snprintf(text, sizeof(text),
		       "health-probes = ( { service = \"a\"; type = \"http\"; port = %u; scheme = \"%s\"; path = \"/up?x=1\"; failures = 1; } );",
		       port, scheme);
	start_probes(text);
	AWAIT(VIEW.is_known);
	cr_assert_eq(VIEW.is_ready, want_ready);
	cr_assert_not_null(strstr(VIEW.text, want_text), "%s", VIEW.text);
}

Test(probes, http_200_passes, .init = setup, .fini = teardown)
{
	http_case("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, "");
}

Test(probes, http_redirects_pass_and_are_not_followed, .init = setup, .fini = teardown)
{
	http_case("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", true, "");
}

Test(probes, http_the_head_is_enough, .init = setup, .fini = teardown)
{
	http_case("HTTP/1.1 204 No Content\r\n\r\n", true, "");
}

Test(probes, http_503_fails, .init = setup, .fini = teardown)
{
	http_case("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 99999999999\r\n\r\nno", false, "status 503");
}

Test(probes, what_is_no_http_fails, .init = setup, .fini = teardown)
{
	http_case("SSH-2.0-OpenSSH_9.2\r\n", false, "http 127.0.0.1 port");
}

Test(probes, https_looks_at_no_certificate, .init = setup, .fini = teardown)
{
	use_tls();
	http_case("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, "");
	SSL_CTX_free(tls);
}

Test(probes, https_that_is_none_fails, .init = setup, .fini = teardown)
{
	uint16_t port = start_listener(0);
	char text[256];

	answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	(void)snprintf(text, sizeof(text),
		       "health-probes = ( { service = \"a\"; type = \"http\"; port = %u; scheme = \"https\"; failures = 1; } );", port);
	start_probes(text);
	AWAIT(VIEW.is_known);
	cr_assert_not(VIEW.is_ready);
	cr_assert_not_null(strstr(VIEW.text, "https 127.0.0.1 port"), "%s", VIEW.text);
}

Test(probes, http_that_says_nothing_is_given_up, .init = setup, .fini = teardown)
{
	uint64_t began = clock_boot_us();

	http_case(NULL, false, "no answer within 1 s");
	cr_assert_geq(clock_boot_us() - began, USEC_PER_SEC);
}

/* Commands */

static void script(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	cr_assert_not_null(f);
	(void)fprintf(f, "#!/bin/sh\n%s\n", text);
	cr_assert_eq(fclose(f), 0);
	cr_assert_eq(chmod(path, 0755), 0);
}

static void exec_case(const char *text, bool want_ready, const char *want_text)
{
	char line[256];

	script("check", text);
	(void)snprintf(line, sizeof(line),
		       "health-probes = ( { service = \"a\"; type = \"exec\"; command = [ \"%s/check\", \"a b\" ]; failures = 1; } );", dir);
	start_probes(line);
	AWAIT(VIEW.is_known);
	cr_assert_eq(VIEW.is_ready, want_ready, "%s", VIEW.text);
	cr_assert_not_null(strstr(VIEW.text, want_text), "%s", VIEW.text);
}

Test(probes, exec_0_passes, .init = setup, .fini = teardown)
{
	exec_case("[ \"$1\" = 'a b' ] && [ $# = 1 ]", true, "");
}

Test(probes, exec_tells_its_first_line, .init = setup, .fini = teardown)
{
	exec_case("printf 'no \\033disk\\nmore\\n' >&2; exit 3", false, "exit code 3: no ?disk");
	cr_assert_null(strstr(VIEW.text, "more"));
}

Test(probes, exec_that_hangs_is_killed, .init = setup, .fini = teardown)
{
	CLEANUP(buf_done) struct buf number = {0};
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/pid", dir);
	cr_assert_eq(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	cr_assert_eq(chmod(path, 0666), 0);
	exec_case("trap '' TERM; sleep 77 & echo $! >\"${0%/*}/pid\"; wait", false, "within 1 s");
	cr_assert_eq(file_read(path, 64, &number), 0);
	cr_assert_gt(number.len, 1);
	AWAIT(kill((pid_t)strtol(number.data, NULL, 10), 0) < 0);
}

/* A child of the command's is not left running after it, nor does it keep the probe from ending. */
Test(probes, exec_leaves_nothing_behind, .init = setup, .fini = teardown)
{
	exec_case("sleep 77 & echo $!; exit 9", false, "exit code 9: ");
	AWAIT(kill((pid_t)strtol(strstr(VIEW.text, "9: ") + 3, NULL, 10), 0) < 0);
}

Test(probes, exec_output_is_bounded, .init = setup, .fini = teardown)
{
	exec_case("head -c 5000000 /dev/zero | tr '\\0' x; exit 1", false, "exit code 1: xxx");
	cr_assert_lt(strlen(VIEW.text), 256);
}

Test(probes, exec_has_no_rights_and_no_environment, .init = setup, .fini = teardown)
{
	cr_assert_eq(setenv("SECRET", "x", 1), 0);
	exec_case("[ -z \"$SECRET\" ] && [ \"$PWD\" = / ] && [ \"$(id -u)\" != 0 ] && grep -q '^CapEff:\\s*0*$' /proc/self/status && "
		  "grep -q '^CapPrm:\\s*0*$' /proc/self/status && grep -q '^NoNewPrivs:\\s*1' /proc/self/status && "
		  "[ \"$(ls /proc/self/fd | wc -l)\" -le 4 ]", true, "");
}

Test(probes, what_cannot_be_run_fails, .init = setup, .fini = teardown)
{
	start_probes("health-probes = ( { service = \"a\"; type = \"exec\"; command = [ \"/nonexistent\" ]; failures = 1; } );");
	AWAIT(VIEW.is_known);
	cr_assert_not(VIEW.is_ready);
	cr_assert_str_eq(VIEW.text, "command /nonexistent: cannot be run");
}

/* A few at a time, and each has its turn. */
Test(probes, many_take_turns, .init = setup, .fini = teardown)
{
	char text[16384], command[256];
	size_t len = 0;

	(void)snprintf(command, sizeof(command), "mkdir -m 777 %s/turns", dir);
	cr_assert_eq(system(command), 0);
	script("check", "d=${0%/*}/turns; mkdir $d/$$; sleep 0.1; n=$(ls $d | wc -l); rmdir $d/$$; [ $n -le 8 ]");
	len += (size_t)snprintf(text, sizeof(text), "health-probes = (");
	for (int i = 0; i < 40; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s { service = \"s%d\"; type = \"exec\"; command = [ \"%s/check\" ]; timeout = 10; failures = 1; }",
					i ? "," : "", i, dir);
	(void)snprintf(text + len, sizeof(text) - len, " );");
	start_probes(text);
	for (int i = 0; i < 40; i++) {
		(void)snprintf(command, sizeof(command), "s%d", i);
		AWAIT(view_of(command, AF_INET).is_known);
		cr_expect(view_of(command, AF_INET).is_ready, "%s", view_of(command, AF_INET).text);
	}
}

/* Units */

#define UNIT "health-probes = ( { service = \"a\"; type = \"unit\"; unit = \"web@1.service\"; } );"

Test(probes, a_unit_counts_at_once, .init = setup, .fini = teardown)
{
	uint64_t began;

	start_bus();
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "active"), 0);
	start_probes(UNIT);
	AWAIT(VIEW.is_ready);
	began = clock_boot_us();
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "deactivating"), 0);
	AWAIT(!VIEW.is_ready);
	cr_assert_lt(clock_boot_us() - began, USEC_PER_SEC); /* the interval is 10 s */
	cr_assert(VIEW.is_serving && VIEW.is_terminating && !VIEW.is_gone);
	cr_assert_str_eq(VIEW.text, "unit web@1.service: deactivating");
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "inactive"), 0);
	AWAIT(!VIEW.is_serving);
	cr_assert(VIEW.is_terminating && !VIEW.is_gone && !VIEW.is_ready);
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "activating"), 0);
	AWAIT(!VIEW.is_terminating);
	cr_assert(VIEW.is_known && !VIEW.is_ready && !VIEW.is_serving);
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "active"), 0);
	AWAIT(VIEW.is_ready);
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "failed"), 0);
	AWAIT(!VIEW.is_ready);
	cr_assert(!VIEW.is_serving && !VIEW.is_terminating); /* it may be started again: not gone on purpose */
}

Test(probes, a_stopped_unit_is_gone_after_a_while, .init = setup, .fini = teardown, .timeout = 60)
{
	unsigned before;

	start_bus();
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "active"), 0);
	start_probes(UNIT);
	AWAIT(VIEW.is_ready);
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "inactive"), 0);
	AWAIT(VIEW.is_terminating);
	before = changes;
	cr_assert_not(VIEW.is_gone);
	AWAIT(changes > before); /* told without being asked */
	AWAIT(VIEW.is_gone);
}

/* There are no clients to send away. */
Test(probes, what_was_not_ready_does_not_terminate, .init = setup, .fini = teardown)
{
	start_bus();
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "inactive"), 0);
	start_probes(UNIT);
	AWAIT(VIEW.is_known);
	cr_assert(!VIEW.is_ready && !VIEW.is_serving && !VIEW.is_terminating);
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "deactivating"), 0);
	AWAIT(str_eq(VIEW.text, "unit web@1.service: deactivating"));
	cr_assert(!VIEW.is_ready && !VIEW.is_serving && !VIEW.is_terminating);
}

/* Each change is one of the view while turns are left; then only what counts is told. */
Test(probes, a_flapping_unit_is_not_ready, .init = setup, .fini = teardown)
{
	static const char *const states[] = {"deactivating", "inactive", "activating", "active"};
	struct probes_view v;

	start_bus();
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "active"), 0);
	start_probes(UNIT);
	AWAIT(VIEW.is_ready);
	for (size_t i = 0; i < 20; i++) {
		unsigned asked = fake_systemd_questions(bus);

		cr_assert_eq(fake_systemd_set(bus, "web@1.service", states[i % 4]), 0);
		AWAIT(fake_systemd_questions(bus) > asked);
		for (int j = 0; j < 5; j++)
			turn();
		v = VIEW;
		if (i >= 12) /* three turns: at first, and twice in the loop */
			cr_expect(!v.is_ready && !v.is_serving && !v.is_terminating, "%zu", i);
	}
	cr_expect_str_eq(VIEW.text, "the health probes pass and fail too often: not ready for some seconds yet");
}

Test(probes, an_alias_is_followed, .init = setup, .fini = teardown)
{
	uint64_t began;

	start_bus();
	cr_assert_eq(fake_systemd_set(bus, "real.service", "active"), 0);
	cr_assert_eq(fake_systemd_alias(bus, "web@1.service", "real.service"), 0);
	start_probes(UNIT);
	AWAIT(VIEW.is_ready);
	began = clock_boot_us();
	cr_assert_eq(fake_systemd_set(bus, "real.service", "deactivating"), 0);
	AWAIT(VIEW.is_terminating);
	cr_assert_lt(clock_boot_us() - began, USEC_PER_SEC);
}

Test(probes, an_unknown_unit_is_named_so, .init = setup, .fini = teardown)
{
	start_bus();
	start_probes(UNIT);
	AWAIT(VIEW.is_known);
	cr_assert_not(VIEW.is_ready);
	cr_assert_str_eq(VIEW.text, "unit web@1.service: there is no such unit");
}

Test(probes, without_the_bus_the_last_verdict_stays, .init = setup, .fini = teardown)
{
	start_bus();
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "active"), 0);
	start_probes(UNIT);
	AWAIT(VIEW.is_ready);
	fake_systemd_hang(bus, 1);
	fake_systemd_drop(bus);
	for (int i = 0; i < 200; i++)
		turn();
	cr_assert(VIEW.is_ready);
	fake_systemd_hang(bus, 0);
	fake_systemd_drop(bus);
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "failed"), 0); /* nobody hears it */
	AWAIT(!VIEW.is_ready);						     /* it is asked for after connecting */
}

/* The interval may be an hour; what could not be looked at is not left so long. */
Test(probes, a_bus_that_hangs_is_asked_again_soon, .init = setup, .fini = teardown)
{
	start_bus();
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "active"), 0);
	fake_systemd_hang(bus, 1);
	start_probes("health-probes = ( { service = \"a\"; type = \"unit\"; unit = \"web@1.service\"; interval = 3600; } );");
	AWAIT(strstr(VIEW.text, "no answer within 1 s"));
	cr_assert_not(VIEW.is_known);
	fake_systemd_hang(bus, 0);
	fake_systemd_drop(bus); /* what it was asked meanwhile is lost */
	AWAIT(VIEW.is_ready);
	fake_systemd_hang(bus, 1);
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "failed"), 0);
	for (int i = 0; i < 400 && VIEW.is_ready; i++)
		turn(); /* told, and not answered */
	cr_assert(VIEW.is_ready);
	fake_systemd_hang(bus, 0);
	AWAIT(!VIEW.is_ready);
}

Test(probes, no_bus_means_not_known, .init = setup, .fini = teardown)
{
	char address[160];

	(void)snprintf(address, sizeof(address), "unix:path=%s", bus_path);
	cr_assert_eq(setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1), 0);
	start_probes(UNIT);
	for (int i = 0; i < 100; i++)
		turn();
	cr_assert_not(VIEW.is_known);
	cr_assert_str_eq(VIEW.text, "unit web@1.service: the system bus cannot be reached");
	start_bus();
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "active"), 0);
	AWAIT(VIEW.is_ready);
}

Test(probes, the_worst_verdict_decides, .init = setup, .fini = teardown)
{
	uint16_t port = start_listener(0);
	char text[512];

	start_bus();
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "active"), 0);
	(void)snprintf(text, sizeof(text),
		       "health-probes = ( { service = \"a\"; type = \"unit\"; unit = \"web@1.service\"; },\n"
		       "{ service = \"*\"; type = \"tcp\"; port = %u; address = \"127.0.0.1\"; interval = 1; failures = 1; } );",
		       port);
	start_probes(text);
	AWAIT(VIEW.is_ready);
	cr_assert(view_of("a", AF_INET6).is_ready); /* a probe with an address counts for both families */
	cr_assert_eq(fake_systemd_set(bus, "web@1.service", "deactivating"), 0);
	AWAIT(VIEW.is_terminating);
	cr_assert(VIEW.is_serving);
	cr_assert(view_of("b", AF_INET).is_ready); /* the unit is none of its */
	stop_listener();
	AWAIT(!VIEW.is_serving); /* stops, and does not work any more */
	cr_assert(VIEW.is_terminating);
}
