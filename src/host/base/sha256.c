/* SHA-256 by libcrypto, as text. */
#include <openssl/evp.h> // EVP_Digest
#include <stdio.h>       // snprintf

#include "normlab/checkpoint.h" // nl_sha256_hex

void nl_sha256_hex(char text[65], const void *bytes, size_t size) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    const int done = EVP_Digest(bytes, size, digest, &length, EVP_sha256(), NULL);
    NL_ASSERT(done == 1 && length == 32);
    for (int i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
}
