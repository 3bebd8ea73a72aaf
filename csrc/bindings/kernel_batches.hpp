// bindings/kernel_batches.hpp: kernels over many items: one trip through the GIL for all of them,
// spread over the lane, with an outcome for each item. GIL held, but for run().
#pragma once

#include <Python.h>

#include <algorithm>
#include <array>
#include <deque>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/compat.hpp"
#include "bindings/kernel_arguments.hpp"
#include "bindings/kernel_results.hpp"
#include "bindings/kernel_row.hpp"
#include "bindings/kernel_work.hpp"
#include "bindings/spread.hpp"
#include "kernels/bytes.hpp"
#include "kernels/huge_pages.hpp"
#include "kernels/path.hpp"
#include "kernels/progress.hpp"

namespace gilpool::bindings {

/// The name of an item in messages, made only when there is one to write: that takes longer than to
/// convert the item.
struct ItemName {
    const char* list;
    std::size_t index;

    std::array<char, 64> text() const;  ///< "items[7]"
};

/// What the items of a batch are converted to and held as.
template <class Item>
struct Items;

/// Bytes-like objects, not copied. Who adds them keeps them alive.
template <>
struct Items<kernels::BytesView> {
    bool add(PyObject* item, ItemName name);

    std::vector<kernels::BytesView> items;
    std::deque<HeldBuffer> buffers;  ///< of all but bytes, which need no export to stay as they are
    std::size_t bytes = 0;
};

template <>
struct Items<kernels::Path> {
    bool add(PyObject* item, ItemName name);

    std::vector<kernels::Path> items;
    std::size_t bytes = 0;
};

/// A new tuple of an iterable's items, or null with an exception set. A str or bytes, which would
/// be taken apart, is a TypeError.
PyObject* tuple_of_items(PyObject* iterable, const char* name);

/// Brings the item a few places after this one into the cache: in a large batch most of them are
/// not, and to wait for each in turn takes longer than all the rest.
inline void fetch_later_item(PyObject* tuple, Py_ssize_t index) {
    constexpr Py_ssize_t kAhead = 16;
    if (index + kAhead < PyTuple_GET_SIZE(tuple)) {
        __builtin_prefetch(PyTuple_GET_ITEM(tuple, index + kAhead));
    }
}

template <auto function, class Item, class Value, class... Parameters>
class BatchKernel final : public KernelWork, private SpreadLoop {
  public:
    explicit BatchKernel(core::Lane lane) : KernelWork(lane), lane_(lane) {}
    ~BatchKernel() override {
        Py_XDECREF(callback_);
        Py_XDECREF(objects_);
    }

    bool take(const KernelRow& row, PyObject* const* values) {
        constexpr std::size_t kExtra = 1 + sizeof...(Parameters);
        if (!take_items(values[0], row.parameters[0].name) ||
            !take(row, values, std::index_sequence_for<Parameters...>()) ||
            !return_errors_.take(values[kExtra], "return_errors")) {
            return false;
        }
        PyObject* const callback = values[kExtra + 1];
        if (callback != Py_None && PyCallable_Check(callback) == 0) {
            PyErr_Format(PyExc_TypeError, "progress must be callable or None, not %.200s",
                         Py_TYPE(callback)->tp_name);
            return false;
        }
        callback_ = callback != Py_None ? Py_NewRef(callback) : nullptr;
        try {
            outcomes_.reserve(items_.items.size());
            kernels::ask_for_huge_pages(outcomes_.data(),
                                        outcomes_.capacity() * sizeof outcomes_[0]);
            outcomes_.assign(items_.items.size(), kernels::Error{kernels::ErrorKind::stopped});
        } catch (const std::bad_alloc&) {
            PyErr_NoMemory();
            return false;
        }
        return true;
    }

    void run(kernels::Stop stop) noexcept override {
        stop_ = stop;
        spread(*this, items_.items.size(), shortest_piece(), lane_);
        has_run_ = true;
    }

    void run_alone() noexcept override {
        piece(0, items_.items.size());
        has_run_ = true;
    }

