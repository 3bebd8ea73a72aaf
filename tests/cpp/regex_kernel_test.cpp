// Every match as Python's re finds it, and every pattern refused that would mean something else.
#include <gtest/gtest.h>

#if GILPOOL_HAS_RE2

#include <string>
#include <vector>

#include "kernels/regex.hpp"
#include "kernels/regex_syntax.hpp"
#include "support/bytes_of.hpp"

namespace gilpool::kernels {
namespace {

using test::bytes_of;
using Spans = std::vector<std::int64_t>;

Spans spans(std::string_view pattern, std::string_view data) {
    const Result<Spans> found = find_all(pattern, bytes_of(data), Stop());
    EXPECT_TRUE(found.ok()) << pattern << ": " << (found.ok() ? "" : found.error().message);
    if (!found.ok()) return {};
    EXPECT_EQ(count_matches(pattern, bytes_of(data), Stop()).value(), found.value().size() / 2);
    return found.value();
}

std::string refusal(std::string_view pattern) {
    const Result<Spans> found = find_all(pattern, bytes_of("abc"), Stop());
    if (found.ok()) return "accepted";
    EXPECT_EQ(found.error().kind, ErrorKind::value);
    return found.error().message;
}

TEST(Regex, FindsEveryMatch) {
    EXPECT_EQ(spans("b+", "abbcb"), (Spans{1, 3, 4, 5}));
    EXPECT_EQ(spans("x", "abc"), Spans());
    EXPECT_EQ(spans("a|ab", "ab"), (Spans{0, 1})) << "the first alternative, not the longest";
    EXPECT_EQ(spans("(a)(b)", "abab"), (Spans{0, 2, 2, 4}));
    EXPECT_EQ(spans("a", ""), Spans());
    EXPECT_EQ(spans("\\bfoo\\b", "foo food foo"), (Spans{0, 3, 9, 12}));
    EXPECT_EQ(spans("(?i)FOO", "foofOo"), (Spans{0, 3, 3, 6}));
}

TEST(Regex, FindsEmptyMatchesWherePythonDoes) {
    EXPECT_EQ(spans("", "ab"), (Spans{0, 0, 1, 1, 2, 2}));
    EXPECT_EQ(spans("", ""), (Spans{0, 0}));
    EXPECT_EQ(spans("a*", "baac"), (Spans{0, 0, 1, 3, 3, 3, 4, 4}));
    EXPECT_EQ(spans("\\b", "a b"), (Spans{0, 0, 1, 1, 2, 2, 3, 3}));
    EXPECT_EQ(spans("(?m)^", "a\n"), (Spans{0, 0, 2, 2}));
    EXPECT_EQ(spans("(?m)$", "a\nb"), (Spans{1, 1, 3, 3}));
    EXPECT_EQ(spans("\\A", "aa"), (Spans{0, 0}));
}

TEST(Regex, WorksOnBytes) {
    EXPECT_EQ(spans("[\x80-\xff]+", "a\xff\x80z"), (Spans{1, 3}));
    EXPECT_EQ(spans(".", "\xc3\xa9"), (Spans{0, 1, 1, 2}));
    EXPECT_EQ(spans(std::string_view("\0", 1), std::string_view("a\0b", 3)), (Spans{1, 2}));
    EXPECT_EQ(spans("\\w", "\xe9"), Spans());
    EXPECT_EQ(spans("\xe9", "\xe9"), (Spans{0, 1}));
}

TEST(Regex, ReadsPythonsSigns) {
    EXPECT_EQ(spans("\\s", "\v\f "), (Spans{0, 1, 1, 2, 2, 3})) << "RE2's \\s has no \\v";
    EXPECT_EQ(spans("[\\s]", "\v"), (Spans{0, 1}));
    EXPECT_EQ(spans("\\S", "\va"), (Spans{1, 2}));
    EXPECT_EQ(spans("[^\\S]", "\va"), (Spans{0, 1}));
    EXPECT_EQ(spans("b\\Z", "b\nb"), (Spans{2, 3}));
    EXPECT_EQ(spans("a{,2}b", "aaab"), (Spans{1, 4}));
    EXPECT_EQ(spans("a{1", "a{1"), (Spans{0, 3}));
    EXPECT_EQ(spans("a{}", "a{}"), (Spans{0, 3}));
    EXPECT_EQ(spans("a{,}b", "aab"), (Spans{0, 3}));
    EXPECT_EQ(spans("[[:alpha:]]", "a]"), (Spans{0, 2})) << "a set, then a bracket";
    EXPECT_EQ(spans("[]a]", "]"), (Spans{0, 1}));
    EXPECT_EQ(spans("[^]a]", "]b"), (Spans{1, 2}));
    EXPECT_EQ(spans("[a-]", "-"), (Spans{0, 1}));
    EXPECT_EQ(spans("[\\b]", "\b"), (Spans{0, 1}));
    EXPECT_EQ(spans("\\101\\x42\\0", std::string_view("AB\0", 3)), (Spans{0, 3}));
    EXPECT_EQ(spans("[\\101-\\x43]", "B"), (Spans{0, 1}));
    EXPECT_EQ(spans("a(?#comment)*", "aa"), (Spans{0, 2, 2, 2}));
    EXPECT_EQ(spans("(?P<name>a)(?i:B)", "ab"), (Spans{0, 2}));
    EXPECT_EQ(spans("(?a)(?s)a.(?-s:b)", "a\nb"), (Spans{0, 3}));
    EXPECT_EQ(spans("\\.\\\\\\-\\_\\\xe9", ".\\-_\xe9"), (Spans{0, 5}));
    EXPECT_EQ(spans("(?m:a$)|b", "a\nb"), (Spans{0, 1, 2, 3}));
    EXPECT_EQ(spans("[$]", "$"), (Spans{0, 1}));
}

TEST(Regex, RefusesWhatItCannotDoAndSaysWhere) {
    const char* const start = "invalid regular expression: ";
    for (const char* pattern : {"a(?=b)",
                                "a(?!b)",
                                "(?<=a)b",
                                "(?<!a)b",
                                "(a)\\1",
                                "(?P<x>a)(?P=x)",
                                "(a)?(?(1)b|c)",
                                "(?>a)",
                                "a++",
                                "a*+",
                                "(?x)a b",
                                "(?L)a",
                                "(?u)a",
                                "a(?i)b",
                                "(?-i)a",
                                "(?U)a*",
                                "a$",
                                "(?m:a)$",
                                "\\pL",
                                "\\Qa",
                                "\\C",
                                "\\z",
                                "\\u0041",
                                "\\8",
                                "\\x4",
                                "\\400",
                                "[\\400]",
                                "[\\A]",
                                "[z-a]",
                                "[a-\\d]",
                                "[\\d-z]",
                                "[\\s-z]",
                                "[a",
                                "[",
                                "a\\",
                                "[\\",
                                "(",
                                ")",
                                "(?",
                                "(?P",
                                "(?P<",
                                "(?P<1>a)",
                                "(?P<a>a)(?P<a>b)",
                                "(?<n>a)",
                                "(?i",
                                "(?#",
                                "*",
                                "a**",
                                "{2}",
                                "a{3,2}",
                                "a{1001}",
                                "(?--i:a)"}) {
        const std::string message = refusal(pattern);
        EXPECT_TRUE(message.starts_with(start)) << pattern << ": " << message;
    }
    EXPECT_EQ(refusal("ab(?=c)"),
              std::string(start) + "lookahead and lookbehind are not supported at position 2");
    EXPECT_EQ(refusal("[\xff-a]"),
              std::string(start) + "bad character range \\xff-a at position 1");
    EXPECT_EQ(refusal("a)"), std::string(start) + "unexpected ): a)");
}

TEST(Regex, BoundsWhatAPatternMayCost) {
    // Exponential for a backtracking engine; quadratic memory if states were not bounded.
    EXPECT_EQ(spans("(a+)+b", std::string(100'000, 'a')), Spans());
    EXPECT_EQ(spans("(a?){500}a{500}", std::string(500, 'a')), (Spans{0, 500}));
    EXPECT_NE(refusal("((a{1,1000}){1,1000}){1,1000}"), "accepted");
    EXPECT_EQ(spans(std::string(5'000, '(') + 'a' + std::string(5'000, ')'), "ba"), (Spans{1, 2}));
}

TEST(Regex, StopsBetweenMatches) {
    const std::atomic<bool> flag{true};
    EXPECT_EQ(find_all("a", bytes_of("aaa"), Stop(flag)).error().kind, ErrorKind::stopped);
    EXPECT_EQ(count_matches("a", bytes_of("aaa"), Stop(flag)).error().kind, ErrorKind::stopped);
}

}  // namespace
}  // namespace gilpool::kernels

#else

TEST(Regex, NeedsRe2) {
    GTEST_SKIP() << "built without RE2";
}

#endif
