// kernels/features.cpp: asks the libraries that are linked.
#include "kernels/features.hpp"

#if GILPOOL_HAS_OPENSSL
#include <openssl/crypto.h>
#endif

namespace gilpool::kernels {

std::vector<std::pair<std::string, std::string>> libraries() {
    std::string openssl;
    std::string re2;
#if GILPOOL_HAS_OPENSSL
    openssl = OpenSSL_version(OPENSSL_VERSION_STRING);
#endif
#if GILPOOL_HAS_RE2
    re2 = GILPOOL_RE2_VERSION;
#endif
    return {{"openssl", std::move(openssl)}, {"re2", std::move(re2)}};
}

}  // namespace gilpool::kernels