    PyObject* result(bool keep_gil) override {
        if (!has_run_) {
            PyErr_SetString(PyExc_RuntimeError, "the kernel was never run");
            return nullptr;
        }
        if (error_) {
            return raise_kernel_error(*error_);
        }
        PyObject* const list = PyList_New(static_cast<Py_ssize_t>(outcomes_.size()));
        for (std::size_t i = 0; list != nullptr && i < outcomes_.size(); ++i) {
            PyObject* const item = outcome(outcomes_[i], keep_gil);
            if (item == nullptr) {
                Py_DECREF(list);
                return nullptr;
            }
            PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), item);
        }
        return list;
    }

    std::size_t bytes() const override { return items_.bytes; }
    PyObject* progress_callback() const override { return callback_; }
    std::size_t items() const override { return items_.items.size(); }
    std::size_t items_finished() const override {
        return static_cast<std::size_t>(progress_.finished());
    }

  private:
    /// What takes some ten microseconds at least: how long it takes to call another thread.
    std::size_t shortest_piece() const {
        constexpr std::size_t kBytes = 64 * 1024;
        const std::size_t all = items_.bytes;
        return all == 0 ? 1 : std::max<std::size_t>(kBytes * items_.items.size() / all, 1);
    }

    bool take_items(PyObject* iterable, const char* name) {
        objects_ = tuple_of_items(iterable, name);
        if (objects_ == nullptr) {
            return false;
        }
        const Py_ssize_t count = PyTuple_GET_SIZE(objects_);
        try {
            items_.items.reserve(static_cast<std::size_t>(count));
            for (Py_ssize_t i = 0; i < count; ++i) {
                fetch_later_item(objects_, i);
                const ItemName item_name{name, static_cast<std::size_t>(i)};
                if (!items_.add(PyTuple_GET_ITEM(objects_, i), item_name)) {
                    return false;
                }
            }
        } catch (const std::bad_alloc&) {
            PyErr_NoMemory();
            return false;
        }
        return true;
    }

    template <std::size_t... index>
    bool take(const KernelRow& row, PyObject* const* values, std::index_sequence<index...>) {
        return (
            std::get<index>(arguments_).take(values[1 + index], row.parameters[1 + index].name) &&
            ...);
    }

    bool piece(std::size_t begin, std::size_t end) noexcept override {
        return piece(begin, end, std::index_sequence_for<Parameters...>());
    }

    template <std::size_t... index>
    bool piece(std::size_t begin, std::size_t end, std::index_sequence<index...>) noexcept {
        const auto done =
            function(std::span<const Item>(items_.items).subspan(begin, end - begin),
                     std::get<index>(arguments_).get()...,
                     std::span<kernels::Result<Value>>(outcomes_).subspan(begin, end - begin),
                     progress_, stop_);
        if (done.ok()) {
            return true;
        }
        const std::lock_guard lock(error_mutex_);
        if (!error_) {
            error_ = done.error();
        }
        return false;
    }

    /// The item's value, its exception in its place, or null with that set.
    PyObject* outcome(const kernels::Result<Value>& outcome, bool keep_gil) const {
        if (outcome.ok()) {
            return convert(outcome.value(), keep_gil);
        }
        raise_kernel_error(outcome.error());
        return return_errors_.get() ? take_raised_exception() : nullptr;
    }

    const core::Lane lane_;
    PyObject* objects_ = nullptr;  ///< a tuple: keeps alive what the items are views of
    Items<Item> items_;
    std::tuple<Argument<Parameters>...> arguments_;
    Argument<bool> return_errors_;
    PyObject* callback_ = nullptr;
    std::vector<kernels::Result<Value>> outcomes_;
    kernels::Progress progress_;
    kernels::Stop stop_;
    std::mutex error_mutex_;               ///< guards error_ while pieces run
    std::optional<kernels::Error> error_;  ///< of the batch as a whole
    bool has_run_ = false;
};

}  // namespace gilpool::bindings
