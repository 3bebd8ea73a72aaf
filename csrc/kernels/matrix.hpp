// kernels/matrix.hpp: numbers in rows and columns. A view of somebody else's memory, any thread.
#pragma once

#include <cstddef>
#include <span>

namespace gilpool::kernels {

/// `rows` times `columns` values, row after row.
template <class T>
struct Matrix {
    std::span<T> values;
    std::size_t rows;
    std::size_t columns;

    T* row(std::size_t index) const noexcept { return values.data() + index * columns; }
};

/// A row of values that a kernel fills.
template <class T>
struct Row {
    std::span<T> values;
};

/// How large a kernel's output is; a Row has one of rows.
struct Shape {
    std::size_t rows;
    std::size_t columns;
};

}  // namespace gilpool::kernels
