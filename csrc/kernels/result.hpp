// kernels/result.hpp: how a kernel ends: with a value, or with an error that names its cause.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace gilpool::kernels {

enum class ErrorKind : std::uint8_t {
    stopped,    ///< it was asked to stop, and left nothing half done
    value,      ///< an argument that this work cannot be done on
    malformed,  ///< encoded data that breaks the rules of its encoding
    overflow,   ///< a size or number beyond what can be represented
    os,         ///< a system call failed; `number` is its errno, `message` the path it concerns
    memory,     ///< no memory
};

/// `message` is printable ASCII, except that of `os`: a path is bytes.
struct Error {
    ErrorKind kind;
    int number = 0;
    std::string message{};
};

/// A value or an error, never both. Kernels return it instead of throwing.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const noexcept { return content_.index() == 0; }
    T& value() noexcept { return *std::get_if<0>(&content_); }
    const T& value() const noexcept { return *std::get_if<0>(&content_); }
    const Error& error() const noexcept { return *std::get_if<1>(&content_); }

  private:
    std::variant<T, Error> content_;
};

/// The value of kernels that have none to give.
struct Done {};

}  // namespace gilpool::kernels
