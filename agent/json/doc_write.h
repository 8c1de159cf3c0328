/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a document, value after value. Each call: 0; -E2BIG if the document takes more than `max_bytes` with it, is nested
 * deeper than DOC_DEPTH_MAX or longer than a head can say; -ENOMEM. What failed is not there, and the document may be
 * gone on with. The first value is the document, and within objects a key comes before each value.
 */
#pragma once

#include "base/array.h"
#include "json/doc.h"

enum { DOC_WRITE_SMALL = 16 * 1024 };

/*
 * Empty when zeroed. With a limit, what becomes longer than DOC_WRITE_SMALL gets all the memory that it may ever need at
 * once, from the kernel, of which it takes what is written, and gives it back when cleared: nothing is copied and no hole is left.
 */
struct doc_writer {
	uint32_t *v;
	size_t n, cap, max_bytes; /* 0 = no limit */
	bool is_mapped;
	size_t key;		  /* where the key of the next value is; 0 = there is none */
	ARRAY(size_t) open;	  /* where the containers begin that are not complete */
};

int doc_write_null(struct doc_writer *w);
int doc_write_bool(struct doc_writer *w, bool is_true);
int doc_write_string(struct doc_writer *w, const char *text, size_t len);
/* A number as JSON has it. -ERANGE if it is neither an integer of 64 bits nor a real. */
int doc_write_number(struct doc_writer *w, const char *text, size_t len);
/* A value of another document. */
int doc_write_copy(struct doc_writer *w, const struct doc *v);
/* A value of jansson's. */
int doc_write_json(struct doc_writer *w, const json_t *v);

int doc_write_key(struct doc_writer *w, const char *text, size_t len);
int doc_write_begin(struct doc_writer *w, bool is_array);
int doc_write_end(struct doc_writer *w);

/* The key that waits for its value; NULL if there is none. */
const char *doc_write_pending(const struct doc_writer *w);
/* Ends all that is open as it is, without a key that waits; of equal keys all are there then. */
void doc_write_close(struct doc_writer *w);

/* What is written, once that is complete: borrowed, or, without a limit, the caller's. NULL if it is nothing. */
const struct doc *doc_written(const struct doc_writer *w);
struct doc *doc_write_take(struct doc_writer *w);

/* Empty again, with DOC_WRITE_SMALL at most for the next document; or with nothing. */
void doc_write_clear(struct doc_writer *w);
void doc_write_done(struct doc_writer *w);
DEFINE_CLEANUP_DONE(struct doc_writer, doc_write_done)
