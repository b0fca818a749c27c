/* sha1.h - SHA-1, for passwords that a configuration gives as {SHA}hex.
 *
 * Sixty lines of our own because no library that the daemon links has it, and
 * libcrypto would be several megabytes for one line of a configuration file.
 * The form is supervisord's; nothing else here may rest on SHA-1. */
#pragma once

#include <stddef.h>

#define SHA1_SIZE 20

void sha1(const void *data, size_t len, unsigned char out[SHA1_SIZE]);
