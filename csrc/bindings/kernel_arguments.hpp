// bindings/kernel_arguments.hpp: how each type that a kernel takes comes from Python. An
// Argument<T> is filled, asked for its bytes and destroyed with the GIL held; get() needs none.
//
// To teach the binding a new type, specialise Argument for it.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kernels/matrix.hpp"
#include "kernels/path.hpp"

namespace gilpool::bindings {

/// A buffer that is exported for as long as this lives.
class HeldBuffer {
  public:
    HeldBuffer() = default;
    ~HeldBuffer() { PyBuffer_Release(&view_); }
    HeldBuffer(const HeldBuffer&) = delete;
    HeldBuffer& operator=(const HeldBuffer&) = delete;

    /// Any C-contiguous bytes-like object. TypeError or BufferError otherwise.
    bool hold_bytes(PyObject* value, const char* name);

    /// A C-contiguous buffer of `dimensions` dimensions, writable if asked for. TypeError,
    /// BufferError or ValueError otherwise.
    bool hold_items(PyObject* value, const char* name, bool writable, int dimensions);

    /// ValueError if the items do not begin at a multiple of `alignment`.
    bool check_alignment(const char* name, std::size_t alignment) const;

    /// 'i' (signed), 'u' (unsigned) or 'f' (floating) if the items are native numbers, else 0.
    char kind() const;

    const Py_buffer& view() const { return view_; }
    std::size_t bytes() const { return static_cast<std::size_t>(view_.len); }

  private:
    Py_buffer view_{};
};

/// What the items of a span are called and how they are told.
template <class T>
inline constexpr char kKindOf = std::is_floating_point_v<T> ? 'f'
                                : std::is_signed_v<T>       ? 'i'
                                                            : 'u';

/// TypeError: `name` must be a buffer of `kind` and size.
bool raise_wrong_items(const char* name, char kind, std::size_t item_bytes);

/// ValueError: `name` must have that shape.
bool raise_wrong_shape(const char* name, const kernels::Shape& shape, int dimensions);

bool index_argument(PyObject* value, const char* name, std::int64_t* number);
bool index_argument(PyObject* value, const char* name, std::uint64_t* number);
bool float_argument(PyObject* value, const char* name, double* number);

/// UTF-8 of a str, or bytes as they are; owns a reference to the object. Where bytes are allowed a
/// str must be ASCII: ValueError otherwise.
class HeldText {
  public:
    HeldText() = default;
    ~HeldText() { Py_XDECREF(owner_); }
    HeldText(const HeldText&) = delete;
    HeldText& operator=(const HeldText&) = delete;

    bool hold(PyObject* value, const char* name, bool allow_bytes);
    std::string_view text() const { return text_; }

  private:
    PyObject* owner_ = nullptr;
    std::string_view text_;
};

bool path_argument(PyObject* value, const char* name, kernels::Path* path);

template <class T>
struct Argument;  // no specialisation: kernels cannot take a T

/// Any C-contiguous bytes-like object, not copied.
template <>
struct Argument<std::span<const std::byte>> {
    bool take(PyObject* value, const char* name) { return held.hold_bytes(value, name); }
    std::span<const std::byte> get() const {
        return {static_cast<const std::byte*>(held.view().buf), held.bytes()};
    }
    std::size_t bytes() const { return held.bytes(); }

    HeldBuffer held;
};

/// A one-dimensional buffer of numbers of just this type.
template <class T>
struct Argument<std::span<T>> {
    static bool accepts(const HeldBuffer& held) {
        return held.kind() == kKindOf<std::remove_const_t<T>> && held.view().itemsize == sizeof(T);
    }
    bool take(PyObject* value, const char* name) {
        return held.hold_items(value, name, !std::is_const_v<T>, 1) &&
               (accepts(held) ||
                raise_wrong_items(name, kKindOf<std::remove_const_t<T>>, sizeof(T))) &&
               held.check_alignment(name, alignof(T));
    }
    std::span<T> get() const {
        return {static_cast<T*>(held.view().buf), held.bytes() / sizeof(T)};
    }
    std::size_t bytes() const { return held.bytes(); }

