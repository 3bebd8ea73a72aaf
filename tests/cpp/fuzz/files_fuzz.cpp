// Any name below one directory written, copied, read and examined: what was written is read again,
// what failed left nothing, and a temporary file is never seen.
#include "kernels/files.hpp"

#include <filesystem>
#include <vector>

#include "fuzz/fuzz_input.hpp"
#include "support/scratch_directory.hpp"

using namespace gilpool;

const std::string_view fuzz_alphabet = std::string_view("ab/. \0~\xe9\xff\n", 10);

namespace {

bool holds(const kernels::Result<kernels::Bytes>& content, std::string_view expected) {
    return content.ok() && content.value().size() == expected.size() &&
           (expected.empty() ||
            std::memcmp(content.value().data(), expected.data(), expected.size()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const test::ScratchDirectory directory;
    fuzz::FuzzInput input(data, size);
    const std::string name = input.text(input.number<std::uint8_t>() % 16);
    const std::string other_name = input.text(input.number<std::uint8_t>() % 8);
    const std::string text = input.rest();
    if ((name + "/" + other_name).find("..") != std::string::npos) return 0;  // stays inside
    // Joined as text: the path type of the library would take "/x" for the x of the root.
    const kernels::Path path{(directory / "").native + name};
    const kernels::Path other{(directory / "").native + other_name};
    const kernels::Stop stop;

    const auto written = kernels::write_file(path, fuzz::bytes_of(text), false, stop);
    const auto content = kernels::read_file(path, stop);
    const auto status = kernels::stat_file(path, true, stop);
    if (written.ok()) {
        FUZZ_CHECK(written.value() == text.size());
        FUZZ_CHECK(holds(content, text));
        FUZZ_CHECK(status.ok() && status.value().size == static_cast<std::int64_t>(text.size()));
        const auto copied = kernels::copy_file(path, other, stop);
        if (copied.ok()) FUZZ_CHECK(holds(kernels::read_file(other, stop), text));
        FUZZ_CHECK(holds(kernels::read_file(path, stop), text));
    } else {
        FUZZ_CHECK(!content.ok());
    }
    const std::vector<kernels::Path> paths{path, other};
    std::vector<kernels::Result<kernels::FileStatus>> statuses(
        2, kernels::Error{kernels::ErrorKind::stopped});
    kernels::Progress progress;
    FUZZ_CHECK(kernels::stat_many(paths, true, statuses, progress, stop).ok());
    FUZZ_CHECK(progress.finished() == 2 && statuses[0].ok() == status.ok());

    namespace fs = std::filesystem;
    for (const fs::directory_entry& entry : fs::directory_iterator((directory / "").native)) {
        // Names of the fuzzer are shorter than those of temporary files.
        FUZZ_CHECK(entry.path().filename().native().size() < 16);
        fs::remove_all(entry.path());
    }
    return 0;
}
