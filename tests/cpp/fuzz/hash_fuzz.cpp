// Digests of any bytes by any name: alone, in a batch and by OpenSSL's own one call.
#include "kernels/hash.hpp"

#include <openssl/evp.h>

#include <vector>

#include "fuzz/fuzz_input.hpp"

using namespace gilpool;

const std::string_view fuzz_alphabet = "sha123456_-blke md5SHA2/";

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static constexpr const char* kNames[] = {"sha256", "md5", "sha1", "sha512", "sha3-256"};
    fuzz::FuzzInput input(data, size);
    const auto choice = input.number<std::uint8_t>();
    const std::string any_name = input.text(choice % 16);
    const std::string text = input.rest();
    const auto bytes = fuzz::bytes_of(text);
    const kernels::Stop stop;

    const auto odd = kernels::hash_bytes(bytes, any_name, stop);
    FUZZ_CHECK(odd.ok() ? odd.value().size > 0 : odd.error().kind == kernels::ErrorKind::value);

    const char* const name = kNames[choice % std::size(kNames)];
    unsigned char expected[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    const EVP_MD* const method = EVP_get_digestbyname(name);
    FUZZ_CHECK(EVP_Digest(text.data(), text.size(), expected, &length, method, nullptr) == 1);
    const kernels::BytesView items[] = {bytes, {}, bytes};
    std::vector<kernels::Result<kernels::Digest>> digests(
        3, kernels::Error{kernels::ErrorKind::stopped});
    kernels::Progress progress;
    FUZZ_CHECK(kernels::hash_many(items, name, digests, progress, stop).ok());
    FUZZ_CHECK(progress.finished() == 3);
    digests[1] = kernels::hash_bytes(bytes, name, stop);
    for (const auto& digest : digests) {
        FUZZ_CHECK(digest.value().size == length);
        FUZZ_CHECK(std::memcmp(digest.value().storage.data(), expected, length) == 0);
    }
    return 0;
}
