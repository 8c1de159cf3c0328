/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the client takes for its server: every way in which somebody in between can be another. What is refused must never
 * have seen the request, which has the credential in it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/macro.h"
#include "base/str.h"
#include "http/http.h"
#include "lib/result.h"

#define TOKEN "eyJ-the-credential"

enum { DAY_S = 86400, PATIENCE_S = 20 };

/* Who signs, and what the certificate says. */
enum issuer { CA, OTHER_CA, SELF, CA_THAT_IS_OVER, NO_CA, LEAF, CA_OF_OTHERS, UNKNOWN_INTERMEDIATE };
enum key { EC, RSA_512, RSA_1024 };

struct tls_case {
	const char *what;
	enum issuer issuer;
	const char *san, *name; /* subjectAltName, CN; NULL = the right one */
	bool has_no_san;
	const char *usage;	/* extendedKeyUsage */
	int from_days, to_days; /* both 0 = now */
	const char *digest;
	enum key key;
	int version_max;    /* of TLS; 0 = all */
	const char *ciphers;
	const char *answer; /* NULL = 200 */
	size_t answer_len;  /* 0 = it is text */
	bool is_plain;	    /* no TLS at all */
	const char *host;   /* of the URL; NULL = 127.0.0.1 */
	const char *client_cert, *client_key; /* what is shown to a server that wants a certificate of our CA; NULL = it wants none */
	bool is_taken;	    /* the answer must come */
};

#define FINE(...) {.is_taken = true, __VA_ARGS__}
#define BAD(...)  {__VA_ARGS__}

static const struct tls_case cases[] = {
	FINE(.what = "all is well"),
	FINE(.what = "serverAuth", .usage = "serverAuth"),
	FINE(.what = "several names", .san = "DNS:a.example,IP:10.0.0.1,IP:127.0.0.1"),
	FINE(.what = "by name", .san = "DNS:localhost", .host = "localhost"),
	FINE(.what = "TLS 1.2", .version_max = TLS1_2_VERSION),
	/* authorities */
	BAD(.what = "another CA", .issuer = OTHER_CA),
	BAD(.what = "self-signed", .issuer = SELF),
	BAD(.what = "self-signed, with the name of our CA", .issuer = SELF, .name = "ca"),
	BAD(.what = "signed by one that is no CA", .issuer = NO_CA),
	BAD(.what = "signed with the key of a server of ours", .issuer = LEAF),
	BAD(.what = "signed by a CA of ours that is over", .issuer = CA_THAT_IS_OVER),
	BAD(.what = "signed by a CA of ours for other names", .issuer = CA_OF_OTHERS),
	BAD(.what = "signed by somebody who is not shown", .issuer = UNKNOWN_INTERMEDIATE),
	/* time */
	BAD(.what = "over since yesterday", .from_days = -9, .to_days = -1),
	BAD(.what = "over for years", .from_days = -3650, .to_days = -365),
	BAD(.what = "valid from tomorrow", .from_days = 1, .to_days = 9),
	BAD(.what = "over before it began", .from_days = 2, .to_days = -2),
	/* names */
	BAD(.what = "another address", .san = "IP:127.0.0.2"),
	BAD(.what = "an IPv6 address", .san = "IP:::1"),
	BAD(.what = "the address as a DNS name", .san = "DNS:127.0.0.1"),
	BAD(.what = "no names", .has_no_san = true),
	BAD(.what = "the address only as CN", .has_no_san = true, .name = "127.0.0.1"),
	BAD(.what = "the address as CN, another in the names", .san = "IP:127.0.0.2", .name = "127.0.0.1"),
	BAD(.what = "a name for an address", .san = "DNS:localhost"),
	BAD(.what = "an address for a name", .san = "IP:127.0.0.1", .host = "localhost"),
	BAD(.what = "another name", .san = "DNS:api.example", .host = "localhost"),
	BAD(.what = "a name that begins alike", .san = "DNS:localhost.example", .host = "localhost"),
	BAD(.what = "a name that ends alike", .san = "DNS:notlocalhost", .host = "localhost"),
	BAD(.what = "an asterisk for all", .san = "DNS:*", .host = "localhost"),
	BAD(.what = "an asterisk for half", .san = "DNS:local*", .host = "localhost"),
	BAD(.what = "the name only as CN", .san = "DNS:api.example", .name = "localhost", .host = "localhost"),
	BAD(.what = "a mail address", .san = "email:root@127.0.0.1"),
	BAD(.what = "a mail address, and the address as CN", .san = "email:root@127.0.0.1", .name = "127.0.0.1"),
	BAD(.what = "a URI", .san = "URI:https://127.0.0.1/"),
	/* what it is for, and what it is made of */
	BAD(.what = "for clients only", .usage = "clientAuth"),
	BAD(.what = "for mail only", .usage = "emailProtection"),
	BAD(.what = "for code only", .usage = "codeSigning"),
	BAD(.what = "for time stamps only", .usage = "timeStamping"),
	BAD(.what = "for answers about certificates only", .usage = "OCSPSigning"),
	BAD(.what = "signed with SHA-1", .digest = "SHA1"),
	BAD(.what = "RSA of 512 bits", .key = RSA_512),
	BAD(.what = "RSA of 1024 bits", .key = RSA_1024),
	/* protocol */
	BAD(.what = "TLS 1.1", .version_max = TLS1_1_VERSION),
	BAD(.what = "TLS 1.0", .version_max = TLS1_VERSION),
	BAD(.what = "SSL 3", .version_max = SSL3_VERSION),
	BAD(.what = "ciphers that hide nothing", .version_max = TLS1_2_VERSION, .ciphers = "eNULL:@SECLEVEL=0"),
	BAD(.what = "ciphers without a certificate", .version_max = TLS1_2_VERSION, .ciphers = "aNULL:@SECLEVEL=0"),
	BAD(.what = "no TLS", .is_plain = true),
};

