// kernels/hash.cpp: an algorithm is fetched once for the process, a context once for a batch.
#include "kernels/hash.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "kernels/file_reader.hpp"
#include "kernels/guarded.hpp"
#include "kernels/printable.hpp"
#include "kernels/sha256_lanes.hpp"

namespace gilpool::kernels {

namespace {

/// Bytes between two looks at the stop flag: 10 ms of the slowest algorithm.
constexpr std::size_t kStride = std::size_t{1} << 20;

/// Leaves the thread's error queue as it was: others (Python's ssl) read theirs from it.
class QuietErrors {
  public:
    QuietErrors() noexcept { ERR_set_mark(); }
    ~QuietErrors() { ERR_pop_to_mark(); }
    QuietErrors(const QuietErrors&) = delete;
    QuietErrors& operator=(const QuietErrors&) = delete;
};

/// hashlib's name in lower case as one that OpenSSL knows; most are known to both.
std::string openssl_name(std::string_view algorithm) {
    static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
        {"blake2b", "blake2b512"},    {"blake2s", "blake2s256"},    {"sha3_224", "sha3-224"},
        {"sha3_256", "sha3-256"},     {"sha3_384", "sha3-384"},     {"sha3_512", "sha3-512"},
        {"sha512_224", "sha512-224"}, {"sha512_256", "sha512-256"},
    };
    std::string name(algorithm);
    for (char& letter : name) {
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    }
    for (const auto& [hashlib, openssl] : kNames) {
        if (name == hashlib) return std::string(openssl);
    }
    return name;
}

/// A fetched algorithm, kept until the process ends. Entries are only ever put in front, so readers
/// need no lock, and a fork at any moment leaves the list whole.
struct Algorithm {
    std::string name;
    const EVP_MD* method;
    const Algorithm* next;
};

std::atomic<const Algorithm*> known_algorithms{nullptr};

const EVP_MD* find_known(std::string_view name) noexcept {
    // acquire: pairs with the release in fetch, so that the entry's members are seen.
    const Algorithm* entry = known_algorithms.load(std::memory_order_acquire);
    while (entry != nullptr && entry->name != name) entry = entry->next;
    return entry == nullptr ? nullptr : entry->method;
}

Error refused(std::string_view algorithm, const char* reason) {
    return Error{ErrorKind::value, 0, reason + printable(algorithm)};
}

Result<const EVP_MD*> fetch(std::string_view algorithm) {
    std::string name = openssl_name(algorithm);
    if (const EVP_MD* method = find_known(name)) return method;
    if (algorithm.find('\0') != std::string_view::npos) {
        return refused("", "embedded null character in the name of a hash algorithm");
    }
    auto entry = std::make_unique<Algorithm>();
    EVP_MD* method = EVP_MD_fetch(nullptr, name.c_str(), nullptr);
    if (method == nullptr) return refused(algorithm, "unsupported hash algorithm: ");
    const int size = EVP_MD_get_size(method);
    const bool extendable = (EVP_MD_get_flags(method) & EVP_MD_FLAG_XOF) != 0;
    if (extendable || size <= 0 || size > static_cast<int>(Digest::kMaxSize)) {
        EVP_MD_free(method);
        return refused(algorithm, "hash algorithm without a fixed digest length: ");
    }
    entry->name = std::move(name);
    entry->method = method;
    entry->next = known_algorithms.load(std::memory_order_relaxed);
    // Two threads may add the same name at once; the second entry is never looked at.
    while (!known_algorithms.compare_exchange_weak(
        entry->next, entry.get(), std::memory_order_release, std::memory_order_relaxed)) {
    }
    entry.release();
    return method;
}

/// One hash at a time, again and again with the same context.
class Hasher {
  public:
    static Result<Hasher> make(std::string_view algorithm) {
        const Result<const EVP_MD*> method = fetch(algorithm);
        if (!method.ok()) return method.error();
        EVP_MD_CTX* context = EVP_MD_CTX_new();
        if (context == nullptr) return Error{ErrorKind::memory};
        return Hasher(method.value(), context);
    }

    bool is(const char* openssl_name) const noexcept {
        return EVP_MD_is_a(method_, openssl_name) == 1;
    }

    Result<Digest> hash(BytesView data, Stop stop) {
        if (!begin()) return failed();
        do {
            if (stop.requested()) return Error{ErrorKind::stopped};
            const BytesView piece = data.first(std::min(kStride, data.size()));
            if (!add(piece)) return failed();
            data = data.subspan(piece.size());
        } while (!data.empty());
        return finish();
    }

