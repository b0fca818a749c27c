/* hash.h - a 64-bit checksum of bytes: of records in memory that outlives us.
 *
 * Eight bytes a step, each step reversible: two texts of one length that differ
 * within eight aligned bytes never have the same sum; others by a chance of
 * 2^-64.  Not against a forger: who can write our files needs no collision. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Equal seeds and bytes give equal sums, on this machine. */
uint64_t hash64(uint64_t seed, const void *data, size_t len);