struct identity {
	EVP_PKEY *key;
	X509 *cert;
};

static struct identity ca, other_ca, over_ca, no_ca, leaf, ca_of_others, unknown;

static EVP_PKEY *make_key(enum key kind)
{
	EVP_PKEY *key = kind == EC ? EVP_EC_gen("P-256") : EVP_RSA_gen(kind == RSA_512 ? 512U : 1024U);

	cr_assert(key);
	return key;
}

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	cr_assert(e, "%s", value);
	cr_assert(X509_add_ext(cert, e, -1));
	X509_EXTENSION_free(e);
}

/* `issuer` NULL = signs itself; `constraints` are those of a CA. */
static struct identity make(const struct tls_case *c, const struct identity *issuer, bool is_ca, const char *constraints)
{
	struct identity id = {.key = make_key(c->key), .cert = X509_new()};
	X509 *by = issuer ? issuer->cert : id.cert;
	bool is_now = c->from_days == 0 && c->to_days == 0;
	const char *name = c->name ? c->name : "api", *san = is_ca || c->has_no_san ? NULL : c->san ? c->san : "IP:127.0.0.1";
	static long serial;

	cr_assert(id.cert);
	(void)X509_set_version(id.cert, 2);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(id.cert), ++serial);
	(void)X509_gmtime_adj(X509_getm_notBefore(id.cert), is_now ? -DAY_S : (long)c->from_days * DAY_S);
	(void)X509_gmtime_adj(X509_getm_notAfter(id.cert), is_now ? DAY_S : (long)c->to_days * DAY_S);
	(void)X509_set_pubkey(id.cert, id.key);
	(void)X509_NAME_add_entry_by_txt(X509_get_subject_name(id.cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	(void)X509_set_issuer_name(id.cert, X509_get_subject_name(by));
	extend(id.cert, by, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (constraints)
		extend(id.cert, by, NID_name_constraints, constraints);
	if (san)
		extend(id.cert, by, NID_subject_alt_name, san);
	if (c->usage)
		extend(id.cert, by, NID_ext_key_usage, c->usage);
	cr_assert(X509_sign(id.cert, issuer ? issuer->key : id.key, EVP_get_digestbyname(c->digest ? c->digest : "SHA256")), "%s", c->what);
	return id;
}

static void setup(void)
{
	const struct tls_case now = {.name = "ca"}, before = {.name = "old", .from_days = -9, .to_days = -1};
	const struct tls_case others = {.name = "others"}, server = {0};

	ca = make(&now, NULL, true, NULL);
	other_ca = make(&now, NULL, true, NULL); /* with the same name */
	over_ca = make(&before, NULL, true, NULL);
	ca_of_others = make(&others, NULL, true, "critical,permitted;IP:10.0.0.0/255.0.0.0");
	no_ca = make(&others, &ca, false, NULL);
	leaf = make(&server, &ca, false, NULL);
	unknown = make(&others, &ca, true, NULL);
}

static const struct identity *issuer_of(const struct tls_case *c)
{
	static const struct identity *const by[] = {[CA] = &ca, [OTHER_CA] = &other_ca, [CA_THAT_IS_OVER] = &over_ca,
						    [NO_CA] = &no_ca, [LEAF] = &leaf, [CA_OF_OTHERS] = &ca_of_others,
						    [UNKNOWN_INTERMEDIATE] = &unknown};

	return c->issuer == SELF ? NULL : by[c->issuer];
}

/* Takes `bio`. */
static char *text_of(BIO *bio)
{
	char *data, *text;
	long len = BIO_get_mem_data(bio, &data);

	text = strndup(data, (size_t)len);
	(void)BIO_free(bio);
	return text;
}

static char *pem_of(X509 *const *certs, size_t n)
{
	BIO *out = BIO_new(BIO_s_mem());

	for (size_t i = 0; i < n; i++)
		cr_assert(PEM_write_bio_X509(out, certs[i]));
	return text_of(out);
}

/* `passphrase` NULL = it is not encrypted. */
static char *pem_of_key(EVP_PKEY *key, const char *passphrase)
{
	BIO *out = BIO_new(BIO_s_mem());

	cr_assert(PEM_write_bio_PKCS8PrivateKey(out, key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
						passphrase ? (int)strlen(passphrase) : 0, NULL, NULL));
	return text_of(out);
}

/* The authorities that the host trusts. */
static char *trusted(void)
{
	X509 *const all[] = {ca.cert, over_ca.cert, ca_of_others.cert};

	return pem_of(all, ARRAY_LEN(all));
}

static int listen_on(uint16_t *ret_port)
{
	struct sockaddr_in me = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(me);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&me, sizeof(me)), 0);
	cr_assert_eq(listen(fd, 8), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&me, &len), 0);
	*ret_port = ntohs(me.sin_port);
	return fd;
}

