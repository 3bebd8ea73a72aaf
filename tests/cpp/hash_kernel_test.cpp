// Digests against published ones; batches, files, bad names, threads.
#include <gtest/gtest.h>

#if GILPOOL_HAS_OPENSSL

#include <openssl/err.h>

#include <cerrno>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/hash.hpp"
#include "support/bytes_of.hpp"
#include "support/scratch_directory.hpp"

namespace gilpool::kernels {
namespace {

using test::bytes_of;
using test::ScratchDirectory;

std::string hex(const Digest& digest) {
    std::string text;
    for (const std::byte byte : digest.bytes()) {
        text += "0123456789abcdef"[std::to_integer<int>(byte) >> 4];
        text += "0123456789abcdef"[std::to_integer<int>(byte) & 15];
    }
    return text;
}

std::string hashed(std::string_view data, std::string_view algorithm) {
    const Result<Digest> digest = hash_bytes(bytes_of(data), algorithm, Stop());
    return digest.ok() ? hex(digest.value()) : digest.error().message;
}

constexpr const char* kSha256OfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kSha256OfNothing =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

Result<Digest> unset() {
    return Error{ErrorKind::stopped};
}

TEST(Hash, HasThePublishedValues) {
    EXPECT_EQ(hashed("abc", "sha256"), kSha256OfAbc);
    EXPECT_EQ(hashed("", "sha256"), kSha256OfNothing);
    EXPECT_EQ(hex(sha256(bytes_of("abc"), Stop()).value()), kSha256OfAbc);
    EXPECT_EQ(hashed("abc", "sha1"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    EXPECT_EQ(hashed("abc", "md5"), "900150983cd24fb0d6963f7d28e17f72");
    EXPECT_EQ(hashed("abc", "sha3_256"),
              "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
    EXPECT_EQ(hashed("abc", "blake2s"),
              "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
    // FIPS 180-2: a million letters, which are more than the pieces they are read in.
    EXPECT_EQ(hashed(std::string(1'000'000, 'a'), "sha256"),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    EXPECT_EQ(hashed(std::string(3'000'000, 'a'), "SHA512"),
              hashed(std::string(3'000'000, 'a'), "sha512"));
}

TEST(Hash, KnowsHashlibsNamesAndOpenssls) {
    const std::pair<const char*, std::size_t> algorithms[] = {
        {"md5", 16},      {"sha1", 20},     {"sha224", 28},     {"sha256", 32},
        {"sha384", 48},   {"sha512", 64},   {"sha3_224", 28},   {"sha3_256", 32},
        {"sha3_384", 48}, {"sha3_512", 64}, {"sha512_224", 28}, {"sha512_256", 32},
        {"blake2b", 64},  {"blake2s", 32},  {"SHA2-256", 32},   {"BLAKE2B-512", 64},
    };
    for (const auto& [name, size] : algorithms)
        EXPECT_EQ(hashed("x", name).size(), 2 * size) << name;
}

TEST(Hash, RefusesNamesItCannotServe) {
    ERR_clear_error();
    for (const std::string& name :
         {std::string(), std::string("sha257"), std::string("shake_128"), std::string("shake256"),
          std::string("sha256\0x", 8), std::string(100'000, 'a')}) {
        const Result<Digest> digest = hash_bytes(bytes_of("abc"), name, Stop());
        ASSERT_FALSE(digest.ok()) << name;
        EXPECT_EQ(digest.error().kind, ErrorKind::value);
    }
    EXPECT_EQ(hashed("abc", "sha257"), "unsupported hash algorithm: sha257");
    EXPECT_EQ(hashed("abc", "\xff\n"), "unsupported hash algorithm: \\xff\\x0a");
    EXPECT_EQ(ERR_peek_error(), 0UL) << "others would take it for theirs";
}

TEST(HashMany, GivesEachItemsDigestInItsPlace) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < 1000; ++i) texts.emplace_back(i, static_cast<char>('a' + i % 26));
    std::vector<BytesView> items;
    for (const std::string& text : texts) items.push_back(bytes_of(text));
    std::vector<Result<Digest>> digests(items.size(), unset());
    Progress progress;
    // Two threads take half each, as a pool would.
    const auto run = [&](std::size_t from, std::size_t size) {
        EXPECT_TRUE(hash_many(std::span(items).subspan(from, size), "sha256",
                              std::span(digests).subspan(from, size), progress, Stop())
                        .ok());
    };
    std::thread other(run, 0, 500);
    run(500, 500);
    other.join();
    EXPECT_EQ(progress.finished(), 1000U);
    for (std::size_t i = 0; i < items.size(); ++i) {
        ASSERT_EQ(hex(digests[i].value()), hashed(texts[i], "sha256"));
    }
}

TEST(HashMany, IsTheSameForAnyNumberOfItemsOfAnyLengths) {
    std::mt19937 random(7);
    std::string text(40'000, 'x');
    for (char& letter : text) letter = static_cast<char>(random());
    const std::size_t edges[] = {0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 16384, 16385, 40000};
    for (std::size_t count = 0; count < 60; ++count) {
        std::vector<BytesView> items;
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t length = edges[random() % std::size(edges)];
            items.push_back(bytes_of(text).subspan(random() % (text.size() - length + 1), length));
        }
        std::vector<Result<Digest>> digests(count, unset());
        Progress progress;
        ASSERT_TRUE(hash_many(items, "SHA256", digests, progress, Stop()).ok());
        EXPECT_EQ(progress.finished(), count);
        for (std::size_t i = 0; i < count; ++i) {
            ASSERT_TRUE(digests[i].ok());
            ASSERT_EQ(hex(digests[i].value()), hex(sha256(items[i], Stop()).value()))
                << "item " << i << " of " << count << ", " << items[i].size() << " bytes";
        }
    }
}

TEST(HashMany, StopsWithinABatchOfShortItems) {
    const std::atomic<bool> flag{true};
    const std::vector<BytesView> items(100, bytes_of("short"));
    std::vector<Result<Digest>> digests(items.size(), unset());
    Progress progress;
    EXPECT_EQ(hash_many(items, "sha256", digests, progress, Stop(flag)).error().kind,
              ErrorKind::stopped);
    EXPECT_EQ(progress.finished(), 0U);
}

TEST(HashMany, StopsBetweenItems) {
    const std::atomic<bool> flag{true};
    const BytesView items[] = {bytes_of("a")};
    Result<Digest> digests[] = {unset()};
    Progress progress;
    EXPECT_EQ(hash_many(items, "sha256", digests, progress, Stop(flag)).error().kind,
              ErrorKind::stopped);
    EXPECT_EQ(progress.finished(), 0U);
    EXPECT_EQ(hash_many(items, "none", digests, progress, Stop()).error().kind, ErrorKind::value);
}

TEST(HashFiles, LeavesTheErrorOfAFileInItsPlace) {
    const ScratchDirectory directory;
    const std::string large(3'000'001, 'x');
    const Path paths[] = {directory.put("abc", "abc"),   directory / "missing",
                          directory.put("empty", ""),    directory / "",
                          directory.put("large", large), {std::string("a\0b", 3)}};
    std::vector<Result<Digest>> digests(std::size(paths), unset());
    Progress progress;
    ASSERT_TRUE(hash_files(paths, "sha256", digests, progress, Stop()).ok());
    EXPECT_EQ(progress.finished(), std::size(paths));
    EXPECT_EQ(hex(digests[0].value()), kSha256OfAbc);
    EXPECT_EQ(digests[1].error().kind, ErrorKind::os);
    EXPECT_EQ(digests[1].error().number, ENOENT);
    EXPECT_EQ(digests[1].error().message, paths[1].native);
    EXPECT_EQ(hex(digests[2].value()), kSha256OfNothing);
    EXPECT_EQ(digests[3].error().number, EISDIR);
    EXPECT_EQ(hex(digests[4].value()), hashed(large, "sha256"));
    EXPECT_EQ(digests[5].error().kind, ErrorKind::value);
    EXPECT_EQ(hex(hash_file(paths[0], "sha256", Stop()).value()), kSha256OfAbc);
}

TEST(Hash, IsFetchedByManyThreadsAtOnce) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([] {
            for (const char* name : {"sha3_384", "SHA3_384", "sm3", "ripemd160", "sha512_256"}) {
                const std::string once = hashed("abc", name);
                EXPECT_EQ(hashed("abc", name), once);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace gilpool::kernels

#else

TEST(Hash, NeedsOpenssl) {
    GTEST_SKIP() << "built without OpenSSL 3";
}

#endif
