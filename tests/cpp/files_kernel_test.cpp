// Files of every sort read, replaced, copied and examined; nothing half done is left behind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "kernels/descriptor.hpp"
#include "kernels/files.hpp"
#include "support/bytes_of.hpp"
#include "support/scratch_directory.hpp"

namespace gilpool::kernels {
namespace {

using test::bytes_of;
using test::content_of;
using test::ScratchDirectory;
using test::text_of;

mode_t mode_of(const Path& path) {
    struct stat status{};
    EXPECT_EQ(::stat(path.native.c_str(), &status), 0);
    return status.st_mode & 07777;
}

std::string read(const Path& path) {
    const Result<Bytes> content = read_file(path, Stop());
    EXPECT_TRUE(content.ok()) << content.error().number;
    return content.ok() ? text_of(content.value()) : std::string();
}

template <class T>
void expect_os_error(const Result<T>& result, int number, const Path& path) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::os);
    EXPECT_EQ(result.error().number, number);
    EXPECT_EQ(result.error().message, path.native);
}

Result<std::uint64_t> write(const Path& path, std::string_view text, bool sync = false) {
    return write_file(path, bytes_of(text), sync, Stop());
}

TEST(ReadFile, GivesTheWholeContent) {
    const ScratchDirectory directory;
    for (const std::size_t size : {0U, 1U, 4095U, 4096U, 4097U, 3'000'000U}) {
        std::string content(size, 'x');
        if (size != 0) content.back() = '\0';
        EXPECT_EQ(read(directory.put("file", content)), content);
    }
}

TEST(ReadFile, ReadsFilesThatDoNotKnowTheirSize) {
    EXPECT_FALSE(read({"/proc/self/status"}).empty());
    EXPECT_EQ(read({"/dev/null"}), "");
}

TEST(ReadFile, SaysWhyItCannot) {
    const ScratchDirectory directory;
    const Path missing = directory / "missing";
    expect_os_error(read_file(missing, Stop()), ENOENT, missing);
    expect_os_error(read_file(directory / "", Stop()), EISDIR, directory / "");
    expect_os_error(read_file({""}, Stop()), ENOENT, {""});
    expect_os_error(read_file({std::string(5000, 'a')}, Stop()), ENAMETOOLONG,
                    {std::string(5000, 'a')});
    EXPECT_EQ(read_file({std::string("a\0b", 3)}, Stop()).error().kind, ErrorKind::value);
}

TEST(ReadFile, WaitsForTheWriterOfAFifo) {
    const ScratchDirectory directory;
    const Path fifo = directory / "fifo";
    ASSERT_EQ(::mkfifo(fifo.native.c_str(), 0600), 0);
    std::thread writer([&] { std::ofstream(fifo.native) << "written " << std::flush << "later"; });
    EXPECT_EQ(read(fifo), "written later");
    writer.join();
}

