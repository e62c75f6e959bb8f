/* SHA-256 by libcrypto, as text. */
#include <openssl/evp.h> // EVP_Digest
#include <stdio.h>       // snprintf

#include "normlab/checkpoint.h" // nl_sha256_hex

void nl_sha256_hex(char text[65], const void *bytes, size_t size) {
    nl_sha256_hex_both(text, NULL, 0, bytes, size);
}

void nl_sha256_hex_both(char text[65], const void *head, size_t head_size, const void *bytes,
                        size_t size) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    NL_NEED(context);
    const bool done = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                      EVP_DigestUpdate(context, head, head_size) == 1 &&
                      EVP_DigestUpdate(context, bytes, size) == 1 &&
                      EVP_DigestFinal_ex(context, digest, &length) == 1;
    NL_ASSERT(done && length == 32);
    EVP_MD_CTX_free(context);
    for (int i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
}
