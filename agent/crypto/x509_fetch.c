/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/str.h"
#include "crypto/x509.h"
#include "crypto/x509_internal.h"

DEFINE_CLEANUP(SSL *, SSL_free)
DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)
static void addrinfo_free(struct addrinfo *ai)
{
	if (ai)
		freeaddrinfo(ai);
}
DEFINE_CLEANUP(struct addrinfo *, addrinfo_free)

/* Waits for `events`. 0, -ETIMEDOUT or errno of poll(2). */
static int wait_for(int fd, short events, uint64_t deadline_us)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		uint64_t now_us = clock_boot_us();
		int r;

		if (now_us >= deadline_us)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)((deadline_us - now_us) / USEC_PER_MSEC) + 1);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

static int connect_one(const struct addrinfo *ai, uint64_t deadline_us, int *ret_fd)
{
	CLEANUP(close_fd) int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r, error = 0;
	socklen_t len = sizeof(error);

	if (fd < 0)
		return -errno;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		r = wait_for(fd, POLLOUT, deadline_us);
		if (r < 0)
			return r;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			return -errno;
		if (error)
			return -error;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int handshake(SSL *ssl, int fd, uint64_t deadline_us)
{
	for (;;) {
		int r = SSL_connect(ssl), want;

		if (r == 1)
			return 0;
		want = SSL_get_error(ssl, r);
		if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
			return -EPROTO;
		r = wait_for(fd, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline_us);
		if (r < 0)
			return r;
	}
}

static int pick(SSL *ssl, const struct x509_pin *pin, struct buf *ret)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	bool found = false;

	for (int i = 0; chain && i < sk_X509_num(chain); i++) {
		struct x509_pin own;
		int r;

		if (x509_pin_of_cert(sk_X509_value(chain, i), &own) < 0 || memcmp(&own, pin, sizeof(own)) != 0)
			continue;
		r = x509_add_pem(sk_X509_value(chain, i), ret);
		if (r < 0)
			return r;
		found = true;
	}
	return found ? 0 : -ENOENT;
}

int x509_fetch_pinned(const char *host, uint16_t port, const struct x509_pin *pin, int timeout_ms,
		      struct buf *ret, struct err *reterr)
{
	CLEANUP(SSL_CTX_free) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	CLEANUP(addrinfo_free) struct addrinfo *list = NULL;
	CLEANUP(close_fd) int fd = -1;
	CLEANUP(SSL_free) SSL *ssl = NULL;
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	uint64_t deadline_us = clock_boot_us() + (uint64_t)timeout_ms * USEC_PER_MSEC;
	char service[6];
	int r;

	(void)snprintf(service, sizeof(service), "%u", port); /* fits */
	r = getaddrinfo(host, service, &hints, &list);

	if (r != 0)
		return err_set(reterr, EHOSTUNREACH, "%s: %s", host, gai_strerror(r));
	r = -EHOSTUNREACH;
	for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
		r = connect_one(ai, deadline_us, &fd);
	if (fd < 0)
		return err_set(reterr, -r, "%s port %u: %s", host, port, err_name(r));
	/*
	 * Nothing is sent or believed on this connection: it only shows a chain, out of which the pin
	 * picks the authority that the next, verified, connection must chain to.
	 */
	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) || !(ssl = SSL_new(ctx)) || !SSL_set_fd(ssl, fd))
		return err_set(reterr, ENOMEM, "TLS cannot be set up");
	(void)SSL_set_tlsext_host_name(ssl, host); /* only a hint to the server */
	r = handshake(ssl, fd, deadline_us);
	if (r < 0)
		return err_set(reterr, -r, "%s port %u: TLS handshake: %s", host, port, err_name(r));
	r = pick(ssl, pin, ret);
	if (r == -ENOENT)
		return err_set(reterr, ENOENT, "%s port %u shows no certificate with the pinned key", host, port);
	return r;
}