TEST(ReadFile, StopsWhileItWaitsForAFifo) {
    const ScratchDirectory directory;
    const Path fifo = directory / "fifo";
    ASSERT_EQ(::mkfifo(fifo.native.c_str(), 0600), 0);
    std::atomic<bool> flag{false};
    std::thread reader(
        [&] { EXPECT_EQ(read_file(fifo, Stop(flag)).error().kind, ErrorKind::stopped); });
    // Opening it for writing succeeds only once the reader has it; then there is nothing to read.
    Descriptor writer;
    while (!writer) {
        writer = Descriptor(::open(fifo.native.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
        std::this_thread::yield();
    }
    flag.store(true);
    reader.join();
}

TEST(WriteFile, ReplacesTheContent) {
    const ScratchDirectory directory;
    const Path path = directory / "file";
    for (const std::size_t size : {3'000'000U, 0U, 5U}) {
        const std::string content(size, 'y');
        EXPECT_EQ(write(path, content, size == 5).value(), size);
        EXPECT_EQ(content_of(path), content);
    }
    EXPECT_EQ(directory.entries(), 1U);
}

TEST(WriteFile, GivesNewFilesTheUsualModeAndKeepsThatOfOldOnes) {
    const ScratchDirectory directory;
    const mode_t mask = ::umask(027);
    EXPECT_TRUE(write(directory / "new", "a").ok());
    ::umask(mask);
    EXPECT_EQ(mode_of(directory / "new"), 0640U);
    ASSERT_EQ(::chmod((directory / "new").native.c_str(), 0751), 0);
    EXPECT_TRUE(write(directory / "new", "b").ok());
    EXPECT_EQ(mode_of(directory / "new"), 0751U);
}

TEST(WriteFile, FollowsLinks) {
    const ScratchDirectory directory;
    const auto link = [&](const char* to, const char* name) {
        ASSERT_EQ(::symlink(to, (directory / name).native.c_str()), 0);
    };
    directory.put("target", "old");
    link("target", "relative");
    link((directory / "relative").native.c_str(), "absolute");
    link("fresh", "dangling");
    link("loop", "loop");
    EXPECT_TRUE(write(directory / "absolute", "new").ok());
    EXPECT_EQ(content_of(directory / "target"), "new");
    EXPECT_TRUE(std::filesystem::is_symlink((directory / "absolute").native));
    EXPECT_TRUE(std::filesystem::is_symlink((directory / "relative").native));
    EXPECT_TRUE(write(directory / "dangling", "made").ok());
    EXPECT_EQ(content_of(directory / "fresh"), "made");
    expect_os_error(write(directory / "loop", "x"), ELOOP, directory / "loop");
    EXPECT_EQ(directory.entries(), 6U);
}

TEST(WriteFile, WritesWhereOnlyANameIsGiven) {
    const ScratchDirectory directory;
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path((directory / "").native);
    EXPECT_TRUE(write({"plain"}, "here").ok());
    std::filesystem::current_path(before);
    EXPECT_EQ(content_of(directory / "plain"), "here");
    const std::string long_name(255, 'n');
    EXPECT_TRUE(write(directory / long_name, "long").ok());
    EXPECT_EQ(content_of(directory / long_name), "long");
}

TEST(WriteFile, RefusesWhatIsNoRegularFile) {
    const ScratchDirectory directory;
    const Path fifo = directory / "fifo";
    ASSERT_EQ(::mkfifo(fifo.native.c_str(), 0600), 0);
    EXPECT_EQ(write(fifo, "x").error().kind, ErrorKind::value);
    EXPECT_EQ(write({"/dev/null"}, "x").error().kind, ErrorKind::value);
    expect_os_error(write(directory / "", "x"), EISDIR, directory / "");
    expect_os_error(write({""}, "x"), ENOENT, {""});
    expect_os_error(write(directory / "no/file", "x"), ENOENT, directory / "no/file");
    EXPECT_EQ(write({std::string("a\0b", 3)}, "x").error().kind, ErrorKind::value);
    EXPECT_EQ(directory.entries(), 1U);
}

TEST(WriteFile, ChangesNothingWhenItCannotOrMayNotFinish) {
    const ScratchDirectory directory;
    const Path path = directory.put("file", "old");
    const std::atomic<bool> flag{true};
    EXPECT_EQ(write_file(path, bytes_of("new"), false, Stop(flag)).error().kind,
              ErrorKind::stopped);
    EXPECT_EQ(content_of(path), "old");
    EXPECT_EQ(directory.entries(), 1U);
    if (::geteuid() != 0) {
        ASSERT_EQ(::chmod(path.native.c_str(), 0400), 0);
        expect_os_error(write(path, "new"), EACCES, path);
    }
    EXPECT_EQ(directory.entries(), 1U);
}

TEST(WriteFile, RemovesWhatItHasWrittenWhenTheDiskTakesNoMore) {
    const ScratchDirectory directory;
    const Path path = directory.put("file", "old");
    const Path large = directory.put("large", std::string(3'000'000, 'x'));
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto handler = ::signal(SIGXFSZ, SIG_IGN);
    rlimit small = before;
    small.rlim_cur = 2'000'000;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const Result<std::uint64_t> written = write(path, std::string(3'000'000, 'n'));
    const Result<std::uint64_t> copied = copy_file(large, path, Stop());
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ::signal(SIGXFSZ, handler);
    expect_os_error(written, EFBIG, path);
    expect_os_error(copied, EFBIG, path);
    EXPECT_EQ(content_of(path), "old");
    EXPECT_EQ(directory.entries(), 2U);
}

TEST(CopyFile, TakesContentAndMode) {
    const ScratchDirectory directory;
    for (const std::size_t size : {0U, 1U, 20'000'000U}) {
        std::string content(size, 'z');
        if (size > 1) content[size / 2] = '\0';
        const Path source = directory.put("source", content);
        ASSERT_EQ(::chmod(source.native.c_str(), 0705), 0);
        EXPECT_EQ(copy_file(source, directory / "target", Stop()).value(), size);
        EXPECT_EQ(content_of(directory / "target"), content);
        EXPECT_EQ(mode_of(directory / "target"), 0705U);
    }
    EXPECT_EQ(directory.entries(), 2U);
}

TEST(CopyFile, CopiesFilesThatDoNotKnowTheirSizeAndBetweenFileSystems) {
    const ScratchDirectory directory;
    const Path target = directory / "target";
    EXPECT_TRUE(copy_file({"/proc/self/status"}, target, Stop()).ok());
    EXPECT_NE(content_of(target).find("Name:"), std::string::npos);
}

TEST(CopyFile, RefusesWhatCannotBeCopied) {
    const ScratchDirectory directory;
    const Path path = directory.put("file", "content");
    ASSERT_EQ(::link(path.native.c_str(), (directory / "other").native.c_str()), 0);
    EXPECT_EQ(copy_file(path, path, Stop()).error().kind, ErrorKind::value);
    EXPECT_EQ(copy_file(path, directory / "other", Stop()).error().kind, ErrorKind::value);
    EXPECT_EQ(copy_file({"/dev/zero"}, path, Stop()).error().kind, ErrorKind::value);
    expect_os_error(copy_file(directory / "", path, Stop()), EISDIR, directory / "");
    expect_os_error(copy_file(directory / "none", path, Stop()), ENOENT, directory / "none");
    expect_os_error(copy_file(path, directory / "", Stop()), EISDIR, directory / "");
    const std::atomic<bool> flag{true};
    EXPECT_EQ(copy_file(path, directory / "new", Stop(flag)).error().kind, ErrorKind::stopped);
    EXPECT_EQ(content_of(path), "content");
    EXPECT_EQ(directory.entries(), 2U);
}

TEST(StatMany, SaysWhatTheSystemSays) {
    const ScratchDirectory directory;
    const Path file = directory.put("file", "12345");
    const Path link = directory / "link";
    ASSERT_EQ(::symlink("file", link.native.c_str()), 0);
    const Path paths[] = {file, directory / "none", link, {std::string("a\0b", 3)}};
    const Result<FileStatus> unset(Error{ErrorKind::stopped});
    std::vector<Result<FileStatus>> statuses(std::size(paths), unset);
    Progress progress;
    ASSERT_TRUE(stat_many(paths, true, statuses, progress, Stop()).ok());
    EXPECT_EQ(progress.finished(), 4U);
    struct stat expected{};
    ASSERT_EQ(::stat(file.native.c_str(), &expected), 0);
    for (const std::size_t at : {0U, 2U}) {
        const FileStatus& status = statuses[at].value();
        EXPECT_EQ(status.mode, expected.st_mode);
        EXPECT_EQ(status.inode, expected.st_ino);
        EXPECT_EQ(status.device, expected.st_dev);
        EXPECT_EQ(status.links, expected.st_nlink);
        EXPECT_EQ(status.user, expected.st_uid);
        EXPECT_EQ(status.group, expected.st_gid);
        EXPECT_EQ(status.size, 5);
        EXPECT_EQ(status.modified_ns,
                  expected.st_mtim.tv_sec * 1'000'000'000 + expected.st_mtim.tv_nsec);
    }
    expect_os_error(statuses[1], ENOENT, paths[1]);
    EXPECT_EQ(statuses[3].error().kind, ErrorKind::value);
    EXPECT_TRUE(S_ISLNK(stat_file(link, false, Stop()).value().mode));
}

TEST(ReadFiles, LeavesTheErrorOfAFileInItsPlace) {
    const ScratchDirectory directory;
    const Path paths[] = {directory.put("one", "1"), directory / "none",
                          directory.put("two", "22")};
    std::vector<Result<Bytes>> contents(3, Result<Bytes>(Error{ErrorKind::stopped}));
    Progress progress;
    ASSERT_TRUE(read_files(paths, contents, progress, Stop()).ok());
    EXPECT_EQ(progress.finished(), 3U);
    EXPECT_EQ(text_of(contents[0].value()), "1");
    expect_os_error(contents[1], ENOENT, paths[1]);
    EXPECT_EQ(text_of(contents[2].value()), "22");
    const std::atomic<bool> flag{true};
    EXPECT_EQ(read_files(paths, contents, progress, Stop(flag)).error().kind, ErrorKind::stopped);
}

}  // namespace
}  // namespace gilpool::kernels
