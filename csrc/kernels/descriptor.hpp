// kernels/descriptor.hpp: a file descriptor with one owner. Any thread, one at a time.
#pragma once

#include <unistd.h>

#include <utility>

namespace gilpool::kernels {

/// Closes what it holds. -1 is none.
class Descriptor {
  public:
    Descriptor() noexcept = default;
    explicit Descriptor(int number) noexcept : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }

    int number() const noexcept { return number_; }
    explicit operator bool() const noexcept { return number_ >= 0; }

    /// Closes now; what close(2) returns. The number is gone either way.
    int close() noexcept { return ::close(std::exchange(number_, -1)); }

  private:
    int number_ = -1;
};

}  // namespace gilpool::kernels