static SSL_CTX *server_context(const struct tls_case *c, const struct identity *id)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_security_level(ctx, 0); /* this side does whatever the case says */
	(void)SSL_CTX_set_min_proto_version(ctx, 0);
	if (c->version_max)
		(void)SSL_CTX_set_max_proto_version(ctx, c->version_max);
	if (SSL_CTX_use_certificate(ctx, id->cert) != 1 || SSL_CTX_use_PrivateKey(ctx, id->key) != 1)
		_exit(3); /* the test fails: nobody accepts */
	if (c->issuer == NO_CA || c->issuer == LEAF)
		(void)SSL_CTX_add1_chain_cert(ctx, issuer_of(c)->cert);
	if (c->ciphers)
		(void)SSL_CTX_set_cipher_list(ctx, c->ciphers);
	if (c->client_cert) {
		(void)X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca.cert);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	return ctx;
}

static void note(int fd, char what)
{
	if (write(fd, &what, 1) != 1)
		_exit(4);
}

/* One connection after the other, for ever; tells `seen` of each, and of each request that it could read. */
static void serve(const struct tls_case *c, const struct identity *id, int fd, int seen)
{
	const char *answer = c->answer ? c->answer : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
	int answer_len = (int)(c->answer_len ? c->answer_len : strlen(answer));
	SSL_CTX *ctx = server_context(c, id);
	char buf[4096];
	int conn, n;

	while ((conn = accept(fd, NULL, NULL)) >= 0) {
		note(seen, 'a');
		if (c->is_plain) {
			n = (int)recv(conn, buf, sizeof(buf), 0);
			if (n > 4 && memmem(buf, (size_t)n, TOKEN, strlen(TOKEN)))
				note(seen, 'x');
			(void)send(conn, answer, strlen(answer), MSG_NOSIGNAL);
			(void)close(conn);
			continue;
		}
		SSL *ssl = SSL_new(ctx);

		(void)SSL_set_fd(ssl, conn);
		if (SSL_accept(ssl) == 1 && (n = SSL_read(ssl, buf, sizeof(buf))) > 0) {
			if (memmem(buf, (size_t)n, TOKEN, strlen(TOKEN)))
				note(seen, 'x');
			(void)SSL_write(ssl, answer, answer_len);
			(void)SSL_shutdown(ssl);
		}
		SSL_free(ssl);
		(void)close(conn);
	}
}

