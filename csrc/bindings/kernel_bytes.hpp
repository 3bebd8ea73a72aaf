// bindings/kernel_bytes.hpp: kernels that write straight into the bytes object they return, so that
// no large result is copied. GIL held, but for run().
#pragma once

#include <Python.h>

#include <cstdint>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "bindings/kernel_arguments.hpp"
#include "bindings/kernel_results.hpp"
#include "bindings/kernel_row.hpp"
#include "bindings/kernel_work.hpp"
#include "kernels/huge_pages.hpp"
#include "kernels/result.hpp"

namespace gilpool::bindings {

/// One call of `function`, which fills a span and returns how much of it; `room_for` says from the
/// arguments how long that must be.
template <auto function, auto room_for, class... Parameters>
class BytesKernel final : public KernelWork {
  public:
    explicit BytesKernel(core::Lane lane) : KernelWork(lane) {}
    ~BytesKernel() override { Py_XDECREF(bytes_); }

    /// Converts and holds the arguments, makes the object; false with an exception set.
    bool take(const KernelRow& row, PyObject* const* values) {
        return take(row, values, std::index_sequence_for<Parameters...>());
    }

    void run(kernels::Stop stop) noexcept override {
        run(stop, std::index_sequence_for<Parameters...>());
    }

    PyObject* result(bool) override {
        if (!result_) {
            PyErr_SetString(PyExc_RuntimeError, "the kernel was never run");
            return nullptr;
        }
        if (!result_->ok()) {
            return raise_kernel_error(result_->error());
        }
        const auto size = static_cast<Py_ssize_t>(result_->value());
        if (size != PyBytes_GET_SIZE(bytes_) && _PyBytes_Resize(&bytes_, size) != 0) {
            return nullptr;
        }
        return std::exchange(bytes_, nullptr);
    }

    std::size_t bytes() const override {
        return std::apply([](const auto&... each) { return (each.bytes() + ... + std::size_t{0}); },
                          arguments_);
    }

  private:
    template <std::size_t... index>
    bool take(const KernelRow& row, PyObject* const* values, std::index_sequence<index...>) {
        if (!(std::get<index>(arguments_).take(values[index], row.parameters[index].name) && ...)) {
            return false;
        }
        const std::size_t room = room_for(std::get<index>(arguments_).get()...);
        if (room > static_cast<std::size_t>(PY_SSIZE_T_MAX)) {
            PyErr_SetString(PyExc_OverflowError, "result too large");
            return false;
        }
        bytes_ = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(room));
        if (bytes_ != nullptr) {
            kernels::ask_for_huge_pages(PyBytes_AS_STRING(bytes_), room);
        }
        return bytes_ != nullptr;
    }

    template <std::size_t... index>
    void run(kernels::Stop stop, std::index_sequence<index...>) noexcept {
        // Nobody else knows the object yet.
        const std::span out(reinterpret_cast<std::byte*>(PyBytes_AS_STRING(bytes_)),
                            static_cast<std::size_t>(PyBytes_GET_SIZE(bytes_)));
        result_.emplace(function(std::get<index>(arguments_).get()..., out, stop));
    }

    std::tuple<Argument<Parameters>...> arguments_;
    std::optional<kernels::Result<std::uint64_t>> result_;
    PyObject* bytes_ = nullptr;
};

}  // namespace gilpool::bindings
