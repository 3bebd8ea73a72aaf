// Digests of any bytes by any name: alone, in a batch of many and by OpenSSL's own one call.
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
    // Of every length, and often enough of them to be hashed in lanes.
    std::vector<kernels::BytesView> items;
    const std::size_t count = choice % 40;
    for (std::size_t i = 0; i < count; ++i) items.push_back(bytes.first(i % (bytes.size() + 1)));
    items.push_back(bytes);
    std::vector<kernels::Result<kernels::Digest>> digests(
        items.size(), kernels::Error{kernels::ErrorKind::stopped});
    kernels::Progress progress;
    FUZZ_CHECK(kernels::hash_many(items, name, digests, progress, stop).ok());
    FUZZ_CHECK(progress.finished() == items.size());
    items.push_back(bytes);
    digests.push_back(kernels::hash_bytes(bytes, name, stop));
    for (std::size_t i = 0; i < items.size(); ++i) {
        FUZZ_CHECK(
            EVP_Digest(items[i].data(), items[i].size(), expected, &length, method, nullptr) == 1);
        FUZZ_CHECK(digests[i].value().size == length);
        FUZZ_CHECK(std::memcmp(digests[i].value().storage.data(), expected, length) == 0);
    }
    return 0;
}