struct answer {
	bool is_done;
	int r;
	long status;
};

static void on_done(const struct http_result *res, void *arg)
{
	*(struct answer *)arg = (struct answer){.is_done = true, .r = res->r, .status = res->status};
}

static size_t count_seen(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t n = 0, accepted = 0;
	char c;

	while (poll(&p, 1, 20) > 0 && read(fd, &c, 1) == 1) {
		n += c == 'x';
		accepted += c == 'a';
	}
	cr_expect_geq(accepted, 1, "it was not even asked");
	return n;
}

/* Asks a server that is as the case says. What came, and how many of its requests the server could read. */
static struct answer ask(const struct tls_case *c, size_t *ret_seen)
{
	struct identity id = make(c, issuer_of(c), false, NULL);
	CLEANUP(free) char *pem = trusted(), *url = NULL;
	CLEANUP(loop_free) struct loop *loop = NULL;
	CLEANUP(http_free) struct http *http = NULL;
	const struct http_tls tls = {.ca_pem = pem, .client_cert_pem = c->client_cert, .client_key_pem = c->client_key};
	struct answer a = {0};
	struct http_request req = {.method = "GET", .bearer = TOKEN, .timeout_us = PATIENCE_S * USEC_PER_SEC, .on_done = on_done, .arg = &a};
	int seen[2], fd;
	uint16_t port;
	pid_t pid;

	fd = listen_on(&port);
	cr_assert_eq(pipe(seen), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		serve(c, &id, fd, seen[1]);
		_exit(0);
	}
	(void)close(fd);
	(void)close(seen[1]);
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(http_new(loop, &tls, &http), 0);
	url = str_printf("https://%s:%u/api", c->host ? c->host : "127.0.0.1", port);
	req.url = url;
	cr_assert_eq(http_start(http, &req, NULL), 0);
	while (!a.is_done)
		cr_assert_geq(loop_once(loop, USEC_PER_SEC), 0);
	*ret_seen = count_seen(seen[0]);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)close(seen[0]);
	EVP_PKEY_free(id.key);
	X509_free(id.cert);
	return a;
}

Test(tls, who_is_taken_for_the_server, .init = setup, .timeout = 120)
{
	size_t refused = 0, accepted = 0;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t seen;
		struct answer a = ask(&cases[i], &seen);

		if (cases[i].is_taken) {
			cr_expect(a.r == 0 && a.status == 200, "%s: %d, %ld", cases[i].what, a.r, a.status);
			cr_expect_eq(seen, 1, "%s", cases[i].what);
			continue;
		}
		cr_expect_lt(a.r, 0, "%s: taken, %ld", cases[i].what, a.status);
		cr_expect_eq(seen, 0, "%s: it saw the credential", cases[i].what);
		refused += a.r < 0 && seen == 0;
		accepted += a.r >= 0 || seen;
	}
	cr_expect_geq(refused, 40);
	result_add("tls", json_pack("{s:I, s:I}", "refused", (json_int_t)refused, "accepted", (json_int_t)accepted));
}

/* A certificate that another one than the server's authority signed is nothing without that one. */
Test(tls, our_certificate_with_those_that_signed_it, .init = setup, .timeout = 60)
{
	const struct tls_case user = {.name = "admin", .has_no_san = true};
	struct identity id = make(&user, &unknown, false, NULL);
	X509 *const chain[] = {id.cert, unknown.cert};
	CLEANUP(free) char *key = pem_of_key(id.key, NULL);

	for (size_t n = 1; n <= 2; n++) {
		CLEANUP(free) char *pem = pem_of(chain, n);
		const struct tls_case c = {.what = "a server that asks who we are", .client_cert = pem, .client_key = key};
		size_t seen;
		struct answer a = ask(&c, &seen);

		cr_expect_eq(a.r == 0 && a.status == 200, n == 2, "%zu: %d", n, a.r);
		cr_expect_eq(seen, n - 1);
	}
	EVP_PKEY_free(id.key);
	X509_free(id.cert);
}