    Result<Digest> hash(const Path& path, Stop stop) {
        Result<FileReader> file = FileReader::open(path);
        if (!file.ok()) return file.error();
        if (buffer_.empty()) buffer_ = Bytes(kBuffer);
        if (!begin()) return failed();
        while (true) {
            const Result<std::size_t> got = file.value().read(buffer_, stop);
            if (!got.ok()) return got.error();
            if (got.value() == 0) return finish();
            if (!add({buffer_.data(), got.value()})) return failed();
        }
    }

  private:
    /// Stays in a second-level cache between being read and being hashed.
    static constexpr std::size_t kBuffer = std::size_t{256} << 10;

    struct Free {
        void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    };

    Hasher(const EVP_MD* method, EVP_MD_CTX* context) : method_(method), context_(context) {}

    bool begin() noexcept { return EVP_DigestInit_ex2(context_.get(), method_, nullptr) == 1; }

    bool add(BytesView piece) noexcept {
        return EVP_DigestUpdate(context_.get(), piece.data(), piece.size()) == 1;
    }

    Result<Digest> finish() noexcept {
        Digest digest;
        unsigned int size = 0;
        auto* const into = reinterpret_cast<unsigned char*>(digest.storage.data());
        if (EVP_DigestFinal_ex(context_.get(), into, &size) != 1) return failed();
        digest.size = static_cast<std::uint8_t>(size);
        return digest;
    }

    /// With an algorithm that was fetched and sizes that fit, nothing else can be the cause.
    static Error failed() noexcept { return Error{ErrorKind::memory}; }

    const EVP_MD* method_;
    std::unique_ptr<EVP_MD_CTX, Free> context_;
    Bytes buffer_;
};

template <class Source>
Result<Digest> hash_one(const Source& source, std::string_view algorithm, Stop stop) noexcept {
    return guarded([&]() -> Result<Digest> {
        const QuietErrors quiet;
        Result<Hasher> hasher = Hasher::make(algorithm);
        if (!hasher.ok()) return hasher.error();
        return hasher.value().hash(source, stop);
    });
}

/// Each digest by itself, but for the sources that `skipped` says are done.
template <class Source, class Skipped>
Result<Done> hash_each(Hasher& hasher, std::span<const Source> sources,
                       std::span<Result<Digest>> digests, Progress& progress, Stop stop,
                       Skipped skipped) {
    for (std::size_t i = 0; i < sources.size(); ++i) {
        if (skipped(sources[i])) continue;
        Result<Digest> digest = hasher.hash(sources[i], stop);
        if (stop.requested()) return Error{ErrorKind::stopped};
        digests[i] = std::move(digest);
        progress.finish();
    }
    return Done{};
}

}  // namespace

Result<Digest> hash_bytes(BytesView data, std::string_view algorithm, Stop stop) noexcept {
    return hash_one(data, algorithm, stop);
}

Result<Digest> sha256(BytesView data, Stop stop) noexcept {
    return hash_one(data, "sha256", stop);
}

Result<Digest> hash_file(const Path& path, std::string_view algorithm, Stop stop) noexcept {
    return hash_one(path, algorithm, stop);
}

Result<Done> hash_many(std::span<const BytesView> items, std::string_view algorithm,
                       std::span<Result<Digest>> digests, Progress& progress, Stop stop) noexcept {
    return guarded([&]() -> Result<Done> {
        const QuietErrors quiet;
        Result<Hasher> hasher = Hasher::make(algorithm);
        if (!hasher.ok()) return hasher.error();
        const bool lanes = items.size() >= sha256_lanes::kFewest && sha256_lanes::available() &&
                           hasher.value().is("SHA256");
        if (lanes) {
            const Result<Done> done = sha256_lanes::hash(items, digests, progress, stop);
            if (!done.ok()) return done.error();
        }
        return hash_each(hasher.value(), items, digests, progress, stop, [&](BytesView item) {
            return lanes && item.size() <= sha256_lanes::kLongest;
        });
    });
}

Result<Done> hash_files(std::span<const Path> paths, std::string_view algorithm,
                        std::span<Result<Digest>> digests, Progress& progress, Stop stop) noexcept {
    return guarded([&]() -> Result<Done> {
        const QuietErrors quiet;
        Result<Hasher> hasher = Hasher::make(algorithm);
        if (!hasher.ok()) return hasher.error();
        return hash_each(hasher.value(), paths, digests, progress, stop,
                         [](const Path&) { return false; });
    });
}

}  // namespace gilpool::kernels
