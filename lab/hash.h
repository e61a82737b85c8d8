/* SPDX-License-Identifier: MIT */
/* Hash of one line of the world: a state's hash is the sum of its lines' hashes. */
#ifndef LAB_HASH_H
#define LAB_HASH_H

#include <stdint.h>

__extension__ typedef unsigned __int128 hash_wide;

static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
	hash_wide product = (hash_wide)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * Two independent 64-bit hashes of eight words, keyed by the line's number.  Odd constants are
 * fractional digits of square roots; nothing hangs on which.
 */
static inline void hash_line(uint64_t line, const uint64_t words[8], uint64_t *low, uint64_t *high)
{
	uint64_t a = hash_fold(line ^ 0x6a09e667f3bcc909ull, 0xbb67ae8584caa73bull);
	uint64_t b = hash_fold(line ^ 0x3c6ef372fe94f82bull, 0xa54ff53a5f1d36f1ull);

	a += hash_fold(words[0] ^ 0xcbbb9d5dc1059ed9ull, words[1] ^ 0x629a292a367cd507ull);
	b += hash_fold(words[0] ^ 0x67332667ffc00b31ull, words[1] ^ 0x8eb44a8768581511ull);
	a = hash_fold(a ^ words[2] ^ 0x9159015a3070dd17ull, words[3] ^ 0x152fecd8f70e5939ull) +
	    (a << 1);
	b = hash_fold(b ^ words[2] ^ 0xdb0c2e0d64f98fa7ull, words[3] ^ 0x47b5481dbefa4fa4ull) +
	    (b << 1);
	a = hash_fold(a ^ words[4] ^ 0x428a2f98d728ae23ull, words[5] ^ 0x7137449123ef65cdull) +
	    (a << 1);
	b = hash_fold(b ^ words[4] ^ 0xb5c0fbcfec4d3b2full, words[5] ^ 0xe9b5dba58189dbbdull) +
	    (b << 1);
	a = hash_fold(a ^ words[6] ^ 0x3956c25bf348b539ull, words[7] ^ 0x59f111f1b605d019ull) +
	    (a << 1);
	b = hash_fold(b ^ words[6] ^ 0x923f82a4af194f9bull, words[7] ^ 0xab1c5ed5da6d8119ull) +
	    (b << 1);
	*low = hash_fold(a ^ 0xd807aa98a3030243ull, 0x12835b0145706fbfull);
	*high = hash_fold(b ^ 0x243185be4ee4b28dull, 0x550c7dc3d5ffb4e3ull);
}

#endif