Test(tls, certificates_and_keys_that_cannot_be_used, .init = setup)
{
	CLEANUP(free) char *authorities = trusted(), *cert = pem_of(&leaf.cert, 1), *key = pem_of_key(leaf.key, NULL);
	CLEANUP(free) char *encrypted = pem_of_key(leaf.key, "secret"), *other = pem_of_key(ca.key, NULL);
	const struct {
		const char *ca, *cert, *key;
		int want;
	} tries[] = {
		{authorities, cert, key, 0},		{"", cert, key, -EINVAL},	      {authorities, "x", key, -EINVAL},
		{authorities, cert, "x", -EINVAL},	{authorities, cert, cert, -EINVAL},   {authorities, cert, encrypted, -EOPNOTSUPP},
		{authorities, cert, other, -EKEYREJECTED},
	};
	CLEANUP(loop_free) struct loop *loop = NULL;

	cr_assert_eq(loop_new(&loop), 0);
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		const struct http_tls tls = {.ca_pem = tries[i].ca, .client_cert_pem = tries[i].cert, .client_key_pem = tries[i].key};
		CLEANUP(http_free) struct http *http = NULL;

		cr_expect_eq(http_new(loop, &tls, &http), tries[i].want, "case %zu", i);
	}
}

/* Bits of a deflate stream, the lowest first. */
static void put_bits(struct buf *b, unsigned *used, unsigned bits, unsigned n)
{
	for (unsigned i = 0; i < n; i++, bits >>= 1) {
		if (*used % 8 == 0)
			cr_assert_eq(buf_add(b, "", 1), 0);
		if (bits & 1)
			b->data[b->len - 1] = (char)(b->data[b->len - 1] | 1 << *used % 8);
		++*used;
	}
}

/* One letter, and then so often the last 258 again (RFC 1951, fixed codes). */
static void put_deflated(struct buf *b, unsigned times)
{
	unsigned used = 0;

	put_bits(b, &used, 3, 3);	 /* the last block, fixed codes */
	put_bits(b, &used, 0x89, 8); /* 'a', whose code is 10010001 */
	for (unsigned i = 0; i < times; i++)
		put_bits(b, &used, 0xa3, 13); /* length 258: 11000101, distance 1: 00000 */
	put_bits(b, &used, 0, 7);
}

static long peak_kib(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u); /* cannot fail for ourselves */
	return u.ru_maxrss;
}

/* 600 KiB that are 92 MiB: what comes out of them counts, and no more of it is held than of any answer. */
Test(tls, an_answer_that_grows, .init = setup, .timeout = 60)
{
	CLEANUP(buf_done) struct buf answer = {.max = 1 << 20};
	struct tls_case c = {.what = "a gzip bomb"};
	long before;
	struct answer a;
	size_t seen;

	cr_assert_eq(buf_addf(&answer, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"), 0);
	cr_assert_eq(buf_add(&answer, "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10), 0);
	put_deflated(&answer, 375000);
	c.answer = answer.data;
	c.answer_len = answer.len;
	before = peak_kib();
	a = ask(&c, &seen);
	cr_expect_eq(a.r, -E2BIG, "%d", a.r);
	cr_expect_eq(seen, 1);
	cr_expect_lt(peak_kib() - before, 3L * LIMIT_RESPONSE_BYTES / 1024, "%ld KiB more", peak_kib() - before);
}

/* Nobody is sent elsewhere: not with the credential, and not without. */
Test(tls, redirects_are_not_followed, .init = setup, .timeout = 60)
{
	static const int codes[] = {300, 301, 302, 303, 305, 307, 308};
	uint16_t port;
	int trap = listen_on(&port);

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		CLEANUP(free) char *answer = str_printf("HTTP/1.1 %d Elsewhere\r\nLocation: http%s://127.0.0.1:%u/\r\nContent-Length: 0\r\n"
							"Connection: close\r\n\r\n", codes[i], i % 2 ? "s" : "", port);
		const struct tls_case c = {.what = "a redirect", .answer = answer};
		struct pollfd p = {.fd = trap, .events = POLLIN};
		size_t seen;
		struct answer a = ask(&c, &seen);

		cr_expect_eq(a.r, 0, "%d", codes[i]);
		cr_expect_eq(a.status, codes[i]);
		cr_expect_eq(seen, 1);
		cr_expect_eq(poll(&p, 1, 0), 0, "%d: somebody was asked there", codes[i]);
	}
	(void)close(trap);
}