    HeldBuffer held;
};

/// What a buffer of so many dimensions is taken and asked for.
template <class T, int dimensions>
struct ShapedArgument {
    static constexpr bool kIsOutput = !std::is_const_v<T>;
    static constexpr int kDimensions = dimensions;

    /// An output may be None: it gets its shape, and memory, from the kernel's shape function (see
    /// kernel_binding.hpp).
    bool take(PyObject* value, const char* name) {
        if (kIsOutput && value == Py_None) {
            return true;
        }
        return held.hold_items(value, name, kIsOutput, dimensions) &&
               (Argument<std::span<T>>::accepts(held) ||
                raise_wrong_items(name, kKindOf<std::remove_const_t<T>>, sizeof(T))) &&
               held.check_alignment(name, alignof(T));
    }

    /// False with a ValueError set if the buffer has another shape.
    bool has_shape(const kernels::Shape& shape, const char* name) const {
        const bool fits = dimensions == 1 ? columns() == shape.columns
                                          : rows() == shape.rows && columns() == shape.columns;
        return fits || raise_wrong_shape(name, shape, dimensions);
    }

    std::size_t rows() const { return static_cast<std::size_t>(held.view().shape[0]); }
    std::size_t columns() const {
        return static_cast<std::size_t>(held.view().shape[dimensions - 1]);
    }
    std::span<T> values() const {
        return {static_cast<T*>(held.view().buf), held.bytes() / sizeof(T)};
    }
    std::size_t bytes() const { return held.view().obj != nullptr ? held.bytes() : 0; }

    HeldBuffer held;
};

template <class T>
struct Argument<kernels::Matrix<T>> : ShapedArgument<T, 2> {
    kernels::Matrix<T> get() const { return {this->values(), this->rows(), this->columns()}; }
};

template <class T>
struct Argument<kernels::Row<T>> : ShapedArgument<T, 1> {
    kernels::Row<T> get() const { return {this->values()}; }
};

template <class T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
struct Argument<T> {
    bool take(PyObject* value, const char* name) {
        std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t> wide = 0;
        if (!index_argument(value, name, &wide)) {
            return false;
        }
        number = static_cast<T>(wide);
        if (number != wide) {
            PyErr_Format(PyExc_OverflowError, "%s is too large", name);
            return false;
        }
        return true;
    }
    T get() const { return number; }
    std::size_t bytes() const { return 0; }

    T number = 0;
};

template <>
struct Argument<bool> {
    bool take(PyObject* value, const char*) {
        const int truth = PyObject_IsTrue(value);
        flag = truth == 1;
        return truth >= 0;
    }
    bool get() const { return flag; }
    std::size_t bytes() const { return 0; }

    bool flag = false;
};

template <>
struct Argument<double> {
    bool take(PyObject* value, const char* name) { return float_argument(value, name, &number); }
    double get() const { return number; }
    std::size_t bytes() const { return 0; }

    double number = 0;
};

/// A str of ASCII, or bytes.
template <>
struct Argument<std::string_view> {
    bool take(PyObject* value, const char* name) { return held.hold(value, name, true); }
    std::string_view get() const { return held.text(); }
    std::size_t bytes() const { return held.text().size(); }

    HeldText held;
};

/// A str.
template <>
struct Argument<std::string> {
    bool take(PyObject* value, const char* name) {
        HeldText held;
        if (!held.hold(value, name, false)) {
            return false;
        }
        text = held.text();
        return true;
    }
    const std::string& get() const { return text; }
    std::size_t bytes() const { return text.size(); }

    std::string text;
};

/// str, bytes or os.PathLike.
template <>
struct Argument<kernels::Path> {
    bool take(PyObject* value, const char* name) { return path_argument(value, name, &path); }
    const kernels::Path& get() const { return path; }
    std::size_t bytes() const { return 0; }

    kernels::Path path;
};

}  // namespace gilpool::bindings
