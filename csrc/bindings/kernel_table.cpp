// bindings/kernel_table.cpp: the kernels that Python sees; a new one is a row here and a line in
// python/gilpool/kernels.pyi (docs/adding-a-kernel.md).
#include "bindings/compat.hpp"
#include "bindings/kernel_binding.hpp"
#include "bindings/kernel_row.hpp"
#include "kernels/base64.hpp"
#include "kernels/crc32c.hpp"
#include "kernels/demo.hpp"
#include "kernels/files.hpp"
#include "kernels/hash.hpp"
#include "kernels/regex.hpp"
#include "kernels/sort.hpp"
#include "kernels/text.hpp"

namespace gilpool::bindings {

namespace k = gilpool::kernels;
using core::Lane;

namespace {

/// Below these sizes a call takes about a microsecond, and to let the GIL go and take it back may
/// cost as much, or 5 ms beside a thread that computes in Python.
constexpr std::size_t kScanned = 16 * 1024;
constexpr std::size_t kHashed = 2 * 1024;

std::size_t b64encode_room(k::BytesView data) noexcept {
    return k::b64encoded_size(data.size());
}

/// Set at import: a kernel cannot ask Python.
k::Base64Rules g_lenient_base64 = k::Base64Rules::ends_at_padding;

k::Result<std::uint64_t> b64decode(k::BytesView text, bool validate, std::span<std::byte> out,
                                   k::Stop stop) noexcept {
    return k::b64decode(text, validate ? k::Base64Rules::strict : g_lenient_base64, out, stop);
}

std::size_t b64decode_room(k::BytesView text, bool) noexcept {
    return k::b64decoded_limit(text.size());
}

#if GILPOOL_HAS_RE2
k::Result<Matches> find_all(std::string_view pattern, k::BytesView data, k::Stop stop) noexcept {
    auto bounds = k::find_all(pattern, data, stop);
    if (!bounds.ok()) {
        return bounds.error();
    }
    return Matches{std::move(bounds.value())};
}
#endif

template <class T>
k::Result<k::Shape> argsort_shape(std::span<const T> values) noexcept {
    return k::Shape{1, values.size()};
}

template <class T>
k::Result<k::Done> argsort(std::span<const T> values, k::Row<std::int64_t> out,
                           k::Stop stop) noexcept {
    return k::argsort<T>(values, out.values, stop);
}

template <class T>
using Argsort = Overload<&argsort<T>, &argsort_shape<T>>;
template <class T>
using Sort = Overload<&k::sort<T>>;

}  // namespace

const std::vector<KernelRow>& kernel_table() {
    if (base64_goes_on_after_padding()) {
        g_lenient_base64 = k::Base64Rules::goes_on;
    }
    static const std::vector<KernelRow> table{
        kernel<&k::busy>(
            "busy", {{"ms"}},
            {.example = "(n / 1e3,)",
             .doc = "Compute for `ms` milliseconds of the thread's CPU time: a core is burnt that "
                    "long."}),
        kernel<&k::count_primes>(
            "count_primes", {{"n"}},
            {.example = "(n,)", .doc = "Count the primes below `n` (at most 2**48), by a sieve."}),
        kernel<&k::mandelbrot, &k::mandelbrot_shape>(
            "mandelbrot", {{"width"}, {"height"}, {"max_iter", "100"}, {"out", "None"}},
            {.example = "(64, n // 64 + 1, 200)",
             .doc = "Draw the Mandelbrot set: for each point of [-2, 1] x [-1, 1] the steps until "
                    "it\nescapes, at most `max_iter`. `out` is a writable C-contiguous buffer of "
                    "int32 with the\nshape (height, width); without it a new memoryview is "
                    "returned."}),
        kernel<&k::monte_carlo_pi>(
            "monte_carlo_pi", {{"samples"}, {"seed", "0"}},
            {.example = "(n, 1)",
             .doc = "Estimate pi from `samples` random points; the same for the same `seed`."}),
        kernel<&k::matmul, &k::matmul_shape>(
            "matmul", {{"a"}, {"b"}, {"out", "None"}},
            {.keeps_gil_below = kScanned,
             .example = "(matrix(n // 512 + 1, 64), matrix(64, 64))",
             .doc = "Multiply two C-contiguous matrices of float64. `out`, which must not overlap "
                    "them,\nis a writable one with the rows of `a` and the columns of `b`; without "
                    "it a new\nmemoryview is returned."}),
        kernel<&k::count>("count", {{"data"}, {"pattern"}},
                          {.keeps_gil_below = kScanned,
                           .example = "(text(n), b'fox')",
                           .doc = "Count where `pattern` occurs in `data` without overlap, as "
                                  "bytes.count does."}),
        kernel<&k::count_lines>(
            "count_lines", {{"data"}},
            {.keeps_gil_below = kScanned,
             .example = "(text(n),)",
             .doc = "Count lines as iterating over a binary file gives them: one that does not end "
                    "in\na newline counts, too."}),
        kernel<&k::count_words>(
            "count_words", {{"data"}},
            {.keeps_gil_below = kScanned,
             .example = "(text(n),)",
             .doc = "Count words as len(data.split()) does: separated by ASCII white space."}),
        kernel<&k::crc32c>("crc32c", {{"data"}, {"value", "0"}},
                           {.keeps_gil_below = kScanned,
                            .example = "(text(n),)",
                            .doc = "Compute the CRC-32C (Castagnoli) of `data`, going on from that "
                                   "of earlier bytes."}),
        kernel<&k::b64encode, &b64encode_room>("b64encode", {{"data"}},
                                               {.keeps_gil_below = kHashed,
                                                .example = "(text(n),)",
                                                .doc = "Encode as base64.b64encode does."}),
        kernel<&b64decode, &b64decode_room>(
            "b64decode", {{"data"}, {"validate", "False"}},
            {.keeps_gil_below = kHashed,
             .example = "(base64(n),)",
             .doc = "Decode as base64.b64decode does. With `validate` the rules are those of "
                    "Python 3.13."}),
        kernel_by_items<Sort<std::int32_t>, Sort<std::int64_t>, Sort<float>, Sort<double>>(
            "sort", {{"values"}},
            {.keeps_gil_below = kHashed,
             .example = "(numbers(n // 8),)",
             .doc = "Sort a writable one-dimensional buffer of int32, int64, float32 or float64 in "
                    "place,\nascending. NaN comes last, as in numpy, and -0.0 before 0.0."}),
        kernel_by_items<Argsort<std::int32_t>, Argsort<std::int64_t>, Argsort<float>,
                        Argsort<double>>(
            "argsort", {{"values"}, {"out", "None"}},
            {.keeps_gil_below = kHashed,
             .example = "(numbers(n // 8),)",
             .doc =
                 "Find the places of the values in ascending order, equal ones and NaN (last) in "
                 "order of\nplace, as numpy.argsort(kind='stable') does. `out` is a writable "
                 "buffer of as many int64;\nwithout it a new memoryview is returned."}),
#if GILPOOL_HAS_RE2
        kernel<&find_all>(
            "find_all", {{"pattern"}, {"data"}},
            {.keeps_gil_below = kHashed,
             .example = "(r'[a-z]+ox', text(n))",
             .doc = "Find every match of a regular expression, in linear time; return "
                    "a list of\n(start, end). Written as for Python's re on bytes; "
                    "docs/regex-differences.md tells\nwhere RE2 differs."}),
        kernel<&k::count_matches>("count_matches", {{"pattern"}, {"data"}},
                                  {.keeps_gil_below = kHashed,
                                   .example = "(r'[a-z]+ox', text(n))",
                                   .doc = "Count the matches that find_all finds."}),
#endif
#if GILPOOL_HAS_OPENSSL
        kernel<&k::sha256>("sha256", {{"data"}},
                           {.keeps_gil_below = kHashed,
                            .example = "(text(n),)",
                            .doc = "Return the SHA-256 digest of `data`."}),
        kernel<&k::hash_bytes>("hash_bytes", {{"data"}, {"algorithm", "'sha256'"}},
                               {.keeps_gil_below = kHashed,
                                .example = "(text(n), 'blake2b')",
                                .doc = "Return the digest of `data` by an algorithm that hashlib "
                                       "knows."}),
        kernel<&k::hash_many>(
            "hash_many", {{"items"}, {"algorithm", "'sha256'"}},
            {.keeps_gil_below = kHashed,
             .example = "(items(n),)",
             .doc = "Return the digest of each bytes-like object of an iterable, as a list."}),
        kernel<&k::hash_file>("hash_file", {{"path"}, {"algorithm", "'sha256'"}},
                              {.lane = Lane::blocking,
                               .example = "(file(n),)",
                               .doc = "Return the digest of a file's content; memory does not "
                                      "depend on its size."}),
        kernel<&k::hash_files>("hash_files", {{"paths"}, {"algorithm", "'sha256'"}},
                               {.lane = Lane::blocking,
                                .example = "(files(n // 10 + 1),)",
                                .doc = "Return the digest of each file's content, as a list."}),
#endif
        kernel<&k::read_file>("read_file", {{"path"}},
                              {.lane = Lane::blocking,
                               .example = "(file(n),)",
                               .doc = "Return the content of a file."}),
        kernel<&k::read_files>("read_files", {{"paths"}},
                               {.lane = Lane::blocking,
                                .example = "(files(n // 10 + 1),)",
                                .doc = "Return the content of each file, as a list."}),
        kernel<&k::write_file>(
            "write_file", {{"path"}, {"data"}, {"fsync", "False"}},
            {.lane = Lane::blocking,
             .example = "(target(), text(n))",
             .doc = "Make `data` the content of a file, or leave it as it was: readers see the old "
                    "content\nor the new, and an interrupted call leaves no temporary file. With "
                    "`fsync` it has\nreached the disk on return. Returns the number of bytes."}),
        kernel<&k::copy_file>(
            "copy_file", {{"source"}, {"target"}},
            {.lane = Lane::blocking,
             .example = "(file(n), target())",
             .doc = "Copy a regular file, mode included, in the way of write_file. Returns the "
                    "number of\nbytes."}),
        kernel<&k::stat_many>("stat_many", {{"paths"}, {"follow_symlinks", "True"}},
                              {.lane = Lane::blocking,
                               .example = "(files(n // 10 + 1),)",
                               .doc = "Return the os.stat_result of each path, as a list."}),
    };
    return table;
}

const std::vector<MissingKernel>& missing_kernels() {
    static const std::vector<MissingKernel> missing{
#if !GILPOOL_HAS_RE2
        {"find_all", "RE2"},        {"count_matches", "RE2"},
#endif
#if !GILPOOL_HAS_OPENSSL
        {"sha256", "OpenSSL 3"},    {"hash_bytes", "OpenSSL 3"}, {"hash_many", "OpenSSL 3"},
        {"hash_file", "OpenSSL 3"}, {"hash_files", "OpenSSL 3"},
#endif
    };
    return missing;
}

}  // namespace gilpool::bindings
